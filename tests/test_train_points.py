"""Training on points: discs as labels, tables and numbered objects, crops drawn for rare objects, and bad input."""

import numpy as np
import pytest
import tifffile

from tinympcnn import Net
from tinympcnn.cli import main
from tinympcnn.errors import DataError
from tinympcnn.io.places import read_discs, read_places
from tinympcnn.io.predictions import open_images
from tinympcnn.io.reading import Reading

HEADER = "file,page,row,column\n"


@pytest.fixture
def cells(tmp_path):
    """Two grey images with three bright cells, their table, and images in which the cells are numbered."""
    rng = np.random.default_rng(0)
    points = {"a": [(10, 30), (25, 12)], "b": [(20, 8)]}
    folders = {name: tmp_path / name for name in ("images", "numbers")}
    for folder in folders.values():
        folder.mkdir()
    for name, some in points.items():
        image, numbers = rng.normal(0, 0.1, (36, 44)), np.zeros((36, 44), np.uint16)
        for i, (r, c) in enumerate(some):
            image[r - 1 : r + 2, c - 1 : c + 2] += 2
            numbers[r - 1 : r + 2, c - 1 : c + 2] = 300 + i
        tifffile.imwrite(folders["images"] / f"{name}.tif", image.astype(np.float32))
        tifffile.imwrite(folders["numbers"] / f"{name}_masks.tif", numbers)
    table = tmp_path / "points.csv"
    table.write_text(HEADER + "".join(f"{name}.tif,0,{r},{c}\n" for name, some in points.items() for r, c in some))
    return tmp_path


def test_a_table_and_numbered_objects_give_the_same_discs(cells):
    reading = Reading(radius=3)
    table = read_discs(cells / "images", cells / "points.csv", reading)
    numbers = read_discs(cells / "images", cells / "numbers", reading)
    for one, other in zip(table.labels, numbers.labels, strict=True):
        np.testing.assert_array_equal(one, other)
    assert table.labels[0][10, 33] == 1 and table.labels[0][10, 34] == -1 and table.labels[0][10, 35] == 0
    assert table.class_values == (0, 1) and "3 objects" in table.description[1]


def test_down_sampling_shrinks_places_and_radius(cells):
    pairs = read_discs(cells / "images", cells / "points.csv", Reading(radius=4, downsample=2))
    rows, columns = np.nonzero(pairs.labels[1] == 1)
    assert pairs.labels[1].shape == (18, 22)
    assert abs(rows.mean() - 9.75) < 0.3 and abs(columns.mean() - 3.75) < 0.3 and np.ptp(rows) in (3, 4)


@pytest.mark.parametrize(
    "text, words",
    [
        (HEADER + "a.tif,0,40,3\n", r"1 of 1 points lie outside .*a\.tif of 36x44, the first at row 40, column 3"),
        (HEADER + "a.tif,0,40,3\na.tif,0,42,30\n", "with rows and columns exchanged all lie inside"),
        (HEADER + "c.tif,0,4,3\n", r"points in c\.tif, which is not among the images \(a\.tif, b\.tif\)"),
        (HEADER + "a.tif,2,4,3\n", r"page 2 of a\.tif"),
        ("file,page,y\na.tif,0,3\n", "has the columns file, page, y; a table of points has the header"),
        (HEADER, "no object in the images"),
    ],
)
def test_bad_tables_end_in_one_sentence(cells, capsys, text, words):
    (cells / "bad.csv").write_text(text)
    args = ["train", "-i", str(cells / "images"), "-l", str(cells / "bad.csv"), "--radius", "3", "-o"]
    assert main([*args, str(cells / "net.npz")]) == 1
    error = capsys.readouterr().err
    with pytest.raises(DataError, match=words):
        raise DataError(error)
    assert error.count("\n") == 1 and not (cells / "net.npz").exists()


def test_numbered_objects_of_other_images_are_refused(cells):
    files = open_images(cells / "images")
    with pytest.raises(DataError, match=r"no label file belongs to .*b\.tif"):
        read_places(cells / "numbers" / "a_masks.tif", files)
    tifffile.imwrite(cells / "numbers" / "a_masks.tif", np.zeros((36, 43), np.uint16))
    with pytest.raises(DataError, match="differ in size"):
        read_places(cells / "numbers", files)


def test_train_draws_crops_in_proportion_to_the_mistakes_of_a_first_net(cells, capsys):
    def train(name, *more):
        args = ["train", "-i", str(cells / "images"), "-l", str(cells / "points.csv"), "--radius", "2", "--net"]
        args += ["C3x3x3 MPF2x2 FC2", "--epochs", "2", "--crop", "12", "-o", str(cells / name), *more]
        return main([*args, "--backend", "numpy"])

    assert train("first.npz", "--focus", "classes") == 0
    assert train("second.npz", "--focus", str(cells / "first.npz")) == 0
    record = Net.load(cells / "second.npz").record
    assert record["radius"] == 2 and record["focus"] == str(cells / "first.npz") and len(record["focus_sha256"]) == 64
    assert train("third.npz", "--focus", str(cells / "none.npz")) == 1
    capsys.readouterr()
    args = ["train", "-i", str(cells / "images"), "-l", str(cells / "points.csv"), "--focus", "classes", "--radius"]
    assert main([*args, "2", "-o", str(cells / "fourth.npz")]) == 2
    assert "--crop 64" in capsys.readouterr().err


def test_options_that_do_not_go_with_a_radius_are_refused(cells, capsys):
    args = ["train", "-i", str(cells / "images"), "-o", str(cells / "net.npz"), "--radius", "3"]
    assert main(args) == 2
    assert "places of the objects as --labels" in capsys.readouterr().err
    assert main([*args, "-l", str(cells / "points.csv"), "--ignore", "3"]) == 2
    assert "leave them out with a radius" in capsys.readouterr().err


def test_a_mask_of_all_objects_is_not_taken_for_one_object(cells):
    for path in (cells / "numbers").iterdir():
        tifffile.imwrite(path, (tifffile.imread(path) > 0).astype(np.uint8) * 255)
    with pytest.raises(DataError, match="several objects have one number"):
        read_discs(cells / "images", cells / "numbers", Reading(radius=3))


def test_no_object_vanishes_between_pixels(cells):
    table = cells / "points.csv"
    table.write_text(HEADER + "a.tif,0,5.5,5.5\na.tif,0,35.4,43.4\nb.tif,0,-0.5,7\n")
    pairs = read_discs(cells / "images", table, Reading(radius=1, downsample=2))
    assert [(y == 1).sum() for y in pairs.labels] == [2, 1]
