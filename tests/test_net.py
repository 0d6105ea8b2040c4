"""The contract of the library, for random nets: image net == patch net, gradient == sum of the patches' gradients."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinympcnn import (
    Conv,
    DataError,
    FullyConnected,
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
@settings(max_examples=60, deadline=None)
def test_the_image_net_is_the_patch_net_at_every_pixel(drawn, more_rows, more_columns):
    net, rng = drawn
    (P, Q), C = net.field_of_view, net.in_maps
    image = rng.integers(-3, 4, (P + more_rows, Q + more_columns, C)) / 2  # with ties
    assert max(check_contract(net, image, rng)) < 1e-12


@given(nets(most_pools=2), st.integers(2, 3))
@settings(max_examples=15, deadline=None)
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
