"""Tables of points: ours, ImageJ's, QuPath's, images of numbered objects, and what is refused."""

import math

import numpy as np
import pytest

from tinympcnn import DataError
from tinympcnn.io.points import Point, centroids, points_by_page, read_points, write_points


def table(tmp_path, text):
    path = tmp_path / "points.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read(tmp_path):
    points = [Point("a.tif", 0, 3.0, 4.5, "mitosis", 0.75), Point("bö.tif", 2, 0.0, 1.0)]
    write_points(tmp_path / "p.csv", points)
    read = read_points(tmp_path / "p.csv")
    assert read[0] == points[0] and read[1][:5] == points[1][:5] and math.isnan(read[1].score)
    assert (tmp_path / "p.csv").read_text(encoding="utf-8").startswith("file,page,row,column,class,score\n")


def test_a_file_whose_name_is_no_text_does_not_lose_the_table(tmp_path):
    write_points(tmp_path / "p.csv", [Point("gr\udcff.tif", 0, 1.0, 2.0)])  # as read from a disk of another encoding
    assert (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()[1].startswith("gr\\udcff.tif,0,1,2,")


def test_spreadsheets_write_semicolons_and_a_mark_at_the_start(tmp_path):
    path = table(tmp_path, "\ufefffile;page;row;column\na.tif;0;1;2\n")
    assert read_points(path)[0][:4] == ("a.tif", 0, 1, 2)


def test_imagej_counts_from_the_corner_and_pages_from_one(tmp_path):
    path = table(tmp_path, " ,Label,Area,X,Y,Slice\n1,stack.tif:0003-0001,0,4.5,7.5,3\n")
    assert read_points(path)[0][:4] == ("stack.tif", 2, 7.0, 4.0)


def test_qupath_has_pixels_or_is_told_to(tmp_path):
    path = table(tmp_path, "Image\tName\tCentroid X px\tCentroid Y px\nslide.png\tcell\t10.5\t20.5\n")
    assert read_points(path)[0][:4] == ("slide.png", 0, 20.0, 10.0)
    with pytest.raises(DataError, match="remove the pixel size"):
        read_points(table(tmp_path, "Image\tCentroid X µm\tCentroid Y µm\na\t1\t2\n"))


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "of no header"),
        ("x,z\n1,2\n", "header file,page,row,column"),
        ("file,page,row,column\na.tif,0,one,2\n", "line 2: a.tif,0,one,2 is no point"),
        ("file,page,row,column\na.tif,0,nan,2\n", "no place"),
        ("file,page,row,column\na.tif,-1,1,2\n", "no place"),
        ("file,page,row,column\na.tif,0\n", "is no point"),
    ],
)
def test_bad_tables_get_one_sentence(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_points(table(tmp_path, text))


def test_a_missing_table_and_one_of_another_kind(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_points(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="cannot be read"):
        read_points(tmp_path / "image.csv")


def test_points_go_to_their_pages():
    points = [Point("sub/a.png", 0, 1, 2), Point("b.tif", 1, 3, 4), Point("C:\\x\\a.png", 0, 5, 6)]
    pages = [("in/a.png", 0), ("in/b.tif", 0), ("in/b.tif", 1)]
    places = points_by_page(points, pages, "p.csv")
    assert [p.tolist() for p in places] == [[[1, 2], [5, 6]], [], [[3, 4]]]
    with pytest.raises(
        DataError, match=r"p\.csv has points in c\.png, which is not among the images \(a\.png, b\.tif\)"
    ):
        points_by_page([Point("c.png", 0, 1, 1)], pages, "p.csv")
    with pytest.raises(DataError, match=r"points in page 5 of b\.tif"):
        points_by_page([Point("b.tif", 5, 1, 1)], pages, "p.csv")


def test_centroids_of_numbered_objects():
    labels = np.zeros((6, 8), np.int32)
    labels[1:3, 1:4], labels[5, 7] = 900, 3
    assert centroids(labels).tolist() == [[5, 7], [1.5, 2]]
    assert centroids(np.zeros((3, 3), int)).shape == (0, 2)


def test_points_of_other_images_are_never_taken_for_those_of_one():
    pages = [("p1.s1.tif", 0)]
    with pytest.raises(DataError, match=r"has points in p1\.s2\.tif, which is not among"):
        points_by_page([Point("p1.s2.tif", 0, 1, 1)], pages, "p.csv")
    some = [Point(name, 0, 1, 1) for name in ("p1.s1.tif", "p1.s1", "p1.s1.png")]
    assert len(points_by_page(some, pages, "p.csv")[0]) == 3


def test_names_that_look_alike_are_one():
    pages = [("e\u0301.tif", 0)]  # as macOS writes it
    assert len(points_by_page([Point("\u00e9.tif", 0, 1, 1), Point("\u00e9.png", 0, 1, 1)], pages, "p.csv")[0]) == 2


def test_a_name_that_is_no_text_and_a_place_far_out_are_written(tmp_path):
    write_points(tmp_path / "p.csv", [Point("z\udce4.tif", 0, 123456.5, 2000000.5)])
    [point] = read_points(tmp_path / "p.csv")
    assert (point.row, point.column) == (123456.5, 2000000.5)


def test_lines_are_counted_as_an_editor_does_and_a_missing_quotation_mark_is_told(tmp_path):
    with pytest.raises(DataError, match=r"line 4: a\.tif,0,one,2 is no point"):
        read_points(table(tmp_path, "file,page,row,column\n\n\na.tif,0,one,2\n"))
    with pytest.raises(DataError, match=r"cannot be read as a table \(field larger"):
        read_points(table(tmp_path, 'file,page,row,column\n"a.tif,0,1,2\n' + "a.tif,0,1,2\n" * 20000))
