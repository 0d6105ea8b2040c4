"""What is done to probabilities after the nets: calibrated pixel by pixel, then smoothed by a median filter.

The winner of the ISBI 2012 challenge did both, in this order (Ciresan, Giusti, Gambardella, Schmidhuber, NIPS 2012).
A pixel depends on those within the radius of the filter alone, so that ``inference/bands.py`` does pages in bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.inference.calibration import Calibration

LARGEST_RADIUS = 25  # pixels; the memory that the median filter takes grows with the fourth power, to 40 MB


@dataclass(frozen=True)
class Postprocess:
    """What happens to the probabilities of a page: each pixel is calibrated, then a median filter smooths.

    A band that comes with `radius` rows more on either side has the whole page's result.

    Examples
    --------
    >>> page = np.random.default_rng(0).random((9, 5, 2), np.float32)
    >>> smooth = Postprocess(radius=2)
    >>> bool((smooth(page[1:8])[2:5] == smooth(page)[3:6]).all())
    True
    """

    calibration: Calibration | None = None
    radius: int = 0  # pixels of the median filter; 0 for no filter

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= LARGEST_RADIUS:
            raise UsageError(f"the radius of the median filter must be 0 to {LARGEST_RADIUS} pixels, not {self.radius}")
        if self.radius:
            import scipy.ndimage  # noqa: F401  # now, so that it counts in the memory that the process has already

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Return probabilities (H, W, K) calibrated and filtered."""
        if self.calibration is not None:
            probabilities = self.calibration(probabilities)
        return median(probabilities, self.radius) if self.radius else probabilities

    def pixel_bytes(self, classes: int) -> int:
        """Return the bytes that a pixel of a band takes on its way at most, besides its probabilities."""
        probabilities = classes * np.dtype(np.float32).itemsize
        calibrating = 6 * np.dtype(np.float64).itemsize if self.calibration else 0
        return calibrating + (5 * probabilities if self.radius else 0)  # what waited, came, is joined, filtered, scaled

    def filter_bytes(self) -> int:
        """Return the bytes that the median filter takes besides pixels, at most.

        SciPy lists the disc's pixels once for every way in which borders can cut its square.
        """
        return (2 * self.radius + 1) ** 2 * int(_disc(self.radius).sum()) * np.dtype(np.intp).itemsize


def median(probabilities: np.ndarray, radius: int) -> np.ndarray:
    """Return the median of every class of an array (H, W, K) over a disc around each pixel, at mirrored borders.

    The disc holds the pixels at row y, column x with y*y + x*x <= radius*radius + 1, as in ImageJ: with radius 2 these
    are 21, a square of 5x5 without its corners. With more than two classes, medians are divided by their sum (where all
    medians are 0, the probabilities stay what they were); with two they sum to 1 as they are.

    >>> p = np.zeros((7, 7)); p[3, 3] = 1  # a speck goes
    >>> float(median(np.stack([1 - p, p], axis=-1), 2)[..., 1].max())
    0.0
    """
    from scipy import ndimage

    if radius < 1:
        raise UsageError(f"the radius of a median filter must be at least 1 pixel, not {radius}")
    filtered: np.ndarray = ndimage.median_filter(probabilities, footprint=_disc(radius)[..., None], mode="mirror")
    if probabilities.shape[-1] == 2:
        return filtered
    total, result = filtered.sum(axis=-1, keepdims=True), probabilities.copy()
    np.divide(filtered, total, out=result, where=total > 0)
    return result


def _disc(radius: int) -> np.ndarray:
    """Return which pixels of a square of 2 * radius + 1 are in the disc."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y * y + x * x <= radius * radius + 1)
