"""What all the measures share: thresholds, the best of a sweep over them, and the checks of what comes in.

The ISBI 2012 challenge turned every probability map into segments at the thresholds 0.0, 0.1, ..., 1.0 and
kept the best score over the whole stack. Its rule, and ours, is strict: a pixel is interior where `p > t`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tinympcnn.errors import DataError, UsageError

THRESHOLDS: np.ndarray = np.linspace(0.0, 1.0, 11)
"""The challenge's thresholds; a pixel is positive where `p > t`."""


@dataclass(frozen=True)
class Sweep:
    """The best value of a measure over thresholds: the first one where several are equally good.

    Attributes
    ----------
    value, threshold : float
        The best value, and the threshold it was reached at.
    values, thresholds : array, shape (T,)
        The whole curve.
    """

    value: float
    threshold: float
    values: np.ndarray
    thresholds: np.ndarray


def lowest(values: ArrayLike, thresholds: np.ndarray) -> Sweep:
    """Return the `Sweep` whose best value is the smallest: for errors."""
    curve = np.asarray(values, dtype=float)
    k = int(np.argmin(curve))
    return Sweep(float(curve[k]), float(thresholds[k]), curve, thresholds)


def as_thresholds(thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return thresholds as a float64 vector; they must increase and lie in [0, 1]."""
    t = np.atleast_1d(np.asarray(thresholds, dtype=float))
    if t.ndim != 1 or t.size == 0 or not (t[0] >= 0 and t[-1] <= 1 and (np.diff(t) > 0).all()):
        raise UsageError(f"thresholds must increase within [0, 1], as 0.1, 0.5, 0.9 do; got {thresholds}")
    return t


def as_stack(array: ArrayLike, name: str) -> np.ndarray:
    """Return an array (H, W) or (Z, H, W) as a non-empty (Z, H, W)."""
    a = np.asarray(array)
    if a.ndim not in (2, 3) or a.size == 0:
        raise DataError(f"{name} must be a non-empty image (H, W) or stack (Z, H, W); got shape {a.shape}")
    return a if a.ndim == 3 else a[None]


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


def is_series(array: object) -> bool:
    """Tell whether `array` is a list of images, arrays that may be of several sizes, and not one stack."""
    return isinstance(array, list) and all(isinstance(image, np.ndarray) and image.ndim >= 2 for image in array)


def probability_and_truth(
    probability: ArrayLike | list[np.ndarray], truth: ArrayLike | list[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the images that every membrane measure takes, checked: float (H, W) in [0, 1] and bool (H, W)."""
    if is_series(truth):
        pairs = [probability_and_truth(p, y) for p, y in zip(probability, truth, strict=True)]  # type: ignore[arg-type]
        return [p for some, _ in pairs for p in some], [y for _, some in pairs for y in some]
    p, is_true = as_stack(probability, "probability_of_interior"), as_stack(truth, "truth_is_interior")
    check_same_shape(p, is_true, "probability_of_interior", "truth_is_interior")
    check_probabilities(p, "probability_of_interior")
    if not np.isin(is_true, (0, 1)).all():
        got = f"values from {is_true.min()} to {is_true.max()}"
        raise DataError(f"truth_is_interior must be boolean or 0 and 1; got {got}")
    return list(p.astype(float, copy=False)), list(is_true.astype(bool))
