"""Synthetic handwritten digits: strokes with a pen of varying width, slanted and bent; what columns are tried on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinympcnn.data.distort import Distortion, distort

# Strokes of each digit in a square from -1 to 1, (right, down): points of polylines, and arcs (centre, radii, degrees).
_RING = ("arc", 0.0, 0.0, 0.62, 0.95, 0, 360)
STROKES: dict[int, list[tuple[Any, ...]]] = {
    0: [_RING],
    1: [("line", -0.35, -0.55, 0.05, -0.95, 0.05, 0.95)],
    2: [("arc", 0.0, -0.45, 0.6, 0.5, -180, 40), ("line", 0.46, -0.13, -0.62, 0.95, 0.65, 0.95)],
    3: [("arc", -0.05, -0.48, 0.55, 0.47, -160, 90), ("arc", -0.05, 0.45, 0.62, 0.5, -90, 150)],
    4: [("line", 0.2, 0.95, 0.2, -0.95, -0.65, 0.35, 0.65, 0.35)],
    5: [("line", 0.55, -0.95, -0.45, -0.95, -0.5, -0.15), ("arc", -0.08, 0.35, 0.62, 0.6, -130, 140)],
    6: [("arc", 0.0, 0.4, 0.55, 0.55, 0, 360), ("line", -0.55, 0.4, -0.35, -0.35, 0.25, -0.95)],
    7: [("line", -0.6, -0.95, 0.6, -0.95, -0.15, 0.95)],
    8: [("arc", 0.0, -0.45, 0.48, 0.48, 0, 360), ("arc", 0.0, 0.48, 0.58, 0.48, 0, 360)],
    9: [("arc", 0.0, -0.4, 0.52, 0.52, 0, 360), ("line", 0.52, -0.4, 0.48, 0.2, 0.15, 0.95)],
}


def synthetic_digits(n: int, size: int = 28, rng: int | np.random.Generator = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw digits as a pen would, each in its own hand.

    Parameters
    ----------
    n : int
        The number of images; the classes take turns, so each has its share.
    size : int
        The rows and columns of an image. The digit fills about 20 of 28 rows.
    rng : int or numpy.random.Generator
        The seed, or the generator to draw from.

    Returns
    -------
    images : array of uint8, shape (n, size, size, 1)
        Bright ink on black.
    classes : array of int, shape (n,)
        The digits.

    Examples
    --------
    >>> images, classes = synthetic_digits(20, rng=0)
    >>> images.shape, np.bincount(classes).tolist()
    ((20, 28, 28, 1), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    rng = np.random.default_rng(rng)
    classes = rng.permutation(np.arange(n) % 10)
    margin = max(1, size // 4)  # black all around, which is cut off: what bends comes back from nowhere else
    canvas = (size + 2 * margin, size + 2 * margin)
    images = np.zeros((n, *canvas, 1), np.float32)
    for image, k in zip(images, classes, strict=True):
        image[margin:-margin, margin:-margin, 0] = _digit(int(k), size, rng)
    bent = {"alpha": 40 * (size / 28) ** 2, "sigma": 6 * size / 28}
    hand = Distortion(translation=0.03, scale=0.15, rotation=12, shear=14, **bent)
    images = distort(images, canvas, hand, rng)[:, margin:-margin, margin:-margin]
    images += 0.03 * rng.standard_normal(images.shape) * (images > 0.02)
    return (255 * np.clip(images, 0, 1)).astype(np.uint8), classes


def stroke_distance(
    digit: int, right: np.ndarray, down: np.ndarray, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Return how far every point lies from the strokes of a digit, whose ends `rng` moves a little."""
    distances = [np.full(right.shape, np.inf)]
    for stroke in STROKES[digit]:
        points = _points(stroke)
        if rng is not None:
            points = points + rng.normal(0, 0.05, (1, 2))
            points = points + np.linspace(-1, 1, len(points))[:, None] * rng.normal(0, 0.06, 2)
        start, step = points[:-1], np.diff(points, axis=0)
        away = np.stack([right, down], axis=-1)[..., None, :] - start
        share = np.clip((away * step).sum(-1) / np.maximum((step**2).sum(-1), 1e-9), 0, 1)
        distances.append(np.sqrt(((away - share[..., None] * step) ** 2).sum(-1)).min(-1))
    return np.asarray(np.min(distances, axis=0))


def _points(stroke: tuple[Any, ...]) -> np.ndarray:
    kind, *numbers = stroke
    if kind == "line":
        return np.reshape(numbers, (-1, 2)).astype(float)
    x, y, rx, ry, first, last = numbers
    angle = np.radians(np.linspace(first, last, 16))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=-1)


def _digit(digit: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one digit, (size, size), in ink from 0 to 1."""
    down, right = (np.mgrid[:size, :size] - (size - 1) / 2) / (0.34 * size)
    pen, ink, soft = rng.uniform(0.1, 0.24), rng.uniform(0.75, 1), 2.8 / size
    return np.asarray(ink * np.clip((pen - stroke_distance(digit, right, down, rng)) / soft + 0.5, 0, 1))
