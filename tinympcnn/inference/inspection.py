"""From pixels to a decision: does this image have a defect? The detection pipeline of section 4.2 of the paper.

An image is flagged when more than a given number m of its pixels have a defect probability above a threshold t; t is
chosen on validation images. In other words: an image is flagged at t if and only if its (m + 1)-th largest probability
is above t. This probability is the `score` of the image, so that thresholds, mistakes and the ROC curve
(``metrics/roc.py``) are about one number for each image.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinympcnn.data.downsample import downsample, downsample_labels
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference.segment import segment
from tinympcnn.inference.views import Members
from tinympcnn.metrics.roc import balanced_pixel_error, decide, roc_curve, scores_and_truth
from tinympcnn.nn.sequential import Sequential

PAPER_PIXELS = 5000
"""The paper's threshold, half the smallest conceivable defect: pixels at full resolution, "not critical"."""


def score(probability: ArrayLike, pixels: float = 0) -> float:
    """Return the largest threshold up to which an image is flagged: its ``floor(pixels) + 1``-th largest probability.

    Parameters
    ----------
    probability : array_like, any shape
        The probability of a defect at every pixel of one image.
    pixels : float
        The number of defect pixels that an image may have and is not flagged. An image that was down-sampled by d has
        d*d times fewer pixels: the paper's 5000 are ``5000 / 16`` at a quarter of the resolution.

    Returns
    -------
    float
        The score; 0 if the image has at most `pixels` pixels.

    Examples
    --------
    >>> p = [[0.9, 0.8], [0.3, 0.1]]
    >>> score(p), score(p, pixels=1.5)
    (0.9, 0.8)
    """
    flat = np.ravel(probability)
    if not 0 <= pixels < np.inf or not flat.size:
        raise UsageError(f"a score needs an image and a number of pixels from 0 up, not {pixels} of {flat.size}")
    place = flat.size - 1 - int(pixels)
    return float(np.partition(flat, place)[place]) if place >= 0 else 0.0


def choose_threshold(scores: ArrayLike, truth: ArrayLike) -> float:
    """Return the threshold that decides with the fewest mistakes: the middle of the widest range that does.

    Parameters
    ----------
    scores : array_like of float, shape (N,)
        The scores of the validation images.
    truth : array_like of bool, shape (N,)
        Which of the images have a defect; some must, and some must not.

    Examples
    --------
    >>> round(choose_threshold([0.2, 0.4, 0.8, 0.9], [False, False, True, True]), 3)
    0.6
    """
    values, defect = scores_and_truth(scores, truth, "a threshold is chosen on")
    edges = np.unique([0.0, *values, 1.0])  # the decisions are the same from one edge up to the next
    mistakes = np.array([((values > t) != defect).sum() for t in edges[:-1]])
    widths = np.where(mistakes == mistakes.min(), np.diff(edges), -1)
    best = int(np.argmax(widths))
    return float(edges[best] + edges[best + 1]) / 2


def choose_pixels(probabilities: Sequence[np.ndarray], areas: ArrayLike) -> int:
    """Return the number of pixels, 0 or a power of two, for which the scores tell the two kinds of images apart best.

    The candidates are 0, 1, 2, 4 and so on up to half of the defect of median size. The smallest one with the largest
    area under the ROC curve is taken: large enough for single wrong pixels, small enough for the defects.

    Parameters
    ----------
    probabilities : sequence of array, shape (H, W)
        The probability of a defect at every pixel of the validation images.
    areas : array_like of float, shape (N,)
        The number of defect pixels of each image; some images must have 0, and some must have more.

    Examples
    --------
    >>> sound, spot = np.zeros((2, 3, 8))
    >>> sound[0, 0], spot[1, 2:5] = 0.9, 0.8
    >>> choose_pixels([sound, spot], [0, 4])
    1
    """
    areas = np.asarray(areas, float)
    scores_and_truth(np.zeros_like(areas), areas > 0, "a number of pixels is chosen on")
    most = int(np.median(areas[areas > 0])) // 2
    numbers = [0, *(1 << i for i in range(most.bit_length()) if 1 << i <= most)]
    aucs = [roc_curve([score(p, m) for p in probabilities], areas > 0).auc for m in numbers]
    return numbers[int(np.argmax(aucs))]


class Inspected(NamedTuple):
    """What was found in one image; arrays are at the resolution of the net.

    Attributes
    ----------
    name : str
        The name of the image.
    image : array, shape (H, W, C)
        The image, down-sampled.
    defect : array of int8, shape (H, W), or None
        1 where a defect is, 0 where none is, -1 where a pixel does not count; None if the truth is not known.
    area : float
        The number of defect pixels, counted before down-sampling, so that thin defects keep their area.
    probability : array, shape (H, W)
        The probability of a defect at each pixel; 0 where a pixel does not count.
    score : float
        The number that decides: the image is flagged if it is above the threshold.
    seconds : float
        The time from pixels to score.
    """

    name: str
    image: np.ndarray
    defect: np.ndarray | None
    area: float
    probability: np.ndarray
    score: float
    seconds: float

    @property
    def truth(self) -> bool:
        """Whether the image has a defect."""
        return self.area > 0

    def outcome(self, threshold: float) -> str:
        """Return "hit", "miss", "false alarm" or "pass"; where the truth is not known, "flagged" or "pass"."""
        if self.score > threshold:
            return "flagged" if self.defect is None else "hit" if self.truth else "false alarm"
        return "miss" if self.truth else "pass"


def inspect(
    net: Sequential | Members,
    images: Sequence[np.ndarray],
    defects: Sequence[np.ndarray | None],
    names: Sequence[str],
    pixels: float = PAPER_PIXELS,
    factor: int = 1,
) -> list[Inspected]:
    """Look for defects in images one by one, against the clock: from pixels to score.

    Parameters
    ----------
    net : Sequential or Committee
        Class 0 is sound, every other class is a defect.
    images : sequence of array, shape (H, W, C)
        Images of any sizes.
    defects : sequence of array, shape (H, W), or None
        1 or True where a defect is, 0 where none is, -1 where a pixel does not count; None if that is not known. An
        image with one defect pixel has a defect, also where down-sampling leaves nothing of it.
    names : sequence of str
        The names of the images.
    pixels : float
        The number of defect pixels of `images`, at full resolution, that is not yet a defect; see `score`.
    factor : int
        The factor by which the images are down-sampled; the seconds include that.

    Raises
    ------
    DataError
        If the net cannot use an image; the error names the image.

    Examples
    --------
    >>> from tinympcnn.nn.spec import parse
    >>> net = Sequential(parse("C3x3x4 FC2", rng=0))
    >>> [one] = inspect(net, [np.zeros((8, 9, 1))], [None], ["blank"], pixels=10, factor=2)
    >>> one.name, one.truth, one.probability.shape
    ('blank', False, (4, 4))
    """
    if images:  # the first call makes threads and memory, which is not what a second image costs
        segment(net, np.zeros_like(downsample(images[0], factor)))
    done = []
    for image, defect, name in zip(images, defects, names, strict=True):
        truth = None if defect is None else downsample_labels(np.asarray(defect, np.int8), factor)
        area = 0.0 if defect is None else np.count_nonzero(defect == 1) / factor**2
        start = time.perf_counter()
        small = downsample(image, factor)
        try:
            probability = 1 - segment(net, small)[:, :, 0]
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        if truth is not None:
            probability[truth < 0] = 0
        found = score(probability, pixels / factor**2)
        seconds = time.perf_counter() - start
        done.append(Inspected(name, small, truth, area, probability, found, seconds))
    return done


def recounted(found: Sequence[Inspected], pixels: float) -> list[Inspected]:
    """Return the same images with the scores for another number of pixels, at the resolution of the net."""
    return [one._replace(score=score(one.probability, pixels)) for one in found]


def summary(found: Sequence[Inspected], threshold: float) -> dict[str, Any]:
    """Return the numbers of the paper's Table 2, and some more, by name; without a truth only what needs none.

    Precision is nan where nothing is flagged, recall where no image has a defect.
    """
    scores = [one.score for one in found]
    report: dict[str, Any] = {
        "images": len(found),
        "threshold": round(threshold, 4),
        "flagged": sum(value > threshold for value in scores),
        "seconds per image": round(float(np.median([one.seconds for one in found])), 5),
    }
    defects = [one.defect for one in found if one.defect is not None]
    if len(defects) < len(found):
        return report
    truth = [one.truth for one in found]
    result = decide(scores, truth, threshold)
    report |= {
        "with a defect": sum(truth),
        "misses": result.misses,
        "false alarms": result.false_alarms,
        "precision": round(result.precision, 4),
        "recall": round(result.recall, 4),
    }
    if 0 < sum(truth) < len(truth):
        report["ROC AUC"] = round(roc_curve(scores, truth).auc, 4)
        if any((defect == 1).any() for defect in defects):  # down-sampling may leave nothing of thin ones
            error = balanced_pixel_error([one.probability for one in found], defects)
            report["balanced pixel error at 0.5"] = round(error, 4)
    return report
