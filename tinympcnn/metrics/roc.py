"""Decisions about whole images: mistakes at a threshold, the ROC curve over all thresholds, and the error per pixel.

Every image has one score, such as the probability that it has a defect, and is flagged where the score is above the
threshold. Section 4.2 of the paper reports these measures for steel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tinympcnn.errors import DataError
from tinympcnn.metrics.pixels import balanced_error, confusion
from tinympcnn.metrics.sweep import Counts, check_probabilities, share


@dataclass(frozen=True)
class Decisions(Counts):
    """How many images with a defect were flagged (hits) and not (misses), and without (false alarms and passes)."""

    passes: int

    @property
    def mistakes(self) -> int:
        """The number of misses and false alarms."""
        return self.misses + self.false_alarms

    @property
    def specificity(self) -> float:
        """The share of the images without a defect that were not flagged."""
        return share(self.passes, self.passes + self.false_alarms)


def decide(scores: ArrayLike, truth: ArrayLike, threshold: float) -> Decisions:
    """Compare the N images that are flagged, those whose score in [0, 1] is above a threshold, with the truth.

    Examples
    --------
    >>> decide([0.2, 0.7, 0.4, 0.9], [False, False, True, True], threshold=0.5)
    Decisions(hits=1, false_alarms=1, misses=1, passes=1)
    """
    values, defect = scores_and_truth(scores, truth)
    flagged = values > threshold
    return Decisions(*(int(((flagged == f) & (defect == d)).sum()) for f, d in ((1, 1), (1, 0), (0, 1), (0, 0))))


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic: the rates that every threshold would give, arrays of shape (T,).

    The thresholds go from the largest score, where nothing is flagged, down to minus infinity, where everything is. The
    rates are shares of the images without and with a defect. `auc`, the area under the curve, is the chance that an
    image with a defect has a larger score than one without.
    """

    thresholds: np.ndarray
    false_alarm_rate: np.ndarray
    hit_rate: np.ndarray
    auc: float


def roc_curve(scores: ArrayLike, truth: ArrayLike) -> Roc:
    """Return the ROC curve of images of both kinds, with a defect and without; scores and truth are those of `decide`.

    Examples
    --------
    >>> curve = roc_curve([0.2, 0.6, 0.4, 0.9], [False, False, True, True])
    >>> curve.auc, curve.hit_rate.tolist()
    (0.75, [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    values, defect = scores_and_truth(scores, truth, "a ROC curve needs")
    thresholds = np.append(np.unique(values)[::-1], -np.inf)
    false_alarms, hits = (np.array([(values[kind] > t).mean() for t in thresholds]) for kind in (~defect, defect))
    return Roc(thresholds, false_alarms, hits, float(np.trapezoid(hits, false_alarms)))


def balanced_pixel_error(
    probabilities: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    threshold: float = 0.5,
    n: int = 5000,
    rng: int | np.random.Generator = 0,
) -> float:
    """Return the error on n defect pixels and n other pixels, drawn from all images: section 4.2's per-pixel error.

    The images (H, W) may be of any sizes. A pixel is called a defect if its probability is above the threshold. The
    truth is 1 or True where a defect is, 0 or False where none is, and -1 where a pixel does not count. Pixels are
    drawn without repetition; all pixels of a kind that has fewer than n.

    Examples
    --------
    >>> balanced_pixel_error([np.array([[0.9, 0.2, 0.7, 0.1]])], [np.array([[1, 1, 0, 0]])], n=2)
    0.5
    """
    rng = np.random.default_rng(rng)
    values = np.concatenate([np.ravel(p) for p in probabilities])
    called = (values > threshold).astype(int)
    truth = np.concatenate([np.ravel(y) for y in truths]).astype(int)
    kinds = [np.flatnonzero(truth == kind) for kind in (0, 1)]
    if called.shape != truth.shape or not all(kind.size for kind in kinds):
        raise DataError(
            f"a balanced error needs a truth for each of {called.size} probabilities, and pixels of both kinds; got "
            f"{kinds[1].size} with a defect and {kinds[0].size} without"
        )
    check_probabilities(values, "probabilities")
    drawn = np.concatenate([rng.choice(kind, min(n, kind.size), replace=False) for kind in kinds])
    return balanced_error(confusion(called[drawn], truth[drawn], n_classes=2))


def scores_and_truth(scores: ArrayLike, truth: ArrayLike, needs_both: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Return scores as floats and truth as booleans, checked; `needs_both` says what needs images of both kinds."""
    if not np.isin(truth, (0, 1)).all():
        raise DataError(f"the truth must be boolean, or 0 and 1; got {np.min(truth)} to {np.max(truth)}")
    values, defect = np.asarray(scores, float), np.asarray(truth, bool)
    if values.ndim != 1 or values.shape != defect.shape or not values.size:
        raise DataError(f"every image needs a score and a truth; got {values.size} scores and {defect.size} truths")
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"scores are probabilities, from 0 to 1; got {values.min():g} to {values.max():g}")
    if needs_both and (defect.all() or not defect.any()):
        held = f"all {defect.size} have one" if defect.all() else f"none of {defect.size} has one"
        raise DataError(f"{needs_both} images with a defect and images without; {held}")
    return values, defect
