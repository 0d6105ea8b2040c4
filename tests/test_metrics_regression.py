"""Measures of predicted images, against their definitions and against scikit-image where it is installed."""

import numpy as np
import pytest

from tinympcnn import DataError, UsageError
from tinympcnn.metrics.regression import mean_squared_error, psnr, ssim


def test_measures_by_hand():
    target = np.array([[0, 100], [200, 255]], np.uint8)
    assert mean_squared_error(target + 1.0, target) == 1
    assert psnr(target + 1.0, target, 255) == pytest.approx(20 * np.log10(255))
    assert psnr(target, target, 255) == np.inf
    assert mean_squared_error(np.array([255], np.uint8), np.array([0], np.uint8)) == 255**2  # no overflow


def test_what_can_not_be_compared_is_refused():
    with pytest.raises(DataError, match=r"shape \(2, 2\), and the target has \(2, 3\)"):
        mean_squared_error(np.zeros((2, 2)), np.zeros((2, 3)))
    for wrong in (0, -1, np.nan, np.inf):
        with pytest.raises(UsageError, match="data_range must be a positive number"):
            psnr(np.zeros(2), np.ones(2), wrong)


def test_measures_are_those_of_scikit_image(rng):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    target = rng.random((40, 50))
    prediction = target + 0.1 * rng.standard_normal(target.shape)
    assert psnr(prediction, target, 1) == pytest.approx(
        metrics.peak_signal_noise_ratio(target, prediction, data_range=1)
    )
    assert ssim(target, target, 1) == pytest.approx(1) and 0.5 < ssim(prediction, target, 1) < 1
    assert ssim(prediction[..., None], target[..., None], 1) == pytest.approx(ssim(prediction, target, 1))


def test_without_scikit_image_ssim_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage.metrics", None)
    with pytest.raises(UsageError, match=r"pip install 'tinympcnn\[regression\]'"):
        ssim(np.zeros((9, 9)), np.zeros((9, 9)), 1)


def test_images_smaller_than_the_window_of_ssim_are_refused():
    pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    assert ssim(np.zeros((11, 11)), np.zeros((11, 11)), 1) == 1
    with pytest.raises(DataError, match="SSIM needs images of 11x11 pixels at least"):
        ssim(np.zeros((10, 20)), np.zeros((10, 20)), 1)
    with pytest.raises(UsageError, match="data_range"):
        ssim(np.zeros((20, 20)), np.zeros((20, 20)), 0)
