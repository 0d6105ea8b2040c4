"""How a storage is cut into blocks of whole fragments, or of whole rows of one fragment."""

from __future__ import annotations

from tinympcnn.backend import Array, is_device_array
from tinympcnn.schedule.threads import LANES

GEMM_ROWS = 192  # rows of a product that tiling must not change: a multiple of common kernels' 12, 16 and 24
SMALLEST_BLOCK = 12 * GEMM_ROWS  # pixels: of smaller blocks NumPy's calls would take longer than their work
COLUMN_BYTES = 8 << 20  # columns of one block on a CPU
DEVICE_BYTES = 512 << 20  # columns of one block on a GPU
CACHE_ITEMS = 1 << 17  # array elements of one block in pooling and pointwise layers: about what the L2 cache holds

Block = tuple[slice, slice]  # of fragments, of rows


def gemm_blocks(
    fragments: int, rows: int, columns: int, column_bytes: int, like: Array, multiple: int = 1
) -> list[Block]:
    """Cut an output storage into blocks of whole fragments, or of whole rows, for a product over their columns.

    Parameters
    ----------
    fragments, rows, columns : int
        Size of the output storage.
    column_bytes : int
        Bytes that the columns of one output pixel take.
    like : array
        Where the work will be done.
    multiple : int
        To a multiple of how many rows a product is filled up.
    """
    total = fragments * rows * columns
    if is_device_array(like):
        pixels = max(1, DEVICE_BYTES // column_bytes)
    else:
        pixels = min(max(COLUMN_BYTES // column_bytes, GEMM_ROWS), max(SMALLEST_BLOCK, total // LANES))
    return _cut(fragments, rows, columns, pixels, multiple)


def cache_blocks(fragments: int, rows: int, row_items: int, like: Array) -> list[Block]:
    """Cut a storage into blocks whose arrays stay in the cache of one core (one block on a GPU)."""
    if is_device_array(like):
        return [(slice(0, fragments), slice(0, rows))]
    return _cut(fragments, rows, row_items, CACHE_ITEMS, 1)


def _cut(fragments: int, rows: int, row_size: int, limit: int, multiple: int) -> list[Block]:
    """Cut into blocks of at most about `limit` items, so that little is padded when each is filled to `multiple`."""

    def cheapest(item: int, n: int) -> tuple[int, int]:
        """Return the items computed, padding and a little for each block included, and the step, over n things."""
        most = max(1, min(n, limit // item))
        if multiple == 1:  # nothing is padded: the largest step; trying them all took longer than the layer's work
            return n * item, most

        def cost(step: int) -> int:
            blocks, rest = divmod(n, step)
            padded = blocks * -(-step * item // multiple) - (-rest * item // multiple)
            return padded * multiple + (blocks + (rest > 0)) * multiple // 16

        step = min(range(most, (most - 1) // 2, -1), key=cost)  # of equal ones the largest: fewest blocks
        return cost(step), step

    by_rows, row_step = cheapest(row_size, rows)
    if rows * row_size <= limit:
        by_fragments, step = cheapest(rows * row_size, fragments)
        if by_fragments <= fragments * by_rows:
            return [(slice(f, min(f + step, fragments)), slice(0, rows)) for f in range(0, fragments, step)]
    spans = [slice(q, min(q + row_step, rows)) for q in range(0, rows, row_step)]
    return [(slice(f, f + 1), span) for f in range(fragments) for span in spans]
