"""Segmenting whole images: normalised, mirrored at the borders, cut into tiles, exact.

A tile of outputs needs its pixels and a halo of field of view - 1 around them. With that halo, and with tiles that
start where `engine.row_period` allows, every probability is the same to the last bit whatever the tile size and the
number of threads. A net that was trained on target images, such as a denoiser, predicts by its scores, in the units of
the targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import numpy as np

from tinympcnn.data.checks import check_finite
from tinympcnn.engine import backend
from tinympcnn.engine.workers import Crew
from tinympcnn.errors import UsageError, counted
from tinympcnn.inference.bands import Bands, Rows
from tinympcnn.inference.tiling import DEFAULT_MEMORY
from tinympcnn.inference.views import Members, as_members
from tinympcnn.nn.sequential import Sequential


def segment(
    net: Sequential | Members,
    image: np.ndarray,
    tile: int | None = None,
    memory: int = DEFAULT_MEMORY,
    executor: Executor | None = None,
) -> np.ndarray:
    """Return the class probabilities (H, W, K), float32, of every pixel of an image (H, W) or (H, W, C).

    The net may be an image net, a patch net or a committee, on any backend. `tile` is the number of rows and columns of
    outputs that are computed at a time; by default as many as `memory`, in bytes, allows. An `executor`, such as a
    thread pool or that of a Dask client, computes the tiles' rows, as many at a time as it likes. What the net can not
    take is a UsageError; pixels and probabilities that are not finite, or too little memory, are a DataError.

    >>> from tinympcnn.nn.spec import parse
    >>> net = Sequential(parse("C3x3x4 MPF2x2 C2x2x4 FC2", rng=0))
    >>> probabilities = segment(net, np.zeros((5, 7)))
    >>> probabilities.shape, bool(np.allclose(probabilities.sum(axis=-1), 1))
    ((5, 7, 2), True)
    """
    members = as_members(net)
    image = as_image(members, image)
    result = np.empty((*image.shape[:2], members.out_maps), np.float32)
    crew = Crew() if executor is None else Crew(executor, ahead=image.shape[0])  # all at once
    for rows, band in segment_bands(members, image, tile=tile, memory=memory, crew=crew):
        result[rows] = band
    return result


def predict(net: Sequential | Members, image: np.ndarray, **options: Any) -> np.ndarray:
    """Return the image (H, W, K), float32, that a net, or the mean of several, predicts from an image of any size.

    The image, array, shape (H, W) or (H, W, C), is in the units of the training images. The `options` and the errors
    are those of `segment`.

    Examples
    --------
    >>> from tinympcnn.nn.spec import parse
    >>> net = Sequential(parse("C3x3x4 [ MP2x2 C3x3x4 U2x2 ] C1x1x1", rng=0))
    >>> predict(net, np.zeros((5, 7))).shape
    (5, 7, 1)
    """
    return segment(predictor(net), image, **options)


def predictor(net: Sequential | Members) -> Members:
    """Return a net, or several, as members whose scores are averaged instead of their probabilities."""
    members = as_members(net)
    return Members(members.nets, len(members.views) > 1, scores=True)


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


def segment_bands(net: Sequential | Members, image: Rows, **options: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the probabilities of an image (H, W, C) band by band, from the top: (rows, array (h, W, K)).

    Only the rows that a band sees are read at a time. The `options` are those of `Bands`.
    """
    for band in Bands(as_members(net), **options)([image]):
        yield band.rows, band.take()
