"""What `tinympcnn bench` measures: its numbers agree with each other, and a small budget is kept."""

import re
import time

import pytest

from tinympcnn import zoo
from tinympcnn.cli import bench, info


def test_measure_is_the_median_after_a_run_that_warms_up():
    naps = iter([0.1, 0.004, 0.004, *[0] * 99])
    assert 0.004 <= bench.measure(lambda: time.sleep(next(naps)), 0.1) < 0.1


def test_measure_runs_twice_even_without_time():
    calls = []
    bench.measure(lambda: calls.append(0), 0)
    assert len(calls) == 2


def test_bench_is_consistent(monkeypatch):
    monkeypatch.setattr(bench, "CASES", (("C3x3x4 MPF2 C2x2x4 FC2", (20, 30)), ("steel", (8, 12))))
    monkeypatch.setattr(bench, "PATCHES", 2)
    monkeypatch.setattr(bench, "PRODUCT", 64)
    monkeypatch.setattr(bench, "measure", lambda task, seconds: (task(), 0.002)[1])
    lines = []
    bench.bench(seconds=0.1, echo=lines.append)
    text = "\n".join(lines)
    assert "BLAS: " in text and "sgemm of 64: 0 GFLOP/s" in text
    assert text.count("patch by patch, training takes") == 2
    assert "training takes 48 times as long" in text  # 96 patches, two of which take as long as the image
    train, segment = (line.split()[2:] for line in lines if line.startswith("steel"))
    assert train[:3] == segment[:3] == ["8x12", "2.0", "ms"] and train[3] == f"{8 * 12 / 0.002:,.0f}"
    flop = info.flop_training(zoo.steel(), (8 + 33, 12 + 33))
    assert float(train[4]) == pytest.approx(flop / 0.002 / 1e9, abs=0.5)
    assert re.fullmatch(r"\d+%", train[5]) and float(train[5][:-1]) == pytest.approx(flop / (2 * 64**3) * 100, abs=1)
