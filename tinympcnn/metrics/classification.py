"""How good is a classification of whole images: error, the truth among the best two, rejection, and a paired test.

The confusion matrix is that of ``pixels.py``, which takes labels of any shape.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinympcnn.errors import DataError


def top_error(probabilities: np.ndarray, classes: np.ndarray, k: int = 1) -> float:
    """Return the share of images whose class is not among the `k` most probable classes.

    Parameters
    ----------
    probabilities : array, shape (N, K)
        The probability of each class for each image.
    classes : array of int, shape (N,)
        The true classes.
    k : int
        1 gives the error rate. A class counts as more probable than the true class only if its probability is larger,
        or equal with a smaller number, as argmax decides.

    Raises
    ------
    DataError
        If the shapes do not belong together, there is no image, or a class has no probability.

    Examples
    --------
    >>> p = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.2, 0.5, 0.3]])
    >>> [round(top_error(p, np.array([0, 0, 0]), k), 3) for k in (1, 2, 3)]
    [0.667, 0.333, 0.0]
    """
    p, y = _checked(probabilities, classes)
    own = p[np.arange(len(y)), y][:, None]
    before = np.arange(p.shape[1]) < y[:, None]
    rank = ((p > own) | ((p == own) & before)).sum(axis=1)
    return float(np.mean(rank >= k))


class Rejection(NamedTuple):
    """What is left when the least certain images go to a person; see `rejection_curve`."""

    rejected: np.ndarray
    error: np.ndarray
    threshold: np.ndarray


def rejection_curve(probabilities: np.ndarray, classes: np.ndarray) -> Rejection:
    """Return the error rate among the images that are kept, for every number of rejected images.

    Images are rejected from the lowest largest probability up; those with the same go together.

    Parameters
    ----------
    probabilities : array, shape (N, K)
    classes : array of int, shape (N,)

    Returns
    -------
    Rejection
        `rejected`: the share of images rejected, from 0 up. `error`: the error rate of the others. `threshold`: the
        images kept have a largest probability of at least this.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    >>> curve = rejection_curve(p, np.array([0, 1, 1, 1]))
    >>> curve.rejected.tolist(), curve.error.tolist()
    ([0.0, 0.25, 0.5, 0.75], [0.25, 0.0, 0.0, 0.0])
    """
    p, y = _checked(probabilities, classes)
    certain = p.max(axis=1)
    order = np.argsort(certain, kind="stable")
    certain, wrong = certain[order], (p.argmax(axis=1) != y)[order]
    first = np.flatnonzero(np.r_[True, np.diff(certain) > 0])  # the first image of each certainty
    left = len(y) - first
    return Rejection(first / len(y), np.cumsum(wrong[::-1])[::-1][first] / left, certain[first])


def mcnemar(wrong_a: np.ndarray, wrong_b: np.ndarray) -> float:
    """Return the probability that two equally good classifiers differ as much as these two or more: McNemar's test.

    Only images that one of them has right and the other wrong speak. If both are equally good, each of these n images
    falls to either side with probability 1/2; with m on the rarer side, both tails of the binomial give ::

        p = min(1, 2 * sum_{i <= m} C(n, i) / 2**n)

    Parameters
    ----------
    wrong_a, wrong_b : array of bool, shape (N,)
        Which images each classifier has wrong, in the same order.

    Examples
    --------
    >>> a, b = np.array([1, 1, 1, 1, 1, 1, 0, 0]), np.array([0, 0, 0, 0, 0, 0, 1, 0])
    >>> mcnemar(a, b)
    0.125
    """
    a, b = np.asarray(wrong_a, bool), np.asarray(wrong_b, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise DataError(f"a paired test compares the same images; got {a.shape} and {b.shape}")
    n, m = int((a != b).sum()), int(min((a & ~b).sum(), (b & ~a).sum()))
    tail = ways = 1
    for i in range(m):
        ways = ways * (n - i) // (i + 1)  # C(n, i + 1); from its factorials each would take minutes
        tail += ways
    return float(min(1.0, 2 * tail / 2**n))


def _checked(probabilities: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, y = np.asarray(probabilities), np.asarray(classes)
    if p.ndim != 2 or y.shape != p.shape[:1] or not p.size or y.dtype.kind not in "iu":
        raise DataError(
            f"probabilities (N, K) need N true classes, whole numbers; got {p.shape} and {y.dtype}{y.shape}"
        )
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise DataError(f"classes are 0 to {p.shape[1] - 1}; got {y.min()} to {y.max()}")
    if not np.isfinite(p).all():
        raise DataError("probabilities must be finite numbers; got NaN or infinite ones")
    return p, y
