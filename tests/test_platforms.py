"""What one system can show of others: Windows and macOS, simulated where they differ from Linux."""

from __future__ import annotations

import ast
import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from helpers import PLAIN, pixels, refused, syntax, written

from tinympcnn import Conv, DataError, Net, Recipe, UsageError, data, engine
from tinympcnn.cli import entry, session
from tinympcnn.data import deform, preprocessing
from tinympcnn.engine import limits
from tinympcnn.gradcheck import check_layer
from tinympcnn.inference import calibration
from tinympcnn.io import atomic, names, outputs


def write(path: Path, text: str = "new") -> None:
    with atomic.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


# --------------------------------------------------------------------------------------------------- files on Windows


def test_without_locks_what_is_left_is_removed_and_what_is_open_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "fcntl", None)
    with atomic.replacing(tmp_path / "a.txt") as temporary:
        left, still_open = (temporary.with_name(f"{temporary.name[:20]}{name}.tmp") for name in ("left", "open"))
    left.touch()
    still_open.touch()
    remove = Path.unlink

    def refusing(path, missing_ok=False):
        if path == still_open:
            raise PermissionError(errno.EACCES, "used by another process")
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    write(tmp_path / "a.txt")
    assert sorted(tmp_path.iterdir()) == [still_open, tmp_path / "a.txt"]


@pytest.mark.parametrize("refusals", [2, 9])
def test_a_file_that_another_program_holds_open_is_replaced_when_it_lets_go(tmp_path, monkeypatch, refusals):
    target, replace, calls = tmp_path / "a.txt", os.replace, []

    def held(source, there):
        calls.append(there)
        if len(calls) <= refusals:
            raise PermissionError(errno.EACCES, "used by another process")
        replace(source, there)

    target.write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(atomic, "WAITS", (0.0, 0.0, 0.0))
    if refusals == 2:
        write(target)
    else:
        with pytest.raises(DataError, match=r"cannot write .*a\.txt: used by another process"):
            write(target)
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["new" if refusals == 2 else "old"]
    assert len(calls) == (3 if refusals == 2 else 4)


def test_a_file_is_closed_before_it_is_renamed_and_folders_need_not_open(tmp_path, monkeypatch):
    opened, replace = [], os.replace

    def watched(source, target):
        opened.extend(file.path for file in psutil.Process().open_files() if file.path == source)
        replace(source, target)

    def no_folder(path, *more):
        raise PermissionError(errno.EACCES, "is a folder")

    monkeypatch.setattr(os, "replace", watched)
    monkeypatch.setattr(atomic, "os", SimpleNamespace(**{**vars(os), "open": no_folder}))
    Net.from_spec("FC2", rng=0).save(tmp_path / "m.npz")
    assert opened == [] and Net.load(tmp_path / "m.npz").n_params == 4


def test_numbers_of_files_that_are_all_zero_make_no_file_an_input(tmp_path, monkeypatch):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    real = Path.stat

    def without_number(path, **options):
        fields = list(real(path, **options))
        return os.stat_result([fields[0], 0, *fields[2:]])

    monkeypatch.setattr(Path, "stat", without_number)
    outputs.check_outputs([tmp_path / "a.csv"], [tmp_path / "b.csv"], force=True)
    with pytest.raises(UsageError, match="is an input"):
        outputs.check_outputs([tmp_path / "a.csv"], [tmp_path / "a.csv"], force=True)


@pytest.mark.parametrize(("system", "code"), [("linux", 0), ("darwin", 2), ("win32", 2)])
def test_names_that_differ_in_case_only_are_one_file_on_some_systems(tmp_path, monkeypatch, run, system, code):
    monkeypatch.setattr(names, "sys", SimpleNamespace(platform=system))
    images = [
        written(tmp_path / name / f"{name}.tif", pixels(6, 7), **PLAIN) for name in made(tmp_path, "Cell", "cell")
    ]
    Net.from_spec("FC2", rng=0).save(tmp_path / "m.npz")
    answer = run("segment", "-i", *images, "-m", tmp_path / "m.npz", "-o", tmp_path / "out", "--backend", "numpy")
    if code:
        refused(answer, code, "several images are named 'cell'; their results would overwrite each other")
        with pytest.raises(UsageError, match="two outputs have the name"):
            outputs.check_outputs([tmp_path / "A.csv", tmp_path / "a.csv"])
    else:
        assert answer[0] == 0 and len(list((tmp_path / "out").iterdir())) == 4
        outputs.check_outputs([tmp_path / "A.csv", tmp_path / "a.csv"])


def made(folder: Path, *inside: str) -> tuple[str, ...]:
    for name in inside:
        (folder / name).mkdir()
    return inside


# ---------------------------------------------------------------------------------------------------- files on macOS


def test_macos_is_asked_to_empty_the_cache_of_the_disk(tmp_path, monkeypatch):
    fcntl, asked = pytest.importorskip("fcntl"), []
    mac = {**vars(fcntl), "F_FULLFSYNC": 51, "fcntl": lambda *call: asked.append(call)}
    monkeypatch.setattr(atomic, "fcntl", SimpleNamespace(**mac))
    write(tmp_path / "a.txt")
    assert [command for _, command in asked] == [51] and (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


# ------------------------------------------------------------------------------------------------- text of any system

COMMANDS = """
import warnings
from tinympcnn.cli import main
from tinympcnn.inference.calibration import Calibration
warnings.filterwarnings("error", category=EncodingWarning, module="tinympcnn")
files = ["-i", "images.tif", "-l", "labels.tif"]
assert main(["train", *files, "-o", "m.npz", "--net", "FC2", "--epochs", "1", "--log", "log.csv"]) == 0
assert main(["segment", "-i", "images.tif", "-m", "m.npz", "-o", "out"]) == 0
Calibration((0.0, 1.0, 0.0, 0.0), (0, 1)).save("c.json")
assert main(["segment", "-i", "images.tif", "-m", "m.npz", "-o", "new", "--calibration", "c.json"]) == 0
assert main(["locate", "-i", "images.tif", "-m", "m.npz", "-o", "objects.csv", "--radius", "2"]) == 0
assert main(["info"]) == 0
"""


@pytest.mark.slow
def test_no_text_file_is_opened_in_the_encoding_of_the_system(tmp_path):
    images = pixels(2, 16, 18)
    written(tmp_path / "images.tif", images, **PLAIN, metadata={"axes": "ZYX"})
    written(tmp_path / "labels.tif", (images > 120).astype(np.uint8), **PLAIN, metadata={"axes": "ZYX"})
    strict = [sys.executable, "-X", "warn_default_encoding", "-c", COMMANDS]
    done = subprocess.run(strict, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


def test_a_control_group_may_have_any_name(tmp_path, monkeypatch):
    (tmp_path / "own").write_bytes(b"0::/job-\xff\n")
    folder = tmp_path / os.fsdecode(b"job-\xff")
    folder.mkdir()
    (folder / "cpu.max").write_text("150000 100000\n", encoding="ascii")
    monkeypatch.setattr(limits, "ROOT", tmp_path)
    monkeypatch.setattr(limits, "OWN", tmp_path / "own")
    assert list(limits.cpu_quota()) == [1.5]


# -------------------------------------------------------------------------------------------------------- the machine


def test_cores_and_memory_where_linux_s_calls_are_missing(monkeypatch):
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda self: [0, 2, 4])
    for system, wanted in (("nt", 3), ("posix", 8)):
        monkeypatch.setattr(limits, "os", SimpleNamespace(name=system, cpu_count=lambda: 8))
        assert limits.scheduled_cores() == wanted
    monkeypatch.undo()
    monkeypatch.setattr(limits, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setitem(sys.modules, "resource", None)  # importing it raises
    assert 0 < limits.available_memory() <= psutil.virtual_memory().total


def test_more_processes_than_windows_waits_for_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "MOST_PROCESSES", 61)
    many = session.Session(processes=62, echo=lambda line: None)
    with pytest.raises(UsageError, match="62 processes: on Windows, Python starts at most 61"):
        session.check_session(many, tmp_path / "m.npz", [], Recipe(optimizer="lbfgs"))


def test_a_reader_that_left_is_no_fault_on_windows_either(monkeypatch, capsys):
    class Pipe:
        encoding = "utf-8"

        def write(self, text):
            raise OSError(errno.EINVAL, "Invalid argument")

        flush = fileno = lambda self: 0

    monkeypatch.setattr(sys, "stdout", Pipe())
    monkeypatch.setattr(os, "dup2", lambda *handles: None)
    for closed, complaint in (((errno.EPIPE,), "standard output cannot be written"), ((errno.EPIPE, errno.EINVAL), "")):
        monkeypatch.setattr(entry, "CLOSED", closed)
        assert entry.main(["info", "FC2"]) == 1
        assert complaint in (said := capsys.readouterr().err) and bool(said) == bool(complaint)


def test_no_flag_that_a_blas_raises_without_need_is_a_warning(monkeypatch, rng):
    real, calls = np.matmul, []

    def flagged(*arguments, **options):  # as with Apple's Accelerate and some versions of NumPy
        calls.append(np.divide(np.ones(1), np.zeros(1)))
        np.multiply(np.full(1, 1e300), 1e300)
        np.subtract(np.full(1, np.inf), np.inf)
        return real(*arguments, **options)

    net = Net.from_spec("C3x3x4 MPF2x2 FC2", rng=0)
    images = rng.random((2, 12, 14, 1)).astype(np.float32)
    wanted = net.forward(images)
    monkeypatch.setattr(np, "matmul", flagged)
    with pytest.raises(RuntimeWarning):
        np.matmul(images, images.swapaxes(1, 2))
    engine.matmul.row_period.cache_clear()
    assert (net.forward(images) == wanted).all()
    net.backward(wanted)
    check_layer(Conv(2, 3, 2, rng=0)).raise_if_wrong()
    deform.displacements((20, 30), rng)
    preprocessing.conorm(images)
    preprocessing.width(images, 9)
    data.synthetic_signs(2, rng=0)
    truth = rng.random((9, 9))
    calibration.fit_calibration([(truth, truth > 0.5)], (0, 1))
    assert len(calls) >= 20


def test_products_go_through_the_function_that_knows_blas():
    literal = {"nn/layers/conv.py", "inference/calibration.py"}  # the formulas in NumPy's words; four numbers by four
    found = {
        path
        for path, nodes in syntax().items()
        for node in nodes
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
    }
    assert found <= literal
