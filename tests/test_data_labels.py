"""Labels: classes from values, pairing, and the traps that users fall into."""

import re
import unicodedata

import numpy as np
import pytest
import tifffile

from tinympcnn import data
from tinympcnn.data import class_indices, class_shares, find_class_values
from tinympcnn.data.labels import advice
from tinympcnn.errors import DataError, Notice, UsageError
from tinympcnn.io.images import open_image
from tinympcnn.io.matching import pair
from tinympcnn.io.pairs import read_masks, read_pairs
from tinympcnn.io.predictions import write_labels
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


def named(folder, *names):
    """Write a small label image under each name."""
    folder.mkdir(exist_ok=True)
    return [write(folder / name, np.eye(4, dtype=np.uint8)) for name in names]


PARTNERS = {  # names of images, and of their labels in another order
    "natural order": (["img1", "img2", "img10"], ["img10_mask", "img1_mask", "img2_mask"]),
    "own results": (["a_prob", "b_prob"], ["b", "a"]),
    "Cellpose": (["000_img", "001_img"], ["001_cp_masks", "000_cp_masks"]),
    "prefixes": (["img_001", "img_002"], ["mask_002", "gt-001"]),
    "OME": (["a.ome", "b.ome"], ["b_labels.ome", "a_labels"]),
    "letters": ([unicodedata.normalize("NFD", name) for name in ("Zähne1", "zähne2")], ["ZÄHNE2_GT", "zähne1_gt"]),
    "the part that differs": (["volume01", "volume02", "volume10"], ["truth10", "truth1", "truth2"]),
    "a suffix of channels": (["case_1_0000", "case_2_0000"], ["case_2", "case_1"]),
}


@pytest.mark.parametrize("kind", PARTNERS)
def test_names_pair_whatever_the_order_of_the_files(tmp_path, kind):
    left, right = PARTNERS[kind]
    images = named(tmp_path / "i", *(f"{name}.tif" for name in left))
    labels = named(tmp_path / "l", *(f"{name}.tif" for name in right))
    pages = pair(images, labels)
    assert [page.image.path for page in pages] == images
    wanted = {"natural order": [1, 2, 0], "the part that differs": [1, 2, 0]}.get(kind, [1, 0])
    assert [page.label.path for page in pages] == [labels[i] for i in wanted]


def test_folders_of_equal_names_pair_by_the_folder(tmp_path):
    for name in ("cell1", "cell2"):
        named(tmp_path / name, "img.tif", "label.tif")
    images, labels = (
        [tmp_path / f"cell{i}" / name for i in order] for name, order in (("img.tif", (1, 2)), ("label.tif", (2, 1)))
    )
    assert [page.label.path.parent.name for page in pair(images, labels)] == ["cell1", "cell2"]


def test_images_and_masks_in_one_folder(tmp_path):
    named(tmp_path, "a.tif", "b.tif", "a_mask.tif", "b_mask.tif")
    for images in (tmp_path, [tmp_path / "a.tif", tmp_path / "b.tif"]):
        pages = pair(images, tmp_path)
        assert [(page.image.path.name, page.label.path.name) for page in pages] == [
            ("a.tif", "a_mask.tif"), ("b.tif", "b_mask.tif"),
        ]  # fmt: skip
    for files in ([tmp_path / "a.tif"], [tmp_path / "a.tif", tmp_path / "b.tif"]):
        with pytest.raises(DataError, match=r"a\.tif is given as an image and as its own label"):
            pair(files, files)


def test_own_results_are_no_images_and_no_labels(tmp_path):
    named(tmp_path, "a.tif", "a_mask.tif")
    for name in ("a_labels.tif", "a_mask_labels.tif"):
        write_labels(tmp_path / name, np.eye(4, dtype=int), (0, 1))
    with pytest.warns(Notice, match="1 results of segment among the images are left out"):
        (page,) = pair([tmp_path / "a.tif", tmp_path / "a_labels.tif"], [tmp_path / "a_mask.tif"])
    assert (page.image.path.name, page.label.path.name) == ("a.tif", "a_mask.tif")
    (page,) = pair(tmp_path, tmp_path)
    assert (page.image.path.name, page.label.path.name) == ("a.tif", "a_mask.tif")


def test_order_decides_only_if_no_name_fits_and_is_said(tmp_path):
    images = named(tmp_path / "i", "x.tif", "y.tif")
    labels = named(tmp_path / "l", "b.tif", "a.tif")
    with pytest.warns(Notice, match=r"paired by order: .*x\.tif with .*b\.tif, .*y\.tif with .*a\.tif"):
        pages = pair(images, labels)
    assert [page.label.path for page in pages] == labels
    stack = write(tmp_path / "s.tif", np.zeros((2, 4, 4), np.uint8))
    with pytest.warns(Notice, match="by order"):
        pages = pair(stack, labels)
    assert [(page.number, page.label.path, page.label_number) for page in pages] == [
        (0, labels[0], 0),
        (1, labels[1], 0),
    ]


def test_axes_that_both_files_name_are_put_in_one_order(tmp_path):
    stack = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1) * np.ones((4, 5), np.uint8)
    write(tmp_path / "a.tif", stack, metadata={"axes": "TZYX"}, ome=True)
    write(tmp_path / "a_mask.tif", stack.transpose(1, 0, 2, 3), metadata={"axes": "ZTYX"}, ome=True)
    pairs = read_pairs(tmp_path / "a.tif", tmp_path / "a_mask.tif")
    assert (
        [int(image[0, 0, 0]) for image in pairs.images] == [int(label[0, 0]) for label in pairs.labels] == [*range(6)]
    )
    write(tmp_path / "b_mask.tif", stack, metadata={"axes": "ZTYX"}, ome=True)
    with pytest.raises(DataError, match="differ in the axes of their pages"):
        pair(tmp_path / "a.tif", tmp_path / "b_mask.tif")


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


def objects(count, side):
    """Return `count` numbered squares."""
    labels = np.zeros((side, side), np.uint16)
    for k in range(count):
        r, c = divmod(k, side // 6)
        labels[6 * r + 1 : 6 * r + 4, 6 * c + 1 : 6 * c + 4] = k + 1
    return labels


@pytest.mark.parametrize(("count", "side"), [(12, 48), (300, 128)])
def test_numbered_objects_are_recognised(tmp_path, count, side):
    labels = objects(count, side)
    wanted = r"if they number objects, --threshold 0 makes two classes"
    if count > 16:
        with pytest.raises(DataError, match=wanted):
            pair_with(tmp_path, labels)
    else:
        assert re.search(wanted, pair_with(tmp_path, labels).advice)
    assert pair_with(tmp_path, labels, reading=Reading(threshold=0)).class_values == (0, 255)


def test_resized_and_compressed_masks_are_recognised_and_classes_are_not(rng):
    blocks = np.kron(rng.random((6, 6)) > 0.5, np.ones((8, 8)))
    smooth = (blocks + np.roll(blocks, 1, 0) + np.roll(blocks, 1, 1) + np.roll(blocks, (1, 1), (0, 1))) / 4
    compressed = np.where(blocks > 0, 255, 0) + np.kron(rng.integers(-2, 3, (12, 12)), np.ones((4, 4)))
    for labels, middle in ((smooth * 255 // 1, 127), (smooth, 0.5), (compressed.clip(0, 255), 127)):
        assert f"resized or compressed: --threshold {middle} makes" in advice([labels])
    classes = np.kron(rng.integers(0, 6, (8, 8)), np.ones((5, 5), int))
    for labels in (classes, classes * 50, rng.integers(0, 5, (20, 20)), blocks):
        assert advice([labels]) == ""


def test_values_that_do_not_count(tmp_path, rng):
    labels = rng.integers(0, 2, (20, 30)).astype(np.int16)
    wanted = labels.copy()
    wanted[:5], labels[:5] = -1, [[-1], [7], [7], [9], [-1]]
    reading = Reading(ignore=(-1, 7, 9))
    pairs = pair_with(tmp_path, labels, reading=reading)
    assert pairs.class_values == (0, 1) and "25.0% of all pixels are left out (--ignore, -1)" in pairs.description
    np.testing.assert_array_equal(pairs.labels[0], wanted)
    masks = read_masks(tmp_path / "image.tif", tmp_path / "truth.tif", reading)
    np.testing.assert_array_equal(masks.defects[0], wanted)
    pairs = pair_with(tmp_path, labels, reading=Reading(threshold=0.5, ignore=(-1, 7, 9)))
    np.testing.assert_array_equal(pairs.labels[0], wanted)


def test_a_label_of_minus_one_is_left_out_of_training_only_where_asked_for(tmp_path, rng):
    labels = rng.integers(-1, 2, (20, 30)).astype(np.int16)
    with pytest.raises(DataError, match=r"truth\.tif holds the label -1; --ignore=-1 leaves its pixels out"):
        pair_with(tmp_path, labels)  # a class of its own would be learnt, or 255 was squeezed into a byte
    np.testing.assert_array_equal(pair_with(tmp_path, labels, reading=Reading(ignore=(-1,))).labels[0], labels)
    masks = read_masks(tmp_path / "image.tif", tmp_path / "truth.tif")
    np.testing.assert_array_equal(masks.defects[0], labels)  # where nothing is learnt, -1 never counts


@pytest.mark.parametrize(("value", "tag"), [(-9999, None), (-1, "-1"), (-5, "-5")])
def test_labels_that_stand_for_no_data_can_be_ignored(tmp_path, rng, value, tag):
    labels = np.zeros((20, 30), np.int16)
    labels[5:] = value
    tags = [(42113, 2, 0, tag, True)] if tag else []
    write(
        tmp_path / "truth.tif", np.stack([labels, np.arange(600).reshape(20, 30) % 2]).astype(np.int16), extratags=tags
    )
    write(tmp_path / "image.tif", rng.integers(0, 9, (2, 20, 30)).astype(np.uint8))
    with pytest.raises(DataError, match=f"{value}"):
        read_pairs(tmp_path / "image.tif", tmp_path / "truth.tif")
    pairs = read_pairs(tmp_path / "image.tif", tmp_path / "truth.tif", Reading(ignore=(value,)))
    assert pairs.class_values == (0, 1) and (pairs.labels[0] == np.where(labels == value, -1, 0)).all()


def test_functions_on_files_are_found_where_users_look_for_them():
    assert data.open_image is open_image
    with pytest.raises(AttributeError, match="no attribute 'read_minds'"):
        data.read_minds  # noqa: B018


def test_two_ways_to_write_one_class_are_no_third_class(tmp_path):
    ones, white = np.eye(4, dtype=np.uint8), np.eye(4, dtype=np.uint8) * 255
    with pytest.raises(DataError, match=r"0, 1 and 255, and no image holds both.*--threshold 0.*--ignore 255"):
        find_class_values([ones, white])
    assert find_class_values([ones, white, np.array([[1, 255]])]) == (0, 1, 255)
    named(tmp_path / "i", "a.tif", "b.tif")
    named(tmp_path / "l", "a.tif")
    write(tmp_path / "l" / "b.tif", white)
    masks = read_masks(tmp_path / "i", tmp_path / "l")  # any value is a defect
    assert (masks.defects[0] == masks.defects[1]).all()
    with pytest.raises(DataError, match=r"a\.tif holds no label above 1, and others reach 255, so --threshold 127"):
        read_pairs(tmp_path / "i", tmp_path / "l", Reading(threshold=127))


def test_a_threshold_above_all_labels_is_refused(tmp_path):
    for labels, threshold, middle in (
        (np.eye(4, dtype=np.uint8), 127, "0"),
        (np.eye(4, dtype=np.float32) / 2, 1, "0.25"),
    ):
        with pytest.raises(DataError, match=f"above every label value, .* --threshold {middle} divides"):
            pair_with(tmp_path, labels, reading=Reading(threshold=threshold))
    write(tmp_path / "truth.tif", np.zeros((4, 4), np.uint8))  # the flawless
    assert not read_masks(tmp_path / "image.tif", tmp_path / "truth.tif", Reading(threshold=127)).defects[0].any()


@pytest.mark.parametrize(
    "labels", [np.eye(4, dtype=np.float32) * 3.4e38, np.eye(4, dtype=np.uint64) * np.uint64(2**63)]
)
def test_values_beyond_64_bits_are_refused(tmp_path, labels):
    with pytest.raises(DataError, match="fits no 64-bit integer"):
        pair_with(tmp_path, labels)


def test_a_class_that_down_sampling_removes_is_named(tmp_path):
    labels = np.zeros((8, 8), np.uint8)
    labels[:, 4:], labels[1, 1] = 1, 7
    with pytest.raises(DataError, match=r"down-sampling by 2 leaves no pixel of the class 7; .*--ignore 7"):
        pair_with(tmp_path, labels, reading=Reading(downsample=2))
    pairs = pair_with(tmp_path, labels, reading=Reading(downsample=2, ignore=(7,)))
    assert pairs.class_values == (0, 1) and pairs.labels[0].shape == pairs.images[0].shape[:2] == (4, 4)


def test_palettes_bits_and_inverting_tables_give_the_numbers_that_are_stored(tmp_path, rng):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    index = rng.integers(0, 3, (20, 30)).astype(np.uint8)
    picture = Image.fromarray(index)
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(tmp_path / "palette.png")
    table = np.zeros((3, 256), np.uint16)
    table[:, :3] = np.array([[0, 128, 0], [0, 0, 128], [0, 0, 0]]) * 257
    tifffile.imwrite(tmp_path / "palette.tif", index, photometric="palette", colormap=table)
    bits = index > 0
    Image.fromarray(bits).save(tmp_path / "bits.png")
    tifffile.imwrite(tmp_path / "bits.tif", bits, photometric="minisblack")
    inverted = Image.fromarray(bits * np.uint8(255))
    inverted.putpalette([value for i in range(256) for value in [255 - i] * 3])
    inverted.save(tmp_path / "inverting.png")
    tifffile.imwrite(tmp_path / "inverting.tif", bits * np.uint8(255), photometric="miniswhite")
    write(tmp_path / "image.tif", index)
    for name, wanted, values in (
        ("palette", index, (0, 1, 2)),
        ("bits", bits, (0, 255)),
        ("inverting", bits, (0, 255)),
    ):
        for suffix in ("png", "tif"):
            pairs = read_pairs(tmp_path / "image.tif", tmp_path / f"{name}.{suffix}")
            assert pairs.class_values == values, (name, suffix)
            np.testing.assert_array_equal(pairs.labels[0], wanted)


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
