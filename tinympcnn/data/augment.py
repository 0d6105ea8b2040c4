"""More training images from few: flips, turns, rotations, elastic deformations and changes of contrast.

The paper (section 4.1) trains on "arbitrarily rotating and flipping" of its images, and counts 390 million patches for
3000 images: 3000 x 362 x 362, where 362 is 512 over the square root of 2. A square of this side lies inside a 512x512
image at any angle, so no pixel beyond the border has to be invented. Labels always move with their image.
"""

from __future__ import annotations

import math

import numpy as np

from tinympcnn.data.deform import displacements, resample, rotation
from tinympcnn.data.dihedral import dihedral
from tinympcnn.errors import UsageError

KINDS = ("flip", "rotate", "elastic", "intensity")

GAIN, SHIFT = 0.2, 0.2
"""The half-widths of the ranges of "intensity": contrast relative to 1, brightness in standard deviations."""


def augment(
    image: np.ndarray, labels: np.ndarray, kind: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random variant of an image (H, W, C), and its labels (H, W) moved the same way.

    The kind is "none", or some of the following with a + between them: "flip" draws one of the eight flips and quarter
    turns; "rotate" also draws an angle, and returns the square of side floor(min(H, W) / sqrt(2)) around a random
    centre; "elastic" displaces pixels by a smooth field, mildly; "intensity" draws a contrast and a brightness.
    The types stay, but "intensity" makes the image float32, as all but "flip" make images of bool, float16 and long
    double. After "flip" both may be views. "rotate" and "elastic" sample the image bilinearly, and the nearest label at
    the same points, once.

    Examples
    --------
    >>> image, labels = np.zeros((64, 80, 1)), np.zeros((64, 80), int)
    >>> [a.shape for a in augment(image, labels, "rotate+elastic", np.random.default_rng(0))]
    [(45, 45, 1), (45, 45)]
    """
    kinds = parse_kinds(kind)
    if kinds - {"flip"} and image.dtype.kind in "bf" and image.dtype.itemsize not in (4, 8):
        image = image.astype(np.float32)  # SciPy samples no other floats, and would round what is true and false
    if kinds & {"flip", "rotate"}:
        k = int(rng.integers(8))
        image, labels = dihedral(image, k), dihedral(labels, k)
    if kinds & {"rotate", "elastic"}:
        size = augmented_size(labels.shape, kind)
        points = rotation(labels.shape, size[0], rng) if "rotate" in kinds else np.indices(size, float)
        if "elastic" in kinds:
            points += displacements(size, rng)
        image, labels = resample(image, labels, points)
    if "intensity" in kinds:
        image = _intensity(image, rng)
    return image, labels


def parse_kinds(kind: str) -> frozenset[str]:
    """Return the parts of an augmentation such as "rotate+elastic", none for "none"; refuse what is no kind."""
    parts = frozenset() if kind == "none" else frozenset(kind.split("+"))
    if unknown := parts.difference(KINDS):
        raise UsageError(
            f"there is no augmentation {min(unknown)!r}; use none, or some of {', '.join(KINDS)} with + between them"
        )
    return parts


def augmented_size(size: tuple[int, int], kind: str) -> tuple[int, int]:
    """Return the size (H, W) of the images that `augment` makes from images of `size`; "flip" may exchange H and W."""
    side = max(1, math.floor(min(size) / math.sqrt(2)))
    return (side, side) if "rotate" in parse_kinds(kind) else size


def _intensity(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image with another contrast around its mean, and another mean; each channel by its own spread."""
    gain, shift = rng.uniform(-GAIN, GAIN), rng.uniform(-SHIFT, SHIFT)
    mean, std = image.mean(axis=(0, 1)), image.std(axis=(0, 1))
    return np.asarray(mean + shift * std + (1 + gain) * (image - mean), np.float32)
