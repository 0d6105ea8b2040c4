"""The layers, one idea a file, each with its formulas in its docstring. Read them in the order of this list."""

from tinympcnn.nn.layers.activation import Logistic, Tanh
from tinympcnn.nn.layers.base import Layer
from tinympcnn.nn.layers.contrast import LocalContrast
from tinympcnn.nn.layers.conv import Conv, FullyConnected
from tinympcnn.nn.layers.pool import MaxPool
from tinympcnn.nn.layers.pool_fragment import MaxPoolFragment

__all__ = ["Conv", "FullyConnected", "Layer", "LocalContrast", "Logistic", "MaxPool", "MaxPoolFragment", "Tanh"]
