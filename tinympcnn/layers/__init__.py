"""The layers, one idea a file, each with its formulas in its docstring. Read them in the order of this list."""

from tinympcnn.layers.base import Layer
from tinympcnn.layers.conv import Conv, FullyConnected
from tinympcnn.layers.local_contrast import LocalContrast
from tinympcnn.layers.pointwise import Logistic, Tanh
from tinympcnn.layers.pool import MaxPool
from tinympcnn.layers.pool_fragment import MaxPoolFragment

__all__ = ["Conv", "FullyConnected", "Layer", "LocalContrast", "Logistic", "MaxPool", "MaxPoolFragment", "Tanh"]
