"""How a storage is cut into blocks of fragments and rows: all that the layers see of caches and threads."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from tinympcnn.engine.backend import Array, is_device_array
from tinympcnn.engine.matmul import product_rows
from tinympcnn.engine.threads import LANES

SMALLEST_BLOCK = 8192  # windows of a block at least: in smaller blocks NumPy's calls take longer than their work
STRIP_BYTES = 3 << 20  # bytes of the strips and results of one block on a CPU
WRITTEN_BYTES = 2 * STRIP_BYTES  # bytes of windows that are written out, kh times those of their strips
DEVICE_BYTES = 512 << 20  # bytes of the columns of one block on a GPU
CACHE_ITEMS = 1 << 18  # array elements of one block in pooling and pointwise layers: about what the L2 cache holds
HALO = 0.3  # the cost of making a strip, in products with the windows that begin there
START = 64  # the cost of a block besides its products, in products with one window
CALL = 8  # the cost of a product besides its windows, in products with one window: BLAS copies the matrix
COPY = 12  # the cost of writing out a window, in products with one window and one map

Block = tuple[slice, slice]  # of fragments, of rows


def window_blocks(outputs: tuple[int, int, int], kh: int, strip: int, maps: int, like: Array) -> list[Block]:
    """Cut an output storage into blocks of some rows of some fragments, for products with all their windows.

    The storage has (fragments, rows, columns) outputs, and lies where `like` does. A window has `kh` rows; it takes
    `strip` numbers from one row of the input, and results in `maps` numbers.
    """
    fragments, rows, columns = outputs
    if is_device_array(like):
        limit = windows = max(1, DEVICE_BYTES // (kh * strip * like.dtype.itemsize))
        multiple = 1
    else:
        multiple = product_rows(kh * strip, maps, like.dtype).step
        if written_out(outputs, kh, strip, maps, like.dtype):
            return [(slice(0, fragments), slice(0, rows))]
        limit = STRIP_BYTES // ((strip + maps) * like.dtype.itemsize)
        windows = max(SMALLEST_BLOCK, fragments * rows * columns // LANES)
    return _cut(fragments, rows, *_step(fragments, rows, columns, kh - 1, multiple, limit, windows))


@cache
def written_out(outputs: tuple[int, int, int], kh: int, strip: int, maps: int, dtype: np.dtype) -> bool:
    """Return whether it is faster to write out all windows of a storage than to let them overlap in memory.

    The products with windows that overlap have the windows of one row each. The parameters are those of
    `window_blocks`.
    """
    fragments, rows, columns = outputs
    n = fragments * rows * columns
    if n * (kh * strip + maps) * dtype.itemsize > WRITTEN_BYTES:
        return False
    fits = product_rows(kh * strip, maps, dtype)
    products, size = fits.shared(n)
    row_products, row_size = fits.shared(fragments * columns)
    return products * (size + CALL) + n * COPY / maps < rows * row_products * (row_size + CALL)


def fragment_blocks(fragments: int, items: int, like: Array) -> list[Block]:
    """Cut a storage into blocks of whole fragments, each of which needs `items` numbers of memory."""
    most = DEVICE_BYTES // like.dtype.itemsize if is_device_array(like) else CACHE_ITEMS
    return _cut(fragments, 1, max(1, most // items), 1)


def block_bytes(columns: int, kh: int, strip: int, maps: int, itemsize: int) -> int:
    """Return the bytes that a block takes at most: those of one row of outputs, if the storage has many columns."""
    return 2 * max(STRIP_BYTES, columns * (kh * strip + maps) * itemsize)


@cache
def _step(
    fragments: int, rows: int, columns: int, halo: int, multiple: int, limit: int, windows: int
) -> tuple[int, int]:
    """Return the fragments and rows of the cheapest block of at most `limit` strips and `windows` windows."""
    cheapest, best = math.inf, (1, 1)
    for m in range(1, fragments + 1):
        width = -(-m * columns // multiple) * multiple
        most = min(limit // width - halo, windows // width)
        if most < 1 and width > multiple:  # up to `multiple` columns one product has room for them all
            break
        bands = -(-rows // max(1, most))
        blocks = -(-fragments // m) * bands
        cost = -(-fragments // m) * (width + CALL) * (rows + HALO * halo * bands) + START * blocks
        if cost < cheapest:
            cheapest, best = cost, (m, -(-rows // bands))
    return best


def cache_blocks(fragments: int, rows: int, row_items: int, like: Array) -> list[Block]:
    """Cut a storage into blocks whose arrays stay in the cache of one core (one block on a GPU)."""
    most = fragments * rows if is_device_array(like) else max(1, CACHE_ITEMS // row_items)
    return _cut(fragments, rows, max(1, most // rows), min(most, rows))


def _cut(fragments: int, rows: int, m: int, n: int) -> list[Block]:
    """Cut fragments by m and rows by n."""
    across = [slice(q, min(q + n, rows)) for q in range(0, rows, n)]
    return [(slice(f, min(f + m, fragments)), q) for f in range(0, fragments, m) for q in across]
