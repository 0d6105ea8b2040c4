"""The values of label images, and which class each stands for.

The distinct values of all label images, sorted, are the classes, so that 0 and 255 become the classes 0 and
1. What users get wrong here goes wrong silently: inverted labels, masks whose edges were smoothed. So the shares
of the classes are made to be printed, and the rest is refused with the way out. Read next: `pairs.py`.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tinympcnn.errors import DataError

MAX_CLASSES = 16


def find_class_values(labels: Iterable[np.ndarray], least: int = 2) -> tuple[int, ...]:
    """Return the distinct values of all label images, ascending.

    Parameters
    ----------
    labels : iterable of ndarray
        Of any shapes; integers, or floats that are whole numbers.
    least : int
        How many there have to be, 1 or 2.

    Returns
    -------
    tuple of int
        At most 16 values.

    Raises
    ------
    DataError
        If there are fractions, too few values, or more than 16.

    Examples
    --------
    >>> find_class_values([np.array([[0, 255]]), np.array([[255, 255]])])
    (0, 255)
    """
    values: set[int] = set()
    for page in labels:
        distinct = np.unique(page)
        if not np.array_equal(distinct, np.trunc(distinct)):
            fraction = distinct[distinct % 1 != 0][0]
            raise DataError(f"the labels hold fractions such as {fraction}; --threshold makes two classes")
        values |= {int(value) for value in distinct}
        if len(values) > MAX_CLASSES:
            raise DataError(
                f"the labels hold more than {MAX_CLASSES} values, {min(values)} to {max(values)}; "
                "if they are masks with smoothed edges, --threshold 127 makes two classes of them"
            )
    if len(values) < least:
        raise DataError(f"the labels hold only the value {values.pop()}; two classes at least are needed")
    return tuple(sorted(values))


def map_values(labels: np.ndarray, mapping: Mapping[int, int]) -> np.ndarray:
    """Exchange label values for others, all at once; those that are not named stay.

    Parameters
    ----------
    labels : ndarray
        Of any shape.
    mapping : dict of int to int
        The new value of each old one.

    Returns
    -------
    ndarray
        Of the same shape; as it was, if there is nothing to exchange.

    Examples
    --------
    >>> map_values(np.array([0, 1, 255]), {0: 255, 255: 0})
    array([255,   1,   0])
    """
    if not mapping:
        return labels
    mapped = labels.astype(np.result_type(labels, np.int64))
    for old, new in mapping.items():
        mapped[labels == old] = new
    return mapped


def class_indices(labels: np.ndarray, class_values: Sequence[int]) -> np.ndarray:
    """Turn label values into class indices.

    Parameters
    ----------
    labels : ndarray
        Of any shape.
    class_values : sequence of int
        Ascending.

    Returns
    -------
    ndarray
        int8, of the same shape. (Signed, so that -1 can stand for pixels to be ignored.)

    Raises
    ------
    DataError
        If there is a value that is no class.

    Examples
    --------
    >>> class_indices(np.array([[255, 0]]), (0, 255))
    array([[1, 0]], dtype=int8)
    """
    values = np.asarray(class_values)
    indices = np.searchsorted(values, labels).clip(max=len(values) - 1)
    unknown = labels[values[indices] != labels]
    if unknown.size:
        smooth = len(np.unique(labels)) > MAX_CLASSES
        hint = "; if their edges are smoothed, --threshold 127 makes two classes of them" if smooth else ""
        raise DataError(f"the labels hold {unknown[0]}, which is none of the classes {tuple(class_values)}{hint}")
    return indices.astype(np.int8)


def class_shares(labels: np.ndarray | Sequence[np.ndarray], n_classes: int) -> np.ndarray:
    """Return the fraction of pixels in each class, over all label images; pixels of -1 do not count.

    Parameters
    ----------
    labels : ndarray or sequence of ndarray
        Class indices, of any shapes.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray
        (n_classes,), float64.

    Examples
    --------
    >>> class_shares([np.array([[0, 1], [1, -1]]), np.array([[1]])], n_classes=2)
    array([0.25, 0.75])
    """
    counts = np.zeros(n_classes)
    for page in labels:
        counts += np.bincount(page[page >= 0].astype(np.intp), minlength=n_classes)
    return counts / max(counts.sum(), 1)
