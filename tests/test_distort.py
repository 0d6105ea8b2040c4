"""Distortions of small images: what they do to a picture whose every pixel is known, and that chance is all theirs."""

import numpy as np
import pytest

from tinympcnn import UsageError
from tinympcnn.data.distort import DISTORTIONS, Distortion, distort, smoothing


def ramp(h=21, w=17):
    """Return an image whose channels are the row and the column of each pixel: looking it up shows the points."""
    return np.stack(np.indices((h, w), float), axis=-1)[None]


def test_nothing_is_changed_by_no_distortion():
    images = np.random.default_rng(0).random((3, 9, 7, 2)).astype(np.float32)
    np.testing.assert_array_equal(distort(images, (9, 7), Distortion()), images)


def test_a_resize_samples_at_the_centres_of_pixels():
    points = distort(ramp(20, 10), (10, 20), Distortion())[0]
    np.testing.assert_allclose(points[:, 5, 0], np.arange(10) * 2 + 0.5)
    np.testing.assert_allclose(points[5, 1:-1, 1], np.arange(1, 19) / 2 - 0.25, atol=1e-6)


@pytest.mark.parametrize(
    ("distortion", "largest"),
    [
        (Distortion(translation=0.1), 0.1 * 21),
        (Distortion(scale=0.1), 10 * (1 / 0.9 - 1)),
        (Distortion(rotation=10), 10 * np.sin(np.radians(10)) + 10 * (1 - np.cos(np.radians(10)))),
        (Distortion(shear=10), 10 * np.tan(np.radians(10))),
    ],
)
def test_points_move_within_the_range_and_come_near_its_end(distortion, largest):
    images = np.repeat(ramp(21, 21), 300, axis=0)
    inner = (slice(None), slice(4, 17), slice(4, 17))
    moved = np.abs(distort(images, (21, 21), distortion, np.random.default_rng(1)) - images)
    assert moved[inner].max() <= largest + 1e-4
    assert 0.4 * largest < moved[inner].max()


def test_a_rotation_is_a_rotation_and_a_shear_keeps_rows():
    points = distort(ramp(21, 21), (21, 21), Distortion(rotation=20), np.random.default_rng(2))[0, 4:17, 4:17]
    down, right = points[1, 0] - points[0, 0], points[0, 1] - points[0, 0]
    np.testing.assert_allclose([down @ right, down @ down, right @ right], [0, 1, 1], atol=1e-4)
    assert abs(down[1]) > 0.01
    sheared = distort(ramp(21, 21), (21, 21), Distortion(shear=20), np.random.default_rng(2))[0]
    np.testing.assert_allclose(sheared[:, 8:12, 0], ramp(21, 21)[0, :, 8:12, 0], atol=1e-5)


def test_elastic_displacements_are_as_wide_as_said_and_smooth():
    images = np.repeat(ramp(41, 41), 100, axis=0)
    moved = (distort(images, (41, 41), Distortion(alpha=30, sigma=5), np.random.default_rng(0)) - images)[
        :, 12:29, 12:29
    ]
    assert moved.std() == pytest.approx(0.16 * 30 / 5, rel=0.1)
    assert np.diff(moved, axis=1).std() < 0.25 * moved.std()


def test_every_image_has_its_own_distortion_and_the_seed_all_of_it():
    images = np.repeat(ramp(), 2, axis=0)
    first, second = (distort(images, (21, 17), DISTORTIONS["digits"], np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first[0] - first[1]).max() > 0.1
    assert first.dtype == np.float32


def test_beyond_the_border_the_image_is_mirrored():
    images = np.arange(5.0).reshape(1, 1, 5, 1)
    for seed in range(20):
        shift = np.random.default_rng(seed)
        got = distort(images, (1, 5), Distortion(translation=0.9), shift).ravel()
        assert got.min() >= 0 and got.max() <= 4
        steps = np.diff(got)
        assert np.all(np.abs(steps) <= 1 + 1e-5)


def test_smoothing_matches_scipy():
    from scipy import ndimage

    noise = np.random.default_rng(0).random((12, 9))
    ours = smoothing(12, 1.5) @ noise @ smoothing(9, 1.5).T
    np.testing.assert_allclose(ours, ndimage.gaussian_filter(noise, 1.5, mode="mirror", truncate=4), rtol=1e-6)


@pytest.mark.parametrize(
    "text", ["", "rotate=10", "rotation", "rotation=x", "sigma=0", "scale=1", "rotation=nan", "a=b=c"]
)
def test_a_distortion_that_cannot_be_read_is_refused(text):
    with pytest.raises(UsageError, match="distortion"):
        Distortion.parse(text)


def test_a_random_distortion_asks_for_its_chance():
    with pytest.raises(UsageError, match="give rng"):
        distort(ramp(), (21, 17), Distortion(rotation=5))


def test_a_number_out_of_range_is_named():
    with pytest.raises(UsageError, match=r"the sigma of a distortion is from 0\.1 to 1000, not 0\.05"):
        Distortion.parse("alpha=36,sigma=0.05")
