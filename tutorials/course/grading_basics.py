"""The judges of tutorials 00 to 03. Each knows the right answer, and the typical mistakes by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.attempts import attempt
from course.grading import Verdict, grade, grade_function, verdict
from tinympcnn import Conv, MaxPool, MaxPoolFragment, Tanh
from tinympcnn.metrics import pixel_error
from tinympcnn.nn.layers import Layer
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
        "the exponentials are right; now divide by their sum over the classes": np.exp,
    }
    result = attempt("your_softmax", yours, scores.copy())[0]
    if result is not None and np.allclose(result, softmax(scores)):
        with np.errstate(all="ignore"):
            large = attempt("your_softmax", yours, np.array([[1000.0, 0.0], [-1000.0, 0.0], [-1000.0, -1001.0]]))[0]
        if large is None or not np.isfinite(large).all():
            return verdict("exp(1000) overflows: subtract the largest score of each pixel first, which changes nothing")
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
    }
    return grade_function(yours, by((0, 1, 2, 3)), cases, mistakes)


def grade_crop(yours: Function) -> Verdict:
    """Judge a function of (x, r, c) that returns the storage from row r and column c on, as a view."""
    x = np.arange(2 * 4 * 5 * 3.0).reshape(2, 4, 5, 3)
    mistakes = {
        "the first axis is the fragment, not the row: keep all fragments with a colon": lambda x, r, c: x[r:, c:],
        "rows and columns are swapped": lambda x, r, c: x[:, c:, r:],
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
    }
    return grade_function(yours, lambda s: s.transpose(1, 2, 0)[None], [(stack,)], mistakes)


# ------------------------------------------------------------------------------------- 02: convolve by hand


def grade_output_size(yours: Function) -> Verdict:
    """Judge a function of (H, k)."""
    mistakes = {
        "the last position is missing: a kernel of k rows still fits at H - k": lambda H, k: H - k,
        "this is the size of the full correlation, where the kernel sticks out on both sides": lambda H, k: H + k - 1,
    }
    return grade_function(yours, lambda H, k: H - k + 1, [(7, 3), (31, 7), (5, 5)], mistakes)


def grade_conv(layer: Conv) -> Verdict:
    """Judge the forward pass of a Conv."""

    def turned(layer: Layer, x: np.ndarray) -> np.ndarray:
        twin = Conv(layer.in_maps, layer.out_maps, layer.kernel)
        twin.params = {"W": np.ascontiguousarray(layer.params["W"][::-1, ::-1]), "b": layer.params["b"]}
        return twin.forward(x)

    mistakes = {
        "the kernel is turned by 180 degrees: tap (i, j) belongs to pixel (q+i, p+j)": turned,
        "the bias is missing": lambda layer, x: Conv.forward(layer, x) - layer.params["b"],
    }
    return grade(layer, Conv(layer.in_maps, layer.out_maps, layer.kernel), mistakes=mistakes)


# ------------------------------------------------------------------------------------- 03: check a gradient


def grade_central_difference(yours: Function) -> Verdict:
    """Judge a function of (f, x, h)."""
    mistakes = {
        "this is the one-sided difference: step to both sides of x": lambda f, x, h: (f(x + h) - f(x)) / h,
        "f(x+h) and f(x-h) are 2h apart: divide by 2h": lambda f, x, h: (f(x + h) - f(x - h)) / h,
        "this is not divided by 2h yet": lambda f, x, h: f(x + h) - f(x - h),
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
    }
    return grade_function(yours, lambda g, v: (g * v).sum(), cases, mistakes)


class _Swapped(MaxPoolFragment):
    def backward(self, dy: np.ndarray) -> np.ndarray:
        return super().backward(dy[[0, 2, 1, 3]])


class _Doubled(Tanh):
    def backward(self, dy: np.ndarray) -> np.ndarray:
        return 2 * super().backward(dy)


def grade_checker(yours: Function) -> Verdict:
    """Judge a reader's own gradient checker, ``is_right(layer, x, rng)``, on layers that are right and wrong."""
    subjects = {
        "a Tanh that is right": (Tanh(), True),
        "a MaxPool that is right": (MaxPool(2), True),
        "a Tanh whose gradient is twice too large": (_Doubled(), False),
        "a MaxPoolFragment that swaps fragments 1 and 2": (_Swapped(2), False),
    }
    for what, (layer, right) in subjects.items():
        rng = np.random.default_rng(0)
        shape = (1, 5, 7, 2) if isinstance(layer, MaxPoolFragment) else (1, 4, 6, 2)
        x = rng.permutation(np.linspace(-2, 2, int(np.prod(shape)))).reshape(shape)
        found, words = attempt("is_right", yours, layer, x, rng)
        if words:
            return verdict(words)
        if bool(found) != right:
            hint = "; is your upstream gradient random, and your direction?" if isinstance(layer, _Swapped) else ""
            return verdict(f"your checker says {bool(found)} to {what}{hint}")
    return verdict()
