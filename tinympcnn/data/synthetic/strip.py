"""Synthetic images of rolled steel strip with rare defects, after the paper's section 4.2.

The paper's 534 images of 550x240 pixels are not public. These images share the properties that made them hard.
"""

from __future__ import annotations

import numpy as np

from tinympcnn.data.synthetic.noise import clouds
from tinympcnn.errors import UsageError

STEEL, DEFECT = 0, 255
FULL_SIZE = (240, 550)


def synthetic_strip(
    n: int = 534, size: tuple[int, int] = FULL_SIZE, defects: int = 70, rng: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of a rolled steel surface, some with a defect, and the labels of the defects.

    The surface has the grain of rolling, along the rows. In 95 % of the images the exposure is within a factor of four
    of the usual one, and light is uneven within each image: contrast drowns in noise or saturates. Harmless marks are
    everywhere: dark scale, water spots with bright rims, scratches along the grain. A defect is a patch of thin, wavy
    streaks across the grain. Its mean brightness is that of its surroundings, so neither a threshold nor the local
    mean finds it. Its label is the whole patch, an ellipse of 12,000 to 24,000 pixels with an uneven outline. (The
    paper calls 5000 pixels half of the smallest conceivable defect, and its labels are areas too.)

    Parameters
    ----------
    n : int
        The number of images.
    size : pair of int
        The size (H, W) in pixels. Defects and marks scale by the smaller of H / 240 and W / 550.
    defects : int
        The number of images that have a defect; chance decides which.
    rng : int or numpy.random.Generator
        The seed, or the generator to draw from.

    Returns
    -------
    images, labels : array of uint8, shape (n, H, W)
        The labels are 255 on defects, 0 elsewhere.

    Examples
    --------
    >>> images, labels = synthetic_strip(4, (60, 137), defects=1, rng=0)
    >>> images.shape, int((labels > 0).any(axis=(1, 2)).sum())
    ((4, 60, 137), 1)
    """
    if not 0 <= defects <= n:
        raise UsageError(f"{defects} defects do not fit into {n} images; give 0 to {n}")
    rng = np.random.default_rng(rng)
    defective = rng.permutation(n) < defects
    images, labels = np.empty((2, n, *size), np.uint8)
    for i in range(n):
        surface = _surface(size, rng)
        patch = _patch(size, rng) if defective[i] else np.zeros(size)
        images[i] = _expose(surface + patch * _streaks(size, rng), rng)
        labels[i] = np.where(patch > 0.5, DEFECT, STEEL)
    return images, labels


def _scale(size: tuple[int, int]) -> float:
    return min(size[0] / FULL_SIZE[0], size[1] / FULL_SIZE[1])


def _surface(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw sound steel: grain along the rows, scale, water spots, scratches; reflectance about 1, shape (H, W)."""
    unit = _scale(size)
    surface = 1 + 0.05 * clouds(size, (1, 40 * unit), rng) + 0.05 * clouds(size, (4 * unit, 90 * unit), rng)
    surface += 0.05 * clouds(size, 25 * unit, rng)
    surface -= 0.25 * (clouds(size, (4 * unit, 9 * unit), rng) > 2.6)
    for _ in range(rng.poisson(1.5)):
        distance = _ellipse(size, rng, rng.uniform(6, 22) * unit, rng.uniform(6, 22) * unit)
        surface += 0.2 * np.exp(-(((distance - 1) / 0.15) ** 2)) - 0.08 * (distance < 1)
    for _ in range(rng.poisson(1.0)):
        distance = _ellipse(size, rng, rng.uniform(40, 150) * unit, 1.5 * unit)
        surface += rng.choice([-0.25, 0.25]) * np.exp(-(distance**2))
    return surface


def _patch(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw the place of a defect: array, shape (H, W), from 0 to 1 across a soft outline."""
    unit = _scale(size)
    long = rng.uniform(90, 150)
    short = rng.uniform(12_500, 23_500) / (np.pi * long)
    distance = _ellipse(size, rng, long * unit, short * unit) + 0.04 * clouds(size, 25 * unit, rng)
    return np.clip((1 - distance) * 5 + 0.5, 0, 1)


def _streaks(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw thin wavy lines at an angle to the grain, dark and bright in turn: array, shape (H, W), mean about 0."""
    unit, width = _scale(size), size[1]
    slope = rng.choice([-1, 1]) * rng.uniform(0.25, 0.7)
    shift = np.rint(slope * np.arange(width)).astype(int)
    shift -= shift.min()
    tall = clouds((size[0] + int(shift.max()), width), (2 * unit, 16 * unit), rng)
    streaks = tall[np.arange(size[0])[:, None] + shift, np.arange(width)]
    return np.asarray(rng.uniform(0.10, 0.22) * np.tanh(1.5 * streaks))


def _expose(surface: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take the picture: uneven light, exposure, sensor noise, saturation; array, shape (H, W), 0 to 255."""
    rows, columns = (np.linspace(-1, 1, side) for side in surface.shape)
    slope, bend = rng.normal(0, 0.25, 2), rng.uniform(0, 0.35, 2)
    light = np.add.outer(slope[0] * rows - bend[0] * rows**2, slope[1] * columns - bend[1] * columns**2)
    exposure = 0.75 * np.exp(rng.normal(0, 0.7))
    picture = 265 * (1 - np.exp(-exposure * np.exp(light) * surface))  # a film's shoulder, then a sharp cut
    picture += rng.normal(0, rng.uniform(2, 4), surface.shape)
    return np.asarray(picture.clip(0, 255).round())


def _ellipse(size: tuple[int, int], rng: np.random.Generator, long: float, short: float) -> np.ndarray:
    """Return the distances from the centre of an ellipse along the grain, in its radii, at a random place."""
    tilt = rng.uniform(-0.05, 0.05)
    room = [min(radius * 1.1, side / 2) for radius, side in zip((short, long), size, strict=True)]
    row, column = (rng.uniform(edge, side - edge) for edge, side in zip(room, size, strict=True))
    y, x = np.ogrid[: size[0], : size[1]]
    return np.hypot((x - column) / long, (y - row - tilt * (x - column)) / short)
