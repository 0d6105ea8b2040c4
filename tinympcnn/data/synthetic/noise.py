"""Smooth noise, the material of the synthetic data sets."""

from __future__ import annotations

import numpy as np


def clouds(shape: tuple[int, int], scale: float | tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Draw smooth noise (H, W) with features of `scale` pixels, by blurring it on a coarse grid.

    Over many draws the mean is 0 and the standard deviation 1.
    """
    from scipy import ndimage

    scales = np.broadcast_to(scale, 2)
    steps = np.maximum(1, scales // 2).astype(int)
    sigmas = scales / steps
    coarse = rng.standard_normal([side // step + 3 for side, step in zip(shape, steps, strict=True)])
    coarse = ndimage.gaussian_filter(coarse, sigmas, mode="wrap")
    coarse *= np.sqrt(2 * np.sqrt(np.pi) * sigmas).prod()  # by which blurring has divided it
    fine = ndimage.zoom(coarse, steps, order=1, grid_mode=True, mode="nearest")
    return np.asarray(fine[: shape[0], : shape[1]])
