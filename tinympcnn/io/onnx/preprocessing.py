"""What a column does to a whole small image before its net sees it, as operators of ONNX.

The functions are those of ``data/preprocessing.py`` and, for the size, ``data/distort.py``, on images (N, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

import numpy as np

from tinympcnn.data.preprocessing import LEVELS
from tinympcnn.errors import UsageError
from tinympcnn.io.onnx.borders import mirrored
from tinympcnn.io.onnx.graph import FLOAT, INT64, Graph, Tensor
from tinympcnn.nn.sequential import Sequential


def prepared(graph: Graph, net: Sequential, image: Tensor, largest: int) -> Tensor:
    """Add a column's preprocessing of pixels from 0 to `largest`, and the resizing to the field of view of its net."""
    options = dict(net.preprocessing or {"kind": "none"})
    kind = options.pop("kind")
    if kind not in PREPROCESSINGS:
        raise UsageError(
            f"ONNX has no operators for the preprocessing {kind}, only for {', '.join(PREPROCESSINGS)}; train a column "
            "with one of these, or leave this column out"
        )
    unit = image if largest == 1 else graph.add("Div", image, float(largest))
    return resized(graph, PREPROCESSINGS[kind](graph, unit, net.in_maps, **options), net.field_of_view)


def resized(graph: Graph, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Add the resizing to h x w pixels, bilinear between pixels and mirrored at the borders.

    The middle of pixel j of the result lies at ((2j+1)*n - h) / 2h among n pixels. In units of 1/2h all is whole
    numbers, and the shares of neighbours are exact.
    """
    for axis, h in ((3, size[1]), (2, size[0])):
        n = graph.length(x, axis)
        point = graph.add("Abs", graph.add("Sub", graph.add("Mul", 2 * np.arange(h) + 1, n), h))
        last = graph.add("Mul", graph.add("Max", graph.add("Sub", n, 1), 1), 2 * h)
        twice = graph.add("Mul", last, 2)
        inside = graph.add("Sub", last, graph.add("Abs", graph.add("Sub", last, graph.add("Mod", point, twice))))
        before = graph.add("Min", graph.add("Div", inside, 2 * h), graph.add("Max", graph.add("Sub", n, 2), 0))
        behind = graph.add("Min", graph.add("Add", before, 1), graph.add("Sub", n, 1))
        rest = graph.add("Cast", graph.add("Sub", inside, graph.add("Mul", before, 2 * h)), to=FLOAT)
        share = graph.add("Reshape", graph.add("Div", rest, 2.0 * h), [h, 1] if axis == 2 else [h])
        low, high = (graph.add("Gather", x, places, axis=axis) for places in (before, behind))
        low = graph.add("Mul", low, graph.add("Sub", 1.0, share))
        x = graph.add("Add", low, graph.add("Mul", high, share))
    return x


def none(graph: Graph, x: Tensor, maps: int) -> Tensor:
    """Change nothing."""
    return x


def imadjust(graph: Graph, x: Tensor, maps: int, saturated: float) -> Tensor:
    """Add the linear stretching of contrast: the quantiles lie between two of the sorted pixels."""

    def stretch(value: Tensor) -> Tensor:
        pixels = graph.add("Flatten", value)
        n = graph.add("Slice", graph.add("Shape", pixels), [1], [2])
        ordered, last = graph.add("TopK", pixels, n, unread=1, axis=1, largest=0), graph.add("Sub", n, 1)

        def quantile(share: float) -> Tensor:
            place = graph.add("Mul", graph.add("Cast", last, to=FLOAT), share)
            before = graph.add("Cast", place, to=INT64)
            behind = graph.add("Min", graph.add("Add", before, 1), last)
            low, high = (graph.add("Gather", ordered, index, axis=1) for index in (before, behind))
            beyond = graph.add("Sub", place, graph.add("Cast", before, to=FLOAT))
            found = graph.add("Add", low, graph.add("Mul", graph.add("Sub", high, low), beyond))
            return graph.add("Reshape", found, [-1, 1, 1, 1])

        low, high = quantile(saturated), quantile(1 - saturated)
        span = graph.add("Max", graph.add("Sub", high, low), 1 / LEVELS)
        return graph.add("Clip", graph.add("Div", graph.add("Sub", value, low), span), 0.0, 1.0)

    return _on_value(graph, x, maps, stretch)


def histeq(graph: Graph, x: Tensor, maps: int) -> Tensor:
    """Add the equalising of the histogram: the value of a pixel becomes the share of pixels up to its level."""

    def equalise(value: Tensor) -> Tensor:
        scaled = graph.add("Add", graph.add("Mul", value, float(LEVELS - 1)), 0.5)
        level = graph.add("Flatten", graph.add("Floor", graph.add("Clip", scaled, 0.0, float(LEVELS - 1))))
        levels = np.arange(LEVELS, dtype=np.float32)[:, None]
        counts = graph.add("Cast", graph.add("LessOrEqual", graph.add("Unsqueeze", level, [1]), levels), to=FLOAT)
        shares = graph.add("ReduceMean", counts, axes=[2], keepdims=0)
        found = graph.add("GatherElements", shares, graph.add("Cast", level, to=INT64), axis=1)
        return graph.add("Reshape", found, graph.add("Shape", value))

    return _on_value(graph, x, maps, equalise)


def conorm(graph: Graph, x: Tensor, maps: int, narrow: float, wide: float) -> Tensor:
    """Add the difference of two Gaussians, as one filter for every channel, and the division by the root mean square."""
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
    square = graph.add("ReduceMean", graph.add("Mul", edges, edges), axes=[1, 2, 3])
    return graph.add("Div", edges, graph.add("Max", graph.add("Sqrt", square), 1e-3))


def _on_value(graph: Graph, x: Tensor, maps: int, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change the largest channel of every pixel, and the other channels by the same factor."""
    if maps == 1:
        return change(x)
    value = graph.add("ReduceMax", x, axes=[1])
    factor = graph.add("Div", change(value), graph.add("Max", value, 1e-6))
    return graph.add("Mul", x, factor)


PREPROCESSINGS: Mapping[str, Callable[..., Tensor]] = {
    operators.__name__: operators for operators in (none, imadjust, histeq, conorm)
}
"""What adds the operators of a preprocessing, by its kind."""
