"""From pixels to a decision: does this image hold a defect? The detection pipeline of section 4.2 of the paper.

An image is flagged when more than a given number of its pixels have a defect probability above a threshold; the
threshold is the one that decides best on validation images. Turned round: with m the number of pixels, an image is
flagged at threshold t if and only if its (m+1)-th largest probability exceeds t. That one number is its `evidence`, so
thresholds, mistakes and the ROC curve are about a list of numbers. Read next: ``inspection.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinympcnn.errors import DataError, UsageError
from tinympcnn.metrics import balanced_error, confusion

PAPER_PIXELS = 5000
"""The paper's threshold, half the smallest conceivable defect: pixels at full resolution, "not critical"."""


def evidence(probability: ArrayLike, pixels: float = 0) -> float:
    """Return up to which threshold t more than `pixels` of the probabilities are above t.

    Parameters
    ----------
    probability : array_like, any shape
        Of a defect, at every pixel of one image.
    pixels : float
        Number of defect pixels that is still no defect. An image that was down-sampled by d has d*d times fewer, so
        that the paper's 5000 are ``5000 / 16`` at a quarter of the resolution.

    Returns
    -------
    float
        The ``floor(pixels) + 1``-th largest probability; 0 if there are not as many pixels.

    Examples
    --------
    >>> p = [[0.9, 0.8], [0.3, 0.1]]
    >>> evidence(p), evidence(p, pixels=1.5)
    (0.9, 0.8)
    """
    flat = np.ravel(probability)
    if not 0 <= pixels < np.inf or not flat.size:
        raise UsageError(f"evidence needs an image and a number of pixels from 0 up, not {pixels} of {flat.size}")
    place = flat.size - 1 - int(pixels)
    return float(np.partition(flat, place)[place]) if place >= 0 else 0.0


def choose_threshold(evidences: ArrayLike, truth: ArrayLike) -> float:
    """Return the threshold that decides with the fewest mistakes: the middle of the widest range that does.

    Parameters
    ----------
    evidences : array_like of float, shape (N,)
        Of the validation images, from `evidence`.
    truth : array_like of bool, shape (N,)
        Which of them have a defect; some must, and some must not.

    Examples
    --------
    >>> round(choose_threshold([0.2, 0.4, 0.8, 0.9], [False, False, True, True]), 3)
    0.6
    """
    values, defect = _checked(evidences, truth)
    _both_kinds(defect, "a threshold is chosen on")
    edges = np.unique([0.0, *values, 1.0])  # the decisions are the same from one edge up to the next
    mistakes = np.array([((values > t) != defect).sum() for t in edges[:-1]])
    widths = np.where(mistakes == mistakes.min(), np.diff(edges), -1)
    best = int(np.argmax(widths))
    return float(edges[best] + edges[best + 1]) / 2


@dataclass(frozen=True)
class Decisions:
    """How many images were judged how.

    Attributes
    ----------
    hits, misses : int
        Images with a defect that were flagged, and that were not.
    false_alarms, passes : int
        Images without a defect that were flagged, and that were not.
    """

    hits: int
    misses: int
    false_alarms: int
    passes: int

    @property
    def mistakes(self) -> int:
        """Misses and false alarms."""
        return self.misses + self.false_alarms

    @property
    def precision(self) -> float:
        """Share of the flagged images that have a defect; 1 if none was flagged."""
        return self.hits / flagged if (flagged := self.hits + self.false_alarms) else 1.0

    @property
    def specificity(self) -> float:
        """Share of the images without a defect that were not flagged; 1 if there are none."""
        return self.passes / sound if (sound := self.passes + self.false_alarms) else 1.0

    @property
    def recall(self) -> float:
        """Share of the images with a defect that were flagged; 1 if there are none."""
        return self.hits / defective if (defective := self.hits + self.misses) else 1.0


def choose_pixels(probabilities: Sequence[NDArray], areas: ArrayLike) -> int:
    """Return the number of pixels, 0 or a power of two, for which evidence tells the two kinds apart best.

    Of 0, 1, 2, 4 and so on up to half of the defect of median size, it is the smallest with the largest area under
    the ROC curve: large enough for pixels that are wrong alone, small enough for the defects.

    Parameters
    ----------
    probabilities : sequence of array (H, W)
        Of a defect, at every pixel of the validation images.
    areas : array_like of float, shape (N,)
        How many pixels of each are truly of a defect: of some none, and of some more.

    Examples
    --------
    >>> sound, spot = np.zeros((2, 3, 8))
    >>> sound[0, 0], spot[1, 2:5] = 0.9, 0.8
    >>> choose_pixels([sound, spot], [0, 4])
    1
    """
    areas = np.asarray(areas, float)
    _both_kinds(areas > 0, "a number of pixels is chosen on")
    most = int(np.median(areas[areas > 0])) // 2
    numbers = [0, *(1 << i for i in range(most.bit_length()) if 1 << i <= most)]
    aucs = [roc([evidence(p, m) for p in probabilities], areas > 0).auc for m in numbers]
    return numbers[int(np.argmax(aucs))]


def decide(evidences: ArrayLike, truth: ArrayLike, threshold: float) -> Decisions:
    """Compare what is flagged at a threshold with the truth.

    Examples
    --------
    >>> decide([0.2, 0.7, 0.4, 0.9], [False, False, True, True], threshold=0.5)
    Decisions(hits=1, misses=1, false_alarms=1, passes=1)
    """
    values, defect = _checked(evidences, truth)
    flagged = values > threshold
    return Decisions(*(int(((flagged == f) & (defect == d)).sum()) for f, d in ((1, 1), (0, 1), (1, 0), (0, 0))))


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic: what every threshold would give.

    Attributes
    ----------
    thresholds : ndarray, shape (T,)
        Falling: from the largest evidence, where nothing is flagged, to minus infinity, where everything is.
    false_alarm_rate, hit_rate : ndarray, shape (T,)
        Shares of the sound and of the defective images that are flagged.
    auc : float
        Area under the curve: the chance that a defective image has more evidence than a sound one.
    """

    thresholds: NDArray
    false_alarm_rate: NDArray
    hit_rate: NDArray
    auc: float


def roc(evidences: ArrayLike, truth: ArrayLike) -> Roc:
    """Return the ROC curve of images of both kinds.

    Examples
    --------
    >>> curve = roc([0.2, 0.6, 0.4, 0.9], [False, False, True, True])
    >>> curve.auc, curve.hit_rate.tolist()
    (0.75, [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    values, defect = _checked(evidences, truth)
    _both_kinds(defect, "a ROC curve needs")
    thresholds = np.append(np.unique(values)[::-1], -np.inf)
    false_alarms, hits = (np.array([(values[kind] > t).mean() for t in thresholds]) for kind in (~defect, defect))
    return Roc(thresholds, false_alarms, hits, float(np.trapezoid(hits, false_alarms)))


def balanced_pixel_error(
    probabilities: Sequence[NDArray],
    truths: Sequence[NDArray],
    threshold: float = 0.5,
    n: int = 5000,
    rng: int | np.random.Generator = 0,
) -> float:
    """Return the error on n defect pixels and n other pixels, drawn from all images: section 4.2's per-pixel error.

    Parameters
    ----------
    probabilities : sequence of array (H, W)
        Of a defect; images of any sizes.
    truths : sequence of array of bool (H, W)
    threshold : float
        Above it a pixel is called a defect.
    n : int
        Pixels of either kind, drawn without repetition; all of a kind that has fewer.
    rng : int or numpy.random.Generator

    Examples
    --------
    >>> balanced_pixel_error([np.array([[0.9, 0.2, 0.7, 0.1]])], [np.array([[True, True, False, False]])], n=2)
    0.5
    """
    rng = np.random.default_rng(rng)
    called = np.concatenate([np.ravel(p) > threshold for p in probabilities])
    defect = np.concatenate([np.ravel(y).astype(bool) for y in truths])
    if called.shape != defect.shape or defect.all() or not defect.any():
        raise DataError("a balanced error needs pixels of both kinds, and a truth for each probability")
    kinds = [np.flatnonzero(defect == kind) for kind in (False, True)]
    drawn = np.concatenate([rng.choice(kind, min(n, kind.size), replace=False) for kind in kinds])
    return balanced_error(confusion(called[drawn].astype(int), defect[drawn].astype(int), n_classes=2))


def _both_kinds(defect: NDArray, what: str) -> None:
    if defect.all() or not defect.any():
        held = f"all {defect.size} have one" if defect.size and defect.all() else f"none of {defect.size} has one"
        raise DataError(f"{what} images with a defect and images without; {held}")


def _checked(evidences: ArrayLike, truth: ArrayLike) -> tuple[NDArray, NDArray]:
    values, defect = np.asarray(evidences, float), np.asarray(truth, bool)
    if values.ndim != 1 or values.shape != defect.shape or not values.size:
        raise DataError(f"{values.size} evidence(s) and {defect.size} truth(s) are not one of each for every image")
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError("evidence is a probability, from 0 to 1")
    return values, defect
