"""Layers may hold layers: their parameters have nested names, and nets, files and checks take them as any others."""

import numpy as np
import pytest

from tinympcnn import Conv, DataError, Layer, MaxPoolFragment, Net, Tanh
from tinympcnn.gradcheck import check_contract, check_layer, check_net
from tinympcnn.nn.layers import describe, layer_class, rebuild
from tinympcnn.nn.layers.row import LayerRow


class Around(Layer):
    """y = the middle of x + layers(x): a residual connection, in the shortest form that works."""

    def __init__(self, layers):
        super().__init__()
        self.layers, self.in_maps = list(layers), layers[0].in_maps
        self.window = LayerRow(self.layers).field_of_view
        for i, layer in enumerate(self.layers):
            for own, inner in ((self.params, layer.params), (self.grads, layer.grads)):
                own |= {f"{i}.{type(layer).__name__}.{name}": array for name, array in inner.items()}

    def copied(self, *convert, **converts):
        return type(self)([layer.copied(*convert, **converts) for layer in self.layers])

    def config(self):
        return {"layers": [describe(layer) for layer in self.layers]}

    @classmethod
    def from_config(cls, config):
        return cls([rebuild(*described) for described in config["layers"]])

    @classmethod
    def param_shapes(cls, config):
        inner = enumerate(config["layers"])
        return {f"{i}.{name}.{param}": shape for i, (name, own) in inner
                for param, shape in layer_class(name).param_shapes(own).items()}  # fmt: skip

    def output_shape(self, shape):
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def middle(self, x, shape):
        (top, left), (h, w) = (n // 2 for n in self.window), shape[1:3]
        return x[:, top : top + h, left : left + w]

    def forward(self, x, train=True):
        y = x
        for layer in self.layers:
            y = layer.forward(y, train)
        self.cache = x.shape if train else None
        return y + self.middle(x, y.shape)

    def backward(self, dy):
        self.check_dy(dy, self.output_shape(self.take_cache()))
        dx = dy
        for layer in reversed(self.layers):
            dx = layer.backward(dx)
        self.middle(dx, dy.shape)[...] += dy
        return dx


@pytest.fixture
def net(register):
    register(Around)
    around = Around([Conv(4, 3, 3, rng=1), Tanh(), Conv(3, 4, (3, 1), rng=2)])
    return Net([Conv(1, 4, 2, rng=0), MaxPoolFragment(2), around, Tanh(), Conv(4, 2, 1, rng=3)])


def test_names_are_nested_and_all_parameters_are_in_the_vector(net):
    names = [name for name, _, _ in net.parameters()]
    assert names[2:6] == ["2.Around.0.Conv.W", "2.Around.0.Conv.b", "2.Around.2.Conv.W", "2.Around.2.Conv.b"]
    net.set_flat(net.flat() * 0 + 2)
    assert (net.layers[2].layers[2].params["W"] == 2).all()
    assert net.field_of_view == (11, 7) and "Around 5x3" in str(net)


def test_gradients_are_right_and_the_contract_holds(net, rng):
    check_layer(net.layers[2]).raise_if_wrong()
    report = check_net(net).raise_if_wrong()
    assert "2.Around.0.Conv.W" in str(report)
    assert max(check_contract(net, rng.standard_normal((14, 13, 1)))) < 1e-12


def test_views_replicas_and_copies_reach_the_inner_layers(net):
    inner = net.layers[2].layers[0]
    for other, same_params, same_grads in (
        (net.as_patch(), True, True),
        (net.replica(), True, False),
        (net.astype("float64"), False, False),
    ):
        twin = other.layers[2].layers[0]
        assert twin is not inner and (twin.params["W"] is inner.params["W"]) == same_params
        assert (twin.grads["W"] is inner.grads["W"]) == same_grads
    assert other.layers[2].layers[0].params["W"].dtype == np.float64


def test_a_model_file_holds_them(net, tmp_path, rng):
    path = tmp_path / "a.npz"
    net.save(path)
    image = rng.standard_normal((1, 14, 13, 1)).astype(np.float32)
    assert (Net.load(path).forward(image) == net.forward(image)).all()
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"2.Around.2.Conv.W": np.zeros((9, 9, 3, 4), np.float32)})
    with pytest.raises(DataError, match=r"2\.Around\.2\.Conv\.W has shape \(9, 9, 3, 4\)"):
        Net.load(path)
