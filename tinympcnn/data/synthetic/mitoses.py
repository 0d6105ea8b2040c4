"""Synthetic histology: many pale nuclei, few dividing ones, and dark bodies that only look like these.

The images stand for those of the ICPR 2012 mitosis contest, which are not redistributed. What makes the contest hard is
drawn on purpose: dividing nuclei are rare, and mimics are as dark as they are.
"""

from __future__ import annotations

import numpy as np

from tinympcnn.data.synthetic.noise import clouds
from tinympcnn.errors import UsageError

PAPER = np.array([0.93, 0.86, 0.92])  # eosin on the glass, red, green and blue as shares of the lamp's light
ABSORBED = {"pale": (0.30, 0.45, 0.22), "dark": (0.95, 1.25, 0.65), "debris": (0.80, 0.85, 0.95)}  # optical densities
RADIUS = 10  # pixels of a nucleus, about; at 0.25 micrometres a pixel, small
STAMP = 4 * RADIUS + 1, 4 * RADIUS + 1  # the size of the picture of one object


def synthetic_mitoses(
    n: int = 4,
    size: tuple[int, int] = (512, 512),
    mitoses: int = 6,
    mimics: int = 30,
    nuclei: int = 400,
    rng: int | np.random.Generator = 0,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw colour images of stained tissue, and the places of the dividing nuclei in each.

    A dividing nucleus is dark, rough and without an outline, in one of three stages: a clump of threads (prophase), a
    plate (metaphase), or two plates side by side (anaphase). A mimic is as dark, but smooth and round (a dead cell), or
    brownish (debris), or a speck of stain. Stain and light change from image to image.

    Parameters
    ----------
    n : int
        The number of images.
    size : pair of int
        The size (H, W) of the images, in pixels.
    mitoses, mimics, nuclei : int
        The numbers of objects in each image, on average: Poisson numbers are drawn.
    rng : int or numpy.random.Generator
        The seed, or the generator to draw from.

    Returns
    -------
    images : array of uint8, shape (n, H, W, 3)
    points : list of array, shape (m, 2)
        The row and the column of the dividing nuclei of each image, in pixels from 0.

    Raises
    ------
    UsageError
        If a number is negative, or an image is smaller than an object.

    Examples
    --------
    >>> images, points = synthetic_mitoses(2, (128, 160), mitoses=3, nuclei=20, rng=0)
    >>> images.shape, [p.shape[1] for p in points]
    ((2, 128, 160, 3), [2, 2])
    """
    if min(n, mitoses, mimics, nuclei) < 0 or min(size) < 6 * RADIUS:
        raise UsageError(f"numbers must be 0 or more, and images at least {6 * RADIUS} pixels on each side, not {size}")
    rng = np.random.default_rng(rng)
    drawn = [_image(size, rng.poisson([mitoses, mimics, nuclei]), rng) for _ in range(n)]
    images = np.stack([image for image, _ in drawn]) if n else np.empty((0, *size, 3), np.uint8)
    return images, [points for _, points in drawn]


def _image(size: tuple[int, int], numbers: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mitoses, mimics, nuclei = (int(number) for number in numbers)
    tissue = 1 + 0.4 * clouds(size, 40, rng) + 0.3 * clouds(size, 3, rng)
    density = 0.10 * tissue[:, :, None] * np.array([0.3, 1.0, 0.5])
    dark = _places(mitoses + mimics, size, 4 * RADIUS, rng)
    points, others = dark[:mitoses], dark[mitoses:]
    for place in rng.uniform(0, size, (nuclei, 2)):
        _stamp(density, place, "pale", _nucleus(*_grid(rng), rng) * rng.uniform(0.5, 1.3))
    for place in points:
        _stamp(density, place, "dark", _mitosis(*_grid(rng), rng) * rng.uniform(0.75, 1.15))
    for place in others:
        kind = rng.choice(3, p=[0.5, 0.3, 0.2])
        mask = (_smooth_body, _debris, _speck)[kind](*_grid(rng), rng) * rng.uniform(0.75, 1.15)
        _stamp(density, place, "debris" if kind == 1 else "dark", mask)
    light = PAPER * rng.uniform(0.92, 1.0) * np.exp(-density * rng.uniform(0.8, 1.2))
    noisy = light + 0.015 * rng.standard_normal(light.shape)
    return np.clip(255 * noisy, 0, 255).astype(np.uint8), points


def _places(number: int, size: tuple[int, int], apart: float, rng: np.random.Generator) -> np.ndarray:
    """Draw whole places at least `apart` from each other where possible, and not at the very rim."""
    places: list[np.ndarray] = []
    for _ in range(30 * number):
        if len(places) == number:
            break
        place = np.round(rng.uniform(RADIUS, np.array(size) - RADIUS - 1))
        if all(np.hypot(*(place - other)) >= apart for other in places):
            places.append(place)
    return np.array(places).reshape(-1, 2)


def _grid(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns around the middle of a stamp, in radii of a nucleus and turned by any angle."""
    i, j = (np.indices(STAMP) - 2 * RADIUS) / RADIUS
    angle = rng.uniform(0, 2 * np.pi)
    return np.cos(angle) * i + np.sin(angle) * j, np.cos(angle) * j - np.sin(angle) * i


def _inside(distance: np.ndarray, softness: float) -> np.ndarray:
    """Return 1 where a distance from an outline is well below 0, 0 well above, and a slope of `softness` between."""
    return 1 / (1 + np.exp(np.clip(distance / softness, -50, 50)))


def _nucleus(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    long, wide = rng.uniform(0.8, 1.3), rng.uniform(0.5, 0.9)
    body = _inside(np.hypot(u / long, v / wide) - 1, 0.08)
    return body * (0.8 + 0.35 * clouds(STAMP, 2, rng))  # pale, with the grain of chromatin


def _mitosis(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    ragged = 0.22 * clouds(STAMP, 1.6, rng)
    stage = rng.integers(3)
    if stage == 0:  # prophase: a clump of threads
        return _inside(np.hypot(u, v) - 0.75 + 2 * ragged, 0.06) * (0.9 + 0.4 * clouds(STAMP, 1.2, rng))
    if stage == 1:  # metaphase: a plate seen from its side
        return _inside(np.hypot(u / 1.0, v / 0.33) - 1 + 2 * ragged, 0.12)
    apart = rng.uniform(0.4, 0.6)  # anaphase: two plates
    plates = [np.hypot(u / 0.85, (v - side) / 0.24) - 1 + 2 * ragged for side in (-apart, apart)]
    return np.asarray(np.maximum(*(_inside(plate, 0.15) for plate in plates)))


def _smooth_body(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    radius = rng.uniform(0.45, 0.8)
    return _inside(np.hypot(u / rng.uniform(0.9, 1.1), v) - radius, 0.07)


def _debris(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _inside(np.hypot(u / 0.9, v / 0.5) - 1 + 0.5 * clouds(STAMP, 2, rng), 0.1)


def _speck(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _inside(np.hypot(u, v) - rng.uniform(0.2, 0.35), 0.04)


def _stamp(density: np.ndarray, place: np.ndarray, stain: str, mask: np.ndarray) -> None:
    """Add the optical density of one object to the image, as far as the object lies in the image."""
    reach = len(mask) // 2
    top, left = (round(float(c)) - reach for c in place)
    rows = slice(max(top, 0), min(top + len(mask), density.shape[0]))
    columns = slice(max(left, 0), min(left + len(mask), density.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        density[rows, columns] += part[:, :, None] * np.array(ABSORBED[stain])
