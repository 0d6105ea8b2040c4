"""Synthetic traffic signs in bad photographs: strong changes of exposure, blur, occlusion, noise, other backgrounds.

Twelve classes differ in shape, colour and glyph. The exposure of the photographs changes far more than the signs do,
so that the preprocessings of ``tinympcnn.data.preprocessing`` have something to do.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from tinympcnn.data.distort import Distortion, distort, smoothing
from tinympcnn.data.synthetic.digits import stroke_distance
from tinympcnn.engine import multiply_both

RED, BLUE, YELLOW = (0.75, 0.08, 0.1), (0.08, 0.25, 0.7), (0.9, 0.7, 0.1)
WHITE, BLACK = (0.9, 0.9, 0.88), (0.08, 0.08, 0.08)

# name: shape, rim, face, glyph (a number or a mark), ink
SIGNS: dict[str, tuple[Any, ...]] = {
    "speed-30": ("disc", RED, WHITE, (3, 0), BLACK),
    "speed-50": ("disc", RED, WHITE, (5, 0), BLACK),
    "speed-60": ("disc", RED, WHITE, (6, 0), BLACK),
    "speed-80": ("disc", RED, WHITE, (8, 0), BLACK),
    "no-entry": ("disc", RED, RED, "bar", WHITE),
    "end": ("disc", WHITE, WHITE, "slash", BLACK),
    "straight": ("disc", WHITE, BLUE, "up", WHITE),
    "turn": ("disc", WHITE, BLUE, "right", WHITE),
    "danger": ("triangle", RED, WHITE, "stroke", BLACK),
    "crossing": ("triangle", RED, WHITE, "cross", BLACK),
    "stop": ("octagon", WHITE, RED, "bar", WHITE),
    "priority": ("diamond", WHITE, YELLOW, "none", BLACK),
}
SIGN_NAMES = tuple(SIGNS)

_MARKS = {  # polylines (right, down) in a square from -1 to 1
    "none": (),
    "bar": ((-0.6, 0, 0.6, 0),),
    "slash": ((-0.6, 0.6, 0.6, -0.6),),
    "up": ((0, 0.6, 0, -0.6), (-0.35, -0.25, 0, -0.6, 0.35, -0.25)),
    "right": ((-0.3, 0.6, -0.3, 0, 0.55, 0), (0.2, -0.35, 0.55, 0, 0.2, 0.35)),
    "stroke": ((0, -0.35, 0, 0.2), (0, 0.5, 0, 0.52)),
    "cross": ((-0.3, -0.2, 0.3, 0.5), (-0.3, 0.5, 0.3, -0.2)),
}


def synthetic_signs(n: int, size: int = 32, rng: int | np.random.Generator = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw traffic signs as a passing car's camera would take them.

    Parameters
    ----------
    n : int
        The number of images; the twelve classes (`SIGN_NAMES`) take turns.
    size : int
        The rows and columns of an image.
    rng : int or numpy.random.Generator
        The seed, or the generator to draw from.

    Returns
    -------
    images : array of uint8, shape (n, size, size, 3)
        Colour photographs.
    classes : array of int, shape (n,)
        Positions in `SIGN_NAMES`.

    Examples
    --------
    >>> images, classes = synthetic_signs(24, rng=0)
    >>> images.shape, np.bincount(classes).tolist()
    ((24, 32, 32, 3), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    rng = np.random.default_rng(rng)
    classes = rng.permutation(np.arange(n) % len(SIGNS))
    images = np.zeros((n, size, size, 3), np.float32)
    for image, k in zip(images, classes, strict=True):
        image[...] = _sign(SIGN_NAMES[k], size, rng)
    images = distort(images, (size, size), Distortion(translation=0.07, scale=0.15, rotation=10, shear=6), rng)
    for image in images:
        image[...] = _photographed(image, rng)
    return np.rint(255 * images).astype(np.uint8), classes


def _sign(name: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one sign in good light before its background, (size, size, 3)."""
    shape, rim, face, glyph, ink = SIGNS[name]
    down, right = (np.mgrid[:size, :size] - (size - 1) / 2) / (0.42 * size)
    soft = 2.4 / size
    image = np.ones((size, size, 3)) * rng.uniform(0.1, 0.8, 3)
    image += 0.3 * (rng.uniform(-1, 1, (2, 3))[:, None, None] * np.stack([down, right])[..., None]).sum(axis=0)
    distance = _outside(shape, right, down)
    for colour, edge in ((rim, 0.0), (face, -0.22)):
        image = _painted(image, colour, (edge - distance) / soft + 0.5)
    if isinstance(glyph, tuple):
        for digit, centre in zip(glyph, (-0.31, 0.31), strict=True):
            away = stroke_distance(digit, (right - centre) / 0.36, down / 0.42)
            image = _painted(image, ink, (0.22 - away) / (2.5 * soft) + 0.5)
    for mark in _MARKS.get(glyph, ()) if isinstance(glyph, str) else ():
        image = _painted(image, ink, (0.15 - _line_distance(mark, right, down)) / soft + 0.5)
    return np.clip(image, 0, 1)


def _painted(image: np.ndarray, colour: tuple[float, ...], cover: np.ndarray) -> np.ndarray:
    share = np.clip(cover, 0, 1)[..., None]
    return np.asarray((1 - share) * image + share * np.array(colour))


def _outside(shape: str, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return how far every point lies outside of a shape about as large as the unit disc; inside it is negative."""
    if shape == "disc":
        return np.asarray(np.hypot(right, down) - 0.95)
    sides = {"triangle": (3, 0.55), "octagon": (8, 0.93), "diamond": (4, 0.75)}[shape]
    angles = np.pi / 2 + 2 * np.pi * np.arange(sides[0]) / sides[0] + (np.pi / 4 if shape == "diamond" else 0)
    drop = 0.25 if shape == "triangle" else 0
    return np.asarray(np.max([np.cos(a) * right + np.sin(a) * (down - drop) - sides[1] for a in angles], axis=0))


def _line_distance(mark: tuple[float, ...], right: np.ndarray, down: np.ndarray) -> np.ndarray:
    points = np.reshape(mark, (-1, 2))
    distances = []
    for a, b in pairwise(points):
        share = np.clip(((right - a[0]) * (b - a)[0] + (down - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum(), 0, 1)
        distances.append(np.hypot(right - a[0] - share * (b - a)[0], down - a[1] - share * (b - a)[1]))
    return np.asarray(np.min(distances, axis=0))


def _photographed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, cover, expose and disturb one image (H, W, 3)."""
    size = len(image)
    blur = smoothing(size, round(float(rng.uniform(0.3, 1.3)), 1))
    image = np.moveaxis(multiply_both(blur, np.moveaxis(image, -1, 0), blur), 0, -1).copy()
    if rng.random() < 0.3:
        height, width = rng.integers(size // 6, size // 3, 2)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        image[top : top + height, left : left + width] = rng.uniform(0.1, 0.6, 3)
    light = np.exp(rng.uniform(np.log(0.08), np.log(1.3)))
    haze = rng.uniform(0, 0.25) * min(1.0, light)
    image = light * (1 - haze) * image + haze + 0.012 * rng.standard_normal(image.shape)
    return np.asarray(np.clip(image, 0, 1))
