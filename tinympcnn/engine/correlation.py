"""Cross-correlation as windows times a matrix, and its two gradients: the fast form of ``nn/layers/conv.py``.

The loop over fragments of Algorithms 1 and 2 runs over blocks of fragments and rows, which ``blocks.py`` cuts;
``im2col.py`` decides how the windows of a block lie in memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinympcnn.engine.backend import Array, Pair, array_module, is_device_array
from tinympcnn.engine.blocks import Block, fragment_blocks, window_blocks
from tinympcnn.engine.im2col import window_gradients, window_products
from tinympcnn.engine.matmul import multiply, pitch, unpacked
from tinympcnn.engine.threads import accumulate, run
from tinympcnn.engine.workspace import contiguous, copy, empty

ADD, RUN = 12, 700  # the cost of adding a number and of adding one run of numbers, in products with one map
PACKED = 1.15  # the cost of a product with a window whose factors BLAS copies, in products that need no copies


def correlate(x: Array, W: Array, b: Array | None = None, border: Pair = (0, 0)) -> Array:
    """Cross-correlate every fragment of `x` (F, H, W, C) with `W` (kh, kw, C, out_maps), and add `b` (out_maps,).

    The border is the rows and the columns of zeros on each side; (kh-1, kw-1) makes the "full" correlation. The result
    is (F, H + 2*rows - kh + 1, W + 2*columns - kw + 1, out_maps).
    """
    xp = array_module(x, W)
    F, H, width, _ = x.shape
    kh, kw, C, maps = W.shape
    if maps == 1 and not is_device_array(x):  # NumPy takes another function there, which rounds rows by their place
        twice = correlate(x, np.repeat(W, 2, axis=3), None if b is None else np.repeat(b, 2), border)
        return contiguous(twice[..., :1])
    matrix = xp.ascontiguousarray(W.reshape(-1, maps))
    h, w = H + 2 * border[0] - kh + 1, width + 2 * border[1] - kw + 1
    y = empty((F, h, w, maps), x)
    distance = pitch(w, x)
    x, out = _joined((kh, kw), x, y)
    bias = b if b is None or is_device_array(b) else b[None].repeat(w, axis=0)  # NumPy adds long runs faster

    def forward(block: Block) -> None:
        f, q = block
        into = out[f, q]
        rows = _rows(x, f, q.start - border[0], q.stop - border[0] + kh - 1, border[1])
        pixels = window_products(rows, matrix, (kh, kw), distance, into)
        if bias is not None:
            xp.add(pixels, bias, out=into)
        elif pixels is not into:
            copy(pixels, into)

    # Alg. 1: for each fragment, F_out = F_out U fwd(f)
    run(forward, window_blocks((*out.shape[:2], distance), kh, kw * C, maps, x), x)
    return y


def correlate_grad(x: Array, dy: Array, dW: Array, db: Array) -> None:
    """Add to `dW` and `db` the gradients of ``correlate(x, W, b)``, given the gradient `dy` of its result."""
    xp = array_module(x, dy, dW)
    kh, kw, C, maps = dW.shape
    x, dy = _joined((kh, kw), x, dy)

    def grad(block: Block, dW: Array, db: Array) -> None:
        f, q = block
        more_W, more_b = window_gradients(x[f, q.start : q.stop + kh - 1], dy[f, q], (kh, kw))
        xp.add(dW, more_W, out=dW)
        xp.add(db, more_b, out=db)

    # Alg. 2: for each fragment, g = g + grad(delta, f), a sum and not a mean
    accumulate(grad, window_blocks(dy.shape[:3], kh, kw * C, maps, x), (dW, db))


def correlate_back(dy: Array, W: Array) -> Array:
    """Return the gradient of the input of ``correlate(x, W)``: the full correlation of `dy` with the turned kernel.

    Input pixel (q, p) went through tap (i, j) into output (q-i, p-j): ``dx[q, p] = sum_ij dy[q-i, p-j] @ W[i, j].T``.
    Where maps are small, most taps of the full correlation fall outside; there ``dy[q, p] @ W[i, j].T`` is computed for
    all taps and added to dx[q+i, p+j].
    """
    (_, h, w, maps), (kh, kw, C, _) = dy.shape, W.shape
    cost = 1 if is_device_array(dy) or unpacked(kh * kw * maps, C) else PACKED
    if h * w * (1 + (ADD + RUN / C) / maps) < cost * (h + kh - 1) * (w + kw - 1):
        return _added_up(dy, W)
    return correlate(dy, W[::-1, ::-1].transpose(0, 1, 3, 2), border=(kh - 1, kw - 1))


def _added_up(dy: Array, W: Array) -> Array:
    """Return dx as the sum of the gradients of all windows, fragment by fragment."""
    xp = array_module(dy, W)
    (F, h, w, maps), (kh, kw, C, _) = dy.shape, W.shape
    matrices = W.reshape(kh, kw * C, maps).swapaxes(1, 2)
    dx = empty((F, h + kh - 1, w + kw - 1, C), dy)

    def back(block: Block) -> None:
        f, _ = block
        pixels = contiguous(dy[f]).reshape(-1, maps)
        strips = empty((len(pixels), kw * C), dy)
        dx[f] = 0
        for i in range(kh):
            taps = multiply(pixels, matrices[i], strips).reshape(-1, h, w, kw, C)
            for j in range(kw):
                into = dx[f, i : i + h, j : j + w]
                xp.add(into, taps[:, :, :, j], out=into)

    run(back, fragment_blocks(F, h * w * kw * C, dy), dy)
    return dx


def _rows(x: Array, f: slice, start: int, stop: int, side: int) -> Array:
    """Return ``x[f, start:stop]`` with zeros where rows lie outside and in `side` columns left and right."""
    _, H, W, C = x.shape
    if start >= 0 and stop <= H and not side:
        return x[f, start:stop]
    low, high = max(start, 0), min(stop, H)
    padded = empty((f.stop - f.start, stop - start, W + 2 * side, C), x)
    padded[...] = 0
    copy(x[f, low:high], into=padded[:, low - start : high - start, side : side + W])
    return padded


def _joined(kernel: Pair, *storages: Array) -> Iterator[Array]:
    """Return the storages, as one fragment each if the kernel is 1x1: then the borders of fragments mean nothing."""
    for x in storages:
        yield x.reshape(1, -1, *x.shape[2:]) if kernel == (1, 1) else x
