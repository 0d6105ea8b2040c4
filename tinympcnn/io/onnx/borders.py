"""What every net is given in a graph: normalised pixels, mirrored at the borders, and the eight views of an image."""

from __future__ import annotations

import numpy as np

from tinympcnn.io.onnx.graph import Graph, Tensor
from tinympcnn.nn.geometry import Sizes
from tinympcnn.nn.sequential import Sequential


def normalised(graph: Graph, net: Sequential, image: Tensor) -> Tensor:
    """Add the normalisation of a net, with the mean as a sum of two float32 numbers.

    The library subtracts in float64. In a bright image of little contrast, float32 has too few digits for the mean. The
    difference between the image and the first number is exact enough for the rest of the mean to count.
    """
    if net.normalisation is None:
        return image
    mean, std = (part[:, None, None] for part in net.normalisation)
    coarse = mean.astype(np.float32)
    return (image - coarse - (mean - coarse)) / std


def mirrored(graph: Graph, x: Tensor, axis: int, window: int, sizes: Sizes | None = None) -> Tensor:
    """Add the mirrored border of ``data/borders.py`` along an axis, up to one of `sizes` if they are given.

    The Pad of ONNX mirrors no further than the image is long. Looking pixels up goes on: with a period of 2n - 2, the
    pixel at place i, less whole periods, is i or period - i, whichever is smaller.
    """
    if window == 1 and sizes is None:
        return x
    n = graph.length(x, axis)
    length = n + (window - 1)
    if sizes is not None:  # sizes.first and as many periods as are needed
        more = graph.add("Max", length - sizes.first, 0)
        length = (more + (sizes.period - 1)) / sizes.period * sizes.period + sizes.first
    before = window // 2
    i = abs(graph.add("Range", -before, length - before, 1))
    period = graph.add("Max", n * 2 - 2, 1)
    rest = i % period
    return graph.add("Gather", x, graph.add("Min", rest, period - rest), axis=axis)


def turned(graph: Graph, x: Tensor, k: int) -> Tensor:
    """Add view k of an image, of the eight in ``data/dihedral.py``."""
    return _flipped(graph, _transposed(graph, x, k), k)


def turned_back(graph: Graph, x: Tensor, k: int) -> Tensor:
    """Undo `turned` with the same k."""
    return _transposed(graph, _flipped(graph, x, k), k)


def _transposed(graph: Graph, x: Tensor, k: int) -> Tensor:
    return graph.add("Transpose", x, perm=(0, 1, 3, 2)) if k & 1 else x


def _flipped(graph: Graph, x: Tensor, k: int) -> Tensor:
    axes = [axis for axis, bit in ((2, 2), (3, 4)) if k & bit]
    last, beyond = [-1] * len(axes), [np.iinfo(np.int64).min] * len(axes)
    return graph.add("Slice", x, last, beyond, axes, last) if axes else x
