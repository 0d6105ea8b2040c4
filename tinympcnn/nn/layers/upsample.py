"""Upsample: the way back up in a U-Net. Each pixel is repeated, and the convolution that follows learns the rest.

The other usual way up is a transposed convolution with its step as kernel. A 3x3 convolution behind Upsample sees as
much, costs the same parameters, and leaves no checkerboard, so the library has no layer for the transposed convolution.
"""

from __future__ import annotations

import numpy as np

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Shape, array_module
from tinympcnn.nn.geometry import Sizes
from tinympcnn.nn.layers.base import KLayer, register_layer


@register_layer
class Upsample(KLayer):
    """Each pixel becomes kh x kw equal pixels.

    With (i, j) running over the repetitions::

        y[f, kh*q + i, kw*p + j] = x[f, q, p]
        dx[f, q, p]              = sum_ij dy[f, kh*q + i, kw*p + j]

    Examples
    --------
    >>> layer = Upsample((1, 2))
    >>> layer.forward(np.array([1.0, 2]).reshape(1, 1, 2, 1)).ravel()
    array([1., 1., 2., 2.])
    >>> layer.backward(np.arange(4.0).reshape(1, 1, 4, 1)).ravel()
    array([1., 5.])
    """

    keeps = ""
    letters, form = ("U",), "Ukxk"
    up = property(lambda self: self.k)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (F, H*kh, W*kw, C)."""
        F, H, W, C = shape
        return (F, H * self.k[0], W * self.k[1], C)

    def sizes_before(self, sizes: Sizes, axis: int) -> Sizes:
        """Return the input sizes whose multiples by k are among `sizes`."""
        return sizes.divided(self.k[axis], self)

    def seen(self, first: np.ndarray, last: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs of which the outputs from `first` to `last` are repetitions."""
        return first // self.k[axis], last // self.k[axis]

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the storage of enlarged maps."""
        (F, h, w, C), (kh, kw) = x.shape, self.k
        y = engine.empty((F, h, kh, w, kw, C), x)
        repeated = array_module(x).broadcast_to(x[:, :, None, :, None], y.shape)

        def repeat(block: engine.Block) -> None:
            engine.copy(repeated[block], into=y[block])

        engine.run(repeat, engine.cache_blocks(F, h, kh * kw * w * C, x), x)
        self.cache = x.shape if train else None
        return y.reshape(F, h * kh, w * kw, C)

    def backward(self, dy: Array) -> Array:
        """Return the sums over the repetitions."""
        shape = self.take_cache()
        self.check_dy(dy, self.output_shape(shape))
        (F, h, w, C), (kh, kw), xp = shape, self.k, array_module(dy)
        dx = engine.empty(shape, dy)

        def add_up(block: engine.Block) -> None:
            f, q = block
            taps = dy[f, kh * q.start : kh * q.stop]
            total = dx[f, q]
            total[...] = taps[:, ::kh, ::kw]
            for i, j in np.ndindex(kh, kw):
                if i or j:
                    xp.add(total, taps[:, i::kh, j::kw], out=total)

        engine.run(add_up, engine.cache_blocks(F, h, kh * kw * w * C, dy), dy)
        return dx
