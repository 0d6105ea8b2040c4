"""What is free and what is held, and that the command line keeps to the memory it is given."""

import re
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from tinympcnn import Net, zoo
from tinympcnn.engine import memory
from tinympcnn.inference.calibration import Calibration

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
def test_what_is_held_grows_with_an_array_that_is_written():
    before = memory.resident_memory()
    array = np.ones(50 << 20, np.uint8)
    assert before > 10 << 20 and 45 << 20 < memory.resident_memory() - before < 60 << 20
    assert array.all()


def test_the_tightest_limit_counts(monkeypatch):
    monkeypatch.setattr(memory, "_limits", lambda: iter([7 << 30, 3 << 30]))
    assert memory.free_memory() == 3 << 30
    monkeypatch.setattr(memory, "_limits", lambda: iter([-5]))
    assert memory.free_memory() == 0
    monkeypatch.setattr(memory, "_limits", lambda: iter([]))
    assert memory.free_memory() == memory.UNKNOWN


def test_what_cannot_be_known_is_not_guessed():
    assert memory._field("/nowhere", "VmRSS") is None
    assert memory._field(__file__, "VmRSS") is None


@linux
def test_a_limit_of_the_shell_is_seen():
    code = (
        "import resource\nfrom tinympcnn.engine import memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\nprint(memory.free_memory())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 0 < int(said) < 4 << 30


PEAK = (
    "import sys\nfrom tinympcnn import cli\ncode = cli.main(sys.argv[1:])\n"
    "print('peak', [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])\n"
    "sys.exit(code)"
)


def segmented(folder, image, model, *more):
    """Return what `segment` promised and what it took, in bytes, in a process of its own."""
    job = ["segment", "-i", image, "-m", model, "-o", folder / "out", "--backend", "numpy", "--threads", "1", "--force"]
    call = [sys.executable, "-c", PEAK, *map(str, job), *more]
    said = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    return float(re.search(r"at most (\d+) MB", said)[1]) * 1e6, int(re.search(r"peak (\d+)", said)[1]) * 1024


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    nets = {"tiny": Net.from_spec("C3x3x2 MPF2x2 FC2", rng=0), "steel": zoo.steel(rng=0), "n3": zoo.n3(rng=0)}
    for name, net in nets.items():
        net.save(folder / f"{name}.npz")
    return folder


@linux
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "given"),
    [("tiny", (300, 20000), 150), ("steel", (900, 900), 150), ("n3", (300, 300), 250), ("n3", (450, 500), 400)],
)
def test_the_command_line_keeps_to_its_memory(models, tmp_path, name, size, given, rng):
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, size, dtype=np.uint8))
    promised, taken = segmented(tmp_path, tmp_path / "a.tif", models / f"{name}.npz", "--memory", f"{given}M")
    assert taken <= promised <= given * 2**20


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("size", "given"), [((60, 4000), 200), ((400, 300), 150), ((1500, 60), 150)])
def test_committees_calibration_and_filter_keep_to_it_too(models, tmp_path, size, given, rng):
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, size, dtype=np.uint8))
    Calibration((0.0, 0.5, 0.25, 0.25), (0, 1)).save(tmp_path / "c.json")
    steps = ["-m", str(models / "steel.npz"), "--turns", "--calibration", str(tmp_path / "c.json"), "--median", "2"]
    promised, taken = segmented(tmp_path, tmp_path / "a.tif", models / "tiny.npz", *steps, "--memory", f"{given}M")
    assert taken <= promised <= given * 2**20


@linux
@pytest.mark.slow
def test_a_wide_filter_keeps_to_it_too(models, tmp_path, rng):
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, (100, 120), dtype=np.uint8))
    (plain, _), (promised, taken) = (
        segmented(tmp_path, tmp_path / "a.tif", models / "tiny.npz", "--median", radius) for radius in ("0", "20")
    )
    assert taken <= promised and promised - plain > 15e6


@linux
@pytest.mark.slow
def test_a_long_stack_takes_no_more_than_a_short_one(models, tmp_path, rng):
    peaks = []
    for pages in (10, 1000):
        stack = rng.integers(0, 255, (pages, 40, 48), dtype=np.uint8)
        tifffile.imwrite(tmp_path / f"{pages}.tif", stack, photometric="minisblack")
        promised, taken = segmented(tmp_path, tmp_path / f"{pages}.tif", models / "tiny.npz")
        assert taken <= promised
        peaks.append(taken)
        assert tifffile.imread(tmp_path / "out" / f"{pages}_labels.tif").shape == (pages, 40, 48)
    assert peaks[1] < peaks[0] + (8 << 20)
