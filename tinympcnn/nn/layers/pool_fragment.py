"""The MaxPoolingFragment layer (MPF), the paper's contribution: section 3.2, Algorithms 3 and 4.

The literal form of both algorithms, on lists of fragments of any size, is in ``reference.py``; the tests hold this
layer against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Shape, array_module
from tinympcnn.nn.fragments import merge
from tinympcnn.nn.geometry import fragmented, pair
from tinympcnn.nn.layers.base import Layer
from tinympcnn.nn.layers.pool import MaxPool, window_max


class MaxPoolFragment(Layer):
    """Max-pooling at all kh*kw offsets of the grid of windows: each offset (r, c) gives one fragment.

    With f the source fragment and (i, j) running over the window::

        y[f*kh*kw + r*kw + c, q, p] = max_ij x[f, r + kh*q + i, c + kw*p + j]
        dx[f, r + kh*q + i, c + kw*p + j] += dy[f*kh*kw + r*kw + c, q, p]   where (i, j) is the winner

    The windows of all offsets together are the windows at every position. So ``MP.fwd(f(r:end, c:end), P)`` for
    all (r, c) is the maximum m over the window at every position, of which fragment (r, c) is m[r::kh, c::kw];
    and its winners are the paper's mpIDXS. Going back, the fragments' gradients are merged in the same way into
    one dense map, and each tap (i, j) adds those of its windows that it won: windows of one offset do not overlap,
    but those of different offsets do, hence the sum (Figure 2, bottom).

    Parameters
    ----------
    k : int or (int, int)
        Size of the windows, (rows, columns). A map of H x W splits if (H+1) % kh == 0 and (W+1) % kw == 0.

    Examples
    --------
    >>> import numpy as np
    >>> pool = MaxPoolFragment(2)
    >>> x = np.array([[3.0, 1, 4], [1, 5, 9], [2, 6, 5]]).reshape(1, 3, 3, 1)
    >>> pool.forward(x).ravel()
    array([5., 9., 6., 9.])
    >>> pool.backward(np.ones((4, 1, 1, 1)))[0, :, :, 0]
    array([[0., 0., 0.],
           [0., 1., 2.],
           [0., 1., 0.]])
    """

    splits = True
    patch_twin = MaxPool

    def __init__(self, k: int | Sequence[int]) -> None:
        super().__init__()
        self.k = self.window = self.step = pair(k, "k")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.k})"

    def config(self) -> dict[str, Any]:
        """Return the constructor's argument."""
        return {"k": self.k}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (F*kh*kw, (H+1)//kh - 1, (W+1)//kw - 1, C)."""
        F, H, W, C = shape
        return (F * self.k[0] * self.k[1], *fragmented((H, W), self.k, self), C)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the storage of F*kh*kw fragments (Algorithm 3)."""
        _, h, w, C = self.output_shape(x.shape)
        F, (kh, kw) = x.shape[0], self.k
        y = engine.empty((F, kh, kw, h, w, C), x)
        winners = engine.empty((F, kh * h, kw * w, C), x, "uint8") if train else None  # mpIDXS of all offsets

        def pool(block: engine.Block) -> None:
            f, q = block
            dense = slice(kh * q.start, kh * q.stop)
            m = engine.empty((f.stop - f.start, dense.stop - dense.start, kw * w, C), x)
            # Alg. 3, line 5: [a, b] = MP.fwd(f(r:end, c:end), P), for all offsets at once
            window_max(x[f, dense.start : dense.stop + kh - 1], self.k, (1, 1), m,
                       None if winners is None else winners[f, dense])  # fmt: skip
            # Alg. 3, lines 3-4 and 6: one fragment per offset, y[f, r, c] = m[:, r::kh, c::kw], all (r, c) in one copy
            engine.copy(m.reshape(len(m), -1, kh, w, kw, C).transpose(0, 2, 4, 1, 3, 5), into=y[f, :, :, q])

        # Alg. 3, line 2: for each source fragment
        engine.run(pool, engine.cache_blocks(F, h, kh * kw * w * C, x))
        self.cache = (x.shape, winners) if train else None
        return y.reshape(F * kh * kw, h, w, C)

    def backward(self, dy: Array) -> Array:
        """Return the gradient of the source storage (Algorithm 4)."""
        shape, winners = self.take_cache()
        self.check_dy(dy, self.output_shape(shape))
        xp = array_module(dy, winners)
        (F, H, _, C), (kh, kw), (h, w) = shape, self.k, dy.shape[1:3]
        # Alg. 4, line 3: findSourceFragment(i) = i // (kh*kw)
        deltas = dy.reshape(F, kh * kw, h, w, C)
        dx = engine.empty(shape, dy)

        def route(block: engine.Block) -> None:
            f, q = block
            start, stop = kh * q.start, H if q.stop == h else kh * q.stop  # rows of dx that this block sums up
            first = max(q.start - 1, 0)  # rows of windows that reach into them: one row of fragments more
            top, bottom = kh * first, kh * q.stop
            delta = merge(deltas[f, :, first : q.stop].reshape(-1, q.stop - first, w, C), [self.k])
            won = engine.empty(delta.shape, dy)
            total = dx[f, start:stop]
            total[...] = 0
            for code in range(kh * kw):
                i, j = divmod(code, kw)
                low, high = max(top, start - i), min(bottom, stop - i)
                rows, into = slice(low - top, high - top), slice(low + i - start, high + i - start)
                # Alg. 4, line 4: f_s = f_s + MP_bkp(delta_i, mpIDXS_i)
                xp.multiply(delta[:, rows], winners[f, low:high] == code, out=won[:, rows])
                target = total[:, into, j : j + kw * w]
                xp.add(target, won[:, rows], out=target)

        # Alg. 4, lines 1-2: for each output fragment, gathered by source fragment
        engine.run(route, engine.cache_blocks(F, h, kh * kw * w * C, dy))
        return dx


MaxPool.image_twin = MaxPoolFragment
