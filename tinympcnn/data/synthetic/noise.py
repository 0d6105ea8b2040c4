"""Smooth noise, of which both synthetic data sets are made. Read next: `membranes.py`."""

import numpy as np
from scipy import ndimage


def clouds(shape: tuple[int, int], scale: float | tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Draw smooth noise, by blurring it on a coarse grid.

    Parameters
    ----------
    shape : tuple of int
        (H, W) in pixels.
    scale : float or pair of float
        Size of the features in pixels, along rows and columns.
    rng : numpy.random.Generator
        To draw from.

    Returns
    -------
    ndarray
        (H, W), of mean 0 and standard deviation 1 over many draws.
    """
    scales = np.broadcast_to(scale, 2)
    steps = np.maximum(1, scales // 2).astype(int)
    sigmas = scales / steps
    coarse = rng.standard_normal([side // step + 3 for side, step in zip(shape, steps, strict=True)])
    coarse = ndimage.gaussian_filter(coarse, sigmas, mode="wrap")
    coarse *= np.sqrt(2 * np.sqrt(np.pi) * sigmas).prod()  # by which blurring has divided it
    fine = ndimage.zoom(coarse, steps, order=1, grid_mode=True, mode="nearest")
    return fine[: shape[0], : shape[1]]
