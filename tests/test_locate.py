"""Objects in images: the same whatever the tiles and threads, and the command from files to a table and pictures."""

import sys

import numpy as np
import pytest
import tifffile
from helpers import rows_of

from tinympcnn import Net
from tinympcnn.cli import main
from tinympcnn.errors import UsageError
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.locate import locate
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import open_image
from tinympcnn.io.page_rows import PageRows


def brightness_net(radius=2.0, downsample=1):
    """A net of single pixels that takes bright ones for objects."""
    net = Net.from_spec("FC2", rng=0)
    net.set_flat(np.array([-10, 10, 5, -5], np.float32))
    net.normalisation, net.class_values = (np.zeros(1), np.ones(1)), (0, 1)
    net.record = {"radius": radius, "downsample": downsample}
    return net


def discs(size, points, radius=2):
    rows, columns = np.indices(size)
    near = [(rows - r) ** 2 + (columns - c) ** 2 <= radius**2 for r, c in points]
    return np.any(near, axis=0).astype(np.float32)


@pytest.fixture
def net():
    net = Net.from_spec("C3x3x6 MPF2x2 C4x3x6 MPF2x2 FC2x2x2", rng=1)
    net.normalisation = np.zeros(1), np.ones(1)
    return net


def test_objects_do_not_depend_on_tiles_and_threads(net, threads):
    image = np.random.default_rng(0).normal(size=(100, 91, 1)).astype(np.float32)
    committee = Committee([net, net], turns=True)
    whole = locate(committee, image, 3, 0.3)
    assert len(whole) > 20
    for tile, n in ((32, 1), (48, 3), ((64, 200), 2)):
        threads(n)
        np.testing.assert_array_equal(locate(committee, image, 3, 0.3, tile=tile), whole)


def test_pages_of_a_file_are_read_in_bands_and_give_the_same_objects(net, tmp_path, monkeypatch):
    image = np.random.default_rng(0).normal(size=(190, 161, 1)).astype(np.float32)
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, image[..., 0], rowsperstrip=7)
    monkeypatch.setattr("tinympcnn.io.tiff.rows.AT_ONCE", 1)
    asked = []
    rows = ImageFile.rows
    monkeypatch.setattr(ImageFile, "rows", lambda self, i, a, b: asked.append(b - a) or rows(self, i, a, b))
    page = PageRows(open_image(path), 0)
    np.testing.assert_array_equal(locate(net, page, 3, 0.3, tile=32), locate(net, image, 3, 0.3))
    assert max(asked) < 100


def test_objects_lie_two_radii_apart_and_a_higher_threshold_only_leaves_out(net):
    image = np.random.default_rng(2).normal(size=(80, 90))
    low, high = locate(net, image, 2, 0.1), locate(net, image, 2, 0.5)
    distances = np.hypot(*(low[:, None, :2] - low[None, :, :2]).transpose(2, 0, 1))
    assert distances[~np.eye(len(low), dtype=bool)].min() > 4
    np.testing.assert_array_equal(low[low[:, 2] >= 0.5], high)


def test_what_makes_no_sense_is_refused(net):
    with pytest.raises(UsageError, match="radius of the objects"):
        locate(net, np.zeros((9, 9)), 0)
    with pytest.raises(UsageError, match="two classes, not 3"):
        locate(Net.from_spec("FC3"), np.zeros((9, 9)), 2)


# ---------------------------------------------------------------------------------------------------------- files

POINTS = {"a": [(10, 12), (30, 40)], "v": [(20, 20), (8, 33)]}


@pytest.fixture
def folder(tmp_path):
    """Images of two objects each, one object of `a` not in the truth and one of the truth not in the image."""
    for name, points in POINTS.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", discs((48, 52), points))
    truth = [("a.tif", 11, 12), ("a.tif", 40, 8), *(("v.tif", *point) for point in POINTS["v"])]
    lines = [f"{file},0,{r},{c}" for file, r, c in truth]
    (tmp_path / "truth.csv").write_text("\n".join(["file,page,row,column", *lines]))
    brightness_net().save(tmp_path / "net.npz")
    return tmp_path


def call(folder, *more, image="a.tif", net="net.npz"):
    args = ["locate", "-i", folder / image, "-m", folder / net, "-o", folder / "objects.csv", "--backend", "numpy"]
    return main([str(word) for word in (*args, *more)])


def table(folder):
    return [(row["file"], float(row["row"]), float(row["column"])) for row in rows_of(folder / "objects.csv")]


def test_the_table_and_the_measures(folder, capsys):
    assert call(folder, "--truth", folder / "truth.csv", "--val", folder / "v.tif", "--within", "2", "0.5") == 0
    assert sorted(table(folder)) == [("a.tif", 10, 12), ("a.tif", 30, 40)]
    said = capsys.readouterr().out
    assert "chosen on 1 validation page" in said
    values = dict(line.rsplit(None, 1) for line in said.splitlines() if " px " in line)
    assert {name.strip(): float(value) for name, value in values.items() if "F1 " in name} == {
        "F1 within 2 px": 0.5,
        "F1 within 0.5 px": 0.0,
    }


def test_down_sampled_models_tell_places_of_the_image_as_it_is(folder):
    brightness_net(8, 4).save(folder / "quarter.npz")
    tifffile.imwrite(folder / "large.tif", np.kron(discs((20, 24), [(9, 5)]), np.ones((4, 4), np.float32)))
    assert call(folder, image="large.tif", net="quarter.npz") == 0
    assert table(folder) == [("large.tif", 9 * 4 + 1.5, 5 * 4 + 1.5)]


def test_a_damaged_page_and_another_scale_are_told(folder, capsys):
    tifffile.imwrite(folder / "bright.tif", 1000 * discs((48, 52), POINTS["a"]))
    assert call(folder, image="bright.tif") == 0
    assert "bright.tif has" in capsys.readouterr().out
    tifffile.imwrite(folder / "nan.tif", np.full((2, 30, 31), np.nan, np.float32), photometric="minisblack")
    assert call(folder, "-i", folder / "nan.tif", "--force") == 1
    assert "nan.tif" in capsys.readouterr().err


def test_stacks_have_pages(folder):
    tifffile.imwrite(folder / "stack.tif", np.stack([discs((30, 31), p) for p in ([(8, 9)], [(20, 6)])]))
    assert call(folder, image="stack.tif") == 0
    assert [(row["page"], row["row"]) for row in rows_of(folder / "objects.csv")] == [("0", "8"), ("1", "20")]


def test_pictures_and_rois(folder):
    pytest.importorskip("matplotlib")
    roifile = pytest.importorskip("roifile")
    from PIL import Image

    lines = (folder / "truth.csv").read_text().splitlines()
    (folder / "own.csv").write_text("\n".join(line for line in lines if not line.startswith("v")))
    assert call(folder, "--truth", folder / "own.csv", "--overlay", folder / "o", "--roi", folder / "r") == 0
    with Image.open(folder / "o" / "a.png") as picture:
        colours = {tuple(pixel) for pixel in np.asarray(picture.convert("RGB")).reshape(-1, 3)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0xF0, 0xE4, 0x42)} <= colours
    rois = roifile.roiread(folder / "r" / "a.zip")
    assert sorted(tuple(roi.coordinates()[0]) for roi in rois) == [(12.5, 10.5), (40.5, 30.5)]


def test_rois_without_roifile_say_what_to_install(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "roifile", None)
    assert call(folder, "--roi", folder / "r") == 2
    assert "tinympcnn[roi]" in capsys.readouterr().err and not (folder / "objects.csv").exists()


@pytest.mark.parametrize(
    "more, code, words",
    [
        (["--val", "v.tif"], 2, "give them as --truth"),
        (["--truth", "truth.csv"], 1, "points in v.tif, which is not among the images (a.tif)"),
        (["--truth", "outside.csv"], 1, "1 of 2 points lie outside"),
        (["--truth", "swapped.csv"], 1, "with rows and columns exchanged all lie inside"),
        (["--truth", "columns.csv"], 1, "a table of points has the header file,page,row,column"),
        (["--truth", "truth.csv", "--val", "v.tif", "--score", "0.3"], 2, "leave out --score or --val"),
        (["--radius", "0"], 2, "positive number of pixels"),
        (["-i", "sub/a.tif"], 2, "several images are named a.tif"),
    ],
)
def test_bad_input_gets_one_sentence(folder, capsys, monkeypatch, more, code, words):
    monkeypatch.chdir(folder)
    (folder / "outside.csv").write_text("file,page,row,column\na.tif,0,60,60\na.tif,0,1,1\n")
    (folder / "swapped.csv").write_text("file,page,row,column\na.tif,0,50,40\na.tif,0,1,1\n")
    (folder / "columns.csv").write_text("file,page,row\na.tif,0,60\n")
    (folder / "sub").mkdir()
    tifffile.imwrite(folder / "sub" / "a.tif", np.zeros((30, 30), np.float32))
    assert call(folder, *more) == code
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (folder / "objects.csv").exists()


def test_models_without_a_radius_ask_for_it(folder, capsys):
    net = brightness_net()
    net.record = {}
    net.save(folder / "bare.npz")
    assert call(folder, net="bare.npz") == 2
    assert "--radius" in capsys.readouterr().err
    assert call(folder, "--radius", "2", net="bare.npz") == 0


def test_the_truth_is_never_overwritten_and_distances_are_checked_first(folder, capsys):
    before = (folder / "truth.csv").read_text()
    more = ("--truth", folder / "truth.csv", "--val", folder / "v.tif")
    assert call(folder, *more, "-o", folder / "truth.csv", "--force") == 2
    assert "is an input" in capsys.readouterr().err and (folder / "truth.csv").read_text() == before
    assert call(folder, *more, "--within", "2", "0") == 2
    said = capsys.readouterr()
    assert "--within" in said.err and "tiles of" not in said.out


def test_one_damaged_page_does_not_cost_the_other_images(folder, capsys):
    pages = np.stack([discs((48, 52), POINTS["a"]), np.full((48, 52), np.nan, np.float32)])
    tifffile.imwrite(folder / "nan.tif", pages, photometric="minisblack")
    lines = (folder / "truth.csv").read_text().splitlines()
    (folder / "own.csv").write_text("\n".join(line for line in lines if not line.startswith("v")))
    assert call(folder, "-i", folder / "nan.tif", folder / "v.tif", "--truth", folder / "own.csv") == 1
    assert "1 of 3 images were left out" in capsys.readouterr().err
    assert {file for file, _, _ in table(folder)} == {"a.tif", "v.tif"}
    assert call(folder, "--truth", folder / "truth.csv", "--val", folder / "v.tif", "--force") == 0
    assert {file for file, _, _ in table(folder)} == {"a.tif"}


def test_an_image_too_small_for_the_model_is_told(folder, capsys):
    brightness_net(radius=8.0, downsample=4).save(folder / "quarter.npz")
    tifffile.imwrite(folder / "tiny.tif", np.zeros((2, 30), np.float32))
    assert call(folder, image="tiny.tif", net="quarter.npz") == 1
    assert "tiny.tif" in (said := capsys.readouterr().err) and "too small to be down-sampled by 4" in said
