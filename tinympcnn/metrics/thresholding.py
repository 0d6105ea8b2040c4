"""Measures that look for the best threshold: the F1 error of probabilities, and the best one on the grey values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinympcnn.errors import DataError, UsageError
from tinympcnn.metrics.pixels import counted_pixels, f_scores
from tinympcnn.metrics.sweep import THRESHOLDS, Sweep, as_thresholds, check_probabilities, check_same_shape


@dataclass(frozen=True)
class F1Error(Sweep):
    """The F1 error of a probability map: a `Sweep` of 1 - F1, and what the best one is made of.

    Attributes
    ----------
    precision, recall : float
        Precision and recall of the whole stack at the winning threshold; nan where they are shares of nothing.
    slice_errors : array, shape (Z,)
        1 - F1 of each slice alone (first axis) at the winning threshold.
    """

    precision: float
    recall: float
    slice_errors: np.ndarray

    @property
    def error(self) -> float:
        """The F1 error, 1 - max F1."""
        return self.value

    @property
    def f1s(self) -> np.ndarray:
        """F1 at each threshold, shape (T,)."""
        return 1 - self.values


def f1_error(
    probability_of_positive: ArrayLike,
    truth_is_positive: ArrayLike,
    thresholds: Sequence[float] | np.ndarray = THRESHOLDS,
    counted: ArrayLike | None = None,
) -> F1Error:
    """Return 1 - max F1 over thresholds: the "pixel error" of the ISBI 2012 leader board.

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
        Whether each pixel counts; by default all do.

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
    precision, recall, f1 = f_scores(tp.sum(axis=0), fp.sum(axis=0), fn.sum(axis=0))
    k = int(np.argmax(f1))
    slice_errors = 1 - f_scores(tp[:, k], fp[:, k], fn[:, k])[2]
    errors, at_best = 1 - f1, (float(precision[k]), float(recall[k]))
    return F1Error(float(errors[k]), float(t[k]), errors, t, *at_best, slice_errors)


class BestThreshold(NamedTuple):
    """The best grey threshold: class 1 is where `grey > threshold` if `bright`, else `grey <= threshold`."""

    error: float
    threshold: float
    bright: bool


def best_threshold_error(images: ArrayLike, labels: ArrayLike, ignore: int = -1) -> BestThreshold:
    """Return the pixel error of the best single threshold on the grey values themselves: the baseline to beat.

    Class 1 may be the brighter or the darker one. Every grey value that occurs is tried, so no threshold does
    better on these pixels.

    Examples
    --------
    >>> best_threshold_error([10, 20, 30, 40], [1, 1, 0, 1])
    BestThreshold(error=0.25, threshold=20.0, bright=False)
    """
    grey, true = counted_pixels(images, labels, ignore)
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
