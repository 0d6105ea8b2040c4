"""Synthetic slices of tissue, which look like the electron micrographs of the paper's section 4.1.

They are drawn here, so the library may ship them, and their labels are exact.
"""

from __future__ import annotations

import numpy as np

from tinympcnn.data.synthetic.noise import clouds

MEMBRANE, INTERIOR = 0, 255


def synthetic_membranes(
    n: int, size: int | tuple[int, int] = 256, rng: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw slices of tissue that look like electron micrographs, and the labels of their membranes.

    Cells are the warped Voronoi regions of relaxed random points. Membranes vary in width and darkness, and fade here
    and there. The cells contain vesicles, and mitochondria whose rims and texture are as dark as membranes but are
    not labelled as membranes. Uneven staining, blur and noise come last. A net has to look at shapes: the best global
    threshold errs on about 18 % of the pixels, and the constant answer "interior" errs on 24 %.

    Parameters
    ----------
    n : int
        The number of slices.
    size : int or pair of int
        The size (H, W) in pixels; one number is both.
    rng : int or numpy.random.Generator
        The seed, or the generator to draw from.

    Returns
    -------
    images, labels : array of uint8, shape (n, H, W)
        The labels are 0 on membranes (about 24 % of the pixels) and 255 inside cells, as in ISBI 2012.

    Examples
    --------
    >>> images, labels = synthetic_membranes(2, (64, 96), rng=0)
    >>> images.shape, np.unique(labels).tolist()
    ((2, 64, 96), [0, 255])
    """
    shape = (size, size) if isinstance(size, int) else size
    rng = np.random.default_rng(rng)
    images, labels = np.empty((2, n, *shape), np.uint8)
    for i in range(n):
        images[i], labels[i] = _membranes(shape, rng)
    return images, labels


def _membranes(shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one slice: image and labels, arrays, shape (H, W)."""
    from scipy import ndimage

    cell, border = _cells(shape, rng)
    half_width = (2.3 + 0.7 * clouds(shape, 25, rng)).clip(1.3, 4)
    tone = rng.normal(0, 8, cell.max() + 1)[cell]

    image = 160 + tone + 12 * clouds(shape, 2, rng) + 9 * clouds(shape, 12, rng)
    inside = border > 2 * half_width
    image = _with_mitochondria(image, cell, inside, rng)
    image = _with_vesicles(image, inside, rng)
    depth = 75 + 22 * clouds(shape, 12, rng) + 18 * clouds(shape, 40, rng)
    edge = np.clip(half_width + 0.5 - border, 0, 1) * (1.15 - 0.5 * border / half_width)
    image = image - depth.clip(20) * edge

    image = ndimage.gaussian_filter(image, rng.uniform(0.7, 1.1))
    image = image * (1 + 0.06 * clouds(shape, 80, rng)) + 10 * clouds(shape, 60, rng)
    image += rng.normal(0, 9, shape) + 8 * clouds(shape, 1.2, rng)
    return image.clip(0, 255).round(), np.where(border < half_width, MEMBRANE, INTERIOR)


def _cells(shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Partition a warped plane among relaxed random points: arrays (H, W) of cell numbers and distances to borders."""
    from scipy import ndimage
    from scipy.spatial import cKDTree

    height, width = shape
    margin, spacing = 40, 42
    extent = np.array([height + 2 * margin, width + 2 * margin])
    points = rng.uniform(0, extent, (max(4, int(extent.prod() / spacing**2)), 2))
    sample = rng.uniform(0, extent, (20 * len(points), 2))
    owner = cKDTree(points).query(sample)[1]
    count = np.bincount(owner, minlength=len(points)).clip(1)
    for axis in range(2):  # half of one step of Lloyd's relaxation: cells stay of many sizes
        centre = np.bincount(owner, sample[:, axis], minlength=len(points)) / count
        points[:, axis] += 0.5 * (centre - points[:, axis])

    rows, columns = np.mgrid[:height, :width] + float(margin)
    rows += 7 * clouds(shape, 14, rng) + 14 * clouds(shape, 50, rng)
    columns += 7 * clouds(shape, 14, rng) + 14 * clouds(shape, 50, rng)
    cell = cKDTree(points).query(np.stack([rows, columns], axis=-1))[1]
    inner = np.ones(shape, bool)
    inner[:-1] &= cell[:-1] == cell[1:]
    inner[:, :-1] &= cell[:, :-1] == cell[:, 1:]
    return cell, ndimage.distance_transform_edt(inner)


def _with_mitochondria(image: np.ndarray, cell: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add dark, striped ellipses with dark rims, each within one cell."""
    for _ in range(rng.poisson(image.size / 65**2)):
        row, column = (int(rng.integers(side)) for side in image.shape)
        long, short, angle = rng.uniform(11, 26), rng.uniform(7, 13), rng.uniform(0, np.pi)
        top, left = max(0, row - 30), max(0, column - 30)
        near = np.s_[top : row + 31, left : column + 31]
        y, x = np.indices(image[near].shape) + np.array([top - row, left - column])[:, None, None]
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        radius = np.hypot(along / long, across / short) + 0.06 * np.sin(3 * np.arctan2(across, along) + angle)
        within = inside[near] & (cell[near] == cell[row, column])
        body = 38 + 20 * np.sin(2 * np.pi * along / rng.uniform(5, 8) + across / 3)
        rim = rng.uniform(50, 95) * np.exp(-(((1 - radius) * short / 2.2) ** 2))
        image[near] -= within * (np.where(radius < 1, body, 0) + rim)
    return image


def _with_vesicles(image: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add clusters of small dark rings, and single dark dots."""
    from scipy import ndimage

    y, x = np.mgrid[-5:6, -5:6]
    radius = np.hypot(y, x)
    ring = 45 * np.exp(-(((radius - 3) / 1.2) ** 2))
    dot = 60 * np.exp(-((radius / 2) ** 2))
    chance = rng.random(image.shape)
    clusters = (chance < 0.02) & (clouds(image.shape, 15, rng) > 1.2)
    for marks, stamp in ((clusters, ring), (chance > 0.9993, dot)):
        drawn = ndimage.convolve(marks.astype(float), stamp, mode="constant")
        image = image - np.minimum(drawn, 70) * inside
    return image
