"""`tinympcnn classify`: the report, the files it writes, and what it refuses."""

import numpy as np
import pytest
import tifffile
from helpers import rows_of
from PIL import Image

from tinympcnn import Net
from tinympcnn.cli import charts
from tinympcnn.cli.classify import Outputs, classify_files
from tinympcnn.cli.entry import main
from tinympcnn.cli.results import write_table
from tinympcnn.data import synthetic_digits
from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.inference.classify import classify
from tinympcnn.metrics import top_error

IMAGES, CLASSES = synthetic_digits(20, 12, rng=0)


def column(path, seed, preprocessing="none", names=tuple("0123456789")):
    net = Net.from_spec("1x9x9-4C4-MP2-10N", rng=seed)
    net.normalisation, net.class_names = (np.array([0.2]), np.array([0.4])), names
    net.preprocessing = Preprocessing.parse(preprocessing).config()
    net.save(path)
    return net


@pytest.fixture
def place(tmp_path):
    for i, (image, k) in enumerate(zip(IMAGES, CLASSES, strict=True)):
        (tmp_path / "set" / str(k)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(tmp_path / "set" / str(k) / f"im{i}.png")
    return tmp_path


def test_a_committee_is_measured_and_written(place, capsys, monkeypatch):
    monkeypatch.setattr(charts, "MISTAKES", 3)  # drawing takes the time
    nets = [column(place / "a.npz", 0), column(place / "b.npz", 1, "width8")]
    files = {name: str(place / name) for name in ("rows.csv", "confusion.png", "sheet.png")}
    call = ["classify", "-i", str(place / "set"), "-m", str(place / "a.npz"), str(place / "b.npz")]
    call += ["--csv", files["rows.csv"], "--confusion", files["confusion.png"], "--sheet", files["sheet.png"]]
    assert main([*call, "--backend", "numpy"]) == 0
    said = capsys.readouterr().out
    p = classify(nets, IMAGES)
    assert f"{top_error(p, CLASSES):.6g}" in said and "top-2 error" in said and "McNemar" in said
    rows = rows_of(files["rows.csv"])
    assert len(rows) == 20
    for row in rows:
        i = int(row["image"].rpartition("im")[2])
        assert row["class"] == str(CLASSES[i]) and row["predicted"] == str(p[i].argmax())
        assert float(row["probability"]) == pytest.approx(p[i].max(), abs=1e-4)
        assert row["second"] == str(np.argsort(-p[i])[1])
    for name in ("confusion.png", "sheet.png"):
        assert np.asarray(Image.open(files[name])).std() > 0


def test_the_report_by_hand(place):
    nets = [column(place / "a.npz", 0), column(place / "b.npz", 1)]
    report = classify_files([place / "set"], [place / "a.npz", place / "b.npz"], echo=lambda line: None)
    errors = [top_error(classify(net, IMAGES), CLASSES) for net in nets]
    assert report["mean error of the columns"] == pytest.approx(np.mean(errors))
    gain = report["gain of the committee on that mean"]
    assert gain == pytest.approx(np.mean(errors) - top_error(classify(nets, IMAGES), CLASSES))
    assert report["wrong"] == round(20 * report["error"]) and report["seconds per image"] > 0


def test_images_without_classes_get_a_class_each(place):
    column(place / "a.npz", 0)
    report = classify_files(
        [place / "set" / "3"], [place / "a.npz"], Outputs(csv=place / "r.csv"), echo=lambda line: None
    )
    assert report == {"images": 2, "columns": 1, "seconds per image": report["seconds per image"]}
    assert {row["class"] for row in rows_of(place / "r.csv")} == {""}


def new_class(place):
    (place / "set" / "new").mkdir()
    Image.new("L", (12, 12)).save(place / "set" / "new" / "a.png")


@pytest.mark.parametrize(
    ("spoil", "more", "code", "message"),
    [
        (lambda p: column(p / "b.npz", 1, names=tuple("abcdefghij")), ["-m", "b.npz"], 1, "list of class names"),
        (lambda p: (p / "set" / "x").mkdir(), [], 1, "holds no images"),
        (new_class, [], 1, "'new'"),
        (lambda p: (p / "set" / "3" / "bad.png").write_bytes(b"\x89PNG"), [], 1, r"bad\.png"),
        (lambda p: Image.new("L", (9, 12)).save(p / "set" / "3" / "s.png"), [], 1, "one size"),
        (
            lambda p: Net.from_spec("1x9x9-4C4-MP2-10N", rng=0).save(p / "a.npz"),
            [],
            1,
            "does not classify whole images",
        ),
        (lambda p: None, ["--sheet", "sheet.jpg"], 2, "ends in .png"),
        (lambda p: None, ["--csv", "a.npz"], 2, "is an input"),
    ],
)
def test_what_cannot_be_classified_gets_one_sentence(place, monkeypatch, capsys, spoil, more, code, message):
    monkeypatch.chdir(place)
    column("a.npz", 0)
    spoil(place)
    assert main(["classify", "-i", "set", "-m", "a.npz", *more]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message.replace("\\", "") in said


def test_pictures_of_mistakes_need_the_truth(place, capsys):
    column(place / "a.npz", 0)
    call = ["classify", "-i", str(place / "set" / "3"), "-m", str(place / "a.npz"), "--sheet", str(place / "s.png")]
    assert main(call) == 2 and "true classes" in capsys.readouterr().err


def test_a_name_that_is_no_text_comes_into_the_table(tmp_path):
    write_table(tmp_path / "rows.csv", [{"image": "d\udce9faut", "class": "Zähne"}])
    assert rows_of(tmp_path / "rows.csv") == [{"image": "d\\udce9faut", "class": "Zähne"}]


def test_images_on_another_scale_are_warned_of(place, capsys):
    column(place / "a.npz", 0)
    assert main(["classify", "-i", str(place / "set"), "-m", str(place / "a.npz")]) == 0
    assert "warning" not in capsys.readouterr().out
    tifffile.imwrite(place / "a.tif", IMAGES[0, ..., 0].astype(np.float32))
    assert main(["classify", "-i", str(place / "a.tif"), "-m", str(place / "a.npz")]) == 0
    assert "a.npz the images have mean" in " ".join(capsys.readouterr().out.split())


def test_a_class_whose_name_is_no_text_is_drawn(place):
    names = ("z\udce4hne", *"123456789")
    (place / "set" / "0").rename(place / "set" / names[0])
    column(place / "a.npz", 0, names=names)
    outputs = Outputs(confusion=place / "confusion.png", sheet=place / "sheet.png")
    classify_files([place / "set"], [place / "a.npz"], outputs, echo=lambda line: None)
    assert (place / "confusion.png").is_file() and (place / "sheet.png").is_file()
