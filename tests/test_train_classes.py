"""Training on classified images through the one loop: it learns, keeps the best, and resumes to the same bits."""

import itertools

import numpy as np
import pytest

from tinympcnn import Net, UsageError
from tinympcnn.data import synthetic_digits
from tinympcnn.data.distort import Distortion
from tinympcnn.inference.classify import classify
from tinympcnn.metrics import top_error
from tinympcnn.training.checkpoint import Checkpoint
from tinympcnn.training.classes import ClassifiedImages
from tinympcnn.training.fit import fit
from tinympcnn.training.recipe import Recipe
from tinympcnn.training.schedules import check_decay, decay_factor

SPEC = "1x13x13-6C4-MP2-12C2-MP2-20N-10N"
IMAGES, CLASSES = synthetic_digits(300, 14, rng=0)
WILD = Distortion(translation=0.05, rotation=8, alpha=4, sigma=3)


def start(seed=0, batch=20, n=200):
    net = Net.from_spec(SPEC, rng=seed)
    return net, ClassifiedImages(net, IMAGES[:n], CLASSES[:n], WILD, batch, seed)


def test_a_small_net_learns_digits_it_has_not_seen():
    net, data = start()
    held = ClassifiedImages(net, IMAGES[200:], CLASSES[200:])
    records = list(fit(net, data, Recipe(10, options={"lr": 8e-3}), validation=held))
    assert records[-1]["images"] == 10 * 200 and records[-1]["loss_train"] < 0.5 * records[0]["loss_train"]
    error = top_error(classify(net, IMAGES[200:]), CLASSES[200:])
    assert error < 0.3 and records[-1]["error"] == pytest.approx(error)


@pytest.mark.parametrize("stop", [3, 10, 17])
def test_a_run_that_is_cut_off_goes_on_to_the_same_bits(tmp_path, stop):
    recipe = Recipe(2, options={"lr": 5e-3}, decay="0.5:0.1")
    whole, data = start()
    list(fit(whole, data, recipe))

    class Cut(Exception):
        pass

    def cut(done, total):
        if next(updates) == stop:
            raise Cut

    updates = itertools.count(1)
    net, data = start()
    with pytest.raises(Cut):  # what SIGKILL leaves: the last checkpoint, here of the update before
        list(fit(net, data, recipe, checkpoint=Checkpoint(tmp_path / "c.npz", minutes=0), progress=cut))
    net, data = start(seed=0)
    list(fit(net, data, recipe, checkpoint=Checkpoint(tmp_path / "c.npz", resume=True)))
    np.testing.assert_array_equal(net.flat(), whole.flat())


def test_the_best_epoch_is_kept():
    net, data = start(n=100)
    held = ClassifiedImages(net, IMAGES[200:], CLASSES[200:])
    recipe = Recipe(5, options={"lr": 0.05}, decay="none", keep="best")
    records = list(fit(net, data, recipe, validation=held))
    best = min(records, key=lambda record: record["loss_val"])
    p = classify(net, IMAGES[200:])
    assert -np.log(p[np.arange(100), CLASSES[200:]]).mean() == pytest.approx(best["loss_val"], rel=1e-4)


def test_balanced_classes_weigh_the_same():
    classes = np.where(np.arange(40) < 36, 0, 1)
    net = Net.from_spec("1x13x13-6C4-MP2-12C2-MP2-20N-2N", rng=0)
    loss = ClassifiedImages(net, IMAGES[:40], classes).loss("classes")
    np.testing.assert_allclose(loss.class_weights, [40 / 72, 5])
    assert ClassifiedImages(net, IMAGES[:40], classes).loss("none").class_weights is None


def test_the_papers_schedule_has_a_floor():
    assert [round(decay_factor("0.993:0.03", done, 800), 6) for done in (0, 1.9, 2, 600)] == [1, 0.993, 0.986049, 0.03]
    for wrong in ("0.993:", "0.993:2", "2:0.1", ":0.1", "0.9:0.1:0.1", "0.9:nan"):
        with pytest.raises(UsageError, match="decay must be"):
            check_decay(wrong)
