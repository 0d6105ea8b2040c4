"""A whole model as ONNX: raw pixels go in, and the probabilities that `segment` or `classify` gives come out.

The graph normalises, mirrors the borders, runs every net, on eight views if they are asked for, takes the mean of the
probabilities and calibrates. The input "image" is (N, C, H, W), of any number and size of images: the layout of most
programs that run ONNX. The output "probabilities" is (N, K, H, W), and (N, K) of a net that classifies whole images.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Pair
from tinympcnn.errors import DataError
from tinympcnn.io.onnx.borders import mirrored, normalised, turned, turned_back
from tinympcnn.io.onnx.graph import FLOAT, IR, OPSET, Graph, Tensor, library
from tinympcnn.io.onnx.layers import Maps, add_layers
from tinympcnn.io.onnx.preprocessing import prepared
from tinympcnn.nn.sequential import Sequential

PIXELS = {"uint8": 255, "uint16": 65535, "float32": 1}
"""The types of pixels, and the number that stands for full brightness where whole images are classified."""


@dataclass(frozen=True)
class Steps:
    """What happens to pixels and probabilities besides the nets."""

    turns: bool = False  # average over the eight flips and quarter turns of an image
    calibration: Sequence[float] = ()  # the coefficients, lowest power first; nothing for no calibration
    scores: bool = False  # give the scores, which are the predictions of nets trained on target images
    downsample: int = 1  # the factor by which images are shrunk first, as for training
    pixels: str = "float32"  # or "uint8", "uint16": nets for whole images take shares of the largest of the type

    @property
    def views(self) -> int:
        """The number of views of an image."""
        return 8 if self.turns else 1

    @property
    def output(self) -> str:
        """The name of the output."""
        return "predictions" if self.scores else "probabilities"


def to_onnx(nets: Sequence[Sequential], steps: Steps = Steps(), about: dict[str, Any] | None = None) -> Any:
    """Return nets, whose outputs are averaged, as one ONNX model, an ``onnx.ModelProto``.

    The nets fit together: they are image nets, or nets that classify whole images (those with class names). The
    metadata holds `about` too, as JSON, by name. A net that computes in float64 is a `DataError`; a layer or a
    preprocessing that has no counterpart in ONNX, and a missing package onnx, are a `UsageError`.

    Examples
    --------
    >>> from tinympcnn.nn.spec import parse
    >>> model = to_onnx([Sequential(parse("C3x3x4 MPF2x2 C2x2x4 FC2", rng=0))])
    >>> [node.op_type for node in model.graph.node if node.op_type in ("Conv", "MaxPool")]
    ['Conv', 'MaxPool', 'Conv', 'Conv']
    """
    onnx = library()
    for net in nets:
        if net.dtype != np.float32:
            raise DataError(
                f"a net of {net.dtype} cannot be exported, because ONNX would run it in float32; save "
                "net.astype('float32') and export that"
            )
    graph, whole = Graph(), classifies(nets)
    image = Tensor(graph, "image")
    if steps.pixels != "float32":
        image = graph.add("Cast", image, to=FLOAT)
    image = _shrunk(graph, image, nets[0].in_maps, steps.downsample)
    if whole:
        if steps.downsample > 1 and steps.pixels != "float32":
            image = graph.add("Round", image)  # integers stay integers
        opinions = [_classified(graph, net, image, PIXELS[steps.pixels]) for net in nets]
    else:
        opinions = [
            turned_back(graph, _segmented(graph, net, turned(graph, image, k), steps.scores), k)
            for net in nets
            for k in range(steps.views)
        ]
    result = graph.add("Mean", *opinions)
    if steps.calibration:
        result = _calibrated(graph, result, steps.calibration)
    graph.add("Identity", result, output=steps.output)
    info = onnx.helper.make_tensor_value_info
    pixels = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(steps.pixels))
    size = () if whole else ("H", "W") if steps.downsample == 1 else ("h", "w")
    proto = graph.proto(
        [info("image", pixels, ("N", nets[0].in_maps, "H", "W"))],
        [info(steps.output, FLOAT, ("N", nets[0].out_maps, *size))],
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(proto, opset_imports=[opset], ir_version=IR, producer_name="tinympcnn")
    metadata = {**_metadata(nets, steps), **(about or {})}
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    return model


def classifies(nets: Sequence[Sequential]) -> bool:
    """Return whether nets tell the class of a whole image, and not of every pixel: then they have class names."""
    return nets[0].class_names is not None


def _metadata(nets: Sequence[Sequential], steps: Steps) -> dict[str, Any]:
    """Return what the file says of itself; pairs are (rows, columns)."""

    def both(values: Iterable[Pair], joined: Callable[..., int]) -> list[int]:
        """Return what nets have together; rows of an image are columns of a turned one."""
        rows, columns = zip(*values, strict=True)
        return [joined(*rows, *columns)] * 2 if steps.turns else [joined(*rows, 1), joined(*columns, 1)]

    sides = [(net.window[0] // 2 + net.grid[0], net.window[1] // 2 + net.grid[1]) for net in nets]
    return {
        "class_values": nets[0].class_values,
        "class_names": nets[0].class_names,
        "field_of_view": both((net.field_of_view for net in nets), max),
        "grid": both((net.grid for net in nets), lcm),
        "halo": [one - 1 for one in both(sides, max)],
        "views": steps.views,
        "calibration": list(steps.calibration),
        "downsample": steps.downsample,
        "records": [net.record for net in nets],
    }


def _shrunk(graph: Graph, image: Tensor, maps: int, factor: int) -> Tensor:
    """Add the means of blocks of factor x factor pixels: sums, as in ``data/downsample.py``, then the division."""
    if factor == 1:
        return image
    ones = np.ones((maps, 1, factor, factor), np.float32)
    total = graph.add("Conv", image, ones, kernel_shape=ones.shape[2:], strides=ones.shape[2:], group=maps)
    return total / float(factor**2)


def _segmented(graph: Graph, net: Sequential, image: Tensor, scores: bool) -> Tensor:
    """Add the way from the pixels of an image to the probability of every class at each of them."""
    x = normalised(graph, net, image)
    for axis, window in enumerate(net.window):
        x = mirrored(graph, x, 2 + axis, window, net.sizes(axis) if net.comes_up else None)
    x = add_layers(graph, net.layers, Maps(x)).name
    if net.comes_up:  # the image was mirrored up to a size that divides
        x = graph.add("Slice", x, [0, 0], graph.add("Slice", graph.add("Shape", image), [2], [4]), [2, 3])
    return x if scores else graph.add("Softmax", x, axis=1)


def _classified(graph: Graph, net: Sequential, image: Tensor, largest: int) -> Tensor:
    """Add the way from the pixels of images to the probability (N, K) of every class."""
    x = normalised(graph, net, prepared(graph, net, image, largest))
    scores = add_layers(graph, net.as_patch().layers, Maps(x)).name
    return graph.add("Flatten", graph.add("Softmax", scores, axis=1))


def _calibrated(graph: Graph, probabilities: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Add the polynomial of a calibration, by Horner's rule."""
    p = graph.add("Slice", probabilities, [1], [2], [1])
    value: Any
    *lower, value = map(float, coefficients)
    for c in reversed(lower):
        value = value * p + c
    value = graph.add("Clip", value, 0.0, 1.0)
    return graph.add("Concat", 1.0 - value, value, axis=1)
