"""The convolutional layer (C) and the fully connected layer (FC) of section 2 of the paper.

`plain_forward` and `plain_gradients` are the layer in a few lines, as products of matrices on a whole storage. The
layer itself calls ``engine.correlate``, which computes the same numbers block by block; the tests hold both together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Shape, array_module
from tinympcnn.nn.geometry import correlated, count, pair
from tinympcnn.nn.layers.base import Layer, Shapes, register_layer


def plain_forward(x: Array, W: Array, b: Array) -> Array:
    """Return the convolution of `x` in its plainest form, ``y = columns(x) @ W + b``.

    x is (F, H, W, C), W is (kh, kw, C, out_maps), b is (out_maps,), and y is (F, H-kh+1, W-kw+1, out_maps).

    Examples
    --------
    >>> x, W, b = np.arange(6.0).reshape(1, 2, 3, 1), np.ones((2, 2, 1, 1)), np.zeros(1)
    >>> plain_forward(x, W, b).ravel()
    array([ 8., 12.])
    """
    (F, H, width, _), (kh, kw, _, maps) = x.shape, W.shape
    columns = engine.columns(x, (kh, kw))  # one row of kh*kw*C numbers for each output pixel: the window it sees
    y: Array = columns @ W.reshape(-1, maps) + b
    return y.reshape(F, H - kh + 1, width - kw + 1, maps)


def plain_gradients(x: Array, dy: Array, W: Array) -> tuple[Array, Array, Array]:
    """Return the gradients (dx, dW, db) of `plain_forward`, given the gradient `dy` of its output.

    ``dW = columns(x).T @ dy`` and ``db`` is the sum of dy. ``dy @ W.T`` is the gradient of the columns; dx adds up, for
    every input pixel, the columns in which the pixel stands.
    """
    (F, h, w, maps), (kh, kw, C, _) = dy.shape, W.shape
    rows = dy.reshape(-1, maps)
    dW, db = engine.columns(x, (kh, kw)).T @ rows, rows.sum(axis=0)
    dcolumns = (rows @ W.reshape(-1, maps).T).reshape(F, h, w, kh, kw, C)
    dx = array_module(x).zeros_like(x)
    for i in range(kh):
        for j in range(kw):
            dx[:, i : i + h, j : j + w] += dcolumns[:, :, :, i, j]
    return dx, dW.reshape(W.shape), db


@register_layer
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
        The number of maps that come in and go out.
    kernel : int or (int, int)
        The size of the filters, (rows, columns).
    rng : int or numpy.random.Generator, optional
        The seed of the initial weights. They are uniform within 1 / sqrt(fan-in), which keeps tanh in its slope even
        behind the positive means that max-pooling makes; biases start at zero.

    Examples
    --------
    >>> conv = Conv(1, 8, (7, 5), rng=0)
    >>> conv.forward(np.ones((2, 9, 9, 1), np.float32)).shape
    (2, 3, 5, 8)
    """

    in_maps: int
    out_maps: int
    letters, form = ("C",), "CkxkxM"
    tanh_follows = True

    def __init__(
        self, in_maps: int, out_maps: int, kernel: int | Sequence[int], rng: int | np.random.Generator | None = None
    ) -> None:
        super().__init__()
        self.in_maps, self.out_maps = count(in_maps, "in_maps"), count(out_maps, "out_maps")
        self.kernel = self.window = pair(kernel, "kernel")
        shape = (*self.kernel, self.in_maps, self.out_maps)
        bound = np.sqrt(1 / np.prod(shape[:3]))
        W = np.random.default_rng(rng).uniform(-bound, bound, shape)
        self.params = {"W": W.astype(np.float32), "b": np.zeros(self.out_maps, np.float32)}
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}

    @classmethod
    def param_shapes(cls, config: dict[str, Any]) -> Shapes:
        """Return the shapes of W and b."""
        maps = config["out_maps"]
        return {"W": (*config["kernel"], config["in_maps"], maps), "b": (maps,)}

    @classmethod
    def from_word(cls, sizes: tuple[int, ...], in_maps: int, rng: np.random.Generator) -> dict[str, Any]:
        """Return the arguments for CkxkxM."""
        kh, kw, maps = sizes
        return {"in_maps": in_maps, "out_maps": maps, "kernel": (kh, kw), "rng": rng}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (F, H-kh+1, W-kw+1, out_maps)."""
        F, H, W, C = shape
        self.check_maps(C)
        return (F, *correlated((H, W), self.kernel, self), self.out_maps)

    def flop(self, shape: Shape) -> int:
        """Return two operations for each tap, input map, output map and output pixel."""
        F, h, w, out_maps = self.output_shape(shape)
        return 2 * F * h * w * out_maps * self.kernel[0] * self.kernel[1] * self.in_maps

    def block_bytes(self, shape: Shape, itemsize: int) -> int:
        """Return the bytes that one thread needs to lay out the windows of a block."""
        kh, kw = self.kernel
        return engine.block_bytes(shape[2], kh, kw * self.in_maps, self.out_maps, itemsize)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the storage of output maps, (F, H-kh+1, W-kw+1, out_maps): `plain_forward`, fast."""
        self.output_shape(x.shape)
        y = engine.correlate(x, self.params["W"], self.params["b"])
        self.cache = x if train else None
        return y

    def backward(self, dy: Array) -> Array:
        """Add to the gradients of W and b, and return the gradient of the input: `plain_gradients`, fast."""
        Conv.backward_params(self, dy)
        return engine.correlate_back(dy, self.params["W"])

    def backward_params(self, dy: Array) -> None:
        """Add to the gradients of W and b."""
        x = self.take_cache()
        self.check_dy(dy, self.output_shape(x.shape))
        engine.correlate_grad(x, dy, self.grads["W"], self.grads["b"])


@register_layer
class FullyConnected(Conv):
    """The fully connected layer (FC): a convolution over the whole remaining window.

    On a patch the remaining window is all there is, and the layer is the usual product with a matrix; on a storage
    the same product is taken at every position. With ``window=1`` it mixes the maps of single pixels. `out` is the
    number of units, `window` the size of what is left of the patch here; the other parameters are those of Conv.

    Examples
    --------
    >>> FullyConnected(48, 200, window=3, rng=0).forward(np.ones((1, 3, 3, 48), np.float32)).shape
    (1, 1, 1, 200)
    """

    letters, form = ("FC",), "FCM or FCwxwxM"

    def __init__(
        self, in_maps: int, out: int, window: int | Sequence[int] = 1, rng: int | np.random.Generator | None = None
    ) -> None:
        super().__init__(in_maps, out, pair(window, "window"), rng)
        self.out = self.out_maps

    @classmethod
    def param_shapes(cls, config: dict[str, Any]) -> Shapes:
        """Return the shapes of W and b."""
        return {"W": (*config["window"], config["in_maps"], config["out"]), "b": (config["out"],)}

    @classmethod
    def from_word(cls, sizes: tuple[int, ...], in_maps: int, rng: np.random.Generator) -> dict[str, Any]:
        """Return the arguments for FCM or FCwxwxM."""
        kh, kw, out = sizes if len(sizes) > 1 else (1, 1, *sizes)
        return {"in_maps": in_maps, "out": out, "window": (kh, kw), "rng": rng}
