"""The losses: multiclass cross-entropy over pixels (section 4 of the paper, its MCCE) and mean squared error.

Sums run in float64, and one loss costs a GPU one synchronisation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinympcnn.engine.backend import Array, array_module, is_device_array, to_numpy
from tinympcnn.errors import DataError, UsageError


class Loss:
    """The agreement that every loss keeps: `forward`, then `backward`, which returns what `forward` left in `_dscores`.

    After `forward`, `counted` is the divisor of the mean, the number of pixels or the sum of their weights. The mean
    over a whole set is taken from the losses of its images with it.
    """

    def __init__(self) -> None:
        self.counted = 0.0
        self._dscores: Array | None = None

    def forward(self, scores: Array, target: Array, grad: bool = True) -> float:
        """Return the loss of `scores` (N, n, m, K); `grad` prepares `backward`."""
        raise TypeError(f"{type(self).__name__} defines no forward pass")

    def backward(self) -> Array:
        """Return the gradient of the last loss with respect to its scores, (N, n, m, K)."""
        if self._dscores is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a forward pass with grad=True before it")
        dscores, self._dscores = self._dscores, None
        return dscores


def softmax(scores: Array) -> Array:
    """Return the class probabilities of scores, over the last axis.

    Examples
    --------
    >>> softmax(np.array([0.0, 0.0, np.log(2.0)])).round(3).tolist()
    [0.25, 0.25, 0.5]
    """
    xp = array_module(scores)
    shifted = _shifted(scores)
    e = xp.exp(shifted, out=shifted)
    e /= e.sum(axis=0)
    probabilities: Array = xp.moveaxis(e, 0, -1)
    return probabilities


def _shifted(scores: Array) -> Array:
    """Return scores less their largest, (K, ...): with the classes first, NumPy works on long runs of pixels."""
    xp = array_module(scores)
    first = xp.ascontiguousarray(xp.moveaxis(scores, -1, 0))
    shifted: Array = first - first.max(axis=0)
    return shifted


def balanced_weights(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return class weights that make every class count equally, whatever its share of the pixels.

    The paper minimises the MCCE "per class" without a formula; we take pixel weight 1 / (K * N_class), here times the
    number of pixels, so that the mean weight is 1. `counts` are the N_class of the training set; a class that is absent
    gets weight zero.

    Examples
    --------
    >>> balanced_weights([90, 10, 0]).round(3).tolist()
    [0.556, 5.0, 0.0]
    """
    n = np.asarray(counts, np.float64)
    present = n > 0
    return np.where(present, n.sum() / (present.sum() * np.where(present, n, 1)), 0.0)


class SoftmaxCrossEntropy(Loss):
    """Multiclass cross-entropy, as a mean over the counted pixels.

    With s the scores of a pixel, t its label, p = softmax(s), w the weights of the classes and M the number of
    pixels that are not ignored, or the sum of their weights::

        L  = -1/M sum_pixels w[t] * log p[t]
        ds = w[t]/M * (p - onehot(t))

    Parameters
    ----------
    class_weights : sequence of float, optional
        One weight for each class; by default all are 1. See `balanced_weights`.
    ignore : int
        The label of pixels that have no part in the loss.
    over : {"pixels", "weights"}
        The meaning of M. Summed over a whole set both lead to the same net. With one update for each image, "weights"
        keeps updates equally large whether or not an image contains the rare class.

    Examples
    --------
    >>> loss = SoftmaxCrossEntropy()
    >>> round(loss.forward(np.zeros((1, 1, 2, 2)), np.array([[[0, -1]]])), 4)
    0.6931
    >>> loss.backward()[0, 0].tolist()
    [[-0.5, 0.5], [0.0, 0.0]]
    """

    def __init__(
        self, class_weights: Sequence[float] | np.ndarray | None = None, ignore: int = -1, over: str = "pixels"
    ) -> None:
        super().__init__()
        self.class_weights = None if class_weights is None else np.asarray(class_weights, np.float64)
        if self.class_weights is not None and not (np.isfinite(self.class_weights) & (self.class_weights >= 0)).all():
            raise UsageError(f"class_weights must be finite and not negative, not {class_weights!r}")
        if over not in ("pixels", "weights"):
            raise UsageError(f"the mean is over 'pixels' or 'weights', not {over!r}")
        self.ignore, self.over = ignore, over

    def forward(self, scores: Array, target: Array, grad: bool = True) -> float:
        """Return the loss of `scores` (N, n, m, K) for the labels `target` (N, n, m); `grad` prepares `backward`."""
        xp = array_module(scores, target)
        K = scores.shape[-1]
        if target.shape != scores.shape[:-1]:
            raise DataError(f"labels of shape {target.shape} do not fit scores of shape {scores.shape}")
        if self.class_weights is not None and len(self.class_weights) != K:
            raise UsageError(f"{len(self.class_weights)} class weights were given for {K} classes")
        counted = target != self.ignore
        onehot = target == xp.arange(K).reshape(K, *[1] * target.ndim)
        if not is_device_array(target):  # a check on a device would wait for it; labels are checked when they are read
            wrong = counted & ~onehot.any(axis=0)
            if wrong.any():
                raise DataError(f"label {target[wrong][0]:g} is not a class: {K} scores mean classes 0 to {K - 1}")
        if 0 <= self.ignore < K:
            onehot &= counted
        shifted = _shifted(scores)
        e = xp.exp(shifted)
        total = e.sum(axis=0)
        weights = xp.asarray([1] * K if self.class_weights is None else self.class_weights, e.dtype)
        weighted = onehot * weights.reshape(K, *[1] * target.ndim)
        log_p = shifted - xp.log(total)
        summed = counted if self.over == "pixels" else weighted
        sums = xp.stack([-(weighted * log_p).sum(dtype="float64"), summed.sum(dtype="float64")])
        loss, self.counted = (float(value) for value in to_numpy(sums))  # the one synchronisation
        M = self.counted or 1.0
        if grad:
            dscores = (weighted.sum(axis=0) * (e / total) - weighted) / M
            self._dscores = xp.ascontiguousarray(xp.moveaxis(dscores, 0, -1))
        return loss / M


class MeanSquaredError(Loss):
    """Half the squared distance between scores and target, as a mean over pixels.

    With s and t the vectors of a pixel and M the number of pixels::

        L  = 1/M sum_pixels |s - t|**2 / 2
        ds = (s - t) / M

    so that the gradient of the sum over pixels is the paper's ``x^ - t`` (section 3.2).

    Examples
    --------
    >>> loss = MeanSquaredError()
    >>> loss.forward(np.array([[[[3.0, 1.0]]]]), np.array([[[[1.0, 1.0]]]])), loss.backward().ravel().tolist()
    (2.0, [2.0, 0.0])
    """

    def forward(self, scores: Array, target: Array, grad: bool = True) -> float:
        """Return the loss of `scores` for a `target` of the same shape (N, n, m, K); `grad` prepares `backward`."""
        array_module(scores, target)
        if target.shape != scores.shape:
            raise DataError(f"a target of shape {target.shape} does not fit scores of shape {scores.shape}")
        difference = scores - target.astype(scores.dtype if scores.dtype.kind == "f" else "float64")
        self.counted = float(scores.size // scores.shape[-1])
        if grad:
            self._dscores = difference / self.counted
        return float((difference * difference).sum(dtype="float64")) / 2 / self.counted
