"""Measures that look at one pixel at a time: error, confusion, precision and recall, F1 error.

All of them work for any number of classes and any array shape; labels are integers 0 to K-1 and pixels whose
true label is `ignore` do not count. Read `rand` next, for what these cannot see: one missing pixel can merge
two cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinympcnn.errors import DataError, UsageError

from .sweep import THRESHOLDS, Sweep, as_thresholds, check_probabilities, check_same_shape


def pixel_error(prediction: ArrayLike, labels: ArrayLike, ignore: int = -1) -> float:
    """Fraction of counted pixels whose predicted label is wrong.

    Parameters
    ----------
    prediction, labels : array_like of int, one shape
        Predicted and true labels.
    ignore : int
        True label of pixels that do not count.

    Examples
    --------
    >>> pixel_error([0, 1, 1, 1], [0, 1, 0, -1])  # one of three
    0.3333333333333333
    """
    predicted, true = _counted(prediction, labels, ignore)
    return float(np.mean(predicted != true))


def confusion(prediction: ArrayLike, labels: ArrayLike, n_classes: int, ignore: int = -1) -> NDArray:
    """Count pixels by true class (rows) and predicted class (columns).

    Returns
    -------
    ndarray of int64, shape (K, K)
        `C[i, j]` pixels of class i were called j.

    Examples
    --------
    >>> confusion([0, 1, 1, 1], [0, 1, 0, -1], n_classes=2)
    array([[1, 1],
           [0, 1]])
    """
    predicted, true = _counted(prediction, labels, ignore)
    for name, values in (("prediction", predicted), ("labels", true)):
        if values.min() < 0 or values.max() >= n_classes:
            got = f"{values.min()} to {values.max()}"
            raise DataError(f"{name} must be whole numbers 0 to {n_classes - 1}; got {got}")
    pairs = true.astype(np.int64) * n_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def class_errors(C: NDArray) -> NDArray:
    """Error within each true class, `1 - C[i, i] / sum_j C[i, j]`; nan for a class that does not occur.

    Examples
    --------
    >>> class_errors(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    array([0.25, 0.  ,  nan])
    """
    return 1 - _ratio(np.diag(C), C.sum(axis=1))


def balanced_error(C: NDArray) -> float:
    """Mean of `class_errors` over the classes that occur: always giving one of K classes costs 1 - 1/K."""
    return float(np.nanmean(class_errors(C)))


def iou(C: NDArray) -> NDArray:
    """Intersection over union of each class, `C[i, i] / (row i + column i - C[i, i])`; nan if absent.

    Examples
    --------
    >>> iou(np.array([[3, 1], [0, 2]]))
    array([0.75      , 0.66666667])
    """
    both = np.diag(C)
    return _ratio(both, C.sum(axis=0) + C.sum(axis=1) - both)


class Scores(NamedTuple):
    """Precision, recall and their harmonic mean for one class."""

    precision: float
    recall: float
    f1: float


def precision_recall_f1(C: NDArray, positive: int) -> Scores:
    """Precision, recall and F1 of one class against the rest.

    They are tp / (tp + fp), tp / (tp + fn) and 2 tp / (2 tp + fp + fn). As in the challenge's evaluation,
    precision is 1 without false positives and recall is 1 without false negatives.

    Examples
    --------
    >>> precision_recall_f1(np.array([[3, 1], [0, 1]]), positive=1)
    Scores(precision=0.5, recall=1.0, f1=0.6666666666666666)
    """
    tp = C[positive, positive]
    return Scores(*map(float, _scores(tp, C[:, positive].sum() - tp, C[positive].sum() - tp)))


@dataclass(frozen=True)
class F1Error(Sweep):
    """The F1 error of a probability map: a `Sweep` of 1 - F1, and what the best one is made of.

    Attributes
    ----------
    precision, recall : float
        Of the whole stack at the winning threshold.
    slice_errors : ndarray, shape (Z,)
        1 - F1 of each slice alone (first axis) at the winning threshold.
    """

    precision: float
    recall: float
    slice_errors: NDArray

    @property
    def error(self) -> float:
        """The F1 error, 1 - max F1."""
        return self.value

    @property
    def f1s(self) -> NDArray:
        """F1 at each threshold, shape (T,)."""
        return 1 - self.values


def f1_error(
    probability_of_positive: ArrayLike,
    truth_is_positive: ArrayLike,
    thresholds: Sequence[float] | NDArray = THRESHOLDS,
    counted: ArrayLike | None = None,
) -> F1Error:
    """1 - max F1 over thresholds: the "pixel error" of the ISBI 2012 leader board.

    There the interior is the positive class. At threshold t a pixel is called positive where `p > t`. Counts
    are pooled over all slices before F1(t) = 2 tp / (2 tp + fp + fn), then the largest F1 is taken. One pass:
    each pixel is put into the bin of the number of thresholds below its p, and counts at every threshold are
    sums over bins, so the result is exact.

    Parameters
    ----------
    probability_of_positive : array_like of float in [0, 1], shape (Z, ...)
    truth_is_positive : array_like of bool, same shape
    thresholds : increasing sequence, shape (T,)
    counted : array_like of bool, same shape, optional
        Pixels that count; all by default.

    Notes
    -----
    Source: class PixelError of Fiji's Trainable_Segmentation (I. Arganda-Carreras), by which the challenge
    was scored, and its page "Evaluation" ("pixel error: 1 - the maximal F-score of pixel similarity"),
    thresholds 0.0 to 1.0 by 0.1.

    Examples
    --------
    >>> result = f1_error([[0.9, 0.8, 0.35, 0.1]], [[True, True, False, False]])
    >>> result.error, round(result.threshold, 1)
    (0.0, 0.4)
    """
    p, is_true = np.asarray(probability_of_positive), np.asarray(truth_is_positive, dtype=bool)
    check_same_shape(p, is_true, "probability_of_positive", "truth_is_positive")
    check_probabilities(p, "probability_of_positive")
    t = as_thresholds(thresholds)
    n_slices, n_bins = len(p), len(t) + 1
    below = np.searchsorted(t, p.ravel().astype(float))  # how many thresholds the pixel is above
    slices = np.repeat(np.arange(n_slices), p.size // n_slices)
    bins = (slices * 2 + is_true.ravel()) * n_bins + below
    if counted is not None:
        bins = bins[np.asarray(counted, dtype=bool).ravel()]
    histogram = np.bincount(bins, minlength=n_slices * 2 * n_bins).reshape(n_slices, 2, n_bins)
    above = histogram[..., ::-1].cumsum(axis=-1)[..., -2::-1]  # above[..., k] = pixels with p > t[k]
    fp, tp = above[:, 0], above[:, 1]
    fn = histogram[:, 1].sum(axis=-1, keepdims=True) - tp
    precision, recall, f1 = _scores(tp.sum(axis=0), fp.sum(axis=0), fn.sum(axis=0))
    k = int(np.argmax(f1))
    slice_errors = 1 - _scores(tp[:, k], fp[:, k], fn[:, k])[2]
    errors, at_best = 1 - f1, (float(precision[k]), float(recall[k]))
    return F1Error(float(errors[k]), float(t[k]), errors, t, *at_best, slice_errors)


class BestThreshold(NamedTuple):
    """The best grey threshold: class 1 is where `grey > threshold` if `bright`, else `grey <= threshold`."""

    error: float
    threshold: float
    bright: bool


def best_threshold_error(images: ArrayLike, labels: ArrayLike, ignore: int = -1) -> BestThreshold:
    """Pixel error of the best single threshold on the grey values themselves: the baseline to beat.

    Class 1 may be the brighter or the darker one. Every grey value that occurs is tried, so no threshold does
    better on these pixels.

    Examples
    --------
    >>> best_threshold_error([10, 20, 30, 40], [1, 1, 0, 1])
    BestThreshold(error=0.25, threshold=20.0, bright=False)
    """
    grey, true = _counted(images, labels, ignore)
    if not np.isin(true, (0, 1)).all():
        got = f"{true.min()} to {true.max()}"
        raise UsageError(f"a single threshold separates two classes, 0 and 1; labels go from {got}")
    if not np.isfinite(grey).all():
        raise DataError("images have NaN or infinite pixels; a threshold needs finite grey values")
    values, index = np.unique(grey, return_inverse=True)
    up_to = np.cumsum(np.bincount(index, true, minlength=len(values)))  # pixels of class 1 with grey <= value
    zeros_up_to = np.cumsum(np.bincount(index, 1 - true.astype(int), minlength=len(values)))
    bright_wrong = up_to + zeros_up_to[-1] - zeros_up_to
    wrong = np.stack([len(true) - bright_wrong, bright_wrong])
    bright, k = np.unravel_index(np.argmin(wrong), wrong.shape)
    return BestThreshold(float(wrong[bright, k] / len(true)), float(values[k]), bool(bright))


def _counted(prediction: ArrayLike, labels: ArrayLike, ignore: int) -> tuple[NDArray, NDArray]:
    """Return the two arrays' values at the pixels that count, flat."""
    predicted, true = np.asarray(prediction), np.asarray(labels)
    check_same_shape(predicted, true, "prediction", "labels")
    keep = true != ignore
    if not keep.any():
        raise DataError(f"no pixel counts: every label is {ignore}, the value that is ignored")
    return predicted[keep], true[keep]


def _ratio(a: NDArray, b: NDArray) -> NDArray:
    """Return a / b, nan where b is 0."""
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b) != 0)


def _scores(tp: NDArray, fp: NDArray, fn: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return precision, recall and F1, each 1 where nothing could be wrong."""
    precision = np.where(fp == 0, 1.0, tp / np.maximum(tp + fp, 1))
    recall = np.where(fn == 0, 1.0, tp / np.maximum(tp + fn, 1))
    f1 = np.where(fp + fn == 0, 1.0, 2 * tp / np.maximum(2 * tp + fp + fn, 1))
    return precision, recall, f1
