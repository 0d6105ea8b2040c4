"""Calibration: correct probabilities by a monotone cubic polynomial, so that they are shares of the truth.

A net that was trained with balanced classes, or averaged with others, says 0.7 where the share is 0.9. The winner of
the ISBI 2012 challenge corrected that by least squares on labelled slices (Ciresan, Giusti, Gambardella, Schmidhuber,
NIPS 2012). A monotone polynomial keeps the order of pixels, so only decisions at a fixed threshold change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.polynomial import polynomial

from tinympcnn.engine import multiply
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.atomic import AnyPath, replacing

_FORMAT = "tinympcnn calibration"


@dataclass(frozen=True)
class Calibration:
    """A polynomial that rises over [0, 1], applied to the probability of the second of two classes.

    The four coefficients come lowest power first; results below 0 and above 1 become 0 and 1.

    >>> calibration = Calibration((0.0, 0.0, 3.0, -2.0), (0, 255))  # p*p*(3 - 2*p)
    >>> calibration(np.array([[[0.75, 0.25]]], np.float32))
    array([[[0.84375, 0.15625]]], dtype=float32)
    """

    coefficients: tuple[float, ...]
    class_values: tuple[int, ...]

    def __post_init__(self) -> None:
        finite = len(self.coefficients) == 4 and np.isfinite(self.coefficients).all()
        if not finite or steepest_fall(self.coefficients) > 1e-9:
            raise UsageError(f"a calibration is a cubic polynomial that rises over [0, 1], not {self.coefficients}")
        if len(self.class_values) != 2:
            raise UsageError(f"a calibration is for two classes, not for {tuple(self.class_values)}")

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities (..., 2), float32, of probabilities (..., 2)."""
        p = polynomial.polyval(probabilities[..., 1].astype(np.float64), self.coefficients).clip(0, 1)
        return np.stack([1 - p, p], axis=-1).astype(np.float32)

    def save(self, path: AnyPath, **about: Any) -> None:
        """Write the calibration as JSON, whole or not at all; `about` is written next to it for the reader."""
        own = {"format": _FORMAT, "coefficients": self.coefficients, "class_values": self.class_values}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({**own, **about}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: AnyPath) -> Calibration:
        """Read what `save` wrote; anything else is a DataError."""
        try:
            about = json.loads(Path(path).read_text(encoding="utf-8"))
            if about["format"] != _FORMAT or not all(type(value) is int for value in about["class_values"]):
                raise ValueError
            return cls(tuple(map(float, about["coefficients"])), tuple(about["class_values"]))
        except OSError as error:
            raise DataError(f"cannot read the calibration {path}: {error.strerror or error}") from error
        except (ValueError, TypeError, KeyError, RecursionError, UsageError) as error:
            raise DataError(f"{path} is not a calibration; 'tinympcnn calibrate' writes them") from error


def steepest_fall(coefficients: Sequence[float]) -> float:
    """Return the steepest fall of a cubic polynomial on [0, 1], which is 1 for ``t**2 - t``; 0 if it falls nowhere."""
    slope = polynomial.polyder(np.asarray(coefficients, float))
    turning = [slope[1] / (-2 * slope[2])] if slope[2] else []
    return max(0.0, *(-float(polynomial.polyval(t, slope)) for t in (0, 1, *turning) if 0 <= t <= 1))


@dataclass(frozen=True)
class Fit:
    """A calibration, and the mean square of probability minus truth over the pixels it was fitted on."""

    calibration: Calibration
    pixels: int
    before: float
    after: float


def fit_calibration(pages: Iterable[tuple[np.ndarray, np.ndarray]], class_values: Sequence[int]) -> Fit:
    """Fit the cubic polynomial that rises over [0, 1] and is nearest to the truth in least squares.

    Each of the pages, of any sizes, is the probability of the second class at every pixel, and whether the pixel is of
    that class: two arrays of one shape. Only sums of powers are kept, so that any number of pages can be used.
    """
    n, powers, products = 0, np.zeros(7), np.zeros(4)  # sums of p**k, and of truth * p**k
    for probability, truth in pages:
        p, y = np.ravel(probability).astype(np.float64), np.ravel(truth).astype(np.float64)
        power = np.ones_like(p)
        for k in range(7):
            powers[k] += power.sum()
            if k < 4:
                products[k] += multiply(power, y)
            power *= p
        n += p.size
    positive = products[0]
    if not 0 < positive < n:
        only = class_values[int(positive > 0)]
        raise DataError(f"a calibration needs pixels of both classes, and the labels hold {n} of class {only} alone")
    moments, products = powers[np.add.outer(range(4), range(4))] / n, products / n

    def error(c: np.ndarray) -> float:
        return float(c @ moments @ c - 2 * c @ products + positive / n)

    best = _nearest_rising(moments, products)
    calibration = Calibration(tuple(map(float, best)), tuple(class_values))
    return Fit(calibration, n, error(np.array([0.0, 1.0, 0.0, 0.0])), error(best))


def _nearest_rising(moments: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Return the coefficients c of the rising cubic with the least ``c @ moments @ c - 2 * c @ products``.

    A quadratic is nowhere negative on [0, 1] if and only if it is (a + b*t)**2 + (d*t)**2 + e*e*t*(1 - t) for some
    a, b, d, e (Lukacs); the polynomial's slope is written so, and the rest is least squares without constraints.
    """
    from scipy import optimize

    def rising(v: np.ndarray) -> np.ndarray:
        start, a, b, d, e = v
        return np.array([start, a * a, (2 * a * b + e * e) / 2, (b * b + d * d - e * e) / 3])

    values, axes = np.linalg.eigh(moments)
    root = np.sqrt(values.clip(0))[:, None] * axes.T  # root.T @ root = moments
    free = np.linalg.lstsq(moments, products, rcond=None)[0]
    start = np.array([0.0, 0.7, 0.3, 0.3, 0.7])
    found = optimize.least_squares(
        lambda v: root @ (rising(v) - free), start, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=2000
    )
    return rising(found.x)
