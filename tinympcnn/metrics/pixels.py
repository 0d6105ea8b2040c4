"""Measures that look at one pixel at a time: errors of labels, and the best threshold for grey values or probabilities.

All of them work for any array shape, those of labels for any number of classes; labels are integers 0 to K-1, and
pixels whose true label is `IGNORED`, -1, do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinympcnn.errors import DataError, UsageError
from tinympcnn.metrics.sweep import THRESHOLDS, Sweep, as_thresholds, check_probabilities, check_same_shape, lowest

IGNORED = -1


def pixel_error(prediction: ArrayLike, labels: ArrayLike) -> float:
    """Return the fraction of counted pixels whose predicted label is wrong.

    Examples
    --------
    >>> pixel_error([0, 1, 1, 1], [0, 1, 0, -1])  # one of three
    0.3333333333333333
    """
    predicted, true = _counted(prediction, labels)
    return float(np.mean(predicted != true))


def confusion(prediction: ArrayLike, labels: ArrayLike, n_classes: int) -> np.ndarray:
    """Count pixels by true class (rows) and predicted class (columns): ``C[i, j]`` pixels of class i were called j.

    Examples
    --------
    >>> confusion([0, 1, 1, 1], [0, 1, 0, -1], n_classes=2)
    array([[1, 1],
           [0, 1]])
    """
    predicted, true = _counted(prediction, labels)
    for name, values in (("prediction", predicted), ("labels", true)):
        if values.min() < 0 or values.max() >= n_classes or (values.dtype.kind == "f" and (values % 1 != 0).any()):
            got = f"{values.min()} to {values.max()}"
            raise DataError(f"{name} must be whole numbers 0 to {n_classes - 1}; got {got}")
    pairs = true.astype(np.int64) * n_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def class_errors(C: np.ndarray) -> np.ndarray:
    """Return the error within each true class, `1 - C[i, i] / sum_j C[i, j]`; nan for a class that does not occur.

    Examples
    --------
    >>> class_errors(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    array([0.25, 0.  ,  nan])
    """
    return 1 - _ratio(np.diag(C), C.sum(axis=1))


def balanced_error(C: np.ndarray) -> float:
    """Return the mean of `class_errors` over the classes that occur: always giving one of K classes costs 1 - 1/K."""
    return float(np.nanmean(class_errors(C)))


def iou(C: np.ndarray) -> np.ndarray:
    """Return intersection over union of each class, `C[i, i] / (row i + column i - C[i, i])`; nan if absent.

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


def precision_recall_f1(C: np.ndarray, positive: int) -> Scores:
    """Return precision, recall and F1 of one class against the rest.

    They are tp / (tp + fp), tp / (tp + fn) and 2 tp / (2 tp + fp + fn). A share of nothing is nan: precision where
    no pixel is called positive, recall where none is positive (scikit-learn gives 0, with a warning). F1 is 1 where
    neither is, for no mistake was made.

    Examples
    --------
    >>> precision_recall_f1(np.array([[3, 1], [0, 1]]), positive=1)
    Scores(precision=0.5, recall=1.0, f1=0.6666666666666666)
    """
    tp, called, true = C[positive, positive], C[:, positive].sum(), C[positive].sum()
    return Scores(float(_ratio(tp, called)), float(_ratio(tp, true)), float(_f1(tp, called + true)))


def f1_error(
    probability_of_positive: ArrayLike,
    truth_is_positive: ArrayLike,
    thresholds: Sequence[float] | np.ndarray = THRESHOLDS,
    counted: ArrayLike | None = None,
) -> Sweep:
    """Return 1 - max F1 over thresholds: the "pixel error" of the ISBI 2012 leader board, whose positive is interior.

    At threshold t a pixel is called positive where `p > t`, and F1(t) = 2 tp / (2 tp + fp + fn). One pass: each pixel
    is put into the bin of the number of thresholds below its p, and counts at every threshold are sums over bins, so
    the result is exact. The arrays have one shape; `counted` tells which pixels count, by default all.

    Source: class PixelError of Fiji's Trainable_Segmentation (I. Arganda-Carreras), by which the challenge was scored,
    and its page "Evaluation" ("pixel error: 1 - the maximal F-score of pixel similarity"), thresholds by 0.1.

    Examples
    --------
    >>> result = f1_error([0.9, 0.8, 0.35, 0.1], [True, True, False, False])
    >>> result.value, round(result.threshold, 1)
    (0.0, 0.4)
    """
    p, is_true = np.asarray(probability_of_positive), np.asarray(truth_is_positive, dtype=bool)
    check_same_shape(p, is_true, "probability_of_positive", "truth_is_positive")
    check_probabilities(p, "probability_of_positive")
    t = as_thresholds(thresholds)
    below = np.searchsorted(t, p.ravel().astype(float))  # how many thresholds the pixel is above
    bins = is_true.ravel() * (len(t) + 1) + below
    if counted is not None:
        bins = bins[np.asarray(counted, dtype=bool).ravel()]
    histogram = np.bincount(bins, minlength=2 * len(t) + 2).reshape(2, -1)
    fp, tp = histogram[:, ::-1].cumsum(axis=1)[:, -2::-1]  # at k: pixels with p > t[k]
    return lowest(1 - _f1(tp, tp + fp + histogram[1].sum()), t)


class BestThreshold(NamedTuple):
    """The best grey threshold: class 1 is where `grey > threshold` if `bright`, else `grey <= threshold`."""

    error: float
    threshold: float
    bright: bool


def best_threshold_error(images: ArrayLike, labels: ArrayLike) -> BestThreshold:
    """Return the pixel error of the best single threshold on the grey values themselves: the baseline to beat.

    Class 1 may be the brighter or the darker one. Every grey value that occurs is tried, so no threshold does
    better on these pixels.

    Examples
    --------
    >>> best_threshold_error([10, 20, 30, 40], [1, 1, 0, 1])
    BestThreshold(error=0.25, threshold=20.0, bright=False)
    """
    grey, true = _counted(images, labels)
    if not np.isin(true, (0, 1)).all():
        got = f"{true.min()} to {true.max()}"
        raise UsageError(f"a single threshold separates two classes, 0 and 1; labels go from {got}")
    if not np.isfinite(grey).all():
        raise DataError("images have NaN or infinite pixels; a threshold needs finite grey values")
    values, index = np.unique(grey, return_inverse=True)
    ones, all_pixels = np.cumsum(np.bincount(index, true)), np.cumsum(np.bincount(index))  # with grey <= value
    bright_wrong = ones + len(true) - ones[-1] - (all_pixels - ones)
    wrong = np.stack([len(true) - bright_wrong, bright_wrong])
    bright, k = np.unravel_index(np.argmin(wrong), wrong.shape)
    return BestThreshold(float(wrong[bright, k] / len(true)), float(values[k]), bool(bright))


def _counted(prediction: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the two arrays' values at the pixels that count, flat."""
    predicted, true = np.asarray(prediction), np.asarray(labels)
    check_same_shape(predicted, true, "prediction", "labels")
    keep = true != IGNORED
    if not keep.any():
        raise DataError(f"no pixel counts: every label is {IGNORED}, the value that is ignored")
    return predicted[keep], true[keep]


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, nan where b is 0."""
    return np.asarray(np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b) != 0))


def _f1(tp: np.ndarray, called_and_true: np.ndarray) -> np.ndarray:
    """Return 2 tp / (2 tp + fp + fn), whose denominator is the pixels called positive and those that are; 1 if none."""
    return np.where(called_and_true == 0, 1.0, 2 * tp / np.maximum(called_and_true, 1))
