"""From files to files: what is trained can be trained again from its record, and results are whole or not there."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import fields

import helpers
import numpy as np
import pytest
import tifffile
from helpers import rows_of

from tinympcnn import Checkpoint, Committee, DataError, Net, Recipe, UsageError, data
from tinympcnn.cli import versions as running
from tinympcnn.cli.calibrate import calibrate_files
from tinympcnn.cli.evaluate import evaluate_files
from tinympcnn.cli.segment import segment_files
from tinympcnn.cli.session import Session
from tinympcnn.cli.train import train_files
from tinympcnn.inference.calibration import Calibration
from tinympcnn.inference.postprocess import median
from tinympcnn.io.predictions import read_prediction, write_probabilities
from tinympcnn.io.reading import Reading

TINY = {"net": "C3x3x3 MPF2x2 FC2", "epochs": 2, "options": {"lr": 0.01}}


def filled(folder):
    """Write a stack of three images and its labels; return the folder."""
    images = np.random.default_rng(0).integers(0, 255, (3, 20, 24), dtype=np.uint8)
    stack = {"photometric": "minisblack", "metadata": {"axes": "ZYX"}, "resolution": (2, 3), "resolutionunit": 3}
    tifffile.imwrite(folder / "images.tif", images, **stack)
    tifffile.imwrite(folder / "labels.tif", np.where(images > 120, 255, 7).astype(np.uint8), **stack)
    return folder


@pytest.fixture
def job(tmp_path):
    return filled(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = filled(tmp_path_factory.mktemp("trained"))
    train(folder)
    return folder


@pytest.fixture
def model(job, trained):
    """Put a trained model and its checkpoint into `job`; return the model."""
    for name in ("a.npz", "a.checkpoint.npz"):
        shutil.copyfile(trained / name, job / name)
    return job / "a.npz"


def call(images, labels, output, said=None, **options):
    """Call `train_files` with the fields of a recipe, a reading and a session in one list."""
    options = {**TINY, "echo": said.append if said is not None else lambda line: None, **options}

    def made(kind):
        names = [field.name for field in fields(kind) if field.name in options]
        return kind(**{name: options.pop(name) for name in names})

    recipe, reading, session = map(made, (Recipe, Reading, Session))
    return train_files(images, labels, output, recipe, reading=reading, session=session, **options)


def train(job, name="a", said=None, **options):
    return call([job / "images.tif"], [job / "labels.tif"], job / f"{name}.npz", said, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam", "augment": "rotate+elastic", "decay": "linear", "balance": "classes", "val": 0.3},
        {"optimizer": "lbfgs", "options": {}, "seed": 5},
        {"optimizer": "sgd", "crop": 9, "downsample": 2, "threshold": 100.0},
    ],
)
def test_a_model_is_trained_again_from_its_record_to_the_same_bits(job, options):
    net, said = train(job, **options), []
    record = json.loads(json.dumps(Net.load(job / "a.npz").record))
    names = ["net", "val", *(field.name for kind in (Recipe, Reading) for field in fields(kind))]
    kept = {name: record[name] for name in names}
    kept["ignore"] = tuple(kept["ignore"])
    again = train(job, "b", said, **kept, device=record["backend"])
    assert (again.flat() == net.flat()).all() and again.record["data_sha256"] == record["data_sha256"]
    [told] = [line for line in said if line.startswith("training on")]
    assert f"net {record['net']}, epochs {record['epochs']}" in told
    for name in options.keys() - {"options"} - ({"optimizer"} if record["optimizer"] == "adam" else set()):
        assert f", {name} {options[name]}" in told
    assert [name for name in set(names) - options.keys() - {"net", "epochs"} if f" {name} " in told] == []
    for one, other in zip(net.record["log"], again.record["log"], strict=True):
        for name in ("epoch", "images", "loss_train", "step", "evaluations"):
            assert one[name] == other[name]


def test_what_was_read_and_held_out_is_said_and_kept(job):
    said = []
    net = train(job, said=said, val=0.3, log=job / "log.csv")
    assert net.class_values == (7, 255)
    assert net.record["images"] == ["images[00]", "images[01]"] and net.record["validation"] == ["images[02]"]
    text = "\n".join(said)
    for words in ("Z=3, Y=20, X=24, uint8", "7: 4", "255: 5", "training on 2 images, validating on 1", "wrote"):
        assert words in text
    assert [row["epoch"] for row in rows_of(job / "log.csv")] == ["1", "2"]
    assert float(rows_of(job / "log.csv")[1]["pixel_error"]) == net.record["log"][1]["pixel_error"]


def test_the_best_epoch_is_written_and_told(job):
    said, options = [], {"val": 0.3, "keep": "best", "optimizer": "sgd", "options": {"lr": 30}, "epochs": 4}
    net = train(job, said=said, **options)
    losses = [record["loss_val"] for record in net.record["log"]]
    assert net.record["kept"] == 1 + np.argmin(losses) < 4
    assert said[-1] == f"wrote {job / 'a.npz'}, as it was after epoch {net.record['kept']}"
    assert (Net.load(job / "a.npz").flat() == train(job, "b", **{**options, "keep": "last"}).flat()).mean() < 1
    with pytest.raises(UsageError, match="give validation images"):
        train(job, "c", **{**options, "val": 0.0})


def test_processes_change_no_bit(job):
    options = {"optimizer": "lbfgs", "options": {}}
    one, two = (train(job, name, **options, processes=n) for name, n in (("a", 1), ("b", 2)))
    assert (one.flat() == two.flat()).all()
    for wrong in ({"processes": 2}, {"processes": 0, **options}):
        with pytest.raises(UsageError, match="for --optimizer lbfgs on the CPU"):
            train(job, "c", **wrong)


def test_a_killed_worker_ends_the_run_in_one_sentence_and_it_goes_on_to_the_same_bits(job):
    options = {"optimizer": "lbfgs", "options": {}, "epochs": 4, "processes": 2}

    def kill(record):
        if record["epoch"] == 2:
            multiprocessing.active_children()[0].kill()

    with pytest.raises(DataError, match=r"worker process was killed, .* --resume goes on from .*a\.checkpoint\.npz"):
        train(job, **options, report=kill)
    net = train(job, **options, resume=True)
    assert [record["epoch"] for record in net.record["log"]] == [1, 2, 3, 4]
    assert (net.flat() == train(job, "b", **options).flat()).all()


SCRIPT = """
import os, signal, sys
from tinympcnn import Recipe
from tinympcnn.cli.session import Session
from tinympcnn.cli.train import train_files

def die(record):
    os.kill(os.getpid(), signal.SIGKILL)

files, recipe = [["images.tif"], ["labels.tif"], "a.npz"], Recipe(epochs=9, optimizer="lbfgs")
train_files(*files, recipe, net="FC2", session=Session(processes=2, report=die))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_workers_do_not_outlive_their_run(job):
    run = [sys.executable, "-c", SCRIPT]  # returns when nobody holds its output any more
    assert subprocess.run(run, cwd=job, capture_output=True, timeout=60).returncode == -signal.SIGKILL
    assert (job / "a.checkpoint.npz").exists()


@pytest.mark.slow
def test_workers_of_a_script_without_a_main_guard_are_told_of_it(job):
    (job / "script.py").write_text(SCRIPT)
    said = subprocess.run([sys.executable, "script.py"], cwd=job, capture_output=True, text=True, timeout=60)
    assert said.returncode == 1 and not (job / "a.checkpoint.npz").exists()
    assert """train under 'if __name__ == "__main__":'""" in said.stderr.splitlines()[-1]


def test_resume_without_a_checkpoint_starts_from_the_beginning_and_says_so(job):
    said = []
    net = train(job, said=said, resume=True)
    assert f"there is no checkpoint {job / 'a.checkpoint.npz'}: starting from the beginning" in said
    assert (net.flat() == train(job, "b").flat()).all()


def test_resume_of_a_finished_run_writes_model_and_log_again(job):
    net, said = train(job), []
    (job / "a.npz").unlink()
    again = train(job, said=said, resume=True, log=job / "log.csv")
    assert f"going on from {job / 'a.checkpoint.npz'}, after 2 epochs" in said
    assert (again.flat() == net.flat()).all() and len(rows_of(job / "log.csv")) == len(again.record["log"]) == 2


def test_what_an_earlier_run_left_is_kept_under_a_number(job):
    train(job, log=job / "a.csv")
    names = ("a.npz", "a.checkpoint.npz", "a.csv")
    before, said = {name: (job / name).read_bytes() for name in names}, []
    train(job, said=said, log=job / "a.csv", seed=1)
    kept = ("a.1.npz", "a.1.checkpoint.npz", "a.1.csv")
    assert [(job / name).read_bytes() for name in kept] == list(before.values())
    assert f"{job / 'a.npz'} exists: what it holds is kept as {job / 'a.1.npz'}" in said
    (job / "a.npz").unlink()  # a run that was killed leaves only its checkpoint
    train(job, seed=2)
    assert (job / "a.2.checkpoint.npz").exists() and not (job / "a.2.npz").exists()
    assert (train(job, "a.2", seed=1, resume=True).flat() == Net.load(job / "a.2.npz").flat()).all()


def test_force_replaces_and_keeps_nothing(job):
    train(job, log=job / "a.csv")
    other = train(job, log=job / "a.csv", seed=1, force=True)
    assert (Net.load(job / "a.npz").flat() == other.flat()).all() and not list(job.glob("a.1.*"))


def test_names_with_dots_have_checkpoints_of_their_own(job):
    for name in ("lr0.01", "lr0.001"):
        train(job, name)
    call([job / "images.tif"], [job / "labels.tif"], job / "lr0.1")  # without a suffix
    found = sorted(path.name for path in job.glob("*checkpoint*"))
    assert found == ["lr0.001.checkpoint.npz", "lr0.01.checkpoint.npz", "lr0.1.checkpoint.npz"]


def test_a_finished_run_goes_on_for_more_epochs(job):
    whole = train(job, "b", decay="none", epochs=5)
    train(job, decay="none")
    net = train(job, decay="none", epochs=5, resume=True)
    assert (net.flat() == whole.flat()).all() and net.record["epochs"] == 5 and len(net.record["log"]) == 5


def test_a_run_starts_from_another_model_and_its_record_says_so(job):
    first, said = train(job), []
    again = train(job, "b", said, net=str(job / "a.npz"), optimizer="lbfgs", options={}, epochs=1)
    closer = again.record["log"][0]["loss_train"]
    assert closer <= first.record["log"][-1]["loss_train"] < first.record["log"][0]["loss_train"]
    assert again.record["net"] == str(job / "a.npz") and len(again.record["init_sha256"]) == 64
    assert first.record["init_sha256"] is None and repr(again) == repr(first)
    net = Net.load(job / "a.npz")
    net.set_flat(net.flat() * 1.5)
    net.save(job / "a.npz")
    with pytest.raises(UsageError, match="had another --init"):
        train(job, "b", net=str(job / "a.npz"), optimizer="lbfgs", options={}, epochs=1, resume=True)
    with pytest.raises(UsageError, match=r"a\.npz is an input and will not be overwritten"):
        train(job, net=str(job / "a.npz"), force=True)
    Net.from_spec("FC3", rng=0).save(job / "c.npz")
    with pytest.raises(UsageError, match=r"1 channel and tells 3 classes apart; here are 1 channel and 2"):
        train(job, "d", net=str(job / "c.npz"))


def test_labels_of_other_values_are_another_run(job, model):
    labels = tifffile.imread(job / "labels.tif")
    tifffile.imwrite(job / "labels.tif", (labels == 255).astype(np.uint8), photometric="minisblack")
    with pytest.raises(UsageError, match="had other images or labels"):
        train(job, resume=True)


def test_a_class_that_validation_takes_is_named_before_training(job):
    labels = np.zeros((3, 20, 24), np.uint8)
    labels[:, ::2], labels[2, 5:9] = 7, 9
    tifffile.imwrite(job / "labels.tif", labels, photometric="minisblack")
    said = []
    train(job, said=said, net="FC3", val=0.3)
    assert "warning: no image to train on has a pixel of class 9, so the net cannot learn this class" in said
    train(job, "b", said := [], net="FC3")
    assert not any("warning" in line for line in said)


def test_a_log_that_becomes_unwritable_is_said_once_and_written_when_it_can_be(job):
    log, said, seen = job / "log.csv", [], []

    def report(record):
        seen.append(len(rows_of(log)))
        log.chmod({1: 0o444, 4: 0o644}.get(record["epoch"], log.stat().st_mode & 0o777))

    train(job, said=said, log=log, epochs=5, report=report)
    assert seen == [1, 1, 1, 1, 5] and (job / "a.npz").exists()
    assert [line for line in said if "log.csv" in line] == [
        f"warning: cannot write {log}: it is read-only; make it writable, or name another file; "
        "training goes on, and writes the file when it can"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 3}, "had epochs 2.*--init"),
        ({"seed": 1}, "had seed 0"),
        ({"optimizer": "sgd"}, "had optimizer 'adam'"),
        ({"options": {"lr": 0.02}}, "had options"),
        ({"augment": "flip"}, "had augment 'none'"),
        ({"decay": "none"}, "had decay 'cosine'"),
        ({"warmup": 1}, "had warmup 0"),
        ({"keep": "best", "val": 0.0}, "had keep 'last'"),
        ({"net": "FC2"}, "had net 'C3x3x3 MPF2x2 FC2'"),
        ({"val": 0.4}, r"had val 0\.0"),
        ({"balance": "classes"}, "had balance 'none'"),
    ],
)
def test_a_run_with_other_options_is_not_gone_on_with(job, model, change, words):
    before = (job / "a.checkpoint.npz").read_bytes()
    with pytest.raises(UsageError, match=words):
        train(job, resume=True, **change)
    assert (job / "a.checkpoint.npz").read_bytes() == before


def test_a_run_on_other_images_is_not_gone_on_with(job, model):
    images = tifffile.imread(job / "images.tif")
    images[0, 0, 0] ^= 1
    tifffile.imwrite(job / "images.tif", images, photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(UsageError, match="had other images or labels"):
        train(job, resume=True)


def test_another_version_is_gone_on_with_and_said(job, model, monkeypatch):
    monkeypatch.setattr(running, "__version__", "9.9")
    said = []
    train(job, said=said, resume=True)
    assert any("the last bits may differ" in line for line in said)


def test_a_full_disk_keeps_the_last_good_checkpoint(job, model, monkeypatch):
    before = (job / "a.checkpoint.npz").read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataError, match=r"cannot write .*a\.checkpoint\.npz: No space left on device"):
        train(job, force=True)
    assert (job / "a.checkpoint.npz").read_bytes() == before
    assert not [path for path in job.iterdir() if path.suffix == ".tmp"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"net": "C3x3x3 FC3"}, UsageError, r"3 outputs and the labels have 2 classes \(7, 255\); end the spec in FC2"),
        ({"epochs": 0}, UsageError, "at least 1, not 0"),
        ({"val": 1.0}, UsageError, "below 1"),
        ({"val": 0.9}, UsageError, "leaves none to train on"),
        ({"downsample": 0}, UsageError, "downsample must be at least 1, not 0"),
        ({"net": "C3x3x3 MPF"}, UsageError, "cannot read 'MPF'"),
        ({"device": "tpu"}, UsageError, "unknown backend"),
    ],
)
def test_a_call_that_makes_no_sense_leaves_nothing(job, options, error, words):
    with pytest.raises(error, match=words):
        train(job, **options)
    assert sorted(path.name for path in job.iterdir()) == ["images.tif", "labels.tif"]


def test_outputs_are_never_inputs_and_have_three_names(job):
    paths = [job / "images.tif"], [job / "labels.tif"]
    before = (job / "labels.tif").read_bytes()
    for output, log in ((job / "labels.tif", None), (job / "a.npz", job / "images.tif")):
        with pytest.raises(UsageError, match="is an input and will not be overwritten"):
            call(*paths, output, log=log)
    with pytest.raises(UsageError, match="two outputs have the name"):
        call(*paths, job / "a.npz", log=job / "a.npz")
    for missing in (job / "no" / "a.npz", job):
        with pytest.raises(DataError, match=r"there is no folder|is a folder"):
            call(*paths, missing)
    assert (job / "labels.tif").read_bytes() == before and len(list(job.iterdir())) == 2


# -------------------------------------------------------------------------------------------- segmenting


def segmented(job, model, *images, **options):
    """Segment images, by default those of `job`."""
    return helpers.segmented(images or [job / "images.tif"], model, job / "out", **options)


def test_a_stack_comes_back_as_probabilities_and_labels(job, model):
    prob, labels = segmented(job, model)
    net, images = Net.load(model), tifffile.imread(job / "images.tif")
    kind, pages, values = read_prediction(prob)
    assert (kind, values, len(pages)) == ("prob", (7, 255), 3)
    for page, image, classes in zip(pages, images, tifffile.imread(labels), strict=True):
        probabilities = net.segment(image)
        assert (page == probabilities).all()
        assert (classes == np.array([7, 255])[probabilities.argmax(axis=-1)]).all()
    with tifffile.TiffFile(labels) as tif:
        assert tif.series[0].axes == "ZYX" and tif.pages[0].resolution == (2, 3) and tif.pages[0].dtype == np.uint8


def test_pages_tiles_and_memory_change_no_bit_and_memory_is_said(job, model):
    said = []
    whole = [path.read_bytes() for path in segmented(job, model)]
    for options in ({"tile": 32}, {"tile": 1}, {"memory": 10**9}, {"memory": 1}):
        segmented(job, model, **options, force=True, said=said)
        assert [path.read_bytes() for path in sorted((job / "out").iterdir(), reverse=True)] == whole
    assert any("MB at the peak" in line for line in said)
    assert any("more than the 0 MB asked for" in line for line in said)


@pytest.mark.parametrize("tile", [None, 1])
def test_images_on_another_scale_than_those_of_the_training_are_warned_of_once_for_each_file(job, model, tile):
    images, said = tifffile.imread(job / "images.tif"), []
    usual = ("images.tif", "inverted.tif", "black.tif")
    stacks = {
        "inverted.tif": 255 - images,
        "black.tif": np.zeros_like(images),
        "wide.tif": images.astype(np.uint16) * 257,
        "unit.tif": images / np.float32(255),
        "huge.tif": (images - 100.0) * 1e305,
    }
    for name, stack in stacks.items():
        tifffile.imwrite(job / name, stack, photometric="minisblack", metadata={"axes": "ZYX"})
    paths = [job / name for name in ("images.tif", *stacks)]
    with np.errstate(all="ignore"), pytest.raises(DataError, match=r"1 of 6 images were left out: .*huge\.tif: "):
        segmented(job, model, *paths, tile=tile, said=said)
    warnings = [line for line in said if line.startswith("warning: ")]
    assert [line.split()[1] for line in warnings] == [str(path) for path in paths if path.name not in usual]
    assert "training images: bring it to their scale" in warnings[0]


def test_a_folder_of_images_of_several_sizes(job, model, rng):
    folder = job / "folder"
    folder.mkdir()
    for name, size in (("b10", (5, 6)), ("b9", (40, 33)), ("small", (1, 1))):
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 255, size, dtype=np.uint8))
    written = segmented(job, model, folder)
    assert [path.name for path in written[::2]] == ["b9_prob.tif", "b10_prob.tif", "small_prob.tif"]
    assert [tifffile.imread(path).shape[-2:] for path in written[1::2]] == [(40, 33), (5, 6), (1, 1)]


def test_rgb(job, rng):
    image = rng.integers(0, 255, (18, 22, 3), dtype=np.uint8)
    tifffile.imwrite(job / "rgb.tif", image, photometric="rgb")
    tifffile.imwrite(job / "mask.tif", (image.mean(axis=2) > 120).astype(np.uint8))
    call([job / "rgb.tif"], [job / "mask.tif"], job / "rgb.npz")
    prob, _ = segmented(job, job / "rgb.npz", job / "rgb.tif")
    assert (read_prediction(prob).pages[0] == Net.load(job / "rgb.npz").segment(image)).all()
    with pytest.raises(DataError, match=r"has 1 channel and the model takes 3"):
        segmented(job, job / "rgb.npz", job / "images.tif")


def test_nothing_is_overwritten_without_force_and_nothing_is_read_before_that_is_known(job, model):
    (job / "out").mkdir()
    (job / "out" / "images_labels.tif").write_text("mine")
    with pytest.raises(UsageError, match=r"images_labels\.tif exists already; .*--force"):
        segmented(job, model)
    assert [path.name for path in (job / "out").iterdir()] == ["images_labels.tif"]
    segmented(job, model, force=True)
    assert tifffile.imread(job / "out" / "images_labels.tif").shape == (3, 20, 24)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_leaves_nothing_that_looks_complete(job, model, failing, error):
    failing(error, lambda call, images: call == 3)
    with pytest.raises(error):
        segmented(job, model)
    assert list((job / "out").iterdir()) == []


def test_a_damaged_page_leaves_nothing_either(job, model):
    stack = np.zeros((3, 20, 24), np.float32)
    stack[2, 3, 4] = np.nan
    tifffile.imwrite(job / "nan.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(DataError, match=r"nan\.tif: page 2 has 1 pixels that are NaN"):
        segmented(job, model, job / "nan.tif")
    assert list((job / "out").iterdir()) == []


def test_one_damaged_file_among_many_is_named_and_the_rest_is_done(job, model):
    folder, out, said = job / "folder", job / "out", []
    folder.mkdir()
    for i in range(4):
        tifffile.imwrite(folder / f"{i}.tif", np.full((9, 9), 60 * i, np.uint8))
    whole = (folder / "1.tif").read_bytes()
    (folder / "1.tif").write_bytes(whole[:100])  # cannot be opened
    tifffile.imwrite(folder / "2.tif", np.full((9, 9), np.nan, np.float32))  # cannot be used
    message = r"2 of 4 images were left out: .*1\.tif.*; so were .*2\.tif"
    with pytest.raises(DataError, match=message):
        segmented(job, model, folder)
    done = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert sorted(path.name[:2] for path in done) == ["0_", "0_", "3_", "3_"]
    with pytest.raises(DataError, match=message):
        segmented(job, model, folder)
    (folder / "1.tif").write_bytes(whole)
    tifffile.imwrite(folder / "2.tif", np.zeros((9, 9), np.uint8))
    assert [path.name[:2] for path in segmented(job, model, folder, said=said)] == ["1_", "1_", "2_", "2_"]
    assert f"2 of 4 images have results in {out} and are left out; --force makes them again" in said
    assert {path: path.stat().st_mtime_ns for path in done} == done
    with pytest.raises(UsageError, match=r"exists already; .*--force"):
        segmented(job, model, folder)
    assert len(segmented(job, model, folder, force=True)) == 8


def test_results_are_no_images_and_images_are_no_results(job, model):
    folder = job / "folder"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.zeros((9, 9), np.uint8))
    for options in ({}, {"force": True}):
        written = segment_files([folder], model, folder, **options, echo=lambda line: None)
        assert [path.name for path in written] == ["a_prob.tif", "a_labels.tif"]
    tifffile.imwrite(folder / "a_labels.tif", np.eye(9, dtype=np.uint8))  # somebody's own
    with pytest.raises(UsageError, match=r"a_labels\.tif is an input and will not be overwritten"):
        segment_files([folder], model, folder, force=True, echo=lambda line: None)


def test_two_images_of_one_name_are_refused(job, model):
    (job / "b").mkdir()
    tifffile.imwrite(job / "b" / "images.tif", np.zeros((9, 9), np.uint8))
    with pytest.raises(UsageError, match="several images are named 'images'"):
        segmented(job, model, job / "images.tif", job / "b" / "images.tif")


def test_the_input_is_never_overwritten(job, model):
    (job / "out").mkdir()
    (job / "out" / "x_labels.tif").symlink_to(job / "x.tif")
    tifffile.imwrite(job / "x.tif", np.zeros((9, 9), np.uint8))
    with pytest.raises(UsageError, match="is an input and will not be overwritten"):
        segmented(job, model, job / "x.tif", force=True)


@pytest.mark.parametrize("factor", [0, -1, "2", 1.5, True, [1]])
def test_a_record_that_lies_about_its_resolution_is_refused(job, model, factor):
    net = Net.load(model)
    net.record["downsample"] = factor
    net.save(model)
    with pytest.raises(DataError, match="the model's record names the down-sampling"):
        segmented(job, model)


def pages(path):
    return np.stack(list(read_prediction(path).pages))


def test_several_models_and_turns_are_averaged_then_calibrated_then_filtered(job, model):
    train(job, "b", net="C5x5x2 FC2", seed=2)
    models, image = [model, job / "b.npz"], tifffile.imread(job / "images.tif")
    calibration = Calibration((0.1, 0.0, 0.5, 0.2), (7, 255))
    calibration.save(job / "c.json")
    mean = Committee([Net.load(path) for path in models], turns=True)
    expected = np.stack([median(calibration(mean.segment(page)), 2) for page in image])
    said = []
    prob, labels = segmented(job, models, turns=True, calibration=job / "c.json", median=2, said=said)
    assert (pages(prob) == expected).all() and "mean of 2 nets, each on 8 views of the image" in said
    assert (tifffile.imread(labels) == np.array([7, 255])[expected.argmax(axis=-1)]).all()
    for options in ({"tile": 1}, {"memory": 1}):
        again, _ = segmented(job, models, turns=True, calibration=job / "c.json", median=2, force=True, **options)
        assert (pages(again) == expected).all()


def test_models_that_do_not_go_together_are_named(job, model):
    train(job, "half", downsample=2)
    with pytest.raises(DataError, match=r"down-sampling of .*a\.npz is 1 and that of .*half\.npz is 2"):
        segmented(job, [model, job / "half.npz"])
    net = Net.load(model)
    net.class_values = 0, 255
    net.save(job / "other.npz")
    with pytest.raises(
        DataError, match=r"class values of .*a\.npz is \(7, 255\) and that of .*other\.npz is \(0, 255\)"
    ):
        segmented(job, [model, job / "other.npz"])
    Calibration((0.0, 1.0, 0.0, 0.0), (0, 255)).save(job / "c.json")
    with pytest.raises(
        DataError, match=r"c\.json was fitted for the classes \(0, 255\), and the model's are \(7, 255\)"
    ):
        segmented(job, model, calibration=job / "c.json")
    with pytest.raises(UsageError, match="0 to 25 pixels, not -1"):
        segmented(job, model, median=-1)
    assert not (job / "out").exists()


def test_a_disk_that_is_too_small_is_known_before_the_first_page(job, model, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 12_000))
    with pytest.raises(DataError, match=r"the results take 0 MB and the disk of .*out has 0 MB left"):
        segmented(job, model)
    assert list((job / "out").iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 0, 13_000))
    segmented(job, model)


# -------------------------------------------------------------------------------------------- evaluating


def test_evaluation_of_probabilities_and_of_labels_agree_with_the_pixels(job, model):
    prob, labels = segmented(job, model)
    wrong = (tifffile.imread(labels) != tifffile.imread(job / "labels.tif")).mean()
    for prediction in (prob, labels):
        report = evaluate_files([prediction], [job / "labels.tif"])
        assert report["pixel_error"] == pytest.approx(wrong) and report["class_values"] == [7, 255]
        json.dumps(report)
    interior = evaluate_files([labels], [job / "labels.tif"], positive=7)
    assert interior["pixel_error"] == pytest.approx(wrong)


def test_images_of_several_sizes_are_evaluated_together(job, rng):
    pairs = []
    for i, size in enumerate(((10, 12), (7, 9))):
        truth = rng.integers(0, 2, size, dtype=np.uint8)
        found = truth ^ (rng.random(size) < 0.2)
        for name, image in ((f"{i}_labels", found), (f"{i}", truth)):
            tifffile.imwrite(job / f"{name}.tif", image.astype(np.uint8))
        pairs.append((found != truth).ravel())
    report = evaluate_files([job / "0_labels.tif", job / "1_labels.tif"], [job / "0.tif", job / "1.tif"])
    assert report["pixel_error"] == pytest.approx(np.concatenate(pairs).mean())


def test_labels_of_other_values_and_of_the_other_polarity(job, model):
    prob, labels = segmented(job, model)
    truth = tifffile.imread(job / "labels.tif")
    for name, image in (("swapped", np.where(truth == 7, 255, 7)), ("ones", truth == 255), ("zeros", truth == 7)):
        tifffile.imwrite(job / f"{name}.tif", image.astype(np.uint8), photometric="minisblack")
    for prediction in (prob, labels):
        wanted = evaluate_files([prediction], [job / "labels.tif"])
        for name, options in (
            ("swapped", {"invert": True}),
            ("swapped", {"mapping": {7: 255, 255: 7}}),
            ("ones", {"mapping": {0: 7, 1: 255}}),
            ("zeros", {"mapping": {0: 7, 1: 255}, "invert": True}),
        ):
            assert evaluate_files([prediction], [job / f"{name}.tif"], **options) == wanted
    with pytest.raises(DataError, match=r"the labels hold 0, which is none of the classes \(7, 255\)"):
        evaluate_files([prob], [job / "ones.tif"], invert=True)
    three = truth.copy()
    three[0, 0, 0] = 9
    for name in ("three", "three_labels"):
        tifffile.imwrite(job / f"{name}.tif", three, photometric="minisblack")
    with pytest.raises(UsageError, match=r"there are 3: \(7, 9, 255\)"):
        evaluate_files([job / "three_labels.tif"], [job / "three.tif"], invert=True)


def test_results_of_down_sampled_images_are_compared_with_labels_of_full_size(job):
    train(job, "half", downsample=3)
    said = []
    prob, found = segmented(job, job / "half.npz", said=said)
    assert said[-1] == f"Z=3, Y=20, X=24, uint8: wrote {prob} and {found}, of 6x8"
    truth = [data.downsample_labels(y, 3) for y in tifffile.imread(job / "labels.tif")]
    for prediction in (prob, found):
        with pytest.raises(DataError, match="a prediction of 6x8 meets labels of 20x24; --downsample 3 fits"):
            evaluate_files([prediction], [job / "labels.tif"])
        with pytest.raises(DataError, match="20x24, down-sampled by 4; --downsample 3 fits"):
            evaluate_files([prediction], [job / "labels.tif"], reading=Reading(downsample=4))
        report = evaluate_files([prediction], [job / "labels.tif"], reading=Reading(downsample=3))
        assert report["pixel_error"] == pytest.approx((tifffile.imread(found) != truth).mean())
    with pytest.raises(UsageError, match="downsample must be at least 1, not 0"):
        Reading(downsample=0)
    calibrate_files([prob], [job / "labels.tif"], job / "c.json", reading=Reading(downsample=3))


def test_a_mapping_for_other_labels_is_refused(job, model):
    prob, _ = segmented(job, model)
    for job_of in (evaluate_files, lambda *paths, **options: calibrate_files(*paths, job / "c.json", **options)):
        with pytest.raises(DataError, match="--map names 1, which the labels do not hold; they are 7 to 255"):
            job_of([prob], [job / "labels.tif"], mapping={7: 255, 1: 7})
        with pytest.raises(DataError, match="--map leaves only the class 255 of the labels"):
            job_of([prob], [job / "labels.tif"], mapping={7: 255})
    tifffile.imwrite(job / "white.tif", np.full((3, 20, 24), 1, np.uint8), photometric="minisblack")
    assert evaluate_files([prob], [job / "white.tif"], mapping={1: 255})["class_errors"][0] is None
    with pytest.raises(DataError, match="the labels hold 1440 of class 255 alone"):
        calibrate_files([prob], [job / "white.tif"], job / "c.json", mapping={1: 255})
    assert not (job / "c.json").exists()


def test_a_calibration_is_fitted_on_files_and_applied_to_them(job, model):
    prob, _ = segmented(job, model)
    said = []
    calibration = calibrate_files([prob], [job / "labels.tif"], job / "c.json", echo=said.append)
    assert Calibration.load(job / "c.json") == calibration and calibration.class_values == (7, 255)
    assert "calibrated" in said[1] and said[2] == f"wrote {job / 'c.json'}"
    again, _ = segmented(job, model, calibration=job / "c.json", force=True)
    truth = tifffile.imread(job / "labels.tif") == 255
    about = json.loads((job / "c.json").read_text())
    assert np.mean((pages(again)[..., 1] - truth) ** 2) <= about["mean_square_after"] + 1e-6
    assert about["mean_square_after"] <= about["mean_square_before"] and about["pixels"] == truth.size


def test_a_calibration_on_inverted_labels_is_refused(job):
    truth = (tifffile.imread(job / "labels.tif") == 255)[..., None]
    p = np.where(truth, 0.8, 0.3).astype(np.float32)
    write_probabilities(job / "good_prob.tif", np.concatenate([1 - p, p], axis=-1), (7, 255))
    with pytest.raises(DataError, match=r"polynomial is constant .*: are the labels inverted\? \(--invert\)"):
        calibrate_files([job / "good_prob.tif"], [job / "labels.tif"], job / "c.json", invert=True)
    assert not (job / "c.json").exists()
    calibrate_files([job / "good_prob.tif"], [job / "labels.tif"], job / "c.json")


def test_a_calibration_of_something_else_is_refused(job, model):
    prob, labels = segmented(job, model)
    with pytest.raises(DataError, match="not on labels of 2"):
        calibrate_files([labels], [job / "labels.tif"], job / "c.json")
    with pytest.raises(UsageError, match="is an input and will not be overwritten"):
        calibrate_files([prob], [job / "labels.tif"], prob)
    with pytest.raises(DataError, match="there is no folder"):
        calibrate_files([prob], [job / "labels.tif"], job / "no" / "c.json")
    write_probabilities(job / "three_prob.tif", np.full((3, 20, 24, 3), 1 / 3, np.float32), (7, 9, 255))
    with pytest.raises(DataError, match="not on prob of 3"):
        calibrate_files([job / "three_prob.tif"], [job / "labels.tif"], job / "c.json")
    assert not (job / "c.json").exists()


def test_predictions_that_do_not_fit_are_refused(job, model):
    prob, labels = segmented(job, model)
    tifffile.imwrite(job / "one.tif", np.eye(20, 24, dtype=np.uint8))
    tifffile.imwrite(job / "wide.tif", np.zeros((3, 20, 25), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match="differ in their number of pages"):
        evaluate_files([prob], [job / "one.tif"])
    for both, truth in (([prob, labels], [job / "labels.tif"] * 2), ([job / "out"], [job / "labels.tif"])):
        with pytest.raises(DataError, match=r"different kinds .*, such as \*_prob\.tif"):
            evaluate_files(both, truth)
    with pytest.raises(DataError, match=r"images\.tif is no prediction, for it holds \d+ values; give a _prob"):
        evaluate_files([job / "images.tif"], [job / "labels.tif"])
    with pytest.raises(DataError, match="20x24 meets labels of 20x25"):
        evaluate_files([prob], [job / "wide.tif"])
    with pytest.raises(UsageError, match="none of the classes"):
        evaluate_files([prob], [job / "labels.tif"], positive=1)
    with pytest.raises(DataError, match="no such file"):
        evaluate_files([job / "no.tif"], [job / "labels.tif"])
    assert Checkpoint(job / "a.checkpoint.npz").exists()
