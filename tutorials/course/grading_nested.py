"""The judges of tutorial 19: splitting without a maximum, a skip's backward pass, and sizes of U-Nets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from course.attempts import attempt
from course.grading import Verdict, difference, grade_function, verdict
from tinympcnn import Conv, Fragment, Layer, MaxPool, Skip, Upsample
from tinympcnn.gradcheck import check_layer


def grade_fragment(layer: Layer) -> Verdict:
    """Judge a layer that splits maps without a maximum, forward and backward, with the pool that it has."""
    name, (kh, kw) = type(layer).__name__, layer.step
    x = np.random.default_rng(0).standard_normal((2, 2 * kh, 3 * kw, 2))
    right = Fragment((kh, kw))
    want, yours = right.forward(x), copy.deepcopy(layer)
    y, words = attempt(f"{name}.forward", yours.forward, x.copy())
    if words:
        return verdict(words)
    F, K = len(x), kh * kw
    mistakes = {
        "offsets are counted by columns; the fragment of offset (r, c) is number f*kh*kw + r*kw + c": (
            want.reshape(F, kh, kw, *want.shape[1:]).swapaxes(1, 2).reshape(want.shape)
        ),
        "the offsets come before the source fragments: the number is f*kh*kw + r*kw + c, f first": (
            want.reshape(F, K, *want.shape[1:]).swapaxes(0, 1).reshape(want.shape)
        ),
        "these are blocks of neighbouring pixels; a fragment takes every kh-th row and kw-th column": (
            x.reshape(F, kh, 2, kw, 3, 2).transpose(0, 1, 3, 2, 4, 5).reshape(want.shape)
        ),
        "x was only reshaped, so pixels keep their order; a fragment takes every kh-th row and kw-th column": (
            x.reshape(want.shape)
        ),
    }
    if words := _named(y, want, mistakes):
        return verdict(f"{name}.forward: {words}")
    dy = np.random.default_rng(1).standard_normal(want.shape)
    dx, words = attempt(f"{name}.backward", yours.backward, dy.copy())
    if words:
        return verdict(words)
    parts = dy.reshape(F, K, *dy.shape[1:])
    last = np.zeros_like(x)
    last[:, kh - 1 :: kh, kw - 1 :: kw] = parts[:, -1]
    mistakes = {
        "only the last offset arrives: an array was made anew for each offset": last,
        "dy was only reshaped; pixels of a fragment belong kh rows and kw columns apart": dy.reshape(x.shape),
        "offsets are counted by columns on the way back": (
            right.backward(dy.reshape(F, kw, kh, *dy.shape[1:]).swapaxes(1, 2).reshape(dy.shape))
        ),
    }
    right.forward(x)
    words = _named(dx, right.backward(dy), mistakes)
    return verdict(f"{name}.backward: {words}" if words else None)


def grade_skip(cls: type[Skip]) -> Verdict:
    """Judge the backward pass of a class that derives from Skip, with inner windows that are odd, even, and 1."""
    rng = np.random.default_rng(0)
    for inner in ([MaxPool(2), Conv(3, 3, (3, 2), rng), Upsample(2)], [Conv(3, 3, 2, rng)], [Conv(3, 3, 1, rng)]):
        if words := _skip_words(cls, inner):
            return verdict(f"{words} (the inner layers are {inner})")
    return verdict()


def _skip_words(cls: type[Skip], inner: list[Layer]) -> str | None:
    """Say in words what is wrong with the backward pass of a skip around `inner`, or return None."""
    name, rng = f"{cls.__name__}.backward", np.random.default_rng(0)
    x = rng.permutation(np.linspace(-2, 2, 2 * 10 * 12 * 3)).reshape(2, 10, 12, 3)
    yours, right = cls(copy.deepcopy(inner)), Skip(copy.deepcopy(inner))
    dy = rng.standard_normal(right.forward(x).shape)
    yours.forward(x.copy())
    dx, words = attempt(name, yours.backward, dy.copy())
    if words:
        slices = "; a slice [t:-t] is empty for t = 0, and too short for even windows: let it end at t + dy.shape[1]"
        return words + slices * ("broadcast" in words)
    want = right.backward(dy)
    (top, left), C = (w // 2 for w in right.window), x.shape[3]
    past = np.zeros_like(x)  # what comes back past the inner layers
    past[:, top : top + dy.shape[1], left : left + dy.shape[2]] = dy[..., :C]
    through, corner, end = want - past, want - past, want - past
    corner[:, : dy.shape[1], : dy.shape[2]] += dy[..., :C]
    end[:, -dy.shape[1] :, -dy.shape[2] :] += dy[..., :C]
    assigned = through.copy()
    assigned[:, top : top + dy.shape[1], left : left + dy.shape[2]] = dy[..., :C]
    mistakes = {
        "the gradient past the inner layers is missing: x goes two ways, and both come back": through,
        "the gradient through the inner layers is missing: x goes two ways, and both come back": past,
        "x goes two ways, so the two gradients must be added (+=); you assigned (=)": assigned,
        "the crop begins self.window[0] // 2 rows from the top, and its gradient belongs there": corner,
        "the crop begins self.window[0] // 2 rows from the top; its gradient does not belong at the end": end,
    }
    if words := _named(dx, want, mistakes):
        return f"{name}: {words}"
    for (at, got), expected in zip(yours.grads.items(), right.grads.values(), strict=True):
        if words := difference(got, expected):
            return f"{name}: the gradient of {at}: {words}"
    report = check_layer(cls(inner), x)
    return None if report.ok else str(report)


def _named(got: Any, want: np.ndarray, mistakes: dict[str, np.ndarray]) -> str | None:
    """Say in words how an array differs from what it should be: as a known mistake, or by numbers."""
    words = difference(got, want)
    if words:
        words = next((phrase for phrase, wrong in mistakes.items() if difference(got, wrong) is None), words)
    return words


# ------------------------------------------------------------------------------------------------ the sizes

Row = Sequence[Any]
UNET: Row = [("C", 3), [("MP", 2), ("C", 3), [("MP", 2), ("C", 3), ("U", 2)], ("C", 3), ("U", 2)], ("C", 3)]
ROWS: list[Row] = [
    [("C", 5)],
    [("MP", 2), ("C", 3), ("U", 2)],
    UNET,
    [("C", 3), [("MP", 3), ("C", 2), ("U", 3)], ("C", 1)],
    [("C", 2), [("MP", 2), ("MP", 3), ("C", 3), ("U", 6)], ("C", 2)],
]


def _rows_after(layers: Row, H: int) -> int:
    for layer in layers:
        if isinstance(layer, list):
            H = _rows_after(layer, H)
            continue
        kind, k = layer
        if kind == "MP" and H % k:
            return 0
        H = {"C": H - k + 1, "MP": H // k, "U": H * k}[kind]
    return H


def _no_refusal(layers: Row, H: int) -> int:
    for layer in layers:
        H = _no_refusal(layer, H) if isinstance(layer, list) else _step(*layer, H)
    return H


def _step(kind: str, k: int, H: int) -> int:
    return {"C": H - k + 1, "MP": H // k, "U": H * k}[kind]


def _uncropped(layers: Row, H: int) -> int:
    return _rows_after([layer for layer in layers if not isinstance(layer, list)], H)


def grade_rows_after(yours: Callable[..., Any]) -> Verdict:
    """Judge ``rows_after(layers, H)``, the rows that come out of layers, or 0 where a pool leaves rows over."""
    sizes = [H for H in range(22, 40) if H not in (28, 29)]
    cases = [(layers, H) for layers in ROWS for H in sizes if _rows_after(layers, H) > 0 or H % 2]
    return grade_function(
        yours,
        _rows_after,
        cases,
        {
            "a pool that leaves rows over makes the answer 0": _no_refusal,
            "a skip is as small as what its inner layers make: its input is cropped to fit": _uncropped,
        },
    )


def _alignment(layers: Row, scale: int = 1) -> int:
    most = scale
    for layer in layers:
        if isinstance(layer, list):
            most = max(most, _alignment(layer, scale))
        else:
            kind, k = layer
            scale = scale * k if kind == "MP" else scale // k if kind == "U" else scale
            most = max(most, scale)
    return most


def _kinds(layers: Row) -> list[tuple[str, int]]:
    return [pair for layer in layers for pair in (_kinds(layer) if isinstance(layer, list) else [layer])]


def grade_alignment(yours: Callable[..., Any]) -> Verdict:
    """Judge ``alignment(layers)``, by how many pixels an image must move for its outputs to move along."""
    two = [("MP", 2), ("C", 3), ("U", 2), ("C", 3), ("MP", 2), ("C", 3), ("U", 2)]

    def largest(layers: Row) -> int:
        return max([k for kind, k in _kinds(layers) if kind == "MP"], default=1)

    def every_pool(layers: Row) -> int:
        return int(np.prod([k for kind, k in _kinds(layers) if kind == "MP"], dtype=int))

    return grade_function(
        yours,
        _alignment,
        [(layers,) for layers in [*ROWS, two]],
        {
            "pools inside one another multiply: behind 2 and 2 a pixel stands for 4": largest,
            "U undoes a pool: pools that follow each other, each undone, do not multiply": every_pool,
        },
    )
