"""The judges of tutorials 00 to 03. Each knows the right answer, and the typical mistakes by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.attempts import attempt
from course.grading import CHANGED, Verdict, changed, difference, grade_function, verdict
from tinympcnn import MaxPool, MaxPoolFragment, Tanh
from tinympcnn.metrics import pixel_error
from tinympcnn.nn.losses import softmax

Function = Callable[..., Any]

# --------------------------------------------------------------------------------------- 00: see it segment


def grade_pixel_error(yours: Function) -> Verdict:
    """Judge a function of (prediction, labels)."""
    cases = [(np.array([[0, 1, 1], [1, 0, 1]]), np.array([[0, 1, 0], [1, 1, 1]])), (np.arange(5), np.zeros(5, int))]
    mistakes = {
        "this is the share of pixels that are right; the error is the share that are wrong": lambda p, t: (
            1 - pixel_error(p, t)
        ),
        "this counts the wrong pixels; divide by how many pixels there are": lambda p, t: (p != t).sum(),
        "differences of labels are not errors, and squares of them neither": lambda p, t: ((p - t) ** 2).mean(),
        "positive and negative differences cancel: ask where the classes are not equal": lambda p, t: (p - t).mean(),
        "divide by the number of all pixels, not by that of a row": lambda p, t: (p != t).sum() / len(p),
        "divide by the number of all pixels, not by that of class 1": lambda p, t: (
            (p != t).sum() / max((t == 1).sum(), 1)
        ),
        "differences of labels are not errors: class 2 in place of 0 is one wrong pixel, not two": lambda p, t: abs(
            p - t
        ).mean(),
    }
    return grade_function(yours, pixel_error, cases, mistakes)


def grade_softmax(yours: Function) -> Verdict:
    """Judge a function of scores (..., K)."""
    scores = np.random.default_rng(0).standard_normal((2, 3, 4))

    def along(axis: int | None) -> Function:
        return lambda s: np.exp(s) / np.exp(s).sum(axis=axis, keepdims=True)

    mistakes = {
        "divide by the sum over the classes, the last axis, and not over everything": along(None),
        "divide by the sum over the classes, the last axis, and not the first": along(0),
        "this is the logarithm of the probabilities": lambda s: np.log(softmax(s)),
        "the scores were divided by their sum: take exponentials first": lambda s: s / s.sum(axis=-1, keepdims=True),
        "this is the most probable class, not its probability": lambda s: s.argmax(axis=-1),
        "this is one-hot: softmax keeps how sure the net is": lambda s: np.eye(s.shape[-1])[s.argmax(axis=-1)],
        "each score alone was squashed; the classes must compete": lambda s: 1 / (1 + np.exp(-s)),
        "the exponentials are right; now divide by their sum over the classes": np.exp,
    }
    result = attempt("your_softmax", yours, scores.copy())[0]
    if result is not None and difference(result, softmax(scores), 1e-8) is None:
        with np.errstate(all="ignore"):
            large = attempt("your_softmax", yours, np.array([[1000.0, 0.0], [-1000.0, 0.0], [-1000.0, -1001.0]]))[0]
        if large is None or not np.isfinite(large[0]).all():
            return verdict("exp(1000) overflows: subtract the largest score of each pixel first, which changes nothing")
        if not np.isfinite(large).all():
            return verdict("one maximum for all pixels makes 0/0 of some: subtract the largest score of each pixel")
    wrong_sum = result is not None and np.shape(result) == scores.shape and not np.allclose(np.sum(result, axis=-1), 1)
    if wrong_sum and all(difference(result, mistake(scores)) for mistake in mistakes.values()):
        return verdict("your_softmax: the probabilities of a pixel must sum to 1, over the classes, the last axis")
    return grade_function(yours, softmax, [(scores,)], mistakes)


# --------------------------------------------------------------------------------------- 01: arrays and axes


def grade_place(yours: Function) -> Verdict:
    """Judge a function of (index, shape) that gives a place in memory."""

    def by(order: tuple[int, ...], memory: str = "C") -> Function:
        return lambda i, n: np.ravel_multi_index([i[a] for a in order], [n[a] for a in order], order=memory)

    cases = [((1, 2, 0, 1), (2, 3, 4, 2)), ((0, 4, 3, 2), (1, 5, 7, 3)), ((2, 0, 1, 0), (3, 2, 2, 5))]
    mistakes = {
        "this is the place if the maps came first; here they come last, and run fastest": by((0, 3, 1, 2)),
        "the order of the axes is reversed: the LAST index runs fastest": by((0, 1, 2, 3), "F"),
        "rows and columns are swapped": by((0, 2, 1, 3)),
        "a row has W pixels, not H": lambda i, n: ((i[0] * n[1] + i[1]) * n[1] + i[2]) * n[3] + i[3],
        "the number of maps is missing: a pixel takes C places": lambda i, n: (i[0] * n[1] + i[1]) * n[2] + i[2] + i[3],
        "the fragment is missing": lambda i, n: (i[1] * n[2] + i[2]) * n[3] + i[3],
        "places are counted from 0": lambda i, n: by((0, 1, 2, 3))(i, n) + 1,
        "this is the place in bytes: divide by 4": lambda i, n: 4 * by((0, 1, 2, 3))(i, n),
    }
    return grade_function(yours, by((0, 1, 2, 3)), cases, mistakes)


def grade_crop(yours: Function) -> Verdict:
    """Judge a function of (x, r, c) that returns the storage from row r and column c on, as a view."""
    x = np.arange(2 * 4 * 5 * 3.0).reshape(2, 4, 5, 3)
    mistakes = {
        "the first axis is the fragment, not the row: keep all fragments with a colon": lambda x, r, c: x[r:, c:],
        "rows and columns are swapped": lambda x, r, c: x[:, c:, r:],
        "the maps were cut, too": lambda x, r, c: x[:, r:, c:, c:],
        "this is every r-th row: a start comes before the colon, a step after two": lambda x, r, c: x[:, :: max(r, 1)],
        "this cuts the same number of rows and columns off at the end": lambda x, r, c: x[
            :, : x.shape[1] - r, : x.shape[2] - c
        ],
        "this starts one pixel too late": lambda x, r, c: x[:, r + 1 :, c + 1 :],
        "this stops at (r, c) where it should start there": lambda x, r, c: x[:, :r, :c],
    }
    y = attempt("from_offset", yours, x, 1, 2)[0]
    if isinstance(y, np.ndarray) and np.array_equal(y, x[:, 1:, 2:]) and not np.shares_memory(x, y):
        return verdict("the numbers are right, but this is a copy: a plain slice is a view and costs nothing")
    return grade_function(yours, lambda x, r, c: x[:, r:, c:], [(x, 1, 2), (x, 2, 1), (x, 0, 0)], mistakes)


def grade_maps_last(yours: Function) -> Verdict:
    """Judge a function that turns (C, H, W) into (1, H, W, C)."""
    stack = np.arange(24.0).reshape(2, 3, 4)
    mistakes = {
        "reshape does not move an axis: it cuts the same run of numbers into other pieces": lambda s: s.reshape(
            1, s.shape[1], s.shape[2], s.shape[0]
        ),
        "the axis of fragments is missing: add one of length 1 in front": lambda s: s.transpose(1, 2, 0),
        "rows and columns are swapped": lambda s: s.transpose(2, 1, 0)[None],
        "the axis of fragments must stand in front": lambda s: s.transpose(1, 2, 0)[..., None],
        "the maps are still first": lambda s: s[None],
        "the maps stand between rows and columns": lambda s: s.transpose(1, 0, 2)[None],
    }
    return grade_function(yours, lambda s: s.transpose(1, 2, 0)[None], [(stack,)], mistakes)


# ------------------------------------------------------------------------------------- 02: convolve by hand


def grade_output_size(yours: Function) -> Verdict:
    """Judge a function of (H, k)."""
    mistakes = {
        "the last position is missing: a kernel of k rows still fits at H - k": lambda H, k: H - k,
        "this is the size of the full correlation, where the kernel sticks out on both sides": lambda H, k: H + k - 1,
        "this holds for odd kernels only; the course has kernels of 2 and 4, too": lambda H, k: H - 2 * (k // 2),
        "this holds for odd kernels only; with an even one a position is missing": lambda H, k: H - k + k % 2,
        "these are positions side by side, as of a pool; a kernel moves by one pixel": lambda H, k: H // k,
        "this is the position after the last one that fits": lambda H, k: H - k + 2,
    }
    return grade_function(yours, lambda H, k: H - k + 1, [(7, 3), (9, 4), (6, 2), (31, 7), (5, 5)], mistakes)


# ------------------------------------------------------------------------------------- 03: check a gradient


def grade_central_difference(yours: Function) -> Verdict:
    """Judge a function of (f, x, h)."""
    mistakes = {
        "this is the one-sided difference: step to both sides of x": lambda f, x, h: (f(x + h) - f(x)) / h,
        "f(x+h) and f(x-h) are 2h apart: divide by 2h": lambda f, x, h: (f(x + h) - f(x - h)) / h,
        "this is not divided by 2h yet": lambda f, x, h: f(x + h) - f(x - h),
        "this is the one-sided difference to the left: step to both sides": lambda f, x, h: (f(x) - f(x - h)) / h,
        "a bracket is missing: / 2 * h multiplies by h": lambda f, x, h: (f(x + h) - f(x - h)) / 2 * h,
        "this is the second derivative": lambda f, x, h: (f(x + h) - 2 * f(x) + f(x - h)) / h**2,
        "this is the mean of both values, not their difference": lambda f, x, h: (f(x + h) + f(x - h)) / 2,
        "the step must be the h that was given": lambda f, x, h: (f(x + 1e-6) - f(x - 1e-6)) / 2e-6,
        "the sign is wrong: f(x+h) comes first": lambda f, x, h: (f(x - h) - f(x + h)) / (2 * h),
    }
    cases = [(lambda x: x**3, 1.0, 0.1), (np.exp, 0.5, 1e-3), (lambda x: x**3, -2.0, 0.01)]
    return grade_function(yours, lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h), cases, mistakes)


def grade_slope_along(yours: Function) -> Verdict:
    """Judge a function of (gradient, v): the slope along v."""
    rng = np.random.default_rng(0)
    cases = [(np.array([4.0, 12]), np.array([1.0, -1])), tuple(rng.standard_normal((2, 3, 4)))]
    mistakes = {
        "the products are right; now add them all up: a slope is one number": lambda g, v: g * v,
        "the products are added up along one axis only": lambda g, v: (g * v).sum(axis=0),
        "the gradient alone has no direction: multiply with v": lambda g, v: g.sum(),
        "this is the mean of the products; the slope is their sum": lambda g, v: (g * v).mean(),
        "signs are lost: no absolute values": lambda g, v: abs(g * v).sum(),
        "the slope is not divided by the length of v": lambda g, v: (g * v).sum() / np.linalg.norm(v),
    }
    hints = {
        r"line \d+: .*(@|dot|matmul)": "these are products of vectors and matrices; multiply place by place, and add up"
    }
    return grade_function(yours, lambda g, v: (g * v).sum(), cases, mistakes, hints=hints)


class _Swapped(MaxPoolFragment):
    def backward(self, dy: np.ndarray) -> np.ndarray:
        return super().backward(dy[[0, 2, 1, 3]])


class _Scaled(Tanh):
    """A layer whose outputs are `size` times those of tanh, with a gradient that is `factor` times the right one."""

    def __init__(self, factor: float, size: float = 1.0) -> None:
        super().__init__()
        self.factor, self.size = factor, size

    def forward(self, x: np.ndarray, train: bool = True) -> np.ndarray:
        return self.size * super().forward(x, train)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return self.factor * self.size * super().backward(dy)


def grade_checker(yours: Function) -> Verdict:
    """Judge a reader's own gradient checker, ``is_right(layer, x, rng)``, on layers that are right and wrong."""
    subjects = (
        ("a Tanh that is right", Tanh(), True, ""),
        ("a MaxPool that is right", MaxPool(2), True, ""),
        (
            "a layer with large numbers that is right",
            _Scaled(1, 1e6),
            True,
            "the error is relative: divide by the slope",
        ),
        ("a Tanh whose gradient is twice too large", _Scaled(2), False, "an error has no sign: is an abs missing?"),
        ("a Tanh whose gradient is half of what it should be", _Scaled(0.5), False, "an error has no sign: take abs"),
        (
            "a Tanh whose gradient has the wrong sign",
            _Scaled(-1),
            False,
            "compare the slopes, not their absolute values",
        ),
        ("a Tanh whose gradient is 1.001 times too large", _Scaled(1.001), False, "the tolerance is 1e-5"),
        (
            "a layer with small numbers and a gradient twice too large",
            _Scaled(2, 1e-6),
            False,
            "the error is relative: divide by the slope",
        ),
        (
            "a MaxPoolFragment that swaps fragments 1 and 2",
            _Swapped(2),
            False,
            "is your upstream gradient random, and your direction?",
        ),
    )
    for what, layer, right, hint in subjects:
        for seed in (0, 1, 2):
            rng = np.random.default_rng(seed)
            shape = (1, 5, 7, 2) if isinstance(layer, MaxPoolFragment) else (1, 4, 6, 2)
            x = rng.permutation(np.linspace(-2, 2, int(np.prod(shape)))).reshape(shape)
            given = x.copy()
            found, words = attempt("is_right", yours, layer, given, rng)
            if words:
                return verdict(words)
            if changed((given,), (x,)):
                return verdict(f"is_right {CHANGED}")
            if bool(found) != right:
                return verdict(f"your checker says {bool(found)} to {what}" + (f"; {hint}" if hint else ""))
    return verdict()
