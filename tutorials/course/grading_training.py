"""The judges of tutorials 11 to 16. Each knows the right answer, and the typical mistakes by name."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from course.attempts import attempt, is_blank
from course.grading import difference, grade, grade_function, verdict
from tinympcnn import Layer, Net, SoftmaxCrossEntropy
from tinympcnn.metrics import v_scores
from tinympcnn.nn.losses import balanced_weights
from tinympcnn.nn.optim import LBFGS

# ---------------------------------------------------------------------------------------- 11 whole images


def _small_task(seed: int) -> tuple[Net, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    net = Net.from_spec("C3x3x3 MPF2x2 C2x2x4 FC2", rng=seed).astype(np.float64)
    return net, rng.standard_normal((1, 11, 12, 1)), rng.integers(0, 2, (1, 6, 7))


def grade_image_step(image_step: Callable[..., Any]) -> bool:
    """Judge ``image_step(net, image, target, loss, lr)``: one update of the net, which returns the loss before it."""
    net, image, target = _small_task(0)
    start, loss, lr = net.flat(), SoftmaxCrossEntropy(), 0.3
    value = loss.forward(net.forward(image), target)
    net.backward(loss.backward(), input_grad=False)
    g = net.flat_grads()
    net.forward(image)
    net.backward(np.random.default_rng(1).standard_normal((1, 6, 7, 2)), input_grad=False)
    old = net.flat_grads()  # of g and of the step before; an answer must forget them
    got, words = attempt("image_step", image_step, net, image, target, SoftmaxCrossEntropy(), lr)
    if words:
        return verdict(words)
    if words := difference(got, value):
        if difference(got, loss.forward(net.forward(image), target)) is None:
            words = "it is the one after the step; return the one before"
        return verdict(f"the loss that image_step returns: {words}")
    moved = (net.flat() - start) / lr
    known = {
        "the parameters have not moved": 0 * g,
        "the step goes uphill: subtract the gradient": g,
        "the step has length 1: the learning rate is missing": -g / lr,
        "the gradient is multiplied by the number of pixels: the mean over them is wanted": -g * target.size,
        "the step takes old gradients along: zero the gradients each time, before net.backward adds to them": -g - old,
    }
    if difference(moved, -g, 1e-6):
        why = next((why for why, move in known.items() if difference(moved, move, 1e-6) is None), None)
        return verdict(why or "the parameters have not moved by -lr times the gradient")
    return verdict()


def grade_loss_over_set(loss_over_set: Callable[..., Any]) -> bool:
    """Judge ``loss_over_set(losses, counts)``: the mean over all pixels of images of several sizes."""
    cases = [([0.2, 0.8], [100, 300]), ([1.0, 2.0, 4.0], [1, 5, 0])]
    return grade_function(
        loss_over_set,
        lambda losses, counts: float(np.dot(losses, counts) / np.sum(counts)),
        cases,
        {
            "every image counts the same, however small: weigh its loss by its number of pixels": (
                lambda losses, counts: float(np.mean(losses))
            ),
            "this is the sum over pixels; divide by their number": lambda losses, counts: float(np.dot(losses, counts)),
            "the sum over pixels is divided by the number of pixels, not by that of images": (
                lambda losses, counts: float(np.dot(losses, counts)) / len(losses)
            ),
        },
    )


# ------------------------------------------------------------------------------------------ 12 step sizes


def _backtracking(
    loss_at: Callable[[np.ndarray], float], theta: np.ndarray, g: np.ndarray, t: float, c: float, shrink: float,
    asked: float = 1.0, uphill: float = 1.0,
) -> float:  # fmt: skip
    start = loss_at(theta)
    for _ in range(1000):  # uphill, t must become so small that no loss changes
        if loss_at(theta - uphill * t * g) <= start - asked * c * t * float(g @ g):
            break
        t *= shrink
    return t


TOO_OFTEN = "asks for the loss without end: is t in the bound, and is t shrunk each time? A tiny step must pass"


def grade_backtracking(backtracking: Callable[..., Any]) -> bool:
    """Judge ``backtracking(loss_at, theta, g, t, c, shrink)``, which returns the accepted step length."""
    H = np.array([[3.5, 1.5], [1.5, 1.0]])

    calls = 0

    def loss_at(theta: np.ndarray) -> float:
        nonlocal calls
        calls += 1
        if calls > 10000:
            raise RuntimeError(TOO_OFTEN)
        return float(theta @ H @ theta) / 2

    theta = np.array([2.0, 1.0])
    case = (loss_at, theta, H @ theta)
    cases = [(*case, 1.0, 1e-4, 0.5), (*case, 1.0, 0.6, 0.8), (*case, 0.1, 0.1, 0.5), (*case, 4.0, 0.9, 0.7)]

    def first_wrong(loss_at: Any, theta: Any, g: Any, t: float, c: float, shrink: float) -> float:
        return t if loss_at(theta - t * g) <= loss_at(theta) - c * t * g @ g else t * shrink

    def norm(loss_at: Any, theta: Any, g: Any, t: float, c: float, shrink: float) -> float:
        while loss_at(theta - t * g) > loss_at(theta) - c * t * np.sqrt(g @ g):
            t *= shrink
        return t

    case = cases[1]
    _, words = attempt("backtracking", backtracking, *copy.deepcopy(case))
    if words:
        return verdict("backtracking " + TOO_OFTEN if TOO_OFTEN in words else words)
    calls = 0
    return grade_function(
        backtracking,
        _backtracking,
        cases,
        {
            "any decrease is accepted: the decrease asked for is c*t*|g|**2": lambda *a: _backtracking(*a, asked=0.0),
            "the slope is |g|**2, that is g @ g, not |g|": norm,
            "a refused step was shrunk once only: go on until one is accepted": first_wrong,
            "the first trial was returned: no condition was tested": lambda *a: a[3],
            "one shrink too many: the step that was accepted is wanted": lambda *a: _backtracking(*a) * a[5],
            "the new place is wanted by nobody: return the step length t": lambda *a: a[1] - _backtracking(*a) * a[2],
            "the step always shrinks by half: use shrink": lambda *a: _backtracking(*a[:5], 0.5),
            "the step goes uphill: theta - t * g": lambda *a: _backtracking(*a, uphill=-1.0),
        },
    )


def grade_two_loops(two_loops: Callable[..., Any]) -> bool:
    """Judge ``two_loops(g, pairs)``, the direction of L-BFGS, against `LBFGS.direction`."""
    rng = np.random.default_rng(0)
    half = rng.standard_normal((5, 5))
    H = half @ half.T + np.eye(5)
    steps = rng.standard_normal((3, 5))
    pairs = [(s, H @ s) for s in steps]

    def right(g: np.ndarray, pairs: Any) -> np.ndarray:
        optimizer = LBFGS(Net.from_spec("FC1", rng=0))
        optimizer.pairs = pairs
        return optimizer.direction(g)

    def variant(
        order: bool = True, scaled: bool = True, back: bool = True, newest: bool = True, turned: bool = True
    ) -> Callable[..., np.ndarray]:
        def direction(g: np.ndarray, pairs: Any) -> np.ndarray:
            q, alphas = -g, []
            for s, y in pairs[::-1] if order else pairs:
                alphas.append(s @ q / (s @ y))
                q = q - alphas[-1] * y
            if pairs and scaled:
                s, y = pairs[-1 if newest else 0]
                q = q * (s @ y / (y @ y))
            again = pairs if order else pairs[::-1]
            for (s, y), alpha in zip(again, alphas[::-1] if turned else alphas, strict=True):
                q = q + (alpha - y @ q / (s @ y) if back else alpha) * s
            return q

        return direction

    return grade_function(
        two_loops,
        right,
        [(rng.standard_normal(5), pairs[:1]), (rng.standard_normal(5), pairs), (rng.standard_normal(5), [])],
        {
            "the sign is wrong: this is H g, and the direction is -H g": lambda g, p: -right(g, p),
            "the first loop must run from the newest pair to the oldest": variant(order=False),
            "the scaling by s.y / y.y between the loops is missing": variant(scaled=False),
            "beta is missing in the second loop: add (alpha - beta) * s": variant(back=False),
            "each pair needs its own alpha: the first loop finds that of the newest pair first": variant(turned=False),
            "the scale s.y / y.y between the loops is that of the newest pair, pairs[-1]": variant(newest=False),
        },
    )


# -------------------------------------------------------------------------------------------- 13 membranes


def _v_rand(truth: np.ndarray, proposal: np.ndarray, inside: bool = True, square: int = 2) -> float:
    keep = truth > 0 if inside else np.ones(truth.shape, bool)
    t, p = truth[keep], proposal[keep].astype(np.int64)
    alone = p == 0
    p[alone] = p.max(initial=0) + 1 + np.arange(alone.sum())
    n = np.zeros((t.max() + 1, p.max() + 1))
    np.add.at(n, (t, p), 1)
    both = (n**square).sum()
    return float(both / (0.5 * (n.sum(0) ** 2).sum() + 0.5 * (n.sum(1) ** 2).sum()))


def grade_v_rand(v_rand: Callable[..., Any]) -> bool:
    """Judge ``v_rand(truth, proposal)`` of two label images whose segments are numbered from 1, borders 0."""
    truth = np.array([[1, 1, 0, 2, 2, 2], [1, 1, 0, 2, 2, 2], [1, 1, 0, 0, 0, 0], [1, 1, 0, 3, 3, 3]])
    merged = np.array([[1, 1, 0, 2, 2, 2], [1, 1, 0, 2, 2, 2], [1, 1, 0, 2, 2, 0], [1, 1, 0, 2, 2, 2]])
    split = np.array([[1, 1, 0, 2, 2, 2], [1, 1, 0, 2, 2, 2], [4, 4, 4, 0, 0, 0], [4, 4, 0, 3, 3, 3]])
    border = np.array([[1, 0, 0, 2, 2, 2], [1, 0, 0, 0, 0, 0], [1, 0, 0, 3, 3, 3], [1, 1, 0, 3, 3, 3]])
    assert abs(_v_rand(truth, merged) - v_scores((merged > 0).astype(float), truth > 0).rand.value) < 1e-12

    def one_border(t: np.ndarray, p: np.ndarray) -> float:
        return _v_rand(t, np.where(p == 0, p.max() + 1, p))

    def no_border(t: np.ndarray, p: np.ndarray) -> float:
        return _v_rand(np.where(p > 0, t, 0), p)

    def plain(t: np.ndarray, p: np.ndarray) -> float:
        return _v_rand(t, p, square=1)

    def recall(t: np.ndarray, p: np.ndarray) -> float:
        n = np.array([[((t == i) & (p == j)).sum() for j in range(1, p.max() + 1)] for i in range(1, t.max() + 1)])
        return float((n**2).sum() / (n.sum(1) ** 2).sum())

    return grade_function(
        v_rand,
        _v_rand,
        [(truth, merged), (truth, split), (truth, truth), (truth, border)],
        {
            "pixels outside the true segments count too: keep those with truth > 0": (
                lambda t, p: _v_rand(t, p, inside=False)
            ),
            "border pixels of the proposal are one segment in yours: each is a segment of its own": one_border,
            "border pixels of the proposal are left out in yours: each is a segment of its own": no_border,
            "the overlaps must be squared: they stand for pairs of pixels": plain,
            "it is divided by the truth's pairs alone, so mergers cost nothing: take the mean of both sums": recall,
        },
    )


def grade_best_threshold(best_threshold: Callable[..., Any]) -> bool:
    """Judge ``best_threshold(p, truth, thresholds)``: the threshold of the largest F1."""
    rng = np.random.default_rng(0)
    truth = rng.random((20, 30)) < 0.2
    p = np.clip(0.45 * truth + rng.normal(0.25, 0.2, truth.shape), 0, 1)
    t = np.linspace(0.05, 0.95, 19)

    def f1(p: np.ndarray, truth: np.ndarray) -> float:
        tp = (p & truth).sum()
        return 2 * tp / max((p & truth).sum() * 2 + (p ^ truth).sum(), 1)

    def by(score: Callable[[np.ndarray, np.ndarray], float]) -> Callable[..., float]:
        return lambda p, truth, t: float(t[int(np.argmax([score(p > at, truth) for at in t]))])

    def including(p: np.ndarray, truth: np.ndarray, t: np.ndarray) -> float:
        return float(t[int(np.argmax([f1(p >= at, truth) for at in t]))])

    def last(p: np.ndarray, truth: np.ndarray, t: np.ndarray) -> float:
        return float(t[len(t) - 1 - int(np.argmax([f1(p > at, truth) for at in t[::-1]]))])

    few = np.array([[0.2, 0.5, 0.8]]), np.array([[False, True, True]]), np.array([0.1, 0.2, 0.3, 0.4, 0.5])

    def worst(p: np.ndarray, truth: np.ndarray, t: np.ndarray) -> float:
        return float(t[int(np.argmin([f1(p > at, truth) for at in t]))])

    return grade_function(
        best_threshold,
        by(f1),
        [(p, truth, t), (1 - p, ~truth, t), few],
        {
            "this is the threshold of the smallest pixel error; F1 was asked for": by(lambda p, y: (p == y).mean()),
            "this is the threshold of the largest recall: every pixel is positive there": (
                by(lambda p, y: (p & y).sum() / y.sum())
            ),
            "this is the smallest F1: argmax, not argmin": worst,
            "a pixel is positive where p > threshold, not where they are equal": including,
            "several thresholds are equally good: the first of them is wanted": last,
        },
    )


# ------------------------------------------------------------------------------- 14 rare defects in steel


def grade_class_weights(class_weights: Callable[..., Any]) -> bool:
    """Judge ``class_weights(counts)`` against `tinympcnn.nn.losses.balanced_weights`."""

    def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(counts: np.ndarray) -> Any:
            with np.errstate(all="ignore"):
                return function(counts)

        call.__name__ = getattr(function, "__name__", "class_weights")
        return call

    got, words = attempt("class_weights", quiet(class_weights), np.array([90, 10, 0]))
    if words:
        return verdict(words)
    with contextlib.suppress(TypeError, ValueError):
        if not np.isfinite(np.asarray(got, float)).all():
            return verdict("class_weights: a class that is absent divides by zero; give it weight 0")
    return grade_function(
        quiet(class_weights),
        balanced_weights,
        [(np.array([90, 10]),), (np.array([90, 10, 0]),), (np.array([5, 5, 20, 70]),)],
        {
            "the weights grow with the counts: a rare class needs the large one": lambda n: n / n.sum() * (n > 0),
            "the sum over all pixels of their weights should be the number of pixels; yours sum to the classes": (
                lambda n: quiet(lambda n: np.where(n > 0, 1 / n, 0))(n)
            ),
            "absent classes were counted in K": lambda n: balanced_weights(n) * (n > 0).sum() / len(n),
        },
    )


def grade_choose_threshold(choose_threshold: Callable[..., Any]) -> bool:
    """Judge ``choose_threshold(counts, defective, miss, alarm, thresholds)``: the first one of least cost."""
    rng = np.random.default_rng(1)
    defective = np.arange(40) % 3 == 0
    counts = np.where(defective, rng.integers(5, 60, 40), rng.integers(0, 45, 40))
    t = np.arange(0, 60, 2)

    def by(cost: Callable[..., float]) -> Callable[..., Any]:
        return lambda n, d, miss, alarm, t: t[int(np.argmin([cost(n > at, d, miss, alarm) for at in t]))]

    def price(f: np.ndarray, d: np.ndarray, miss: float, alarm: float) -> float:
        return float(miss * (d & ~f).sum() + alarm * (f & ~d).sum())

    def including(n: np.ndarray, d: np.ndarray, miss: float, alarm: float, t: np.ndarray) -> float:
        return float(t[int(np.argmin([price(n >= at, d, miss, alarm) for at in t]))])

    def last(n: np.ndarray, d: np.ndarray, miss: float, alarm: float, t: np.ndarray) -> float:
        return float(t[len(t) - 1 - int(np.argmin([price(n > at, d, miss, alarm) for at in t[::-1]]))])

    few = np.array([6, 2]), np.array([True, False]), 2.0, 1.0, np.arange(8)
    return grade_function(
        choose_threshold,
        by(price),
        [
            (counts, defective, 10.0, 1.0, t),
            (counts, defective, 1.0, 4.0, t),
            (counts, defective, 1.0, 1.0, t),
            few,
        ],
        {
            "an image is flagged where counts > threshold, not where they are equal": including,
            "several thresholds cost the same: the first of them is wanted": last,
            "the two prices are swapped: a miss is a defective image that is not flagged": (
                by(lambda f, d, miss, alarm: alarm * (d & ~f).sum() + miss * (f & ~d).sum())
            ),
            "both errors cost the same in your sum: multiply each by its price": by(lambda f, d, *_: (d != f).sum()),
            "false alarms cost nothing in your sum": by(lambda f, d, miss, alarm: miss * (d & ~f).sum()),
            "this is the largest cost: argmin, not argmax": (
                by(lambda f, d, miss, alarm: -miss * (d & ~f).sum() - alarm * (f & ~d).sum())
            ),
        },
    )


# ------------------------------------------------------------------------------------- 15 move to the GPU


class LeftTheDevice(TypeError):
    """A number was asked of an array on a device."""


class DeviceArray:
    """A stand-in for an array on a device: it works with functions of its own module and refuses NumPy's."""

    __array_ufunc__ = None

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("a device array does not become a NumPy array by itself")

    def __float__(self) -> float:
        raise LeftTheDevice("float")

    def __int__(self) -> int:
        raise LeftTheDevice("int")

    def item(self) -> float:
        """Refuse to become a number of the host."""
        raise LeftTheDevice("item")

    def __array_function__(self, function: Any, *rest: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} got a device array")

    def __mul__(self, other: Any) -> DeviceArray:
        return DeviceArray(self.values * getattr(other, "values", other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> DeviceArray:
        return DeviceArray(self.values / getattr(other, "values", other))

    def __pow__(self, n: int) -> DeviceArray:
        return DeviceArray(self.values**n)

    def __sub__(self, other: Any) -> DeviceArray:
        return DeviceArray(self.values - getattr(other, "values", other))

    def __add__(self, other: Any) -> DeviceArray:
        return DeviceArray(self.values + getattr(other, "values", other))

    def __neg__(self) -> DeviceArray:
        return DeviceArray(-self.values)

    def __abs__(self) -> DeviceArray:
        return DeviceArray(abs(self.values))

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the array: sizes as they are, methods with results that stay on the device."""
        if name.startswith("_"):  # how NumPy asks whether this can become one of its own
            raise AttributeError(name)
        found = getattr(self.values, name)
        return _on_device(found) if callable(found) else found


def _on_device(function: Callable[..., Any]) -> Callable[..., DeviceArray]:
    """Return NumPy's function for device arrays."""

    def call(*args: Any, **kwargs: Any) -> DeviceArray:
        return DeviceArray(np.asarray(function(*(getattr(a, "values", a) for a in args), **kwargs)))

    return call


class _Functions:
    """The functions of a module of NumPy, for device arrays."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.module, name)
        return _on_device(found) if callable(found) else _Functions(found) if isinstance(found, ModuleType) else found


DeviceModule = _Functions(np)  # the module that belongs to `DeviceArray`


def grade_rms(rms: Callable[..., Any]) -> bool:
    """Judge ``rms(x, array_module)``: the root of the mean square, of an array on either device."""
    x = np.array([[3.0, 4.0], [0.0, 5.0]])
    right = float(np.sqrt(np.mean(x**2)))

    def modules(*arrays: Any) -> Any:
        return DeviceModule if isinstance(arrays[0], DeviceArray) else np

    got, words = attempt("rms", rms, x, modules)
    if words:
        return verdict(words)
    if words := difference(got, right):
        known = {
            "this is the mean square: the root is missing": right**2,
            "the squares are added up: take their mean": right * np.sqrt(x.size),
            "this is the mean of the values, not of their squares": x.mean(),
            "this is the standard deviation: the mean must not be taken out": x.std(),
        }
        words = next((phrase for phrase, value in known.items() if difference(got, value) is None), words)
        return verdict(f"rms of a NumPy array: {words}")
    try:
        got = rms(DeviceArray(x), modules)
    except LeftTheDevice as error:
        return verdict(f"{error}() pulls the result to the host, and waits for the device: return it as it is")
    except TypeError as error:
        return verdict(f"rms names numpy ({error}): ask array_module(x) for the module, and use that")
    except Exception as error:  # a reader's code may raise anything
        return verdict(f"rms raised {type(error).__name__} on a device array: {error}")
    if not isinstance(got, DeviceArray):
        return verdict("the result has left the device: return it as it is")
    return verdict(difference(got.values, right))


def grade_timing(median_seconds: Callable[..., Any]) -> bool:
    """Judge ``median_seconds(work, synchronise, clock, repeats)`` on a device and a clock that are made up."""

    class Machine:
        """A clock in seconds, and a queue of work of 5 s each; the first piece takes 60 s more, to compile."""

        def __init__(self, order: tuple[float, ...] = (5.0,)) -> None:
            self.now, self.done, self.calls, self.syncs, self.order = 0.0, 0.0, 0, 0, order
            self.early = 0  # how often the clock was read with work in the queue

        def work(self) -> None:
            took = self.order[self.calls % len(self.order)] + (60.0 if self.calls == 0 else 0.0)
            self.calls += 1
            self.done = max(self.done, self.now) + took
            self.now += 0.01

        def synchronise(self) -> None:
            self.syncs += 1
            self.now = max(self.now, self.done)

        def clock(self) -> float:
            self.early += self.done > self.now
            return self.now

    machine = Machine((5.0, 5.0, 5.0, 5.0, 50.0))
    got, words = attempt("median_seconds", median_seconds, machine.work, machine.synchronise, machine.clock, 5)
    if words:
        return verdict(words)
    if is_blank(got) or difference(got, got):
        return verdict("median_seconds should return one number")
    if not machine.syncs or got < 1:
        return verdict("the clock was read before the work was done: synchronise before you stop it")
    if abs(got - 5.0) < 0.1:
        if machine.calls == 5:
            return verdict("the first call was timed too: call work once to warm up, and synchronise, before you time")
        if machine.early:
            return verdict("the clock was started while the warm-up was still in the queue: synchronise before, too")
        return verdict()
    if abs(got - 50.0) < 0.1:
        return verdict("this is the slowest run: return the median")
    plain = Machine((5.0,))
    again = median_seconds(plain.work, plain.synchronise, plain.clock, 5)
    if abs(again - 5.0) < 0.1:
        return verdict("this is the mean, which one slow run spoils: return the median")
    if again > 10:
        return verdict("the first call was timed too: call work once to warm up, and synchronise, before you time")
    return verdict(f"it is {again:.3g} s, and should be 5 s")


# --------------------------------------------------------------------------------- 16 add your own layer


class _ReLU(Layer):
    def forward(self, x: Any, train: bool = True) -> Any:
        self.cache = x > 0 if train else None
        return x * (x > 0)

    def backward(self, dy: Any) -> Any:
        return dy * self.take_cache()


def grade_relu(layer: Layer) -> bool:
    """Judge a rectifier, ``y = max(x, 0)``: forward, backward, and in a net."""
    mistakes: dict[str, Callable[..., Any]] = {
        "this is the absolute value; negative inputs should give 0": lambda layer, x: np.abs(x),
        "negative inputs are kept and positive ones dropped": lambda layer, x: np.minimum(x, 0),
    }
    with contextlib.redirect_stdout(None):
        right = grade(layer, _ReLU(), mistakes=mistakes)
    if not right:
        x = np.linspace(-2, 2, 24)[np.random.default_rng(0).permutation(24)].reshape(1, 4, 6, 1)
        yours, dy = type(layer)(), np.random.default_rng(1).standard_normal((1, 4, 6, 1))
        try:
            if difference(yours.forward(x.copy()), np.maximum(x, 0)) is None:
                dx = yours.backward(dy.copy())
                if difference(dx, dy * np.maximum(x, 0)) is None:
                    return verdict("backward multiplies by y; the derivative of max(x, 0) is 1 or 0")
                if difference(dx, dy * (dy > 0)) is None:
                    return verdict("backward looks at the sign of dy; it is the sign of x that decides")
        except Exception:
            pass
        return grade(layer, _ReLU(), mistakes=mistakes)
    zero = type(layer)()
    zero.forward(np.zeros((1, 2, 2, 1)))
    if np.any(zero.backward(np.ones((1, 2, 2, 1)))):
        return verdict("backward lets the gradient through where x is 0; the derivative there is taken as 0: x > 0")
    quiet = type(layer)()
    quiet.forward(np.ones((1, 2, 2, 1)), train=False)
    return verdict("with train=False nothing should be kept" if quiet.cache is not None else None)


class _PReLU(Layer):
    def __init__(self, in_maps: int) -> None:
        super().__init__()
        self.in_maps = in_maps
        self.params = {"a": np.full(in_maps, 0.25, np.float32)}
        self.grads = {"a": np.zeros(in_maps, np.float32)}

    def forward(self, x: Any, train: bool = True) -> Any:
        return np.where(x > 0, x, self.params["a"] * x)


def grade_prelu(cls: type[Any]) -> bool:
    """Judge a rectifier with a learned slope ``a`` for each map, made as ``cls(in_maps)``."""
    layer, words = attempt(cls.__name__, cls, 3)
    if words:
        return verdict(words)
    for store, what in ((getattr(layer, "params", {}), "params"), (getattr(layer, "grads", {}), "grads")):
        if set(store) != {"a"} or np.shape(store["a"]) != (3,):
            return verdict(f"{what} should hold 'a', an array with one number for each map")
    layer.params["a"][...] = 0.25, 1.5, -0.5  # as training may leave them
    return grade(
        layer,
        _PReLU(3),
        mistakes={
            "the slope a belongs to the negative inputs, not to the positive ones": (
                lambda layer, x: np.where(x > 0, layer.params["a"] * x, x)
            ),
            "this is the plain rectifier: negative inputs should give a * x": lambda layer, x: np.maximum(x, 0),
        },
    )
