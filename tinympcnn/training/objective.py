"""What is minimised: the loss of a net on one image, or summed over all images of a set; and what validation measures.

The sum over a set is the mean over all its counted pixels; it is taken in image order and in float64, so an
executor changes where the images are computed and not one bit of the result. Small images that follow each other and
have one size go through the net together.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.data import mirror
from tinympcnn.engine import backend
from tinympcnn.engine.backend import Array
from tinympcnn.engine.workers import Serial, drawn_ahead, result_of
from tinympcnn.errors import UsageError
from tinympcnn.nn.losses import Loss
from tinympcnn.nn.optim import Closure
from tinympcnn.nn.sequential import Sequential

BATCH_PIXELS = 1 << 17  # pixels that go through the net together: enough to hide the cost of calls, few enough for RAM


class Example(NamedTuple):
    """Images of one size as the net takes them, (N, H+P-1, W+Q-1, C), N mostly 1; their targets, (N, H, W[, K]).

    Images are larger where sizes must divide; see `Sequential.input_size`.
    """

    image: Array
    target: Array


def example(net: Sequential, image: np.ndarray, target: np.ndarray) -> Example:
    """Return what the net trains on: `image` (H, W, C) normalised, its borders mirrored; its target (H, W[, K])."""
    x = mirror(net.normalised(image), net.window, net.input_size(target.shape[:2]))[None]
    return Example(net.xp.asarray(x), net.xp.asarray(target[None]))


def image_closure(net: Sequential, pair: Example, loss: Loss) -> Closure:
    """Return ``closure(grad=True)``: the loss on one image, and its gradient left in the net."""

    def closure(grad: bool = True) -> float:
        scores = net.forward(pair.image, grad, pair.target.shape[1:3])
        value = loss.forward(scores, pair.target, grad=grad)
        if grad:
            net.zero_grads()
            net.backward(loss.backward(), input_grad=False)
        return value

    return closure


def set_closure(net: Sequential, pairs: Sequence[Example], loss: Loss, executor: Executor | None = None) -> Closure:
    """Return ``closure(grad=True)``: the loss over a whole set, and its gradient left in the net.

    The images may have any sizes. An executor computes them, batch by batch, on threads, in processes or on a cluster;
    the sum is the same to the last bit.
    """
    if not pairs:
        raise UsageError("a set to sum over needs at least one image")
    joined, computing = batches(pairs), executor or Serial()

    def closure(grad: bool = True) -> float:
        net.zero_grads()
        futures = (computing.submit(_evaluate, net, batch, loss, grad) for batch in joined)
        total, counted = 0.0, 0.0
        gradient: Any = 0.0
        for value, n, g in map(result_of, drawn_ahead(futures, 0 if executor is None else len(joined))):
            total += n * value
            counted += n
            if g is not None:
                gradient = gradient + n * g.astype("float64")
        if grad:
            net.set_flat_grads((gradient / (counted or 1.0)).astype(net.dtype))
        return total / (counted or 1.0)

    return closure


def batches(pairs: Sequence[Example], pixels: int = BATCH_PIXELS) -> list[Example]:
    """Join neighbours of one size, as many as make up to `pixels`; what is joined depends on the set alone.

    Examples
    --------
    >>> small, large = (Example(np.zeros((1, n + 2, n + 2, 1)), np.zeros((1, n, n), int)) for n in (2, 3))
    >>> [len(batch.target) for batch in batches([small, small, small, large, small], pixels=8)]
    [2, 1, 1, 1]
    """
    groups: list[list[Example]] = []
    for pair in pairs:
        group = groups[-1] if groups else []
        full = sum(other.target.size for other in group) + pair.target.size > pixels
        if group and not full and group[0].image.shape[1:] == pair.image.shape[1:]:
            group.append(pair)
        else:
            groups.append([pair])
    xp = backend.array_module(*(pair.image for pair in pairs))
    return [g[0] if len(g) == 1 else Example(*map(xp.concatenate, zip(*g, strict=True))) for g in groups]


def _evaluate(net: Sequential, batch: Example, loss: Loss, grad: bool) -> tuple[float, float, Array | None]:
    """Return one batch's loss, what its mean is over, and its gradient; the shared net is not touched."""
    own, loss = net.replica(), copy.copy(loss)
    value = image_closure(own, batch, loss)(grad)
    return value, loss.counted, own.flat_grads() if grad else None


def validate(net: Sequential, examples: Iterable[Example], loss: Loss, measure: str | None) -> dict[str, float]:
    """Return the mean loss and, as `measure`, the share of wrong classes, over all counted targets; nan for none.

    Examples
    --------
    >>> from tinympcnn import FullyConnected, Net, SoftmaxCrossEntropy
    >>> net, pair = Net([FullyConnected(1, 2)]), Example(np.zeros((1, 1, 3, 1)), np.array([[[0, 1, -1]]]))
    >>> validate(net, [pair], SoftmaxCrossEntropy(), "pixel_error")["pixel_error"]
    0.5
    """
    total, counted, wrong, known, seen = 0.0, 0.0, 0, 0, False
    for image, target in examples:
        scores = net.forward(image, False, target.shape[1:3])
        total += loss.forward(scores, target, grad=False) * loss.counted
        counted += loss.counted
        if measure:
            missed = (target >= 0) & (scores.argmax(axis=-1) != target)
            here = backend.to_numpy(net.xp.stack([missed.sum(), (target >= 0).sum()]))
            wrong, known = wrong + int(here[0]), known + int(here[1])
        seen = True
    share = {measure: wrong / max(known, 1)} if measure else {}
    result = {"loss_val": total / (counted or 1.0), **share}
    return result if seen else dict.fromkeys(result, math.nan)
