"""The median filter and the pipeline: bands of any height give what the whole page gives, to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tinympcnn import Net, UsageError
from tinympcnn.inference.bands import Bands
from tinympcnn.inference.calibration import Calibration
from tinympcnn.inference.postprocess import Postprocess, median
from tinympcnn.inference.views import as_members

DISC = np.array([[0, 1, 1, 1, 0], [1] * 5, [1] * 5, [1] * 5, [0, 1, 1, 1, 0]], bool)


def page(rng, height, width, classes=2):
    scores = rng.random((height, width, classes), np.float32)
    return scores / scores.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("size", [(30, 40), (1, 1), (2, 9), (5, 3)])
def test_radius_two_is_scipys_median_over_a_disc_of_21_pixels(size, rng):
    p = page(rng, *size)
    for k in range(2):
        expected = ndimage.median_filter(p[..., k], footprint=DISC, mode="mirror")
        assert (median(p, 2)[..., k] == expected).all()
    np.testing.assert_allclose(median(p, 2).sum(axis=-1), 1, atol=1e-6)


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 90), st.integers(1, 5), st.booleans())
def test_bands_are_filtered_as_the_whole_page_whatever_the_tiles(height, width, tile, radius, calibrated):
    net = Net.from_spec("C3x3x4 MPF2x2 C2x2x4 FC2", rng=0)
    image = np.random.default_rng(height).normal(size=(height, width, 1))
    post = Postprocess(Calibration((0.1, 0.0, 0.5, 0.2), (0, 255)) if calibrated else None, radius)
    bands = list(Bands(as_members(net), tile, finish=post)([image, image]))
    assert [band.number for band in bands] == sorted(band.number for band in bands)
    found = np.concatenate([band.take() for band in bands]).reshape(2, height, width, 2)
    assert (found == post(net.segment(image))).all()


def test_medians_of_three_classes_are_divided_by_their_sum(rng):
    p = page(rng, 20, 25, classes=3)
    found = median(p, 1)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-6)
    raw = np.stack([ndimage.median_filter(p[..., k], size=3, mode="mirror") for k in range(3)], axis=-1)
    np.testing.assert_allclose(found, raw / raw.sum(axis=-1, keepdims=True), atol=1e-6)
    stripes = np.eye(3, dtype=np.float32)[np.add.outer(np.arange(9), np.arange(9)) % 3]
    assert (median(stripes, 1) == stripes).all()  # each class has a third of every disc: all medians are 0


def test_specks_go_and_edges_stay():
    p = np.zeros((20, 20), np.float32)
    p[:, 10:] = 1
    smooth = p.copy()
    p[5, 3], p[12, 15] = 1, 0
    assert (median(np.stack([1 - p, p], axis=-1), 2)[..., 1] == smooth).all()


def test_first_calibrated_then_filtered(rng):
    p = page(rng, 17, 11)
    bent = Calibration((0.1, 0.0, 0.5, 0.2), (0, 255))
    for calibration, radius in ((None, 0), (bent, 0), (None, 2), (bent, 2)):
        found = Postprocess(calibration, radius)(p)
        expected = p if calibration is None else calibration(p)
        assert (found == (median(expected, radius) if radius else expected)).all()
        assert found.dtype == np.float32


def test_a_radius_out_of_bounds_is_refused(rng):
    with pytest.raises(UsageError, match="at least 1 pixel, not 0"):
        median(page(rng, 5, 5), 0)
    with pytest.raises(UsageError, match="0 to 25 pixels, not -1"):
        Postprocess(radius=-1)
    with pytest.raises(UsageError, match="0 to 25 pixels, not 26"):
        Postprocess(radius=26)
