"""Folders with one subfolder for each class, and CSVs of file and class: what is read, and what is refused how."""

import numpy as np
import pytest
from PIL import Image

from tinympcnn import DataError
from tinympcnn.io.classes import has_classes, read_classified


@pytest.fixture
def folder(tmp_path):
    for k, name in enumerate(["2", "10", "1"]):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((6, 5), 10 * k + i, np.uint8)).save(tmp_path / "set" / name / f"{i}.png")
    return tmp_path / "set"


def test_subfolders_are_classes_in_natural_order(folder):
    read = read_classified(folder)
    assert read.class_names == ("1", "2", "10") and read.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert read.images[:, 0, 0, 0].tolist() == [20, 21, 0, 1, 10, 11]
    assert has_classes([folder]) and not has_classes([folder / "1"]) and not has_classes([folder, folder])
    assert "3 classes: from 2 (1) to 2 (1)" in read.describe()


def test_the_classes_of_a_model_keep_their_order(folder):
    assert read_classified(folder, ("10", "2", "1", "7")).classes.tolist() == [2, 2, 1, 1, 0, 0]
    with pytest.raises(DataError, match="the class '10', and the classes of the model are 1, 2"):
        read_classified(folder, ("1", "2"))


def test_a_csv_lists_files_beside_it(folder):
    table = folder.parent / "list.csv"
    table.write_text("class,note,file\nx,,set/1/0.png\ny,late,set/2/1.png\nx,,set/10/0.png\n")
    read = read_classified(table)
    assert read.class_names == ("x", "y") and read.classes.tolist() == [0, 0, 1]
    assert read.images[:, 0, 0, 0].tolist() == [20, 10, 1] and has_classes([table])


def test_images_without_classes(folder):
    read = read_classified([folder / "1", folder / "2" / "0.png"], ("a", "b"))
    assert read.classes is None and len(read.images) == 3 and "3 images" in read.describe()


def test_every_page_of_a_stack_has_the_class_of_its_folder(folder):
    import tifffile

    tifffile.imwrite(folder / "1" / "2.tif", np.zeros((4, 6, 5), np.uint8), photometric="minisblack")
    assert read_classified(folder).classes.tolist() == [0] * 6 + [1] * 2 + [2] * 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "empty").mkdir(), "empty holds no"),
        (lambda f: (f / "1" / "0.png").write_bytes(b"\x89PNG broken"), r"0\.png"),
        (lambda f: Image.fromarray(np.zeros((6, 6), np.uint8)).save(f / "10" / "0.png"), "6x6 pixels.*one size"),
        (lambda f: Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(f / "10" / "0.png"), r"3 channels.*one size"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(folder, spoil, message):
    spoil(folder)
    with pytest.raises(DataError, match=message):
        read_classified(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,class\na.png,1\n", "no column 'file'"),
        ("", "no column"),
        ("file,class\n", "lists no image"),
        ("file,class\nset/1/0.png\n", "line 2 of .* lacks"),
        ("file,class\nset/1/9.png,1\n", "line 2 of .* no such file"),
        ("file,class\nset/1/0.png,1\nset/1/0.png,2\n", "line 3 of .* gives set/1/0.png the class 2, and it had 1"),
        ("file,class\nset/1/0.png,  \n", "line 2 of .* lacks"),
    ],
)
def test_a_csv_that_cannot_be_used_says_why(folder, text, message):
    table = folder.parent / "list.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=message):
        read_classified(table)


@pytest.mark.parametrize(
    "text",
    ["file;class\nset/1/0.png;x\nset/2/0.png;y\n", "File, Class\nset/1/0.png, x\n set/2/0.png, y\n"],
    ids=["semicolons", "capitals and spaces"],
)
def test_tables_of_spreadsheets_are_read(folder, text):
    (folder.parent / "list.csv").write_text(text)
    read = read_classified(folder.parent / "list.csv")
    assert read.class_names == ("x", "y") and read.classes.tolist() == [0, 1]


def test_names_of_classes_that_look_alike_are_one(folder):
    table = folder.parent / "list.csv"
    table.write_text("file,class\nset/1/0.png,\u00e9\nset/2/0.png,e\u0301\nset/10/0.png,b\n", encoding="utf-8")
    assert read_classified(table).class_names == ("b", "\u00e9")
    (folder / "1").rename(folder / "e\u0301")
    assert read_classified(folder, ("2", "10", "\u00e9")).classes.tolist() == [0, 0, 1, 1, 2, 2]


def test_an_ome_zarr_is_an_image_and_no_class(folder):
    for name in ("a.zarr", "b.zarr"):
        (folder.parent / "zarrs" / name / "0").mkdir(parents=True)
        (folder.parent / "zarrs" / name / ".zgroup").write_text('{"zarr_format": 2}')
    assert not has_classes([folder.parent / "zarrs"]) and not has_classes([folder.parent / "zarrs" / "a.zarr"])
