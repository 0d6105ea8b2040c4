"""The splits of the steel benchmarks: nothing is shared, nothing is left out, twins stay together."""

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import rows_of

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import steel_protocol
import steel_report
import surfaces

from tinympcnn import Net
from tinympcnn.cli.results import write_table


def parts_share_nothing(parts, n):
    return sorted(i for part in parts for i in part) == list(range(n))


def test_the_protocol_splits_in_halves_and_quarters():
    parts = steel_protocol.split(534)
    assert parts_share_nothing(parts, 534) and [len(part) for part in parts] == [267, 133, 134]


@pytest.mark.parametrize("seed", range(5))
def test_twins_stay_on_one_side_and_every_kind_is_in_every_part(seed):
    names = [f"{kind}_{i}" for kind in ("In", "Pa", "Sc") for i in range(90, 260)]
    kinds = [name[:2] for name in names]
    parts = surfaces.split(names, kinds, seed)
    assert parts_share_nothing(parts, len(names))
    for twin, first in surfaces.TWINS.items():
        assert any({names.index(twin), names.index(first)} <= set(part) for part in parts)
    assert all({kinds[i] for i in part} == {"In", "Pa", "Sc"} for part in parts)


def test_photographs_of_one_tile_stay_on_one_side():
    rng = np.random.default_rng(0)
    tiles = [int(n) for n in 3000 * rng.permutation(60)]
    kinds = [("MT_Free", "MT_Crack", "MT_Fray")[i % 3] for i in range(60) for _ in range(1 + i % 5)]
    names = [f"exp{j + 1}_num_{tile + 50 * j}" for i, tile in enumerate(tiles) for j in range(1 + i % 5)]
    parts = surfaces.split_by_tile(names, kinds)
    assert parts_share_nothing(parts, len(names))
    sides = [{int(names[i].split("_")[2]) // 3000 for i in part} for part in parts]
    assert sum(map(len, sides)) == 60
    for part, share in zip(parts, surfaces.SHARES, strict=True):
        for kind in set(kinds):
            assert sum(kinds[i] == kind for i in part) == pytest.approx(share * kinds.count(kind), abs=2)


def test_kinds_become_classes():
    some, none = np.array([[0, 1], [1, 0]]), np.zeros((2, 2), int)
    labels = surfaces.by_kind([some, none, some, none], ["MT_Fray", "MT_Free", "MT_Break", "MT_Fray"])
    assert [y.max() for y in labels] == [2, 0, 1, 0] and (labels[0] == 2 * some).all()


def test_uneven_areas_count_by_their_outline():
    y = np.zeros((12, 10), int)
    y[:6] = 1  # down to row 5, from side to side: only its lower edge is one
    same, outline = surfaces.outlined([y, y], ["MT_Fray", "MT_Uneven"], 2)
    assert same is y
    assert (outline == np.repeat([-1, 1, 0], [4, 4, 4])[:, None]).all()


@pytest.mark.data
@pytest.mark.slow
def test_the_real_sets_are_what_the_results_speak_of(data_root):
    if not (data_root / "steel-strip").is_dir() or not (data_root / "magnetic-tile").is_dir():
        pytest.skip("no steel-strip or magnetic-tile under TINYMPCNN_DATA")
    images, labels, names, kinds = surfaces.read("steel-strip", 4)
    assert len(images) == 603 and set(kinds) == {"In", "Pa", "Sc"} and all(y.shape == (50, 50) for y in labels)
    assert parts_share_nothing(surfaces.split(names, kinds), 603)
    images, labels, names, kinds = surfaces.read("magnetic-tile", 4, standardise=True)
    assert len({y.shape for y in labels}) > 100 and len(set(kinds)) == 6
    assert not any(y.any() for y, kind in zip(labels, kinds, strict=True) if kind == "MT_Free")
    assert all(abs(float(np.mean(image))) < 1e-3 for image in images)


class Killed(Exception):
    pass


@pytest.fixture
def small(monkeypatch, rng):
    """Put a few small images in the place of both sets."""
    images = [rng.standard_normal((9, 12, 1)) for _ in range(8)]
    labels = [(image[:, :, 0] > 0.5).astype(np.int64) for image in images]
    kinds = ["In"] * 8
    monkeypatch.setattr(steel_protocol, "read", lambda seed: (images, labels))
    monkeypatch.setattr(steel_protocol, "CHECK", 2)
    monkeypatch.setattr(steel_protocol.zoo, "steel", lambda rng: Net.from_spec("C3x3x4 MPF2x2 FC2", rng=rng))
    monkeypatch.setattr(surfaces, "read", lambda *_: (images, labels, [f"In_{i}" for i in range(8)], kinds))


def logged(path):
    return [{key: row[key] for key in ("epoch", "evaluations", "loss_train", "loss_val")} for row in rows_of(path)]


@pytest.mark.parametrize(
    ("benchmark", "words"),
    [(steel_protocol, []), (surfaces, ["steel-strip", "C3x3x4 MPF2x2 FC2"])],
    ids=["protocol", "surfaces"],
)
def test_a_benchmark_that_is_interrupted_and_goes_on_has_every_row_once(benchmark, words, small, tmp_path, monkeypatch):
    def run(name):
        monkeypatch.setattr(sys, "argv", ["benchmark", *words, "--epochs", "7", "-o", str(tmp_path / name)])
        benchmark.main()

    run("whole")
    for before in (True, True, False, False):  # the second row of each attempt is not written, or is the last thing
        written = []

        def killed(path, rows, before=before, written=written):
            written.append(path)
            if len(written) == 1 or not before:
                write_table(path, rows)
            if len(written) == 2:
                raise Killed

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(benchmark, "write_table", killed)
            run("cut")
    run("cut")
    assert str(logged(tmp_path / "cut.csv")) == str(logged(tmp_path / "whole.csv"))
    whole, cut = (Net.load(tmp_path / f"{name}.npz") for name in ("whole", "cut"))
    assert (whole.flat() == cut.flat()).all() and whole.record.get("kept") == cut.record.get("kept")
    (tmp_path / "cut.csv").unlink()
    run("cut")
    assert [row["epoch"] for row in logged(tmp_path / "cut.csv")] == [str(n) for n in range(1, 8)]


def test_the_outline_of_an_uneven_area_at_the_rim_does_not_count_and_other_defects_there_are():
    classes = np.zeros((6, 7, 6))
    classes[..., 0] = 1
    for q, p, kind, share in ((0, 3, steel_report.UNEVEN, 0.9), (3, 3, steel_report.UNEVEN, 0.6), (5, 6, 2, 0.3)):
        classes[q, p, 0], classes[q, p, kind] = 1 - share, share
    blank = np.zeros((6, 7), bool)
    all_of_it, inside = (steel_report.judge(classes, blank, "MT_Break", rim) for rim in (0, 1))
    assert (all_of_it.score, inside.score) == pytest.approx((0.9, 0.6))
    assert inside.probability[5, 6] == pytest.approx(0.3) and inside.probability[0, 3] == pytest.approx(0)
    assert all_of_it.truth and not steel_report.judge(classes, blank, "MT_Free", 0).truth


def test_nets_of_different_resolutions_are_averaged_at_that_of_the_first():
    fine, coarse = np.arange(24.0).reshape(4, 6, 1), np.array([[[0.0], [1], [2]], [[3], [4], [5]]])
    np.testing.assert_array_equal(
        steel_report.averaged([fine, coarse]), (fine + coarse.repeat(2, axis=0).repeat(2, axis=1)) / 2
    )
