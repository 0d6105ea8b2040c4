"""What is free and what is held, and that the command line keeps to the memory it is given."""

import re
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from tinympcnn import Net, zoo
from tinympcnn.engine import available_cores, limits
from tinympcnn.inference.calibration import Calibration
from tinympcnn.inference.tiling import DEFAULT_MEMORY

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_what_is_held_grows_with_an_array_that_is_written():
    before = limits.resident_memory()
    array = np.ones(50 << 20, np.uint8)
    assert before > 10 << 20 and 45 << 20 < limits.resident_memory() - before < 60 << 20
    assert array.all()


def test_the_tightest_limit_counts(monkeypatch):
    monkeypatch.setattr(limits, "memory_left", lambda: iter([7 << 20, 3 << 20]))
    assert limits.available_memory() == 3 << 20
    monkeypatch.setattr(limits, "memory_left", lambda: iter([-5]))
    assert limits.available_memory() == 0
    monkeypatch.setattr(limits, "memory_left", lambda: iter([]))
    assert limits.available_memory() > 1 << 20


GROUPS = {
    "version 2, in a job": (
        "0::/slurm/job/step\n",
        {
            "slurm/job/memory.max": "400",
            "slurm/job/memory.current": "100",
            "slurm/job/memory.stat": "anon 30\ninactive_file 50\n",
            "slurm/job/step/memory.max": "max",
            "slurm/job/step/memory.current": "20",
            "slurm/memory.max": "9000",
            "slurm/memory.current": "0",
            "slurm/job/cpu.max": "150000 100000",
            "slurm/cpu.max": "max 100000",
        },
        ([350, 9000], [1.5]),
    ),
    "version 2, a container's root": (
        "0::/\n",
        {"memory.max": "70", "memory.current": "30", "cpu.max": "200000 100000"},
        ([40], [2.0]),
    ),
    "version 1": (
        "5:cpu,cpuacct:/user/job\n4:memory:/slurm/job\n1:name=systemd:/x\n",
        {
            "memory/slurm/job/memory.limit_in_bytes": "500",
            "memory/slurm/job/memory.usage_in_bytes": "450",
            "memory/slurm/job/memory.stat": "inactive_file 1\ntotal_inactive_file 25\n",
            "cpu,cpuacct/user/job/cpu.cfs_quota_us": "-1",
            "cpu,cpuacct/user/job/cpu.cfs_period_us": "100000",
            "cpu,cpuacct/user/cpu.cfs_quota_us": "300000",
            "cpu,cpuacct/user/cpu.cfs_period_us": "100000",
        },
        ([75], [3.0]),
    ),
    "version 1, the path of the host": (
        "4:memory:/docker/0123\n",
        {"memory/memory.limit_in_bytes": "500", "memory/memory.usage_in_bytes": "450"},
        ([50], []),
    ),
    "none": (None, {}, ([], [])),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_every_level_of_the_control_groups_counts(tmp_path, monkeypatch, kind):
    own, files, wanted = GROUPS[kind]
    monkeypatch.setattr(limits, "ROOT", tmp_path / "groups")
    monkeypatch.setattr(limits, "OWN", tmp_path / "own")
    if own is not None:
        (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert (list(limits.memory_left()), list(limits.cpu_quota())) == wanted


def test_cores_are_those_of_the_tightest_quota(monkeypatch):
    monkeypatch.setattr(limits, "cpu_quota", lambda: iter([8.0, 0.4]))
    assert available_cores() == 1


@linux
def test_a_limit_of_the_shell_is_seen():
    code = (
        "import resource\nfrom tinympcnn.engine import limits\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\nprint(limits.available_memory())"
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


@linux
@pytest.mark.slow
def test_objects_take_the_memory_of_one_tile_and_little_more(models, tmp_path, rng):
    peaks = []
    for rows in (200, 60_000):
        tifffile.imwrite(tmp_path / f"{rows}.tif", rng.integers(0, 255, (rows, 300), dtype=np.uint8))
        job = ["locate", "-i", tmp_path / f"{rows}.tif", "-m", models / "tiny.npz", "-o", tmp_path / f"{rows}.csv"]
        options = ["--radius", "6", "--score", "0.9999", "--backend", "numpy", "--threads", "1"]
        call = [sys.executable, "-c", PEAK, *map(str, job), *options]
        said = subprocess.run(call, capture_output=True, text=True, check=True).stdout
        peaks.append(int(re.search(r"peak (\d+)", said)[1]) * 1024)
    assert peaks[1] - peaks[0] < DEFAULT_MEMORY
