"""The judges of tutorials 06 and 07. Each knows the right answer, and the typical mistakes by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from course.grading import Verdict, grade_function


def grade_corner(yours: Callable[..., Any]) -> Verdict:
    """Judge where the window (vh, vw) of the pixel (q, p) starts: ``yours(q, p, vh, vw)``."""
    mistakes = {
        "the window starts at its centre: vh // 2 is missing": lambda q, p, vh, vw: (q, p),
        "for an even window this is one pixel off": lambda q, p, vh, vw: (q - (vh - 1) // 2, p - (vw - 1) // 2),
        "for an odd window this is one pixel off": lambda q, p, vh, vw: (q - (vh + 1) // 2, p - (vw + 1) // 2),
        "its sign is wrong: the window starts before its centre": lambda q, p, vh, vw: (q + vh // 2, p + vw // 2),
        "the first is the row, the second the column": lambda q, p, vh, vw: (p - vw // 2, q - vh // 2),
        "rows belong to vh and columns to vw": lambda q, p, vh, vw: (q - vw // 2, p - vh // 2),
        "the whole window is taken off, and not its half": lambda q, p, vh, vw: (q - vh, p - vw),
    }
    cases = [(50, 60, 40, 20), (50, 60, 9, 7)]
    return grade_function(yours, lambda q, p, vh, vw: (q - vh // 2, p - vw // 2), cases, mistakes)


def grade_guess_error(yours: Callable[..., Any]) -> Verdict:
    """Judge the error of always answering with the most frequent class: ``yours(labels)``."""

    def right(labels: np.ndarray) -> float:
        return float(1 - np.bincount(labels.ravel()).max() / labels.size)

    mistakes = {
        "this is the share of the most frequent class; its error is the rest": lambda t: 1 - right(t),
        "this counts the wrong pixels; divide by how many there are": lambda t: right(t) * t.size,
        "this holds for two classes only: count each class, as np.bincount does": lambda t: min(t.mean(), 1 - t.mean()),
        "this is the error of always answering 1": lambda t: (t != 1).mean(),
        "this is the error of always answering 0": lambda t: (t != 0).mean(),
        "the most frequent class was taken for its count": lambda t: 1 - np.bincount(t.ravel()).argmax() / t.size,
        "this is the share of the rarest class, not of all but the most frequent": lambda t: (
            np.bincount(t.ravel()).min() / t.size
        ),
        "this is the error of the rarest class": lambda t: 1 - np.bincount(t.ravel()).min() / t.size,
    }
    cases = [(np.array([[0, 0, 1, 0], [1, 0, 0, 0]]),), (np.array([[2, 2, 1], [2, 0, 1]]),), (np.array([1, 1, 1, 0]),)]
    hints = {r"object too deep": "np.bincount wants one axis: labels.ravel()"}
    return grade_function(yours, right, cases, mistakes, hints=hints)


def grade_operations(yours: Callable[..., Any]) -> Verdict:
    """Judge the operations of a convolution: ``yours(n, k, in_maps, out_maps)``, on n x n pixels."""

    def right(n: int, k: int, in_maps: int, out_maps: int) -> int:
        return 2 * (n - k + 1) ** 2 * k**2 * in_maps * out_maps

    mistakes = {
        "an addition comes with each multiplication: twice as many": lambda *sizes: right(*sizes) // 2,
        "the output has n - k + 1 rows, not n": lambda n, k, a, b: 2 * n**2 * k**2 * a * b,
        "the output has n - k + 1 rows, not n - k": lambda n, k, a, b: 2 * (n - k) ** 2 * k**2 * a * b,
        "the output has n - k + 1 rows AND as many columns: square it": lambda n, k, a, b: (
            2 * (n - k + 1) * k**2 * a * b
        ),
        "a kernel has k rows AND k columns: square k": lambda n, k, a, b: 2 * (n - k + 1) ** 2 * k * a * b,
        "neither square is there: rows AND columns, of output and kernel": lambda n, k, a, b: (
            2 * (n - k + 1) * k * a * b
        ),
        "the input maps are missing: every tap looks at all of them": lambda n, k, a, b: (
            2 * (n - k + 1) ** 2 * k**2 * b
        ),
        "the output maps are missing: each has a kernel of its own": lambda n, k, a, b: 2 * (n - k + 1) ** 2 * k**2 * a,
        "maps multiply: every output map sees every input map": lambda n, k, a, b: (
            2 * (n - k + 1) ** 2 * k**2 * (a + b)
        ),
    }
    return grade_function(yours, right, [(34, 7, 1, 8), (10, 3, 4, 5)], mistakes)


def grade_alignments(yours: Callable[[Sequence[int]], Any]) -> Verdict:
    """Judge the number of pooling grids in the plane of a net with these square pools."""
    mistakes = {
        "that is one axis: rows and columns are aligned independently": math.prod,
        "each pool has k * k alignments, not 4": lambda pools: 4 ** len(pools),
        "each pool has k * k alignments, not 2": lambda pools: 2 ** len(pools),
        "alignments of one layer and of the next combine: they multiply, on both axes": sum,
        "that is the last pool alone": lambda pools: pools[-1] ** 2,
        "alignments multiply; they are not added up and squared": lambda pools: sum(pools) ** 2,
        "alignments of one layer and of the next combine: they multiply": lambda pools: sum(k * k for k in pools),
    }
    cases = [([2],), ([2, 2],), ([3, 2, 2],)]
    return grade_function(yours, lambda pools: math.prod(pools) ** 2, cases, mistakes)
