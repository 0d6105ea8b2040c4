"""Training: the same seed gives the same bits, also after any interruption; what cannot work says so."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from helpers import lengths, rows_of

from tinympcnn import Checkpoint, DataError, MeanSquaredError, Net, Recipe, SoftmaxCrossEntropy, UsageError
from tinympcnn.errors import DivergenceError
from tinympcnn.nn import optim
from tinympcnn.nn.losses import balanced_weights
from tinympcnn.training.dataset import WholeImages, split_validation
from tinympcnn.training.fit import fit

SPEC = "C3x3x4 MPF2x2 FC2"


@pytest.fixture
def some(rng):
    """Four small images of different sizes, and labels that can be learnt from them."""
    images = [rng.standard_normal((h, w)) for h, w in ((9, 12), (10, 7), (8, 8), (11, 9))]
    return images, [(image > 0.3).astype(int) for image in images]


def training(net, data, path=None, resume=False, minutes=10, **options):
    """Return the generator of a run, with the options of `fit` and the fields of the recipe together."""
    more = {name: options.pop(name) for name in ("validation", "loss", "executor") if name in options}
    checkpoint = Checkpoint(path, minutes, resume) if path is not None else None
    return fit(net, data, Recipe(**{"epochs": 4, "seed": 3, **options}), checkpoint=checkpoint, **more)


def trained(some, **options):
    """Return the net and the records of a run, without the times in them."""
    net = Net.from_spec(SPEC, rng=0)
    records = list(training(net, some, **options))
    return net, [untimed(record) for record in records]


def untimed(record):
    return {key: value for key, value in record.items() if key not in ("seconds", "patches_per_second")}


@pytest.mark.parametrize("optimizer", optim.OPTIMIZERS)
def test_training_lowers_the_loss_and_says_so(some, optimizer):
    net = Net.from_spec(SPEC, rng=0)
    records = list(training(net, some, epochs=8, optimizer=optimizer, decay="none", validation=some))
    assert [record["epoch"] for record in records] == list(range(1, 9))
    assert records[-1]["images"] == 8 * len(some[0])
    assert records[-1]["loss_val"] < records[0]["loss_val"] and records[-1]["loss_train"] < records[0]["loss_train"]
    assert 0 <= records[-1]["pixel_error"] < 0.5 and records[-1]["evaluations"] >= 8
    assert records[-1]["patches_per_second"] > 0 and records[-1]["backend"] == "numpy"
    assert json.loads(json.dumps(records)) == records


@pytest.mark.parametrize("augment", ["none", "flip", "rotate", "rotate+elastic+intensity"])
def test_the_same_seed_gives_the_same_bits_and_another_others(some, augment):
    net, records = trained(some, augment=augment)
    again, same = trained(some, augment=augment)
    other, _ = trained(some, augment=augment, seed=4)
    assert (net.flat() == again.flat()).all() and str(records) == str(same)
    assert (net.flat() != other.flat()).any()


@pytest.mark.parametrize(
    ("decay", "factors"),
    [("none", [1, 1, 1, 1]), ("linear", [1, 0.75, 0.5, 0.25]), ("cosine", [1, 0.8536, 0.5, 0.1464])],
)
def test_the_learning_rate_falls_as_the_schedule_says(some, decay, factors):
    one = some[0][:1], some[1][:1]
    _, records = trained(one, optimizer="sgd", options={"lr": 0.02}, decay=decay)
    assert [record["step"] for record in records] == pytest.approx([0.02 * f for f in factors], rel=1e-3)


def test_the_learning_rate_grows_over_the_warmup(some):
    _, records = trained(some, optimizer="sgd", options={"lr": 0.02}, decay="none", warmup=2.5)
    assert [record["step"] for record in records] == pytest.approx([0.02 * f for f in (0.4, 0.8, 1, 1)])
    ramp, decay = [0.5, 1, 1, 1], [1, 0.75, 0.5, 0.25]
    _, records = trained((some[0][:1], some[1][:1]), optimizer="sgd", options={"lr": 1}, decay="linear", warmup=2)
    assert [record["step"] for record in records] == pytest.approx([a * b for a, b in zip(ramp, decay, strict=True)])


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("optimizer", "more"),
    [
        ("adam", {"augment": "flip+elastic+intensity"}),
        ("sgd", {"crop": 7, "decay": "linear", "warmup": 1.5}),
        ("armijo", {"augment": "rotate"}),
        ("lbfgs", {}),
        ("sgd", {"keep": "best", "options": {"lr": 30}}),
    ],
)
@pytest.mark.parametrize("error", [Killed, KeyboardInterrupt])
@lengths(2, 10)
def test_a_run_stopped_anywhere_goes_on_to_the_same_bits(
    some, tmp_path, rng, monkeypatch, optimizer, more, error, cases
):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    options = {"optimizer": optimizer, "validation": some, "balance": "classes", "epochs": 3, **more}
    whole, records = trained(some, **options)
    weights = balanced_weights(np.bincount(np.concatenate([y.ravel() for y in some[1]])))

    class Loss(SoftmaxCrossEntropy):
        calls, stop = 0, None

        def forward(self, *args, **kwargs):
            Loss.calls += 1
            if Loss.calls == Loss.stop:  # in the middle of an update, a trial step or a validation
                raise error
            return super().forward(*args, **kwargs)

    trained(some, **options, loss=Loss(weights))
    for stop in sorted(rng.permutation(Loss.calls)[:cases] + 1):
        Loss.calls, Loss.stop, path = 0, stop, tmp_path / f"{stop}.npz"
        with pytest.raises(error):
            trained(some, **options, loss=Loss(weights), path=path, minutes=0 if stop % 2 else 10)
        assert path.exists() or error is Killed
        net, rest = trained(some, **options, path=path, resume=True)
        assert (net.flat() == whole.flat()).all()
        assert str([untimed(record) for record in Checkpoint(path).peek()[1]]) == str(records)
        assert str(rest) == str(records[len(records) - len(rest) :])
    assert all(path.suffix == ".npz" for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "more",
    [{"optimizer": "lbfgs"}, {"optimizer": "armijo"}, {"decay": "none"}, {"decay": "0.9", "keep": "best", "warmup": 2}],
)
def test_a_finished_run_goes_on_for_more_epochs_where_no_rate_depends_on_their_number(some, tmp_path, more):
    more = {**more, "validation": some}
    whole, records = trained(some, epochs=5, **more)
    trained(some, epochs=2, **more, path=tmp_path / "c.npz")
    net, rest = trained(some, epochs=5, **more, path=tmp_path / "c.npz", resume=True)
    assert (net.flat() == whole.flat()).all() and str(rest) == str(records[2:])
    assert net.record["epochs"] == 5 and Checkpoint(tmp_path / "c.npz").peek()[0]["epochs"] == 5


@pytest.mark.parametrize("augment", ["none", "rotate+elastic", "flip+intensity"])
def test_target_images_are_learnt_as_regression_and_moved_with_their_image(rng, augment):
    images = [rng.random((12, 15, 2)), rng.random((11, 10, 2))]
    targets = [np.stack([x[..., 0], x[..., 1], x.sum(axis=-1)], axis=-1) for x in images]
    net = Net.from_spec("FC3", in_maps=2, rng=0)
    recipe = Recipe(epochs=30, options={"lr": 0.05}, augment=augment, crop=8)
    *_, last = fit(net, (images, targets), recipe, validation=(images, targets))
    assert last["loss_val"] < 0.01 and "pixel_error" not in last
    data = WholeImages(net, images, targets, Recipe(augment="rotate+elastic"))
    image, target = data.example(3, 0)
    mean, std = net.normalisation
    np.testing.assert_allclose(image * std + mean, target[..., :2], atol=1e-5)  # FC: no border
    with pytest.raises(UsageError, match="only classes can be balanced"):
        fit(net, (images, targets), Recipe(balance="classes"))
    with pytest.raises(DataError, match=r"target 0 is .*\(12, 15, 2\); a net with 3 outputs needs .* \(12, 15, 3\)"):
        fit(net, (images, images), Recipe())


def test_a_data_set_of_ones_own_goes_through_the_same_loop(some, tmp_path):
    class Mine(WholeImages):
        measure, lighter = "error", "smaller batches"

        def place(self, epoch, position):
            return f"batch {position}"

    net = Net.from_spec(SPEC, rng=0)
    data = Mine(net, *some, Recipe())
    data.measure = "error"
    *_, last = fit(net, data, Recipe(epochs=2), validation=data)
    assert 0 <= last["error"] <= 1 and "pixel_error" not in last
    with pytest.raises(UsageError, match="or a Dataset, not 7"):
        fit(net, 7, Recipe())


@pytest.mark.parametrize("epochs", [1, 5])
def test_the_best_epoch_is_the_one_with_the_lowest_validation_loss(some, tmp_path, epochs):
    options = {"validation": some, "optimizer": "sgd", "options": {"lr": 30}, "epochs": epochs}
    net, flats, losses = Net.from_spec(SPEC, rng=0), [], []
    for record in training(net, some, **options):
        flats.append(net.flat())
        losses.append(record["loss_val"])
    best = int(np.argmin(losses))
    assert epochs == 1 or best < epochs - 1  # or nothing is shown: the rate is far too large
    for _ in range(2):  # the second run finds that all is done
        net = Net.from_spec(SPEC, rng=0)
        for record in training(net, some, **options, keep="best", path=tmp_path / "c.npz", resume=True):
            assert (net.flat() == flats[best if record["epoch"] == epochs else record["epoch"] - 1]).all()
        assert (net.flat() == flats[best]).all()
    with pytest.raises(UsageError, match="had keep 'best'"):
        training(net, some, **options, path=tmp_path / "c.npz", resume=True)


def test_of_equal_epochs_the_first_is_the_best(some, tmp_path):
    blank = some[0], [y * 0 + 1 for y in some[1]]  # all of a class without weight: the loss is 0 after every epoch
    options = {"validation": blank, "loss": SoftmaxCrossEntropy([1, 0]), "path": tmp_path / "c.npz", "epochs": 3}
    best, _ = trained(some, **options, keep="best")
    first = Net.from_spec(SPEC, rng=0)
    next(training(first, some, **options))
    assert (best.flat() == first.flat()).all()
    with pytest.raises(UsageError, match="had keep 'last'"):
        training(first, some, **options, keep="best", resume=True)


def test_balanced_images_make_updates_over_weights(some):
    weights = balanced_weights(np.bincount(np.concatenate([y.ravel() for y in some[1]])))
    net, records = trained(some, balance="images")
    other, wanted = trained(some, loss=SoftmaxCrossEntropy(weights, over="weights"))
    assert (net.flat() == other.flat()).all() and str(records) == str(wanted)
    assert (net.flat() != trained(some, balance="classes")[0].flat()).any()
    with pytest.raises(UsageError, match="none, classes, images, not 'pixels'"):
        trained(some, balance="pixels")
    with pytest.raises(UsageError, match="balanced already"):
        trained(some, balance="images", optimizer="lbfgs")


def test_a_finished_run_has_nothing_left_to_do(some, tmp_path):
    net, _ = trained(some, path=tmp_path / "c.npz")
    again, records = trained(some, path=tmp_path / "c.npz", resume=True)
    assert records == [] and (net.flat() == again.flat()).all()


def test_an_abandoned_generator_leaves_the_checkpoint_of_its_last_epoch(some, tmp_path):
    net = Net.from_spec(SPEC, rng=0)
    next(iter(training(net, some, path=tmp_path / "c.npz")))
    whole, _ = trained(some)
    again, records = trained(some, path=tmp_path / "c.npz", resume=True)
    assert [record["epoch"] for record in records] == [2, 3, 4] and (again.flat() == whole.flat()).all()


def test_a_checkpoint_of_another_run_or_net_is_refused(some, tmp_path):
    trained(some, path=tmp_path / "c.npz")
    with pytest.raises(UsageError, match="had seed 3"):
        trained(some, path=tmp_path / "c.npz", resume=True, seed=9)
    with pytest.raises(UsageError, match="--init, or train with --decay none"):
        trained(some, path=tmp_path / "c.npz", resume=True, epochs=5)
    net = Net.from_spec("C3x3x5 MPF2x2 FC2", rng=0)
    with pytest.raises(DataError, match="another net"):
        training(net, some, path=tmp_path / "c.npz", resume=True)


@lengths(60, 2000)
def test_a_damaged_checkpoint_is_one_sentence(some, tmp_path, rng, cases):
    path = tmp_path / "c.npz"
    some = some[0][:1], some[1][:1]
    trained(some, path=path)
    whole = path.read_bytes()
    for i in range(cases):
        damaged = bytearray(whole)
        if i % 3:
            for place in rng.integers(0, len(whole), 1 + i % 4):
                damaged[place] ^= 1 << rng.integers(8)
        else:
            damaged = damaged[: rng.integers(len(whole))]
        path.write_bytes(damaged)
        net = Net.from_spec(SPEC, rng=0)
        try:
            Checkpoint(path).load(net, optim.Adam(net))
            Checkpoint(path).peek()
        except DataError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "armijo"])
def test_divergence_names_epoch_image_and_layer_and_keeps_the_last_good_checkpoint(some, tmp_path, optimizer):
    path, net, kept = tmp_path / "c.npz", Net.from_spec(SPEC, rng=0), []
    run = training(net, some, optimizer=optimizer, path=path)
    with pytest.raises(DivergenceError, match=r"epoch 2, image \d.*0\.Conv\.W"):
        for _ in run:
            kept.append(path.read_bytes())
            net.layers[0].params["W"][0, 0, 0, 0] = np.nan
    assert len(kept) == 1 and path.read_bytes() == kept[0]


def test_a_gradient_that_is_not_finite_stops_training(some):
    class Wrong(MeanSquaredError):
        def forward(self, scores, target, grad=True):
            super().forward(scores, scores, grad)
            self._dscores = scores + np.inf
            return 1.0

    with pytest.raises(DivergenceError, match=r"epoch 1, image \d: a gradient is not finite \(.*0\.Conv\.W\)"):
        trained(some, loss=Wrong(), optimizer="sgd")


def test_what_the_net_learns_from_is_normalised_and_mirrored(some):
    net = Net.from_spec(SPEC, rng=0)
    images = [1000 + 50 * image for image in some[0]]
    data = WholeImages(net, images, some[1], Recipe())
    pixels = np.concatenate([image.ravel() for image in images])
    assert net.normalisation[0] == pytest.approx(pixels.mean()) and net.normalisation[1] == pytest.approx(pixels.std())
    seen = [data.example(0, i) for i in range(len(data))]
    assert sorted(pair.target.shape for pair in seen) == sorted((1, *y.shape) for y in some[1])
    P, Q = net.field_of_view
    for pair in seen:
        assert pair.image.shape == (1, pair.target.shape[1] + P - 1, pair.target.shape[2] + Q - 1, 1)
        assert abs(pair.image).max() < 5
    assert sorted(data.place(1, i) for i in range(4)) == [f"image {i}" for i in range(4)]


def test_an_executor_changes_no_bit(some):
    with ThreadPoolExecutor(2) as executor:
        net, _ = trained(some, optimizer="lbfgs", executor=executor)
    assert (net.flat() == trained(some, optimizer="lbfgs")[0].flat()).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"epochs": 0}, UsageError, "epochs must be at least 1, not 0"),
        ({"augment": "shear"}, UsageError, "no augmentation 'shear'; use none, or some of flip, rotate"),
        ({"decay": "step"}, UsageError, "none, linear, cosine, or a factor for each epoch, not 'step'"),
        ({"keep": "first"}, UsageError, "keep must be one of last, best, not 'first'"),
        ({"keep": "best"}, UsageError, "give validation images"),
        ({"warmup": -1}, UsageError, "warmup must be from 0 to the number of epochs, 1, not -1"),
        ({"warmup": 4}, UsageError, "warmup must be from 0 to the number of epochs, 1, not 4"),
        ({"warmup": float("nan")}, UsageError, "warmup must be from 0 to"),
        ({"decay": "1.1"}, UsageError, "a factor for each epoch, not '1.1'"),
        ({"seed": 10**400}, UsageError, r"the seed must be from 0 to 2\*\*63 - 1"),
        ({"crop": 0}, UsageError, "crop must be at least 1"),
        ({"optimizer": "newton"}, UsageError, "adam, sgd, armijo, lbfgs"),
        ({"options": {"speed": 1}}, UsageError, "adam has no option 'speed'"),
        ({"optimizer": "lbfgs", "augment": "flip"}, UsageError, "same whole images"),
        ({"labels": []}, DataError, "do not make a training set"),
        ({"images": []}, DataError, "do not make a training set"),
        ({"images": [np.full((9, 12), np.nan)]}, DataError, "image 0 has 108 pixels that are NaN"),
        ({"images": [np.zeros((9, 12, 3))]}, DataError, r"takes \(H, W, 1\)"),
        ({"labels": [np.zeros((9, 12))]}, DataError, "needs integers"),
        ({"labels": [np.zeros((9, 11), int)]}, DataError, "needs integers"),
        ({"validation": 0.2}, UsageError, r"validation must be a pair such as \(images, labels\), .* not 0\.2"),
        ({"validation": (1, 2, 3)}, UsageError, r"a pair such as .* not \(1, 2, 3\)"),
        ({"labels": [np.full((9, 12), 2)]}, DataError, "2 outputs takes classes 0 to 1"),
        ({"labels": [np.full((9, 12), -2)]}, DataError, "-1 for pixels that do not count"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(some, tmp_path, change, error, words):
    change = dict(change)
    images, labels = (change.pop(name, some[i][:1]) for i, name in enumerate(("images", "labels")))
    with pytest.raises(error, match=words):
        training(Net.from_spec(SPEC, rng=0), (images, labels), tmp_path / "c.npz", **{"epochs": 1, **change})
    assert list(tmp_path.iterdir()) == []


def test_booleans_are_the_classes_0_and_1(some):
    images, labels = some
    masks = [y == 1 for y in labels]
    runs = [
        next(training(Net.from_spec(SPEC, rng=0), (images, same), epochs=1))["loss_train"]
        for same in (masks, [mask.astype(int) for mask in masks])
    ]
    assert runs[0] == runs[1]


def test_a_patch_net_is_refused(some):
    with pytest.raises(UsageError, match=r"net\.as_image"):
        training(Net.from_spec(SPEC, rng=0).as_patch(), some)


@pytest.mark.parametrize(("n", "fraction"), [(1, 0.5), (3, 0.9), (3, 1.0), (3, -0.1), (3, float("nan"))])
def test_a_validation_split_that_leaves_nothing_is_refused(n, fraction):
    with pytest.raises(UsageError):
        split_validation(n, fraction, in_order=True)


def test_a_validation_split_is_the_end_of_a_stack_or_a_seeded_choice():
    assert split_validation(5, 0.01, in_order=True) == ([0, 1, 2, 3], [4])
    kept, held = split_validation(20, 0.25, in_order=False, seed=1)
    assert sorted(kept + held) == list(range(20)) and len(held) == 5
    assert (kept, held) == split_validation(20, 0.25, in_order=False, seed=1) != split_validation(20, 0.25, False, 2)


# ---------------------------------------------------------------------------------- killed from outside

PROGRAM = """
import os, random, signal, sys, time
from tinympcnn import cli

def killed(arguments, seconds):
    child = os.fork()  # all is imported already: what the kill meets is training, and not Python's start
    if not child:
        os._exit(cli.main(arguments))
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] != 0

if sys.argv[1] == "kill":
    start, kills, chance = time.perf_counter(), 0, random.Random(0)
    def moment():  # early kills at first, for a fast machine; later ones then, for a slow one to come forward
        return chance.uniform(0, 0.02 * 1.06**kills)
    while kills < 60 and time.perf_counter() - start < 6 and killed(sys.argv[2:], moment()):
        kills += 1
    print("killed", kills, file=sys.stderr)
else:
    sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def command(tmp_path, rng):
    """Return a function that gives the command line of a training run of a second or so."""
    images = rng.integers(0, 255, (2, 9, 10), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "images.tif", images, photometric="minisblack")
    tifffile.imwrite(tmp_path / "labels.tif", (images > 99).astype(np.uint8) * 255, photometric="minisblack")

    def arguments(name, *more, before=()):
        files = [f"--images={tmp_path / 'images.tif'}", f"--labels={tmp_path / 'labels.tif'}"]
        out = [f"--output={tmp_path / name}.npz", f"--log={tmp_path / name}.csv", "--augment=flip", "--epochs=40"]
        run = ["train", *files, *out, "--net=C2x2x2 FC2", "--backend=numpy", "--threads=1", *more]
        return [sys.executable, "-c", PROGRAM, *before, *run]

    return arguments


def rows(path):
    return [untimed(row) for row in rows_of(path)]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test forks")
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(command, tmp_path):
    alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(command("whole"), check=True, capture_output=True, env=alone)
    assert [row["epoch"] for row in rows(tmp_path / "whole.csv")] == [str(n) for n in range(1, 41)]
    cut = command("cut", "--resume", "--minutes=0", before=["kill"])
    said = subprocess.run(cut, check=True, capture_output=True, text=True, env=alone)
    assert int(said.stderr.split("killed")[1]) >= 3
    subprocess.run(command("cut", "--resume"), check=True, capture_output=True, text=True, env=alone)
    whole, cut = (Net.load(tmp_path / f"{name}.npz") for name in ("whole", "cut"))
    assert (whole.flat() == cut.flat()).all()
    assert rows(tmp_path / "whole.csv") == rows(tmp_path / "cut.csv")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for one process alone")
def test_ctrl_c_ends_with_a_checkpoint_and_one_line_that_says_how_to_go_on(command, tmp_path):
    process = subprocess.Popen(
        command("cut", "--epochs=100000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while not process.stdout.readline().lstrip().startswith("3/100000 "):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    try:
        _, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert complaint == (
        f"tinympcnn: interrupted; the same command with --resume goes on from {tmp_path / 'cut.checkpoint.npz'}\n"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.checkpoint.npz", "cut.csv", "images.tif", "labels.tif"]
    _, records = Checkpoint(tmp_path / "cut.checkpoint.npz").peek()
    assert len(records) >= 3
