"""The demo, with a tiny net: what it says, what it writes, and that a slow machine only gets fewer epochs."""

import sys

import numpy as np
import pytest
import tifffile

from tinympcnn import Net, Recipe, UsageError, cli
from tinympcnn.cli import demo as module
from tinympcnn.cli import pictures
from tinympcnn.cli.demo import demo


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(module, "SPEC", "C3x3x4 MPF2x2 FC2")
    monkeypatch.setattr(module, "SAMPLE", 256)
    monkeypatch.setattr(module, "THRESHOLDS", [0.4, 0.6])
    monkeypatch.setattr(module, "DRAWN", {"training": 1, "unseen": 2, "held-out": 1})


def test_the_demo_trains_segments_scores_and_draws(tiny, tmp_path, monkeypatch):
    Image = pytest.importorskip("PIL.Image")
    said, captions, drawn = [], [], pictures.side_by_side
    monkeypatch.setattr(pictures, "side_by_side", lambda *panels: (captions.append(panels[3]), drawn(*panels)))
    result = demo(tmp_path / "a" / "b", device="numpy", seconds=0, echo=said.append)
    assert result["epochs"] == 1 and "the time is up after 1 of" in "\n".join(said)
    [sentence] = [line for line in said if line.startswith("\npatch by patch ")]
    assert len(sentence.strip().splitlines()) == 2 and max(map(len, sentence.splitlines())) <= 80
    assert said[-1] == str(result["files"][-1]) and result["files"][-1].name == "membranes.png"
    assert 0 <= result["merged"] <= result["cells"] and 0 <= result["v_rand"] <= 1
    errors = f"{result['pixel_error']:.3f}; the best grey threshold alone: {result['threshold_error']:.3f}"
    assert errors in "\n".join(said) and f"V_Rand {result['v_rand']:.3f}" in captions[0]
    assert result["largest_difference"] < 1e-5 and result["speedup"] > 0
    assert all(path.is_file() for path in result["files"]) and len(result["files"]) == 6
    folder = tmp_path / "a" / "b"
    assert sorted(folder.iterdir()) == sorted(result["files"])
    truth, labels = (tifffile.imread(folder / f"unseen_{name}.tif") for name in ("truth", "labels"))
    assert (truth != labels).mean() == result["pixel_error"]
    probabilities = Net.load(folder / "model.npz").segment(tifffile.imread(folder / "unseen.tif")[1], turns=True)
    np.testing.assert_array_equal(probabilities, tifffile.imread(folder / "unseen_prob.tif")[1].transpose(1, 2, 0))
    with Image.open(folder / "membranes.png") as picture:
        assert picture.size[0] > 3 * 256 and picture.size[1] > 256


def test_without_matplotlib_there_is_no_picture_and_a_way_to_one(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(module, "RECIPE", Recipe(1, crop=128))
    earlier = Net.from_spec("C1x1x2")
    earlier.record = {"made by": module.MAKER}
    earlier.save(tmp_path / "model.npz")
    assert cli.main(["demo", "-o", str(tmp_path), "--backend", "numpy"]) == 0
    assert 'no picture: drawing needs matplotlib: pip install "tinympcnn[plot]"' in capsys.readouterr().out
    assert not (tmp_path / "membranes.png").exists() and (tmp_path / "unseen_prob.tif").exists()
    assert Net.load(tmp_path / "model.npz").class_values == (0, 255)


@pytest.mark.parametrize("name", ["model.npz", "membranes.png"])
def test_what_no_demo_wrote_is_kept(name, tmp_path, capsys):
    Net.from_spec("C1x1x2").save(tmp_path / "mine.npz")
    before = (tmp_path / "mine.npz").rename(tmp_path / name).read_bytes()
    assert cli.main(["demo", "-o", str(tmp_path), "--backend", "numpy"]) == 2
    assert f"{tmp_path / name} exists and is not of an earlier demo; name another" in capsys.readouterr().err
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["demo", "-o", str(tmp_path / "file"), "--backend", "numpy"]) == 1
    assert "cannot make the folder" in capsys.readouterr().err


def test_panels_stand_side_by_side_in_their_colours(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    grey, colour = np.full((30, 40), 99, np.uint8), np.broadcast_to(np.uint8([0, 200, 50]), (20, 25, 3))
    pictures.side_by_side([grey, colour, grey > 99], ["grey", "colour", "mask"], tmp_path / "a.png", "caption")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    H, W, _ = pixels.shape
    middles = [tuple(pixels[H // 2, round(W * (k + 0.55) / 3)]) for k in range(3)]
    assert middles == [(99, 99, 99), (0, 200, 50), (0, 0, 0)]


@pytest.mark.parametrize(
    ("panels", "titles", "words"),
    [
        ([], [], "0 panel"),
        ([np.eye(3)], ["a", "b"], "1 panel"),
        ([np.zeros(3)], ["a"], r"not \(3,\)"),
        ([np.zeros((3, 3, 4))], ["a"], r"not \(3, 3, 4\)"),
        ([np.zeros((0, 3))], ["a"], r"not \(0, 3\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(panels, titles, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        pictures.side_by_side(panels, titles, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
