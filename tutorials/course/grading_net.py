"""The judges of tutorial 05b: the gradient of the loss, a net as a list of layers, one step of descent, and Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.attempts import BLANK, attempt
from course.grading import Verdict, difference, grade_function, verdict
from tinympcnn import Conv, FullyConnected, Layer, MaxPool, Net, SoftmaxCrossEntropy, Tanh
from tinympcnn.nn.losses import softmax


def grade_score_gradient(yours: Callable[..., Any]) -> Verdict:
    """Judge the gradient of the cross-entropy, mean over pixels: ``yours(scores, target)``, (n, K) and (n,)."""

    def summed(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
        return softmax(scores) - np.eye(scores.shape[1])[target]

    cases = [(np.array([[0, 0, np.log(2)], [1.0, -1, 0]]), np.array([0, 2]))]
    mistakes = {
        "this is the gradient of the sum; the loss is the mean over the pixels": summed,
        "these are the probabilities; the label has no part in it": lambda s, t: softmax(s) / len(s),
        "divide by the number of pixels, not by that of the classes": lambda s, t: summed(s, t) / s.shape[1],
        "divide by the number of pixels, not by that of all scores": lambda s, t: summed(s, t) / s.size,
        "this is the loss of each score, not its gradient": lambda s, t: (
            -np.log(softmax(s)) * np.eye(s.shape[1])[t] / len(s)
        ),
    }
    return grade_function(yours, lambda s, t: summed(s, t) / len(s), cases, mistakes)


# ---------------------------------------------------------------------------------------------- the net


class _Spy(Layer):
    """A layer that notes what it was given, and does what another layer does."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer, self.params, self.grads = layer, layer.params, layer.grads
        self.given: list[Any] = []
        self.got: list[Any] = []
        self.trained: list[bool] = []
        self.result = self.returned = None

    def forward(self, x: Any, train: bool = True) -> Any:
        self.given.append(x)
        self.trained.append(train)
        self.result = self.layer.forward(x, train)
        return self.result

    def backward(self, dy: Any) -> Any:
        self.got.append(dy)
        self.returned = self.layer.backward(dy)
        return self.returned


def _spies() -> tuple[list[_Spy], np.ndarray]:
    layers = [Conv(1, 3, 3, 1), Tanh(), MaxPool(2), Conv(3, 3, 2, 2), Tanh(), FullyConnected(3, 2, 2, 3)]
    x = np.random.default_rng(0).standard_normal((4, 8, 8, 1))
    return [_Spy(layer) for layer in Net(layers).astype(np.float64).layers], x


def grade_net(cls: type[Any]) -> Verdict:
    """Judge a net ``cls(layers)`` with ``forward(x, train=True)`` and ``backward(dy)``, layer by layer."""
    spies, x = _spies()
    name = [f"layer {k} ({type(spy.layer).__name__})" for k, spy in enumerate(spies)]
    net, words = attempt(cls.__name__, cls, list(spies))
    if words:
        return verdict(words)
    kept = list(getattr(net, "layers", ()))
    y, words = attempt(f"{cls.__name__}.forward", net.forward, x.copy())
    if list(getattr(net, "layers", ())) != kept:
        return verdict("forward changes self.layers, which backward needs: walk the list, and take nothing out")
    results = [x, *(spy.result for spy in spies)]
    whence = ["the input x", *(f"what {n} returned" for n in name)]
    if told := _handed(name, [spy.given for spy in spies], results, whence):
        return verdict(f"forward: {told}" if spies[0].given else words)
    if words or difference(y, results[-1]):
        return verdict(words or f"forward must return what the last {name[-1]} returned")
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx, words = attempt(f"{cls.__name__}.backward", net.backward, dy.copy())
    if list(getattr(net, "layers", ())) != kept:
        return verdict("backward changes self.layers, and the next forward needs it: walk reversed(self.layers)")
    if spies[0].got and not spies[-1].got:
        return verdict("backward: the layers are walked from the first to the last; backward goes the other way")
    results = [dy, *(spy.returned for spy in spies[::-1])]
    whence = ["the dy of the net", *(f"what {n} returned" for n in name[::-1])]
    if told := _handed(name[::-1], [spy.got for spy in spies[::-1]], results, whence):
        return verdict(f"backward: {told}" if spies[-1].got else words)
    if words or difference(dx, results[-1]):
        return verdict(words or f"backward must return what the first {name[0]} returned: the gradient of the input")
    net.forward(x.copy(), train=False)
    if any(spy.trained[-1] for spy in spies):
        return verdict("forward(x, train=False) must hand train=False to every layer, or they keep what nobody needs")
    return verdict()


def _handed(name: list[str], taken: list[list[Any]], results: list[Any], whence: list[str]) -> str | None:
    """Say in words which layer was not given what it must get, in the order in which the layers should run."""
    for k, given in enumerate(taken):
        if len(given) == 0:
            return f"{name[k]} ran 0 times; each layer runs once"
        if difference(given[0], results[k]):
            return f"{name[k]} must get {whence[k]}, and did not"
        if len(given) > 1:
            return f"{name[k]} ran {len(given)} times; each layer runs once"
    return None


# --------------------------------------------------------------------------------------------- the steps


class _Row:
    """A net as a list of layers, in two loops."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers

    def forward(self, x: Any, train: bool = True) -> Any:
        for layer in self.layers:
            x = layer.forward(x, train)
        return x

    def backward(self, dy: Any) -> Any:
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


def grade_train_step(train_step: Callable[..., Any]) -> Verdict:
    """Judge ``train_step(net, loss, x, target, lr)``: one step of descent, which returns the loss before it."""
    spies, x = _spies()
    twin = Net([spy.layer for spy in spies])
    net, target, lr = _Row([*spies]), np.array([0, 1, 1, 0]).reshape(4, 1, 1), 0.3

    def gradient() -> tuple[float, np.ndarray]:
        loss, probe = SoftmaxCrossEntropy(), twin.astype(np.float64)
        probe.zero_grads()
        value = loss.forward(probe.forward(x), target)
        probe.backward(loss.backward())
        return value, probe.flat_grads()

    older = 0.0
    for step in ("first", "second"):
        (value, g), start = gradient(), twin.flat()
        got, words = attempt("train_step", train_step, net, SoftmaxCrossEntropy(), x.copy(), target.copy(), lr)
        if words:
            return verdict(words)
        if not spies[-1].got:
            return verdict(f"train_step is {BLANK}, or its backward pass is missing: no layer has got a gradient")
        moved = (twin.flat() - start) / lr
        known = {
            "the parameters have not moved; theta = theta - ... makes a new array, theta -= ... changes it": 0 * g,
            "the step goes uphill: subtract the gradient": g,
            "the learning rate is missing": -g / lr,
            "the step uses the gradients of earlier steps too: set them to zero each time": -(g + older),
            "the step is taken twice": -2 * g,
            "the step is divided by the number of windows; the loss is their mean already": -g / len(x),
        }
        if difference(moved, -g, 1e-6):
            why = next((why for why, move in known.items() if difference(moved, move, 1e-6) is None), None)
            names = [n for n, place in _places(twin) if difference(moved[place], -g[place], 1e-6)]
            why = why or f"the {step} step is not -lr times the gradient in {', '.join(names)}"
            return verdict(f"train_step: {why}")
        if difference(got, value):
            return verdict("train_step: return the loss before the step")
        older = g
    return verdict()


def _places(net: Net) -> list[tuple[str, slice]]:
    """Return where each parameter of a net stands in ``net.flat()``."""
    places, start = [], 0
    for name, param, _ in net.parameters():
        places.append((name, slice(start, start + param.size)))
        start += param.size
    return places


def grade_adam(adam: Callable[..., Any]) -> Verdict:
    """Judge ``adam(theta, g, m, v, step, lr)``, which returns the new theta, m and v."""
    rng = np.random.default_rng(0)
    theta, g, m = rng.standard_normal((3, 2, 3))
    g, v = abs(g), rng.random((2, 3))
    cases = [(theta, g, m, v, 7, 0.01), (theta, g, m, v, 2000, 1.0)]
    for size in (4, 1e-8):  # the second is as small as eps, and tells where eps stands
        cases.append((theta, size * g, np.zeros((2, 3)), np.zeros((2, 3)), 1, 0.1))
    mistakes = {
        "still blank: theta, m and v come back as they went in": lambda theta, g, m, v, step, lr: (theta, m, v),
        "m and v must be mended: divide m by 1 - b1**step and v by 1 - b2**step": _adam(m_raw=True, v_raw=True),
        "m is mended and v is not: divide v by 1 - b2**step": _adam(v_raw=True),
        "v is mended and m is not: divide m by 1 - b1**step": _adam(m_raw=True),
        "the mended m and v are for the step only: return them as they were before": _adam(keep=True),
        "v is the mean of g**2, and here it is that of g": _adam(plain=True),
        "the root is missing: divide by sqrt(v) + eps": _adam(rootless=True),
        "the step goes uphill: subtract it": _adam(uphill=True),
        "b1 and b2 are swapped": _adam(swapped=True),
        "the new share is 1 - b, not b: m = b1*m + (1 - b1)*g": _adam(new=True),
        "the learning rate is missing": _adam(lr=1),
        "the root goes over the mended v: sqrt(v / (1 - b2**step))": _adam(root_first=True),
        "eps is missing: where v is 0, nothing may be divided by 0": _adam(eps=0),
        "eps stands inside the root, and belongs behind it: sqrt(...) + eps": _adam(eps_in_root=True),
        "eps is added to the whole step, and belongs below the line: a bracket is missing": _adam(eps_outside=True),
        "eps is added to the root of the raw v: mend v first": _adam(eps_on_raw=True),
        "m and v are right, but the step goes along g: it goes along m": _adam(along_g=True),
    }
    return grade_function(adam, _adam(), cases, mistakes)


def _adam(**parts: Any) -> Callable[..., Any]:
    """Return Adam with some of its parts left out, or in another way; `lr` and `eps` replace those numbers."""

    def has(part: str) -> bool:
        return bool(parts.get(part))

    def adam(theta: Any, g: Any, m: Any, v: Any, step: int, lr: float) -> Any:
        lr, eps = parts.get("lr", lr), parts.get("eps", 1e-8)
        b1, b2 = (0.999, 0.9) if has("swapped") else (0.9, 0.999)
        old1, old2 = (1 - b1, 1 - b2) if has("new") else (b1, b2)
        m, v = old1 * m + (1 - old1) * g, old2 * v + (1 - old2) * (g if has("plain") else g * g)
        mended_m = m if has("m_raw") else m / (1 - b1**step)
        mended_v = v if has("v_raw") else v / (1 - b2**step)
        with np.errstate(invalid="ignore"):
            below = {
                "rootless": mended_v + eps,
                "root_first": np.sqrt(v) / (1 - b2**step) + eps,
                "eps_in_root": np.sqrt(mended_v + eps),
                "eps_outside": np.sqrt(mended_v),
                "eps_on_raw": (np.sqrt(v) + eps) / np.sqrt(1 - b2**step),
            }.get(next(iter(parts), ""), np.sqrt(mended_v) + eps)
            length = lr * (g if has("along_g") else mended_m) / below
        theta = theta + length if has("uphill") else theta - length
        theta = theta + eps if has("eps_outside") else theta
        return (theta, mended_m, mended_v) if has("keep") else (theta, m, v)

    return adam
