"""Objects in an image of any size: probabilities in bands, smoothed with a disc, then the largest peaks.

Only a few bands are in memory at a time, and every object is the same whatever the tiles and the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.inference.bands import Rows
from tinympcnn.inference.peaks import peaks, smooth_bands
from tinympcnn.inference.segment import as_image, segment_bands
from tinympcnn.inference.views import Members, as_members
from tinympcnn.nn.sequential import Sequential


def locate(
    net: Sequential | Members, image: np.ndarray | Rows, radius: float, threshold: float = 0.5, **options: Any
) -> np.ndarray:
    """Return the objects in an image.

    Parameters
    ----------
    net : Sequential or Committee
        A net, or several, with two classes: the second is the object.
    image : array, shape (H, W) or (H, W, C), or Rows
        An image of any size, or a page of a file, in the units of the training images.
    radius : float
        The radius of the discs on which the net was trained, in pixels. The probability is smoothed with a disc of this
        radius, rounded, and two objects are more than two radii apart.
    threshold : float
        The smallest smoothed probability of an object.
    options
        As in `Bands`: tile, memory, echo, crew. No object depends on them.

    Returns
    -------
    array, shape (n, 3)
        The row, the column and the score of each object, the largest score first.

    Examples
    --------
    >>> from tinympcnn.nn.spec import parse
    >>> net = Sequential(parse("C3x3x4 FC2", rng=0))
    >>> locate(net, np.zeros((5, 7)), radius=1, threshold=1.1)
    array([], shape=(0, 3), dtype=float64)
    """
    members = as_members(net)
    if members.out_maps != 2:
        raise UsageError(f"objects are found by nets with two classes, not {members.out_maps}: background, then object")
    if not radius > 0:
        raise UsageError(f"the radius of the objects must be a positive number of pixels, not {radius!r}")
    page = as_image(members, image) if isinstance(image, np.ndarray) else image
    return objects_in(segment_bands(members, page, **options), radius, threshold)


def objects_in(bands: Iterable[tuple[slice, np.ndarray]], radius: float, threshold: float) -> np.ndarray:
    """Return the objects (n, 3), as `locate` does, of probabilities (h, W, 2) that come in bands from the top."""
    smoothed = smooth_bands(((rows, band[:, :, 1]) for rows, band in bands), round(radius))
    return peaks(smoothed, 2 * radius, threshold)
