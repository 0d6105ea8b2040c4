"""What a column does to a whole small image before its net sees it, as operators of ONNX.

The functions are those of ``data/preprocessing.py`` and, for the size, ``data/distort.py``, on images (N, C, H, W) of
`maps` channels. What depends on the size of an image is computed in the graph, in whole numbers where that is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

import numpy as np

from tinympcnn.data.preprocessing import LEVELS
from tinympcnn.io.onnx.borders import mirrored
from tinympcnn.io.onnx.graph import FLOAT, INT64, Graph, Tensor
from tinympcnn.nn.sequential import Sequential


def prepared(graph: Graph, net: Sequential, image: Tensor, largest: int) -> Tensor:
    """Add a column's preprocessing of pixels from 0 to `largest`, and the resizing to the field of view of its net."""
    options = dict(net.preprocessing or {"kind": "none"})
    kind = options.pop("kind")
    x = image if largest == 1 else image / float(largest)
    if kind != "none":
        x = PREPROCESSINGS[kind](graph, x, net.in_maps, **options)
    return resized(graph, x, net.field_of_view)


def resized(graph: Graph, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Add the resizing to h x w pixels, bilinear between pixels and mirrored at the borders.

    The middle of pixel j of the result lies at ((2j+1)*n - h) / 2h among n pixels. In units of 1/2h all is whole
    numbers, and the shares of neighbours are exact.
    """
    for axis, h in ((3, size[1]), (2, size[0])):
        n = graph.length(x, axis)
        point = abs((2 * np.arange(h) + 1) * n - h)
        last = graph.add("Max", n - 1, 1) * (2 * h)
        inside = last - abs(last - point % (last * 2))
        before = inside / (2 * h)
        behind = graph.add("Min", before + 1, n - 1)
        rest = graph.add("Cast", inside - before * (2 * h), to=FLOAT)
        share = graph.add("Reshape", rest / (2.0 * h), [h, 1] if axis == 2 else [h])
        low, high = (graph.add("Gather", x, places, axis=axis) for places in (before, behind))
        x = low * (1.0 - share) + high * share
    return x


def imadjust(graph: Graph, x: Tensor, maps: int, saturated: float) -> Tensor:
    """Add the linear stretching of contrast: the quantiles lie between two of the sorted pixels."""

    def stretch(value: Tensor) -> Tensor:
        pixels = graph.add("Flatten", value)
        n = graph.add("Slice", graph.add("Shape", pixels), [1], [2])
        ordered, last = graph.add("TopK", pixels, n, unread=1, axis=1, largest=0), n - 1

        def quantile(share: float) -> Tensor:
            place = graph.add("Cast", last, to=FLOAT) * share
            before = graph.add("Cast", place, to=INT64)
            behind = graph.add("Min", before + 1, last)
            low, high = (graph.add("Gather", ordered, index, axis=1) for index in (before, behind))
            beyond = place - graph.add("Cast", before, to=FLOAT)
            return graph.add("Reshape", low + (high - low) * beyond, [-1, 1, 1, 1])

        low, high = quantile(saturated), quantile(1 - saturated)
        span = graph.add("Max", high - low, 1 / LEVELS)
        return graph.add("Clip", (value - low) / span, 0.0, 1.0)

    return _on_value(graph, x, maps, stretch)


def histeq(graph: Graph, x: Tensor, maps: int) -> Tensor:
    """Add the equalising of the histogram: the value of a pixel becomes the share of pixels up to its level."""

    def equalise(value: Tensor) -> Tensor:
        shares, level = _tile_maps(graph, value, 1, np.inf)
        return graph.add("Reshape", graph.add("GatherElements", shares, level, axis=1), graph.add("Shape", value))

    return _on_value(graph, x, maps, equalise)


def adapthisteq(graph: Graph, x: Tensor, maps: int, tiles: int, clip: float) -> Tensor:
    """Add the equalising of the histogram of each of tiles x tiles parts, bilinear between the centres of the parts."""

    def neighbours(size: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the tile before and the tile behind every pixel along an axis, and their shares, in whole numbers."""
        place = graph.add("Range", 0, size, 1) * (2 * tiles) + tiles
        twice, place = size * 2, graph.add("Max", place - size, 0)
        place = graph.add("Min", place, twice * (tiles - 1))
        before = place / twice
        share = graph.add("Cast", place - before * twice, to=FLOAT) / graph.add("Cast", twice, to=FLOAT)
        behind = graph.add("Min", before + 1, tiles - 1)
        return [(before, 1.0 - share), (behind, share)]

    def equalise(value: Tensor) -> Tensor:
        shares, level = _tile_maps(graph, value, tiles, clip)
        terms = []
        for row, of_row in neighbours(graph.length(value, 2)):
            for column, of_column in neighbours(graph.length(value, 3)):
                cell = graph.add("Unsqueeze", row, [1]) * tiles + column
                place = graph.add("Reshape", cell, [1, -1]) * LEVELS + level
                there = graph.add("GatherElements", shares, place, axis=1)
                weight = graph.add("Unsqueeze", of_row, [1]) * of_column
                terms.append(there * graph.add("Reshape", weight, [1, -1]))
        return graph.add("Reshape", graph.add("Sum", *terms), graph.add("Shape", value))

    return _on_value(graph, x, maps, equalise)


def _tile_maps(graph: Graph, value: Tensor, tiles: int, clip: float) -> tuple[Tensor, Tensor]:
    """Add histograms of tiles x tiles parts of an image.

    Return what becomes of every level in every part, (N, tiles * tiles * LEVELS), and the level of every pixel, (N, n).
    """
    scaled = graph.add("Clip", value * float(LEVELS - 1) + 0.5, 0.0, float(LEVELS - 1))
    level = graph.add("Flatten", graph.add("Floor", scaled))
    sizes = graph.length(value, 2), graph.length(value, 3)
    rows, columns = (graph.add("Range", 0, size, 1) * tiles / size for size in sizes)
    cell = graph.add("Unsqueeze", rows, [1]) * tiles + columns
    inside = graph.add("Equal", graph.add("Reshape", cell, [1, -1]), np.arange(tiles**2)[:, None])
    inside = graph.add("Cast", inside, to=FLOAT)  # (tiles * tiles, n)
    has = graph.add("Equal", graph.add("Unsqueeze", level, [2]), np.arange(LEVELS, dtype=np.float32))
    counts = graph.add("MatMul", inside, graph.add("Cast", has, to=FLOAT))  # (N, tiles * tiles, LEVELS)
    pixels = graph.add("ReduceSum", counts, [2])
    kept = graph.add("Min", counts, pixels * (clip / LEVELS))
    spread = (pixels - graph.add("ReduceSum", kept, [2])) / float(LEVELS)
    shares = graph.add("CumSum", kept + spread, 2) / pixels
    return graph.add("Flatten", shares), graph.add("Cast", level, to=INT64)


def width(graph: Graph, x: Tensor, maps: int, pixels: int) -> Tensor:
    """Add the stretching of the bright box of every image to a common width, as products with two matrices.

    Images with fewer columns than the common width, which the library refuses, become NaN.
    """
    largest = graph.add("ReduceMax", x, axes=[1, 2, 3])
    bright = graph.add("Greater", graph.add("ReduceMax", x, axes=[1]), largest * 0.1)
    bright = graph.add("Cast", bright, to=FLOAT)
    down, _ = _moved(graph, x, bright, 2, None)
    right, fits = _moved(graph, x, bright, 3, pixels)
    result = graph.add("MatMul", graph.add("MatMul", down, x), graph.add("Transpose", right, perm=(0, 1, 3, 2)))
    result = graph.add("Where", graph.add("Greater", largest, 0.0), result, x)
    return graph.add("Where", fits, result, np.nan)


def _moved(graph: Graph, x: Tensor, bright: Tensor, axis: int, new: int | None) -> tuple[Tensor, Tensor]:
    """Add the matrices (N, 1, size, size) that bring the bright part along an axis to a new length, in the middle.

    Pixel p of the result is the mean of what lies under it: of the pixels q, as far as they overlap it. Return also
    whether the new length fits; None leaves the length as it is.
    """
    size = graph.add("Cast", graph.length(x, axis), to=FLOAT)
    places = graph.add("Cast", graph.add("Range", 0, graph.length(x, axis), 1), to=FLOAT)
    p, q = graph.add("Reshape", places, [1, 1, -1, 1]), graph.add("Reshape", places, [1, 1, 1, -1])
    seen = graph.add("Reshape", graph.add("ReduceMax", bright, axes=[5 - axis]), [0, 1, 1, -1])
    from_end = graph.add("ReduceMax", seen * (size - q), axes=[3])
    end = graph.add("ReduceMax", seen * (q + 1.0), axes=[3])
    first = size - from_end
    n = end - first
    m = n if new is None else np.float32(new)
    i, start = p - graph.add("Floor", (size - m) / 2.0), q - first

    def edge(i: Tensor) -> Tensor:
        return graph.add("Max", graph.add("Min", i * n / m, n), 0.0)

    stop = graph.add("Min", edge(i + 1.0), start + 1.0)
    overlap = graph.add("Max", stop - graph.add("Max", edge(i), start), 0.0)
    return overlap * graph.add("Div", m, n), graph.add("GreaterOrEqual", size, m)


def conorm(graph: Graph, x: Tensor, maps: int, narrow: float, wide: float) -> Tensor:
    """Add the difference of two Gaussians, one filter for every channel, and the division by the root mean square."""
    reach = ceil(4 * max(narrow, wide))
    bells = []
    for sigma in (narrow, wide):
        place = np.arange(-reach, reach + 1)
        bell = np.where(abs(place) <= ceil(4 * sigma), np.exp(-(place**2) / (2 * sigma**2)), 0)
        bells.append(np.outer(bell, bell) / bell.sum() ** 2)
    W = np.repeat((bells[0] - bells[1])[None, None], maps, axis=0)
    for axis in (2, 3):
        x = mirrored(graph, x, axis, 2 * reach + 1)
    edges = graph.add("Conv", x, W, kernel_shape=W.shape[2:], group=maps)
    square = graph.add("ReduceMean", edges * edges, axes=[1, 2, 3])
    return edges / graph.add("Max", graph.add("Sqrt", square), 1e-3)


def _on_value(graph: Graph, x: Tensor, maps: int, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change the largest channel of every pixel, and the other channels by the same factor."""
    if maps == 1:
        return change(x)
    value = graph.add("ReduceMax", x, axes=[1])
    return x * (change(value) / graph.add("Max", value, 1e-6))


PREPROCESSINGS: Mapping[str, Callable[..., Tensor]] = {
    operators.__name__: operators for operators in (width, imadjust, histeq, adapthisteq, conorm)
}
"""What adds the operators of a preprocessing, by its kind."""
