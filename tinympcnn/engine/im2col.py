"""How the windows of a block lie in memory so that a matrix product over all of them is fast.

The plain form is a matrix of columns: one row of kh*kw*C numbers for each window, which repeats a pixel kh*kw times.
A GPU multiplies that matrix. On a CPU writing the matrix costs a third of the time of the product, so there windows
overlap in memory: a strip is the kw*C numbers that a window sees of one row of the image, and a window is kh strips
one after the other.
"""

from __future__ import annotations

import numpy as np

from tinympcnn.engine.backend import Array, Pair, array_module, is_device_array
from tinympcnn.engine.blocks import written_out
from tinympcnn.engine.matmul import multiply, product, product_rows, sum_parts
from tinympcnn.engine.workspace import contiguous, copy, empty


def columns(x: Array, kernel: Pair) -> Array:
    """Return the columns of all windows of `x` (F, H, W, C), one row for each output pixel: (F * h * w, kh * kw * C).

    Examples
    --------
    >>> import numpy as np
    >>> columns(np.arange(6.0).reshape(1, 2, 3, 1), (2, 2))
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.]])
    """
    kh, kw = kernel
    if kernel == (1, 1):
        return x.reshape(-1, x.shape[3])
    windows = _windows(x, kernel)
    cols = empty(windows.shape, x)
    copy(windows, cols)
    return cols.reshape(-1, kh * kw * x.shape[3])


def _windows(x: Array, kernel: Pair) -> Array:
    """Return all windows of `x` (F, H, W, C) as a view, (F, H-kh+1, W-kw+1, kh, kw * C): a strip of each row."""
    seen = strips(x, kernel[1])
    (F, H, w, size), (sf, sr, sp, sc) = seen.shape, seen.strides
    return _strided(seen, (F, H - kernel[0] + 1, w, kernel[0], size), (sf, sr, sp, sr, sc))


def strips(x: Array, kw: int) -> Array:
    """Return what windows kw columns wide see of every row of `x` (F, H, W, C), as a view: strips overlap.

    The kw*C numbers of a strip lie side by side in memory: (F, H, W-kw+1, kw * C).
    """
    F, H, W, C = x.shape
    if C > 1 and x.strides[2] != C * x.strides[3]:
        x = array_module(x).ascontiguousarray(x)
    sf, sr, sp, sc = x.strides
    if C == 1:
        sc = sp  # the stride of an axis of length 1 says nothing: it is 0 after image[..., None]
    return _strided(x, (F, H, W - kw + 1, kw * C), (sf, sr, sp, sc))


def window_products(x: Array, matrix: Array, kernel: Pair, pitch: int, out: Array) -> Array:
    """Return the product of every window of `x` (F, H, W, C) with a matrix: ``columns(x, kernel) @ matrix``.

    The matrix is (kh * kw * C, maps), the result (F, H-kh+1, W-kw+1, maps); it is `out`, of that shape, where the
    product could be written there. `pitch`, at least W-kw+1, is the distance at which the windows of two fragments
    follow each other in a product.
    """
    (F, _, _, C), (kh, kw), (h, w, maps) = x.shape, kernel, out.shape[1:]
    array_module(x, matrix)
    if is_device_array(x) and out.flags.c_contiguous:
        multiply(columns(x, kernel), matrix, out.reshape(-1, maps))
        return out
    if is_device_array(x):
        return multiply(columns(x, kernel), matrix).reshape(out.shape)
    if kernel == (1, 1) and pitch == w and out.flags.c_contiguous:  # the windows are the pixels
        product(contiguous(x).reshape(-1, C), matrix, out.reshape(-1, maps))
        return out
    if written_out((F, h, pitch), kh, kw * C, maps, x.dtype):
        return _written_out(x, matrix, kernel, pitch)[:, :, :w]
    windows = _overlapping(x, kernel, pitch, *product_rows(*matrix.shape, x.dtype).shared(F * pitch))
    y = multiply(windows, matrix, empty((*windows.shape[:3], maps), x)).reshape(h, -1, maps)
    return y[:, : F * pitch].reshape(h, F, pitch, maps)[:, :, :w].swapaxes(0, 1)


def _written_out(x: Array, matrix: Array, kernel: Pair, pitch: int) -> Array:
    """Return the products (F, H-kh+1, pitch, maps) of windows that are copied one by one.

    A row of windows of one small image does not fill a product, but all its windows fill a few. A window keeps its
    place in the period of BLAS's rounding, so not a bit of its product changes.
    """
    windows = _windows(x, kernel)
    (F, h, w, kh, size), (K, maps) = windows.shape, matrix.shape
    products, rows = product_rows(K, maps, x.dtype).shared(n := F * h * pitch)
    cols = empty((products * rows, K), x)
    used = cols[:n].reshape(F, h, pitch, kh, size)
    copy(windows, used[:, :, :w])
    used[:, :, w:], cols[n:] = 0, 0
    y = multiply(cols.reshape(products, rows, K), matrix, empty((products, rows, maps), x))
    return y.reshape(-1, maps)[:n].reshape(F, h, pitch, maps)


def _overlapping(x: Array, kernel: Pair, pitch: int, groups: int, rows: int) -> Array:
    """Return all windows of `x`, by rows of the image and in `groups` of `rows`: (H-kh+1, groups, rows, kh*kw*C).

    The strips of a column of windows lie one below the other; the windows begin a strip apart, and overlap.
    """
    (F, H, W, C), (kh, kw) = x.shape, kernel
    w = W - kw + 1
    memory = empty((groups * rows, H, kw * C), x)
    used = memory[: F * pitch].reshape(F, pitch, H, kw * C)
    copy(strips(x, kw).swapaxes(1, 2), used[:, :w])
    used[:, w:], memory[F * pitch :] = 0, 0
    column, strip, item = memory.strides
    return _strided(memory, (H - kh + 1, groups, rows, kh * kw * C), (strip, rows * column, column, item))


def window_gradients(x: Array, dy: Array, kernel: Pair) -> tuple[Array, Array]:
    """Return the sums over all windows of its outer product with its gradient, and of the gradient.

    These are ``columns(x, kernel).T @ dy`` as (kh, kw, C, maps) and, with shape (maps,), the sum of dy, for `x`
    (F, H, W, C) and `dy` (F, H-kh+1, W-kw+1, maps).
    """
    (F, _, _, C), (kh, kw), (h, w, maps) = x.shape, kernel, dy.shape[1:]
    if is_device_array(x):
        pixels = dy.reshape(-1, maps)
        dW = multiply(columns(x, kernel).T, pixels)
        return dW.reshape(kh, kw, C, maps), _sum(pixels)
    # rows of strips in the order (row, fragment, column): kernel row i meets the same pixels i rows further on
    memory = contiguous(strips(x, kw).swapaxes(0, 1))
    row, item = memory.strides[0], memory.itemsize
    taps = _strided(memory, (kh, kw * C, h * F * w), (row, item, kw * C * item))
    pixels = contiguous(dy.swapaxes(0, 1)).reshape(-1, maps)
    n = len(pixels)
    size, rest = divmod(n, parts := sum_parts(kh, kw * C, maps, n))
    even = taps[:, :, : n - rest].reshape(kh, kw * C, parts, size).transpose(2, 0, 1, 3)
    products = empty((parts, kh, kw * C, maps), taps)
    multiply(even, pixels[: n - rest].reshape(parts, 1, size, maps), products)
    total: Array = products[0] if parts == 1 else products.sum(axis=0)
    if rest:
        total += multiply(taps[:, :, n - rest :], pixels[n - rest :])
    return total.reshape(kh, kw, C, maps), _sum(pixels)


def _strided(x: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """Return a view of the memory of `x`, in which numbers may stand more than once."""
    if not is_device_array(x) and x.flags.c_contiguous:
        return np.ndarray(shape, x.dtype, x, strides=strides)  # in a tenth of the time of as_strided
    view: Array = array_module(x).lib.stride_tricks.as_strided(x, shape, strides)
    return view


def _sum(pixels: Array) -> Array:
    """Return the sum over rows, as a product: BLAS is faster at it than NumPy."""
    xp = array_module(pixels)
    return multiply(xp.ones(len(pixels), pixels.dtype), pixels)
