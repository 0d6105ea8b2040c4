"""Cross-correlation as columns times a matrix, and its two gradients: what Conv and FullyConnected compute.

The window of output pixel (q, p) of fragment f, laid out as one row of kh*kw*C numbers, is a row of the matrix of
columns; then ``y = columns(x) @ W + b``. The loop over fragments of Algorithms 1 and 2 runs over blocks of
fragments and rows, cut by ``schedule`` so that the columns of a block stay in cache and never fill the memory.
"""

from __future__ import annotations

from tinympcnn import schedule
from tinympcnn.backend import Array, array_module
from tinympcnn.geometry import Pair


def columns(x: Array, kernel: Pair, pitch: int = 0, multiple: int = 1) -> Array:
    """Return the columns of all windows of `x`, one row for each output pixel.

    Parameters
    ----------
    x : array, shape (F, H, W, C)
    kernel : (kh, kw)
    pitch : int
        Distance between the first pixels of two output rows; the gap is filled with zeros. At least W - kw + 1.
    multiple : int
        Zeros fill up the rows to a multiple of this (not those of a 1x1 kernel, whose columns are `x` itself).

    Returns
    -------
    array, shape (F * (H-kh+1) * pitch or more, kh * kw * C)

    Examples
    --------
    >>> import numpy as np
    >>> columns(np.arange(6.0).reshape(1, 2, 3, 1), (2, 2))
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.]])
    """
    (F, H, W, C), (kh, kw) = x.shape, kernel
    h, w = H - kh + 1, W - kw + 1
    pitch = pitch or w
    if kernel == (1, 1) and pitch == w:
        return x.reshape(-1, C)
    sf, sr, sp, sc = x.strides
    # a window's kw pixels of C maps lie side by side in memory: they are copied as one run of kw*C numbers
    xp = array_module(x)
    if C == 1:
        sc = sp  # the stride of an axis of length 1 says nothing: it is 0 after image[..., None]
    elif sp != C * sc:
        x = xp.ascontiguousarray(x)
        sf, sr, sp, sc = x.strides
    windows = xp.lib.stride_tricks.as_strided(x, (F, h, w, kh, kw * C), (sf, sr, sp, sr, sc))
    n = F * h * pitch
    matrix = schedule.empty((-(-n // multiple) * multiple, kh * kw * C), x)
    cols = matrix[:n].reshape(F, h, pitch, kh, kw * C)
    cols[:, :, :w] = windows
    cols[:, :, w:], matrix[n:] = 0, 0
    return matrix


def correlate(x: Array, W: Array, b: Array | None = None, border: Pair = (0, 0), tiled: bool = True) -> Array:
    """Cross-correlate every fragment of `x` with `W`, as if `x` had `border` more rows and columns of zeros around.

    Parameters
    ----------
    x : array, shape (F, H, W, C)
    W : array, shape (kh, kw, C, out_maps)
    b : array, shape (out_maps,), optional
    border : (rows, columns)
        With (kh-1, kw-1) this is the "full" correlation.
    tiled : bool
        Whether an output pixel must be the same to the last bit in whatever tile of the image it lies.

    Returns
    -------
    array, shape (F, H + 2*rows - kh + 1, W + 2*columns - kw + 1, out_maps)
    """
    xp = array_module(x, W)
    F, H, width, _ = x.shape
    kh, kw, _, maps = W.shape
    matrix = xp.ascontiguousarray(W.reshape(-1, maps))
    h, w = H + 2 * border[0] - kh + 1, width + 2 * border[1] - kw + 1
    y = schedule.empty((F, h, w, maps), x)
    pitch, multiple = (schedule.pitch(w, x), schedule.product_rows(F * h * w, x)) if tiled else (w, 1)

    def forward(block: schedule.Block) -> None:
        f, q = block
        out = y[f, q]  # whole fragments, or rows of one: its pixels follow each other
        rows = _rows(x, f, q.start - border[0], q.stop - border[0] + kh - 1, border[1])
        n = out.shape[0] * out.shape[1] * pitch
        straight = out.reshape(-1, maps) if pitch == w else None
        pixels = schedule.product(columns(rows, (kh, kw), pitch, multiple), matrix, n, multiple, straight)
        pixels = pixels.reshape(*out.shape[:2], pitch, maps)[:, :, :w]
        if b is not None:
            xp.add(pixels, b, out=out)
        elif straight is None:
            out[...] = pixels

    # Alg. 1: for each fragment, F_out = F_out U fwd(f)
    schedule.run(forward, schedule.gemm_blocks(F, h, w, matrix.shape[0] * x.dtype.itemsize, x, multiple), x)
    return y


def correlate_grad(x: Array, dy: Array, dW: Array, db: Array) -> None:
    """Add to `dW` and `db` the gradients of ``correlate(x, W, b)``, given the gradient `dy` of its result."""
    xp = array_module(x, dy, dW)
    F, h, w, maps = dy.shape
    kh, kw = dW.shape[:2]

    def grad(block: schedule.Block, dW: Array, db: Array) -> None:
        f, q = block
        cols, rows = columns(x[f, q.start : q.stop + kh - 1], (kh, kw)), dy[f, q].reshape(-1, maps)
        matrix = dW.reshape(-1, maps)
        xp.add(matrix, xp.matmul(cols.T, rows, out=schedule.empty(matrix.shape, x)), out=matrix)
        xp.add(db, xp.matmul(xp.ones(len(rows), rows.dtype), rows), out=db)  # a sum over rows, as BLAS does it

    # Alg. 2: for each fragment, g = g + grad(delta, f), a sum and not a mean
    blocks = schedule.gemm_blocks(F, h, w, kh * kw * x.shape[3] * x.dtype.itemsize, x)
    schedule.accumulate(grad, blocks, (dW, db))


def correlate_back(dy: Array, W: Array) -> Array:
    """Return the gradient of the input of ``correlate(x, W)``: the full correlation of `dy` with the turned kernel.

    Input pixel (q, p) went through tap (i, j) into output (q-i, p-j), so
    ``dx[q, p] = sum_ij dy[q-i, p-j] @ W[i, j].T``.
    """
    kh, kw = W.shape[:2]
    return correlate(dy, W[::-1, ::-1].transpose(0, 1, 3, 2), border=(kh - 1, kw - 1), tiled=False)


def _rows(x: Array, f: slice, start: int, stop: int, side: int) -> Array:
    """Return ``x[f, start:stop]`` with zeros where rows lie outside and in `side` columns left and right."""
    _, H, W, C = x.shape
    if start >= 0 and stop <= H and not side:
        return x[f, start:stop]
    low, high = max(start, 0), min(stop, H)
    padded = schedule.empty((f.stop - f.start, stop - start, W + 2 * side, C), x)
    padded[...] = 0
    padded[:, low - start : high - start, side : side + W] = x[f, low:high]
    return padded
