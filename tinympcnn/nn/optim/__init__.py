"""The optimisers, each over the parameters of one net: SGD, SGD safeguarded by the Armijo rule, L-BFGS, Adam.

All work through ``step(closure)``. ``closure(grad=True)`` returns the loss and leaves its gradient in the net;
``closure(grad=False)`` costs a forward pass only. The closure decides whether the loss is that of one image or of a
whole set (``training/objective.py``).
"""

from __future__ import annotations

import inspect
from typing import Any

from tinympcnn.errors import UsageError
from tinympcnn.nn.optim.adam import Adam
from tinympcnn.nn.optim.armijo import ArmijoSGD
from tinympcnn.nn.optim.base import Closure, Optimizer
from tinympcnn.nn.optim.lbfgs import LBFGS
from tinympcnn.nn.optim.sgd import SGD
from tinympcnn.nn.sequential import Sequential

OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "sgd": SGD, "armijo": ArmijoSGD, "lbfgs": LBFGS}


def build(name: str, net: Sequential, **options: Any) -> Optimizer:
    """Return the optimiser called `name` (adam, sgd, armijo, lbfgs) over `net`."""
    if name not in OPTIMIZERS:
        raise UsageError(f"unknown optimizer {name!r}: use one of {', '.join(OPTIMIZERS)}")
    known = list(inspect.signature(OPTIMIZERS[name]).parameters)[1:]
    if unknown := sorted(set(options) - set(known)):
        raise UsageError(f"{name} has no option {unknown[0]!r}: it takes {', '.join(known)}")
    return OPTIMIZERS[name](net, **options)


__all__ = ["LBFGS", "OPTIMIZERS", "SGD", "Adam", "ArmijoSGD", "Closure", "Optimizer", "build"]
