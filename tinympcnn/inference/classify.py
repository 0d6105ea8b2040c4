"""Which class does a whole small image show? Columns, which are nets with their preprocessing, and committees of them.

A column prepares an image as its model file says (``data/preprocessing.py``), resizes the result to the field of view
of its net, and normalises it. A committee averages the probabilities of any number of columns: Ciresan, Meier,
Schmidhuber, "Multi-column deep neural networks for image classification", CVPR 2012.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinympcnn.data.distort import Distortion, distort
from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.engine.backend import to_numpy
from tinympcnn.engine.workers import Crew, drawn_ahead, result_of
from tinympcnn.errors import DataError
from tinympcnn.inference.average import agreed, average
from tinympcnn.nn.losses import softmax
from tinympcnn.nn.sequential import Sequential

BATCH = 256  # images that go through a net together


def classify(
    columns: Sequential | Sequence[Sequential],
    images: np.ndarray,
    names: Sequence[str] | None = None,
    crew: Crew = Crew(),
) -> np.ndarray:
    """Return the probability of each class for each image, averaged over the columns.

    Parameters
    ----------
    columns : Sequential or sequence of Sequential
        One net or several, with their preprocessings. Their fields of view may differ.
    images : array, shape (N, H, W, C)
        The images as they were read, in the units of the training set.
    names : sequence of str, optional
        The names by which errors call the columns.
    crew : Crew
        Who computes the columns, batch by batch.

    Returns
    -------
    array, shape (N, K)

    Raises
    ------
    DataError
        If the columns differ in their classes or maps, or the images do not fit the columns.

    Examples
    --------
    >>> from tinympcnn.nn.spec import parse
    >>> column = Sequential(parse("1x9x9-4C4-MP2-3N", rng=0))
    >>> classify([column, column], np.zeros((5, 28, 28, 1))).shape
    (5, 3)
    """
    nets = [columns] if isinstance(columns, Sequential) else list(columns)
    check_columns(nets, names or [f"column {i}" for i in range(len(nets))])
    if images.ndim != 4 or images.shape[3] != nets[0].in_maps or not images.size:
        raise DataError(f"images have shape {images.shape}; these nets classify (N, H, W, {nets[0].in_maps})")
    return average(opinions(nets, images, crew))


def opinions(nets: Sequence[Sequential], images: np.ndarray, crew: Crew = Crew()) -> Iterator[np.ndarray]:
    """Yield the probabilities (N, K) that each column gives to images that fit the columns."""
    starts = range(0, len(images), BATCH)
    futures = (
        crew.executor.submit(_probabilities, net, images[start : start + BATCH]) for net in nets for start in starts
    )
    parts = map(result_of, drawn_ahead(futures, crew.ahead))
    for _ in nets:
        yield np.concatenate([part for _, part in zip(starts, parts, strict=False)])


def check_columns(nets: Sequence[Sequential], names: Sequence[str]) -> None:
    """Raise DataError if the columns can not vote on the same images and classes."""
    agreed("number of maps in", [net.in_maps for net in nets], names)
    agreed("number of classes", [net.out_maps for net in nets], names)
    agreed("list of class names", [net.class_names for net in nets], names)


def prepared(net: Sequential, images: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, C) as the column's preprocessing leaves them, float32, still of their size."""
    return Preprocessing(**(net.preprocessing or {"kind": "none"}))(images)


def as_input(
    net: Sequential, images: np.ndarray, distortion: Distortion | None = None, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Return prepared images as the net takes them: distorted, of the size of its field of view, normalised."""
    return net.normalised(distort(images, net.field_of_view, distortion or Distortion(), rng))


def _probabilities(net: Sequential, images: np.ndarray) -> np.ndarray:
    """Return the probabilities (N, K) that one column gives to a batch of images."""
    scores = net.as_patch().forward(net.xp.asarray(as_input(net, prepared(net, images))), train=False)[:, 0, 0]
    return to_numpy(softmax(scores)).astype(np.float64)


def saliency(net: Sequential, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return which pixels of the net's input speak for a class: the gradient of the score of the class.

    Parameters
    ----------
    net : Sequential
        The column.
    images : array, shape (N, H, W, C)
        The images as they were read.
    classes : array of int, shape (N,)
        The class of each image whose score is asked about.

    Returns
    -------
    array, shape (N, P, Q, C)
        How much the score of the class grows for one training deviation more at each pixel of the input, on the CPU.

    Examples
    --------
    >>> from tinympcnn.nn.spec import parse
    >>> net = Sequential(parse("1x9x9-4C4-MP2-3N", rng=0))
    >>> saliency(net, np.zeros((2, 9, 9, 1)), np.array([0, 2])).shape
    (2, 9, 9, 1)
    """
    own = net.as_patch().replica()
    scores = own.forward(net.xp.asarray(as_input(net, prepared(net, images))))
    dscores = net.xp.zeros(scores.shape, scores.dtype)
    dscores[net.xp.arange(len(images)), 0, 0, net.xp.asarray(classes)] = 1
    gradient = own.backward(dscores)
    assert gradient is not None
    return to_numpy(gradient)


def filters(net: Sequential) -> np.ndarray:
    """Return the filters of the first layer as pictures, (maps, rows, columns, C), each stretched to 0 to 1.

    Grey is a weight of 0 in every picture, as filters have both signs.

    Examples
    --------
    >>> from tinympcnn.nn.spec import parse
    >>> filters(Sequential(parse("3x9x9-4C4-MP2-3N", rng=0))).shape
    (4, 4, 4, 3)
    """
    W = np.moveaxis(to_numpy(next(layer.params["W"] for layer in net.layers if "W" in layer.params)), -1, 0)
    return np.asarray(0.5 + 0.5 * W / np.abs(W).max(axis=(1, 2, 3), keepdims=True))
