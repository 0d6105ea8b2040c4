"""The fragment explorer as Python makes it: the data of a scene, refusals, the page, the command, the page in docs/.

What the page does in a browser is in test_explore_browser.py.
"""

import json
import re
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
import tifffile
from helpers import pixels, refused

from tinympcnn import MaxPoolFragment, Net, Sequential
from tinympcnn.errors import UsageError
from tinympcnn.explore import default_crop, page, scene, write
from tinympcnn.explore.html import SCRIPTS, SOURCES

DOCS = Path(__file__).parents[1] / "docs"
SPEC = "C3x2x3 MPF2x3 C2x2x2 FC2"


def scenes_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_a_scene_holds_every_parameter_and_pixel_to_the_last_bit():
    net, image = Net.from_spec(SPEC, in_maps=2, rng=0), np.random.default_rng(0).standard_normal((12, 13, 2))
    shown = json.loads(json.dumps(scene(net, image, "title", "says")))
    numbers = [number for layer in shown["layers"] if "W" in layer for number in layer["W"] + layer["b"]]
    assert np.array_equal(np.array(numbers, np.float32), net.flat())
    assert np.array_equal(np.reshape(shown["image"]["data"], (12, 13, 2)), image)
    assert [layer["kind"] for layer in shown["layers"]] == [type(layer).__name__ for layer in net.layers]
    assert (shown["title"], shown["says"], shown["classes"]) == ("title", "says", [])


def test_a_patch_net_is_shown_as_its_image_net():
    net = Net.from_spec(SPEC, rng=0)
    assert scene(net.as_patch(), np.zeros((12, 13)), "t") == scene(net, np.zeros((12, 13)), "t")


def test_classes_have_names_or_values():
    net = Net.from_spec(SPEC, rng=0)
    net.class_values = (0, 255)
    assert scene(net, np.zeros((12, 13)), "t")["classes"] == ["class 0", "class 255"]
    net.class_names = ("cell", "gap")
    assert scene(net, np.zeros((12, 13)), "t")["classes"] == ["cell", "gap"]


def preprocessed():
    net = Net.from_spec(SPEC, rng=0)
    net.preprocessing = {"name": "none"}
    return net


@pytest.mark.parametrize(
    ("net", "size", "words"),
    [
        ("C3x3x3 [ C3x3x2 ] FC2", (30, 30), "can not show the layer Skip; it shows nets of C, FC, MPF"),
        ("C3x3x3 LC3x3 FC2", (30, 30), "can not show the layer LocalContrast"),
        ("C3x3x3 F2x2 FC2", (30, 30), "can not show the layer Fragment"),
        (preprocessed, (30, 30), "preprocessing"),
        ("N3", (80, 80), "144 fragments and has 117,806 parameters, and the explorer shows up to 64"),
        ("C3x3x60 C7x7x10 FC2", (30, 30), "1 fragments and has 30,032 parameters"),
        (SPEC, (70, 80), "use a smaller crop, from 6x7 up"),
        ("C9x9x9 C9x9x16 MPF2x2 FC2", (62, 62), "use a smaller crop, from 18x18 up"),
        (SPEC, (4, 30), "smaller than the net's field of view of 6x7"),
        (SPEC, (9, 9, 3), "the net takes images with 1 map, not an array (9, 9, 3)"),
        (SPEC, (9,), "not an array (9,)"),
    ],
)
def test_what_can_not_be_shown_is_refused(net, size, words):
    made = Net.from_spec(net, rng=0) if isinstance(net, str) else net()
    with pytest.raises(UsageError, match=re.escape(words)):
        scene(made, np.zeros(size), "t")


def test_the_default_crop_is_in_the_middle_and_shows_padding():
    net = Net.from_spec(SPEC, rng=0)  # field of view 6x7
    rows, columns = default_crop(net, (100, 100))
    assert (rows, columns) == (slice(41, 59), slice(40, 59))
    assert net.padded_size((18, 19)) != (18, 19)
    assert default_crop(net, (7, 8)) == (slice(0, 7), slice(0, 8))


def test_the_page_is_one_file_that_loads_nothing():
    text = page([scene(Net.from_spec(SPEC, rng=0), np.zeros((12, 13)), "A <b>title</b> & </script> {{script}}")])
    assert scenes_of(text)[0]["title"] == "A <b>title</b> & </script> {{script}}"
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|<img|<iframe|\bfetch\(|XMLHttpRequest|import\(", text)
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,"]
    assert all((SOURCES / name).read_text() in text for name in SCRIPTS)


def test_every_source_of_the_page_is_small_and_used():
    assert {path.name for path in SOURCES.iterdir()} == {*SCRIPTS, "page.html", "page.css"}


def test_the_page_in_docs_is_up_to_date():
    """If this fails: ``python docs/explorer/make_page.py``."""
    committed = (DOCS / "explorer.html").read_text(encoding="utf-8")
    assert committed == page(run_path(str(DOCS / "explorer/make_page.py"))["scenes"]())
    assert len(committed.encode()) < 300_000


def test_the_scenes_in_docs_show_pools_of_2_and_3_padding_and_ties():
    scenes = scenes_of((DOCS / "explorer.html").read_text(encoding="utf-8"))
    assert {tuple(layer["k"]) for shown in scenes for layer in shown["layers"] if "k" in layer} == {(2, 2), (3, 3)}
    assert [len(shown["layers"]) for shown in scenes] == [7, 7, 1]


def test_write_replaces_the_page_whole(tmp_path):
    shown = scene(Net.from_spec(SPEC, rng=0), np.zeros((12, 13)), "t")
    write(tmp_path / "page.html", [shown])
    assert (tmp_path / "page.html").read_bytes().decode() == page([shown])
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def small(tmp_path):
    """A model that was trained on normalised images, and a stack of two pages."""
    net = Net.from_spec("C3x3x2 MPF2x2 FC2", rng=0)
    net.normalisation, net.class_values = (np.array([100.0]), np.array([50.0])), (0, 1)
    net.save(tmp_path / "net.npz")
    pages = pixels(2, 40, 50)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack", metadata={"axes": "ZYX"})
    return tmp_path, pages


def test_the_command_shows_what_the_net_sees(run, small):
    folder, pages = small
    words = ["explore", folder / "net.npz", folder / "stack.tif", "-o", folder / "p.html"]
    code, said, complaint = run(*words, "--crop", "3:13,20:31", "--page", "1")
    assert (code, complaint) == (0, "") and "rows 3 to 12, columns 20 to 30" in " ".join(said.split())
    (shown,) = scenes_of((folder / "p.html").read_text(encoding="utf-8"))
    assert np.array_equal(np.reshape(shown["image"]["data"], (10, 11)), (pages[1, 3:13, 20:31] - 100.0) / 50)
    assert shown["title"] == "net on stack"
    refused(run(*words), 2, "exists already; remove it, or replace it with --force")
    assert run(*words, "--force")[0] == 0


def test_a_net_that_classifies_gets_pixels_from_0_to_1(run, small):
    folder, pages = small
    net = Net.load(folder / "net.npz")
    net.normalisation, net.class_values = (np.array([0.5]), np.array([0.25])), None
    net.class_names, net.preprocessing = ("a", "b"), {"kind": "none"}  # as train writes it
    net.save(folder / "net.npz")
    words = ["explore", folder / "net.npz", folder / "stack.tif", "-o", folder / "p.html", "--crop", "0:9,0:9"]
    code, _, complaint = run(*words)
    assert (code, complaint) == (0, "")
    (shown,) = scenes_of((folder / "p.html").read_text(encoding="utf-8"))
    np.testing.assert_allclose(shown["image"]["data"], ((pages[0, :9, :9] / 255 - 0.5) / 0.25).ravel(), atol=1e-5)


def test_a_name_that_is_no_text_is_shown_with_escapes(run, small):
    folder, _ = small
    strange = (folder / "stack.tif").rename(folder / "gr\udcff.tif")  # as read from a disk of another encoding
    code, _, complaint = run("explore", folder / "net.npz", strange, "-o", folder / "p.html")
    assert (code, complaint) == (0, "")
    (shown,) = scenes_of((folder / "p.html").read_text(encoding="utf-8"))
    assert shown["title"] == "net on gr\udcff"


def test_a_model_of_smaller_images_gets_them(run, small):
    folder, pages = small
    net = Net.load(folder / "net.npz")
    net.record = {"downsample": 2}
    net.save(folder / "net.npz")
    assert (
        run("explore", folder / "net.npz", folder / "stack.tif", "-o", folder / "p.html", "--crop", "0:9,0:9")[0] == 0
    )
    (shown,) = scenes_of((folder / "p.html").read_text(encoding="utf-8"))
    assert shown["image"]["data"][0] == (pages[0, :2, :2].mean() - 100) / 50


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--crop", "0:10"], 2, "expected rows and columns such as 40:58,50:71"),
        (["--crop", "9:9,0:9"], 2, "expected rows and columns"),
        (["--crop", "0:10,45:55"], 2, "reaches out of the image of 40x50; use 0:40,0:50 or a part of it"),
        (["--crop", "0:3,0:10"], 2, "smaller than the net's field of view of 4x4"),
        (["--page", "2"], 2, "has 2 pages, counted from 0; there is no page 2"),
        (["-o", "nowhere/p.html"], 1, "there is no folder"),
    ],
)
def test_the_command_refuses(run, small, more, code, words):
    folder, _ = small
    refused(run("explore", folder / "net.npz", folder / "stack.tif", "-o", folder / "p.html", *more), code, words)
    assert not (folder / "p.html").exists()


def test_the_command_refuses_colour_for_a_grey_net(run, small):
    folder, _ = small
    tifffile.imwrite(folder / "rgb.tif", pixels(20, 20, 3), photometric="rgb")
    refused(run("explore", folder / "net.npz", folder / "rgb.tif"), 1, "has 3 channels and the model takes 1")


def test_a_net_without_parameters_can_be_shown():
    shown = scene(Sequential([MaxPoolFragment((2, 3))]), np.zeros((5, 8)), "t")
    assert shown["layers"] == [{"kind": "MaxPoolFragment", "k": (2, 3)}]
