"""The layers, one idea a file, each with its formulas in its docstring. Read them in the order of this list."""

from __future__ import annotations

from tinympcnn.nn.layers.base import LAYERS, Layer, describe, layer_class, rebuild, register_layer  # isort: skip
from tinympcnn.nn.layers.conv import Conv, FullyConnected  # isort: skip
from tinympcnn.nn.layers.activation import Activation, Logistic, Relu, Tanh  # isort: skip
from tinympcnn.nn.layers.pool import MaxPool, MaxPoolFragment  # isort: skip
from tinympcnn.nn.layers.contrast import LocalContrast  # isort: skip
from tinympcnn.nn.layers.fragment import Fragment, Subsample  # isort: skip
from tinympcnn.nn.layers.upsample import Upsample  # isort: skip
from tinympcnn.nn.layers.skip import Skip  # isort: skip

__all__ = [  # noqa: RUF022
    "LAYERS", "Layer", "register_layer", "describe", "layer_class", "rebuild", "Conv", "FullyConnected", "Activation",
    "Tanh", "Logistic", "Relu", "MaxPool", "MaxPoolFragment", "LocalContrast", "Fragment", "Subsample", "Upsample",
    "Skip",
]  # fmt: skip
