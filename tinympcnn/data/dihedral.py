"""The eight flips and quarter turns of a square: the moves that need no resampling of an image."""

from __future__ import annotations

from tinympcnn.engine.backend import Array


def dihedral(array: Array, k: int) -> Array:
    """Return a view of an image (H, W, ...), on any device, after one of the eight flips and quarter turns.

    The number `k` is 0 to 7: bit 0 exchanges rows and columns, then bit 1 flips the rows, and bit 2 the columns.

    Examples
    --------
    >>> import numpy as np
    >>> dihedral(np.array([[1, 2], [3, 4]]), 3).tolist(), dihedral_inverse(np.array([[2, 4], [1, 3]]), 3).tolist()
    ([[2, 4], [1, 3]], [[1, 2], [3, 4]])
    """
    return _flipped(array.swapaxes(0, 1) if k & 1 else array, k)


def dihedral_inverse(array: Array, k: int) -> Array:
    """Undo `dihedral` with the same k; the result is a view, too."""
    array = _flipped(array, k)
    return array.swapaxes(0, 1) if k & 1 else array


def _flipped(array: Array, k: int) -> Array:
    return array[:: -1 if k & 2 else 1, :: -1 if k & 4 else 1]
