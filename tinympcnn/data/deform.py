"""Rotation and elastic deformation of an image and its labels, both in one resampling.

Two resamplings in a row would blur twice. So every pixel of the result first gets a point of the image, which is
rotated and then displaced, and only then image and labels are sampled at these points.
"""

from __future__ import annotations

import math

import numpy as np

from tinympcnn.engine import multiply_both

SPACING = 64
"""The pixels between the nodes of an elastic deformation: a little more than a cell in the paper's images is wide."""

DISPLACEMENT = 3.0
"""The standard deviation of an elastic displacement along one axis, in pixels: about 0.05 between neighbours."""


def rotation(size: tuple[int, int], side: int, rng: np.random.Generator) -> np.ndarray:
    """Return the rows and columns, (2, side, side), of a square in an image, with a random angle and a random centre.

    The side is at most min(H, W) / sqrt(2), so that the square fits at any angle.
    """
    radius = (side - 1) / math.sqrt(2)
    row, column = rng.uniform((radius, radius), (size[0] - 1 - radius, size[1] - 1 - radius))
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    down = np.arange(side)[:, None] - (side - 1) / 2
    right = down.T
    return np.stack([row + cos * down - sin * right, column + sin * down + cos * right])


def displacements(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random field, (2, H, W): the displacements of the row and of the column, in pixels.

    They are normally distributed at nodes SPACING apart, with a cubic B-spline between the nodes.
    """
    down, right = _splines(size[0]), _splines(size[1])
    nodes = rng.normal(0, 2 * DISPLACEMENT, (2, down.shape[1], right.shape[1]))  # the splines' weights halve it
    return multiply_both(down, nodes, right)


def _splines(n: int) -> np.ndarray:
    """Return the weights of all nodes at `n` pixels along one axis, array, shape (n, nodes): cubic B-splines."""
    nodes = np.arange(-1, -(-n // SPACING) + 2)
    u = abs(np.arange(n)[:, None] / SPACING - nodes)
    return np.where(u < 1, 2 / 3 - u**2 + u**3 / 2, np.clip(2 - u, 0, None) ** 3 / 6)


def resample(image: np.ndarray, labels: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample an image (H, W, C) bilinearly, and its labels (H, W) at the nearest pixel, at the same points (2, h, w).

    Points beyond the border are mirrored, as everywhere in this library. The types stay.

    Examples
    --------
    >>> image, labels = np.array([[[0.0], [4.0]]]), np.array([[0, 1]])
    >>> [a.ravel().tolist() for a in resample(image, labels, np.array([[[0.0, 0.0]], [[0.25, 1.0]]]))]
    [[1.0, 4.0], [0, 1]]
    """
    from scipy import ndimage

    planes = [ndimage.map_coordinates(image[..., c], points, order=1, mode="mirror") for c in range(image.shape[-1])]
    return np.stack(planes, axis=-1), ndimage.map_coordinates(labels, points, order=0, mode="mirror")
