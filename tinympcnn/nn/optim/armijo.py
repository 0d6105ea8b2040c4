"""Steepest descent safeguarded by the Armijo rule: section 4.1 of the paper."""

from __future__ import annotations

from tinympcnn.errors import DivergenceError, UsageError
from tinympcnn.nn.optim.base import Closure, Optimizer, dot, positive
from tinympcnn.nn.sequential import Sequential


class ArmijoSGD(Optimizer):
    """Steepest descent whose step must satisfy the Armijo rule, as in section 4.1 of the paper.

    With g the gradient, the step t is accepted as soon as ``L(theta - t*g) <= L(theta) - c*t*|g|**2``, and shrunk
    until it is. The accepted step is carried over to the next call and allowed to grow; a trial step needs a forward
    pass only. Source: L. Armijo, Pacific J. Math. 16 (1966).

    Parameters
    ----------
    lr : float
        The first trial step.
    c : float
        The least decrease of an accepted step, as a fraction of the decrease that the gradient promises, in (0, 1).
    shrink, grow : float
        The factors on a refused step (below 1) and on the last accepted step (at least 1).
    trials : int
        The number of refused steps after which the search ends.
    on_failure : {"stop", "continue"}
        Whether a search that finds no step raises DivergenceError, or keeps the parameters and starts again from `lr`.
    """

    state_names = ("t",)

    def __init__(
        self,
        net: Sequential,
        lr: float = 0.1,
        c: float = 1e-4,
        shrink: float = 0.5,
        grow: float = 1.5,
        trials: int = 25,
        on_failure: str = "stop",
    ) -> None:
        super().__init__(net)
        self.lr = self.t = positive(lr, "lr")
        if not (0 < c < 1 and 0 < shrink < 1 <= grow and trials >= 1):
            raise UsageError("Armijo needs 0 < c < 1, 0 < shrink < 1, grow >= 1 and at least one trial")
        if on_failure not in ("stop", "continue"):
            raise UsageError(f"on_failure must be 'stop' or 'continue', not {on_failure!r}")
        self.c, self.shrink, self.grow, self.trials, self.on_failure = c, shrink, grow, trials, on_failure

    def step(self, closure: Closure) -> float:
        """Take one step of accepted length."""
        loss = self.evaluate(closure)
        theta, g = self.net.flat(), self.net.flat_grads()
        slope = dot(g, g)
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
                "(--on-failure continue would pass over it)"
            )
        return loss
