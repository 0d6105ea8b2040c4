"""Decisions per image: against counting pixels, against every threshold, and through files."""

import numpy as np
import pytest
from helpers import rows_of
from PIL import Image

from tinympcnn import Committee, Net, Recipe, cli
from tinympcnn.cli import charts
from tinympcnn.cli.detect import Outputs, Rule, detect_files, write_rows
from tinympcnn.cli.pictures import BLUE, VERMILLION
from tinympcnn.cli.segment import segment_files
from tinympcnn.cli.train import train_files
from tinympcnn.data import downsample
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference.inspection import choose_pixels, choose_threshold, inspect, score
from tinympcnn.io.images import read_images
from tinympcnn.io.predictions import read_prediction
from tinympcnn.io.reading import Reading
from tinympcnn.metrics.roc import balanced_pixel_error, decide, roc_curve


def test_the_score_is_where_more_pixels_than_allowed_are_above_the_threshold(rng):
    p = rng.random((13, 17)).round(2)  # with ties
    for pixels in (0, 1, 2.5, 50, 5000 / 16, 220, 220.9, 221, 1e6):
        e = score(p, pixels)
        for t in np.linspace(0, 1, 201):
            assert (e > t) == ((p > t).sum() > pixels)


@pytest.mark.parametrize("case", range(10))
def test_no_threshold_decides_better_than_the_chosen_one(case):
    rng = np.random.default_rng(case)
    truth = rng.random(30) < 0.3
    scores = (0.6 * rng.random(30) + 0.4 * truth * rng.random(30)).round(rng.integers(1, 3))
    chosen = decide(scores, truth, choose_threshold(scores, truth)).mistakes
    assert chosen == min(decide(scores, truth, t).mistakes for t in np.linspace(0, 1, 1001))


def test_decisions_count_every_image_once():
    result = decide([0.9, 0.9, 0.1, 0.1, 0.1, 0.9], [1, 0, 1, 0, 0, 1], 0.5)
    assert (result.hits, result.misses, result.false_alarms, result.passes) == (2, 1, 1, 2)
    assert (result.mistakes, result.precision, result.recall) == (2, 2 / 3, 2 / 3)
    nothing = decide([0.1], [0], 0.5)
    assert np.isnan([nothing.precision, nothing.recall]).all() and nothing.specificity == 1


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(rng):
    truth = rng.random(60) < 0.4
    scores = (0.5 * rng.random(60) + 0.3 * truth).round(1)  # with ties
    above = scores[truth][:, None] - scores[~truth]
    curve = roc_curve(scores, truth)
    assert curve.auc == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
    for t, false_alarms, hits in zip(curve.thresholds, curve.false_alarm_rate, curve.hit_rate, strict=True):
        result = decide(scores, truth, t)
        assert result.recall == hits and result.false_alarms == pytest.approx(false_alarms * (~truth).sum())


def test_the_balanced_error_draws_as_many_of_either_kind(rng):
    truths = [rng.random((40, 50)) < 0.02, np.zeros((30, 20), bool)]
    always = [np.ones_like(y, float) for y in truths]
    assert balanced_pixel_error(always, truths) == 0.5
    noisy = [np.where(rng.random(y.shape) < 0.1, 1 - y, y).astype(float) for y in truths]
    assert balanced_pixel_error(noisy, truths, n=500) == balanced_pixel_error(noisy, truths, n=500)
    assert 0.02 < balanced_pixel_error(noisy, truths, n=500) < 0.2


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: score([], 0), UsageError),
        (lambda: score([0.5], -1), UsageError),
        (lambda: roc_curve([0.1, 0.2], [True, True]), DataError),
        (lambda: roc_curve([0.1, 0.2], [True]), DataError),
        (lambda: choose_threshold([1.5], [True]), DataError),
        (lambda: choose_threshold([np.nan], [True]), DataError),
        (lambda: balanced_pixel_error([np.ones((2, 2))], [np.ones((2, 2))]), DataError),
    ],
)
def test_what_cannot_be_judged_is_refused(call, error):
    with pytest.raises(error):
        call()


@pytest.fixture
def plant(tmp_path, rng, monkeypatch):
    """Write images of which some have a bright square, their labels, and a model that knows brightness."""
    monkeypatch.setattr(charts, "SHEET_ROWS", 2)  # drawing takes the time
    for i in range(6):
        image, label = rng.integers(0, 40, (24, 30)).astype(np.uint8), np.zeros((24, 30), np.uint8)
        if i % 3 == 0:
            image[8:16, 12:20], label[8:16, 12:20] = 220, 255
        for kind, picture in (("image", image), ("label", label)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / kind / f"{i}.png")
    net = Net.from_spec("FC2", rng=0)
    net.set_flat(np.array([-4.0, 4.0, 0.0, 0.0], np.float32))
    net.normalisation = np.array([120.0]), np.array([50.0])
    net.class_values = (0, 255)
    net.record = {"downsample": 2}
    net.save(tmp_path / "model.npz")
    return tmp_path


def detect(plant, labels=True, outputs=Outputs(), reading=Reading(), echo=print, **rule):
    truth = [plant / "label"] if labels else None
    return detect_files(
        [plant / "image"], plant / "model.npz", truth, Rule(**rule), outputs, reading=reading, echo=echo
    )


def test_from_files_to_decisions(plant, capsys):
    both = [plant / "image"], [plant / "label"]
    report = detect(plant, outputs=Outputs(csv=plant / "rows.csv"), validation=both, pixels=20)
    assert (report["images"], report["with a defect"], report["misses"], report["false alarms"]) == (6, 2, 0, 0)
    assert report["ROC AUC"] == 1 and report["balanced pixel error at 0.5"] == 0
    rows = rows_of(plant / "rows.csv")
    assert [row["outcome"] for row in rows] == ["hit", "pass", "pass"] * 2
    assert rows[0]["pixels_above_threshold"] == "64"  # at full resolution
    assert "misses" in capsys.readouterr().out


def test_the_number_of_pixels_is_one_at_full_resolution(plant):
    assert detect(plant, labels=False, pixels=63)["flagged"] == 2
    assert detect(plant, labels=False, pixels=64)["flagged"] == 0


def test_a_defect_too_thin_for_the_net_s_resolution_is_a_defect_still(plant):
    label = np.zeros((24, 30), np.uint8)
    label[3:20, 7] = 255  # a crack: no block of 2x2 has more of it than of steel
    Image.fromarray(label).save(plant / "label" / "1.png")
    report = detect(plant, pixels=20)
    assert (report["with a defect"], report["misses"]) == (3, 1)


def test_a_lot_of_which_every_defect_is_too_thin_has_no_pixel_error(plant):
    flawless(plant)
    label = np.zeros((24, 30), np.uint8)
    label[3:20, 7] = 255
    Image.fromarray(label).save(plant / "label" / "1.png")
    report = detect(plant, pixels=20)
    assert report["with a defect"] == 1 and 0 <= report["ROC AUC"] <= 1
    assert "balanced pixel error at 0.5" not in report


def flawless(plant):
    """Take the defects out of images and labels."""
    for i in (0, 3):
        for kind in ("image", "label"):
            (plant / kind / f"{i}.png").write_bytes((plant / kind / "1.png").read_bytes())


def test_a_flawless_lot_can_be_judged(plant):
    flawless(plant)
    report = detect(plant, pixels=20)
    assert (report["with a defect"], report["false alarms"]) == (0, 0) and np.isnan(report["recall"])
    assert "ROC AUC" not in report
    both = [plant / "image"], [plant / "label"]
    for pixels in (20, None):
        with pytest.raises(DataError, match="none of 6 has one"):
            detect(plant, labels=False, validation=both, pixels=pixels)


def test_every_value_but_that_of_the_first_class_is_a_defect(plant):
    path = plant / "label" / "1.png"
    label = np.asarray(Image.open(path)).copy()
    label[2:4, 2:4] = 128
    Image.fromarray(label).save(path)
    detected = detect(plant, pixels=20)
    assert detected["with a defect"] == 3
    cut = detect(plant, pixels=20, reading=Reading(threshold=200))
    assert cut["with a defect"] == 2
    for other in (plant / "label").iterdir():
        Image.fromarray(np.full((24, 30), 7, np.uint8)).save(other)
    with pytest.raises(DataError, match="no pixel of the labels has the value 0, which stands for sound; they hold 7"):
        detect(plant)


def test_images_on_another_scale_are_warned_of(plant):
    said = []
    for path in (plant / "image").iterdir():
        with Image.open(path) as picture:
            wide = np.asarray(picture).astype(np.uint16) * 257
        Image.fromarray(wide).save(path)
    detect(plant, labels=False, pixels=20, echo=said.append)
    [warning] = [line for line in said if "warning" in line]
    assert warning.startswith("warning: 6 of 6 images on another scale, the first is 0 with mean 9")
    assert warning.endswith("against mean 120, deviation 50 of the training images: bring it to their scale")


def test_flagged_images_are_named_and_many_are_counted(plant, monkeypatch):
    def told(**options):
        said = []
        detect(plant, labels=False, **options, echo=said.append)
        return said

    assert told(pixels=20)[-1] == "flagged: 0, 3"
    assert not any("flagged: " in line for line in told(pixels=64))
    monkeypatch.setattr("tinympcnn.cli.detect.NAMED", 1)
    assert told(pixels=20)[-1] == "flagged: 0 and 1 more, see --csv"


def test_more_pixels_than_a_quarter_of_an_image_are_warned_of(plant):
    said = []
    for pixels in (24 * 30 / 4, 24 * 30 / 4 + 1):
        detect(plant, labels=False, pixels=pixels, echo=said.append)
    assert [line for line in said if "warning" in line] == [
        "warning: --pixels 181 is more than a quarter of image 0, which has 720 pixels, so smaller defects are missed; "
        "try --pixels 27, or auto with validation images"
    ]


def test_the_number_of_pixels_is_the_one_that_tells_the_kinds_apart_best(rng):
    truth = np.arange(12) % 3 == 0
    probabilities = [rng.uniform(0, 0.6, (16, 20)) for _ in truth]
    for p, defect in zip(probabilities, truth, strict=True):
        p.flat[rng.choice(p.size, 5, replace=False)] = 0.95  # wrong pixels, everywhere
        p[4:9, 4:9] = np.minimum(p[4:9, 4:9] + 0.3 * defect, 0.95)
    pixels = choose_pixels(probabilities, 25 * truth)
    assert pixels == 8  # of 0, 1, 2, 4, ...: the smallest beyond the wrong pixels
    assert roc_curve([score(p, pixels) for p in probabilities], truth).auc == 1
    assert choose_pixels(probabilities, 8 * truth) <= 4  # half of a defect
    assert choose_pixels([np.ones((1, 2)), np.zeros((1, 2))], [0.3, 0]) == 0


def test_pixels_are_chosen_on_validation_images(plant):
    both, said = ([plant / "image"], [plant / "label"]), []
    report = detect(plant, validation=both, pixels=None, echo=said.append)
    assert (report["misses"], report["false alarms"]) == (0, 0)
    assert said[1] == "more than 0 pixels, chosen on 6 validation images"
    with pytest.raises(UsageError, match="validation images"):
        detect(plant, pixels=None)


def test_turns_and_several_models_are_averaged(plant, rng):
    images, labels = [plant / "image"], [plant / "label"]
    train_files(images, labels, plant / "other.npz", Recipe(epochs=1), net="C3x3x2 FC2", reading=Reading(downsample=2))
    nets = [Net.load(plant / name) for name in ("model.npz", "other.npz")]
    [image] = read_images([plant / "image" / "0.png"])[0]
    [one] = inspect(Committee(nets, turns=True), [image], [None], ["0"], pixels=20, factor=2)
    expected = sum(net.segment(downsample(image, 2), turns=True)[:, :, 1] for net in nets) / 2
    np.testing.assert_allclose(one.probability, expected, atol=1e-6)
    models = [plant / "model.npz", plant / "other.npz"]
    detect_files(
        [plant / "image" / "0.png"], models, None, Rule(turns=True, pixels=20), Outputs(csv=plant / "rows.csv")
    )
    [row] = rows_of(plant / "rows.csv")
    assert float(row["score"]) == pytest.approx(one.score, abs=1e-4)


def test_the_roc_curve_is_drawn_with_the_chosen_point(plant):
    report = detect(plant, pixels=20, outputs=Outputs(roc=plant / "roc.png"))
    assert report["ROC AUC"] == 1
    with Image.open(plant / "roc.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))

    def centre(colour):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        rows, columns = np.nonzero((pixels[: pixels.shape[0] // 2] == rgb).all(axis=2))
        return (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2, len(rows), rows.min()

    row, column, size, _ = centre(VERMILLION)
    assert size > 50 and abs(row - centre(BLUE)[3]) <= 9 and column < pixels.shape[1] / 3  # at the top left: no mistake
    with pytest.raises(UsageError, match="labels"):
        detect(plant, labels=False, pixels=20, outputs=Outputs(roc=plant / "roc.png"))


def test_outputs_are_checked_before_the_work(plant):
    inputs = {p: p.read_bytes() for p in plant.rglob("*.*")}
    for outputs, error, words in (
        ({"csv": plant / "no" / "rows.csv"}, DataError, "there is no folder"),
        ({"sheet": plant / "image" / "0.png"}, UsageError, "is an input"),
        ({"roc": plant / "model.npz"}, UsageError, "is an input"),
        ({"sheet": plant / "a.png", "roc": plant / "a.png"}, UsageError, "two outputs have the name"),
        ({"sheet": plant / "a.jpg"}, UsageError, "ends in .png"),
    ):
        with pytest.raises(error, match=words):
            detect(plant, outputs=Outputs(**outputs), echo=lambda line: pytest.fail(line))
    with pytest.raises(UsageError, match="downsample must be at least 1"):
        Rule(downsample=0)
    assert {p: p.read_bytes() for p in plant.rglob("*.*")} == inputs


def test_a_threshold_is_given_or_chosen(plant):
    both = ([plant / "image"], [plant / "label"])
    with pytest.raises(UsageError, match="not both"):
        detect(plant, labels=False, validation=both, threshold=0.3)
    with pytest.raises(UsageError, match="threshold of the labels needs labels"):
        detect(plant, labels=False, reading=Reading(threshold=0.3))


def test_train_segment_and_detect_agree_on_the_resolution(plant):
    both = [plant / "image"], [plant / "label"]
    net = train_files(*both, plant / "new.npz", Recipe(epochs=1), net="C3x3x2 FC2", reading=Reading(downsample=2))
    assert net.record["downsample"] == 2
    probability, _ = segment_files([plant / "image" / "0.png"], plant / "new.npz", plant / "out")
    assert read_prediction(probability).pages[0].shape == (12, 15, 2)
    assert detect_files(both[0], plant / "new.npz", both[1])["with a defect"] == 2


def test_the_command(plant, capsys):
    call = ["detect", "-m", plant / "model.npz", "-i", plant / "image", "-l", plant / "label", "--pixels", "20"]
    assert cli.main([*map(str, call), "--csv", str(plant / "rows.csv"), "--sheet", str(plant / "sheet.png")]) == 0
    assert "false alarms" in capsys.readouterr().out and (plant / "rows.csv").is_file()
    with Image.open(plant / "sheet.png") as sheet:
        assert sheet.width > 900  # three panels enlarged to about 300
    assert cli.main(["detect", "-m", str(plant / "model.npz"), "-i", str(plant / "nowhere")]) == 1


def test_pixels_that_do_not_count_do_not_count_anywhere(plant):
    label = np.zeros((24, 30), np.uint8)
    label[8:16, 12:20] = 128  # over the bright square of image 0
    Image.fromarray(label).save(plant / "label" / "0.png")
    ignoring = Reading(ignore=(128,))
    report = detect(plant, pixels=20, reading=ignoring, outputs=Outputs(csv=plant / "rows.csv"))
    assert (report["with a defect"], report["flagged"], report["misses"], report["false alarms"]) == (1, 1, 0, 0)
    row = rows_of(plant / "rows.csv")[0]
    assert (row["outcome"], row["pixels_above_threshold"]) == ("pass", "0")
    call = ["detect", "-m", plant / "model.npz", "-i", plant / "image", "-l", plant / "label", "--ignore", "128"]
    assert cli.main([*map(str, call), "--pixels", "20"]) == 0


def test_rows_are_utf_8_whatever_the_names(plant):
    found = inspect(
        Net.load(plant / "model.npz"), [np.zeros((4, 4, 1))] * 2, [None] * 2, ["Zähne_日本 $1$", "d\udce9faut"], 0
    )
    write_rows(plant / "rows.csv", found, 0.5)
    names = [row["image"] for row in rows_of(plant / "rows.csv")]
    assert names == ["Zähne_日本 $1$", "d\\udce9faut"]
    charts.contact_sheet(plant / "sheet.png", found, 0.5, 0)


def test_an_image_whose_probabilities_are_nan_is_named_and_never_sound(plant):
    net = Net.load(plant / "model.npz")
    net.normalisation = np.array([0.0]), np.array([0.01])
    images = [np.zeros((4, 5, 1)), np.full((4, 5, 1), 3e38)]
    with pytest.raises(DataError, match=r"^b: the net gives NaN in rows 0 to 3"):
        inspect(net, images, [None, None], ["a", "b"], pixels=0)


def test_what_is_neither_a_defect_nor_none_is_refused():
    with pytest.raises(DataError, match="got -1 to 1"):
        roc_curve([0.1, 0.2, 0.3], [-1, 0, 1])
    with pytest.raises(DataError, match="without NaN"):
        balanced_pixel_error([np.array([np.nan, 0.2])], [np.array([1, 0])])
