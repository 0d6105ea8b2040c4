"""The size rules: which sizes a layer takes, and which sizes it makes, planned before any arithmetic.

Layers, nets and the command line ask here, and every error names a size that would work.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

from tinympcnn.engine.backend import Pair
from tinympcnn.errors import UsageError


def pair(value: int | Sequence[int], name: str) -> Pair:
    """Return `value` as a (rows, columns) pair of positive integers.

    Parameters
    ----------
    value : int or (int, int)
        One size for both axes, or a size for each.
    name : str
        The name of the value in the error message.

    Raises
    ------
    UsageError
        If `value` is neither a positive integer nor a pair of them.

    Examples
    --------
    >>> pair(3, "kernel"), pair((2, 3), "kernel")
    ((3, 3), (2, 3))
    """
    try:
        rows, columns = (value, value) if not isinstance(value, Sequence) else value
        result = index(rows), index(columns)
    except (TypeError, ValueError):
        raise UsageError(f"{name} must be an integer or a pair (rows, columns), not {value!r}") from None
    if min(result) < 1:
        raise UsageError(f"{name} must be at least 1, not {value!r}")
    return result


def count(value: int, name: str) -> int:
    """Return `value` as a positive integer, or raise a UsageError that says what `name` should be."""
    try:
        result = index(value)
    except TypeError:
        raise UsageError(f"{name} must be an integer, not {value!r}") from None
    if result < 1:
        raise UsageError(f"{name} must be at least 1, not {value!r}")
    return result


def correlated(size: Pair, kernel: Pair, who: object) -> Pair:
    """Return the size that is left after a valid cross-correlation: ``size - kernel + 1`` on each axis.

    Examples
    --------
    >>> correlated((9, 8), (3, 3), "Conv")
    (7, 6)
    """
    rows, columns = size[0] - kernel[0] + 1, size[1] - kernel[1] + 1
    if rows < 1 or columns < 1:
        raise UsageError(
            f"{who}: maps of {size[0]}x{size[1]} are smaller than the {kernel[0]}x{kernel[1]} kernel; "
            f"hand over at least {kernel[0]}x{kernel[1]}"
        )
    return rows, columns


def pooled(size: Pair, k: Pair, who: object) -> Pair:
    """Return the size after max-pooling; rows and columns that do not fill a window are dropped.

    Examples
    --------
    >>> pooled((7, 6), (2, 3), "MaxPool")
    (3, 2)
    """
    if size[0] < k[0] or size[1] < k[1]:
        raise UsageError(f"{who}: maps of {size[0]}x{size[1]} hold no {k[0]}x{k[1]} window; use larger maps")
    return size[0] // k[0], size[1] // k[1]


def fragmented(size: Pair, k: Pair, who: object) -> Pair:
    """Return the common size of the kh*kw fragments of a map; there is one if (size + 1) % k == 0 on each axis.

    Raises
    ------
    UsageError
        If the fragments would differ in size; the message names the nearest sizes that work.

    Examples
    --------
    >>> fragmented((7, 8), (2, 3), "MaxPoolFragment")
    (3, 2)
    """
    for axis, n, step in zip(("rows", "columns"), size, k, strict=True):
        if (n + 1) % step or n < 2 * step - 1:
            above = max(2 * step, (n + 1 + step - 1) // step * step) - 1
            below = (n + 1) // step * step - 1
            fit = f"{below} or {above}" if below >= 2 * step - 1 and below != above else f"{above}"
            raise UsageError(
                f"{who}: {n} {axis} do not split into {step} fragments of one size; {fit} {axis} would "
                "(Net pads images so that every layer fits)"
            )
    return (size[0] + 1) // k[0] - 1, (size[1] + 1) // k[1] - 1


def padded_outputs(size: Pair, field_of_view: Pair, step: Pair) -> Pair:
    """Return the number of dense outputs per axis, rounded up to a multiple of the product of the pools.

    An image padded at the bottom and right to give that many outputs divides evenly in every layer, and an
    output that is kept never sees a padded pixel (its window lies inside the image).

    Examples
    --------
    >>> padded_outputs((12, 13), (4, 4), (4, 4))
    (12, 12)
    """
    if size[0] < field_of_view[0] or size[1] < field_of_view[1]:
        raise UsageError(
            f"an image of {size[0]}x{size[1]} pixels is smaller than the net's field of view of "
            f"{field_of_view[0]}x{field_of_view[1]}; use a larger image, or net.segment, which mirrors the borders"
        )
    rows, columns = (-(-(n - p + 1) // s) * s for n, p, s in zip(size, field_of_view, step, strict=True))
    return rows, columns
