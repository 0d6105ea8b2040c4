"""Max-pooling convolutional networks trained on whole images, in NumPy and CuPy, written to be read.

After Masci, Giusti, Ciresan, Fricout and Schmidhuber, "A Fast Learning Algorithm for Image Segmentation with
Max-Pooling Convolutional Networks" (ICIP 2013, arXiv 1302.1690). Start with ``net.py``, then ``layers/``;
``reference.py`` holds the paper's four algorithms literally.
"""

from tinympcnn import zoo
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference.committee import Committee
from tinympcnn.net import Net
from tinympcnn.nn.layers import Conv, FullyConnected, Layer, LocalContrast, Logistic, MaxPool, MaxPoolFragment, Tanh
from tinympcnn.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from tinympcnn.nn.optim import LBFGS, SGD, Adam, ArmijoSGD
from tinympcnn.training.checkpoint import Checkpoint
from tinympcnn.training.fit import fit
from tinympcnn.training.recipe import Recipe

__version__ = "0.1.0"
__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "ArmijoSGD",
    "Checkpoint",
    "Committee",
    "Conv",
    "DataError",
    "FullyConnected",
    "Layer",
    "LocalContrast",
    "Logistic",
    "MaxPool",
    "MaxPoolFragment",
    "MeanSquaredError",
    "Net",
    "Recipe",
    "SoftmaxCrossEntropy",
    "Tanh",
    "UsageError",
    "fit",
    "zoo",
]
