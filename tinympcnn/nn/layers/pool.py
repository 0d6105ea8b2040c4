"""The max-pooling layer (MP) of section 2 of the paper, for patches. Read next: ``pool_fragment.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Pair, Shape, array_module
from tinympcnn.nn.geometry import pair, pooled
from tinympcnn.nn.layers.base import Layer


def window_max(x: Array, k: Pair, step: Pair, y: Array, winners: Array | None) -> None:
    """Write to `y` the maximum of every kh x kw window of `x`, and to `winners` where in its window it stands.

    Parameters
    ----------
    x : array, shape (F, H, W, C)
    k, step : (rows, columns)
        Size of the windows, and the distance from one window to the next.
    y : array, shape (F, h, w, C)
    winners : array of uint8, shape (F, h, w, C), optional
        ``i*kw + j`` of the first maximum in row-major order: a later value wins only if it is larger.
    """
    xp = array_module(x, y)
    h, w = y.shape[1:3]

    def tap(code: int) -> Array:
        i, j = divmod(code, k[1])
        return x[:, i : i + step[0] * h : step[0], j : j + step[1] * w : step[1]][:, :h, :w]

    best = tap(0)
    for code in range(1, k[0] * k[1]):
        if winners is not None and code == 1:
            xp.greater(tap(1), best, out=winners.view("bool"))
        elif winners is not None:
            better = xp.greater(tap(code), best).view("uint8")
            better *= xp.uint8(code)  # codes grow, so the larger code is the later, better tap
            xp.maximum(winners, better, out=winners)
        best = xp.maximum(best, tap(code), out=y)
    if k == (1, 1):
        y[...] = best
        if winners is not None:
            winners[...] = 0


class MaxPool(Layer):
    """The maximum of every kh x kw window of a grid of windows; rows and columns that fill no window are dropped.

    With (i, j) running over the window, ties going to the first in row-major order::

        y[f, q, p]  = max_ij x[f, kh*q+i, kw*p+j]
        dx[f, kh*q+i, kw*p+j] = dy[f, q, p] if (i, j) is where the maximum stands, else 0

    Parameters
    ----------
    k : int or (int, int)
        Size of the windows, (rows, columns).

    Examples
    --------
    >>> import numpy as np
    >>> pool = MaxPool(2)
    >>> pool.forward(np.array([[3.0, 1, 4], [1, 5, 9]]).reshape(1, 2, 3, 1)).ravel()
    array([5.])
    >>> pool.backward(np.ones((1, 1, 1, 1)))[0, :, :, 0]
    array([[0., 0., 0.],
           [0., 1., 0.]])
    """

    def __init__(self, k: int | Sequence[int]) -> None:
        super().__init__()
        self.k = self.window = self.step = pair(k, "k")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.k})"

    def config(self) -> dict[str, Any]:
        """Return the constructor's argument."""
        return {"k": self.k}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (F, H // kh, W // kw, C)."""
        F, H, W, C = shape
        return (F, *pooled((H, W), self.k, self), C)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the storage of maxima, (F, H // kh, W // kw, C)."""
        F, h, w, C = self.output_shape(x.shape)
        y = engine.empty((F, h, w, C), x)
        winners = engine.empty(y.shape, x, "uint8") if train else None
        kh = self.k[0]

        def pool(block: engine.Block) -> None:
            f, q = block
            window_max(x[f, kh * q.start : kh * q.stop], self.k, self.k, y[f, q],
                       None if winners is None else winners[f, q])  # fmt: skip

        engine.run(pool, engine.cache_blocks(F, h, kh * x.shape[2] * C, x))
        self.cache = (x.shape, winners) if train else None
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx, zero but for the winners: windows do not overlap, so each place is written once."""
        shape, winners = self.take_cache()
        self.check_dy(dy, winners.shape)
        xp = array_module(dy, winners)
        (kh, kw), (F, h, w, _) = self.k, dy.shape
        dx = engine.empty(shape, dy)
        if shape[1:3] != (h * kh, w * kw):
            dx[...] = 0  # the dropped rows and columns

        def route(block: engine.Block) -> None:
            f, q = block
            for code in range(kh * kw):
                i, j = divmod(code, kw)
                tap = dx[f, kh * q.start + i : kh * q.stop : kh, j : w * kw : kw]
                xp.multiply(dy[f, q], winners[f, q] == code, out=tap)

        engine.run(route, engine.cache_blocks(F, h, kh * kw * w * shape[3], dy))
        return dx
