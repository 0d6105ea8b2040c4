"""The nonlinearities: tanh, as in the paper, the logistic function, and the rectifier.

The derivatives need the output only, so the layers keep their output.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinympcnn import engine
from tinympcnn.engine.backend import Array, array_module
from tinympcnn.nn.layers.base import Layer, register_layer


class Activation(Layer):
    """A function of one number, applied to every number of a storage: ``y = f(x)``, ``dx = dy * f'``.

    A subclass says what `value` and `slope` are. Both write to the array `out`, which is a flat part of the storage.
    `gradient` is dx once more, as a formula in `dy` and `y`: a GPU computes it in one pass.
    """

    keeps = "y"
    gradient = ""

    def value(self, x: Array, out: Array) -> None:
        """Write f(x) to `out`."""
        raise NotImplementedError

    def slope(self, y: Array, out: Array) -> None:
        """Write the derivative f', as a function of y = f(x), to `out`."""
        raise NotImplementedError

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return f(x)."""
        y = _in_blocks(self.value, x)
        self.cache = y if train else None
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy * f'."""
        y = self.take_cache()
        self.check_dy(dy, y.shape)
        xp = array_module(dy, y)
        if self.gradient and xp is not np:
            return engine.elementwise(self.gradient, dy, y)

        def derivative(dy: Array, y: Array, out: Array) -> None:
            self.slope(y, out)
            xp.multiply(dy, out, out=out)

        return _in_blocks(derivative, dy, y)


def _in_blocks(function: Callable[..., None], *inputs: Array) -> Array:
    """Return a new array of the inputs' shape, which ``function(*inputs, out)`` fills block by block."""
    out = engine.empty(inputs[0].shape, inputs[0])
    flat = [array.reshape(1, -1, 1, 1) for array in (*inputs, out)]

    def block(where: engine.Block) -> None:
        function(*(array[:, where[1]] for array in flat))

    engine.run(block, engine.cache_blocks(1, out.size, 1, out), out)
    return out


@register_layer
class Tanh(Activation):
    """The hyperbolic tangent: ``y = tanh(x)``, ``dx = dy * (1 - y**2)``.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Tanh()
    >>> layer.forward(np.zeros((1, 1, 1, 1))).item(), layer.backward(np.ones((1, 1, 1, 1))).item()
    (0.0, 1.0)
    """

    gradient = "dy * (1 - y * y)"

    def value(self, x: Array, out: Array) -> None:
        """Write tanh(x) to `out`."""
        array_module(x).tanh(x, out=out)

    def slope(self, y: Array, out: Array) -> None:
        """Write 1 - y**2 to `out`."""
        xp = array_module(y)
        xp.multiply(y, y, out=out)
        xp.subtract(1, out, out=out)


@register_layer
class Logistic(Activation):
    """The logistic function: ``y = 1 / (1 + exp(-x))``, ``dx = dy * y * (1 - y)``.

    Computed as ``(1 + tanh(x/2)) / 2``, which is the same number and overflows nowhere.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Logistic()
    >>> layer.forward(np.zeros((1, 1, 1, 1))).item(), layer.backward(np.ones((1, 1, 1, 1))).item()
    (0.5, 0.25)
    """

    gradient = "dy * (y * (1 - y))"

    def value(self, x: Array, out: Array) -> None:
        """Write (1 + tanh(x/2)) / 2 to `out`."""
        xp = array_module(x)
        xp.multiply(x, 0.5, out=out)
        xp.tanh(out, out=out)
        xp.add(out, 1, out=out)
        xp.multiply(out, 0.5, out=out)

    def slope(self, y: Array, out: Array) -> None:
        """Write y * (1 - y) to `out`."""
        xp = array_module(y)
        xp.subtract(1, y, out=out)
        xp.multiply(out, y, out=out)


@register_layer
class Relu(Activation):
    """The rectifier: ``y = max(x, 0)``, ``dx = dy`` where y > 0 and else 0.

    Examples
    --------
    >>> import numpy as np
    >>> Relu().forward(np.array([-1.0, 2.0]).reshape(1, 1, 2, 1)).ravel()
    array([0., 2.])
    """

    letters = ("RELU",)
    gradient = "dy * (y > 0)"

    def value(self, x: Array, out: Array) -> None:
        """Write max(x, 0) to `out`."""
        array_module(x).maximum(x, 0, out=out)

    def slope(self, y: Array, out: Array) -> None:
        """Write 1 where y > 0, and 0 elsewhere, to `out`."""
        array_module(y).sign(y, out=out)
