"""The judges of tutorials 08 and 10: a reader's own MaxPoolFragment, forward, backward, and in a net."""

from __future__ import annotations

import copy

import numpy as np

from course.grading import attempt, difference, verdict
from tinympcnn import Conv, FullyConnected, Layer, Net, Tanh, reference
from tinympcnn.gradcheck import check_contract, check_layer


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
    y, words = attempt(f"{name}.forward", layer.forward, x.copy())
    if words:
        return words
    words = difference(y, want)
    offsets = np.arange(kh * kw)
    by_columns = want.reshape(2, kh, kw, *want.shape[1:]).swapaxes(1, 2).reshape(want.shape)
    still = want.reshape(2, kh * kw, *want.shape[1:])[:, 0 * offsets].reshape(want.shape)
    offset_first = want.reshape(2, kh * kw, *want.shape[1:]).swapaxes(0, 1).reshape(want.shape)
    mistakes = {
        "offsets are counted by columns: (r, c) must have index f*kh*kw + r*kw + c": by_columns,
        "all fragments of a source are alike: the grid of windows did not move to offset (r, c)": still,
        "the offsets come before the source fragments: the index is f*kh*kw + r*kw + c, f first": offset_first,
    }
    for phrase, wrong in mistakes.items():
        if words and difference(y, wrong) is None:
            words = phrase
    return f"{name}.forward: {words}" if words else None


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
    cropped = [place - np.array(divmod(i % (kh * kw), kw)) for i, place in enumerate(places)]
    if difference(dx, np.stack(reference.mpf_backward(list(x), list(dy), (kh, kw), cropped))) is None:
        where = "in the cropped fragment x[r:, c:]; in x they lie r rows and c columns further"
        return f"{name}.backward: places are counted {where}"
    report = check_layer(layer)
    return "; ".join(check.message for check in report.checks if not check.ok) or None


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
