"""Results on disk: what is written reads back, and nothing half-written is left."""

import os

import numpy as np
import pytest
import tifffile

from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.images import open_image
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.predictions import label_dtype, read_prediction, write_labels, write_probabilities
from tinympcnn.io.tiff import writer
from tinympcnn.io.tiff.writer import PageWriter


@pytest.fixture
def probabilities():
    return np.random.default_rng(0).dirichlet([1, 1, 1], (4, 10, 12)).astype(np.float32)


def test_probabilities_read_back(tmp_path, probabilities):
    path = tmp_path / "a_prob.tif"
    write_probabilities(path, probabilities, (0, 7, 255))
    kind, pages, class_values = read_prediction(path)
    assert (kind, class_values, pages.axes) == ("prob", (0, 7, 255), "ZYXC")
    np.testing.assert_array_equal(np.stack(list(pages)), probabilities)
    with tifffile.TiffFile(path) as tif:
        assert (tif.series[0].axes, tif.series[0].shape) == ("ZCYX", (4, 3, 10, 12))
    np.testing.assert_array_equal(tifffile.memmap(path, mode="r"), probabilities.transpose(0, 3, 1, 2))


def test_one_image_of_probabilities(tmp_path, probabilities):
    write_probabilities(tmp_path / "a_prob.tif", probabilities[0], (0, 7, 255))
    with tifffile.TiffFile(tmp_path / "a_prob.tif") as tif:
        assert (tif.shaped_metadata[0]["axes"], len(tif.pages)) == ("ZCYX", 3)
    np.testing.assert_array_equal(read_prediction(tmp_path / "a_prob.tif").pages[0], probabilities[0])


@pytest.mark.parametrize(
    ("class_values", "dtype"),
    [((0, 255), np.uint8), ((0, 256), np.uint16), ((3, 70_000), np.uint32), ((-1, 2), np.int8), ((-1, 200), np.int16)],
)
def test_labels_read_back_in_the_smallest_type(tmp_path, class_values, dtype):
    indices = np.random.default_rng(0).integers(0, 2, (3, 10, 12))
    path = tmp_path / "a_labels.tif"
    write_labels(path, indices, class_values)
    kind, pages, read_values = read_prediction(path)
    assert (kind, read_values, pages.dtype) == ("labels", class_values, label_dtype(class_values))
    assert pages.dtype == dtype
    np.testing.assert_array_equal(np.stack(list(pages))[..., 0], np.asarray(class_values)[indices])


def test_any_label_image_is_a_prediction(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.eye(4, dtype=np.uint8))
    assert read_prediction(tmp_path / "a.tif")[::2] == ("labels", None)
    tifffile.imwrite(tmp_path / "b.tif", np.eye(4, dtype=np.float32))
    with pytest.raises(DataError, match="neither a label image nor a _prob"):
        read_prediction(tmp_path / "b.tif")
    tifffile.imwrite(tmp_path / "c.tif", np.eye(4, dtype=np.uint8), metadata={"class_values": [0, "x"]})
    with pytest.raises(DataError, match="damaged description"):
        read_prediction(tmp_path / "c.tif")


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_axes_resolution_and_units_are_carried_over(tmp_path, kind):
    metadata = {"axes": "TZYX", "unit": "nm", "spacing": 50.0, "PhysicalSizeX": 4.0, "PhysicalSizeXUnit": "nm"}
    images = np.zeros((2, 3, 10, 12), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", images, **{kind: True}, metadata=metadata, resolution=(0.25, 0.5), resolutionunit=1
    )
    image = open_image(tmp_path / "a.tif")
    write_labels(tmp_path / "a_labels.tif", images.reshape(6, 10, 12), (0, 255), like=image)
    write_probabilities(tmp_path / "a_prob.tif", np.zeros((6, 10, 12, 2)), (0, 255), like=image)
    for name, axes in (("a_labels.tif", "TZYX"), ("a_prob.tif", "TZYXC")):
        written = open_image(tmp_path / name)
        assert written.axes == axes
        assert image.metadata.items() <= written.metadata.items()
        assert written.metadata["resolution"] == (0.25, 0.5)
        expected = {"unit": "nm", "spacing": 50.0} if kind == "imagej" else {"PhysicalSizeX": "4.0"}
        assert expected.items() <= written.metadata.items()


def test_bands_of_rows_make_the_same_file_as_whole_pages(tmp_path, probabilities):
    write_probabilities(tmp_path / "whole.tif", probabilities, (0, 7, 255))
    with PageWriter(tmp_path / "bands.tif", 4, (10, 12, 3), np.float32, (0, 7, 255)) as writer:
        for page in probabilities:
            for rows in (page[:3], page[3:4], page[4:]):
                writer.write(rows)
    assert (tmp_path / "bands.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_bigtiff_where_it_is_needed(tmp_path, monkeypatch, probabilities):
    monkeypatch.setattr(writer, "CLASSIC_LIMIT", probabilities.nbytes - 1)
    write_probabilities(tmp_path / "a.tif", probabilities, (0, 7, 255))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_bigtiff
    np.testing.assert_array_equal(np.stack(list(open_image(tmp_path / "a.tif"))), probabilities)


def test_existing_files_need_force_and_the_input_is_safe(tmp_path):
    image_path = tmp_path / "a.tif"
    tifffile.imwrite(image_path, np.eye(4, dtype=np.uint8))
    image = open_image(image_path)
    before = image_path.read_bytes()
    (tmp_path / "link.tif").symlink_to(image_path)
    for path in (image_path, tmp_path / "link.tif", tmp_path / ".." / tmp_path.name / "a.tif"):
        with pytest.raises(UsageError, match="is an input"):
            write_labels(path, np.zeros((4, 4), int), (0, 1), like=image, force=True)
    output = tmp_path / "a_labels.tif"
    write_labels(output, np.zeros((4, 4), int), (0, 1), like=image)
    with pytest.raises(UsageError, match="--force"):
        write_labels(output, np.ones((4, 4), int), (0, 1), like=image)
    write_labels(output, np.ones((4, 4), int), (0, 1), like=image, force=True)
    assert (open_image(output)[0] == 1).all()
    assert image_path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "a_labels.tif", "link.tif"]


class Interrupted(BaseException):
    """Stands for Ctrl-C, which is no Exception either."""


@pytest.mark.parametrize("written", [0, 1, 2])
def test_an_interrupted_run_leaves_the_old_file_and_nothing_else(tmp_path, written):
    path = tmp_path / "a.tif"
    write_labels(path, np.ones((2, 4, 5), int), (0, 1))
    before = path.read_bytes()
    with pytest.raises(Interrupted), PageWriter(path, 2, (4, 5), np.uint8, (0, 1)) as writer:
        for _ in range(written):
            writer.write(np.zeros((4, 5)))
        raise Interrupted
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.tif"]


def test_rows_that_are_missing_or_do_not_fit(tmp_path):
    with pytest.raises(UsageError, match="4 rows of pixels are missing"):  # noqa: SIM117
        with PageWriter(tmp_path / "a.tif", 2, (4, 5), np.uint8, (0, 1)) as writer:
            writer.write(np.zeros((4, 5)))
    for bands in ([(4, 6)], [(3, 5), (2, 5)], [(4, 5), (4, 5), (1, 5)], [(4, 5, 1)]):
        with pytest.raises(UsageError, match="do not fit"):  # noqa: SIM117
            with PageWriter(tmp_path / "a.tif", 2, (4, 5), np.uint8, (0, 1)) as writer:
                for shape in bands:
                    writer.write(np.zeros(shape))
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_and_a_full_disk(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"there is no folder"):
        write_labels(tmp_path / "missing" / "a.tif", np.zeros((4, 5), int), (0, 1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"cannot write .*a\.tif: No space left on device"):
        write_labels(tmp_path / "a.tif", np.zeros((4, 5), int), (0, 1))
    assert os.listdir(tmp_path) == []


def test_inputs_are_never_outputs_and_existing_files_need_force(tmp_path):
    image, link, old = (tmp_path / name for name in ("a.tif", "link.tif", "old.npz"))
    image.write_text("pixels")
    link.symlink_to(image)
    old.write_text("model")
    for output in (image, link, tmp_path / ".." / tmp_path.name / "a.tif"):
        with pytest.raises(UsageError, match="is an input and will not be overwritten"):
            check_outputs([None, output], [image], force=True)
    with pytest.raises(UsageError, match=r"old\.npz exists already; .*--force"):
        check_outputs([old], [image])
    assert check_outputs([old, None, tmp_path / "new.csv"], [image], force=True) == [old, tmp_path / "new.csv"]
    for outputs in ([old, old], [tmp_path / "b", tmp_path / "." / "b"]):
        with pytest.raises(UsageError, match="two outputs have the name"):
            check_outputs(outputs, force=True)
    for name in ("", ".", "/"):
        with pytest.raises(UsageError, match="needs the name of a file"):
            check_outputs([name])
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "link.tif", "old.npz"]
