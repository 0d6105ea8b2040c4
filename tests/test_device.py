"""One code path for every device: what runs on a GPU gives what NumPy gives, within a budget of kernels and waits.

On the fake device the results are those of NumPy up to the order of additions. On a GPU they differ by rounding.
"""

import gc

import numpy as np
import pytest
import tifffile
from conftest import Device

from tinympcnn import (
    Checkpoint,
    Conv,
    DataError,
    FullyConnected,
    Logistic,
    MaxPool,
    MaxPoolFragment,
    MeanSquaredError,
    Net,
    Recipe,
    SoftmaxCrossEntropy,
    Tanh,
    cli,
    engine,
)
from tinympcnn.engine.correlation import correlate
from tinympcnn.nn import optim
from tinympcnn.training import fit, objective

HOST = Device("numpy", np)
SPEC = "C3x3x4 MPF2x2 C2x2x4 MPF2x3 FC2x2x5 FC2"


def as_on_host(device, got, wanted, dtype=np.float64):
    """Compare relative to the norm: 1e-13 on the host's arithmetic, 1e-11 on a GPU's; 1e-6 and 1e-5 in float32."""
    tolerance = {("fake", 8): 1e-13, ("fake", 4): 1e-6, ("gpu", 8): 1e-11, ("gpu", 4): 1e-5}
    got = device.asnumpy(got)
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    error = np.linalg.norm((got - wanted).astype(np.float64)) / max(np.linalg.norm(wanted.astype(np.float64)), 1e-300)
    assert error <= tolerance[device.name, np.dtype(dtype).itemsize]


@pytest.fixture(params=["fake", pytest.param("gpu", marks=pytest.mark.gpu)])
def other(request):
    """A device that is not the host."""
    return (
        request.getfixturevalue("gpu")
        if request.param == "gpu"
        else Device("fake", request.getfixturevalue("fake").cupy)
    )


LAYERS = {
    "Conv": (lambda: Conv(2, 3, (3, 2), rng=1), (2, 7, 6, 2), False),
    "FullyConnected": (lambda: FullyConnected(2, 3, (3, 2), rng=1), (2, 7, 6, 2), False),
    "FullyConnected 1x1": (lambda: FullyConnected(2, 3, rng=1), (2, 7, 6, 2), False),
    "MaxPool": (lambda: MaxPool((2, 3)), (2, 7, 6, 2), True),
    "MaxPoolFragment": (lambda: MaxPoolFragment((2, 3)), (2, 7, 8, 2), True),
    "Tanh": (Tanh, (2, 7, 6, 2), True),
    "Logistic": (Logistic, (2, 7, 6, 2), True),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("make", "shape", "same_bits"), LAYERS.values(), ids=LAYERS)
def test_layers_give_what_numpy_gives(other, make, shape, same_bits, dtype, rng):
    x = rng.integers(-5, 6, shape).astype(dtype)  # many ties: the winners must be the same ones
    results = []
    for xp in (np, other.xp):
        layer = make()
        layer.params = {name: xp.asarray(value.astype(dtype)) for name, value in layer.params.items()}
        layer.grads = {name: xp.zeros_like(value) for name, value in layer.params.items()}
        y = layer.forward(xp.asarray(x))
        dy = np.random.default_rng(2).standard_normal(y.shape).astype(dtype)
        results.append([y, layer.backward(xp.asarray(dy)), *layer.grads.values()])
        assert layer.cache is None
    for wanted, got in zip(*results, strict=True):
        if same_bits and other.name == "fake":
            np.testing.assert_array_equal(other.asnumpy(got), wanted)
        as_on_host(other, got, wanted, dtype)


def test_a_bounded_workspace_changes_nothing_and_takes_no_threads(fake, rng, monkeypatch):
    x, W, b = (rng.standard_normal(shape) for shape in ((4, 9, 8, 3), (3, 3, 3, 5), (5,)))
    on_device = [fake.cupy.asarray(array) for array in (x, W, b)]
    monkeypatch.setattr(engine.blocks, "DEVICE_BYTES", 1 << 14)
    monkeypatch.setattr(engine, "get_threads", lambda: 4)
    monkeypatch.setattr(engine.threads._workers, "executor", lambda: pytest.fail("a device was driven from threads"))
    assert len(engine.window_blocks((4, 7, 6), 3, 9, 5, on_device[0])) > 2
    fake.counts.reset()
    before = fake.counts.live_bytes
    y = correlate(*on_device)
    assert fake.counts.peak_bytes - before < y.nbytes + 2 * engine.DEVICE_BYTES
    monkeypatch.undo()
    np.testing.assert_allclose(y.get(), correlate(x, W, b), rtol=1e-12)


def setting(net, device, rng, size=(17, 20), loss=None):
    """Return the net on the device and its closure over a small image."""
    P, Q = net.field_of_view
    image = rng.standard_normal((1, *size, 1))
    target = rng.integers(-1, 2, (1, size[0] - P + 1, size[1] - Q + 1))
    net = net if device.on_host else net.to("cupy")
    pair = objective.Example(device.asarray(image.astype(net.dtype)), device.asarray(target))
    return net, objective.image_closure(net, pair, loss or SoftmaxCrossEntropy([1, 3]))


@pytest.fixture
def net():
    return Net.from_spec(SPEC, rng=0).astype("float64")


def test_nets_give_what_numpy_gives(other, net, rng):
    image, twin = rng.standard_normal((2, 15, 19, 1)), net.to("cupy")
    scores = net.forward(image)
    dscores = rng.standard_normal(scores.shape)
    dimage = net.backward(dscores)
    as_on_host(other, twin.forward(other.asarray(image)), scores)
    as_on_host(other, twin.backward(other.asarray(dscores)), dimage)
    as_on_host(other, twin.flat_grads(), net.flat_grads())
    P, Q = net.field_of_view
    patches = image[:, 1 : 1 + P, 2 : 2 + Q]
    as_on_host(other, twin.as_patch().forward(other.asarray(patches)), net.as_patch().forward(patches))


def test_the_contract_holds_on_the_device_at_every_pixel_and_for_every_gradient(other, net, rng):
    xp, (P, Q) = other.xp, net.field_of_view
    image = rng.standard_normal((1, P + 4, Q + 5, 1))
    whole, alone = net.to("cupy"), net.to("cupy").as_patch()
    scores = whole.forward(xp.asarray(image))
    dscores = rng.standard_normal(scores.shape)
    dimage, summed = whole.backward(xp.asarray(dscores)), np.zeros_like(image)
    for q, p in np.ndindex(5, 6):
        patch = alone.forward(xp.asarray(image[:, q : q + P, p : p + Q]))
        as_on_host(other, scores[:, q : q + 1, p : p + 1], other.asnumpy(patch))
        dpatch = alone.backward(xp.asarray(dscores[:, q : q + 1, p : p + 1]))
        summed[:, q : q + P, p : p + Q] += other.asnumpy(dpatch)
    as_on_host(other, dimage, summed)
    as_on_host(other, whole.flat_grads(), other.asnumpy(alone.flat_grads()))


def test_nets_go_to_the_device_and_back_as_copies(other, net):
    there = net.to("cupy")
    back = there.to("numpy")
    assert isinstance(there.flat(), other.xp.ndarray) and isinstance(back.flat(), np.ndarray)
    np.testing.assert_array_equal(back.flat(), net.flat())
    there.set_flat(there.flat() * 0)
    assert back.flat().any() and net.flat().any()


def test_nets_are_saved_from_the_device_and_segment_there(other, net, rng, tmp_path):
    there, image = net.to("cupy"), rng.standard_normal((20, 24))
    there.save(tmp_path / "model.npz")
    saved = Net.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(saved.flat(), net.flat())
    probabilities = there.segment(image)
    assert isinstance(probabilities, np.ndarray)
    np.testing.assert_allclose(probabilities, net.segment(image), atol=1e-6)
    np.testing.assert_allclose(there.segment(image, tile=32), probabilities, atol=1e-6)


def test_a_device_out_of_memory_gets_smaller_tiles_and_then_the_host(fake, rng):
    net = Net.from_spec(SPEC, rng=0)
    there, image = net.to("cupy"), rng.standard_normal((130, 44))
    wanted = net.segment(image)
    gc.collect()
    fake.counts.reset()
    there.segment(image, tile=32)
    needed = fake.counts.peak_bytes - fake.counts.live_bytes
    for room, told in ((int(1.2 * needed), "smaller|going on with"), (1000, "on the CPU")):
        fake.counts.max_bytes = fake.counts.live_bytes + room
        with pytest.warns(UserWarning, match="out of memory") as warned:
            np.testing.assert_allclose(there.segment(image, tile=128), wanted, atol=1e-6)
        assert any(told.split("|")[-1] in str(warning.message) for warning in warned)


@pytest.mark.parametrize("make", [SoftmaxCrossEntropy, lambda: SoftmaxCrossEntropy([2, 0, 1]), MeanSquaredError])
def test_losses_give_what_numpy_gives(other, make, rng):
    scores = rng.standard_normal((2, 4, 5, 3))
    loss, twin = make(), make()
    target = rng.standard_normal(scores.shape) if isinstance(loss, MeanSquaredError) else rng.integers(-1, 3, (2, 4, 5))
    wanted = loss.forward(scores, target)
    assert twin.forward(other.asarray(scores), other.asarray(target)) == pytest.approx(wanted, rel=1e-12)
    assert twin.counted == loss.counted
    as_on_host(other, twin.backward(), loss.backward())


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_optimisers_go_where_numpy_goes(other, net, name, rng):
    ours, closure = setting(net.astype("float64"), HOST, np.random.default_rng(1))
    theirs, their_closure = setting(net, other, np.random.default_rng(1))
    one, two = optim.build(name, ours), optim.build(name, theirs)
    for _ in range(3):
        assert two.step(their_closure) == pytest.approx(one.step(closure), rel=1e-10)
    assert one.evaluations == two.evaluations
    np.testing.assert_allclose(theirs.to("numpy").flat(), ours.flat(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "augment"), [("adam", "rotate"), ("lbfgs", "none")])
def test_training_goes_where_numpy_goes_also_after_a_break(other, name, augment, rng, tmp_path):
    images = [rng.standard_normal((14, 13)) for _ in range(3)]
    labels = [(image > 0).astype(int) for image in images]

    def training(net, **more):
        recipe = Recipe(epochs=3, optimizer=name, augment=augment)
        return fit.fit(net, (images, labels), recipe, validation=(images, labels), **more)

    start = Net.from_spec("C3x3x3 MPF2x2 FC2", rng=0).astype("float64")
    ours, theirs, again = start.astype("float64"), start.to("cupy"), start.to("cupy")
    wanted, got = list(training(ours)), list(training(theirs))
    next(training(start.to("cupy"), checkpoint=Checkpoint(tmp_path / "c.npz")))
    resumed = list(training(again, checkpoint=Checkpoint(tmp_path / "c.npz", resume=True)))
    for key in ("epoch", "images", "loss_train", "loss_val", "pixel_error", "step", "evaluations"):
        values = [record[key] for record in wanted]
        assert [record[key] for record in got] == pytest.approx(values, rel=1e-8)
        assert [record[key] for record in resumed] == pytest.approx(values[1:], rel=1e-8)
    assert {record["backend"] for record in got} == {"cupy"}
    np.testing.assert_allclose(again.to("numpy").flat(), theirs.to("numpy").flat(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "advice"), [("adam", "smaller crops, such as --crop"), ("lbfgs", "smaller images")]
)
def test_training_out_of_memory_is_one_sentence_with_a_way_out(fake, optimizer, advice, rng):
    net, image = Net.from_spec(SPEC, rng=0).to("cupy"), rng.standard_normal((100, 90))
    run = fit.fit(net, ([image], [image > 0]), Recipe(epochs=1, optimizer=optimizer))
    fake.counts.max_bytes = fake.counts.live_bytes + (1 << 18)
    with pytest.raises(DataError, match=f"out of memory in epoch 1, .*: train on {advice}"):
        next(run)


@pytest.fixture
def job(tmp_path, rng):
    """Return a function from a backend to the command line that trains on two small images, and its model's path."""
    images = rng.integers(0, 255, (2, 30, 26), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "images.tif", images, photometric="minisblack")
    tifffile.imwrite(tmp_path / "labels.tif", 255 * (images > 100).astype(np.uint8), photometric="minisblack")

    def command(name):
        files = [f"--images={tmp_path / 'images.tif'}", f"--labels={tmp_path / 'labels.tif'}"]
        model = tmp_path / f"{name}.npz"
        return ["train", *files, "-o", str(model), "--net=C3x3x4 MPF2x2 FC2", "--epochs=2", "--backend", name], model

    return command


def test_the_command_line_trains_and_segments_on_the_device(other, job, tmp_path):
    for name in ("numpy", "cupy"):
        train_it, model = job(name)
        assert cli.main(train_it) == 0
        image, folder = str(tmp_path / "images.tif"), str(tmp_path / name)
        assert cli.main(["segment", "-i", image, "-m", str(model), "-o", folder, "--backend", name]) == 0
    ours, theirs = (tifffile.imread(tmp_path / name / "images_prob.tif") for name in ("numpy", "cupy"))
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_the_command_line_goes_on_with_smaller_tiles_and_then_on_the_cpu_and_says_so(fake, tmp_path, rng, capsys):
    net = Net.from_spec(SPEC, rng=0)
    net.save(tmp_path / "m.npz")
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, (130, 44), dtype=np.uint8))
    words = ["segment", "-i", str(tmp_path / "a.tif"), "-m", str(tmp_path / "m.npz"), "--tile", "128", "--force", "-o"]
    assert cli.main([*words, str(tmp_path / "cpu"), "--backend", "numpy"]) == 0
    gc.collect()
    fake.counts.reset()
    net.to("cupy").segment(np.zeros((32, 32)))
    needed = fake.counts.peak_bytes - fake.counts.live_bytes
    capsys.readouterr()
    for room, told in ((2 * needed, "going on with "), (net.n_params * 8 + 1000, "going on on the CPU")):
        gc.collect()
        fake.counts.max_bytes = fake.counts.live_bytes + room
        assert cli.main([*words, str(tmp_path / "gpu"), "--backend", "cupy"]) == 0
        said = capsys.readouterr().out
        assert "out of memory with tiles of 128x" in said and told in said, said
        fake.counts.max_bytes = None
        ours, theirs = (tifffile.imread(tmp_path / name / "a_prob.tif") for name in ("cpu", "gpu"))
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


# ------------------------------------------------------------------------------ budgets, on the fake device


def costs(fake, work):
    fake.counts.reset()
    work()
    return fake.counts.launches, fake.counts.synchronisations, fake.counts.uploads


@pytest.mark.parametrize("size", [(17, 20), (70, 61)])
def test_a_pass_launches_as_many_kernels_whatever_the_size_and_waits_for_none(fake, size, rng):
    net = Net.from_spec(SPEC, rng=0).to("cupy")
    image = fake.cupy.asarray(rng.standard_normal((1, *size, 1)).astype("float32"))
    forward = costs(fake, lambda: net.forward(image))
    dscores = net.forward(image) * 0
    backward = costs(fake, lambda: net.backward(dscores, input_grad=False))
    assert forward <= (20, 0, 0)  # 9 layers: 4 products, 2 kernels that pool
    assert backward <= (44, 0, 0)
    assert len(fake.counts.threads) == 1


@pytest.mark.parametrize(("name", "launches", "waits"), [("sgd", 108, 0), ("adam", 118, 0), ("armijo", 144, 1)])
def test_a_step_waits_for_the_device_once_for_each_loss(fake, name, launches, waits, rng):
    net, closure = setting(Net.from_spec(SPEC, rng=0), Device("fake", fake.cupy), rng)
    optimizer = optim.build(name, net)
    optimizer.step(closure)
    before = optimizer.evaluations
    launched, synchronised, uploaded = costs(fake, lambda: optimizer.step(closure))
    evaluations = optimizer.evaluations - before
    assert synchronised == evaluations + waits  # Armijo also reads the length of its gradient
    assert uploaded == evaluations  # the class weights
    assert launched <= launches + 55 * (evaluations - 1)  # a trial step needs a forward pass only


def test_lbfgs_waits_for_its_dot_products(fake, rng):
    net, closure = setting(Net.from_spec(SPEC, rng=0), Device("fake", fake.cupy), rng)
    optimizer = optim.LBFGS(net)
    optimizer.step(closure)
    before = optimizer.evaluations
    _, synchronised, _ = costs(fake, lambda: optimizer.step(closure))
    assert synchronised <= 2 * (optimizer.evaluations - before) + 6 * len(optimizer.pairs) + 6
