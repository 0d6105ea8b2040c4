"""Measures that look at one pixel at a time: error, confusion, precision, recall and F1 of labels.

All of them work for any number of classes and any array shape; labels are integers 0 to K-1 and pixels whose
true label is `ignore` do not count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinympcnn.errors import DataError
from tinympcnn.metrics.sweep import check_same_shape


def pixel_error(prediction: ArrayLike, labels: ArrayLike, ignore: int = -1) -> float:
    """Return the fraction of counted pixels whose predicted label is wrong.

    Parameters
    ----------
    prediction, labels : array_like of int, one shape
        The predicted and the true labels.
    ignore : int
        The true label of pixels that do not count.

    Examples
    --------
    >>> pixel_error([0, 1, 1, 1], [0, 1, 0, -1])  # one of three
    0.3333333333333333
    """
    predicted, true = counted_pixels(prediction, labels, ignore)
    return float(np.mean(predicted != true))


def confusion(prediction: ArrayLike, labels: ArrayLike, n_classes: int, ignore: int = -1) -> np.ndarray:
    """Count pixels by true class (rows) and predicted class (columns).

    Returns
    -------
    array of int64, shape (K, K)
        `C[i, j]` pixels of class i were called j.

    Examples
    --------
    >>> confusion([0, 1, 1, 1], [0, 1, 0, -1], n_classes=2)
    array([[1, 1],
           [0, 1]])
    """
    predicted, true = counted_pixels(prediction, labels, ignore)
    for name, values in (("prediction", predicted), ("labels", true)):
        if values.min() < 0 or values.max() >= n_classes:
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
    tp = C[positive, positive]
    return Scores(*map(float, f_scores(tp, C[:, positive].sum() - tp, C[positive].sum() - tp)))


def counted_pixels(prediction: ArrayLike, labels: ArrayLike, ignore: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the two arrays' values at the pixels that count, flat."""
    predicted, true = np.asarray(prediction), np.asarray(labels)
    check_same_shape(predicted, true, "prediction", "labels")
    keep = true != ignore
    if not keep.any():
        raise DataError(f"no pixel counts: every label is {ignore}, the value that is ignored")
    return predicted[keep], true[keep]


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, nan where b is 0."""
    ratio: np.ndarray = np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b) != 0)
    return ratio


def f_scores(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of counts; see `precision_recall_f1`."""
    f1 = np.where(fp + fn == 0, 1.0, 2 * tp / np.maximum(2 * tp + fp + fn, 1))
    return _ratio(tp, tp + fp), _ratio(tp, tp + fn), f1
