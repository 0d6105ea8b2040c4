"""Graders of the exercises in tutorial 18."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.grading import grade_function
from tinympcnn.metrics.objects import ObjectScores


def grade_f1(f1: Callable[..., Any]) -> bool:
    """Judge ``f1(hits, false_alarms, misses)``."""
    return bool(
        grade_function(
            f1,
            lambda hits, false_alarms, misses: ObjectScores(hits, false_alarms, misses).f1,
            [(3, 1, 2), (5, 0, 0), (2, 7, 1), (0, 1, 1)],
            {
                "this is the precision: misses count as well": lambda h, f, m: h / (h + f),
                "this is the recall: false alarms count as well": lambda h, f, m: h / (h + m),
                "a hit counts twice, as it is right both among what was found and among what is there": (
                    lambda h, f, m: h / (h + f + m)
                ),
            },
        )
    )


def grade_suppress(suppress: Callable[..., Any]) -> bool:
    """Judge ``suppress(objects, radius)`` of candidates (n, 3), the largest score first."""
    rng = np.random.default_rng(0)
    scattered = np.column_stack([rng.integers(0, 20, (40, 2)), np.sort(rng.random(40))[::-1]])
    chain = np.array([[0, 0, 0.9], [0, 3, 0.8], [0, 6, 0.7]])
    return bool(
        grade_function(
            suppress,
            _suppressed,
            [(chain, 4), (scattered, 5), (chain, 2), (chain, 3)],
            {
                "what has gone suppresses nothing: compare only with those that stay": _by_all,
                "the distance is that of a straight line, in rows and columns together": _by_axes,
            },
        )
    )


def grade_draw(draw: Callable[..., Any]) -> bool:
    """Judge ``draw(wrong, u)``, the index that falls to u in [0, 1)."""
    wrong = np.array([0.0, 0.1, 0.0, 0.6, 0.3, 0.0])
    return bool(
        grade_function(
            draw,
            _drawn,
            [(wrong, 0.0), (wrong, 0.05), (5 * wrong, 0.5), (wrong / 3, 0.99), (np.array([0.0, 2.0, 2.0]), 0.5)],
            {
                "the chances need not sum to 1: compare with u times their sum": (
                    lambda wrong, u: min(int(np.searchsorted(np.cumsum(wrong), u, side="right")), len(wrong) - 1)
                ),
                "all pixels have the same chance here": lambda wrong, u: int(u * len(wrong)),
                "a pixel that is never wrong is drawn; take side='right'": (
                    lambda wrong, u: int(np.searchsorted(np.cumsum(wrong), u * wrong.sum()))
                ),
            },
        )
    )


def _suppressed(objects: np.ndarray, radius: float) -> np.ndarray:
    kept: list[np.ndarray] = []
    for one in objects:
        if all(np.hypot(*(one - other)[:2]) > radius for other in kept):
            kept.append(one)
    return np.array(kept)


def _by_all(objects: np.ndarray, radius: float) -> np.ndarray:
    larger = [[np.hypot(*(one - other)[:2]) <= radius for other in objects[:i]] for i, one in enumerate(objects)]
    return objects[[not any(near) for near in larger]]


def _by_axes(objects: np.ndarray, radius: float) -> np.ndarray:
    kept: list[np.ndarray] = []
    for one in objects:
        if all(np.abs(one - other)[:2].max() > radius for other in kept):
            kept.append(one)
    return np.array(kept)


def _drawn(wrong: np.ndarray, u: float) -> int:
    total = np.cumsum(wrong)
    return int(np.searchsorted(total, u * total[-1], side="right"))
