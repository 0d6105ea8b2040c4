"""Gradient descent with momentum."""

from __future__ import annotations

from tinympcnn.engine.backend import Array
from tinympcnn.errors import UsageError
from tinympcnn.nn.optim.base import Closure, Optimizer, positive
from tinympcnn.nn.sequential import Sequential


class SGD(Optimizer):
    """Gradient descent with momentum: ``v = momentum*v - lr*g``, ``theta = theta + v``.

    Parameters
    ----------
    lr : float
        The learning rate.
    momentum : float
        The share of the last step that the next one repeats, in [0, 1).

    Examples
    --------
    >>> from tinympcnn.nn.layers import Conv
    >>> SGD(Sequential([Conv(1, 1, 3)])).lr
    0.01
    """

    state_names = ("v",)

    def __init__(self, net: Sequential, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(net)
        self.lr = positive(lr, "lr")
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
