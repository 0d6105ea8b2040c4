"""How far a predicted image is from its target: mean squared error, PSNR and SSIM."""

from __future__ import annotations

import numpy as np

from tinympcnn.errors import DataError, UsageError

WINDOW = 11  # pixels of the Gaussian window of SSIM


def mean_squared_error(prediction: np.ndarray, target: np.ndarray) -> float:
    """Return the mean of the squared differences of two images, in float64.

    Examples
    --------
    >>> mean_squared_error(np.array([1, 2]), np.array([1, 4]))
    2.0
    """
    if prediction.shape != target.shape or not target.size:
        raise DataError(f"the prediction has shape {prediction.shape}, and the target has {target.shape}")
    return float(np.mean((prediction.astype(np.float64) - target) ** 2))


def psnr(prediction: np.ndarray, target: np.ndarray, data_range: float) -> float:
    """Return the peak signal-to-noise ratio in decibels, ``10 * log10(data_range**2 / mean squared error)``.

    Parameters
    ----------
    prediction, target : array, shape (H, W) or (H, W, C)
        The images, in the same units.
    data_range : float
        The largest difference that values can have, such as 255 for images of eight bits.

    Returns
    -------
    float
        Infinity for equal images.

    Examples
    --------
    >>> round(psnr(np.zeros((2, 2)), np.full((2, 2), 25.5), 255), 9)
    20.0
    """
    if not 0 < data_range < np.inf:
        raise UsageError(f"data_range must be a positive number, such as 255, not {data_range!r}")
    error = mean_squared_error(prediction, target)
    return float(10 * np.log10(data_range**2 / error)) if error else np.inf


def ssim(prediction: np.ndarray, target: np.ndarray, data_range: float) -> float:
    """Return the mean structural similarity (Wang, Bovik, Sheikh, Simoncelli, 2004), computed by scikit-image.

    The window is Gaussian, as in that paper, with a standard deviation of 1.5 pixels.

    Parameters
    ----------
    prediction, target : array, shape (H, W) or (H, W, C)
        The images, in the same units.
    data_range : float
        The largest difference that values can have, such as 255 for images of eight bits.

    Raises
    ------
    UsageError
        If scikit-image is not installed.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise UsageError("SSIM needs scikit-image: pip install 'tinympcnn[regression]'") from error
    psnr(prediction, target, data_range)  # so shapes and range are right
    if min(target.shape[:2]) < WINDOW:
        raise DataError(f"SSIM needs images of {WINDOW}x{WINDOW} pixels at least; got {target.shape}")
    return float(
        structural_similarity(
            prediction.astype(np.float64), target.astype(np.float64), data_range=data_range, gaussian_weights=True,
            sigma=1.5, use_sample_covariance=False, channel_axis=2 if target.ndim == 3 else None,
        )
    )  # fmt: skip
