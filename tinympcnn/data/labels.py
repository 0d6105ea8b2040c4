"""The values of label images, and which class each value stands for.

The distinct values of all label images, sorted, are the classes: 0 and 255 become the classes 0 and 1. The value -1 is
no class; its pixels do not count. Wrong labels show nowhere later on, so they are refused here, with advice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tinympcnn.errors import DataError

MAX_CLASSES = 16
IGNORED = -1  # the label value, and the class index, of pixels that do not count


def find_class_values(labels: Iterable[np.ndarray], least: int = 2) -> tuple[int, ...]:
    """Return the distinct values of all label images, ascending, without -1: at least `least` and at most 16.

    One value is enough where nothing depends on which value means what.

    Raises
    ------
    DataError
        If there are fractions, too few or too many values, values beyond 64 bits, or two ways to write one class.

    Examples
    --------
    >>> find_class_values([np.array([[0, 255]]), np.array([[255, -1]])])
    (0, 255)
    """
    pages = list(labels)
    held = [np.unique(page) for page in pages]
    for distinct in held:
        if (fractions := distinct[distinct % 1 != 0]).size:
            raise DataError(f"the labels hold fractions such as {fractions[0]}; --threshold makes two classes")
    sets = [{int(value) for value in distinct} - {IGNORED} for distinct in held]
    values = sorted(set().union(*sets))
    if len(values) < least:
        only = f"hold only the value {values[0]}" if values else "hold no pixel that counts"
        raise DataError(f"the labels {only}; two classes at least are needed")
    if not -(2**63) <= values[0] <= values[-1] < 2**63:
        raise DataError(f"the labels hold the value {float(max(values, key=abs)):g}, which fits no 64-bit integer")
    if len(values) > MAX_CLASSES:
        raise DataError(f"the labels hold more than {MAX_CLASSES} values, {values[0]} to {values[-1]}; {advice(pages)}")
    if least > 1 and values == [0, 1, 255] and not any({1, 255} <= found for found in sets):
        raise DataError(
            "the labels hold 0, 1 and 255, and no image holds both 1 and 255: if both mean one class, --threshold 0 "
            "makes them one; if 255 means unlabelled, --ignore 255 leaves it out"
        )
    return tuple(values)


def advice(labels: Sequence[np.ndarray]) -> str:
    """Say what labels of three values or more look like if they are not classes; an empty string if they are.

    Numbered objects are connected regions, one for each value. Masks of two classes that were resized have values in
    between that fill no 3x3 pixels, and masks that were compressed have values close to the two. More than 16 values
    are no classes in any case.
    """
    values = np.setdiff1d(_union(labels), IGNORED)
    solid = _union([_inner_values(page) for page in labels if min(page.shape[:2]) > 2])
    if len(values) < 3:
        return ""
    if len(solid) > len(values) / 2 and all(map(_is_numbered, labels)):
        return "each value above 0 is one region: if they number objects, --threshold 0 makes two classes of them"
    low, high = float(values[0]), float(values[-1])
    near = (high - low) / 10
    middle = (low + high) / 2 if high - low <= 2 else (low + high) // 2
    between = (solid > low + near) & (solid < high - near)
    if len(values) > 4 and not between.any() and {low, high} <= set(solid.tolist()):
        return f"they look like a mask that was resized or compressed: --threshold {middle:g} makes two classes of them"
    if len(values) > MAX_CLASSES:
        edges = "makes two classes of a mask with smoothed edges"
        return f"--threshold {middle:g} {edges}, --threshold 0 of numbered objects"
    return ""


def _union(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate([np.unique(array) for array in arrays])) if arrays else np.array([])


def _inner_values(page: np.ndarray) -> np.ndarray:
    """Return the values that fill 3x3 pixels somewhere."""
    windows = np.lib.stride_tricks.sliding_window_view(page, (3, 3))
    return np.unique(page[1:-1, 1:-1][(windows == page[1:-1, 1:-1, None, None]).all(axis=(2, 3))])


def _is_numbered(page: np.ndarray) -> bool:
    """Tell whether nearly every value above the smallest is one connected region."""
    from scipy import ndimage

    numbers = np.unique(page, return_inverse=True)[1].reshape(page.shape)
    places = enumerate(ndimage.find_objects(numbers), 1)
    single = [ndimage.label(numbers[place] == k)[1] == 1 for k, place in places]
    return bool(sum(single) >= 0.9 * len(single))


def map_values(labels: np.ndarray, mapping: Mapping[int, int]) -> np.ndarray:
    """Exchange label values, given as old: new, all at once; values that are not named stay.

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
    """Turn label values into class indices, of int8. The class values ascend; -1 stays -1; other values are refused.

    Examples
    --------
    >>> class_indices(np.array([[255, 0, -1]]), (0, 255))
    array([[ 1,  0, -1]], dtype=int8)
    """
    values = np.asarray(class_values)
    indices = np.searchsorted(values, labels).clip(max=len(values) - 1)
    ignored = labels == IGNORED
    unknown = labels[(values[indices] != labels) & ~ignored]
    if unknown.size:
        hint = advice([labels]) or "--map A:B takes one value for another, and --ignore leaves a value out"
        raise DataError(f"the labels hold {unknown[0]}, which is none of the classes {tuple(class_values)}; {hint}")
    return np.asarray(np.where(ignored, IGNORED, indices), np.int8)


def class_shares(labels: np.ndarray | Sequence[np.ndarray], n_classes: int) -> np.ndarray:
    """Return the fraction of pixels in each class, over all images of class indices; pixels of -1 do not count.

    Examples
    --------
    >>> class_shares([np.array([[0, 1], [1, -1]]), np.array([[1]])], n_classes=2)
    array([0.25, 0.75])
    """
    counts = np.sum([np.bincount(page[page >= 0].astype(np.intp), minlength=n_classes) for page in labels], axis=0)
    return np.asarray(counts / max(counts.sum(), 1))
