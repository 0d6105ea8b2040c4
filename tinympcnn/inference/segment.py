"""Segmenting whole images: normalised, mirrored at the borders, cut into tiles, exact.

A tile of outputs needs its pixels and a halo of field of view - 1 around them. With that halo, and with tiles that
start where `engine.row_period` allows, every probability is the same to the last bit whatever the tile size and the
number of threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from tinympcnn.data.checks import check_finite
from tinympcnn.engine import backend
from tinympcnn.engine.backend import Pair
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.inference.tiling import DEFAULT_MEMORY, spans, tile_size
from tinympcnn.inference.views import Members, as_members
from tinympcnn.nn.sequential import Sequential


class Rows(Protocol):
    """An image from which rows can be taken: an array (H, W, C), or a page of a file."""

    shape: Any

    def __getitem__(self, rows: slice) -> np.ndarray: ...


def segment(
    net: Sequential | Members, image: np.ndarray, tile: int | None = None, memory: int = DEFAULT_MEMORY
) -> np.ndarray:
    """Return the class probabilities (H, W, K), float32, of every pixel of an image (H, W) or (H, W, C).

    The net may be an image net, a patch net or a committee, on any backend. `tile` is the number of rows and columns of
    outputs that are computed at a time; by default as many as `memory`, in bytes, allows. What the net can not take is
    a UsageError; pixels and probabilities that are not finite, or too little memory, are a DataError.

    >>> from tinympcnn.nn.spec import parse
    >>> net = Sequential(parse("C3x3x4 MPF2x2 C2x2x4 FC2", rng=0))
    >>> probabilities = segment(net, np.zeros((5, 7)))
    >>> probabilities.shape, bool(np.allclose(probabilities.sum(axis=-1), 1))
    ((5, 7, 2), True)
    """
    members = as_members(net)
    image = as_image(members, image)
    result = np.empty((*image.shape[:2], members.out_maps), np.float32)
    for rows, band in segment_bands(members, image, tile, memory):
        result[rows] = band
    return result


def as_image(net: Sequential | Members, image: np.ndarray) -> np.ndarray:
    """Return `image` as (H, W, C), or say in one sentence why the net cannot take it."""
    image = backend.to_numpy(image)
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or 0 in image.shape:
        raise UsageError(f"an image to segment is (H, W) or (H, W, C), not {image.shape}")
    if image.shape[2] != net.in_maps:
        raise UsageError(
            f"the net takes images with {counted(net.in_maps, 'map')}, not {image.shape[2]}; a stack (Z, H, W) goes "
            "one page at a time: net.segment(stack[0])"
        )
    check_finite(image, "the image")
    return image


def segment_bands(
    net: Sequential | Members,
    image: Rows,
    tile: int | Pair | None = None,
    memory: int = DEFAULT_MEMORY,
    echo: Callable[[str], None] = warnings.warn,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the probabilities of an image (H, W, C) band by band, from the top: (rows, array (h, W, K)).

    Only the rows that a band sees are read at a time. If a device runs out of memory, the tiles become half as large,
    down to the smallest; then the CPU goes on. `echo` is told.
    """
    members = as_members(net)
    (H, W), done = image.shape[:2], 0
    size = tile_size(members, tile, memory, largest=(H, W))
    while done < H:
        try:
            for rows in spans(H, size[0], members.alignment[0]):
                if rows.stop > done:
                    yield slice(done, rows.stop), _band(members, image, rows, size[1])[done - rows.start :]
                    done = rows.stop
        except backend.out_of_memory_errors() as error:
            smaller = tile_size(members, min(size) // 2, memory)
            if smaller != size:
                echo(f"out of memory with tiles of {size[0]}x{size[1]}: going on with {smaller[0]}x{smaller[1]}")
                size = smaller
            elif members.xp is not np:
                echo(f"out of memory with the smallest tiles, {size[0]}x{size[1]}: going on on the CPU")
                members = members.to("numpy")
                size = tile_size(members, tile, memory)
            else:
                raise DataError(f"not enough memory for tiles of {size[0]}x{size[1]}, the smallest") from error


def _band(members: Members, image: Rows, rows: slice, width: int) -> np.ndarray:
    """Return the probabilities (h, W, K) of a band of outputs, in tiles of at most `width` columns."""
    H, W = image.shape[:2]
    seen = members.rows_seen((H, W), rows)
    pixels = image[seen]
    band = np.empty((rows.stop - rows.start, W, members.out_maps), np.float32)
    for columns in spans(W, width, members.alignment[1]):
        band[:, columns] = members.probabilities(pixels, seen.start, (H, W), (rows, columns))
    if not np.isfinite(band).all():
        raise DataError(
            f"the net gives NaN in rows {rows.start} to {rows.stop - 1}: their pixels, from {np.min(pixels):.4g} to "
            f"{np.max(pixels):.4g}, are too large for it; replace values that stand for 'no data' first"
        )
    return band
