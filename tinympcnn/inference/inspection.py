"""From pixels to a decision: does this image have a defect? The detection pipeline of section 4.2 of the paper.

An image is flagged when more than a given number m of its pixels have a defect probability above a threshold t, which
is chosen on validation images: if and only if its (m + 1)-th largest probability is above t. This probability is the
`score` of the image; thresholds, mistakes and the ROC curve (``metrics/roc.py``) are about one number for each image.
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

PAPER_PIXELS = 5000  # the paper's threshold, half the smallest conceivable defect, at full resolution: "not critical"


def score(probability: ArrayLike, pixels: float = 0) -> float:
    """Return the largest threshold up to which an image is flagged: its ``floor(pixels) + 1``-th largest probability.

    `pixels` is the number of defect pixels that a sound image may have; an image that has no more has the score 0. An
    image that was down-sampled by d has d*d times fewer: the paper's 5000 are ``5000 / 16`` at a quarter of the
    resolution.

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

    The scores and the truth, shape (N,), are those of validation images, some with a defect and some without.
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
    area under the ROC curve is taken: large enough for single wrong pixels, small enough for the defects. `areas` are
    the numbers of defect pixels of the validation images; some must be 0, and some must be more.
    """
    areas = np.asarray(areas, float)
    scores_and_truth(np.zeros_like(areas), areas > 0, "a number of pixels is chosen on")
    most = int(np.median(areas[areas > 0])) // 2
    numbers = [0, *(1 << i for i in range(most.bit_length()) if 1 << i <= most)]
    aucs = [roc_curve([score(p, m) for p in probabilities], areas > 0).auc for m in numbers]
    return numbers[int(np.argmax(aucs))]


class Inspected(NamedTuple):
    """What was found in one image; arrays (H, W) are at the resolution of the net.

    `defect` is 1 where a defect is, 0 where none is, -1 where a pixel does not count; None if the truth is not known.
    `area` is its number of pixels, counted before down-sampling, so that thin defects keep their area. The probability
    of a defect is 0 where a pixel does not count. `seconds` is the time from pixels to score.
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
    """Look for defects in images (H, W, C) of any sizes one by one, against the clock: from pixels to score.

    Class 0 of the net is sound, every other class is a defect. The defects (H, W) are 1 or True where a defect is, 0
    where none is, -1 where a pixel does not count; None if that is not known. An image with one defect pixel has a
    defect, also where down-sampling by `factor`, which the seconds include, leaves nothing of it. `pixels` is the
    number of defect pixels, at full resolution, that is not yet a defect; see `score`.
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
