"""The max-pooling layers: MP for patches (section 2 of the paper), and MPF, the paper's contribution, for whole images.

The MaxPoolingFragment layer is section 3.2 with Algorithms 3 and 4. The literal form of both algorithms, on lists of
fragments of any size, is in ``nn/reference.py``; the tests hold this layer against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Pair, Shape, array_module, is_device_array
from tinympcnn.errors import UsageError
from tinympcnn.nn.fragments import merge
from tinympcnn.nn.geometry import fragmented, pooled
from tinympcnn.nn.layers.base import KLayer, register_layer

PLACES = 256  # places in a window that uint8 tells apart


def window_max(x: Array, k: Pair, step: Pair, y: Array, winners: Array | None) -> None:
    """Write to `y` the maximum of every window of `x`, and to `winners` its place in the window.

    Windows have the size k = (kh, kw) and the distance `step`. The place is ``i*kw + j``, in uint8, of the first
    maximum in row-major order: a later value wins only if it is larger.
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


class Pool(KLayer):
    """What both max-pooling layers have in common: the size `k` of their windows, and what they keep."""

    keeps = ""
    window = step = property(lambda self: self.k)

    def __init__(self, k: int | Sequence[int]) -> None:
        super().__init__(k)
        if prod(self.k) > PLACES:
            raise UsageError(f"a pool has at most {PLACES} pixels, not {self.k[0]}x{self.k[1]}; use two smaller ones")

    def kept_bytes(self, shape: Shape) -> int:
        """Return one byte for each output: which pixel of its window won."""
        return prod(shape)


@register_layer
class MaxPool(Pool):
    """The maximum of every kh x kw window of a grid of windows; rows and columns that fill no window are dropped.

    With (i, j) running over the window, and of equal values the first in row-major order as the winner::

        y[f, q, p]  = max_ij x[f, kh*q+i, kw*p+j]
        dx[f, kh*q+i, kw*p+j] = dy[f, q, p] if (i, j) is the place of the winner, else 0

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

    def as_image(self) -> MaxPoolFragment:
        """Return the same pooling at all offsets."""
        return MaxPoolFragment(self.k)

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
        """Return dx, which is zero except at the winners: windows do not overlap, so each place is written once."""
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


@register_layer
class MaxPoolFragment(Pool):
    """Max-pooling at all kh*kw offsets of the grid of windows: each offset (r, c) gives one fragment.

    With f the source fragment and (i, j) running over the window::

        y[f*kh*kw + r*kw + c, q, p] = max_ij x[f, r + kh*q + i, c + kw*p + j]
        dx[f, r + kh*q + i, c + kw*p + j] += dy[f*kh*kw + r*kw + c, q, p]   where (i, j) is the winner

    The windows of all offsets together are the windows at every position. So ``MP.fwd(f(r:end, c:end), P)`` for
    all (r, c) is the maximum m over the window at every position: fragment (r, c) is m[r::kh, c::kw], and the winners
    are the paper's mpIDXS. Going back, the gradients of the fragments are merged in the same way into one dense map,
    and each tap (i, j) adds the gradients of the windows that it won. Windows of one offset do not overlap, but windows
    of different offsets do, hence the sum (Figure 2, bottom).

    A map of H x W splits if (H+1) % kh == 0 and (W+1) % kw == 0.

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
    letters, form = ("MPF", "MP"), "MPFkxk"

    def as_patch(self) -> MaxPool:
        """Return the same pooling of one grid of windows."""
        return MaxPool(self.k)

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

        if is_device_array(x):
            engine.split_maxima(x, self.k, y, winners)
        else:  # Alg. 3, line 2: for each source fragment
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

        if is_device_array(dy):
            engine.route_back(dy, winners, self.k, dx)
        else:  # Alg. 4, lines 1-2: for each output fragment, gathered by source fragment
            engine.run(route, engine.cache_blocks(F, h, kh * kw * w * C, dy))
        return dx
