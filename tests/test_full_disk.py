"""Disks that are full and files that may not be written: known before the work where it can be, and nothing is lost.

A limit on the size of files stands for the full disk: writes fail in the same way, in the middle of a file.
"""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from tinympcnn import Checkpoint, DataError, Net
from tinympcnn.io import atomic

pytestmark = pytest.mark.slow
resource = pytest.importorskip("resource", reason="there are no limits to set here")

PROGRAM = """
import json, resource, sys
from tinympcnn import cli
from tinympcnn.cli import progress
limit, after = int(sys.argv[1]), int(sys.argv[2])

def fill(*_):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

if after:
    bar = progress.Progress.epoch
    def filling(self, record):
        bar(self, record)
        if record["epoch"] == after:
            fill()
    progress.Progress.epoch = filling
else:
    fill()
sys.exit(cli.main(sys.argv[3:]))
"""


@pytest.fixture
def files(tmp_path, rng):
    images = rng.integers(0, 255, (2, 30, 40), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "images.tif", images, photometric="minisblack")
    tifffile.imwrite(tmp_path / "labels.tif", (images > 99).astype(np.uint8), photometric="minisblack")
    return tmp_path


def train(folder, name, limit=None, after=0, *more):
    job = f"train -i {folder}/images.tif -l {folder}/labels.tif -o {folder}/{name}.npz --log {folder}/{name}.csv"
    words = [*job.split(), "--net", "C3x3x8 MPF2x2 C3x3x8 FC2", "--epochs", "4", "--backend", "numpy", *more]
    return run(limit, after, *words)


def run(limit, after, *words):
    call = [sys.executable, "-c", PROGRAM, str(limit or resource.RLIM_INFINITY), str(after), *map(str, words)]
    return subprocess.run(call, capture_output=True, text=True, env={**os.environ, "TINYMPCNN_THREADS": "1"})


def refused(said, words):
    assert said.returncode == 1 and said.stderr.count("\n") == 1 and words in said.stderr, said


def test_a_full_disk_is_said_before_training_begins(files):
    refused(train(files, "a", 9000), "a.checkpoint.npz: File too large")
    assert sorted(path.name for path in files.iterdir()) == ["images.tif", "labels.tif"]


@pytest.mark.parametrize("limit", [100, 3000, 9000])
def test_a_disk_that_fills_up_loses_no_checkpoint_and_the_run_goes_on_to_the_same_bits(files, limit):
    assert train(files, "whole").returncode == 0
    refused(train(files, "cut", limit, 2), "File too large")
    state = Checkpoint(files / "cut.checkpoint.npz").peek()[1]
    assert len(state) in (2, 3) and not list(files.glob(".*")) and not (files / "cut.npz").exists()
    assert train(files, "cut", None, 0, "--resume").returncode == 0
    whole, cut = (Net.load(files / f"{name}.npz") for name in ("whole", "cut"))
    assert (whole.flat() == cut.flat()).all()
    assert [len((files / f"{name}.csv").read_text().splitlines()) for name in ("whole", "cut")] == [5, 5]


@pytest.mark.parametrize("limit", [100, 3000])
def test_a_disk_that_fills_up_while_segmenting_leaves_nothing(files, limit):
    Net.from_spec("C3x3x2 FC2", rng=0).save(files / "m.npz")
    refused(
        run(limit, 0, "segment", "-i", files / "images.tif", "-m", files / "m.npz", "-o", files / "out"), "cannot write"
    )
    assert list((files / "out").iterdir()) == []


def test_a_small_disk_that_is_really_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode
    ):
        pytest.skip("no small disk can be made here")
    try:
        net = Net.from_spec("C3x3x8 FC2", rng=0)
        net.save(disk / "m.npz")
        before = (disk / "m.npz").read_bytes()
        with pytest.raises(OSError, match="No space left"), open(disk / "filler", "wb", buffering=0) as filler:
            for _ in range(100):
                filler.write(bytes(4096))
        with pytest.raises(DataError, match=r"cannot write .*m\.npz: No space left on device"):
            net.save(disk / "m.npz")
        with pytest.raises(DataError, match="No space left"):
            atomic.check_writable(disk / "m.npz", 10_000)
        assert (disk / "m.npz").read_bytes() == before
        assert sorted(path.name for path in disk.iterdir()) == ["filler", "m.npz"]
    finally:
        subprocess.run(["umount", disk], check=True)


# ------------------------------------------------------------------------------------ what may not be written


def test_what_could_never_be_written_is_known_at_once(files):
    (files / "m.npz").write_text("mine")
    (files / "m.npz").chmod(0o444)
    refused(train(files, "m"), "m.npz: it is read-only; make it writable, or name another file")
    assert (files / "m.npz").read_text() == "mine"
    refused(train(files, "x" * 300), "File name too long")
    (files / "d.npz").mkdir()
    refused(train(files, "d"), "it is a folder; name a file in it")
    refused(train(files, "images.tif/a"), "there is no folder")
    assert not list(files.glob("*checkpoint*"))


def test_devices_and_pipes_are_not_replaced_by_files(files):
    os.mkfifo(files / "pipe.npz")
    refused(train(files, "pipe"), "pipe.npz: it is not an ordinary file")
    assert (files / "pipe.npz").is_fifo()
    with pytest.raises(DataError, match="not an ordinary file"), atomic.replacing(os.devnull):
        pass
    assert not os.path.isfile(os.devnull)


def test_a_folder_that_may_not_be_written(files, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic.tempfile, "mkstemp", denied)
    with pytest.raises(DataError, match=r"cannot write .*m\.npz: Permission denied"):
        atomic.check_writable(files / "m.npz")


@pytest.mark.parametrize(("call", "error"), [("chmod", PermissionError(1, "no")), ("fsync", OSError(22, "no"))])
def test_a_file_system_that_refuses_modes_or_fsync_gets_the_file(tmp_path, monkeypatch, call, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr(os, call, refuse)
    with atomic.replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole" and len(list(tmp_path.iterdir())) == 1


def test_a_link_is_followed_and_the_longest_name_can_be_written(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.txt").symlink_to("far/file.txt")
    for name in ("link.txt", "x" * 251 + ".txt"):
        with atomic.replacing(tmp_path / name) as temporary:
            temporary.write_text("whole")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "far/file.txt").read_text() == "whole"
    assert (tmp_path / ("x" * 251 + ".txt")).read_text() == "whole"


def test_the_next_run_removes_what_a_killed_run_left_but_not_what_a_run_is_writing(tmp_path):
    program = f"""
import os, signal
from tinympcnn.io import atomic
with atomic.replacing({str(tmp_path / "a.txt")!r}) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program])
    (tmp_path / ".a.txt.swp").write_text("another program's")
    assert len(list(tmp_path.iterdir())) == 2
    with atomic.replacing(tmp_path / "a.txt") as first:
        first.write_text("first")
        with atomic.replacing(tmp_path / "a.txt") as second:
            second.write_text("second")
        assert first.exists()
    assert (tmp_path / "a.txt").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.txt.swp", "a.txt"]


def test_a_file_system_that_sets_nothing_aside_is_no_full_one(files, monkeypatch):
    def unknown(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    atomic.check_writable(files / "m.npz", 10**6)
    assert not list(files.glob(".*"))
