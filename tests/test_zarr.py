"""OME-Zarr: read and written like TIFF, axes and scale kept, and refused in one sentence where it is no image."""

import json
import sys

import numpy as np
import pytest
from helpers import PLAIN, pixels, refused, segmented, written

from tinympcnn import DataError, Net, UsageError
from tinympcnn.inference.postprocess import median
from tinympcnn.io.images import expand, open_image
from tinympcnn.io.reading import Reading

zarr = pytest.importorskip("zarr", reason="zarr is not installed")
models = pytest.importorskip("ome_zarr_models", reason="ome-zarr-models is not installed")

AXES = {  # the stored axes, and how the image is described
    "zyx": "Z=4, Y=20, X=30, uint8",
    "tczyx": "T=2, Z=4, Y=20, X=30, C=3, uint8",
    "cyx": "Y=20, X=30, C=3, uint8",
    "yx": "Y=20, X=30, uint8",
    "pyx": "P=5, Y=20, X=30, uint8",
}
SIZES = {"t": 2, "c": 3, "z": 4, "y": 20, "x": 30, "p": 5}
SMALL = {"tile": 32, "median": 2}
KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space", "p": "angle"}


def store(path, array, axes, version="0.5", scale=None, unit="nanometer", **changes):
    """Write an OME-Zarr; `changes` replace keys of its multiscale."""
    root = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    names = {"dimension_names": list(axes)} if version == "0.5" else {}
    root.create_array("full", data=array, chunks=(*array.shape[:-2], 8, 16)[-array.ndim :], **names)
    multiscale = {
        "axes": [
            {"name": name, "type": KINDS[name]} | ({"unit": unit} if KINDS[name] == "space" and unit else {})
            for name in axes
        ],
        "datasets": [
            {"path": "full", "coordinateTransformations": [{"type": "scale", "scale": scale or [1.0] * len(axes)}]}
        ],
        **changes,
    }
    if version == "0.5":
        root.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    else:
        root.attrs["multiscales"] = [{"version": version, **multiscale}]
    return path


@pytest.fixture
def model(tmp_path):
    net = Net.from_spec("C3x3x4 MPF2x2 FC2x2x3", rng=0)
    net.class_values = 7, 9, 300
    net.save(tmp_path / "m.npz")
    return tmp_path / "m.npz"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", AXES)
def test_an_image_is_read_page_by_page_and_row_by_row(axes, version, tmp_path):
    array = pixels(*(SIZES[axis] for axis in axes))
    file = open_image(store(tmp_path / "a.ome.zarr", array, axes, version))
    assert file.describe() == AXES[axes] and file.stem == "a" and file.rows_at_once == 8
    channels = np.moveaxis(array, axes.index("c"), -1) if "c" in axes else array[..., None]
    pages = channels.reshape(-1, *file.shape)
    assert len(file) == len(pages)
    for found, page in zip(file, pages, strict=True):
        assert (found == page).all()
    assert (file.rows(0, 8, 16) == pages[0][8:16]).all()


def test_a_folder_holds_zarrs_among_others_and_a_zarr_is_no_folder_of_images(tmp_path):
    store(tmp_path / "b10.zarr", pixels(20, 30), "yx")
    store(tmp_path / "b9.zarr", pixels(20, 30), "yx")
    written(tmp_path / "b1.tif", pixels(20, 30))
    assert [path.name for path in expand(tmp_path)] == ["b1.tif", "b9.zarr", "b10.zarr"]
    assert [path.name for path in expand(tmp_path / "b9.zarr")] == ["b9.zarr"]


@pytest.mark.parametrize(("axes", "options"), [("tzyx", {}), ("pyx", {}), ("zyx", SMALL), ("yx", SMALL)])
def test_probabilities_and_labels_are_an_image_and_its_labels_with_its_axes_and_scale(axes, options, model, tmp_path):
    array, scale = pixels(*({**SIZES, "y": 50, "x": 37}[axis] for axis in axes)), [2.0, 50.0, 4.0, 5.0][-len(axes) :]
    image = store(tmp_path / "a.zarr", array, axes, "0.4", scale)
    assert segmented([image], model, tmp_path / "out.zarr", **options) == [tmp_path / "out.zarr"]
    whole = models.open_ome_zarr(zarr.open_group(tmp_path / "out.zarr", mode="r"))
    assert isinstance(whole, models.v05.image.Image) and whole.labels.label_paths == ["classes"]
    multiscale = whole.ome_attributes.multiscales[0]
    expected = "tc" + axes[1:] if "t" in axes else "c" + axes
    assert "".join(axis.name for axis in multiscale.axes) == expected
    steps = dict(zip(axes, scale, strict=True)) | {"c": 1.0, "p": 1.0}
    assert multiscale.datasets[0].coordinateTransformations[0].scale == [steps[axis] for axis in expected]
    assert {axis.unit for axis in multiscale.axes if axis.type == "space"} == {"nanometer"}

    net = Net.load(model)
    pages = np.stack([net.segment(page) for page in array.reshape(-1, 50, 37)])
    pages = np.stack([median(page, 2) for page in pages]) if options else pages
    prob, labels = open_image(tmp_path / "out.zarr"), open_image(tmp_path / "out.zarr" / "labels" / "classes")
    assert (np.stack(list(prob)) == pages).all() and prob.metadata["class_values"] == [7, 9, 300]
    assert labels.dtype == np.uint16 and labels.axes == axes.upper()
    assert (np.stack(list(labels))[..., 0] == np.array([7, 9, 300])[pages.argmax(axis=-1)]).all()
    assert [path.name for path in tmp_path.iterdir() if path.name[0] == "."] == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"imagej": True, "metadata": {"axes": "ZYX", "spacing": 3.0, "unit": "micron"}, "resolution": (2, 4)},
         ([3.0, 0.25, 0.5], "micrometer")),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 3,
                                    "PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm", "PhysicalSizeZUnit": "nm"}},
         ([3.0, 0.25, 0.5], "nanometer")),
        ({"imagej": True, "metadata": {"axes": "ZYX", "spacing": 0.0, "unit": "micron"}, "resolution": (2, 4)},
         ([1.0, 0.25, 0.5], None)),
        ({"imagej": True, "metadata": {"axes": "ZYX", "spacing": np.nan, "unit": "micron"}, "resolution": (2, 4)},
         ([1.0, 0.25, 0.5], None)),
        ({**PLAIN, "metadata": {"axes": "ZYX"}, "resolution": (2, 4), "resolutionunit": 3}, ([1.0, 0.25, 0.5], None)),
        ({**PLAIN, "metadata": {"axes": "ZYX"}}, ([1.0, 1.0, 1.0], None)),
    ],
)  # fmt: skip
def test_the_scale_of_a_tiff_is_kept_and_grows_with_down_sampling(options, expected, model, tmp_path):
    image = written(tmp_path / "a.tif", pixels(2, 24, 30), **options)
    for factor in (1, 2):
        net = Net.load(model)
        net.record["downsample"] = factor
        net.save(model)
        segmented([image], model, tmp_path / "out.zarr", force=True)
        attributes = json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())["attributes"]["ome"]["multiscales"]
        scale = attributes[0]["datasets"][0]["coordinateTransformations"][0]["scale"]
        assert scale == [1.0, expected[0][0], *(factor * step for step in expected[0][1:])]
        assert attributes[0]["axes"][1].get("unit") == expected[1]


def test_a_zarr_comes_back_as_tiff_with_its_scale(model, tmp_path):
    image = store(tmp_path / "a.zarr", pixels(4, 20, 30), "zyx", scale=[50.0, 4.0, 5.0])
    prob, _ = segmented([image], model, tmp_path / "out")
    assert prob.name == "a_prob.tif" and open_image(prob).metadata["PhysicalSizeX"] == 5.0
    segmented([prob.with_name("a_labels.tif")], model, tmp_path / "again.zarr")
    again = open_image(tmp_path / "again.zarr").metadata
    assert (again["PhysicalSizeZ"], again["PhysicalSizeZUnit"]) == (50.0, "nanometer")


def plain_array(path):
    zarr.open_array(path, mode="w", shape=(5, 5), dtype="u1")


def plain_group(path):
    zarr.open_group(path, mode="w").create_array("x", shape=(5, 5), dtype="u1")


def parent(path):
    zarr.open_group(path, mode="w")
    store(path / "0", pixels(20, 30), "yx")


def damaged(path):
    store(path, pixels(20, 30), "yx")
    (path / "zarr.json").write_text("{")


def without_array(path):
    store(path, pixels(20, 30), "yx", datasets=[
        {"path": "gone", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}
    ])  # fmt: skip


def six_axes(path):
    store(path, pixels(2, 3, 4, 20, 30), "tczyx")
    about = json.loads((path / "zarr.json").read_text())
    about["attributes"]["ome"]["multiscales"][0]["axes"].insert(2, {"name": "w", "type": "space"})
    (path / "zarr.json").write_text(json.dumps(about))


def another_array(path):
    store(path, pixels(4, 20, 30), "zyx")
    zarr.open_group(path, mode="r+").create_array("full", data=pixels(20, 30), overwrite=True)


def complex_numbers(path):
    store(path, np.zeros((20, 30), np.complex64), "yx")


def without_scale(path):
    store(path, pixels(20, 30), "yx", datasets=[{"path": "full"}])


def test_how_a_viewer_shows_the_channels_need_not_be_whole(tmp_path):
    zarr_file = store(tmp_path / "a.zarr", pixels(20, 30), "yx", "0.4")
    shown = [{"color": "FF0000", "window": {"start": 0, "end": 255}}]  # the format asks for min and max too
    zarr.open_group(zarr_file).attrs["omero"] = {"channels": shown}
    assert np.array_equal(open_image(zarr_file).page(0)[..., 0], pixels(20, 30))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (without_scale, "Field required (in multiscales.0.datasets.0.coordinateTransformations)"),
        (plain_array, "is a Zarr but no OME-Zarr image: it has no multiscales metadata"),
        (plain_group, "is a Zarr but no OME-Zarr image: it has no multiscales metadata"),
        (parent, "name the image in it, such as "),
        (damaged, "cannot be read; it is damaged or of an unknown kind"),
        (without_array, "cannot be read; it is damaged or of an unknown kind"),
        (six_axes, "is no valid OME-Zarr image: Length of axes (6)"),
        (complex_numbers, "holds complex64 pixels"),
        (lambda path: store(path, pixels(20, 30), "xy"), "has the axes x, y; the last two must be y and x"),
        (another_array, "promises the axes z, y, x and holds uint8 pixels of shape"),
        (lambda path: store(path, pixels(3, 20, 30), "cyx"), "has 3 channels and the model takes 1"),
    ],
)
def test_what_is_no_image_is_one_sentence(make, words, model, tmp_path, run):
    make(tmp_path / "a.zarr")
    answer = run("segment", "-i", tmp_path / "a.zarr", "-m", model, "-o", tmp_path / "out", "--backend", "numpy")
    refused(answer, 1, words)
    assert str(tmp_path / "a.zarr") in answer[2]


def test_a_zarr_that_exists_is_replaced_only_with_force_and_nothing_else_is(model, tmp_path, run):
    image, out = store(tmp_path / "a.zarr", pixels(2, 20, 30), "zyx"), tmp_path / "out.zarr"
    call = ["segment", "-i", image, "-m", model, "--backend", "numpy", "-o"]
    assert run(*call, out)[0] == 0
    before = (out / "zarr.json").read_bytes()
    refused(run(*call, out), 2, "out.zarr exists already; remove it, or replace it with --force")
    assert run(*call, out, "--force")[0] == 0 and (out / "zarr.json").read_bytes() == before
    refused(run(*call, image, "--force"), 2, "holds the input")
    refused(run(*call[:2], out / "labels" / "classes", *call[3:], out, "--force"), 2, "holds the input")
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.txt").write_text("years")
    refused(run(*call, tmp_path / "mine.zarr", "--force"), 2, "exists and is no Zarr, so it is not replaced")
    (out / "model.npz").write_bytes(b"years")
    refused(run(*call, out, "--force"), 2, "out.zarr holds model.npz, which is no part of a Zarr; move it")
    assert (tmp_path / "mine.zarr" / "thesis.txt").exists()
    refused(run(*call, tmp_path / "no" / "out.zarr"), 1, "there is no folder")
    refused(run(*call[:3], image, *call[3:], out, "--force"), 2, "several images are named 'a'")
    written(tmp_path / "b.tif", pixels(20, 30))
    refused(
        run(*call[:3], tmp_path / "b.tif", *call[3:], out, "--force"), 2, "holds the results of one image, and 2 came"
    )


def test_a_preview_lies_beside_the_zarr(model, tmp_path, run):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    image, out = store(tmp_path / "a.zarr", pixels(2, 40, 50), "zyx"), tmp_path / "out.zarr"
    call = ["segment", "-i", image, "-m", model, "-o", out, "--backend", "numpy", "--preview"]
    (tmp_path / "a_preview.png").write_text("mine", encoding="utf-8")
    refused(run(*call), 2, "a_preview.png exists already")
    assert not out.exists()
    code, said, _ = run(*call, "--force")
    assert code == 0 and f"wrote {out} and {tmp_path / 'a_preview.png'}" in " ".join(said.split())
    assert (tmp_path / "a_preview.png").read_bytes().startswith(b"\x89PNG")


def test_predictions_have_no_zarr(tmp_path, run):
    Net.from_spec("C3x3x1", rng=0).save(tmp_path / "m.npz")
    image = written(tmp_path / "b.tif", pixels(20, 30))
    answer = run("predict", "-i", image, "-m", tmp_path / "m.npz", "-o", tmp_path / "out.zarr", "--backend", "numpy")
    refused(answer, 2, "an OME-Zarr holds probabilities and labels; name a folder for predictions, not ")
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, DataError])
def test_an_interrupted_run_leaves_no_zarr(error, model, tmp_path, failing):
    image = store(tmp_path / "a.zarr", pixels(3, 20, 30), "zyx")
    failing(error("enough"), lambda call, images: call == 3)
    with pytest.raises(error):
        segmented([image], model, tmp_path / "out.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "m.npz"]


def test_axes_that_ome_zarr_has_no_place_for_are_refused(model, tmp_path):
    image = written(tmp_path / "a.tif", pixels(2, 3, 2, 20, 30), **PLAIN)

    with pytest.raises(
        DataError, match=r"the axes PVZYX of .* do not fit into an OME-Zarr .*; write TIFF, to a folder"
    ):
        segmented([image], model, tmp_path / "out.zarr", reading=Reading(axes="PVZYX"))
    assert not (tmp_path / "out.zarr").exists()


def test_tiles_that_run_out_of_memory_change_no_chunk(model, tmp_path, failing):
    array = pixels(2, 130, 40)
    image = store(tmp_path / "a.zarr", array, "zyx")
    expected = np.stack([Net.load(model).segment(page) for page in array])
    failing(MemoryError, lambda call, images: images.shape[1] > 60)
    segmented([image], model, tmp_path / "out.zarr", tile=128)
    assert (np.stack(list(open_image(tmp_path / "out.zarr"))) == expected).all()


def test_results_are_evaluated_and_trained_on_like_tiff(model, tmp_path, run):
    image, out = store(tmp_path / "a.zarr", pixels(2, 20, 30), "zyx"), tmp_path / "out.zarr"
    segmented([image], model, out)
    truth = store(tmp_path / "truth.zarr", np.stack(list(open_image(out / "labels" / "classes")))[..., 0], "zyx")
    for prediction in (out, out / "labels" / "classes"):
        code, said, _ = run("evaluate", "-p", prediction, "-l", truth, "--json")
        assert code == 0 and json.loads(said)["pixel_error"] == 0
    files = ["-i", image, "-l", truth, "-o", tmp_path / "n.npz"]
    assert run("train", *files, "--net", "FC3", "--epochs", "1", "--backend", "numpy")[0] == 0


def test_a_missing_extra_is_named(model, tmp_path, run, monkeypatch):
    store(tmp_path / "a.zarr", pixels(20, 30), "yx")
    written(tmp_path / "b.tif", pixels(20, 30))
    monkeypatch.setitem(sys.modules, "ome_zarr_models.v04", None)
    call = ["segment", "-m", model, "--backend", "numpy"]
    for more in (["-i", tmp_path / "a.zarr", "-o", tmp_path / "out"],
                 ["-i", tmp_path / "b.tif", "-o", tmp_path / "o.zarr"]):  # fmt: skip
        refused(run(*call, *more), 2, 'pip install "tinympcnn[zarr]"')
    with pytest.raises(UsageError, match="OME-Zarr needs zarr and ome-zarr-models"):
        open_image(tmp_path / "a.zarr")
