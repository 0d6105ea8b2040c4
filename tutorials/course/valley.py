"""The loss surface of tutorials 12 and 12b: a net with two parameters, and walks of optimisers over its valley."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinympcnn import FullyConnected, MeanSquaredError, Net
from tinympcnn.training.objective import Example, image_closure

Closure = Callable[..., float]


def line_net(x: Sequence[float], t: Sequence[float]) -> tuple[Net, Closure]:
    """Return a net with two parameters in float64, and the closure that optimisers take."""
    net = Net([FullyConnected(1, 1, rng=0)]).astype(np.float64)
    image, target = (np.reshape(values, (1, 1, -1, 1)).astype(float) for values in (x, t))
    return net, image_closure(net, Example(image, target), MeanSquaredError())


def surface(net: Net, closure: Closure, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the loss at every (w, b) of a grid, rows b, columns w."""
    L = np.empty((len(b), len(w)))
    for i, j in np.ndindex(L.shape):
        net.set_flat(np.array([w[j], b[i]]))
        L[i, j] = closure(grad=False)
    return L


def walk(
    make: Callable[[Net], Any], steps: int, net: Net, closure: Closure, start: Sequence[float] = (0.0, 3.0)
) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return the points and losses of an optimiser on its way from `start`, and the optimiser."""
    net.set_flat(np.array(start))
    optimizer = make(net)
    points, losses = [net.flat()], [closure(grad=False)]
    for _ in range(steps):
        optimizer.step(closure)
        points.append(net.flat())
        losses.append(closure(grad=False))
    return np.array(points), np.array(losses), optimizer
