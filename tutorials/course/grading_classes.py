"""Graders of the exercises in tutorial 17."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np

from course.grading import grade_function
from tinympcnn.metrics import mcnemar


def grade_committee(committee: Callable[..., Any]) -> bool:
    """Judge ``committee(opinions)``: the class of the largest mean probability, (N,), of opinions (M, N, K)."""
    unsure, sure = [0.4, 0.35, 0.25], [0.02, 0.97, 0.01]
    uneven = np.array([[unsure, sure], [unsure, [0.1, 0.2, 0.7]], [sure, [0.3, 0.2, 0.5]]])
    cases = [(uneven,), (uneven[:, ::-1],), (uneven[:2],)]
    return bool(
        grade_function(
            committee,
            lambda opinions: opinions.mean(axis=0).argmax(axis=-1),
            cases,
            {
                "this is a vote, in which an unsure member counts as much as a sure one: average the probabilities": (
                    lambda opinions: np.array(
                        [np.bincount(votes).argmax() for votes in opinions.argmax(axis=-1).T.astype(int)]
                    )
                ),
                "this is the mean probability; return the class at which it is largest": (
                    lambda opinions: opinions.mean(axis=0)
                ),
                "this is one class for each member; average over the members first": (
                    lambda opinions: opinions.argmax(axis=-1)
                ),
            },
        )
    )


def grade_mcnemar(mcnemar_p: Callable[..., Any]) -> bool:
    """Judge ``mcnemar_p(wrong_a, wrong_b)``, the exact test with both tails."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 60)) < 0.3
    cases = [(a, b), (np.arange(9) < 6, np.arange(9) == 7), (a, a), (np.arange(4) < 3, np.zeros(4, bool))]

    def one_tail(wrong_a: np.ndarray, wrong_b: np.ndarray) -> float:
        n, m = int((wrong_a != wrong_b).sum()), int(min((wrong_a & ~wrong_b).sum(), (wrong_b & ~wrong_a).sum()))
        return sum(comb(n, i) for i in range(m + 1)) / 2**n

    return bool(
        grade_function(
            mcnemar_p,
            mcnemar,
            cases,
            {
                "this is one tail: an uneven fall to the other side counts as well, so take it twice": one_tail,
                "p is never above 1: where both sides are alike the two tails overlap": (
                    lambda wrong_a, wrong_b: 2 * one_tail(wrong_a, wrong_b)
                ),
            },
        )
    )


def grade_rejection(error_after_rejecting: Callable[..., Any]) -> bool:
    """Judge ``error_after_rejecting(p, classes, n)``: the error rate of all but the n least certain images."""
    rng = np.random.default_rng(1)
    p = rng.dirichlet([0.5, 0.5, 0.5], 40)
    classes = np.where(rng.random(40) < 0.7, p.argmax(axis=1), rng.integers(0, 3, 40))

    def wrong_of(p: np.ndarray, classes: np.ndarray, order: np.ndarray) -> np.ndarray:
        return (p.argmax(axis=1) != classes)[order]

    def right(p: np.ndarray, classes: np.ndarray, n: int) -> float:
        return float(wrong_of(p, classes, np.argsort(p.max(axis=1)))[n:].mean())

    return bool(
        grade_function(
            error_after_rejecting,
            right,
            [(p, classes, n) for n in (0, 4, 20)],
            {
                "the mistakes are divided by all images; divide them by those that are left": (
                    lambda p, classes, n: right(p, classes, n) * (len(p) - n) / len(p)
                ),
                "these are the images that are rejected; measure those that are left": (
                    lambda p, classes, n: (
                        float(wrong_of(p, classes, np.argsort(p.max(axis=1)))[:n].mean()) if n else 0.0
                    )
                ),
                "the surest images are rejected; reject those with the lowest largest probability": (
                    lambda p, classes, n: float(wrong_of(p, classes, np.argsort(-p.max(axis=1)))[n:].mean())
                ),
            },
        )
    )
