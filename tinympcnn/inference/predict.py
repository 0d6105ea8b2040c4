"""Predicting images: what a net that was trained on target images makes of a whole image, instead of probabilities.

An autoencoder predicts the image itself, a denoiser the image without noise. The scores of the net are the prediction,
in the units of the targets. Borders and tiles are those of ``inference/segment.py``: every image size works, and the
result is the same to the last bit for every tile size.
"""

from __future__ import annotations

import numpy as np

from tinympcnn.inference.segment import segment
from tinympcnn.inference.tiling import DEFAULT_MEMORY
from tinympcnn.inference.views import Members
from tinympcnn.nn.sequential import Sequential


def predict(
    net: Sequential | Members, image: np.ndarray, tile: int | None = None, memory: int = DEFAULT_MEMORY
) -> np.ndarray:
    """Return the image (H, W, K), float32, that a net, or the mean of several, predicts from an image of any size.

    The image, array, shape (H, W) or (H, W, C), is in the units of the training images. The `tile`, the `memory` and
    the errors are those of `segment`.

    Examples
    --------
    >>> from tinympcnn.nn.spec import parse
    >>> net = Sequential(parse("C3x3x4 [ MP2x2 C3x3x4 U2x2 ] C1x1x1", rng=0))
    >>> predict(net, np.zeros((5, 7))).shape
    (5, 7, 1)
    """
    return segment(predictor(net), image, tile, memory)


def predictor(net: Sequential | Members) -> Members:
    """Return a net, or several, as members whose scores are averaged instead of their probabilities."""
    nets, turns = (net.nets, len(net.views) > 1) if isinstance(net, Members) else ([net], False)
    return Members(nets, turns, scores=True)
