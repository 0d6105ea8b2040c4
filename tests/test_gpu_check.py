"""`make gpu-check` on the fake device: all of it runs but PyTorch, the tests, and what only a GPU can show."""

import sys
from pathlib import Path

import pytest
from helpers import rows_of

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
SMALL = {"C3x3x4 MPF2x2 FC2": (20, 30)}


@pytest.fixture
def scripts(monkeypatch):
    """Return the modules gpu, gpu_checks and gpu_steps."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setenv("CUPY_TF32", "0")
    import gpu
    import gpu_checks
    import gpu_steps

    return gpu, gpu_checks, gpu_steps


def test_without_a_gpu_it_is_one_sentence_and_exit_code_2(scripts, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert scripts[0].main(["--results", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gpu-check: nothing was checked: the cupy backend does not work here (ModuleNotFoundError")
    assert told.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_all_checks_hold_on_the_fake_device(fake, scripts):
    checks = list(scripts[1].everything(SMALL))
    assert [check.what for check in checks if not check.ok] == []
    assert {check.dtype for check in checks} == {"float32", "float64"} and len(checks) == 13


def test_a_device_that_computes_something_else_is_found(fake, scripts, monkeypatch):
    right = fake.cupy.tanh
    monkeypatch.setattr(fake.cupy, "tanh", lambda x, out: right(x * 1.001, out=out))
    spec, size, checks = "C3x3x4 FC3 FC2", (20, 30), scripts[1]
    assert [check.ok for check in checks.agreement(spec, size, "float64")] == [False] * 3
    assert not next(checks.agreement(spec, size, "float32")).ok
    noise = iter(range(1, 10**6))
    monkeypatch.setattr(fake.cupy, "tanh", lambda x, out: right(x * (1 + 1e-3 * next(noise)), out=out))
    assert [check.ok for check in checks.repeatability(spec, size)] == [False, False]


def test_a_report_is_written(fake, scripts, monkeypatch, tmp_path, capsys):
    gpu, checks, steps = scripts
    agreement, train = checks.agreement, gpu.train_n3
    rows = list(steps.measurements(SMALL, product=64))
    monkeypatch.setattr(checks, "everything", lambda: agreement(*next(iter(SMALL.items())), "float32"))
    monkeypatch.setattr(gpu, "run_steps", lambda tf32: [{**row, "tf32": tf32 == "1"} for row in rows])
    monkeypatch.setattr(gpu, "train_n3", lambda epochs: train(epochs, 2, 48, next(iter(SMALL))))
    monkeypatch.delenv("TINYMPCNN_DATA", raising=False)
    assert gpu.main(["--no-tests", "--epochs", "2", "--results", str(tmp_path)]) == 0
    folder = tmp_path / "gpu-no-gpu"
    assert [row["contender"] for row in rows_of(folder / "steps.csv")] == ["CuPy", "tinympcnn"] * 2
    report = (folder / "README.md").read_text()
    for words in ("no GPU, a fake", "TF32 off", "synthetic membranes", "(measured over 2)", "not compared"):
        assert words in report
    assert "0 of 3 checks failed" in capsys.readouterr().out
