"""The report of the membrane results: on synthetic slices, every subcommand writes what the page needs."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tinympcnn import Net, Recipe
from tinympcnn.cli.train import train_files
from tinympcnn.data import synthetic_membranes

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import membranes
import pages

SPEC = "C3x3x4 MPF2x2 C2x2x4 FC2"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with slices for training and held-out ones, one trained model, and a page to fill."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(membranes, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(membranes, "FOLDER", tmp_path / "page")
    (tmp_path / "page").mkdir()
    images, labels = synthetic_membranes(6, 48, rng=0)
    for name, part in (("train", slice(2, 6)), ("held", slice(0, 2))):
        tifffile.imwrite(f"{name}.tif", images[part], photometric="minisblack")
        tifffile.imwrite(f"{name}-labels.tif", labels[part], photometric="minisblack")
    train_files(["train.tif"], ["train-labels.tif"], "n3.npz", Recipe(epochs=1), net=SPEC)
    return tmp_path


def test_scores_are_rows_and_a_combination_has_one(work, capsys):
    membranes.score(["n3"], False, False, 0)
    membranes.score(["n3"], True, True, 2)
    membranes.score(["n3"], False, False, 0)
    rows = pages.read(membranes.FOLDER / "scores.csv")
    assert [(row["nets"], row["views"], row["median"]) for row in rows] == [("n3", "8", "2"), ("n3", "1", "0")]
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in membranes.COLUMNS)


@pytest.mark.slow
def test_patches_train_the_image_net_and_log_it(work, capsys):
    membranes.patches("patches", SPEC, 0.02, 0)
    (row,) = pages.read(work / "patches.csv")
    assert int(row["patches"]) % membranes.BATCH == 0 and float(row["seconds"]) >= 1.2
    assert Net.load("patches.npz").class_values == (0, 255)


def test_a_picture_of_a_slice(work):
    membranes.picture(Path("n3.npz"), Path("held.tif"), Path("held-labels.tif"), Path("map.png"), 1)
    assert (work / "map.png").stat().st_size > 1000


def test_tables_stand_between_their_markers_and_nothing_else_changes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- squares: 2 3 -->\nold\n<!-- end -->\nafter <!-- other: 1 -->\n")
    for _ in range(2):
        pages.fill(page, {"squares": lambda names: [["n", "n*n"], *([n, str(int(n) ** 2)] for n in names)]})
    table = "| n | n*n |\n| ---: | ---: |\n| 2 | 4 |\n| 3 | 9 |\n"
    assert page.read_text() == f"before\n<!-- squares: 2 3 -->\n{table}<!-- end -->\nafter <!-- other: 1 -->\n"


def test_numbers_stand_at_the_right_with_equal_digits():
    rows = [{"net": "a", "error": "0.9", "updates": "36300", "log": "[1.5](a.csv)"},
            {"net": "b", "error": "0.8125", "updates": "", "log": "[12](b.csv)"}]  # fmt: skip
    table = pages.chosen(rows, {"net": "net", "error": "error", "updates": "updates", "log": "log"})
    lines = pages.markdown(table).splitlines()
    assert lines[1:] == [
        "| --- | ---: | ---: | ---: |",
        "| a | 0.9000 | 36,300 | [1.5](a.csv) |",
        "| b | 0.8125 |  | [12](b.csv) |",
    ]
    assert pages.chosen(rows, {"error": "error (%)"}, digits=4) == [["error (%)"], ["90.00"], ["81.25"]]
    mixed = [["what", "value"], ["images", "134"], ["threshold", "0.9063"]]
    assert "| images | 134 |" in pages.markdown(mixed)  # rows with units of their own keep their digits


def test_numbers_of_the_page_come_from_the_logs(work):
    log = [{"epoch": 1, "images": 4, "loss_train": 0.5, "loss_val": 0.4, "pixel_error": 0.2, "seconds": 90.0,
            "patches_per_second": 12345.6}]  # fmt: skip
    for name in ("n3", "table1_n3"):
        pages.write(membranes.FOLDER / f"{name}.csv", log)
    assert membranes.runs_table(["n3"])[1][1:] == ["1", "4", "1.5", "0.5000", "0.4000", "0.2000"]
    assert membranes.speed_table(["table1_n3"])[1][-1].startswith("[12,346]")
    assert np.isclose(float(pages.read(membranes.FOLDER / "n3.csv")[0]["pixel_error"]), 0.2)
