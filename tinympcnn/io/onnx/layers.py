"""From layers to ONNX: one table, from the class of a layer to the function that adds its operators to a graph.

A net of fragments is a net of dilated convolutions. Interleave the fragments of a storage into one dense map
(``nn/fragments.py``): row q of the fragment with offsets r1, ..., rL becomes row ``r1 + k1*(r2 + k2*(... + kL*q))``.
So neighbours in a fragment lie ``D = k1*k2*...*kL`` rows apart in the dense map, whichever fragment it is, and

- a convolution of every fragment is the convolution of the dense map whose taps lie D apart: its dilation is D,
- max-pooling at all k offsets of every fragment is, at every place of the dense map, the maximum of k values that lie
  D apart: a pool of stride 1 and dilation D. The split into k times as many fragments that follows moves nothing in
  the dense map, but neighbours in a fragment now lie D*k apart. That is all a `Fragment` layer does.

By induction over the layers, the dense map at the end is the output of the net. No fragment appears in the graph, and
sizes need not divide: the padding of the library, which makes fragments equally large, has no counterpart.

Images are (N, C, H, W) in ONNX, and filters (out_maps, in_maps, kh, kw).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.engine.backend import Pair, to_numpy
from tinympcnn.errors import UsageError
from tinympcnn.io.onnx.graph import Graph, Tensor
from tinympcnn.nn import layers as nn
from tinympcnn.nn.layers.contrast import gaussian


class Maps(NamedTuple):
    """A dense map (N, C, H, W), and how many rows and columns the neighbours of one fragment lie apart in it."""

    name: Tensor
    dilation: Pair = (1, 1)

    def split(self, name: Tensor, k: Pair) -> Maps:
        """Return the map `name`, cut into kh*kw times as many fragments."""
        return Maps(name, _product(self.dilation, k))


def add_layers(graph: Graph, layers: Sequence[nn.Layer], x: Maps) -> Maps:
    """Append the operators of layers in a row, and return what they make of `x`."""
    for layer in layers:
        if type(layer) not in OPERATORS:
            known = ", ".join(cls.__name__ for cls in OPERATORS)
            raise UsageError(
                f"ONNX has no operators for the layer {type(layer).__name__}, only for {known}; "
                "add a function for it to tinympcnn.io.onnx.layers.OPERATORS"
            )
        x = OPERATORS[type(layer)](graph, layer, x)
    return x


def conv(graph: Graph, layer: nn.Conv, x: Maps) -> Maps:
    """Add a convolution of dilation D."""
    W, b = (to_numpy(layer.params[name]) for name in ("W", "b"))
    y = graph.add("Conv", x.name, W.transpose(3, 2, 0, 1), b, dilations=x.dilation, kernel_shape=layer.window)
    return x._replace(name=y)


def max_pool_fragment(graph: Graph, layer: nn.MaxPoolFragment, x: Maps) -> Maps:
    """Add a max-pooling of stride 1 and dilation D."""
    return x.split(graph.add("MaxPool", x.name, kernel_shape=layer.k, dilations=x.dilation), layer.k)


def fragment(graph: Graph, layer: nn.Fragment, x: Maps) -> Maps:
    """Add nothing: the fragments lie where they lay."""
    return x.split(x.name, layer.k)


def max_pool(graph: Graph, layer: nn.MaxPool, x: Maps) -> Maps:
    """Add a max-pooling whose stride is its window."""
    return in_fragments(graph, layer, x, lambda y: graph.add("MaxPool", y, kernel_shape=layer.k, strides=layer.k))


def subsample(graph: Graph, layer: nn.Subsample, x: Maps) -> Maps:
    """Add a slice of every k-th row and column."""
    end = [np.iinfo(np.int64).max] * 2
    return in_fragments(graph, layer, x, lambda y: graph.add("Slice", y, [0, 0], end, [2, 3], [*layer.k]))


def upsample(graph: Graph, layer: nn.Upsample, x: Maps) -> Maps:
    """Add a resizing that repeats pixels."""
    how: dict[str, Any] = {
        "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"
    }  # fmt: skip
    scales = np.array([1, 1, *layer.k], np.float32)
    return in_fragments(graph, layer, x, lambda y: graph.add("Resize", y, None, scales, **how))


def skip(graph: Graph, layer: nn.Skip, x: Maps) -> Maps:
    """Add the inner layers, whose fragments are merged inside the Skip, beside the cropped input."""
    inner = add_layers(graph, layer.layers, x)
    before = (layer.window[0] // 2, layer.window[1] // 2)
    after = (layer.window[0] - 1 - before[0], layer.window[1] - 1 - before[1])
    middle = graph.crop(x.name, _product(before, x.dilation), _product(after, x.dilation))
    return x._replace(name=graph.add("Concat", middle, inner.name, axis=1))


def local_contrast(graph: Graph, layer: nn.LocalContrast, x: Maps) -> Maps:
    """Add Gaussian means of the maps and of their squares, first along columns, then along rows."""

    def mean(y: Tensor) -> Tensor:
        for axis, size in enumerate(layer.window):
            kernel = np.reshape(gaussian(size), (1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1))
            W = np.repeat(kernel, layer.in_maps, axis=0)
            y = graph.add("Conv", y, W, dilations=x.dilation, kernel_shape=W.shape[2:], group=layer.in_maps)
        return y

    side = _product((layer.window[0] // 2, layer.window[1] // 2), x.dilation)
    middle, m = graph.crop(x.name, side, side), mean(x.name)
    s2 = mean(x.name * x.name) - m * m
    deviation = graph.add("Sqrt", graph.add("Max", s2, 0.0) + layer.floor**2)
    return x._replace(name=graph.add("Concat", middle, (middle - m) / deviation, axis=1))


def function(kind: str) -> Callable[[Graph, nn.Layer, Maps], Maps]:
    """Return what adds a function of single numbers."""
    return lambda graph, layer, x: x._replace(name=graph.add(kind, x.name))


OPERATORS: Mapping[type[nn.Layer], Callable[[Graph, Any, Maps], Maps]] = {
    nn.Conv: conv,
    nn.FullyConnected: conv,
    nn.MaxPoolFragment: max_pool_fragment,
    nn.Fragment: fragment,
    nn.MaxPool: max_pool,
    nn.Subsample: subsample,
    nn.Upsample: upsample,
    nn.Skip: skip,
    nn.LocalContrast: local_contrast,
    nn.Tanh: function("Tanh"),
    nn.Logistic: function("Sigmoid"),
    nn.Relu: function("Relu"),
}
"""What adds the operators of a layer, by its class; a subclass may compute something else and needs its own."""


def in_fragments(
    graph: Graph, layer: nn.MaxPool | nn.Subsample | nn.Upsample, x: Maps, apply: Callable[[Tensor], Tensor]
) -> Maps:
    """Apply what takes maps one by one and moves in steps to every fragment: the fragments become maps for a while.

    Only a U-Net between fragments needs that: the rows of a fragment, not those of the dense map, go into its pools.
    """
    if x.dilation == (1, 1) or layer.k == (1, 1):
        return x if layer.k == (1, 1) else x._replace(name=apply(x.name))

    def shape(*parts: Any) -> Tensor:
        return graph.add("Concat", *parts, axis=0)

    def part(y: Tensor, start: int, stop: int) -> Tensor:
        return graph.add("Slice", graph.add("Shape", y), [start], [stop])

    D = x.dilation
    images, rows, columns = part(x.name, 0, 2), part(x.name, 2, 3), part(x.name, 3, 4)  # images: N and C
    h, w = rows / [D[0]], columns / [D[1]]
    y = graph.add("Reshape", x.name, shape(images, h, [D[0]], w, [D[1]]))
    y = graph.add("Transpose", y, perm=(0, 1, 3, 5, 2, 4))  # N, C, r, c, h, w
    y = apply(graph.add("Reshape", y, shape(part(x.name, 0, 1), [-1], h, w)))
    h, w = part(y, 2, 3), part(y, 3, 4)
    y = graph.add("Reshape", y, shape(images, [*D], h, w))
    y = graph.add("Transpose", y, perm=(0, 1, 4, 2, 5, 3))
    return x._replace(name=graph.add("Reshape", y, shape(images, h * [D[0]], w * [D[1]])))


def _product(one: Pair, other: Pair) -> Pair:
    return one[0] * other[0], one[1] * other[1]
