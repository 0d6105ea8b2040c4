"""Labels: classes from values, pairing, and the traps that users fall into."""

import numpy as np
import pytest
import tifffile

from tinympcnn.data import class_indices, class_shares, find_class_values
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.pairs import read_pairs
from tinympcnn.io.reading import Reading


def write(path, array, **options):
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    return path


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_stack_and_its_labels(tmp_path, rng):
    images = rng.integers(0, 256, (3, 20, 30), np.uint8)
    labels = np.where(rng.random((3, 20, 30)) < 0.25, 0, 255).astype(np.uint8)
    pairs = read_pairs(write(tmp_path / "volume.tif", images), write(tmp_path / "truth.tif", labels))
    assert pairs.class_values == (0, 255)
    assert pairs.names == ["volume[00]", "volume[01]", "volume[02]"]
    np.testing.assert_array_equal(np.stack(pairs.images)[..., 0], images)
    np.testing.assert_array_equal(np.stack(pairs.labels), labels // 255)
    assert "Z=3, Y=20, X=30, uint8" in pairs.description[0]
    share = (labels == 0).mean()
    assert pairs.description[-1] == f"classes, by share of pixels: 0: {share:.1%}, 255: {1 - share:.1%}"


@pytest.mark.parametrize("suffix", ["", "_label", "_labels", "-mask", "_masks"])
def test_single_files_pair_by_stem(tmp_path, rng, suffix):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for i, name in enumerate(["cell2", "cell10", "other"]):
        write(tmp_path / "images" / f"{name}.tif", np.full((4, 5 + i), i, np.uint8))
        write(tmp_path / "labels" / f"{name}{suffix}.tif", np.eye(4, 5 + i, dtype=np.uint8))
    pairs = read_pairs(tmp_path / "images", tmp_path / "labels")
    assert pairs.names == ["cell2", "cell10", "other"]
    assert [page.max() for page in pairs.images] == [0, 1, 2]
    assert [label.shape for label in pairs.labels] == [(4, 5), (4, 6), (4, 7)]


def test_stacks_pair_by_order(tmp_path):
    for i in range(2):
        write(tmp_path / f"volume{i}.tif", np.zeros((3, 4, 5 + i), np.uint8))
        write(tmp_path / f"truth{i}.tif", np.broadcast_to(np.eye(4, 5 + i, dtype=np.uint8), (3, 4, 5 + i)))
    pairs = read_pairs(sorted(tmp_path.glob("volume*")), sorted(tmp_path.glob("truth*")))
    assert len(pairs.images) == 6 and pairs.labels[5].shape == (4, 6)


def test_files_that_do_not_pair(tmp_path):
    for name in ("a", "b", "c", "b_label"):
        write(tmp_path / f"{name}.tif", np.eye(4, dtype=np.uint8))
    with pytest.raises(DataError, match="2 image files but 1 label file"):
        read_pairs([tmp_path / "a.tif", tmp_path / "b.tif"], [tmp_path / "c.tif"])
    with pytest.raises(DataError, match=r"no label file belongs to .*a\.tif; expected a or a_label"):
        read_pairs([tmp_path / "a.tif", tmp_path / "b.tif"], [tmp_path / "c.tif", tmp_path / "b_label.tif"])


@pytest.mark.parametrize(("shape", "message"), [((2, 20, 30), "number of pages"), ((3, 20, 31), "size")])
def test_images_and_labels_that_disagree(tmp_path, shape, message):
    image = write(tmp_path / "image.tif", np.zeros((3, 20, 30), np.uint8))
    label = write(tmp_path / "truth.tif", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match=rf"image\.tif .*Z=3.*truth\.tif .* differ in (their )?{message}"):
        read_pairs(image, label)


def test_images_of_different_channels(tmp_path):
    for name, shape in (("a", (20, 30)), ("b", (20, 30, 3))):
        (tmp_path / "labels").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros(shape, np.uint8))
        write(tmp_path / "labels" / f"{name}.tif", np.eye(20, 30, dtype=np.uint8))
    with pytest.raises(DataError, match="differ in their number of channels"):
        read_pairs(tmp_path, tmp_path / "labels")


def pair_with(tmp_path, labels, **options):
    return read_pairs(
        write(tmp_path / "image.tif", np.zeros(labels.shape[:2], np.uint8)),
        write(tmp_path / "truth.tif", labels),
        **options,
    )


def test_a_single_value_is_no_labelling(tmp_path):
    with pytest.raises(DataError, match="only the value 7;"):
        pair_with(tmp_path, np.full((20, 30), 7, np.uint8))


def test_smoothed_edges_need_a_threshold(tmp_path):
    labels = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (20, 1))
    with pytest.raises(DataError, match=r"more than 16 values, 0 to 248.*--threshold"):
        pair_with(tmp_path, labels)
    pairs = pair_with(tmp_path, labels, reading=Reading(threshold=127))
    assert pairs.class_values == (0, 255)
    np.testing.assert_array_equal(pairs.labels[0], labels > 127)


def test_colour_labels(tmp_path, rng):
    grey = rng.integers(0, 2, (20, 30, 1), np.uint8).repeat(3, axis=-1)
    image = write(tmp_path / "image.tif", np.zeros((20, 30), np.uint8))
    tifffile.imwrite(tmp_path / "truth.tif", grey, photometric="rgb")
    np.testing.assert_array_equal(read_pairs(image, tmp_path / "truth.tif").labels[0], grey[..., 0])
    grey[3, 4, 0] ^= 1
    tifffile.imwrite(tmp_path / "truth.tif", grey, photometric="rgb")
    with pytest.raises(DataError, match="colour image"):
        read_pairs(image, tmp_path / "truth.tif")


def test_float_labels_must_be_whole(tmp_path):
    labels = np.eye(4, dtype=np.float32) * 3
    assert pair_with(tmp_path, labels).class_values == (0, 3)
    with pytest.raises(DataError, match=r"fractions such as 1\.5.*--threshold"):
        pair_with(tmp_path, labels / 2)


def test_axes_settle_images_and_labels_alike(tmp_path):
    stack = np.zeros((3, 20, 30), np.uint8)
    stack[:, 5] = 1
    for name in ("image", "truth"):
        tifffile.imwrite(tmp_path / f"{name}.tif", stack, photometric="rgb", planarconfig="separate")
    with pytest.raises(DataError, match="--axes ZYX"):
        read_pairs(tmp_path / "image.tif", tmp_path / "truth.tif")
    pairs = read_pairs(tmp_path / "image.tif", tmp_path / "truth.tif", Reading(axes="ZYX"))
    np.testing.assert_array_equal(np.stack(pairs.labels), stack)


def test_axes_win_over_those_that_a_file_names(tmp_path):
    stack = np.arange(1800, dtype=np.uint16).reshape(3, 20, 30) // 900
    for name, axes in (("image", "CYX"), ("truth", "CYX")):
        tifffile.imwrite(tmp_path / f"{name}.tif", stack, photometric="minisblack", metadata={"axes": axes})
    assert len(read_pairs(tmp_path / "image.tif", tmp_path / "truth.tif", Reading(axes="ZYX")).images) == 3


def test_labels_that_lack_the_axes_of_their_images_are_told_which_axes_were_expected(tmp_path):
    for name in ("image", "truth"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((3, 20, 30), np.uint8), photometric="minisblack")
    with pytest.raises(
        UsageError, match=r"'YX' do not fit .*truth\.tif, .* axes of their images, here 'CYX', without C"
    ):
        read_pairs(tmp_path / "image.tif", tmp_path / "truth.tif", Reading(axes="CYX"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64, np.float64])
def test_values_to_indices(dtype):
    labels = np.array([[0, 7], [100, 7]], dtype)
    assert find_class_values([labels]) == (0, 7, 100)
    np.testing.assert_array_equal(class_indices(labels, (0, 7, 100)), [[0, 1], [2, 1]])
    for values in ((0, 7), (7, 100), (0, 7, 99)):
        with pytest.raises(DataError, match="none of the classes"):
            class_indices(labels, values)


def test_shares_do_not_count_ignored_pixels():
    np.testing.assert_allclose(class_shares([np.array([0, 1, 1, -1]), np.array([3])], 4), [0.25, 0.5, 0, 0.25])
    np.testing.assert_array_equal(class_shares([np.array([-1])], 2), [0, 0])
