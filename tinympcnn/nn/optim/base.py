"""The agreement that every optimiser keeps: a net, a step, and a state that a checkpoint can hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

from tinympcnn.engine.backend import Array
from tinympcnn.errors import DivergenceError, UsageError
from tinympcnn.nn.sequential import Sequential

Closure = Callable[..., float]
"""A function of `grad` that returns the loss of a net and, with ``grad=True``, leaves its gradient in the net."""


class Optimizer:
    """The base class: counts evaluations, and returns its state by name.

    Attributes
    ----------
    net : Sequential
        The net to train.
    scale : float
        A factor on the learning rate, set by a learning-rate schedule.
    evaluations : int
        The number of calls of the closure so far.
    last_step : float
        The length of the last step, which is the learning rate unless there is a line search.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, net: Sequential) -> None:
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


def dot(a: Array, b: Array) -> float:
    """Return the product of two vectors, summed in float64; one synchronisation on a GPU."""
    return float((a * b).sum(dtype="float64"))


def positive(value: float, name: str) -> float:
    """Return `value`, or say what `name` should have been."""
    if not (isinstance(value, Real) and math.isfinite(value) and value > 0):
        raise UsageError(f"{name} must be positive, not {value!r}")
    return value
