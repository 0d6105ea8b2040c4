"""Points as training labels: a disc around each object counts as the object, and a ring around the disc not at all."""

from __future__ import annotations

import numpy as np

from tinympcnn.errors import DataError, UsageError


def disc_labels(points: np.ndarray, size: tuple[int, int], radius: float, ring: float = 1.5) -> np.ndarray:
    """Return a label image: 1 within `radius` of a point, -1 (does not count) up to `ring` times as far, 0 elsewhere.

    Parameters
    ----------
    points : array, shape (n, 2)
        The row and the column of each object, in pixels from 0.
    size : (H, W)
    radius : float
        The radius of a disc, in pixels.
    ring : float
        The outer radius of the ring that does not count, in radii of the disc; 1 leaves the ring out.

    Returns
    -------
    array of int8, shape (H, W)

    Raises
    ------
    DataError
        If a point lies outside the image.

    Examples
    --------
    >>> disc_labels(np.array([[1, 1]]), (3, 5), radius=1, ring=2)
    array([[-1,  1, -1,  0,  0],
           [ 1,  1,  1, -1,  0],
           [-1,  1, -1,  0,  0]], dtype=int8)
    """
    if not radius > 0 or not ring >= 1:
        raise UsageError(f"a disc needs a positive radius and a ring of at least 1, not {radius!r} and {ring!r}")
    points = np.asarray(points, np.float64).reshape(-1, 2)
    check_inside(points, size)
    labels = np.zeros(size, np.int8)
    for value, reach in ((-1, ring * radius), (1, radius)):  # all rings first: a disc counts wherever it lies
        for row, column in points:
            rows, columns = (slice(max(0, int(c - reach)), int(c + reach) + 2) for c in (row, column))
            part = labels[rows, columns]
            i, j = np.ogrid[rows.start : rows.start + part.shape[0], columns.start : columns.start + part.shape[1]]
            part[(i - row) ** 2 + (j - column) ** 2 <= reach**2] = value
    labels[tuple(np.rint(points).astype(int).T)] = 1  # a small disc may lie between pixels
    return labels


def check_inside(points: np.ndarray, size: tuple[int, int], where: str = "the image") -> None:
    """Raise DataError if points lie outside an image of `size`; tell if rows and columns look exchanged."""
    outside = ((points < -0.5) | (points >= np.array(size) - 0.5)).any(axis=1)
    if not outside.any():
        return
    row, column = points[outside][0]
    swapped = ((points[:, ::-1] >= -0.5) & (points[:, ::-1] < np.array(size) - 0.5)).all()
    hint = "; with rows and columns exchanged all lie inside" if swapped else ""
    raise DataError(
        f"{int(outside.sum())} of {len(points)} points lie outside {where} of {size[0]}x{size[1]}, the first at row "
        f"{row:g}, column {column:g}{hint}"
    )
