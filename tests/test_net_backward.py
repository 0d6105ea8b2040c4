"""Backward through a net touches nothing of the caller's, and takes layers that know only ``backward(dy)``."""

import numpy as np

from tinympcnn import Conv, Layer, Logistic, MaxPoolFragment, Net, Tanh


def test_backward_leaves_dscores_as_they_are():
    net = Net([Conv(1, 2, 2, rng=0), MaxPoolFragment(2), Conv(2, 2, 1, rng=1), Tanh()])
    images = np.random.default_rng(0).standard_normal((1, 4, 4, 1)).astype(np.float32)
    scores = net.forward(images)  # fragments of 1x1, which split returns as a view of dscores
    dscores = np.ones_like(scores)
    net.backward(dscores)
    assert (dscores == 1).all()


class Scale(Layer):
    """y = W*x, with the protocol's ``backward(dy)`` and nothing more."""

    def __init__(self):
        super().__init__()
        self.params = {"W": np.full(1, 2, np.float32)}
        self.grads = {"W": np.zeros(1, np.float32)}

    def forward(self, x, train=True):
        self.cache = x if train else None
        return self.params["W"] * x

    def backward(self, dy):
        self.grads["W"] += (dy * self.take_cache()).sum()
        return self.params["W"] * dy


def test_a_first_layer_of_the_users_own_needs_no_input_grad_argument():
    net = Net([Scale(), Conv(1, 1, 1, rng=0)])
    net.forward(np.ones((1, 2, 2, 1), np.float32))
    assert net.backward(np.ones((1, 2, 2, 1), np.float32), input_grad=False) is None
    assert net.layers[0].grads["W"][0] != 0


def test_a_first_layer_with_a_backward_pass_of_its_own_uses_it():
    class Doubled(Conv):
        def backward(self, dy):
            dx = super().backward(dy)
            self.grads["b"] *= 2
            return dx

    for cls, db in ((Conv, 4), (Doubled, 8)):
        net = Net([cls(1, 1, 1, rng=0)])
        net.forward(np.ones((1, 2, 2, 1), np.float32))
        net.backward(np.ones((1, 2, 2, 1), np.float32), input_grad=False)
        assert net.layers[0].grads["b"][0] == db


class Same(Layer):
    """y = x: the very array that comes in, forward and backward."""

    def forward(self, x, train=True):
        return x

    def backward(self, dy):
        return dy


def test_layers_that_hand_arrays_through_change_nothing():
    images = np.random.default_rng(0).standard_normal((1, 4, 5, 1)).astype(np.float32)
    results = []
    for more in (lambda: [], lambda: [Same()]):
        net = Net([*more(), Conv(1, 2, 2, rng=0), Tanh(), *more(), Logistic(), *more(), Tanh(), *more()])
        scores = net.forward(images)
        dscores = np.ones_like(scores)
        results.append((scores, net.backward(dscores), net.flat_grads()))
        assert (dscores == 1).all()
    assert all((a == b).all() for a, b in zip(*results, strict=True))
