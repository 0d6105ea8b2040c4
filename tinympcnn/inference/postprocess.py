"""What is done to probabilities after the nets: calibrated pixel by pixel, then smoothed by a median filter.

The winner of the ISBI 2012 challenge did both, in this order (Ciresan, Giusti, Gambardella, Schmidhuber, NIPS 2012).
Bands of rows go in and come out, so that a page of any size needs the memory of a band, with the whole page's result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from tinympcnn.errors import UsageError
from tinympcnn.inference.calibration import Calibration

LARGEST_RADIUS = 25  # pixels; the memory that the median filter takes grows with the fourth power, to 40 MB


@dataclass(frozen=True)
class Postprocess:
    """What happens to the bands of a page: each pixel is calibrated, then a median filter smooths (radius 0: none).

    >>> bands = [np.full((3, 8, 2), 0.5, np.float32) for _ in range(4)]
    >>> [band.shape for band in Postprocess(radius=2)(bands)]  # rows wait for those below them
    [(1, 8, 2), (3, 8, 2), (3, 8, 2), (3, 8, 2), (2, 8, 2)]
    """

    calibration: Calibration | None = None
    radius: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= LARGEST_RADIUS:
            raise UsageError(f"the radius of the median filter must be 0 to {LARGEST_RADIUS} pixels, not {self.radius}")

    def __call__(self, bands: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the probabilities of a page, which come as bands (h, W, K) from the top, in bands again."""
        if self.calibration is not None:
            bands = map(self.calibration, bands)
        return median_bands(bands, self.radius) if self.radius else iter(bands)

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


def median_bands(bands: Iterable[np.ndarray], radius: int) -> Iterator[np.ndarray]:
    """Yield the `median` of a page that comes as bands (h, W, K) from the top: the same to the last bit.

    A row can be filtered once `radius` rows below it have come, and is kept until `radius` rows below it are filtered.
    """
    held: np.ndarray | None = None
    done = 0  # rows at the top of those held that have been filtered
    for band in bands:
        held = band if held is None else np.concatenate([held, band])
        ready = len(held) - radius
        if ready > done:
            yield median(held, radius)[done:ready]
            first = max(ready - radius, 0)
            held, done = held[first:].copy(), ready - first
    if held is not None:
        yield median(held, radius)[done:]
