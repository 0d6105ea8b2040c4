"""From a map of probabilities to a list of objects: smoothing with a disc, then the largest peaks, a radius apart.

So did the winner of the ICPR 2012 mitosis contest (Ciresan, Giusti, Gambardella, Schmidhuber, MICCAI 2013). Both steps
go from the top of an image to its bottom in bands, and give the same bits however the image is cut into bands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from tinympcnn.errors import UsageError

SLICE = 1 << 18  # pixels that are smoothed at a time: means over discs take 40 bytes for each


def half_widths(radius: int) -> list[int]:
    """Return, for the rows -radius to radius of a disc, how far the disc reaches to either side of its centre.

    Examples
    --------
    >>> half_widths(2)
    [0, 1, 2, 1, 0]
    """
    if radius < 0:
        raise UsageError(f"the radius of a disc must be 0 or more, not {radius}")
    return [int(np.sqrt(radius**2 - i**2)) for i in range(-radius, radius + 1)]


def smooth(probability: np.ndarray, radius: int) -> np.ndarray:
    """Return, at each pixel, the mean of a map (H, W) over a disc around the pixel, as far as it lies in the image.

    The radius of the disc is in pixels; 0 changes nothing. The result is float32.

    Examples
    --------
    >>> smooth(np.array([[0, 0, 0], [0, 5, 0], [0, 0, 0]]), 1)
    array([[0.  , 1.25, 0.  ],
           [1.25, 1.  , 1.25],
           [0.  , 1.25, 0.  ]], dtype=float32)
    """
    return np.concatenate([band for _, band in smooth_bands([(slice(0, len(probability)), probability)], radius)])


def smooth_bands(bands: Iterable[tuple[slice, np.ndarray]], radius: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Smooth a map that comes in bands from the top, as (rows, array (h, W)); the result comes in bands as well.

    Besides the band that has come, some SLICE pixels and 2 * radius rows are held at a time.
    """
    widths = half_widths(radius)
    held, top, done = np.zeros((0, 0)), 0, 0
    for rows, band in _slices(bands):
        held = np.concatenate([held.reshape(-1, band.shape[1]), band.astype(np.float64)])
        ready = rows.stop - radius  # rows below need pixels that have not come yet
        if ready > done:
            yield slice(done, ready), _means(held, widths, done - top, ready - top)
            done, keep = ready, max(ready - radius, 0)
            held, top = held[keep - top :], keep
    if len(held):
        yield slice(done, top + len(held)), _means(held, widths, done - top, len(held))


def _slices(bands: Iterable[tuple[slice, np.ndarray]]) -> Iterator[tuple[slice, np.ndarray]]:
    """Cut bands into lower ones of about SLICE pixels."""
    for rows, band in bands:
        step = max(1, SLICE // band.shape[1])
        for first in range(0, len(band), step):
            part = band[first : first + step]
            yield slice(rows.start + first, rows.start + first + len(part)), part


def _means(held: np.ndarray, widths: list[int], start: int, stop: int) -> np.ndarray:
    """Return the means over discs around rows `start` to `stop`; the disc ends where `held` ends.

    A disc is a stack of rows. The sums over 2w+1 pixels of a row grow from those over 2w-1; every number is added in an
    order that depends on the disc alone.
    """
    H, W = held.shape
    total, count = np.zeros((stop - start, W)), np.zeros((stop - start, W))
    row_sums, row_counts = held.copy(), np.ones((1, W))
    for w in range(max(widths) + 1):
        if w:
            for into, source in ((row_sums, held), (row_counts, np.ones((1, W)))):
                into[:, w:] += source[:, : max(W - w, 0)]
                into[:, : max(W - w, 0)] += source[:, w:]
        for i in (i for i, width in enumerate(widths) if width == w):
            first = start + i - len(widths) // 2
            low, high = max(first, 0), min(first + stop - start, H)
            if low < high:
                total[low - first : high - first] += row_sums[low:high]
                count[low - first : high - first] += row_counts
    return (total / count).astype(np.float32)


def peaks(bands: Iterable[tuple[slice, np.ndarray]], radius: float, threshold: float) -> np.ndarray:
    """Return the objects of a map: the largest value, then the largest further than `radius` from it, and so on.

    Parameters
    ----------
    bands : iterable of (rows, array (h, W))
        The map, from the top. Only its pixels of at least `threshold` are kept in memory.
    radius : float
        The smallest distance between two objects, in pixels: everything within it goes.
    threshold : float
        The smallest value of an object.

    Returns
    -------
    array of float64, shape (n, 3)
        The row, the column and the value of each object, the largest first; of equal values the first in row-major
        order is the larger.

    Examples
    --------
    >>> values = np.array([[0.0, 0.9, 0.8, 0.1, 0.7]])
    >>> peaks([(slice(0, 1), values)], radius=1, threshold=0.5)
    array([[0. , 1. , 0.9],
           [0. , 4. , 0.7]])
    """
    from scipy.spatial import cKDTree

    if not radius > 0:
        raise UsageError(f"the distance between objects must be a positive number of pixels, not {radius!r}")
    found = [np.zeros((0, 3))]
    for rows, band in bands:
        if not np.isfinite(band).all():
            raise UsageError("the map holds values that are not finite, so no object can be found in it")
        i, j = np.nonzero(band >= threshold)
        found.append(np.column_stack([rows.start + i, j, band[i, j]]).astype(np.float64))
    candidates = np.concatenate(found)
    candidates = candidates[np.argsort(-candidates[:, 2], kind="stable")]
    if not len(candidates):
        return candidates
    tree, free, kept = cKDTree(candidates[:, :2]), np.ones(len(candidates), bool), []
    for n in range(len(candidates)):
        if free[n]:
            kept.append(n)
            free[tree.query_ball_point(candidates[n, :2], radius)] = False
    return np.asarray(candidates[kept])
