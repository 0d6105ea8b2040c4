"""The checker must catch what students get wrong, and name it; and it must leave right layers in peace."""

import numpy as np
import pytest
from helpers import placed

from tinympcnn import Conv, Layer, MaxPool, MaxPoolFragment, MeanSquaredError, Net, SoftmaxCrossEntropy, Tanh
from tinympcnn.engine import correlate, correlate_back
from tinympcnn.gradcheck import check_contract, check_layer, check_loss, check_net


def broken(kind, spoil):
    """Return a class of layers with a backward pass after which ``spoil(self, x, dy, dx)`` sets things wrong."""

    class Broken(kind):
        def backward(self, dy):
            x = self.cache
            before = {name: grad.copy() for name, grad in self.grads.items()}
            for grad in self.grads.values():
                grad[...] = 0
            dx = spoil(self, x, dy, super().backward(dy))
            for name in before:
                if self.grads[name].shape == before[name].shape:
                    self.grads[name] += before[name]
            return dx

    return Broken


def messages(report):
    return {check.name: check.message for check in report.checks if not check.ok}


def complaint(report, name):
    """Return what was said about the one wrong tensor."""
    assert not report and not report.ok
    assert list(messages(report)) == [name], str(report)
    return messages(report)[name]


@pytest.mark.parametrize("layer", [Conv(2, 3, (3, 2), rng=1), MaxPoolFragment((3, 2)), Tanh()], ids=repr)
def test_a_layer_that_is_right_passes_and_stays_as_it_is(layer):
    before = {name: (param.copy(), layer.grads[name].copy()) for name, param in layer.params.items()}
    report = check_layer(layer).raise_if_wrong()
    assert [check.name for check in report.checks] == ["x", *layer.params]
    assert all(check.error < 1e-6 and not check.kink for check in report.checks)
    for name, (param, grad) in before.items():  # the user's layer is as it was
        assert layer.params[name].dtype == np.float32
        assert (layer.params[name] == param).all() and (layer.grads[name] == grad).all()


@pytest.mark.parametrize(("kind", "arguments"), [(Conv, (2, 2, 2)), (MaxPoolFragment, (2,))])
def test_layers_on_a_device_are_checked_there(kind, arguments, device):
    layer, wrong = kind(*arguments), broken_dy(kind, lambda dy: 1.2 * dy)(*arguments)
    x = device.asarray(np.random.default_rng(0).permutation(np.linspace(-1, 1, 70)).reshape(1, 5, 7, 2))
    check_layer(placed(layer, device), x).raise_if_wrong()
    assert "1.2 times" in str(check_layer(placed(wrong, device), x))


def test_nets_on_a_device_are_checked_there(device):
    net = Net.from_spec("C2x2x2 MPF2x3 FC2", rng=0).to(device.backend)
    check_net(net).raise_if_wrong()
    assert max(check_contract(net, device.asarray(np.random.default_rng(0).random((6, 9, 1))))) < 1e-12


def test_the_report_reads_well():
    text = str(check_layer(Conv(1, 2, 3, rng=0)))
    assert text.startswith("Conv(1, 2, (3, 3))\n  ok     x ")
    assert all("relative error" in line for line in text.splitlines()[1:])


# ---------------------------------------------------------------------------------------- mistakes in parameters


def spoil_grad(name, change):
    def spoil(self, x, dy, dx):
        self.grads[name] = change(self.grads[name], dy)
        return dx

    return spoil


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("W", lambda g, dy: g * 1.001, "1.001 times"),
        ("W", lambda g, dy: g.swapaxes(2, 3), "transpose of what it should be: axes (0, 1, 3, 2)"),
        ("W", lambda g, dy: g.swapaxes(0, 1), "its shape is wrong: it is the transpose, axes (1, 0, 2, 3)"),
        ("W", lambda g, dy: g[::-1, ::-1], "taps are flipped"),
        ("W", lambda g, dy: g[:, ::-1], "reverse order along the axes (1,)"),
        ("W", lambda g, dy: -g, "sign is wrong"),
        ("W", lambda g, dy: 2 * g, "too large by a factor of 2"),
        ("b", lambda g, dy: g / dy[..., 0].size, "mean over the 27 output pixels, where the sum is wanted"),
        ("b", lambda g, dy: g / len(dy), "mean over the 3 fragments"),
        ("b", lambda g, dy: 0 * g, "zero everywhere: nothing was added"),
        ("b", lambda g, dy: g[:2], "shape is wrong: (2,) instead of (3,)"),
        ("b", lambda g, dy: dy[-1].sum(axis=(0, 1)), "fragment 2 alone counts in it"),
        ("b", lambda g, dy: g + np.array([0, 1, 0]), "wrong at 1 of 3 elements, most at [1]"),
    ],
)
def test_a_wrong_parameter_gradient_is_named(name, change, words):
    layer = broken(Conv, spoil_grad(name, change))(3, 3, (3, 2), rng=0)
    said = complaint(check_layer(layer, shape=(3, 5, 4, 3)), name)
    assert said.startswith(f"the gradient of {name}: ") and words in said


def test_a_sum_that_left_out_a_fragment_is_named():
    def last_only(self, x, dy, dx):
        one = Conv(3, 3, (3, 2))
        one.params, one.grads = self.params, {name: 0 * grad for name, grad in self.grads.items()}
        one.forward(x[-1:])
        one.backward(dy[-1:])
        self.grads["W"] = one.grads["W"]
        return dx

    assert "fragment 2 alone counts" in complaint(check_layer(broken(Conv, last_only)(3, 3, (3, 2), rng=0)), "W")


def test_overwriting_in_place_of_adding_is_named():
    class Overwrites(Conv):
        def backward(self, dy):
            self.grads["b"] = dy.sum(axis=(0, 1, 2))
            keep = self.grads["b"].copy()
            dx = super().backward(dy)
            self.grads["b"] = keep
            return dx

    assert "you overwrote it" in complaint(check_layer(Overwrites(1, 2, 3, rng=0)), "b")


def test_halving_what_was_there_is_named():
    class Halves(Conv):
        def backward(self, dy):
            self.grads["W"] /= 2
            return super().backward(dy)

    assert "right only if it was zero before" in complaint(check_layer(Halves(1, 2, 3, rng=0)), "W")


def test_a_gradient_that_is_not_there_is_named():
    class Forgets(Conv):
        def backward(self, dy):
            dx = super().backward(dy)
            del self.grads["b"]
            return dx

    assert "backward left None" in complaint(check_layer(Forgets(1, 2, 3, rng=0)), "b")


# --------------------------------------------------------------------------------------- mistakes in the input's


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda self, x, dy, dx: 1.001 * dx, "1.001 times"),
        (lambda self, x, dy, dx: -dx, "sign is wrong"),
        (lambda self, x, dy, dx: None, "backward left None"),
        (lambda self, x, dy, dx: dx[:, 1:], "shape is wrong"),
        (lambda self, x, dy, dx: dx[::-1], "dy[2] was taken for dy[0]"),
        (lambda self, x, dy, dx: correlate_back(dy, self.params["W"][::-1, ::-1]), "taps are not flipped"),
        (lambda self, x, dy, dx: correlate(dy, self.params["W"][::-1, ::-1], border=(2, 1)), "W is not transposed"),
        (lambda self, x, dy, dx: correlate_back(np.ones_like(dy), self.params["W"]), "dy has no part in it"),
    ],
)
def test_a_wrong_input_gradient_of_a_convolution_is_named(spoil, words):
    said = complaint(check_layer(broken(Conv, spoil)(3, 3, (3, 2), rng=0)), "x")
    assert words in said


def pooled_with(order, k=2):
    """Return a MaxPoolFragment layer that going back reads the fragments in another order."""
    return broken_dy(MaxPoolFragment, lambda dy: dy[order(len(dy))])(k)


def broken_dy(kind, change):
    """Return a class of layers that take ``change(dy)`` for the gradient dy."""

    class Broken(kind):
        def backward(self, dy):
            return super().backward(change(dy))

    return Broken


def test_a_swapped_order_of_fragments_is_named():
    by_columns = pooled_with(lambda n: np.arange(n).reshape(-1, 2, 2).swapaxes(1, 2).ravel())
    assert "order of the fragments is swapped: dy[2] was taken for dy[1]" in complaint(check_layer(by_columns), "x")
    fragment_major = pooled_with(lambda n: np.arange(n).reshape(-1, 2).T.ravel())
    assert "order of the fragments is swapped" in complaint(check_layer(fragment_major), "x")


@pytest.mark.parametrize("to_all", [True, False])
def test_a_gradient_for_pixels_that_have_not_won_is_named(to_all):
    def spoil(self, x, dy, dx):
        dx[...] = 0
        windows = dx.reshape(len(dx), dy.shape[1], 2, dy.shape[2], 2, -1)
        if to_all:
            windows[...] = dy[:, :, None, :, None]
        else:
            windows[:, :, 0, :, 0] = dy
        return dx

    report = check_layer(broken(MaxPool, spoil)(2), shape=(2, 4, 6, 3))
    assert not report
    assert "it reaches" in report.checks[0].message and "have not won" in report.checks[0].message


def test_assigning_where_windows_overlap_is_named():
    class Assigns(Layer):
        """The maximum of every pair of neighbours in a row: a pixel may win twice."""

        def forward(self, x, train=True):
            self.cache = x
            return np.maximum(x[:, :, 1:], x[:, :, :-1])

        def backward(self, dy):
            x = self.take_cache()
            dx = np.zeros_like(x)
            right = x[:, :, 1:] > x[:, :, :-1]
            dx[:, :, :-1][~right] = dy[~right]
            dx[:, :, 1:][right] = dy[right]
            return dx

    assert "must be added (+=)" in complaint(check_layer(Assigns()), "x")


@pytest.mark.parametrize(
    ("derivative", "words"),
    [
        (lambda x, y, dy: dy, "dy was handed through"),
        (lambda x, y, dy: 1 - y**2, "dy has no part in it"),
        (lambda x, y, dy: dy * (1 - y), "the factor (1 + y) is missing"),
        (lambda x, y, dy: dy * (1 - y**2) * y, "the factor y is one too many"),
        (lambda x, y, dy: dy * (1 - x**2), "x was used instead of y"),
        (lambda x, y, dy: dy * (1 - y**2) / 2, "too small by a factor of 2"),
    ],
)
def test_a_wrong_derivative_of_tanh_is_named(derivative, words):
    class Mistaken(Layer):
        def forward(self, x, train=True):
            self.cache = x, np.tanh(x)
            return self.cache[1]

        def backward(self, dy):
            return derivative(*self.take_cache(), dy)

    assert words in complaint(check_layer(Mistaken()), "x")


# ---------------------------------------------------------------------------------------------- other mistakes


def test_backward_that_raises_low_precision_and_changed_inputs_are_named():
    class Raises(Tanh):
        def backward(self, dy):
            raise ValueError("operands could not be broadcast")

    class Rounds(Tanh):
        def forward(self, x, train=True):
            return super().forward(x.astype(np.float32))

    class Scribbles(Tanh):
        def backward(self, dy):
            dx = super().backward(dy)
            dy *= 0
            return dx

    class Writes(Tanh):
        def forward(self, x, train=True):
            x[...] = super().forward(x)
            return x

    assert complaint(check_layer(Raises()), "backward") == "backward raised ValueError: operands could not be broadcast"
    assert "float32 for float64" in complaint(check_layer(Rounds()), "y")
    assert "changed its input dy" in complaint(check_layer(Scribbles()), "dy")
    assert "changed its input x" in complaint(check_layer(Writes()), "x")


def test_raise_if_wrong_carries_the_words():
    layer = broken(Conv, lambda self, x, dy, dx: -dx)(1, 1, 2, rng=0)
    with pytest.raises(AssertionError, match="sign is wrong"):
        check_layer(layer).raise_if_wrong()


# ----------------------------------------------------------------------------------------------------- kinks


@pytest.mark.parametrize(("kind", "size"), [(MaxPool, 2), (MaxPoolFragment, (2, 3))])
def test_a_tie_is_reported_as_a_kink_and_the_rest_is_checked(kind, size):
    x = np.random.default_rng(0).permutation(np.arange(2.0 * 7 * 8)).reshape(2, 7, 8, 1)
    x[0, 2:4, 2:4] = x.max() + 1  # four equal values in one window
    report = check_layer(kind(size), x)
    assert report.ok and report.checks[0].kink and "a kink, not an error" in report.checks[0].message
    wrong = check_layer(broken_dy(kind, lambda dy: 1.001 * dy)(size), x)
    assert "1.001 times" in complaint(wrong, "x")


def test_where_everything_ties_nothing_was_checked():
    report = check_layer(MaxPool(2), np.ones((1, 4, 6, 2)))
    assert not report.ok and report.checks[0].kink and "nothing was checked" in report.checks[0].message


# ------------------------------------------------------------------------------------------- nets and losses


@pytest.mark.parametrize("spec", ["C3x2x3 MPF2x3 C2x2x2 FC3", "C2x2x2 MP3x2 FC2x1x2"])
def test_nets_pass(spec):
    net = Net.from_spec(spec, in_maps=2, rng=0)
    report = check_net(net).raise_if_wrong()
    assert [check.name for check in report.checks] == ["images", *(name for name, _, _ in net.parameters())]


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy([1, 3]), MeanSquaredError()], ids=["MCCE", "MSE"])
def test_nets_pass_with_a_loss(loss):
    net, rng = Net.from_spec("C3x3x2 MPF2x2 FC2", rng=0), np.random.default_rng(0)
    images = rng.standard_normal((2, 7, 8, 1))
    target = rng.integers(-1, 2, (2, 4, 5)) if isinstance(loss, SoftmaxCrossEntropy) else rng.random((2, 4, 5, 2))
    report = check_net(net, images, target, loss).raise_if_wrong()
    assert report.checks[0].name == "scores"


def test_a_wrong_loss_is_caught():
    class Whole(MeanSquaredError):
        def backward(self):
            return super().backward() * self.counted

    scores = np.random.default_rng(0).random((1, 2, 3, 2))
    assert "6 times" in complaint(check_loss(Whole(), scores, np.zeros((1, 2, 3, 2))), "scores")


def test_a_wrong_layer_in_a_net_is_caught():
    layers = [Conv(1, 2, 3, rng=0), broken_dy(Tanh, lambda dy: 2 * dy)(), MaxPoolFragment(2), Conv(2, 2, 1, rng=1)]
    wrong = messages(check_net(Net(layers)))
    assert set(wrong) == {"images", "0.Conv.W", "0.Conv.b"}
    assert all("factor of 2" in words for words in wrong.values())


def test_the_contract_holds_and_is_broken_by_a_wrong_order_of_fragments():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((13, 15, 2))
    net = Net.from_spec("C3x2x3 MPF2x3 C2x2x2 MPF2x2 FC2", in_maps=2, rng=0)
    assert max(check_contract(net, image)) < 1e-12
    net.layers[2] = pooled_with(lambda n: np.arange(n).reshape(-1, 3, 2).swapaxes(1, 2).ravel(), (2, 3))
    scores, gradient = check_contract(net, image)
    assert scores < 1e-12 and gradient > 1e-3


def test_a_gradient_that_is_lost_for_negative_x_is_not_called_an_assignment():
    class Leaky(Layer):
        def forward(self, x, train=True):
            self.cache = x
            return np.where(x > 0, x, 0.25 * x)

        def backward(self, dy):
            return dy * (self.take_cache() > 0)

    message = check_layer(Leaky()).checks[0].message
    assert message == "the gradient of x: it is zero for negative x, where it should not be, and right elsewhere"
