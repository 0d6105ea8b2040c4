"""The judges of tutorials 08 to 10: a reader's own MaxPoolFragment, merging, fields of view, and gradients."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from course.attempts import attempt
from course.grading import CHANGED, changed, difference, grade_function, tie_words, verdict, widened
from tinympcnn import Conv, FullyConnected, Layer, MaxPool, Net, Tanh
from tinympcnn.gradcheck import check_contract, check_layer
from tinympcnn.nn import reference
from tinympcnn.nn.fragments import merge


def grade_split(layer: Layer) -> bool:
    """Judge the forward pass of a MaxPoolFragment layer, on two source fragments, against the paper's Algorithm 3."""
    words = _forward(layer)
    return verdict(words)


def grade_fragment_layer(layer: Layer) -> bool:
    """Judge a MaxPoolFragment layer: its forward pass, its gradient, and the contract of a net made with two of it."""
    return verdict(_forward(layer) or _backward(layer) or _contract(layer))


def _forward(layer: Layer) -> str | None:
    name, (kh, kw) = type(layer).__name__, layer.step
    x = _distinct((2, 3 * kh - 1, 3 * kw - 1, 2))
    want = np.stack(reference.mpf_forward(list(x), (kh, kw))[0])
    shape, words = attempt(f"{name}.output_shape", layer.output_shape, x.shape)
    if words:
        return words
    if tuple(shape) != want.shape:
        return f"{name}.output_shape: {tuple(shape)} in place of {want.shape} for an input of {x.shape}"
    given = x.copy()
    y, words = attempt(f"{name}.forward", layer.forward, given)
    if words or changed((given,), (x,)):
        return words or f"{name}.forward {CHANGED}"
    words = difference(y, want)
    offsets = np.arange(kh * kw)
    by_columns = want.reshape(2, kh, kw, *want.shape[1:]).swapaxes(1, 2).reshape(want.shape)
    still = want.reshape(2, kh * kw, *want.shape[1:])[:, 0 * offsets].reshape(want.shape)
    offset_first = want.reshape(2, kh * kw, *want.shape[1:]).swapaxes(0, 1).reshape(want.shape)
    pooled = np.stack([_pooled(x[f], (kh, kw), r, c, np.mean) for f in (0, 1) for r, c in np.ndindex(kh, kw)])
    least = np.stack([_pooled(x[f], (kh, kw), r, c, np.min) for f in (0, 1) for r, c in np.ndindex(kh, kw)])
    first = np.stack([_pooled(x[f], (kh, kw), r, c, _corner) for f in (0, 1) for r, c in np.ndindex(kh, kw)])
    one_source = np.concatenate([want[: kh * kw]] * 2)
    everywhere = merge(want, [(kh, kw)]).reshape(2, kh, want.shape[1], kw, *want.shape[2:])
    blocks = everywhere.swapaxes(2, 3).reshape(want.shape)
    mistakes = {
        "this is the mean of each window, not its maximum": pooled,
        "this is the smallest of each window, not its maximum": least,
        "every kh-th row and kw-th column was taken: a window has kh*kw pixels, and its maximum is wanted": first,
        "source 0 gives all the fragments: f is missing in f*kh*kw + r*kw + c": one_source,
        "offsets are counted by columns: (r, c) must have index f*kh*kw + r*kw + c": by_columns,
        "all fragments of a source are alike: the grid of windows did not move to offset (r, c)": still,
        "the offsets come before the source fragments: the index is f*kh*kw + r*kw + c, f first": offset_first,
        "these are blocks of neighbouring positions; a fragment takes every kh-th row and kw-th column": blocks,
    }
    for phrase, wrong in mistakes.items():
        if words and difference(y, wrong) is None:
            words = phrase
    if words:
        return f"{name}.forward: {words}"
    small, _ = attempt(f"{name}.forward", layer.forward, x.astype(np.float32))
    return widened(f"{name}.forward", small) or None


def _pooled(x: np.ndarray, k: tuple[int, int], r: int, c: int, of: Callable[..., Any]) -> np.ndarray:
    """Return one number, `of` its pixels, for each pooling window (kh, kw) of a map x (H, W, C) from (r, c) on."""
    (kh, kw), x = k, x[r:, c:]
    h, w, C = x.shape[0] // kh, x.shape[1] // kw, x.shape[2]
    return of(x[: kh * h, : kw * w].reshape(h, kh, w, kw, C), axis=(1, 3))


def _corner(windows: np.ndarray, axis: Any) -> np.ndarray:
    """Return the first pixel of each window (h, kh, w, kw, C)."""
    return windows[:, 0, :, 0]


def _backward(layer: Layer) -> str | None:
    name, (kh, kw) = type(layer).__name__, layer.step
    x = _distinct((2, 3 * kh - 1, 3 * kw - 1, 2))
    y, places = reference.mpf_forward(list(x), (kh, kw))
    dy = np.random.default_rng(1).standard_normal(np.stack(y).shape)
    twin = copy.deepcopy(layer)
    twin.forward(x.copy())
    dx, words = attempt(f"{name}.backward", twin.backward, dy.copy())
    if words:
        return words
    of_source = dy.reshape(2, kh * kw, *dy.shape[1:])
    mistakes = {
        "the fragment of offset (0, 0) alone sends its gradient back": _by_offsets(x, dy, (kh, kw), only=0),
        "the first fragment of each source was taken for all of them: fragment i has dy[i :: kh*kw]": _by_offsets(
            x, np.broadcast_to(of_source[:, :1], of_source.shape).reshape(dy.shape), (kh, kw)
        ),
        "what one offset sends overwrites what another has sent: add it (+=), windows of two offsets overlap": (
            _by_offsets(x, dy, (kh, kw), add=False)
        ),
    }
    for phrase, wrong in mistakes.items():
        if difference(dx, wrong) is None:
            return f"{name}.backward: {phrase}"
    cropped = [place - np.array(divmod(i % (kh * kw), kw)) for i, place in enumerate(places)]
    if difference(dx, np.stack(reference.mpf_backward(list(x), list(dy), (kh, kw), cropped))) is None:
        where = "in the cropped fragment x[r:, c:]; in x they lie r rows and c columns further"
        return f"{name}.backward: places are counted {where}"
    report = check_layer(layer)
    if not report.ok:
        return "; ".join(check.message for check in report.checks if not check.ok)
    tied = np.random.default_rng(2).integers(0, 2, x.shape).astype(np.float64)  # where no difference can look
    _, places = reference.mpf_forward(list(tied), (kh, kw))
    twin.forward(tied.copy())
    dx, words = attempt(f"{name}.backward", twin.backward, dy.copy())
    want = np.stack(reference.mpf_backward(list(tied), list(dy), (kh, kw), places))
    words = words or tie_words(name, dx, want, dy)
    twin.forward(x.astype(np.float32))
    small, raised = attempt(f"{name}.backward", twin.backward, dy.astype(np.float32))
    return words or raised or widened(f"{name}.backward", small) or None


def _by_offsets(
    x: np.ndarray, dy: np.ndarray, k: tuple[int, int], only: int | None = None, add: bool = True
) -> np.ndarray:
    """Return the gradient of MaxPoolFragment offset by offset, or with one of its parts done wrongly."""
    dx = np.zeros_like(x)
    for i, (r, c) in enumerate(np.ndindex(*k)):
        pool = MaxPool(k)
        pool.forward(x[:, r:, c:])
        part = pool.backward(dy[i :: k[0] * k[1]])
        if only in (None, i):
            dx[:, r:, c:] = dx[:, r:, c:] + part if add else part
    return dx


def _contract(layer: Layer) -> str | None:
    name = type(layer).__name__
    first, second = copy.deepcopy(layer), copy.deepcopy(layer)
    rng = np.random.default_rng(0)
    net = Net([Conv(1, 3, 3, rng), Tanh(), first, Conv(3, 3, 2, rng), Tanh(), second, FullyConnected(3, 2, 2, rng)])
    P, Q = net.field_of_view
    found, words = attempt(name, check_contract, net, rng.standard_normal((P + 5, Q + 6, 1)))
    if words:
        return words
    print(f"image net against patch net: scores {found.scores:.0e}, gradient {found.gradient:.0e}")
    return None if max(found) < 1e-12 else f"{name}: a net made with it breaks the contract"


def _distinct(shape: tuple[int, ...]) -> np.ndarray:
    """Return a shuffled range: no two values are equal, so every maximum has one place."""
    return np.random.default_rng(0).permutation(np.linspace(-2, 2, int(np.prod(shape)))).reshape(shape)


# ------------------------------------------------------------------------------------------------ functions


def grade_fragment_index(yours: Callable[..., Any]) -> bool:
    """Judge tutorial 08's function from (f, r, c, k) to the number of a fragment."""
    return grade_function(
        yours,
        lambda f, r, c, k: f * k[0] * k[1] + r * k[1] + c,
        [(0, 0, 1, (2, 3)), (0, 1, 0, (2, 3)), (3, 1, 2, (2, 3)), (14, 2, 0, (3, 2))],
        {
            "offsets are counted by columns; ours by rows, r*kw + c": lambda f, r, c, k: f * k[0] * k[1] + c * k[0] + r,
            "a row of offsets has kw of them, not kh": lambda f, r, c, k: f * k[0] * k[1] + r * k[0] + c,
            "the source f is missing: it has kh*kw fragments before it": lambda f, r, c, k: r * k[1] + c,
            "each source has kh*kw fragments, not one": lambda f, r, c, k: f + r * k[1] + c,
            "each source has kh*kw fragments, not kh + kw": lambda f, r, c, k: f * (k[0] + k[1]) + r * k[1] + c,
            "fragments are counted from 0": lambda f, r, c, k: f * k[0] * k[1] + r * k[1] + c + 1,
            "the row of the offset is missing": lambda f, r, c, k: f * k[0] * k[1] + c,
            "the column of the offset is missing": lambda f, r, c, k: f * k[0] * k[1] + r * k[1],
            "r and c belong to rows and columns: r*kw + c": lambda f, r, c, k: f * k[0] * k[1] + c * k[1] + r,
        },
    )


def grade_merge(yours: Callable[..., Any]) -> bool:
    """Judge tutorial 09's merge, on one pool and on two, square and not, with one image and two."""
    rng = np.random.default_rng(0)
    cases = [
        (rng.standard_normal((4, 2, 3, 1)), [(2, 2)]),
        (rng.standard_normal((2 * 6, 2, 3, 2)), [(2, 3)]),
        (rng.standard_normal((2 * 4 * 9, 2, 1, 2)), [(2, 2), (3, 3)]),
        (rng.standard_normal((6 * 6, 1, 2, 1)), [(2, 3), (3, 2)]),
    ]

    def turned(storage: np.ndarray, pools: list[tuple[int, int]]) -> np.ndarray:
        for kh, kw in reversed(pools):
            by_columns = storage.reshape(-1, kw, kh, *storage.shape[1:]).swapaxes(1, 2).reshape(storage.shape)
            storage = merge(by_columns, [(kh, kw)])
        return storage

    def side_by_side(storage: np.ndarray, pools: list[tuple[int, int]]) -> np.ndarray:
        for kh, kw in reversed(pools):
            _, h, w, C = storage.shape
            blocks = storage.reshape(-1, kh, kw, h, w, C).transpose(0, 1, 3, 2, 4, 5)
            storage = blocks.reshape(-1, kh * h, kw * w, C)
        return storage

    def offset_first(storage: np.ndarray, pools: list[tuple[int, int]]) -> np.ndarray:
        for kh, kw in reversed(pools):
            ordered = storage.reshape(kh * kw, -1, *storage.shape[1:]).swapaxes(0, 1).reshape(storage.shape)
            storage = merge(ordered, [(kh, kw)])
        return storage

    return grade_function(
        yours,
        merge,
        cases,
        {
            "the pools are undone in the wrong order: the last one must be undone first": lambda storage, pools: merge(
                storage, pools[::-1]
            ),
            "offsets are counted by columns; fragment r*kw + c has offset (r, c)": turned,
            "fragments stand side by side: interleave them, m[r::kh, c::kw]": side_by_side,
            "fragments are taken offset first; they are stored source first: storage[r*kw + c :: kh*kw]": offset_first,
            "the first image alone comes out": lambda storage, pools: merge(storage, pools)[:1],
            "rows and columns are swapped": lambda storage, pools: merge(storage, pools).swapaxes(1, 2),
            "the last pool alone is undone": lambda storage, pools: merge(storage, pools[-1:]),
            "nothing is merged": lambda storage, pools: storage,
        },
    )


def grade_field_of_view(yours: Callable[..., Any]) -> bool:
    """Judge tutorial 09's field of view."""

    def right(layers: list[tuple[int, int]]) -> int:
        vh = 1
        for window, step in reversed(layers):
            vh = (vh - 1) * step + window
        return vh

    def forwards(layers: list[tuple[int, int]]) -> int:
        return right(layers[::-1])

    def stepless(layers: list[tuple[int, int]]) -> int:
        return 1 + sum(window - 1 for window, _ in layers)

    def one_more(layers: list[tuple[int, int]]) -> int:
        vh = 1
        for window, step in reversed(layers):
            vh = vh * step + window - (step == 1)
        return vh

    return grade_function(
        yours,
        right,
        [([(5, 1)],), ([(3, 1), (2, 2), (2, 1)],), ([(7, 1), (2, 2), (5, 1), (3, 3), (5, 1), (1, 1)],)],
        {
            "walk from the output back to the image: start with the last layer": forwards,
            "the steps of the pools are missing": stepless,
            "n windows are n - 1 steps apart: (n - 1)*step + window": one_more,
            "the windows alone are added up; the steps between them are missing": lambda layers: sum(
                w for w, _ in layers
            ),
            "one output has 1 pixel: start with 1, not 0": lambda layers: _seen(layers, 0),
            "this is the stride, the product of the steps": lambda layers: math.prod(step for _, step in layers),
            "the first layer is left out": lambda layers: _seen(layers[1:], 1),
            "the last layer is left out": lambda layers: _seen(layers[:-1], 1),
            "a pool's own window is missing: (n - 1)*step + window": lambda layers: _seen(
                [(w if step == 1 else 1, step) for w, step in layers], 1
            ),
        },
    )


def _seen(layers: list[tuple[int, int]], n: int) -> int:
    """Return how many pixels `n` outputs see."""
    for window, step in reversed(layers):
        n = (n - 1) * step + window
    return n


def grade_padded_size(yours: Callable[..., Any]) -> bool:
    """Judge tutorial 09's padded size."""
    return grade_function(
        yours,
        lambda H, vh, S: -(-(H - vh + 1) // S) * S + vh - 1,
        [(10, 8, 4), (512, 95, 16), (11, 8, 4), (20, 5, 3)],
        {
            "not the image but the number of outputs, H - vh + 1, must be a multiple of S": lambda H, vh, S: (
                -(-H // S) * S
            ),
            "an image that fits already is padded by S rows too many": lambda H, vh, S: (
                ((H - vh + 1) // S + 1) * S + vh - 1
            ),
            "that is the number of outputs; the image has vh - 1 rows more": lambda H, vh, S: -(-(H - vh + 1) // S) * S,
            "rounded down, rows of the image are lost: round up": lambda H, vh, S: (H - vh + 1) // S * S + vh - 1,
            "H rows hold H - vh + 1 outputs, not H - vh": lambda H, vh, S: -(-(H - vh) // S) * S + vh - 1,
            "H rows hold H - vh + 1 outputs, and n outputs need n + vh - 1 rows": lambda H, vh, S: (
                -(-(H - vh) // S) * S + vh
            ),
            "vh - 1 rows are added, not vh": lambda H, vh, S: -(-(H - vh + 1) // S) * S + vh,
            "this is how many rows are added; the size of the padded image is wanted": lambda H, vh, S: (
                -(-(H - vh + 1) // S) * S + vh - 1 - H
            ),
            "this pads by vh - 1, whatever the pools": lambda H, vh, S: H + vh - 1,
        },
    )


def grade_sum(yours: Callable[..., Any]) -> bool:
    """Judge tutorial 10's gradient of a 1 x 1 convolution, summed over fragments."""
    rng = np.random.default_rng(0)
    cases = [(rng.standard_normal((F, 2, 3, 2)), rng.standard_normal((F, 2, 3, 4))) for F in (1, 4, 6)]

    def right(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return np.tensordot(x, dy, axes=((0, 1, 2), (0, 1, 2)))

    return grade_function(
        yours,
        right,
        cases,
        {
            "it is the mean over the fragments; a layer adds up, and the loss alone divides": (
                lambda x, dy: right(x, dy) / len(x)
            ),
            "it is the mean over the pixels; a layer adds up, and the loss alone divides": (
                lambda x, dy: right(x, dy) / x[..., 0].size
            ),
            "the first fragment alone counts: add up over all of them": lambda x, dy: right(x[:1], dy[:1]),
            "each x must meet its own dy: the fragments are out of step": lambda x, dy: right(x[::-1], dy),
            "x has no part in it": lambda x, dy: np.broadcast_to(dy.sum((0, 1, 2)), (2, 4)),
            "only the last fragment counts: you assigned (=) where you must add (+=)": lambda x, dy: right(
                x[-1:], dy[-1:]
            ),
        },
    )
