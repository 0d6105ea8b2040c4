"""Smaller images by averaging, and the labels that belong to them: section 4.2 of the paper works at a quarter.

The record of a model says by how much its training images were down-sampled (``record["downsample"]``), and whoever
runs the model shrinks images alike.
"""

from __future__ import annotations

import numpy as np

from tinympcnn.errors import UsageError


def downsample(image: np.ndarray, factor: int) -> np.ndarray:
    """Shrink an image (H, W) or (H, W, C) by averaging blocks of factor x factor pixels, in float32.

    A factor of 1 changes nothing. Rows and columns beyond the last whole block are dropped.

    Examples
    --------
    >>> downsample(np.array([[0, 2, 9], [4, 6, 9]], np.uint8), 2)
    array([[3.]], dtype=float32)
    """
    if factor == 1:
        return image
    rows = _blocks(image, factor).sum(axis=1, dtype=np.float32)  # over both axes at once NumPy takes ten times as long
    return np.asarray(sum((rows[:, :, j] for j in range(1, factor)), rows[:, :, 0]) / factor**2)


def downsample_labels(labels: np.ndarray, factor: int) -> np.ndarray:
    """Shrink a label image (H, W): each block of pixels gets its most frequent value, the smallest of equals.

    Examples
    --------
    >>> downsample_labels(np.array([[0, 255, 7, 7], [255, 255, 0, 0]], np.uint8), 2)
    array([[255,   0]], dtype=uint8)
    """
    if factor == 1:
        return labels
    blocks = _blocks(labels, factor)
    values = np.unique(blocks)
    counts = [(blocks == value).sum(axis=(1, 3)) for value in values]
    return np.asarray(values[np.argmax(counts, axis=0)])


def _blocks(image: np.ndarray, factor: int) -> np.ndarray:
    """Return a view (H // factor, factor, W // factor, factor, ...) of the whole blocks of an image."""
    if factor < 1 or min(image.shape[:2]) < factor:
        raise UsageError(f"an image of {image.shape[0]}x{image.shape[1]} cannot be down-sampled by {factor}")
    h, w = image.shape[0] // factor, image.shape[1] // factor
    return image[: h * factor, : w * factor].reshape(h, factor, w, factor, *image.shape[2:])
