"""`tinympcnn train` on images with one class each: it makes a model that classifies, resumes after SIGKILL, refuses."""

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tinympcnn import Net
from tinympcnn.cli.entry import main
from tinympcnn.cli.train_classes import train_classes
from tinympcnn.data import synthetic_digits
from tinympcnn.errors import UsageError
from tinympcnn.io.reading import Reading

SPEC = "1x13x13-6C4-MP2-12C2-MP2-20N-3N"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Write 20 digits of each of three classes."""
    folder = tmp_path_factory.mktemp("digits")
    images, classes = synthetic_digits(200, 14, rng=0)
    for i in np.flatnonzero(classes < 3):
        (folder / f"d{classes[i]}").mkdir(exist_ok=True)
        Image.fromarray(images[i, ..., 0]).save(folder / f"d{classes[i]}" / f"im{i}.png")
    return folder


@pytest.fixture
def folder(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(digits, "set")
    return tmp_path


TRAIN = ["train", "-i", "set", "-o", "m.npz", "--backend", "numpy", "--threads", "1"]


def train(*more):
    return main([*TRAIN, *more])


def test_a_folder_becomes_a_column_that_classifies(folder, capsys):
    options = ["--net", SPEC, "--epochs", "20", "--lr", "0.01", "--batch", "8", "--val", "0.25", "--log", "log.csv"]
    assert train(*options, "--distort", "rotation=5", "--preprocess", "width9", "--balance", "--keep", "best") == 0
    said = capsys.readouterr().out
    assert "3 classes: from 20 (d0) to 20 (d0)" in said and "training on 45 images, validating on 15" in said
    net = Net.load("m.npz")
    assert net.class_names == ("d0", "d1", "d2") and net.preprocessing == {"kind": "width", "pixels": 9}
    assert net.record["batch"] == 8 and net.record["distort"] == "rotation=5" and len(net.record["data_sha256"]) == 64
    assert main(["classify", "-i", "set", "-m", "m.npz"]) == 0
    error = float(capsys.readouterr().out.split("\nerror ")[1].split()[0])
    assert error < 0.2
    with open("log.csv", encoding="utf-8") as file:
        assert "error" in file.readline() and len(file.readlines()) == 20


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(folder):
    options = ["--net", SPEC, "--epochs", "6", "--batch", "8", "--distort", "digits", "--minutes", "0", "--seed", "3"]
    assert train(*options) == 0
    whole = Net.load("m.npz").flat()
    for name in ("m.npz", "m.checkpoint.npz"):
        os.remove(name)
    call = [sys.executable, "-m", "tinympcnn", *TRAIN, *options]
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL)
    while not os.path.exists("m.checkpoint.npz") and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert train(*options, "--resume") == 0
    np.testing.assert_array_equal(Net.load("m.npz").flat(), whole)


def test_a_net_is_chosen_where_none_is_given(folder, capsys):
    assert train("--epochs", "1", "--downsample", "2") == 0
    net = Net.load("m.npz")
    assert net.field_of_view == (32, 32) and net.out_maps == 3 and net.record["downsample"] == 2
    assert main(["classify", "-i", "set", "-m", "m.npz"]) == 0
    assert "7x7 pixels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--net", "dannet-digits"], 2, "end it in 3N"),
        (["--net", "3x13x13-6C4-MP2-3N"], 2, "begin it with 1x"),
        (["--net", "1x12x12-6C4-MP2-3N"], 2, "do not divide"),
        (["--preprocess", "blur"], 2, "preprocessing"),
        (["--distort", "spin"], 2, "distortion"),
        (["--augment", "flip"], 2, "--distort"),
        (["--batch", "0"], 2, "--batch"),
        (["--init", "m0.npz"], 2, "--init"),
        (["--val", "1"], 2, "validation fraction"),
        (["--labels", "set/d0"], 1, "set"),
        (["--labels", "set/d0", "--batch", "4"], 2, "leave out --labels"),
    ],
)
def test_options_that_do_not_fit_get_one_sentence(folder, capsys, more, code, message):
    assert train(*more) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message in said
    assert not os.path.exists("m.npz")


def test_one_class_and_no_classes_are_refused(folder, capsys):
    assert main(["train", "-i", "set/d0", "-o", "m.npz"]) == 2
    assert "tells no classes" in capsys.readouterr().err
    for k in (1, 2):
        for path in (folder / "set" / f"d{k}").iterdir():
            path.unlink()
        (folder / "set" / f"d{k}").rmdir()
    assert train() == 2
    assert "two classes" in capsys.readouterr().err


def test_options_for_label_images_are_refused(tmp_path):
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
    for reading in (Reading(threshold=3), Reading(ignore=(3,))):
        with pytest.raises(UsageError, match="--threshold and --ignore are for label images"):
            train_classes([tmp_path / "set"], tmp_path / "m.npz", reading=reading)
