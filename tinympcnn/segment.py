"""Segmenting whole images: normalised, mirrored at the borders, cut into tiles, exact.

A tile of outputs needs its pixels and a halo of field of view - 1 around them. With that halo, and with tiles that
start where `schedule.row_period` allows, every probability is the same to the last bit whatever the tile size and the
number of threads. A tile only bounds the memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinympcnn import backend, schedule
from tinympcnn.data.borders import mirrored
from tinympcnn.errors import UsageError
from tinympcnn.losses import softmax
from tinympcnn.net import Net, check_finite
from tinympcnn.objective import normalise

SMALLEST_TILE = 32  # outputs per axis: every storage then has the GEMM_ROWS pixels that rule 1 of the schedule asks for
DEFAULT_MEMORY = 512 << 20  # bytes for the storages of one tile
Tile = tuple[slice, slice]  # of output rows and columns


def segment(net: Net, image: np.ndarray, tile: int | None = None, memory: int = DEFAULT_MEMORY) -> np.ndarray:
    """Return the class probabilities of every pixel of an image.

    Parameters
    ----------
    net : Net
        An image net or a patch net, on any backend.
    image : array, shape (H, W) or (H, W, C)
        Of any size, in the units of the training images.
    tile : int, optional
        Rows and columns of outputs computed at a time; by default as large as `memory` allows.
    memory : int
        Bytes that the storages of one tile may take.

    Returns
    -------
    ndarray of float32, shape (H, W, K)

    Examples
    --------
    >>> net = Net.from_spec("C3x3x4 MPF2x2 C2x2x4 FC2", rng=0)
    >>> probabilities = segment(net, np.zeros((5, 7)))
    >>> probabilities.shape, bool(np.allclose(probabilities.sum(axis=-1), 1))
    ((5, 7, 2), True)
    """
    image = as_image(net, image)
    result = np.empty((*image.shape[:2], net.out_maps), np.float32)
    for (rows, columns), probabilities in segment_tiles(net, image, tile, memory):
        result[rows, columns] = probabilities
    return result


def as_image(net: Net, image: np.ndarray) -> np.ndarray:
    """Return `image` as (H, W, C), or say in one sentence why the net cannot take it."""
    image = backend.to_numpy(image)
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or 0 in image.shape:
        raise UsageError(f"an image to segment is (H, W) or (H, W, C), not {image.shape}")
    if image.shape[2] != net.in_maps:
        raise UsageError(f"the net takes images with {net.in_maps} map(s), not {image.shape[2]}")
    check_finite(image, "the image")
    return image


def segment_tiles(
    net: Net, image: np.ndarray, tile: int | None = None, memory: int = DEFAULT_MEMORY
) -> Iterator[tuple[Tile, np.ndarray]]:
    """Yield the probabilities of an image (H, W, C) tile by tile: ((rows, columns), array (h, w, K)).

    Tiles come in row-major order; the last ones of a row or column may overlap those before.
    """
    image_net = net.as_image()
    size = tile_size(net, tile, memory)
    (P, Q), (H, W) = net.field_of_view, image.shape[:2]
    for rows in _spans(H, size[0], _alignment(net)[0]):
        for columns in _spans(W, size[1], _alignment(net)[1]):
            x = normalise(image[np.ix_(mirrored(H, P)[_seen(rows, P)], mirrored(W, Q)[_seen(columns, Q)])], net)
            scores = image_net.forward(net.xp.asarray(x[None]), train=False)
            yield (rows, columns), backend.to_numpy(softmax(scores)[0]).astype(np.float32)


def _seen(outputs: slice, window: int) -> slice:
    """Return which mirrored pixels `outputs` see along one axis."""
    return slice(outputs.start, outputs.stop + window - 1)


def _alignment(net: Net) -> tuple[int, int]:
    """Return the multiples (rows, columns) at which tiles may start without a change in the last bit."""
    step = net.as_image().split_step
    return step[0], step[1] * (1 if net.xp is not np else schedule.row_period(net.dtype))


def _spans(n: int, size: int, multiple: int) -> list[slice]:
    """Cut ``range(n)`` into spans of `size` that start at multiples; the last is whole and may overlap."""
    if n <= size:
        return [slice(0, n)]
    last = -(-(n - size) // multiple) * multiple
    starts = [*range(0, last, size), last]
    return [slice(start, min(start + size, n)) for start in starts]


def tile_size(net: Net, tile: int | None, memory: int = DEFAULT_MEMORY) -> tuple[int, int]:
    """Return the rows and columns of outputs to compute at a time."""
    multiples = _alignment(net)
    if tile is None:
        tile = SMALLEST_TILE
        while tile < 1 << 15 and tile_memory(net, 2 * tile) <= memory:
            tile *= 2
        if tile_memory(net, tile * 3 // 2) <= memory:
            tile = tile * 3 // 2
    elif tile < 1:
        raise UsageError(f"a tile must be at least 1 pixel, not {tile}")
    rows, columns = (max(-(-SMALLEST_TILE // m), tile // m) * m for m in multiples)
    return rows, columns


def tile_memory(net: Net, tile: int) -> int:
    """Return the bytes that one tile takes at most: a layer's input and output storage, and the columns."""
    P, Q = net.field_of_view
    plan = net.as_image().plan((tile + P - 1, tile + Q - 1))
    sizes = [(tile + P - 1) * (tile + Q - 1) * net.in_maps, *(int(np.prod(row.shape)) for row in plan)]
    peak = max(before + after for before, after in zip(sizes, sizes[1:], strict=False))
    columns = schedule.COLUMN_BYTES * 2 * schedule.get_threads() if net.xp is np else schedule.DEVICE_BYTES
    return peak * net.dtype.itemsize + columns
