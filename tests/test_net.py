"""The contract of the library, for random nets: image net == patch net, gradient == sum of the patches' gradients."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn import (
    Conv,
    FullyConnected,
    Layer,
    Logistic,
    MaxPool,
    MaxPoolFragment,
    MeanSquaredError,
    Net,
    SoftmaxCrossEntropy,
    Tanh,
    UsageError,
)
from tinympcnn.gradcheck import check_contract, check_net
from tinympcnn.nn.layers import chain, row


@st.composite
def nets(draw, most_pools=3):
    """Return an image net with one to three poolings of 2 to 4, rectangular ones too, and random parameters."""
    pair = st.tuples(st.integers(2, 4), st.integers(2, 4))
    kernel = st.tuples(st.integers(1, 3), st.integers(1, 3))
    pools = draw(st.lists(pair, min_size=1, max_size=most_pools).filter(lambda k: math.prod(map(math.prod, k)) <= 200))
    maps = in_maps = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    layers = []
    for k in pools:
        if draw(st.integers(0, 3)):  # else one pooling follows directly on another
            out = draw(st.integers(1, 3))
            layers += [Conv(maps, out, draw(kernel), rng), draw(st.sampled_from([Tanh, Logistic]))()]
            maps = out
        layers.append(MaxPoolFragment(k))
    layers.append(FullyConnected(maps, draw(st.integers(1, 3)), draw(kernel), rng))
    net = Net(layers).astype("float64")
    net.set_flat(rng.standard_normal(net.n_params))  # biases too
    assert net.in_maps == (in_maps if any(isinstance(layer, Conv) for layer in layers) else 1)
    return net, rng


@given(nets(), st.integers(0, 5), st.integers(0, 7))
def test_the_image_net_is_the_patch_net_at_every_pixel(drawn, more_rows, more_columns):
    net, rng = drawn
    (P, Q), C = net.field_of_view, net.in_maps
    image = rng.integers(-3, 4, (P + more_rows, Q + more_columns, C)) / 2  # with ties
    assert max(check_contract(net, image, rng)) < 1e-12


@given(nets(most_pools=2), st.integers(2, 3))
def test_several_images_are_each_one_alone(drawn, n):
    net, rng = drawn
    P, Q = net.field_of_view
    images = rng.standard_normal((n, P + 1, Q + 2, net.in_maps))
    scores = net.forward(images)
    dscores = rng.standard_normal(scores.shape)
    net.zero_grads()
    dimages, together = net.backward(dscores), net.flat_grads()
    net.zero_grads()
    for i in range(n):
        np.testing.assert_allclose(net.forward(images[i : i + 1])[0], scores[i], rtol=0, atol=1e-12)
        np.testing.assert_allclose(net.backward(dscores[i : i + 1])[0], dimages[i], rtol=0, atol=1e-11)
    np.testing.assert_allclose(net.flat_grads(), together, rtol=0, atol=1e-12 * np.linalg.norm(together))


@pytest.mark.parametrize("spec", ["C3x3x3 MPF2x2 C2x2x3 MPF2x3 FC2x2x40 FC2", "C2x2x2 MPF3x3 MPF2x2 C1x1x90 FC1x2x2"])
def test_fragments_that_are_answered_in_groups_give_the_same_bits(spec, rng, threads, monkeypatch):
    threads(1)
    net, groups = Net.from_spec(spec, rng=0), []
    images = rng.standard_normal((2, 40, 51, 1)).astype(np.float32)
    together = net.forward(images)
    monkeypatch.setattr(row, "GROUP", 1)
    monkeypatch.setattr(chain, "group_size", lambda *shapes: groups.append(row.group_size(*shapes)) or groups[-1])
    np.testing.assert_array_equal(net.forward(images, train=False), together)
    assert 1 <= groups[0] < 12  # of 48 and 72


@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("twin", ["as_image", "as_patch"])
def test_how_an_image_lies_in_memory_makes_no_difference(maps, twin, rng):
    net = getattr(Net.from_spec("C3x3x2 MPF2x2 C2x2x3 FC2", maps, rng=0), twin)()
    P, Q = net.field_of_view
    plain = rng.standard_normal((P + 1, 1, Q + 3, maps)).astype(np.float32).transpose(1, 0, 2, 3).copy()
    scores = net.forward(plain[:, :P, :Q])
    strided = [
        plain.transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3)[:, :P, :Q],
        np.repeat(plain, 2, axis=-1)[:, :P, :Q, ::2],
        np.repeat(plain, 2, axis=2)[:, :P, : 2 * Q : 2],
        np.broadcast_to(plain[:, :P, :Q], (2, P, Q, maps))[1:],
    ]
    if maps == 1:
        strided.append(plain[0, :P, :Q, 0].copy()[None, :, :, None])  # the stride of the new axes is 0
        strided.append(plain[0, :, :, 0].T.copy().T[None, :P, :Q, None])
    for images in strided:
        assert (net.forward(images) == scores).all(), images.strides


@pytest.mark.parametrize(
    "loss", [SoftmaxCrossEntropy([0.5, 2.0, 1.0]), MeanSquaredError()], ids=lambda x: type(x).__name__
)
@pytest.mark.parametrize("spec", ["C3x2x2 MPF2x2 C2x3x3 MPF3x2 FC2x1x4 FC3", "MPF2x3 C2x2x3 FC3"])
def test_whole_nets_by_finite_differences(spec, loss, rng):
    net = Net.from_spec(spec, in_maps=2, rng=1)
    P, Q = net.field_of_view
    images = rng.permutation(np.linspace(-2, 2, 2 * (P + 2) * (Q + 3) * 2)).reshape(2, P + 2, Q + 3, 2)
    classes = rng.integers(-1, 3, (2, 3, 4))
    target = classes if isinstance(loss, SoftmaxCrossEntropy) else rng.standard_normal((2, 3, 4, 3))
    check_net(net, images, target, loss).raise_if_wrong()


def test_vectors_of_parameters_and_gradients(rng):
    net = Net.from_spec("C3x3x2 MPF2x2 FC2", rng=0)
    assert [name for name, _, _ in net.parameters()] == [
        "0.Conv.W", "0.Conv.b", "3.FullyConnected.W", "3.FullyConnected.b"
    ]  # fmt: skip
    v = rng.standard_normal(net.n_params).astype(np.float32)
    net.set_flat(v)
    net.set_flat_grads(2 * v)
    assert (net.flat() == v).all() and (net.flat_grads() == 2 * v).all()
    assert (net.layers[0].params["W"].ravel() == v[:18]).all()
    net.flat()[:] = 0  # a copy
    net.zero_grads()
    assert (net.flat() == v).all() and not net.flat_grads().any()
    for wrong in (v[1:], v[None]):
        with pytest.raises(UsageError, match="this net has 26 parameters"):
            net.set_flat(wrong)


def test_views_share_parameters_and_gradients_and_copies_do_not():
    net = Net.from_spec("C3x3x2 MPF2x2 FC2", rng=0)
    net.class_values, net.record = (0, 255), {"seed": 0}
    patch = net.as_patch()
    assert [type(layer) for layer in patch.layers] == [Conv, Tanh, MaxPool, FullyConnected]
    assert (patch.stride, net.stride, patch.field_of_view) == ((2, 2), (1, 1), net.field_of_view)
    assert (patch.class_values, patch.record) == ((0, 255), {"seed": 0})
    for mine, view in zip(net.parameters(), patch.as_image().parameters(), strict=True):
        assert mine[1] is view[1] and mine[2] is view[2]
    replica, copy = net.replica(), net.astype("float64")
    assert all(a[1] is b[1] and a[2] is not b[2] for a, b in zip(net.parameters(), replica.parameters(), strict=True))
    copy.set_flat(copy.flat() + 1)
    assert (copy.flat() != net.flat()).all() and (copy.dtype, net.dtype) == (np.float64, np.float32)


def test_a_pass_leaves_the_image_alone_and_backward_comes_once(rng):
    net = Net([Tanh(), Conv(1, 2, 2, rng=0)])  # an activation comes first
    image = rng.standard_normal((1, 4, 5, 1)).astype(np.float32)
    before = image.copy()
    scores = net.forward(image)
    assert (image == before).all()
    net.backward(np.ones_like(scores))
    with pytest.raises(RuntimeError, match="needs a forward"):
        net.backward(np.ones_like(scores))
    net.forward(image, train=False)
    with pytest.raises(RuntimeError, match="needs a forward"):
        net.backward(np.ones_like(scores))
    assert all(layer.cache is None for layer in net.layers)


def conv(in_maps=1, out_maps=1, kernel=1):
    return Conv(in_maps, out_maps, kernel, rng=0)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: Net([]), "one or more layers"),
        (lambda: Net(["C3x3x2"]), "one or more layers"),  # type: ignore[list-item]
        (lambda: Net([tanh := Tanh(), conv(), tanh]), "stands twice"),
        (lambda: Net([conv(), MaxPoolFragment(2), MaxPool(2)]), "not both"),
        (lambda: Net([conv(1, 2), conv(3, 1)]), "takes 3 input maps and got 2"),
        (lambda: Net([conv()]).forward(np.zeros((4, 4, 1), np.float32)), r"image\[None, :, :, None\]"),
        (lambda: Net([conv()]).forward(np.zeros((1, 4, 4, 2), np.float32)), "1 map, not 2"),
        (
            lambda: Net([conv(1, 1, 5)]).forward(np.zeros((1, 4, 9, 1), np.float32)),
            "4x9 pixels is smaller than the net's field of view of 5x5",
        ),
        (lambda: Net([conv()]).astype("float16"), "float32 or float64"),
        (lambda: Net([conv()]).to("tpu"), "unknown backend"),
    ],
)
def test_what_does_not_fit_is_refused(act, words):
    with pytest.raises(UsageError, match=words):
        act()


def test_backward_refuses_gradients_of_another_shape():
    net = Net([conv(1, 2, 2), MaxPoolFragment(2)])
    net.forward(np.zeros((1, 5, 5, 1), np.float32))
    with pytest.raises(UsageError, match=r"\(1, 3, 4, 2\); the outputs had \(1, 3, 3, 2\)"):
        net.backward(np.zeros((1, 3, 4, 2)))


def test_the_table_names_every_layer_and_the_field_of_view():
    text = str(Net.from_spec("C7x7x8 MPF2x2 C5x5x8 MPF2x2 C5x5x8 FC100 FC2", rng=0))
    for word in ("Conv 7x7", "MaxPoolFragment 2x2", "FullyConnected", "field of view 34x34", "parameters"):
        assert word in text


def test_a_stack_is_segmented_one_page_at_a_time():
    net = Net.from_spec("C3x3x2 FC2", rng=0)
    with pytest.raises(UsageError, match=r"1 map, not 8; .* one page at a time: net\.segment\(stack\[0\]\)"):
        net.segment(np.zeros((2, 9, 8)))


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_parameters_of_another_type_are_refused_while_they_can_be_changed(dtype):
    class Scale(Layer):
        def __init__(self):
            super().__init__()
            self.params, self.grads = {"a": np.ones(4, dtype)}, {"a": np.zeros(4, dtype)}

    with pytest.raises(UsageError, match=f"parameter a is {np.dtype(dtype)}, and .* float32"):
        Net([Conv(1, 4, 3), Scale()])


def test_a_layer_that_forgot_its_base_class_is_told():
    class Forgetful(Layer):
        def __init__(self):
            self.rate = 0.5

    with pytest.raises(UsageError, match=r"Forgetful has no params: .* super\(\).__init__\(\)"):
        Net([Conv(1, 4, 3), Forgetful()])


def test_no_image_at_all_is_refused():
    with pytest.raises(UsageError, match="N >= 1"):
        Net.from_spec("C3x3x4 MPF2x2 FC2").forward(np.zeros((0, 9, 9, 1)))


def test_groups_of_fragments_are_not_copied_together_at_the_end(monkeypatch):
    monkeypatch.setattr(row, "GROUP", 1 << 16)
    net, x = Net.from_spec("C1x1x16 MPF2x2 C1x1x200", rng=0), np.zeros((4, 101, 101, 1), np.float32)
    net._answer(x[:, :9, :9])
    tracemalloc.start()
    y = net._answer(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert y.nbytes < peak < 1.6 * y.nbytes
