"""What columns do to images first: each function by hand or by what it promises, and its JSON."""

import json

import numpy as np
import pytest

from tinympcnn import DataError, UsageError
from tinympcnn.data.preprocessing import KINDS, Preprocessing, adapthisteq, conorm, histeq, imadjust, width

rng = np.random.default_rng(0)
SCENE = rng.random((2, 24, 20, 3)).astype(np.float32) ** 2


def test_a_width_is_the_width_of_the_box_and_the_height_stays():
    image = np.zeros((1, 28, 28, 1), np.float32)
    image[0, 3:20, 2:9] = 0.8
    for pixels in (5, 7, 20):
        rows, columns = np.nonzero(width(image, pixels)[0, :, :, 0])
        assert columns.max() - columns.min() + 1 == pixels and rows.max() - rows.min() + 1 == 17
        assert abs((columns.max() + columns.min()) / 2 - 13.5) <= 0.5
        np.testing.assert_allclose(width(image, pixels).max(), 0.8, rtol=1e-6)


def test_a_width_takes_means_of_the_line_under_each_pixel():
    image = np.zeros((1, 1, 6, 1), np.float32)
    image[0, 0, 1:5, 0] = [0.2, 0.4, 0.6, 0.8]
    np.testing.assert_allclose(width(image, 2)[0, 0, :, 0], [0, 0, 0.3, 0.7, 0, 0], atol=1e-6)
    assert (width(np.zeros((1, 4, 4, 1), np.float32), 3) == 0).all()
    with pytest.raises(UsageError, match="does not fit"):
        width(image, 7)


def test_imadjust_stretches_and_is_blind_to_exposure():
    bright, dark = imadjust(SCENE), imadjust(0.2 * SCENE)
    np.testing.assert_allclose(dark, bright, atol=1e-4)
    value = bright.max(axis=-1)
    assert (value == 0).mean() >= 0.01 and (value >= 1 - 1e-6).mean() >= 0.01


def test_histeq_makes_an_even_histogram_and_keeps_order_hue_and_saturation():
    equal = histeq(SCENE)
    value, before = equal.max(axis=-1), SCENE.max(axis=-1)
    assert np.abs(np.quantile(value[0], [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.02
    assert (np.diff(value[0].ravel()[np.argsort(before[0].ravel())]) >= -1e-6).all()
    np.testing.assert_allclose(equal[0, 0, 0] / value[0, 0, 0], SCENE[0, 0, 0] / before[0, 0, 0], rtol=1e-5)


def test_imadjust_saturates_less_than_half_of_the_pixels():
    with pytest.raises(UsageError, match="below a half"):
        imadjust(SCENE, 0.5)


def test_histeq_by_hand():
    grey = np.array([0.1, 0.1, 0.5, 0.9], np.float32).reshape(1, 2, 2, 1)
    np.testing.assert_allclose(histeq(grey).ravel(), [0.5, 0.5, 0.75, 1.0])


def test_adapthisteq_with_one_tile_and_no_limit_is_histeq():
    np.testing.assert_allclose(adapthisteq(SCENE, tiles=1, clip=1000), histeq(SCENE), atol=1e-6)


def test_adapthisteq_lifts_a_dark_half_more_than_histeq_does():
    grey = np.concatenate([0.05 + 0.05 * rng.random((1, 32, 16, 1)), 0.5 + 0.5 * rng.random((1, 32, 16, 1))], axis=2)
    dark = (slice(None), slice(None), slice(0, 8))
    assert adapthisteq(grey.astype(np.float32), clip=1000)[dark].std() > 1.3 * histeq(grey)[dark].std()


def test_a_clip_of_one_leaves_values_about_as_they_are():
    grey = SCENE[..., :1]
    np.testing.assert_allclose(adapthisteq(grey, clip=1.0), grey, atol=0.35)
    with pytest.raises(UsageError, match="tiles"):
        adapthisteq(grey[:, :3])


def test_conorm_is_blind_to_brightness_and_contrast():
    edges = conorm(SCENE)
    np.testing.assert_allclose(conorm(0.3 * SCENE + 0.4), edges, atol=1e-4)
    np.testing.assert_allclose(np.sqrt((edges**2).mean(axis=(1, 2, 3))), 1, rtol=1e-5)
    assert np.abs(conorm(np.full((1, 9, 9, 1), 0.7, np.float32))).max() < 1e-3


@pytest.mark.parametrize("text", ["none", "width12", *KINDS])
def test_a_preprocessing_is_pure_and_survives_json(text):
    one = Preprocessing.parse(text)
    twin = Preprocessing(**json.loads(json.dumps(one.config())))
    assert twin == one and str(twin) == str(one)
    images = (255 * SCENE).astype(np.uint8)
    before = images.copy()
    out = one(images)
    assert out.shape == images.shape and out.dtype == np.float32 and np.isfinite(out).all()
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(out[1:], one(images[1:]))  # each image for itself


@pytest.mark.parametrize(
    ("kind", "options"),
    [("blur", {}), ("width", {"pixels": 0}), ("width", {"pixels": 2.5}),
     ("conorm", {"deep": 1}), ("none", {"pixels": 1}),
     ("imadjust", {"saturated": "x"}), ("imadjust", {"saturated": float("nan")})],
)  # fmt: skip
def test_what_is_no_preprocessing_is_refused(kind, options):
    with pytest.raises(UsageError, match="preprocessing"):
        Preprocessing(kind, **options)


def test_brightness_of_an_unknown_scale_is_not_equalised():
    for kind in ("imadjust", "histeq", "adapthisteq"):
        with pytest.raises(DataError, match="from 0 to 255"):
            Preprocessing(kind)(np.linspace(0, 255, 100).reshape(1, 10, 10, 1))


@pytest.mark.parametrize("kind", ["imadjust", "histeq", "adapthisteq"])
def test_integers_of_32_bits_would_be_black(kind):
    with pytest.raises(DataError, match=f"{kind} takes integers of 8 or 16 bits"):
        Preprocessing(kind)(np.arange(64, dtype=np.int32).reshape(1, 8, 8, 1))
