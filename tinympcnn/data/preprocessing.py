"""What a column does to a whole small image before its net sees it, and how a model file says so.

The committees of Ciresan, Meier and Schmidhuber (CVPR 2012) average nets that see the same image prepared in different
ways: digits squeezed to a common width, photographs with another contrast. Each way is a pure function here, from
images (N, H, W, C) to images of the same shape; integers count as 0 to the largest of their type, floats as 0 to 1.

Colours: stretching and equalising work on the value of hue-saturation-value, the largest of the channels (the
convention of scikit-image), and multiply the channels of a pixel by one factor, so hue and saturation stay.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinympcnn.data.distort import smoothing
from tinympcnn.engine import multiply, multiply_both
from tinympcnn.errors import DataError, UsageError

LEVELS = 256  # grey levels that histograms tell apart


def unit(images: np.ndarray) -> np.ndarray:
    """Return images as float32, where integers are divided by the largest value of their type.

    Examples
    --------
    >>> unit(np.array([0, 255], np.uint8)).tolist()
    [0.0, 1.0]
    """
    scale = np.iinfo(images.dtype).max if images.dtype.kind in "ui" else 1
    return np.asarray(np.divide(images, scale, dtype=np.float32))


def width(images: np.ndarray, pixels: int = 20) -> np.ndarray:
    """Squeeze or stretch what is bright to a common width: each digit's box gets `pixels` columns, its height stays.

    The box holds all pixels above a tenth of the image's maximum. The result is centred in a black image of the same
    size, bilinear between pixels. An image without a bright pixel stays as it is.
    """
    out = np.zeros_like(images)
    H, W = images.shape[1:3]
    if not 1 <= pixels <= W:
        raise UsageError(f"a width of {pixels} pixels does not fit images with {W} columns")
    for image, result in zip(images, out, strict=True):
        bright = image.max(axis=-1) > 0.1 * image.max()
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        if not len(rows):
            result[...] = image
            continue
        box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        top, left = (H - box.shape[0]) // 2, (W - pixels) // 2
        result[top : top + box.shape[0], left : left + pixels] = multiply(_stretched(box.shape[1], pixels), box)
    return out


def _stretched(n: int, pixels: int) -> np.ndarray:
    """Return the matrix (pixels, n) that resizes a line of `n`: the mean of the line under each new pixel."""
    edges = np.linspace(0, n, pixels + 1)
    starts = np.arange(n)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return np.asarray(np.clip(overlap, 0, None) * (pixels / n), np.float32)


def imadjust(images: np.ndarray, saturated: float = 0.01) -> np.ndarray:
    """Stretch the contrast of each image linearly, so that this share of its pixels saturates at either end."""
    if not 0 <= saturated < 0.5:
        raise UsageError(f"the share of pixels that saturate at either end is from 0 to below a half, not {saturated}")

    def stretch(value: np.ndarray) -> np.ndarray:
        low, high = np.quantile(value, [saturated, 1 - saturated], axis=(1, 2), keepdims=True)
        return np.asarray(np.clip((value - low) / np.maximum(high - low, 1 / LEVELS), 0, 1))

    return _on_value(images, stretch)


def histeq(images: np.ndarray) -> np.ndarray:
    """Equalise each image's histogram: a pixel's value becomes the share of pixels that are not brighter."""
    each = np.arange(len(images))[:, None, None]
    return _on_value(images, lambda value: _tile_maps(value, 1, math.inf)[:, 0, 0][each, _level(value)])


def adapthisteq(images: np.ndarray, tiles: int = 4, clip: float = 16.0) -> np.ndarray:
    """Equalise the histogram of each of tiles x tiles parts of an image, bilinear between the centres of the parts.

    Contrast is limited as in OpenCV: no level of a part's histogram counts for more than `clip` times an even
    histogram, and what is cut off is spread over all levels. Tiles as small as ours hold fewer pixels than there are
    levels, so their limit is higher than the 2 to 4 that are usual for large images.
    """

    def equalise(value: np.ndarray) -> np.ndarray:
        n, H, W = value.shape
        if min(H, W) < tiles:
            raise UsageError(f"images of {H}x{W} pixels have no {tiles}x{tiles} tiles; use larger images")
        maps, levels, out = _tile_maps(value, tiles, clip), _level(value), np.zeros_like(value)
        for row, share_r in _neighbours(H, tiles):
            for column, share_c in _neighbours(W, tiles):
                there = maps[np.arange(n)[:, None, None], row[:, None], column, levels]
                out += share_r[:, None] * share_c * there
        return out

    return _on_value(images, equalise)


def conorm(images: np.ndarray, narrow: float = 0.7, wide: float = 2.0) -> np.ndarray:
    """Filter each channel by a difference of Gaussians, then divide each image by its root mean square.

    Edges remain, whatever the exposure; the result is spread around 0. The widths of the Gaussians are in pixels.
    """
    planes = np.moveaxis(images, -1, 1).astype(np.float64)
    H, W = images.shape[1:3]
    fine, coarse = (multiply_both(smoothing(H, sigma), planes, smoothing(W, sigma)) for sigma in (narrow, wide))
    edges = fine - coarse
    rms = np.sqrt((edges**2).mean(axis=(1, 2, 3), keepdims=True))
    return np.asarray(np.moveaxis(edges / np.maximum(rms, 1e-3), 1, -1), np.float32)


def _on_value(images: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Change the largest channel of every pixel, (N, H, W), and the other channels by the same factor."""
    value = images.max(axis=-1)
    changed = np.asarray(change(value), np.float32)
    return images * (changed / np.maximum(value, 1e-6))[..., None] if images.shape[-1] > 1 else changed[..., None]


def _level(value: np.ndarray) -> np.ndarray:
    return np.clip(value * (LEVELS - 1) + 0.5, 0, LEVELS - 1).astype(np.intp)


def _tile_maps(value: np.ndarray, tiles: int, clip: float) -> np.ndarray:
    """Return what becomes of every level in every tile, (N, tiles, tiles, LEVELS): the share of pixels up to it."""
    n, H, W = value.shape
    rows, columns = (np.arange(size) * tiles // size for size in (H, W))
    cell = (np.arange(n)[:, None, None] * tiles + rows[:, None]) * tiles + columns
    shape = (n, tiles, tiles, LEVELS)
    counts = np.bincount((cell * LEVELS + _level(value)).ravel(), minlength=math.prod(shape)).reshape(shape)
    pixels = counts.sum(axis=-1, keepdims=True)
    kept = np.minimum(counts, clip * pixels / LEVELS)
    kept = kept + (pixels - kept.sum(axis=-1, keepdims=True)) / LEVELS
    return np.asarray(kept.cumsum(axis=-1) / pixels)


def _neighbours(size: int, tiles: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, for every pixel along an axis, the tile whose centre is before it and behind it, and their shares."""
    place = np.clip((np.arange(size) + 0.5) * tiles / size - 0.5, 0, tiles - 1)
    before = np.minimum(place.astype(np.intp), max(tiles - 2, 0))
    share = place - before
    return [(before, 1 - share), (np.minimum(before + 1, tiles - 1), share)]


KINDS: Mapping[str, Callable[..., np.ndarray]] = {
    function.__name__: function for function in (width, imadjust, histeq, adapthisteq, conorm)
}


@dataclass(init=False)
class Preprocessing:
    """One of the functions above with its arguments, or "none": what a model file keeps and a column applies.

    Parameters
    ----------
    kind : str
        "none", "width", "imadjust", "histeq", "adapthisteq" or "conorm".
    options : optional
        The arguments of that function; those that are left out are kept with their present defaults.

    Examples
    --------
    >>> Preprocessing("width", pixels=12) == Preprocessing.parse("width12")
    True
    >>> Preprocessing.parse("conorm").config()
    {'kind': 'conorm', 'narrow': 0.7, 'wide': 2.0}
    >>> Preprocessing("none")(np.full((1, 2, 2, 1), 255, np.uint8)).max()
    np.float32(1.0)
    """

    kind: str
    options: dict[str, float]

    def __init__(self, kind: str = "none", **options: float) -> None:
        if kind not in {"none", *KINDS}:
            raise UsageError(f"there is no preprocessing {str(kind)[:40]!r}; use none or one of {', '.join(KINDS)}")
        parameters = [*inspect.signature(KINDS[kind]).parameters.values()][1:] if kind in KINDS else []
        usual = {one.name: one.default for one in parameters}
        self.kind, self.options = kind, usual | options
        for name, value in self.options.items():
            if name not in usual:
                raise UsageError(f"the preprocessing {kind} has no {name!r}")
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1000:
                raise UsageError(f"the {name} of the preprocessing {kind} is a positive number, not {value!r}")
            if isinstance(usual[name], int) and int(value) != value:
                raise UsageError(f"the {name} of the preprocessing {kind} is a whole number, not {value!r}")

    @classmethod
    def parse(cls, text: str) -> Preprocessing:
        """Read the name of a kind; a width may follow that name, as in "width12"."""
        match = re.fullmatch(r"width([0-9]{1,3})", text.strip())
        return cls("width", pixels=int(match[1])) if match else cls(text.strip())

    def config(self) -> dict[str, Any]:
        """Return what JSON keeps, and what makes the same again: ``Preprocessing(**config)``."""
        return {"kind": self.kind, **self.options}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return images (N, H, W, C) as the net of the column sees them, in float32."""
        images, equalises = np.asarray(images), self.kind in ("imadjust", "histeq", "adapthisteq")
        if equalises and images.dtype.kind in "ui" and images.dtype.itemsize > 2:  # no camera fills these: all is black
            raise DataError(
                f"{self.kind} takes integers of 8 or 16 bits, or floats from 0 to 1; these are {images.dtype}"
            )
        images = unit(images)
        if equalises and not (images.min() >= 0 and images.max() <= 1):
            raise DataError(
                f"{self.kind} takes brightness from 0 to 1, and these images reach from {images.min():g} to "
                f"{images.max():g}; divide them by their largest possible value, or give integers"
            )
        return KINDS[self.kind](images, **self.options) if self.kind in KINDS else images

    def __str__(self) -> str:
        return f"width{self.options['pixels']}" if self.kind == "width" else self.kind
