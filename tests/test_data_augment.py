"""Augmentation and borders: labels follow images, and every pixel comes from where it should."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn.data import augment, dihedral, dihedral_inverse, mirror
from tinympcnn.data.augment import augmented_size
from tinympcnn.data.deform import DISPLACEMENT, displacements
from tinympcnn.errors import UsageError

sides = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)


@given(sides, sides, st.integers(0, 7))
def test_dihedral_is_undone_by_its_inverse(height, width, k):
    array = np.arange(height * width * 2).reshape(height, width, 2)
    np.testing.assert_array_equal(dihedral_inverse(dihedral(array, k), k), array)
    np.testing.assert_array_equal(dihedral(dihedral_inverse(array, k), k), array)


def test_dihedral_is_the_whole_group():
    array = np.arange(6).reshape(2, 3)
    found = {dihedral(array, k).tobytes() + bytes(dihedral(array, k).shape) for k in range(8)}
    turns = [np.rot90(flipped, k) for flipped in (array, array[::-1]) for k in range(4)]
    assert found == {turn.tobytes() + bytes(turn.shape) for turn in turns}


@given(sides, sides, seeds)
def test_labels_follow_flips_exactly(height, width, seed):
    labels = np.random.default_rng(seed).integers(-1, 3, (height, width))
    image, moved = augment(labels[..., None], labels, "flip", np.random.default_rng(seed))
    np.testing.assert_array_equal(image[..., 0], moved)
    assert sorted(moved.shape) == sorted(labels.shape)


@given(st.integers(2, 40), st.integers(2, 40), seeds)
def test_labels_follow_rotations(height, width, seed):
    """Bilinear sampling is exact on coordinates, so images of them say where each label was taken."""
    coordinates = np.stack(np.indices((height, width)), axis=-1).astype(float)
    labels = np.arange(height * width).reshape(height, width) - 1
    image, moved = augment(coordinates, labels, "rotate", np.random.default_rng(seed))
    side = max(1, int(min(height, width) / 2**0.5))
    assert image.shape == (side, side, 2) and moved.shape == (side, side)
    rows, columns = np.divmod(moved + 1, width)
    assert abs(image - np.stack([rows, columns], axis=-1)).max() <= 0.5 + 1e-9
    assert np.unique(moved).size > 0.6 * moved.size  # a rotation, not a collapse
    steps = np.diff(image, axis=0), np.diff(image, axis=1)
    assert all(np.allclose(np.hypot(*step.reshape(-1, 2).T), 1, atol=1e-6) for step in steps)


@pytest.mark.parametrize(("size", "seeds"), [((512, 512), 2), ((100, 250), 10), ((50, 31), 40)])
def test_nothing_beyond_the_border_is_invented(size, seeds):
    """Whatever the angle, the sampled points lie within the image: no coordinate is clipped."""
    coordinates = np.stack(np.indices(size), axis=-1).astype(float)
    for seed in range(seeds):
        image, _ = augment(coordinates, np.zeros(size, int), "rotate", np.random.default_rng(seed))
        corners = image[[0, 0, -1], [0, -1, 0]]
        side = len(image) - 1
        np.testing.assert_allclose(np.hypot(*(corners[1:] - corners[0]).T), side, rtol=1e-6)
    assert size != (512, 512) or side + 1 == 362  # the paper's


def test_ignored_labels_and_types_survive():
    labels = np.full((40, 40), -1, np.int8)
    image = np.full((40, 40, 3), 200, np.uint8)
    for kind, seed in itertools.product(("none", "flip", "rotate", "elastic", "rotate+elastic"), range(5)):
        new_image, new_labels = augment(image, labels, kind, np.random.default_rng(seed))
        assert (new_labels == -1).all() and new_labels.dtype == np.int8
        assert (new_image == 200).all() and new_image.dtype == np.uint8


@pytest.mark.parametrize("kind", ["rotate", "elastic", "intensity"])
def test_half_precision_is_augmented_as_single_precision_is(kind, rng):
    image, labels = (1000 * rng.random((20, 24, 1))).astype(np.float16), np.zeros((20, 24), np.int8)
    half, whole = (augment(x, labels, kind, np.random.default_rng(0))[0] for x in (image, image.astype(np.float32)))
    np.testing.assert_array_equal(half, whole)


def test_all_angles_and_flips_come_and_seeds_repeat():
    image, labels = np.random.default_rng(0).random((30, 30, 1)), np.zeros((30, 30), int)
    flips = {augment(image, labels, "flip", np.random.default_rng(seed))[0].tobytes() for seed in range(100)}
    assert len(flips) == 8
    once, twice = (augment(image, labels, "rotate", np.random.default_rng(7))[0] for _ in range(2))
    np.testing.assert_array_equal(once, twice)
    assert augment(image, labels, "none", np.random.default_rng(0))[0] is image


@given(st.integers(20, 150), st.integers(20, 150), seeds, st.sampled_from(["elastic", "rotate+elastic"]))
def test_labels_follow_elastic_deformations(height, width, seed, kind):
    """Coordinates are bilinear but where the border mirrors them: there their steps turn round."""
    coordinates = np.stack(np.indices((height, width)), axis=-1).astype(float)
    labels = np.arange(height * width).reshape(height, width)
    image, moved = augment(coordinates, labels, kind, np.random.default_rng(seed))
    assert image.shape[:2] == moved.shape == augmented_size((height, width), kind)
    rows, columns = np.divmod(moved, width)
    assert abs(image - np.stack([rows, columns], axis=-1)).max() <= 0.5 + 1e-9
    inner = image[8:-8, 8:-8] if kind == "elastic" else image
    steps = [np.hypot(*np.diff(inner, axis=axis).reshape(-1, 2).T) for axis in (0, 1)]
    assert all(0.5 < np.median(step) < 1.5 for step in steps)  # mild: nothing is torn, nothing folded


def test_elastic_displacements_are_smooth_and_as_large_as_they_say():
    fields = np.stack([displacements((300, 260), np.random.default_rng(seed)) for seed in range(20)])
    assert fields.std() == pytest.approx(DISPLACEMENT, rel=0.1) and abs(fields.mean()) < 0.3
    assert max(abs(np.diff(fields, axis=axis)).max() for axis in (-1, -2)) < 0.5  # far from folding
    assert (displacements((300, 260), np.random.default_rng(3)) == fields[3]).all()


def test_kinds_combine_in_one_resampling_and_rotation_draws_what_it_drew_alone():
    image = np.stack(np.indices((90, 90)), axis=-1).astype(float)
    labels = np.zeros((90, 90), int)
    turned, both = (augment(image, labels, kind, np.random.default_rng(5))[0] for kind in ("rotate", "rotate+elastic"))
    drawn = np.random.default_rng(5)
    drawn.integers(8), drawn.uniform(size=3)  # the flip, the centre and the angle
    field = displacements(turned.shape[:2], drawn)
    inner = ((turned > 15) & (turned < 74)).all(axis=-1)  # farther out, a point may be mirrored at the border
    assert inner.sum() > 1000
    np.testing.assert_allclose(np.hypot(*(both - turned)[inner].T), np.hypot(*field[:, inner]), atol=1e-9)


def test_intensity_changes_contrast_and_brightness_alone(rng):
    image, labels = rng.integers(0, 255, (30, 40, 2), dtype=np.uint8), np.eye(30, 40, dtype=int)
    changed = [augment(image, labels, "intensity", np.random.default_rng(seed)) for seed in range(30)]
    assert all(y is labels and x.dtype == np.float32 and x.shape == image.shape for x, y in changed)
    spread = image.std(axis=(0, 1))
    gains = np.array([x.std(axis=(0, 1)) / spread for x, _ in changed])
    shifts = np.array([(x.mean(axis=(0, 1)) - image.mean(axis=(0, 1))) / spread for x, _ in changed])
    assert 0.8 <= gains.min() < 0.9 and 1.1 < gains.max() <= 1.2 and np.ptp(gains, axis=1).max() < 1e-5
    assert -0.2 <= shifts.min() < -0.1 and 0.1 < shifts.max() <= 0.2
    constant, _ = augment(np.full((5, 5, 1), 7.0), labels[:5, :5], "intensity", np.random.default_rng(0))
    assert (constant == 7).all()


@pytest.mark.parametrize("kind", ["flip+elastic", "elastic+flip", "rotate+elastic+intensity"])
def test_a_seed_repeats_any_combination_in_any_order(kind, rng):
    image, labels = rng.random((70, 50, 1)), rng.integers(0, 2, (70, 50))
    one, other = (augment(image, labels, kind, np.random.default_rng(7)) for _ in range(2))
    turned_round = augment(image, labels, "+".join(reversed(kind.split("+"))), np.random.default_rng(7))
    for again in (other, turned_round):
        assert all((a == b).all() for a, b in zip(one, again, strict=True))


@pytest.mark.parametrize("kind", ["turn", "", "flip+", "none+flip", "rotate,elastic", "Flip"])
def test_an_unknown_kind_names_the_known_ones(kind):
    with pytest.raises(UsageError, match=r"no augmentation .*; use none, or some of flip, rotate, elastic, intensity"):
        augment(np.zeros((5, 5, 1)), np.zeros((5, 5), int), kind, np.random.default_rng(0))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
def test_mirror_is_numpy_reflection(height, width, rows, columns):
    image = np.arange(height * width * 2).reshape(height, width, 2)
    pads = [(p // 2, p - 1 - p // 2) for p in (rows, columns)]
    expected = np.pad(image, [*pads, (0, 0)], mode="reflect")
    np.testing.assert_array_equal(mirror(image, (rows, columns)), expected)
    np.testing.assert_array_equal(mirror(image[None], (rows, columns))[0], expected)


def test_mirror_puts_every_pixel_at_the_centre_of_its_window():
    image = np.arange(30).reshape(5, 6, 1)
    for window in ((4, 5), (34, 31)):
        extended = mirror(image, window)
        centre = extended[window[0] // 2 :, window[1] // 2 :][:5, :6]
        np.testing.assert_array_equal(centre, image)
