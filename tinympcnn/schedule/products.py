"""Matrix products whose rounding depends neither on how an image is tiled nor on the number of threads."""

from __future__ import annotations

from functools import cache

import numpy as np

from tinympcnn.backend import Array, array_module, is_device_array
from tinympcnn.schedule.blocks import GEMM_ROWS
from tinympcnn.schedule.threads import single_threaded_blas
from tinympcnn.schedule.workspace import empty


@cache
def row_period(dtype: np.dtype) -> int:
    """Return the period with which BLAS's rounding of a row depends on the row's place in a product.

    Measured: a product of GEMM_ROWS identical rows, which gives identical rows where the place does not matter.
    """
    rng = np.random.default_rng(0)
    with single_threaded_blas():
        for maps in (63, 48, 200):  # together they visit every register block: 16, 8, 4, 2, 1 and the rest
            y = np.tile(rng.standard_normal(61), (GEMM_ROWS, 1)).astype(dtype)
            y = y @ rng.standard_normal((61, maps)).astype(dtype)
            for period in (1, 2, 4, 8, 12, 16, 24, 48):
                if (y.reshape(-1, period, maps) == y[:period]).all():
                    break
            if period > 1:
                return period
    return 1


def pitch(columns: int, like: Array) -> int:
    """Return the distance at which rows of `columns` pixels follow each other in a product."""
    if is_device_array(like):
        return columns
    period = row_period(like.dtype)
    return -(-columns // period) * period


def product_rows(pixels: int, like: Array) -> int:
    """Return the number of rows of which a product over the `pixels` of a storage must have a multiple."""
    return 1 if is_device_array(like) or pixels < GEMM_ROWS else GEMM_ROWS


def product(a: Array, W: Array, n: int, multiple: int, out: Array | None = None) -> Array:
    """Return the first `n` rows of ``a @ W``, in products of exactly `multiple` rows (1: in one product).

    Parameters
    ----------
    a : array, shape (n or more, K)
        Rows after the first `n` only fill up the last product; where they are missing, zeros do.
    W : array, shape (K, maps)
    out : array, shape (n, maps), optional
        Where to write the result.
    """
    xp, maps = array_module(a, W), W.shape[1]
    y = empty((n, maps), a) if out is None else out
    if multiple == 1:
        return xp.matmul(a[:n], W, out=y)
    full = n - n % multiple
    if full:
        xp.matmul(a[:full].reshape(-1, multiple, a.shape[1]), W, out=y[:full].reshape(-1, multiple, maps))
    if full < n:
        tail = a[full : full + multiple]
        if len(tail) < multiple:
            tail = empty((multiple, a.shape[1]), a)
            tail[: n - full], tail[n - full :] = a[full:n], 0
        y[full:] = xp.matmul(tail, W)[: n - full]
    return y
