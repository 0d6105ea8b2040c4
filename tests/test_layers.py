"""Every fast layer against the paper's algorithms in ``reference.py``, and against finite differences."""

import numpy as np
import pytest
from conftest import Device
from helpers import close, noise, placed

from tinympcnn import (
    Conv,
    Fragment,
    FullyConnected,
    Logistic,
    MaxPool,
    MaxPoolFragment,
    Net,
    Relu,
    Skip,
    Subsample,
    Tanh,
    Upsample,
    UsageError,
    engine,
)
from tinympcnn.gradcheck import check_layer
from tinympcnn.nn import reference
from tinympcnn.nn.layers.conv import plain_forward, plain_gradients

HOST = Device("numpy", np)


def conv(*arguments):
    return lambda: Conv(*arguments, rng=1)


# a way to make each layer, and a shape (F, H, W, C) that suits it
CASES = {
    "Conv 3x3": (conv(2, 3, 3), (3, 6, 8, 2)),
    "Conv 4x1, one map": (conv(1, 1, (4, 1)), (2, 7, 5, 1)),
    "Conv 2x5": (conv(3, 2, (2, 5)), (1, 5, 9, 3)),
    "Conv as large as the map": (conv(2, 2, (4, 3)), (2, 4, 3, 2)),
    "FullyConnected": (lambda: FullyConnected(3, 4, rng=1), (4, 3, 5, 3)),
    "FullyConnected 2x3": (lambda: FullyConnected(2, 5, (2, 3), rng=1), (4, 3, 5, 2)),
    "MaxPool 2": (lambda: MaxPool(2), (3, 5, 8, 2)),
    "MaxPool 3": (lambda: MaxPool(3), (2, 9, 7, 2)),
    "MaxPool 4": (lambda: MaxPool(4), (2, 11, 8, 1)),
    "MaxPool 1x3": (lambda: MaxPool((1, 3)), (2, 4, 8, 3)),
    "MaxPoolFragment 2": (lambda: MaxPoolFragment(2), (3, 5, 7, 2)),
    "MaxPoolFragment 3": (lambda: MaxPoolFragment(3), (2, 11, 8, 2)),
    "MaxPoolFragment 4": (lambda: MaxPoolFragment(4), (1, 11, 7, 3)),
    "MaxPoolFragment 2x3": (lambda: MaxPoolFragment((2, 3)), (2, 5, 8, 2)),
    "MaxPoolFragment 3x1": (lambda: MaxPoolFragment((3, 1)), (2, 8, 5, 2)),
    "Tanh": (Tanh, (3, 4, 5, 2)),
    "Logistic": (Logistic, (3, 4, 5, 2)),
    "Relu": (Relu, (3, 4, 5, 2)),
    "Fragment 2": (lambda: Fragment(2), (3, 4, 6, 2)),
    "Fragment 3x1": (lambda: Fragment((3, 1)), (2, 6, 5, 1)),
    "Subsample 2x3": (lambda: Subsample((2, 3)), (3, 5, 7, 2)),
    "Upsample 2": (lambda: Upsample(2), (3, 2, 3, 2)),
    "Upsample 3x1": (lambda: Upsample((3, 1)), (2, 4, 5, 3)),
    "Skip of a convolution": (lambda: Skip([Conv(2, 3, (3, 2), rng=1)]), (3, 5, 6, 2)),
    "Skip of pool and up": (
        lambda: Skip([MaxPool((2, 3)), Conv(2, 3, 2, rng=1), Tanh(), Upsample((2, 3))]),
        (2, 6, 9, 2),
    ),
    "Skip of fragments": (lambda: Skip([MaxPoolFragment(2), Conv(2, 2, 2, rng=1), Fragment(2)]), (2, 7, 8, 2)),
    "Skip of a skip": (
        lambda: Skip([MaxPool(2), Conv(1, 2, 3, rng=1), Skip([Conv(2, 1, 1, rng=2)]), Upsample(2)]),
        (1, 8, 10, 1),
    ),
}
every_layer = pytest.mark.parametrize(("make", "shape"), CASES.values(), ids=CASES.keys())
pooling = pytest.mark.parametrize("layer", [MaxPool(2), MaxPool((2, 4)), MaxPoolFragment(2), MaxPoolFragment((2, 4))])


def passes(device, layer, x, dy):
    """Return (y, dx, *gradients) of one forward and one backward pass, from gradients of zero."""
    for grad in layer.grads.values():
        grad[...] = 0
    y = layer.forward(x)
    return [device.asnumpy(array).copy() for array in (y, layer.backward(dy), *layer.grads.values())]


# ----------------------------------------------------------------------------------------------- what is computed


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_follow_the_reference(make, shape, dtype, device):
    layer, x = placed(make(), device, dtype), noise(device, shape, dtype)
    y = layer.forward(x)
    F_out, back = reference.evaluate([layer], list(x))
    assert y.shape == layer.output_shape(shape) == (len(F_out), *F_out[0].shape)
    dy = noise(device, y.shape, dtype, seed=1)
    dx = layer.backward(dy)
    F_delta, [grads] = back(list(dy))
    for f, wanted in enumerate(F_out):
        close(device, y[f], wanted, dtype)
    for f, wanted in enumerate(F_delta):
        close(device, dx[f], wanted, dtype)
    for got, wanted in zip(layer.grads.values(), grads, strict=True):
        close(device, got, wanted, dtype)


@every_layer
def test_gradients_agree_with_finite_differences(make, shape):
    report = check_layer(make(), shape=shape).raise_if_wrong()
    assert not any(check.kink for check in report.checks)


@pytest.mark.parametrize("size", [(10, 11), (11, 13), (13, 16)])
def test_fragments_of_unequal_size_give_what_the_padded_net_gives(size, device):
    """The reference cuts an image as it comes; the net pads it so that all fragments are equal, and crops."""
    layers = [Conv(2, 2, 2, rng=0), Tanh(), MaxPoolFragment((2, 3)), Conv(2, 3, (2, 1), rng=1), MaxPoolFragment(2)]
    layers = [placed(layer, device, seed=i) for i, layer in enumerate(layers)]
    net = Net(layers)
    image = noise(device, (1, *size, 2))
    scores = net.forward(image)
    dscores = noise(device, scores.shape, seed=1)
    dimage = net.backward(dscores)
    F_out, back = reference.evaluate(layers, [image[0]])
    assert len({f.shape for f in F_out}) > 1
    close(device, scores[0], reference.merge(F_out, net.pools)[0])
    [f_delta], grads = back(reference.split([dscores[0]], net.pools))
    close(device, dimage[0], f_delta)
    for layer, wanted in zip(layers, grads, strict=True):
        for got, g in zip(layer.grads.values(), wanted, strict=True):
            close(device, got, g)


def test_algorithms_3_and_4_on_fragments_of_unequal_size(device):
    F_in = [noise(device, shape) for shape in ((3, 4, 2), (5, 2, 2), (4, 7, 2))]
    F_out, mpIDXS = reference.mpf_forward(F_in, (2, 3))
    assert [f.shape[:2] for f in F_out[:6]] == [(1, 1), (1, 1), (1, 0), (1, 1), (1, 1), (1, 0)]
    for i, (f, idx) in enumerate(zip(F_out, mpIDXS, strict=True)):
        source = device.asnumpy(F_in[reference.find_source_fragment(i, (2, 3))])
        rows, columns = np.moveaxis(device.asnumpy(idx), -1, 0)
        assert (source[rows, columns, np.arange(2)] == device.asnumpy(f)).all()  # mpIDXS: of the uncropped fragment
    F_delta = reference.mpf_backward(F_in, [f * 0 + 1 for f in F_out], (2, 3), mpIDXS)
    assert [f.shape for f in F_delta] == [f.shape for f in F_in]
    assert sum(float(f.sum()) for f in F_delta) == sum(f.size for f in F_out)


@pooling
def test_the_first_of_equal_values_in_row_major_order_wins(layer, device):
    x = np.random.default_rng(0).integers(0, 3, (2, 7, 11, 3)).astype(np.float64)  # ties in most windows
    y = device.asnumpy(layer.forward(device.asarray(x)))
    dy = np.random.default_rng(1).standard_normal(y.shape)
    F_out, back = reference.evaluate([layer], list(device.asarray(x)))
    F_delta, _ = back(list(device.asarray(dy)))
    assert (y == np.stack([device.asnumpy(f) for f in F_out])).all()
    close(device, layer.backward(device.asarray(dy)), np.stack([device.asnumpy(f) for f in F_delta]))


@pytest.mark.parametrize("layer", [MaxPool((2, 3)), MaxPoolFragment((2, 3))])
def test_in_a_flat_map_the_first_pixel_of_each_window_wins(layer, device):
    y = layer.forward(device.asarray(np.ones((1, 3, 5, 1))))
    dx = device.asnumpy(layer.backward(y))[0, :, :, 0]
    wanted = np.zeros((3, 5))
    if isinstance(layer, MaxPool):
        wanted[0, 0] = 1
    else:
        wanted[:2, :3] = 1  # each pixel begins one window
    assert (dx == wanted).all()


# ------------------------------------------------------------------------------------------------- the protocol


@every_layer
def test_train_false_keeps_nothing_and_each_backward_needs_a_forward(make, shape, device):
    layer, x = placed(make(), device), noise(device, shape)
    with pytest.raises(RuntimeError, match=r"backward needs a forward"):
        layer.backward(x)
    y = layer.forward(x)
    assert (device.asnumpy(layer.forward(x, train=False)) == device.asnumpy(y)).all()
    assert layer.cache is None
    with pytest.raises(RuntimeError, match=r"backward needs a forward"):
        layer.backward(y)
    layer.forward(x)
    layer.backward(y)
    with pytest.raises(RuntimeError, match=r"backward needs a forward"):  # one backward for each forward
        layer.backward(y)


@every_layer
def test_backward_adds_and_inputs_stay_as_they_are(make, shape, device):
    layer, x = placed(make(), device), noise(device, shape)
    dy = noise(device, layer.output_shape(shape), seed=1)
    before = device.asnumpy(x).copy(), device.asnumpy(dy).copy()
    _, _, *once = passes(device, layer, x, dy)
    layer.forward(x)
    layer.backward(dy)
    for grad, single in zip(layer.grads.values(), once, strict=True):
        close(device, grad, 2 * single)
    assert (device.asnumpy(x) == before[0]).all() and (device.asnumpy(dy) == before[1]).all()


def test_a_first_convolution_gives_the_parameters_gradients_only(device):
    layer, x = placed(Conv(2, 3, 3, rng=0), device), noise(device, (2, 5, 6, 2))
    dy = noise(device, (2, 3, 4, 3))
    wanted = passes(device, layer, x, dy)[2:]
    for grad in layer.grads.values():
        grad[...] = 0
    layer.forward(x)
    layer.backward_params(dy)
    assert all((device.asnumpy(a) == b).all() for a, b in zip(layer.grads.values(), wanted, strict=True))


@pytest.mark.parametrize("layer", [Tanh(), Logistic()], ids=repr)
def test_pointwise_layers_do_not_overflow(layer, device):
    y = device.asnumpy(layer.forward(device.asarray(np.array([-1e4, 0, 1e4]).reshape(1, 1, 3, 1))))
    assert y.ravel().tolist() == ([-1, 0, 1] if isinstance(layer, Tanh) else [0, 0.5, 1])


@pytest.mark.parametrize(
    ("make", "shape", "words"),
    [
        (conv(2, 3, 3), (1, 5, 5, 4), r"takes 2 input maps and got 4"),
        (conv(2, 3, (3, 4)), (1, 5, 3, 2), r"5x3 are smaller than the 3x4 kernel"),
        (lambda: MaxPool((2, 3)), (1, 5, 2, 1), r"no 2x3 window"),
        (lambda: MaxPoolFragment((2, 3)), (1, 6, 8, 1), r"6 rows do not split into 2 fragments.*5 or 7 rows"),
        (lambda: MaxPoolFragment((2, 3)), (1, 5, 3, 1), r"3 columns do not split into 3 fragments.*; 5 columns"),
    ],
)
def test_sizes_that_do_not_fit_raise_and_say_which_would(make, shape, words, device):
    with pytest.raises(UsageError, match=words):
        placed(make(), device).forward(noise(device, shape))


@every_layer
def test_an_upstream_gradient_of_another_shape_raises(make, shape, device):
    layer = placed(make(), device)
    y = layer.forward(noise(device, shape))
    with pytest.raises(UsageError, match=r"dy has shape .* the output had"):
        layer.backward(noise(device, (y.shape[0], y.shape[1] + 1, *y.shape[2:])))


@pytest.mark.parametrize("arguments", [(0, 1, 3), (1, 2.5, 3), (1, 1, 0), (1, 1, (3, 3, 3)), (1, 1, "3")])
def test_arguments_that_make_no_layer_raise(arguments):
    with pytest.raises(UsageError):
        Conv(*arguments)


def test_the_plain_convolution_is_the_fast_one(device):
    for kernel, C, maps in (((3, 2), 2, 4), ((1, 1), 3, 2), ((2, 5), 1, 1)):
        layer, x = placed(Conv(C, maps, kernel, rng=0), device), noise(device, (3, 6, 7, C))
        W, b = layer.params["W"], layer.params["b"]
        y, dy = plain_forward(x, W, b), noise(device, layer.output_shape(x.shape), seed=1)
        for fast, plain in zip(passes(device, layer, x, dy), (y, *plain_gradients(x, dy, W)), strict=True):
            close(device, fast, device.asnumpy(plain))


def test_initial_weights_are_seeded_and_scaled():
    a, b = Conv(8, 64, 5, rng=3), Conv(8, 64, 5, rng=3)
    assert (a.params["W"] == b.params["W"]).all() and a.params["W"].dtype == np.float32
    assert a.params["W"].std() == pytest.approx((3 * 5 * 5 * 8) ** -0.5, rel=0.05)
    assert not a.params["b"].any()


# ------------------------------------------------------------------------------------ independent of the schedule

LARGE = {
    "Conv": (conv(3, 5, (4, 3)), (4, 31, 27, 3)),
    "Conv of one fragment": (conv(3, 4, 2), (1, 53, 38, 3)),
    "FullyConnected": (lambda: FullyConnected(6, 7, rng=1), (8, 15, 17, 6)),
    "MaxPool": (lambda: MaxPool((3, 2)), (4, 31, 28, 3)),
    "MaxPoolFragment": (lambda: MaxPoolFragment((2, 3)), (4, 31, 26, 3)),
    "Tanh": (Tanh, (2, 17, 15, 3)),
    "Logistic": (Logistic, (2, 17, 15, 3)),
}
large_layers = pytest.mark.parametrize(("make", "shape"), LARGE.values(), ids=LARGE.keys())


@large_layers
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_do_not_depend_on_the_number_of_threads(make, shape, dtype, threads, monkeypatch):
    monkeypatch.setattr(engine.blocks, "STRIP_BYTES", 1 << 12)
    monkeypatch.setattr(engine.blocks, "SMALLEST_BLOCK", 1)
    monkeypatch.setattr(engine.blocks, "CACHE_ITEMS", 500)
    layer, x = placed(make(), HOST, dtype), noise(HOST, shape, dtype)
    dy = noise(HOST, layer.output_shape(shape), dtype, seed=1)
    results = []
    for n in (1, 2, 3):
        threads(n)
        results.append(passes(HOST, layer, x, dy))
    for others in results[1:]:
        assert all((a == b).all() for a, b in zip(others, results[0], strict=True))


@large_layers
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_do_not_depend_on_how_blocks_are_cut(make, shape, dtype, monkeypatch):
    layer, x = placed(make(), HOST, dtype), noise(HOST, shape, dtype)
    dy = noise(HOST, layer.output_shape(shape), dtype, seed=1)
    results = []
    for strip_bytes, items, rows in (
        (1 << 30, 1 << 30, 1),
        (1 << 12, 700, engine.threads.LANES),
        (1, 1, engine.threads.LANES),
    ):
        monkeypatch.setattr(engine.blocks, "STRIP_BYTES", strip_bytes)
        monkeypatch.setattr(engine.blocks, "SMALLEST_BLOCK", items)
        monkeypatch.setattr(engine.blocks, "CACHE_ITEMS", items)
        monkeypatch.setattr(engine.threads, "LANES", rows)
        results.append(passes(HOST, layer, x, dy))
    for y, dx, *grads in results[1:]:
        assert (y == results[0][0]).all() and (dx == results[0][1]).all()  # to the last bit
        for got, wanted in zip(grads, results[0][2:], strict=True):  # but for the order of a sum
            close(HOST, got, wanted, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tile_gives_the_bits_of_the_whole(dtype):
    layer, x = placed(Conv(3, 48, (4, 3), rng=0), HOST, dtype), noise(HOST, (2, 60, 50, 3), dtype)
    whole = layer.forward(x, train=False)
    assert (layer.forward(x[:1, 7:50], train=False) == whole[:1, 7:47]).all()
    start = engine.row_period(np.dtype(dtype))  # where tiles may begin in a row; see engine, rule 2
    assert (layer.forward(x[1:, :, start:40], train=False) == whole[1:, :, start:38]).all()


@large_layers
def test_arrays_that_are_not_contiguous_give_the_same(make, shape, device):
    layer, x = placed(make(), device), noise(device, shape)
    dy = noise(device, layer.output_shape(shape), seed=1)
    wanted = passes(device, layer, x, dy)
    for spread in (
        lambda a: a[::-1],
        lambda a: a[:, :, ::-1],
        lambda a: a[..., ::-1],
        lambda a: a.transpose(0, 2, 1, 3),
    ):
        strange = [spread(device.asarray(np.ascontiguousarray(spread(device.asnumpy(a))))) for a in (x, dy)]
        got = passes(device, layer, *strange)
        if device.on_host:  # elsewhere products may take another way: NumPy's of before 2.2 on the fake device do
            assert all((a == b).all() for a, b in zip(got[:2], wanted[:2], strict=True))
        for a, b in zip(got, wanted, strict=True):
            close(device, a, b)


def test_a_broadcast_input_gives_the_same(device):
    layer = placed(Conv(3, 2, 3, rng=0), device)
    broadcast = np.broadcast_to(np.ones(1), (2, 5, 6, 3))
    y = layer.forward(broadcast if device.on_host else device.asarray(broadcast))
    assert (device.asnumpy(y) == device.asnumpy(layer.forward(device.asarray(np.ones((2, 5, 6, 3)))))).all()


@pytest.mark.parametrize("make", [MaxPool, MaxPoolFragment])
def test_pools_are_as_large_as_winners_can_tell_apart(make):
    layer = make((256, 1))
    layer.forward(np.arange(511.0).reshape(1, 511, 1, 1))
    with pytest.raises(UsageError, match="at most 256 pixels, not 17x17"):
        make(17)
