"""Pictures of the commands: colours that everybody can tell apart, outlines and mistakes where they are, curves."""

import itertools

import numpy as np
import pytest
import tifffile
from helpers import refused, rows_of

from tinympcnn import Net, UsageError
from tinympcnn.cli import charts, pictures
from tinympcnn.cli.session import Session
from tinympcnn.cli.train import train_files
from tinympcnn.training.recipe import Recipe

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


def test_tinted_neighbours_have_different_colours(rng):
    image, segments = rng.integers(0, 256, (40, 60)).astype(np.uint8), np.zeros((40, 60), int)
    for i, (row, column) in enumerate(itertools.product(range(4), range(6)), 1):
        segments[10 * row : 10 * row + 9, 10 * column : 10 * column + 9] = i
    tints = pictures.tinted(image, segments, strength=1)
    inks = {i: {tuple(pixel) for pixel in tints[segments == i]} for i in range(1, 25)}
    assert all(len(ink) == 1 for ink in inks.values()) and len(set.union(*inks.values())) > 2
    for i in range(1, 25):
        assert (i % 6 == 0 or inks[i] != inks[i + 1]) and (i > 18 or inks[i] != inks[i + 6])
    assert (tints[segments == 0] < 100).all() and pictures.tinted(image, segments * 0).max() < 100


def count(path, ink):
    """Count the pixels of a picture that have a colour."""
    with Image.open(path) as picture:
        return int((np.abs(np.asarray(picture.convert("RGB")) / 255 - pictures.rgb(ink)) < 0.01).all(axis=2).sum())


def test_a_preview_has_outlines_and_mistakes_in_two_colours(tmp_path):
    classes = np.zeros((100, 120), int)
    classes[20:60, 30:80] = 1
    truth = np.zeros_like(classes)
    truth[20:70, 30:70] = 1
    truth[:5] = -1
    image = np.full((100, 120, 1), 128, np.uint8)
    pictures.draw_preview(tmp_path / "a.png", image, classes, (0, 255))
    scale = 4**2  # pixels of the picture for each pixel of the image
    assert count(tmp_path / "a.png", pictures.INK[1]) >= scale * (2 * 40 + 2 * 48)
    pictures.draw_preview(tmp_path / "b.png", image, classes, (0, 255), truth)
    assert count(tmp_path / "b.png", pictures.FALSE) == pytest.approx(scale * 40 * 10, rel=0.5)
    assert count(tmp_path / "b.png", pictures.MISSED) == pytest.approx(scale * 10 * 40, rel=0.5)
    assert count(tmp_path / "a.png", pictures.FALSE) == 0


def test_segment_draws_previews_and_compares_with_labels(run, made, tmp_path):
    job = ["segment", "-i", made / "images.tif", "-m", made / "model.npz", "-o", tmp_path / "out"]
    refused(run(*job, "-l", made / "labels.tif"), 2, "give --preview too, or use evaluate")
    code, said, _ = run(*job, "--preview", "-l", made / "labels.tif")
    assert code == 0 and "images_preview.png" in said
    preview = tmp_path / "out" / "images_preview.png"
    wrong = tifffile.imread(tmp_path / "out" / "images_labels.tif")[0] != tifffile.imread(made / "labels.tif")[0]
    with Image.open(preview) as picture:
        scale = (picture.size[0] // 18) ** 2
    assert count(preview, pictures.FALSE) + count(preview, pictures.MISSED) > 0.8 * scale * wrong.sum() > 0
    refused(run(*job, "--preview"), 2, "exists already")
    preview.unlink()
    small = tifffile.imread(made / "labels.tif")[:, ::2]
    tifffile.imwrite(tmp_path / "small.tif", small, photometric="minisblack", metadata={"axes": "ZYX"})
    refused(run(*job, "--preview", "-l", tmp_path / "small.tif"), 1, "differ in size")
    assert run(*job, "--preview", "--force")[0] == 0 and preview.exists()
    tifffile.imwrite(tmp_path / "out" / "new.tif", np.zeros((16, 18, 3), np.uint8), photometric="rgb")
    colours, there = Net.from_spec("FC2", 3, rng=0), tmp_path / "out"
    colours.save(tmp_path / "rgb.npz")  # which could take its own previews for images
    assert run("segment", "-i", there, "-m", tmp_path / "rgb.npz", "-o", there, "--preview")[0] == 0
    assert sorted(path.name for path in there.glob("*_prob.tif")) == ["images_prob.tif", "new_prob.tif"]
    (tmp_path / "in").mkdir()
    for name in ("a", "a_preview"):
        tifffile.imwrite(tmp_path / "in" / f"{name}.png", tifffile.imread(made / "images.tif")[0])
    again = ["segment", "-i", tmp_path / "in", "-m", made / "model.npz", "-o", tmp_path / "in", "--preview", "--force"]
    refused(run(*again), 2, "a_preview.png is an input and will not be overwritten")


def test_a_preview_of_a_thin_image_is_down_sampled_as_its_labels(run, tmp_path, monkeypatch):
    net = Net.from_spec("FC2", rng=0)
    net.record = {"downsample": 2}
    net.save(tmp_path / "m.npz")
    for name in ("thin", "truth"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.arange(3 * 41, dtype=np.uint8).reshape(3, 41) % 2)
    drawn = []
    monkeypatch.setattr(pictures, "draw_preview", lambda path, *arrays: drawn.extend(arrays))
    job = ["segment", "-i", tmp_path / "thin.tif", "-m", tmp_path / "m.npz", "-o", tmp_path / "out", "--preview"]
    run(*job, "-l", tmp_path / "truth.tif")
    image, classes, _, truth = drawn
    assert image.shape == (1, 20, 1) and classes.shape == truth.shape == (1, 20)


@pytest.mark.parametrize("name", ["_log", b"\xff".decode("utf-8", "surrogateescape"), "\ufeff"])
def test_logs_of_any_name_and_from_a_spreadsheet_are_plotted(run, tmp_path, name):
    try:
        (tmp_path / f"{name}.csv").write_text("\ufeffepoch,loss_train\n1,3\n2,1\n", encoding="utf-8")
    except OSError:
        pytest.skip("this system has no such names")
    assert run("plot", tmp_path / f"{name}.csv", "-o", tmp_path / "m.png")[0] == 0


def test_the_curves_of_logs_are_plotted(run, made, tmp_path):
    files = ["-i", made / "images.tif", "-l", made / "labels.tif", "-o", tmp_path / "m.npz", "--net", "FC2"]
    assert run("train", *files, "--epochs", "3", "--val", "0.3", "--log", tmp_path / "m.csv")[0] == 0
    (tmp_path / "n.csv").write_bytes((tmp_path / "m.csv").read_bytes())
    code, said, _ = run("plot", tmp_path / "m.csv", tmp_path / "n.csv", "-o", tmp_path / "m.png")
    assert code == 0 and said.split() == ["wrote", str(tmp_path / "m.png")]
    assert count(tmp_path / "m.png", pictures.INK[1]) > 100
    refused(run("plot", tmp_path / "m.csv", "-o", tmp_path / "m.png"), 2, "exists already")
    refused(run("plot", tmp_path / "m.csv", "-o", tmp_path / "m.csv"), 2, "is an input")
    refused(run("plot", tmp_path / "m.csv", "-o", tmp_path / "m.jpg"), 2, "ends in .png")
    refused(run("plot", tmp_path / "no.csv", "-o", tmp_path / "b.png"), 1, "cannot read the log")
    for text in ("", "epoch,loss_train\n", "epoch,loss_train\n1,x\n", "a,b\n1,2\n", "epoch,\n1," + "9" * 140000):
        (tmp_path / "wrong.csv").write_text(text)
        refused(run("plot", tmp_path / "wrong.csv", "-o", tmp_path / "b.png"), 1, "is not a log of training")
    assert not (tmp_path / "b.png").exists()


def test_a_run_that_is_watched_draws_its_image_anew_and_trains_to_the_same_bits(made, tmp_path, monkeypatch):
    drawn, draw = [], charts.draw_watch
    monkeypatch.setattr(charts, "draw_watch", lambda path, log, images: (drawn.append(images), draw(path, log, images)))
    paths, recipe = ([made / "images.tif"], [made / "labels.tif"]), Recipe(epochs=2, options={"lr": 0.01})
    session = Session(watch=tmp_path / "w.png", echo=lambda line: None)
    net = train_files(*paths, tmp_path / "a.npz", recipe, net="C3x3x3 FC2", val=0.3, session=session)
    same = train_files(*paths, tmp_path / "b.npz", recipe, net="C3x3x3 FC2", val=0.3)
    assert (net.flat() == same.flat()).all()
    with Image.open(tmp_path / "w.png") as picture:
        assert picture.size[0] > 900
    assert [list(images) for images in drawn] == [["image", "truth", "probability of 255", "answer"]] * 2
    answers = [images["probability of 255"] for images in drawn]
    held = tifffile.imread(made / "images.tif")[2]
    np.testing.assert_allclose(answers[1], Net.load(tmp_path / "a.npz").segment(held)[..., 1], atol=1e-6)
    assert (answers[0] != answers[1]).any()
    with pytest.raises(UsageError, match=r"ends in \.png"):
        train_files(*paths, tmp_path / "c.npz", recipe, session=Session(watch=tmp_path / "w.jpg"))


def test_a_picture_that_cannot_be_written_does_not_stop_the_run(made, tmp_path):
    said, picture = [], tmp_path / "w" / "w.png"
    picture.parent.mkdir()

    def report(record):
        if record["epoch"] == 1:
            picture.unlink()
            picture.parent.rmdir()

    session = Session(watch=picture, echo=said.append, report=report, log=tmp_path / "log.csv")
    train_files([made / "images.tif"], [made / "labels.tif"], tmp_path / "a.npz", Recipe(3), net="FC2", session=session)
    assert [line for line in said if "training goes on" in line and "w.png" in line] != []
    assert len(rows_of(tmp_path / "log.csv")) == 3
