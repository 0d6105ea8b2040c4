"""Segments: from a boolean image, and grown until only thin lines are left between them.

The measures in `rand` compare them.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def segments(interior: np.ndarray) -> np.ndarray:
    """Return the 4-connected components of a boolean image (H, W), numbered from 1; borders are 0."""
    labels: np.ndarray = ndimage.label(interior)[0]
    return labels


def thin_borders(labels: np.ndarray) -> np.ndarray:
    """Grow all segments at one speed until they meet, leaving lines one pixel thick between them.

    This is the watershed transform of the two-valued proposal (Soille and Vincent 1990), which the challenge
    used: its basins are the 4-connected segments, and they flood the border in waves of equal distance.
    `scipy.ndimage.watershed_ift` draws no lines, and the lines count (as singletons), so we flood ourselves,
    a whole wave at a time. Two neighbours of one wave lie on different colours of a checkerboard: each wave
    takes the one colour, then the other, which sees the first. A pixel takes its neighbours' segment, or
    stays on the line where they belong to two, or to none. Fiji goes through a wave pixel by pixel; where a
    border has an even width the line may thus lie one pixel to the other side.

    Parameters
    ----------
    labels : array of int, shape (H, W)
        The numbers of the segments, from 1; borders are 0.

    Examples
    --------
    >>> thin_borders(np.array([[1, 0, 0, 0, 2, 0, 0]]))
    array([[1, 1, 0, 2, 2, 2, 2]])
    """
    if not labels.any():
        return labels
    distance = np.pad(ndimage.distance_transform_cdt(labels == 0, "taxicab"), 1)
    rows, columns = np.ogrid[: distance.shape[0], : distance.shape[1]]
    wave = (2 * distance + (rows + columns) % 2).ravel()
    border = np.flatnonzero(distance)
    border = border[np.argsort(wave[border], kind="stable")]
    flooded = np.pad(labels, 1)
    flat, width = flooded.ravel(), flooded.shape[1]
    for pixels in np.split(border, np.flatnonzero(np.diff(wave[border])) + 1):
        around = flat[pixels + np.array([[-width], [-1], [1], [width]])]
        first = around.max(axis=0)
        other = ((around != first) & (around != 0)).any(axis=0)
        flat[pixels] = np.where(other, 0, first)
    return flooded[1:-1, 1:-1]
