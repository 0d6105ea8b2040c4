"""SIGKILL at every step of writing a file, and at random moments of a segmentation: nothing half-done is taken up."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from helpers import rows_of

from tinympcnn import Net

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="the tests fork")]

PROGRAM = """
import os, random, signal, sys, tempfile, time
from tinympcnn import cli
from tinympcnn.io import atomic, modelfile

def in_child(arguments, prepare=lambda: None, seconds=None):
    child = os.fork()  # all is imported already: what the kill meets is work, and not Python's start
    if not child:
        prepare()
        os._exit(cli.main(arguments))
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Dying:
    # A file that dies in the middle of its third write.
    def __init__(self, file):
        self.file, self.writes = file, 0
    def __getattr__(self, name):
        return getattr(self.file, name)
    def write(self, data):
        self.writes += 1
        if self.writes == 3:
            self.file.write(bytes(data)[: len(data) // 2])
            self.file.flush()
            die()
        return self.file.write(data)

def dying(step, call):
    # Make the process die in the given call of a step of writing: before it is made, after it, or within.
    where, name, after = step
    real, calls = getattr(where, name), []
    def fatal(*args, **kwargs):
        calls.append(name)
        if len(calls) == call and where is modelfile:
            return real(Dying(args[0]), *args[1:], **kwargs)
        if len(calls) == call and not after:
            die()
        result = real(*args, **kwargs)
        if len(calls) == call:
            die()
        return result
    setattr(where, name, fatal)

STEPS = [(tempfile, "mkstemp", True), (modelfile, "write_arrays", False), (os, "chmod", False), (os, "fsync", False),
         (os, "replace", False), (os, "replace", True), (atomic, "_sync_folder", False)]

mode, arguments = sys.argv[1], sys.argv[2:]
deaths = 0
if mode == "steps":
    for call in (1, 2, 3, 5):
        for step in STEPS:
            deaths += in_child(arguments, lambda: dying(step, call)) == signal.SIGKILL
else:
    chance, start = random.Random(0), time.perf_counter()
    in_child(arguments)
    whole = time.perf_counter() - start
    for i in range(25):
        deaths += in_child(arguments, seconds=chance.uniform(0, whole)) == signal.SIGKILL
print("deaths", deaths, file=sys.stderr)
"""


def run(*words):
    call = [sys.executable, "-c", PROGRAM, *map(str, words)]
    said = subprocess.run(
        call, check=True, capture_output=True, text=True, env={**os.environ, "TINYMPCNN_THREADS": "1"}
    )
    return int(said.stderr.split("deaths")[1]), said.stdout


def call(*words):
    call = [sys.executable, "-m", "tinympcnn", *map(str, words)]
    return subprocess.run(
        call, check=True, capture_output=True, text=True, env={**os.environ, "TINYMPCNN_THREADS": "1"}
    )


@pytest.fixture
def job(tmp_path, rng):
    images = rng.integers(0, 255, (2, 9, 10), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "images.tif", images, photometric="minisblack")
    tifffile.imwrite(tmp_path / "labels.tif", (images > 99).astype(np.uint8) * 255, photometric="minisblack")

    def words(name):
        files = (
            f"-i {tmp_path}/images.tif -l {tmp_path}/labels.tif -o {tmp_path}/{name}.npz --log {tmp_path}/{name}.csv"
        )
        return [
            "train",
            *files.split(),
            *["--epochs", "40", "--backend", "numpy", "--minutes", "0", "--resume", "--net"],
            "C2x2x2 FC2",
        ]

    return words


def test_killed_at_every_step_of_writing_a_run_ends_with_the_same_bits(job, tmp_path):
    call(*job("whole"))
    deaths, _ = run("steps", *job("cut"))
    assert deaths > 20
    last = call(*job("cut"))
    assert "going on from" in last.stdout
    whole, cut = (Net.load(tmp_path / f"{name}.npz") for name in ("whole", "cut"))
    assert (whole.flat() == cut.flat()).all()
    logs = [
        [(row["epoch"], row["loss_train"], row["step"]) for row in rows_of(tmp_path / f"{name}.csv")]
        for name in ("whole", "cut")
    ]
    assert logs[0] == logs[1] and [row[0] for row in logs[1]] == [str(n) for n in range(1, 41)]
    assert not list(tmp_path.glob(".*"))


def test_a_segmentation_killed_at_any_moment_leaves_nothing_that_looks_complete(tmp_path, rng):
    Net.from_spec("C5x5x8 MPF2x2 C3x3x8 FC2", rng=0).save(tmp_path / "m.npz")
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, (20, 64, 64), dtype=np.uint8), photometric="minisblack")
    words = ["segment", "-i", tmp_path / "a.tif", "-m", tmp_path / "m.npz", "--backend", "numpy", "--force", "-o"]
    call(*words, tmp_path / "whole")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    deaths, _ = run("moments", *words, tmp_path / "cut")
    found = {path.name: path.read_bytes() for path in (tmp_path / "cut").iterdir() if path.name[0] != "."}
    assert deaths > 5 and all(whole[name] == pixels for name, pixels in found.items())
    call(*words, tmp_path / "cut")
    assert {path.name: path.read_bytes() for path in (tmp_path / "cut").iterdir()} == whole
