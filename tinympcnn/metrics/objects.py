"""Objects found in images against objects that are there: matching, precision and recall, average precision, FROC.

An object found counts as a hit if an object of the truth lies within a radius, and each object of the truth can be hit
once. Published numbers are comparable only for one radius, so every function here asks for it. The ICPR 2012 mitosis
contest ranked by F1 within a radius (Roux et al., J. Pathol. Inform. 4, 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.metrics.sweep import Counts, share

RATES = (0.125, 0.25, 0.5, 1, 2, 4, 8)  # false alarms an image at which a FROC curve is summarised


def match_objects(found: np.ndarray, truth: np.ndarray, radius: float) -> np.ndarray:
    """Match the objects found in one image with those of the truth, one to one, the largest score first.

    Parameters
    ----------
    found : array, shape (n, 3)
        The row, the column and the score of each object found. Of equal scores the first counts as larger.
    truth : array, shape (m, 2)
        The row and the column of each object that is there.
    radius : float
        The largest distance of a hit, in pixels.

    Returns
    -------
    array of int, shape (n,)
        For each object found, the index of its object of the truth: the nearest that is still free, or -1.

    Examples
    --------
    >>> found = np.array([[10, 10, 0.6], [10, 13, 0.9], [40, 40, 0.8]])
    >>> match_objects(found, np.array([[10, 11]]), radius=5)
    array([-1,  0, -1])
    """
    found, truth = _points(found, 3, "found"), _points(truth, 2, "truth")
    if not radius > 0:
        raise UsageError(f"radius must be a positive number of pixels, not {radius!r}")
    matched = np.full(len(found), -1)
    free = np.ones(len(truth), bool)
    for i in np.argsort(-found[:, 2], kind="stable"):
        distances = np.where(free, np.hypot(*(truth - found[i, :2]).T), np.inf)
        if free.any() and distances.min() <= radius:
            matched[i] = distances.argmin()
            free[matched[i]] = False
    return matched


@dataclass(frozen=True)
class ObjectScores(Counts):
    """Hits, false alarms and misses, and the measures that follow from the three counts."""

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, ``2 hits / (2 hits + false alarms + misses)``."""
        return share(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)


@dataclass(frozen=True)
class Ranking:
    """The objects found in a set of images, ranked by score, each a hit or a false alarm.

    Attributes
    ----------
    scores : array, shape (n,)
        The scores, largest first.
    hit : array of bool, shape (n,)
        Whether each is a hit.
    n_truth, n_images : int
        The number of objects that are there, and of images.
    """

    scores: np.ndarray
    hit: np.ndarray
    n_truth: int
    n_images: int

    def at(self, threshold: float) -> ObjectScores:
        """Return the counts if only scores of at least `threshold` are kept.

        Greedy matching takes the largest score first, so smaller scores that are left out change no match.
        """
        kept = self.hit[: np.searchsorted(-self.scores, -threshold, side="right")]
        hits = int(kept.sum())
        return ObjectScores(hits, len(kept) - hits, self.n_truth - hits)

    def best_threshold(self) -> float:
        """Return the threshold of the largest F1; of equal ones the largest. Without a hit the result is infinite."""
        kept, hits = self._steps()
        f1 = 2 * hits / (kept + self.n_truth)
        return float(self.scores[kept[f1.argmax()] - 1]) if f1.any() else float("inf")

    @property
    def average_precision(self) -> float:
        """The mean, over the objects of the truth, of the precision at which each was found; 0 for those not found.

        Equal scores are taken together, so the result does not depend on the order of the images.
        """
        kept, hits = self._steps()
        return float((np.diff(hits, prepend=0) * hits / kept).sum() / self.n_truth) if self.n_truth else float("nan")

    def froc(self, rates: Sequence[float] = RATES) -> list[float]:
        """Return the recall at each of several mean numbers of false alarms an image (free-response ROC)."""
        kept, hits = (np.append(0, numbers) for numbers in self._steps())
        most = [int(hits[kept - hits <= rate * self.n_images].max()) for rate in rates]
        return [share(n, self.n_truth) for n in most]

    def _steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return, for each score that occurs, how many objects have at least this score, and how many are hits."""
        kept = np.flatnonzero(np.diff(self.scores, append=-np.inf)) + 1
        return kept, np.cumsum(self.hit)[kept - 1]


def rank_objects(found: Sequence[np.ndarray], truth: Sequence[np.ndarray], radius: float) -> Ranking:
    """Match the objects of each image and rank all of them by score.

    Parameters
    ----------
    found : sequence of array, shape (n, 3)
        The row, the column and the score of the objects found, for each image.
    truth : sequence of array, shape (m, 2)
        The row and the column of the objects that are there, for each image.
    radius : float
        The largest distance of a hit, in pixels.

    Examples
    --------
    >>> found = [np.array([[5, 5, 0.9], [30, 30, 0.7]]), np.array([[8, 8, 0.8]])]
    >>> ranking = rank_objects(found, [np.array([[5, 6]]), np.array([[8, 9], [50, 50]])], radius=3)
    >>> ranking.at(0.75), round(ranking.average_precision, 3)
    (ObjectScores(hits=2, false_alarms=0, misses=1), 0.667)
    """
    if len(found) != len(truth):
        raise UsageError(f"there are objects found in {len(found)} images and a truth for {len(truth)}: give one each")
    hits = [match_objects(f, t, radius) >= 0 for f, t in zip(found, truth, strict=True)]
    scores = np.concatenate([np.zeros(0), *(_points(f, 3, "found")[:, 2] for f in found)])
    order = np.argsort(-scores, kind="stable")
    hit = np.concatenate([np.zeros(0, bool), *hits])[order]
    return Ranking(scores[order], hit, sum(len(_points(t, 2, "truth")) for t in truth), len(found))


def bootstrap_interval(
    measure: Callable[[list[int]], float],
    n_images: int,
    level: float = 0.95,
    draws: int = 1000,
    rng: int | np.random.Generator | None = 0,
) -> tuple[float, float]:
    """Return the interval in which a measure lies if the images had been others: the percentile bootstrap over images.

    Parameters
    ----------
    measure : callable
        Takes the indices of the images drawn, with repetition, and returns a number; nan is left out.
    n_images : int
        The number of images.
    level : float
        The share of the draws that the interval holds.
    draws : int
        The number of draws.
    rng : int or numpy.random.Generator, optional
        The seed of the draws.

    Examples
    --------
    >>> low, high = bootstrap_interval(lambda drawn: sum(drawn) / len(drawn), 11)
    >>> low < 5 < high
    True
    """
    if n_images < 1 or draws < 1 or not 0 < level < 1:
        raise UsageError("an interval needs at least one image, at least one draw, and a level between 0 and 1")
    rng = np.random.default_rng(rng)
    values = [measure(rng.integers(0, n_images, n_images).tolist()) for _ in range(draws)]
    numbers = [value for value in values if not np.isnan(value)] or [np.nan]
    low, high = np.quantile(numbers, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _points(points: np.ndarray, columns: int, name: str) -> np.ndarray:
    """Return `points` as an array (n, columns) of numbers; nothing found may come as an empty list."""
    points = np.asarray(points, np.float64)
    if points.size == 0:
        return points.reshape(0, columns)
    if points.ndim != 2 or points.shape[1] < columns or not np.isfinite(points).all():
        raise UsageError(f"{name} must be an array of finite numbers with {columns} columns, not {points.shape}")
    return points[:, :columns]
