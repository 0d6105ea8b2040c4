"""The optimisers, each over the parameters of one net: SGD, SGD safeguarded by the Armijo rule, L-BFGS, Adam.

All work through ``step(closure)``. ``closure(grad=True)`` returns the loss and, if asked, leaves its gradient in the
net; ``closure(grad=False)`` costs a forward pass only. What the closure sums over, one image or a whole set, is its
own affair (``objective.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinympcnn.backend import Array, array_module
from tinympcnn.errors import DivergenceError, UsageError
from tinympcnn.net import Net

Closure = Callable[..., float]


class Optimizer:
    """What every optimiser is: a net, a learning rate, and a state that a checkpoint can hold.

    Attributes
    ----------
    net : Net
    scale : float
        Factor on the learning rate, set from outside by a schedule.
    evaluations : int
        Calls of the closure so far.
    last_step : float
        Step length of the last step; the learning rate where there is no line search.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, net: Net) -> None:
        self.net = net
        self.scale = 1.0
        self.evaluations = 0
        self.last_step = 0.0

    def step(self, closure: Closure) -> float:
        """Change the parameters once; return the loss before the change."""
        raise TypeError(f"{type(self).__name__} defines no step")

    def evaluate(self, closure: Closure, grad: bool = True) -> float:
        """Call the closure and count the call; a loss that is not finite counts as infinite in a forward-only trial."""
        self.evaluations += 1
        loss = closure(grad=grad)
        if not math.isfinite(loss):
            if grad:
                raise DivergenceError(f"the loss is {loss}")
            return math.inf
        return loss

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, by name: numbers and arrays."""
        return {name: getattr(self, name) for name in ("evaluations", "last_step", *self.state_names)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        for name, value in state.items():
            setattr(self, name, value)


class SGD(Optimizer):
    """Gradient descent with momentum: ``v = momentum*v - lr*g``, ``theta = theta + v``.

    Parameters
    ----------
    net : Net
    lr : float
        Learning rate.
    momentum : float
        In [0, 1).

    Examples
    --------
    >>> net = Net.from_spec("FC1", rng=0)
    >>> SGD(net).lr
    0.01
    """

    state_names = ("v",)

    def __init__(self, net: Net, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(net)
        self.lr = _positive(lr, "lr")
        if not 0 <= momentum < 1:
            raise UsageError(f"momentum must be at least 0 and below 1, not {momentum!r}")
        self.momentum = momentum
        self.v: Array = net.flat() * 0

    def step(self, closure: Closure) -> float:
        """Take one step."""
        loss = self.evaluate(closure)
        self.last_step = self.lr * self.scale
        self.v = self.momentum * self.v - self.last_step * self.net.flat_grads()
        self.net.set_flat(self.net.flat() + self.v)
        return loss


class ArmijoSGD(Optimizer):
    """Steepest descent whose step must satisfy the Armijo rule, as in section 4.1 of the paper.

    With g the gradient, the step t is accepted as soon as ``L(theta - t*g) <= L(theta) - c*t*|g|**2``, and shrunk
    until it is. The accepted step is carried over to the next call and allowed to grow; a trial step needs a forward
    pass only. Source: L. Armijo, Pacific J. Math. 16 (1966).

    Parameters
    ----------
    net : Net
    lr : float
        First trial step.
    c : float
        Fraction of the decrease promised by the gradient that is asked for, in (0, 1).
    shrink, grow : float
        Factor on a refused step (below 1), and on the last accepted step (at least 1).
    trials : int
        Refused steps after which the search ends.
    on_failure : {"stop", "continue"}
        Whether a search without a step raises DivergenceError, or leaves the parameters and goes on from `lr`.
    """

    state_names = ("t",)

    def __init__(
        self,
        net: Net,
        lr: float = 0.1,
        c: float = 1e-4,
        shrink: float = 0.5,
        grow: float = 1.5,
        trials: int = 25,
        on_failure: str = "stop",
    ) -> None:
        super().__init__(net)
        self.lr = self.t = _positive(lr, "lr")
        if not (0 < c < 1 and 0 < shrink < 1 <= grow and trials >= 1):
            raise UsageError("Armijo needs 0 < c < 1, 0 < shrink < 1, grow >= 1 and at least one trial")
        if on_failure not in ("stop", "continue"):
            raise UsageError(f"on_failure must be 'stop' or 'continue', not {on_failure!r}")
        self.c, self.shrink, self.grow, self.trials, self.on_failure = c, shrink, grow, trials, on_failure

    def step(self, closure: Closure) -> float:
        """Take one step of accepted length."""
        loss = self.evaluate(closure)
        theta, g = self.net.flat(), self.net.flat_grads()
        slope = _dot(g, g)
        if slope == 0:
            return loss
        t = self.t * self.grow
        for _ in range(self.trials):
            self.net.set_flat(theta - t * g)
            if self.evaluate(closure, grad=False) <= loss - self.c * t * slope:
                self.t = self.last_step = t
                return loss
            t *= self.shrink
        self.net.set_flat(theta)
        self.t, self.last_step = self.lr, 0.0
        if self.on_failure == "stop":
            raise DivergenceError(
                f"Armijo found no step down to {t:.1e} that lowers the loss of {loss:.6g} enough "
                "(on_failure='continue' would pass over it)"
            )
        return loss


class LBFGS(Optimizer):
    """Limited-memory BFGS: the two loops of Nocedal, with a line search for the weak Wolfe conditions.

    The direction is ``d = -H g``, where H is built from the last m pairs ``s = theta' - theta``, ``y = g' - g``.
    The step t must lower the loss, ``L(theta + t*d) <= L(theta) + c1*t*g.d``, and flatten the slope,
    ``g'.d >= c2*g.d``; it is found by doubling and bisection (A. Lewis, M. Overton, Math. Program. 141, 2013). Where
    none is found the pairs are forgotten and steepest descent is tried once. Sources: J. Nocedal, Math. Comp. 35
    (1980); Nocedal and Wright, Numerical Optimization, algorithm 7.4.

    Parameters
    ----------
    net : Net
    history : int
        Number m of pairs kept.
    c1, c2 : float
        Of the Wolfe conditions, 0 < c1 < c2 < 1.
    trials : int
        Evaluations after which a line search ends.
    """

    state_names = ("pairs", "loss", "g")

    def __init__(self, net: Net, history: int = 10, c1: float = 1e-4, c2: float = 0.9, trials: int = 20) -> None:
        super().__init__(net)
        if history < 1 or trials < 1 or not 0 < c1 < c2 < 1:
            raise UsageError("L-BFGS needs history >= 1, trials >= 1 and 0 < c1 < c2 < 1")
        self.history, self.c1, self.c2, self.trials = history, c1, c2, trials
        self.pairs: list[tuple[Array, Array]] = []
        self.loss: float | None = None  # of the parameters as they are, with gradient g; known after a step
        self.g: Array = None

    def direction(self, g: Array) -> Array:
        """Return -H g by the two-loop recursion."""
        q = -g
        alphas = []
        for s, y in reversed(self.pairs):
            alpha = _dot(s, q) / _dot(s, y)
            q = q - alpha * y
            alphas.append(alpha)
        if self.pairs:
            s, y = self.pairs[-1]
            q = q * (_dot(s, y) / _dot(y, y))
        for (s, y), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q + (alpha - _dot(y, q) / _dot(s, y)) * s
        return q

    def step(self, closure: Closure) -> float:
        """Take one step; the set that the closure sums over must be the same from step to step."""
        if self.loss is None:
            self.loss, self.g = self.evaluate(closure), self._gradient()
        loss, theta = self.loss, self.net.flat()
        if _dot(self.g, self.g) == 0:
            return loss
        if not self._search(closure, theta) and self.pairs:
            self.pairs = []
            self._search(closure, theta)
        return loss

    def _gradient(self) -> Array:
        return self.net.flat_grads().astype(
            "float64"
        )  # the products below cancel; theirs is the precision that matters

    def _search(self, closure: Closure, theta: Array) -> bool:
        """Move along the direction to a step that satisfies both conditions; restore `theta` where there is none."""
        assert self.loss is not None
        d = self.direction(self.g)
        slope = _dot(self.g, d)
        if not slope < 0:
            return False
        low, high = 0.0, math.inf
        t = 1.0 if self.pairs else 1.0 / math.sqrt(_dot(self.g, self.g))
        best: tuple[float, float, Array] | None = None  # the longest decrease so far, for when trials run out
        for _ in range(self.trials):
            self.net.set_flat((theta + t * d).astype(theta.dtype))
            self.evaluations += 1
            trial = closure(grad=True)
            if not math.isfinite(trial) or trial > self.loss + self.c1 * t * slope:
                high = t
            else:
                g = self._gradient()
                best = (t, trial, g)
                if _dot(g, d) >= self.c2 * slope:
                    break
                low = t
            t = (low + high) / 2 if high < math.inf else 2 * t
        if best is None:
            self.net.set_flat(theta)
            self.last_step = 0.0
            return False
        self.last_step, self.loss, g = best
        moved = (theta + self.last_step * d).astype(theta.dtype)
        self.net.set_flat(moved)
        s, y = (moved - theta).astype("float64"), g - self.g
        if _dot(s, y) > 1e-10 * math.sqrt(_dot(s, s) * _dot(y, y)):  # curvature must be positive for H to stay so
            self.pairs = [*self.pairs, (s, y)][-self.history :]
        self.g = g
        return True


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square (Kingma and Ba, ICLR 2015).

    ``m = b1*m + (1-b1)*g``, ``v = b2*v + (1-b2)*g*g``, both corrected for their start at zero, and
    ``theta = theta - lr * m / (sqrt(v) + eps)``.

    Parameters
    ----------
    net : Net
    lr : float
        Learning rate.
    b1, b2 : float
        Decay of the running means, in [0, 1).
    eps : float
        Keeps the division finite.
    """

    state_names = ("m", "v", "n")

    def __init__(self, net: Net, lr: float = 0.002, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> None:
        super().__init__(net)
        self.lr = _positive(lr, "lr")
        if not (0 <= b1 < 1 and 0 <= b2 < 1 and eps > 0):
            raise UsageError("Adam needs 0 <= b1 < 1, 0 <= b2 < 1 and eps > 0")
        self.b1, self.b2, self.eps = b1, b2, eps
        self.m: Array = net.flat() * 0
        self.v: Array = net.flat() * 0
        self.n = 0

    def step(self, closure: Closure) -> float:
        """Take one step."""
        loss = self.evaluate(closure)
        g = self.net.flat_grads()
        self.n += 1
        self.last_step = self.lr * self.scale
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g * g
        m, v = self.m / (1 - self.b1**self.n), self.v / (1 - self.b2**self.n)
        xp = array_module(v)
        self.net.set_flat(self.net.flat() - self.last_step * m / (xp.sqrt(v) + self.eps))
        return loss


OPTIMIZERS = {"adam": Adam, "sgd": SGD, "armijo": ArmijoSGD, "lbfgs": LBFGS}


def build(name: str, net: Net, **options: Any) -> Optimizer:
    """Return the optimiser called `name` (adam, sgd, armijo, lbfgs) over `net`."""
    if name not in OPTIMIZERS:
        raise UsageError(f"unknown optimizer {name!r}: use one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name](net, **options)


def _dot(a: Array, b: Array) -> float:
    return float((a * b).sum(dtype="float64"))


def _positive(value: float, name: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} must be positive, not {value!r}")
    return value
