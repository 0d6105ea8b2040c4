"""Pixels beyond the border, mirrored (the paper, section 4.1), so that every pixel of an image gets a window."""

from __future__ import annotations

import numpy as np

from tinympcnn.engine.backend import Array, array_module


def mirror(image: Array, field_of_view: tuple[int, int], size: tuple[int, int] | None = None) -> Array:
    """Extend images so that there is one whole window around every pixel.

    A window of P rows has its centre at row P // 2, so P // 2 rows are added before and P - 1 - P // 2 after. The
    border pixel itself is not repeated: rows -1, -2 are rows 1, 2. A small image is mirrored repeatedly.

    Parameters
    ----------
    image : array, shape (H, W, C) or (N, H, W, C)
        The images, on any device. The result has the shape (H + P - 1, W + Q - 1, C), or N in front.
    field_of_view : pair of int
        The rows P and columns Q of the window.
    size : pair of int, optional
        The rows and columns of the result, if more are needed: they are mirrored at the bottom and right.

    Examples
    --------
    >>> mirror(np.array([1, 2, 3]).reshape(1, 3, 1), (1, 4))[0, :, 0]
    array([3, 2, 1, 2, 3, 2])
    """
    xp = array_module(image)
    for axis, window, length in zip((-3, -2), field_of_view, size or (0, 0), strict=True):
        image = xp.take(image, xp.asarray(mirrored(image.shape[axis], window, length)), axis=axis)
    return image


def mirrored(n: int, window: int, length: int = 0) -> np.ndarray:
    """Return the indices of `n` pixels with the mirrored ones before and after: n + window - 1, or `length` if more.

    Padding the indices instead of the images works on all devices, and copies each pixel once.
    """
    before = window // 2
    return np.pad(np.arange(n), (before, max(n + window - 1, length) - n - before), mode="reflect")
