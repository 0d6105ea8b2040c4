"""Max-pooling convolutional networks trained on whole images, in NumPy and CuPy, written to be read.

After Masci, Giusti, Ciresan, Fricout and Schmidhuber, "A Fast Learning Algorithm for Image Segmentation with
Max-Pooling Convolutional Networks" (ICIP 2013, arXiv 1302.1690). Read the method in this order::

    nn/layers/base.py        what a layer is: parameters, forward, backward
    nn/layers/conv.py        the convolution and the fully connected layer
    nn/layers/activation.py  tanh and the logistic function
    nn/layers/pool.py        max-pooling on patches, and on all fragments of a whole image
    nn/fragments.py          from fragments to the dense map and back
    nn/geometry.py           the sizes that one layer takes and makes
    nn/layers/row.py         the sizes of layers in a row: field of view, stride, padding
    nn/layers/chain.py       layers in a row at work: pad, run, merge, crop
    nn/sequential.py         a net: image net and patch net, parameters, copies
    nn/plan.py               the storages and the work of a whole net
    nn/reference.py          the paper's four algorithms, literally
    nn/losses.py             cross-entropy and squared error
    nn/optim/base.py         what an optimiser is
    nn/optim/sgd.py          gradient descent with momentum
    nn/optim/armijo.py       gradient descent with the paper's step rule
    nn/optim/lbfgs.py        L-BFGS, the paper's best on steel
    nn/optim/adam.py         Adam, today's usual choice
    nn/layers/contrast.py    local contrast normalisation, which is not in the paper
    nn/layers/fragment.py    fragments without a maximum: a trous convolution
    nn/layers/upsample.py    the way back up
    nn/layers/skip.py        a layer of layers: the U-Net
    nn/spec.py               the paper's notation for nets
    gradcheck/__init__.py    is a gradient right?
    gradcheck/differences.py    gradients against central differences
    gradcheck/diagnosis.py   if a gradient is wrong, what is wrong with it
    net.py                   the net that users meet: from_spec, segment, save, load
    zoo.py                   the nets of the paper
    training/objective.py    the loss over a set of images
    training/fit.py          the training loop
    inference/segment.py     segmenting an image of any size, tile by tile
    inference/bands.py       pages in, bands of probabilities out, on any executor
    inference/locate.py      from probabilities to a list of objects
    engine/__init__.py       how the loops are made fast: blocks, threads, memory, GPU
    engine/correlation.py    the fast convolution
"""

from __future__ import annotations

from tinympcnn import zoo
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference.committee import Committee
from tinympcnn.net import Net
from tinympcnn.nn.layers import (
    Conv,
    Fragment,
    FullyConnected,
    Layer,
    LocalContrast,
    Logistic,
    MaxPool,
    MaxPoolFragment,
    Relu,
    Skip,
    Subsample,
    Tanh,
    Upsample,
    register_layer,
)
from tinympcnn.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from tinympcnn.nn.optim import LBFGS, SGD, Adam, ArmijoSGD
from tinympcnn.nn.sequential import Sequential
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
    "Fragment",
    "FullyConnected",
    "Layer",
    "LocalContrast",
    "Logistic",
    "MaxPool",
    "MaxPoolFragment",
    "MeanSquaredError",
    "Net",
    "Recipe",
    "Relu",
    "Sequential",
    "Skip",
    "SoftmaxCrossEntropy",
    "Subsample",
    "Tanh",
    "Upsample",
    "UsageError",
    "fit",
    "register_layer",
    "zoo",
]
