"""The benchmark against other libraries: equal numbers first, every contender in turn, a row for each kernel."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import contenders
import table

HEAD = "net,rows,columns,images,work,contender,median_s,rounds,patches_per_s,gflop_per_s,of_sgemm,peak_mb"


def write_results(path, kernel, rows):
    """Write a results file as cpu.py does: the machine, a head, and rows of contender, work, seconds and memory."""
    machine = {"date": "today", "CPU": "a CPU", "vector units": "AVX", "versions": "some",
               "BLAS": f"openblas 0.3, kernel {kernel}, 2 thread(s)"}  # fmt: skip
    lines = [f"N4,64,64,1,{work},{who},{s},3,{4096 / s},9,0.5,{mb}" for who, work, s, mb in rows]
    path.write_text("\n".join([*(f"# {key}: {value}" for key, value in machine.items()), HEAD, *lines]) + "\n")


@pytest.fixture
def results(tmp_path):
    """Results of both kernels; ONNX Runtime and the memory are missing with AVX2."""
    patch = ("patch by patch", "segment", 90.0, "")
    write_results(tmp_path / "cpu.csv", "SkylakeX", [
        ("sgemm", "limit", 0.1, ""), ("tinympcnn", "segment", 0.3, 100), ("dilated default", "segment", 0.5, 300),
        ("compiled dilated default", "segment", 0.4, 300), ("ONNX Runtime", "segment", 0.6, 90),
        ("OpenVINO", "segment", 2.0, 80), patch,
    ])  # fmt: skip
    write_results(tmp_path / "cpu-avx2.csv", "Haswell", [
        ("sgemm", "limit", 0.2, ""), ("tinympcnn", "segment", 0.6, ""), ("dilated default", "segment", 0.8, ""),
        ("OpenVINO", "segment", 3.0, ""), patch,
    ])  # fmt: skip
    return tmp_path


def rows_of(text):
    """Return the cells of the lines of tables that tell of N4."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "| N4" in line]


def test_every_kernel_has_a_row_in_each_table(results, monkeypatch):
    page = results / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    monkeypatch.setattr(sys, "argv", ["table.py", str(results), str(page)])
    table.main()
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    times, engines, rest = (rows_of(text)[i : i + 2] for i in (0, 2, 4))
    assert [row[1:] for row in times] == [
        ["SkylakeX", "300.0", "400.0", "1.33", "90.0"],
        ["Haswell", "600.0", "800.0", "1.33", "90.0"],
    ]
    assert [row[3:] for row in engines] == [["400.0", "600.0", "2,000.0", "2.00"], ["", "", "3,000.0", "5.00"]]
    assert [row[4:8] for row in rest] == [["100", "300", "90", "80"], ["", "", "", ""]]
    assert "ONNX Runtime has no setting" in text and "sgemm of 2048: SkylakeX 9 to 9" in text


def test_results_without_engines_have_no_table_of_engines(results):
    write_results(results / "cpu.csv", "Zen", [
        ("tinympcnn", "train", 0.3, 100), ("dilated default", "train", 0.5, 300), ("patch by patch", "train", 9.0, ""),
    ])  # fmt: skip
    text = table.tables([table.read(results / "cpu.csv")])
    assert "torch.compile" not in text and "engines" not in text and len(rows_of(text)) == 2


@pytest.mark.parametrize("contender", contenders.ENGINES)
def test_engines_run_only_with_our_probabilities(contender, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip({"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}[contender])
    case, said = contenders.Case("C3x3x4 MPF2x2 C2x2x4 FC2", (9, 7), images=2), []
    (first, second) = contenders.inference(case, contender, said.append)()
    np.testing.assert_allclose(second[0].transpose(1, 2, 0), case.net.segment(case.raw[1]), atol=1e-5)
    assert first.shape == second.shape and "agree to" in said[0]
    make = contenders.make
    monkeypatch.setattr(contenders, "make", lambda *args: lambda: [1.01 * p for p in make(*args)()])
    assert contenders.inference(case, contender, said.append) is None
    assert "is left out: its probabilities differ" in said[1]


def test_a_missing_engine_is_left_out_with_its_reason(monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    case, said = contenders.Case("C3x3x4 FC2", (5, 5)), []
    assert contenders.inference(case, "ONNX Runtime", said.append) is None
    assert said[0].startswith("ONNX Runtime is left out: ") and "onnxruntime" in said[0]


def test_onnx_runtime_is_left_out_where_others_are_held_to_avx2(monkeypatch):
    for name, value in contenders.AVX2.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(contenders.info, "vector_units", lambda: ["X86_V3", "X86_V4"])
    said = []
    assert contenders.inference(contenders.Case("C3x3x4 FC2", (5, 5)), "ONNX Runtime", said.append) is None
    assert "no setting" in said[0]


def test_long_tasks_have_one_round(monkeypatch):
    pytest.importorskip("torch")
    import cpu

    monkeypatch.setattr(cpu, "SHORTEST", 0.0)
    calls = []
    tasks = {"short": lambda: calls.append("short"), "long": lambda: calls.append("long")}
    monkeypatch.setattr(cpu, "PAUSE", 0)
    assert {who: len(times) for who, times in cpu.in_turn(tasks, 3).items()} == {"short": 3, "long": 3}
    monkeypatch.setattr(cpu, "LONGEST", -1.0)
    assert {who: len(times) for who, times in cpu.in_turn(tasks, 3).items()} == {"short": 1, "long": 1}


@pytest.mark.parametrize("spec", ["C3x3x4 [ MP2x2 C3x3x4 U2x2 ] C1x1x2", "C3x3x4 F2x2 C3x3x4 C1x1x2"])
def test_the_twin_of_a_nested_net_makes_the_same_step(spec):
    torch = pytest.importorskip("torch")
    from pytorch_twins import Twin

    case = contenders.Case(spec, (9, 12), dtype="float64")
    loss = contenders.make(case, contenders.OURS, "train")()
    twin = Twin(case.net, "dilated", "channels_last")
    assert twin.step(torch.tensor(case.images.transpose(0, 3, 1, 2)), torch.tensor(case.labels)) == pytest.approx(loss)
    np.testing.assert_allclose(twin.grads(), case.net.flat_grads(), rtol=1e-9, atol=1e-12)
