"""The layer of local contrast: against its definition, window by window, and as a part of nets and files."""

import numpy as np
import pytest
from helpers import close, noise, placed

from tinympcnn import LocalContrast, Net, UsageError
from tinympcnn.cli import info
from tinympcnn.gradcheck import check_contract, check_layer, check_net
from tinympcnn.inference.segment import segment
from tinympcnn.nn.layers.contrast import gaussian

CASES = {
    "5x5": (LocalContrast(1, 5), (2, 7, 8, 1)),
    "3x7, two maps": (LocalContrast(2, (3, 7)), (3, 6, 9, 2)),
    "1x3, another floor": (LocalContrast(3, (1, 3), floor=0.7), (1, 4, 5, 3)),
    "as large as the map": (LocalContrast(2, (5, 3)), (2, 5, 3, 2)),
}
every_case = pytest.mark.parametrize(("layer", "shape"), CASES.values(), ids=CASES.keys())
SPEC = "LC7x5 C3x2x4 MPF2x3 LC3x3 C2x2x5 MPF2x2 FC3"


def by_definition(x, window, floor):
    """Return maps and contrasts from every window by itself, weights and all."""
    F, H, W, C = x.shape
    kh, kw = window
    w = np.outer(gaussian(kh), gaussian(kw))[:, :, None]
    y = np.empty((F, H - kh + 1, W - kw + 1, 2 * C))
    for f, q, p in np.ndindex(y.shape[:3]):
        seen = x[f, q : q + kh, p : p + kw]
        m = (w * seen).sum(axis=(0, 1))
        s2 = (w * (seen - m) ** 2).sum(axis=(0, 1))
        middle = seen[kh // 2, kw // 2]
        y[f, q, p] = [*middle, *((middle - m) / np.sqrt(s2 + floor**2))]
    return y


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_what_its_definition_says(layer, shape, dtype, device):
    x = noise(device, shape, dtype)
    y = placed(layer, device, dtype).forward(x)
    assert y.shape == layer.output_shape(shape)
    close(device, y, by_definition(device.asnumpy(x), layer.window, layer.floor).astype(dtype), dtype)


@every_case
def test_gradients_agree_with_finite_differences(layer, shape):
    check_layer(layer, shape=shape).raise_if_wrong()


@every_case
def test_backward_on_a_device_is_that_on_the_host(layer, shape, device):
    x, dy = noise(device, shape), noise(device, layer.output_shape(shape), seed=1)
    layer.forward(x)
    dx = layer.backward(dy)
    layer.forward(device.asnumpy(x))
    close(device, dx, layer.backward(device.asnumpy(dy)))


def test_contrast_does_not_see_brightness_nor_strength(rng):
    x = rng.standard_normal((1, 12, 14, 1))
    layer = LocalContrast(1, 7, floor=1e-6)
    contrast = layer.forward(x)[..., 1]
    np.testing.assert_allclose(layer.forward(5 * x - 3)[..., 1], contrast, atol=1e-9)
    assert abs(layer.forward(np.full((1, 9, 9, 1), 4.0))[..., 1]).max() < 1e-6  # nothing divided by zero either


def test_nets_with_it_keep_the_contract(rng):
    net = Net.from_spec(SPEC, in_maps=2, rng=0)
    assert net.in_maps == 2 and net.layers[1].in_maps == 4
    check_net(net).raise_if_wrong()
    P, Q = net.field_of_view
    contract = check_contract(net, rng.standard_normal((P + 7, Q + 9, 2)))
    assert max(contract) < 1e-12


def test_tiles_and_threads_change_no_bit(rng, threads):
    net = Net.from_spec("LC9x5 C5x5x4 MPF2x2 FC2x2x6 FC2", rng=0)
    image = rng.standard_normal((70, 95))
    whole = segment(net, image)
    for tile, n in ((32, 1), (32, 3), (64, 2)):
        threads(n)
        assert (segment(net, image, tile=tile) == whole).all()


def test_files_hold_it(tmp_path, rng):
    net = Net.from_spec("LC5x3 C3x3x2 FC2", rng=0)
    net.layers[0] = LocalContrast(1, (5, 3), floor=0.25)
    net.save(tmp_path / "net.npz")
    again = Net.load(tmp_path / "net.npz")
    assert repr(again.layers[0]) == "LocalContrast(1, (5, 3), 0.25)"
    x = rng.standard_normal((1, 12, 11, 1))
    assert (again.forward(x) == net.forward(x)).all()


def test_work_before_the_first_parameters_is_not_gone_back_through():
    net = Net.from_spec("LC5x5 C3x3x2 FC2", rng=0)
    contrast, conv, _, full = (row.flop for row in net.plan((12, 11)))
    assert info.flop_training(net, (12, 11)) == contrast + 2 * conv + 3 * full > 0


@pytest.mark.parametrize("arguments", [(1, 4), (1, (3, 2)), (1, 0), (0, 3), (1, 3, 0.0), (1, 3, np.nan), (1, "3")])
def test_what_makes_no_sense_is_refused(arguments):
    with pytest.raises(UsageError):
        LocalContrast(*arguments)


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="takes 2 input maps and got 1"):
        LocalContrast(2, 3).output_shape((1, 5, 5, 1))
    with pytest.raises(UsageError, match="smaller than the 5x5"):
        LocalContrast(1, 5).output_shape((1, 5, 4, 1))
    with pytest.raises(UsageError, match="dy has shape"):
        layer = LocalContrast(1, 3)
        layer.forward(np.zeros((1, 4, 4, 1)))
        layer.backward(np.zeros((1, 2, 2, 1)))
