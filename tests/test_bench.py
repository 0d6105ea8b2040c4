"""What `tinympcnn bench` measures: the numbers agree with each other, and a small budget is kept."""

import time

import pytest

from tinympcnn import zoo
from tinympcnn.cli import bench, info


def test_measure_counts_runs_and_orders_times():
    calls = []
    record = bench.measure(lambda: calls.append(time.sleep(0.002)), 0.02)
    assert record["runs"] == len(calls) - 1 >= 1  # the first call warms up
    low, high = record["spread"]
    assert 0.002 <= low <= record["seconds"] <= high


def test_measure_runs_once_even_without_time():
    assert bench.measure(lambda: None, 0)["runs"] == 1


def test_bench_is_consistent(monkeypatch):
    monkeypatch.setattr(bench, "CASES", (("C3x3x4 MPF2 C2x2x4 FC2", (20, 30)), ("steel", (8, 12))))
    monkeypatch.setattr(bench, "PATCHES", 2)
    monkeypatch.setattr(bench, "sgemm", lambda seconds, run=bench.sgemm: run(seconds, n=64))
    lines = []
    limit, *records = bench.bench(seconds=0.1, echo=lines.append)
    assert [(r["net"], r["what"]) for r in records[2:]] == [("steel", "train"), ("steel", "segment")]
    assert limit["gflop_per_second"] > 0
    train = records[2]
    assert train["patches_per_second"] == pytest.approx(8 * 12 / train["seconds"])
    flop = info.flop_training(zoo.steel(), (8 + 33, 12 + 33))
    assert train["gflop_per_second"] == pytest.approx(flop / train["seconds"] / 1e9)
    assert train["share_of_sgemm"] == pytest.approx(train["gflop_per_second"] / limit["gflop_per_second"])
    assert train["patch_by_patch"] > 0
    text = "\n".join(lines)
    assert "sgemm of 2048" in text and text.count("patch by patch") == 2 and "BLAS: " in text
