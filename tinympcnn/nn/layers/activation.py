"""The nonlinearities: tanh, as in the paper, and the logistic function.

Both have a derivative that needs their output only, so that is what they keep.
"""

from __future__ import annotations

from collections.abc import Callable

from tinympcnn import engine
from tinympcnn.engine.backend import Array, array_module
from tinympcnn.nn.layers.base import Layer


def _in_blocks(function: Callable[..., None], out: Array | None, *inputs: Array) -> Array:
    """Call ``function(*blocks, block of out)`` on blocks of flat views; all arrays have one shape. Return `out`."""
    if out is None:
        out = engine.empty(inputs[0].shape, inputs[0])
    elif not out.flags.c_contiguous:  # has no flat view
        out[...] = _in_blocks(function, None, *inputs)
        return out
    flat = [array.reshape(1, -1, 1, 1) for array in (*inputs, out)]

    def block(where: engine.Block) -> None:
        function(*(array[:, where[1]] for array in flat))

    engine.run(block, engine.cache_blocks(1, out.size, 1, out))
    return out


class Tanh(Layer):
    """The hyperbolic tangent: ``y = tanh(x)``, ``dx = dy * (1 - y**2)``.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Tanh()
    >>> layer.forward(np.zeros((1, 1, 1, 1))).item(), layer.backward(np.ones((1, 1, 1, 1))).item()
    (0.0, 1.0)
    """

    pointwise = True
    keeps_output = True

    def __repr__(self) -> str:
        return "Tanh()"

    def forward(self, x: Array, train: bool = True, out: Array | None = None) -> Array:
        """Return tanh(x), written to `out` if given."""
        xp = array_module(x)
        y = _in_blocks(lambda x, y: xp.tanh(x, out=y), out, x)
        self.cache = y if train else None
        return y

    def backward(self, dy: Array, out: Array | None = None) -> Array:
        """Return dy * (1 - y**2), written to `out` if given."""
        y = self.take_cache()
        self.check_dy(dy, y.shape)
        xp = array_module(dy, y)

        def derivative(dy: Array, y: Array, dx: Array) -> None:
            slope = xp.multiply(y, y)
            xp.subtract(1, slope, out=slope)
            xp.multiply(dy, slope, out=dx)

        return _in_blocks(derivative, out, dy, y)


class Logistic(Layer):
    """The logistic function: ``y = 1 / (1 + exp(-x))``, ``dx = dy * y * (1 - y)``.

    Computed as ``(1 + tanh(x/2)) / 2``, which is the same number and overflows nowhere.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Logistic()
    >>> layer.forward(np.zeros((1, 1, 1, 1))).item(), layer.backward(np.ones((1, 1, 1, 1))).item()
    (0.5, 0.25)
    """

    pointwise = True
    keeps_output = True

    def __repr__(self) -> str:
        return "Logistic()"

    def forward(self, x: Array, train: bool = True, out: Array | None = None) -> Array:
        """Return 1 / (1 + exp(-x)), written to `out` if given."""
        xp = array_module(x)

        def logistic(x: Array, y: Array) -> None:
            xp.multiply(x, 0.5, out=y)
            xp.tanh(y, out=y)
            xp.add(y, 1, out=y)
            xp.multiply(y, 0.5, out=y)

        y = _in_blocks(logistic, out, x)
        self.cache = y if train else None
        return y

    def backward(self, dy: Array, out: Array | None = None) -> Array:
        """Return dy * y * (1 - y), written to `out` if given."""
        y = self.take_cache()
        self.check_dy(dy, y.shape)
        xp = array_module(dy, y)

        def derivative(dy: Array, y: Array, dx: Array) -> None:
            slope = xp.subtract(1, y)
            xp.multiply(slope, y, out=slope)
            xp.multiply(dy, slope, out=dx)

        return _in_blocks(derivative, out, dy, y)
