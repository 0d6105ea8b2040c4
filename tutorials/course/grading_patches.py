"""The judges of tutorials 06 and 07. Each knows the right answer, and the typical mistakes by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from course.grading import Verdict, grade_function


def grade_corner(yours: Callable[..., Any]) -> Verdict:
    """Judge where the window (P, Q) of the pixel (r, c) starts: ``yours(r, c, P, Q)``."""
    mistakes = {
        "the window starts at its centre: P // 2 is missing": lambda r, c, P, Q: (r, c),
        "for an even window this is one pixel off": lambda r, c, P, Q: (r - (P - 1) // 2, c - (Q - 1) // 2),
        "its sign is wrong: the window starts before its centre": lambda r, c, P, Q: (r + P // 2, c + Q // 2),
    }
    cases = [(50, 60, 40, 40), (50, 60, 9, 7)]
    return grade_function(yours, lambda r, c, P, Q: (r - P // 2, c - Q // 2), cases, mistakes)


def grade_operations(yours: Callable[..., Any]) -> Verdict:
    """Judge the operations of a convolution: ``yours(n, k, in_maps, out_maps)``, on n x n pixels."""

    def right(n: int, k: int, in_maps: int, out_maps: int) -> int:
        return 2 * (n - k + 1) ** 2 * k**2 * in_maps * out_maps

    mistakes = {
        "an addition comes with each multiplication: twice as many": lambda *sizes: right(*sizes) // 2,
        "the output has n - k + 1 rows, not n": lambda n, k, a, b: 2 * n**2 * k**2 * a * b,
    }
    return grade_function(yours, right, [(34, 7, 1, 8), (10, 3, 4, 5)], mistakes)


def grade_alignments(yours: Callable[[Sequence[int]], Any]) -> Verdict:
    """Judge the number of pooling grids in the plane of a net with these square pools."""
    mistakes = {
        "that is one axis: rows and columns are aligned independently": math.prod,
        "alignments of one layer and of the next combine: they multiply": lambda pools: sum(k * k for k in pools),
    }
    cases = [([2],), ([2, 2],), ([3, 2, 2],)]
    return grade_function(yours, lambda pools: math.prod(pools) ** 2, cases, mistakes)
