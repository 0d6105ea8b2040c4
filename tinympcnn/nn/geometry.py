"""The size rules: which sizes a layer takes, and which sizes it makes, planned before any arithmetic.

Layers, nets and the command line ask here, and every error names a size that would work.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count as count_from
from math import gcd
from operator import index
from typing import NamedTuple

from tinympcnn.engine.backend import Pair
from tinympcnn.errors import UsageError


def pair(value: int | Sequence[int], name: str) -> Pair:
    """Return `value` as a (rows, columns) pair of positive integers, or raise a UsageError about `name`.

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

    Examples
    --------
    >>> fragmented((7, 8), (2, 3), "MaxPoolFragment")
    (3, 2)
    """
    _check_split(size, [Sizes(2 * step - 1, step) for step in k], who)
    return (size[0] + 1) // k[0] - 1, (size[1] + 1) // k[1] - 1


def divided(size: Pair, k: Pair, who: object) -> Pair:
    """Return the size of the kh*kw fragments of a map that is split without a maximum, if ``size % k == 0``.

    Examples
    --------
    >>> divided((4, 9), (2, 3), "Fragment")
    (2, 3)
    """
    _check_split(size, [Sizes(step, step) for step in k], who)
    return size[0] // k[0], size[1] // k[1]


def _check_split(size: Pair, fits: Sequence[Sizes], who: object) -> None:
    for axis, n, fit in zip(("rows", "columns"), size, fits, strict=True):
        if fit.at_least(n) != n:
            raise UsageError(
                f"{who}: {n} {axis} do not split into {fit.period} fragments of one size; {fit.near(n)} {axis} would "
                "(Net pads images so that every layer fits)"
            )


class Sizes(NamedTuple):
    """The sizes ``first``, ``first + period``, ``first + 2*period`` and so on, along one axis.

    Examples
    --------
    >>> Sizes(3, 4).at_least(8), Sizes(3, 4).near(8), Sizes(3, 4).divided(5, "Upsample")
    (11, '7 or 11', Sizes(first=3, period=4))
    """

    first: int
    period: int

    def at_least(self, n: int) -> int:
        """Return the smallest of the sizes that is not smaller than `n`."""
        return self.first + max(0, -(-(n - self.first) // self.period)) * self.period

    def near(self, n: int) -> str:
        """Return the sizes next to `n` in words; `n` itself if it is one of them."""
        above = self.at_least(n)
        return f"{above}" if above in (n, self.first) else f"{above - self.period} or {above}"

    def divided(self, k: int, who: object) -> Sizes:
        """Return the sizes whose multiples by `k` are among these sizes; UsageError if there are none."""
        common = gcd(k, self.period)
        if self.first % common:
            raise UsageError(f"{who}: the layers behind it fit no map that was enlarged {k} times; change their sizes")
        n = next(n for n in count_from(self.first, self.period) if n % k == 0)
        return Sizes(n // k, self.period // common)
