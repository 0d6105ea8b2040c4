"""The convolutional layer (C) of section 2 of the paper. Read next: ``pointwise.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Array, Shape, array_module
from tinympcnn.engine.correlation import correlate, correlate_back, correlate_grad
from tinympcnn.nn.geometry import correlated, count, pair
from tinympcnn.nn.layers.base import Layer


class Conv(Layer):
    """Convolution of all input maps with a bank of filters, on every fragment alike (Algorithms 1 and 2).

    With x the input, (i, j) the taps of the kernel, and all products between vectors and matrices of maps::

        y[f, q, p]  = b + sum_ij x[f, q+i, p+j] @ W[i, j]
        dW[i, j]    = sum_fqp outer(x[f, q+i, p+j], dy[f, q, p])
        db          = sum_fqp dy[f, q, p]
        dx[f, q, p] = sum_ij dy[f, q-i, p-j] @ W[i, j].T

    This is a cross-correlation (no flip); the field says convolution, and so do we from here on.

    Parameters
    ----------
    in_maps, out_maps : int
        Number of maps that come in and go out.
    kernel : int or (int, int)
        Size of the filters, (rows, columns).
    rng : int or numpy.random.Generator, optional
        Seeds the initial weights: uniform within 1 / sqrt(fan-in), which keeps tanh in its slope also behind the
        positive means that max-pooling makes; biases start at zero.

    Examples
    --------
    >>> import numpy as np
    >>> conv = Conv(1, 8, (7, 5), rng=0)
    >>> conv.forward(np.ones((2, 9, 9, 1), np.float32)).shape
    (2, 3, 5, 8)
    """

    in_maps: int

    def __init__(
        self,
        in_maps: int,
        out_maps: int,
        kernel: int | Sequence[int],
        rng: int | np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        self.in_maps, self.out_maps = count(in_maps, "in_maps"), count(out_maps, "out_maps")
        self.kernel = self.window = pair(kernel, "kernel")
        fan_in = self.kernel[0] * self.kernel[1] * self.in_maps
        bound = np.sqrt(1 / fan_in)
        W = np.random.default_rng(rng).uniform(-bound, bound, (*self.kernel, self.in_maps, self.out_maps))
        self.params = {"W": W.astype(np.float32), "b": np.zeros(self.out_maps, np.float32)}
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_maps}, {self.out_maps}, {self.kernel})"

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments but `rng`."""
        return {"in_maps": self.in_maps, "out_maps": self.out_maps, "kernel": self.kernel}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (F, H-kh+1, W-kw+1, out_maps)."""
        F, H, W, C = shape
        self.check_maps(C)
        return (F, *correlated((H, W), self.kernel, self), self.out_maps)

    def flop(self, shape: Shape) -> int:
        """Return two operations for each tap, input map, output map and output pixel."""
        F, h, w, out_maps = self.output_shape(shape)
        return 2 * F * h * w * out_maps * self.kernel[0] * self.kernel[1] * self.in_maps

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the storage of output maps, (F, H-kh+1, W-kw+1, out_maps)."""
        self.output_shape(x.shape)
        array_module(x, self.params["W"])
        self.cache = x if train else None
        return correlate(x, self.params["W"], self.params["b"])

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Add to the gradients of W and b; return that of the input, or None with ``input_grad=False``."""
        x = self.take_cache()
        self.check_dy(dy, self.output_shape(x.shape))
        correlate_grad(x, dy, self.grads["W"], self.grads["b"])
        return correlate_back(dy, self.params["W"]) if input_grad else None


class FullyConnected(Conv):
    """The fully connected layer (FC): a convolution over the whole remaining window.

    On a patch the remaining window is all there is, and the layer is the usual product with a matrix; on a storage
    the same product is taken at every position. With ``window=1`` it mixes the maps of single pixels.

    Parameters
    ----------
    in_maps, out : int
        Maps that come in, units that go out.
    window : int or (int, int)
        What is left of the patch when it arrives here, (rows, columns).
    rng : int or numpy.random.Generator, optional
        Seeds the initial weights, as in Conv.

    Examples
    --------
    >>> import numpy as np
    >>> FullyConnected(48, 200, window=3, rng=0).forward(np.ones((1, 3, 3, 48), np.float32)).shape
    (1, 1, 1, 200)
    """

    def __init__(
        self,
        in_maps: int,
        out: int,
        window: int | Sequence[int] = 1,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        super().__init__(in_maps, out, pair(window, "window"), rng)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments but `rng`."""
        return {"in_maps": self.in_maps, "out": self.out_maps, "window": self.kernel}
