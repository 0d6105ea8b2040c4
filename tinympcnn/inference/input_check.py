"""Check that an image has the scale of the training images: 16-bit images for a net trained on 8 bits are a mistake."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinympcnn.nn.sequential import Sequential

SAMPLES = 256  # at most about twice as many rows and columns are looked at
FAR = 5  # the means may be this many training deviations apart
RATIO = 20  # the deviations may differ by this factor; for pixels of one value only the mean is checked


def off_scale(nets: Sequence[Sequential], pixels: np.ndarray) -> str:
    """Return what is wrong with the scale of an image, or of some of its rows (H, W, C); nothing if it is plausible.

    A sample of the pixels is looked at. Nets without a normalisation are passed over.
    """
    steps = (max(1, size // SAMPLES) for size in pixels.shape[:2])
    sample = pixels[tuple(slice(None, None, step) for step in steps)]
    with np.errstate(over="ignore", invalid="ignore"):  # pixels may be near the largest number there is
        means, stds = sample.mean(axis=(0, 1), dtype=np.float64), sample.std(axis=(0, 1), dtype=np.float64)
    for net in nets:
        if net.normalisation is not None:
            for mean, std, usual, spread in zip(means, stds, *net.normalisation, strict=True):
                if abs(mean - usual) > FAR * spread or (std > 0 and not spread / RATIO <= std <= spread * RATIO):
                    return (
                        f"mean {mean:.4g}, deviation {std:.4g}, against mean {usual:.4g}, deviation {spread:.4g} "
                        "of the training images: bring it to their scale"
                    )
    return ""
