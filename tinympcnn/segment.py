"""Segmenting whole images: normalised, mirrored at the borders, cut into tiles, exact.

A tile of outputs needs its pixels and a halo of field of view - 1 around them. With that halo, and with tiles that
start where `schedule.row_period` allows, every probability is the same to the last bit whatever the tile size and the
number of threads. A tile only bounds the memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tinympcnn import backend, schedule
from tinympcnn.data.borders import mirrored
from tinympcnn.data.image_file import check_finite
from tinympcnn.errors import DataError, UsageError
from tinympcnn.geometry import Pair, pair
from tinympcnn.losses import softmax

if TYPE_CHECKING:
    from tinympcnn.net import Net

SMALLEST_TILE = 32  # outputs per axis: of smaller tiles the halo would be nearly all of the work
LARGEST_TILE = 1 << 15
DEFAULT_MEMORY = 512 << 20  # bytes for the storages of one tile
IDLE = 48 << 20  # bytes that the schedule keeps for the next tile, at most


class Rows(Protocol):
    """What an image has to be: rows can be taken from it, as from an array (H, W, C) or a ``data.PageRows``."""

    shape: Any

    def __getitem__(self, rows: slice) -> np.ndarray: ...


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
    >>> from tinympcnn import Net
    >>> net = Net.from_spec("C3x3x4 MPF2x2 C2x2x4 FC2", rng=0)
    >>> probabilities = segment(net, np.zeros((5, 7)))
    >>> probabilities.shape, bool(np.allclose(probabilities.sum(axis=-1), 1))
    ((5, 7, 2), True)
    """
    image = as_image(net, image)
    result = np.empty((*image.shape[:2], net.out_maps), np.float32)
    for rows, band in segment_bands(net, image, tile, memory):
        result[rows] = band
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


def segment_bands(
    net: Net,
    image: Rows,
    tile: int | Pair | None = None,
    memory: int = DEFAULT_MEMORY,
    echo: Callable[[str], None] = warnings.warn,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the probabilities of an image (H, W, C) band by band, from the top: (rows, array (h, W, K)).

    Of the image no more is read at a time than the rows that a band sees. A device that runs out of memory gets tiles
    of half the size, down to the smallest; then the CPU goes on. `echo` is told.
    """
    net = _image_net(net)
    (H, W), done = image.shape[:2], 0
    size = tile_size(net, tile, memory, largest=(H, W))
    while done < H:
        try:
            for rows in _spans(H, size[0], alignment(net)[0]):
                if rows.stop > done:
                    yield slice(done, rows.stop), _band(net, image, rows, size[1])[done - rows.start :]
                    done = rows.stop
        except backend.out_of_memory_errors() as error:
            smaller = tile_size(net, min(size) // 2, memory)
            if smaller != size:
                echo(f"out of memory with tiles of {size[0]}x{size[1]}: going on with {smaller[0]}x{smaller[1]}")
                size = smaller
            elif net.xp is not np:
                echo(f"out of memory with the smallest tiles, {size[0]}x{size[1]}: going on on the CPU")
                net, size = net.to("numpy"), tile_size(net, tile, memory)
            else:
                raise DataError(f"not enough memory for tiles of {size[0]}x{size[1]}, the smallest") from error


def _band(net: Net, image: Rows, rows: slice, width: int) -> np.ndarray:
    """Return the probabilities (h, W, K) of a band of outputs, in tiles of at most `width` columns."""
    (H, W), (P, Q) = image.shape[:2], net.field_of_view
    seen_rows, seen_columns = mirrored(H, P)[_seen(rows, P)], mirrored(W, Q)
    top = int(seen_rows.min())
    pixels = image[top : int(seen_rows.max()) + 1]
    band = np.empty((rows.stop - rows.start, W, net.out_maps), np.float32)
    for columns in _spans(W, width, alignment(net)[1]):
        seen = np.ix_(seen_rows - top, seen_columns[_seen(columns, Q)])
        scores = net.forward(net.xp.asarray(net.normalised(pixels[seen])[None]), train=False)
        band[:, columns] = backend.to_numpy(softmax(scores)[0])
    return band


def _seen(outputs: slice, window: int) -> slice:
    """Return which mirrored pixels `outputs` see along one axis."""
    return slice(outputs.start, outputs.stop + window - 1)


def alignment(net: Net) -> tuple[int, int]:
    """Return the multiples (rows, columns) at which tiles may start without a change in the last bit."""
    step = _image_net(net).split_step
    return step[0], step[1] * (1 if net.xp is not np else schedule.row_period(net.dtype))


def _spans(n: int, size: int, multiple: int) -> list[slice]:
    """Cut ``range(n)`` into even spans of at most `size` that start at multiples; the last may overlap."""
    if n <= size:
        return [slice(0, n)]
    smallest, even = (-(-length // multiple) * multiple for length in (SMALLEST_TILE, -(-n // -(-n // size))))
    size = min(size, max(smallest, even))
    last = -(-(n - size) // multiple) * multiple
    starts = [*range(0, last, size), last]
    return [slice(start, min(start + size, n)) for start in starts]


def tile_size(
    net: Net,
    tile: int | Pair | None,
    memory: int = DEFAULT_MEMORY,
    largest: Pair = (LARGEST_TILE, LARGEST_TILE),
    row_bytes: int = 0,
) -> Pair:
    """Return the rows and columns of outputs to compute at a time; no tile need cover more than `largest`.

    `row_bytes` is what each row of a tile costs besides the tile itself, in the image and in the results.
    """
    net = _image_net(net)
    multiples = alignment(net)

    def rounded(tile: int | Pair) -> Pair:
        rows, columns = (-(-max(n, SMALLEST_TILE) // m) * m for n, m in zip(pair(tile, "tile"), multiples, strict=True))
        return rows, columns

    def fits(tile: int | Pair) -> bool:
        return tile_memory(net, rounded(tile)) + rounded(tile)[0] * row_bytes <= memory

    if tile is None and fits(largest):
        return rounded(largest)
    if tile is None:
        tile = SMALLEST_TILE
        while fits(2 * tile):
            tile *= 2
        if fits(tile * 3 // 2):
            tile = tile * 3 // 2
    return rounded(tile)


def _image_net(net: Net) -> Net:
    """Return the image net of a net: the net itself, if it is one, because a new view takes time on small images."""
    return net if net.stride == (1, 1) else net.as_image()


def tile_memory(net: Net, tile: int | Pair) -> int:
    """Return the bytes that one tile takes at most, from its pixels to its probabilities."""
    (rows, columns), (P, Q), item = pair(tile, "tile"), net.field_of_view, net.dtype.itemsize
    storages = [prod(row.shape) for row in _image_net(net).plan((rows + P - 1, columns + Q - 1))]
    image, outputs = (rows + P - 1) * (columns + Q - 1) * net.in_maps, rows * columns
    layers = image + max(before + after for before, after in pairwise([image, *storages]))
    end = image + (3 * net.out_maps + 1) * outputs  # scores in fragments, then dense, then their softmax
    normalising = image * (item + 2 * np.dtype(np.float64).itemsize)
    if net.xp is not np:
        return max(layers * item, end * item, normalising) + schedule.DEVICE_BYTES
    idle = min(IDLE, sum(storages) * item)
    return max(layers * item, end * item, normalising) + idle + 2 * schedule.STRIP_BYTES * schedule.get_threads()
