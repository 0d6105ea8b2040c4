"""How an image is cut into tiles of outputs: where tiles start, how large they are, how much memory a tile takes.

A tile only bounds the memory: the result is the same to the last bit for every tile size.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tinympcnn import engine
from tinympcnn.engine.backend import Pair
from tinympcnn.inference.views import Members, alignment, as_members
from tinympcnn.nn.geometry import pair
from tinympcnn.nn.plan import block_bytes, every, working_items
from tinympcnn.nn.sequential import Sequential

SMALLEST_TILE = 32  # outputs per axis: of smaller tiles the halo would be nearly all of the work
LARGEST_TILE = 1 << 15
DEFAULT_MEMORY = 512 << 20  # bytes for the storages of one tile
IDLE = 48 << 20  # bytes that the engine keeps for the next tile, at most


def tile_size(
    net: Sequential | Members,
    tile: int | Pair | None,
    memory: int = DEFAULT_MEMORY,
    largest: Pair = (LARGEST_TILE, LARGEST_TILE),
    row_bytes: int = 0,
) -> Pair:
    """Return the rows and columns of outputs to compute at a time: as asked, or as many as `memory` bytes allow.

    No tile covers more than the largest image. Each row of a tile takes `row_bytes` besides the tile itself, in the
    image and in the results.
    """
    members = as_members(net)

    def rounded(tile: int | Pair) -> Pair:
        asked = (min(n, most) for n, most in zip(pair(tile, "tile"), largest, strict=True))
        rows, columns = (-(-max(n, SMALLEST_TILE) // m) * m for n, m in zip(asked, members.alignment, strict=True))
        return rows, columns

    def fits(tile: int | Pair) -> bool:
        return tile_memory(members, rounded(tile), largest) + rounded(tile)[0] * row_bytes <= memory

    if tile is None and fits(largest):
        return rounded(largest)
    if tile is None:
        tile = SMALLEST_TILE
        while fits(2 * tile):
            tile *= 2
        if fits(tile * 3 // 2):
            tile = tile * 3 // 2
    return rounded(tile)


def tile_memory(net: Sequential | Members, tile: int | Pair, largest: Pair = (LARGEST_TILE, LARGEST_TILE)) -> int:
    """Return the bytes that one tile takes at most, from its pixels to its probabilities.

    With several nets or views a tile may have to start earlier, and lies on its side in some views. A tile is never
    larger than the image, which has at most `largest` rows and columns.
    """
    members = as_members(net)
    rows, columns = (min(n, most) for n, most in zip(pair(tile, "tile"), largest, strict=True))
    if members.size == 1:
        return _opinion_memory(members.nets[0], (rows, columns))
    total: int = rows * columns * members.out_maps * np.dtype(np.float64).itemsize
    each = {
        _opinion_memory(net, tuple(min(n + m - 1, most) for n, m, most in zip(size, alignment(net), view, strict=True)))
        for net in members.nets
        for size, view in (((rows, columns), largest), ((columns, rows), largest[::-1]))
    }
    waste = max(each) // 3 if len(each) > 1 else 0  # kept memory fits tiles of one size, and others not so well
    return total + max(each) + waste


def _opinion_memory(net: Sequential, tile: tuple[int, ...]) -> int:
    """Return the bytes that one tile of outputs takes at most in one net."""
    (rows, columns), item = tile, net.dtype.itemsize
    plan = net.plan(net.input_size((rows, columns)))
    image, outputs = prod(net.input_size((rows, columns))) * net.in_maps, rows * columns
    layers = image + working_items(plan, image)
    end = image + (3 * net.out_maps + 1) * outputs  # scores in fragments, then dense, then their softmax
    normalising = image * (item + 2 * np.dtype(np.float64).itemsize)
    if net.xp is not np:
        return max(layers * item, end * item, normalising) + engine.DEVICE_BYTES
    idle = min(IDLE, sum(prod(row.shape) for _, row in every(plan)) * item)
    return max(layers * item, end * item, normalising) + idle + block_bytes(plan, item)


def spans(n: int, size: int, multiple: int) -> list[slice]:
    """Cut ``range(n)`` into even spans of at most `size` that start at multiples; the last may overlap."""
    if n <= size:
        return [slice(0, n)]
    smallest, even = (-(-length // multiple) * multiple for length in (SMALLEST_TILE, -(-n // -(-n // size))))
    size = min(size, max(smallest, even))
    last = -(-(n - size) // multiple) * multiple
    starts = [*range(0, last, size), last]
    return [slice(start, min(start + size, n)) for start in starts]
