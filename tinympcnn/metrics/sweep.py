"""What the measures share: counts, thresholds, the best of a sweep over them, and the checks of what comes in.

The ISBI 2012 challenge turned every probability map into segments at the thresholds 0.0, 0.1, ..., 1.0 and kept the
best score over the whole stack. Its rule, and ours, is strict: a pixel is interior where `p > t`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinympcnn.errors import DataError, UsageError

THRESHOLDS: np.ndarray = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True)
class Sweep:
    """The best value of a measure over thresholds, the first of equally good ones, and the whole curve, shape (T,)."""

    value: float
    threshold: float
    values: np.ndarray
    thresholds: np.ndarray


@dataclass(frozen=True)
class Counts:
    """How many things were found (hits) and not found (misses), and how many finds are none (false alarms).

    A share of nothing is nan: precision where nothing was found, recall where there is nothing. (scikit-learn gives 0
    there, with a warning.)
    """

    hits: int
    false_alarms: int
    misses: int

    @property
    def precision(self) -> float:
        """The share of the finds that are hits."""
        return share(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        """The share of the things that were found."""
        return share(self.hits, self.hits + self.misses)


def share(part: int, whole: int) -> float:
    """Return part / whole, nan for a share of nothing."""
    return part / whole if whole else math.nan


def lowest(values: np.ndarray, thresholds: np.ndarray) -> Sweep:
    """Return the `Sweep` whose best value is the smallest: for errors."""
    k = int(np.argmin(values))
    return Sweep(float(values[k]), float(thresholds[k]), values, thresholds)


def as_thresholds(thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return thresholds as a float64 vector; they must increase and lie in [0, 1]."""
    t = np.atleast_1d(np.asarray(thresholds, dtype=float))
    if t.ndim != 1 or t.size == 0 or not (t[0] >= 0 and t[-1] <= 1 and (np.diff(t) > 0).all()):
        raise UsageError(f"thresholds must increase within [0, 1], as 0.1, 0.5, 0.9 do; got {thresholds}")
    return t


def check_probabilities(p: np.ndarray, name: str) -> None:
    """Raise unless every value is a number in [0, 1]."""
    low, high = float(p.min()), float(p.max())  # NaN wins every minimum, so this sees it
    if not (low >= 0 and high <= 1):
        got = f"values from {low:g} to {high:g}"
        raise DataError(f"{name} must lie in [0, 1] without NaN; got {got} (8-bit maps: divide by 255)")


def check_same_shape(a: np.ndarray, b: np.ndarray, a_name: str, b_name: str) -> None:
    """Raise unless both arrays have one shape and at least one pixel."""
    if a.shape != b.shape:
        raise DataError(f"{a_name} has shape {a.shape} but {b_name} has {b.shape}; they must be the same")
    if a.size == 0:
        raise DataError(f"{a_name} has no pixels (shape {a.shape}); give at least one")


def images_and_labels(
    images: Any, labels: Any, images_name: str, labels_name: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the images of a stack, of one image or of a list, (H, W) or (H, W, K), and their labels (H, W)."""
    if not (isinstance(labels, list) and all(isinstance(image, np.ndarray) and image.ndim >= 2 for image in labels)):
        images, labels = np.asarray(images), np.asarray(labels)
        if labels.ndim not in (2, 3) or labels.size == 0:
            got = f"{images_name} {images.shape} and {labels_name} {labels.shape}"
            raise DataError(f"give non-empty images (H, W) or stacks (Z, H, W); got {got}")
        if labels.ndim == 2:
            images, labels = images[None], labels[None]
        check_same_shape(images[..., 0] if images.ndim == 4 else images, labels, images_name, labels_name)
    if len(images) != len(labels):
        raise DataError(f"{images_name} has {len(images)} images but {labels_name} have {len(labels)}")
    for image, truth in zip(images, labels, strict=True):
        check_same_shape(image[..., 0] if image.ndim == 3 else image, truth, images_name, labels_name)
    return list(images), list(labels)


def probability_and_truth(probability: Any, truth: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the images that every membrane measure takes, checked: float (H, W) in [0, 1] and bool (H, W)."""
    names = "probability_of_interior", "truth_is_interior"
    images, truths = images_and_labels(probability, truth, *names)
    for p, is_true in zip(images, truths, strict=True):
        check_same_shape(p, is_true, *names)
        check_probabilities(p, names[0])
        if not np.isin(is_true, (0, 1)).all():
            raise DataError(f"truth_is_interior must be boolean or 0 and 1; got {is_true.min()} to {is_true.max()}")
    return [p.astype(float, copy=False) for p in images], [is_true.astype(bool) for is_true in truths]
