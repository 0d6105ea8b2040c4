"""Matrix products whose rounding depends neither on how an image is tiled nor on the number of threads."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from tinympcnn.engine.backend import Array, array_module, is_device_array
from tinympcnn.engine.threads import libraries, single_threaded_blas
from tinympcnn.engine.workspace import empty

UNPACKED = 100**3  # multiplications up to which OpenBLAS makes no packed copies of a product's factors, see below
FEW = 16  # products that may replace a large product if their results have to be added
DEPTH = 64  # the least depth of such products: in shallower ones the adding costs more than they save
HELD = 500  # numbers of a result up to which NumPy's matmul keeps the interpreter, and other threads wait
LEAST_ROWS = 12  # rows of a small product
STEP = 24  # rows of a large product are a multiple of this, and of the 4, 8 or 12 rows that kernels hold in registers
MOST_ROWS = 768  # rows of a large product at most, so that its factors stay in the cache
FIXED_ROWS = 192  # rows of every large product where BLAS rounds products of other sizes differently


def multiply(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return ``a @ b``, without NumPy's warnings of division by zero, overflow and invalid values.

    Some BLAS libraries, Apple's Accelerate among them, raise these flags for products of finite numbers that are right.
    A loss, a gradient or a probability that is really not finite is noticed where it is used.
    """
    xp = array_module(a, b)
    outer = min(a.ndim, b.ndim) > 1 and a.shape[-1] == 1  # a column by a row, for which NumPy does not call BLAS
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        product: Array = xp.multiply(a, b, out=out) if outer else xp.matmul(a, b, out=out)
    return product


def multiply_both(down: np.ndarray, planes: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``down @ planes @ right.T``, planes (..., H, W) changed along both axes, by one thread.

    The bits are those of any number of threads.
    """
    with single_threaded_blas():
        return multiply(multiply(down, planes), right.T)


@cache
def small_products() -> bool:
    """Return whether BLAS is at its best in small products.

    OpenBLAS has kernels for AVX-512 that multiply up to 100**3 numbers without copying them first (the "small matrix
    optimization" in its interface/gemm.c): up to 15 % faster here than its product of large matrices.
    """
    return any(library.get("architecture") in ("SkylakeX", "Cooperlake", "SapphireRapids") for library in libraries())


def unpacked(K: int, maps: int) -> bool:
    """Return whether products with a matrix of K x maps can be so small that BLAS copies none of their factors."""
    return small_products() and LEAST_ROWS * K * maps <= UNPACKED


class Rows(NamedTuple):
    """How many rows the products with one matrix have: a multiple of `step`, at most `most`."""

    step: int
    most: int

    def shared(self, n: int) -> tuple[int, int]:
        """Return the number of products that `n` windows need at least, and the number of rows of each."""
        products = -(-n // self.most)
        rows = -(-n // (products * self.step)) * self.step
        return -(-n // rows), rows


@cache
def product_rows(K: int, maps: int, dtype: np.dtype) -> Rows:
    """Return the rows that products with a matrix of K x maps may have, for the same bits in each."""
    if unpacked(K, maps):
        rows = 2 * LEAST_ROWS if 2 * LEAST_ROWS * K * maps <= UNPACKED else LEAST_ROWS
        return Rows(rows, rows)
    return Rows(STEP, MOST_ROWS) if any_rows(dtype) else Rows(FIXED_ROWS, FIXED_ROWS)


@cache
def any_rows(dtype: np.dtype) -> bool:
    """Return whether BLAS rounds a row of a large product alike whatever multiple of STEP rows the product has.

    This is measured on products of several widths and depths: OpenBLAS cuts depth (K) by rules that do not look at the
    number of rows, but another library may.
    """
    rng = np.random.default_rng(0)
    with single_threaded_blas():
        for K, maps in ((61, 3), (700, 63), (450, 200), (1300, 80)):
            if unpacked(K, maps):
                continue  # such products have one number of rows anyway
            a, W = rng.random((MOST_ROWS, K)).astype(dtype), rng.random((K, maps)).astype(dtype)
            whole = multiply(a, W)
            parts = (slice(start, start + n) for start, n in ((0, STEP), (STEP, 3 * STEP), (STEP, 8 * STEP)))
            if not all((multiply(a[part], W) == whole[part]).all() for part in parts):
                return False
    return True


def describe_products() -> str:
    """Return one sentence on the sizes of products that this BLAS gets."""
    free = any_rows(np.dtype(np.float32)) and any_rows(np.dtype(np.float64))
    large = f"any multiple of {STEP} rows" if free else f"{FIXED_ROWS} rows, as this BLAS rounds other sizes otherwise"
    small = f"of {2 * LEAST_ROWS} or {LEAST_ROWS} rows up to {UNPACKED:,} multiplications, else "
    return f"{small if small_products() else ''}of {large}"


@cache
def sum_parts(kh: int, K: int, maps: int, n: int) -> int:
    """Return into how many equal parts a sum over `n` windows is cut; every part makes kh products of K x maps.

    Parts have the size at which BLAS is fastest, if that makes few parts; and there are always enough parts for
    NumPy's matmul to release the interpreter, so that other threads need not wait.
    """
    parts = -(-K * maps * n // UNPACKED)
    if not small_products() or parts > min(FEW, n // DEPTH):
        parts = 1
    return min(n, max(parts, HELD // (kh * K * maps) + 1))


@cache
def row_period(dtype: np.dtype) -> int:
    """Return the period with which BLAS's rounding of a row depends on the row's place in a product.

    The period is measured on a product of identical rows, which gives identical rows if their place does not matter.
    """
    rng = np.random.default_rng(0)
    worst = 1
    with single_threaded_blas():
        for rows in (LEAST_ROWS, 2 * LEAST_ROWS, FIXED_ROWS):
            for maps in (63, 48, 200):  # together they visit every register block: 16, 8, 4, 2, 1 and the rest
                y = np.tile(rng.standard_normal(61), (rows, 1)).astype(dtype)
                y = multiply(y, rng.standard_normal((61, maps)).astype(dtype))
                divisors = (n for n in range(1, rows + 1) if rows % n == 0)
                worst = math.lcm(worst, next(n for n in divisors if (y.reshape(-1, n, maps) == y[:n]).all()))
    return worst


def pitch(columns: int, like: Array) -> int:
    """Return the distance at which rows of `columns` pixels follow each other in a product."""
    if is_device_array(like):
        return columns
    period = row_period(like.dtype)
    return -(-columns // period) * period


def product(a: Array, W: Array, y: Array) -> None:
    """Write ``a @ W``, (n, K) by (K, maps), to `y`, in products of equal numbers of rows; zeros fill up the last."""
    (n, K), maps = a.shape, W.shape[1]
    _, rows = product_rows(K, maps, a.dtype).shared(n)
    full = n - n % rows
    if full:
        multiply(a[:full].reshape(-1, rows, K), W, y[:full].reshape(-1, rows, maps))
    if full < n:
        tail = empty((rows, K), a)
        tail[: n - full], tail[n - full :] = a[full:], 0
        y[full:] = multiply(tail, W)[: n - full]
