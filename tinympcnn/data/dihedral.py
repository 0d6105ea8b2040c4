"""The eight flips and quarter turns of a square: the group of what may be done to an image without resampling it.

Read next: `augment.py`, which draws one of them, and ``tinympcnn/inference/committee.py``, which averages over all.
"""

from typing import Any


def dihedral(array: Any, k: int) -> Any:
    """Apply one of the eight flips and quarter turns of a square.

    Parameters
    ----------
    array : array
        (H, W, ...), on any device.
    k : int
        0 to 7: bit 0 exchanges rows and columns, then bit 1 flips rows, and bit 2 columns. 0 changes nothing.

    Returns
    -------
    array
        A view, (H, W, ...) or (W, H, ...).

    Examples
    --------
    >>> import numpy as np
    >>> dihedral(np.array([[1, 2], [3, 4]]), 3)
    array([[2, 4],
           [1, 3]])
    """
    if k & 1:
        array = array.swapaxes(0, 1)
    return array[:: -1 if k & 2 else 1, :: -1 if k & 4 else 1]


def dihedral_inverse(array: Any, k: int) -> Any:
    """Undo `dihedral` with the same k.

    Parameters
    ----------
    array : array
        (H, W, ...), on any device.
    k : int
        0 to 7.

    Returns
    -------
    array
        A view.

    Examples
    --------
    >>> import numpy as np
    >>> dihedral_inverse(dihedral(np.array([[1, 2], [3, 4]]), 3), 3)
    array([[1, 2],
           [3, 4]])
    """
    array = array[:: -1 if k & 2 else 1, :: -1 if k & 4 else 1]
    return array.swapaxes(0, 1) if k & 1 else array
