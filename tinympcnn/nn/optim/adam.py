"""Adam, the usual choice today. It is newer than the paper."""

from __future__ import annotations

from tinympcnn.engine.backend import Array, array_module
from tinympcnn.errors import UsageError
from tinympcnn.nn.optim.base import Closure, Optimizer, positive
from tinympcnn.nn.sequential import Sequential


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square (Kingma and Ba, ICLR 2015).

    ``m = b1*m + (1-b1)*g``, ``v = b2*v + (1-b2)*g*g``, both corrected for their start at zero, and
    ``theta = theta - lr * m / (sqrt(v) + eps)``.

    Parameters
    ----------
    lr : float
        The learning rate.
    b1, b2 : float
        The decay of the running means, in [0, 1).
    eps : float
        A small number that keeps the division finite.
    """

    state_names = ("m", "v", "n")

    def __init__(
        self, net: Sequential, lr: float = 0.002, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(net)
        self.lr = positive(lr, "lr")
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
