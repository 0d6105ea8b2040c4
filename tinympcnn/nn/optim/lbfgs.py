"""L-BFGS, which delivered the best performance on steel: section 4.2 of the paper."""

from __future__ import annotations

import math
from typing import Any

from tinympcnn.engine.backend import Array
from tinympcnn.errors import UsageError
from tinympcnn.nn.optim.base import Closure, Optimizer, dot
from tinympcnn.nn.sequential import Sequential


class LBFGS(Optimizer):
    """Limited-memory BFGS: the two loops of Nocedal, with a line search for the weak Wolfe conditions.

    The direction is ``d = -H g``, where H is built from the last m pairs ``s = theta' - theta``, ``y = g' - g``.
    The step t must lower the loss, ``L(theta + t*d) <= L(theta) + c1*t*g.d``, and flatten the slope,
    ``g'.d >= c2*g.d``; doubling and bisection find it (A. Lewis, M. Overton, Math. Program. 141, 2013). If they find
    none, the pairs are forgotten and steepest descent is tried once. Sources: J. Nocedal, Math. Comp. 35 (1980);
    Nocedal and Wright, Numerical Optimization, algorithm 7.4.

    Parameters
    ----------
    history : int
        The number m of pairs (s, y) that are kept.
    c1, c2 : float
        The constants of the Wolfe conditions, 0 < c1 < c2 < 1.
    trials : int
        The number of evaluations after which a line search ends.
    """

    state_names = ("pairs", "loss", "g")

    def __init__(self, net: Sequential, history: int = 10, c1: float = 1e-4, c2: float = 0.9, trials: int = 20) -> None:
        super().__init__(net)
        if history < 1 or trials < 1 or not 0 < c1 < c2 < 1:
            raise UsageError("L-BFGS needs history >= 1, trials >= 1 and 0 < c1 < c2 < 1")
        self.history, self.c1, self.c2, self.trials = history, c1, c2, trials
        self.pairs: list[tuple[Array, Array]] = []
        self.loss: float | None = None  # the loss of the present parameters, with gradient g; known after a step
        self.g: Any = None

    def direction(self, g: Array) -> Array:
        """Return -H g by the two-loop recursion."""
        q = -g
        alphas = []
        for s, y in reversed(self.pairs):
            alpha = dot(s, q) / dot(s, y)
            q = q - alpha * y
            alphas.append(alpha)
        if self.pairs:
            s, y = self.pairs[-1]
            q = q * (dot(s, y) / dot(y, y))
        for (s, y), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q + (alpha - dot(y, q) / dot(s, y)) * s
        return q

    def step(self, closure: Closure) -> float:
        """Take one step; the set that the closure sums over must be the same from step to step."""
        if self.loss is None:
            self.loss, self.g = self.evaluate(closure), self._gradient()
        loss, theta = self.loss, self.net.flat()
        if dot(self.g, self.g) == 0:
            return loss
        if not self._search(closure, theta) and self.pairs:
            self.pairs = []
            self._search(closure, theta)
        return loss

    def _gradient(self) -> Array:
        return self.net.flat_grads().astype("float64")  # the dot products subtract nearly equal numbers

    def _search(self, closure: Closure, theta: Array) -> bool:
        """Move along the direction to a step that satisfies both conditions; restore `theta` where there is none."""
        assert self.loss is not None
        d = self.direction(self.g)
        slope = dot(self.g, d)
        if not slope < 0:
            return False
        low, high = 0.0, math.inf
        t = 1.0 if self.pairs else 1.0 / math.sqrt(dot(self.g, self.g))
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
                if dot(g, d) >= self.c2 * slope:
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
        if dot(s, y) > 1e-10 * math.sqrt(dot(s, s) * dot(y, y)):  # curvature must be positive for H to stay so
            self.pairs = [*self.pairs, (s, y)][-self.history :]
        self.g = g
        return True
