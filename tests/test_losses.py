"""The losses against formulas by hand, finite differences and each other."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn import DataError, MeanSquaredError, SoftmaxCrossEntropy, UsageError
from tinympcnn.gradcheck import check_loss
from tinympcnn.nn.losses import balanced_weights, softmax


@given(st.integers(1, 4), st.booleans(), st.sampled_from(["pixels", "weights"]), st.integers(0, 2**32))
def test_cross_entropy_by_hand_and_by_finite_differences(K, weighted, over, seed):
    rng = np.random.default_rng(seed)
    scores, target = 3 * rng.standard_normal((2, 3, 4, K)), rng.integers(-1, K, (2, 3, 4))
    weights = rng.random(K) if weighted else np.ones(K)
    loss = SoftmaxCrossEntropy(weights if weighted else None, over=over)
    counted = [(s, t) for s, t in zip(scores.reshape(-1, K), target.ravel(), strict=True) if t >= 0]
    M = len(counted) if over == "pixels" else sum(weights[t] for _, t in counted)
    by_hand = sum(-weights[t] * np.log(np.exp(s[t]) / np.exp(s).sum()) for s, t in counted) / (M or 1)
    assert loss.forward(scores, target) == pytest.approx(by_hand, abs=1e-12)
    assert loss.counted == pytest.approx(M)
    assert not loss.backward()[target == -1].any()
    check_loss(loss, scores, target).raise_if_wrong()


def test_mean_squared_error_by_hand_and_by_finite_differences(rng):
    scores, target = rng.standard_normal((2, 2, 3, 4, 2))
    loss = MeanSquaredError()
    assert loss.forward(scores, target) == pytest.approx(((scores - target) ** 2).sum() / 2 / 24, abs=1e-12)
    np.testing.assert_allclose(loss.backward(), (scores - target) / 24, atol=1e-15)
    check_loss(loss, scores, target).raise_if_wrong()


@given(st.integers(1, 5), st.floats(-50, 50), st.integers(0, 2**32))
def test_probabilities_are_positive_sum_to_one_and_ignore_a_common_shift(K, shift, seed):
    scores = 9 * np.random.default_rng(seed).standard_normal((3, 4, K))
    p = softmax(scores)
    assert (p > 0).all() and np.allclose(p.sum(axis=-1), 1)
    np.testing.assert_allclose(softmax(scores + shift), p, rtol=1e-9)
    np.testing.assert_allclose(softmax(scores[..., ::-1]), p[..., ::-1], rtol=1e-12)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32))
def test_losses_fall_along_their_gradients_and_do_not_mind_the_order_of_pixels(N, K, seed):
    rng = np.random.default_rng(seed)
    scores, order = rng.standard_normal((N, 3, 4, K)), rng.permutation(12)
    for loss, target in (
        (SoftmaxCrossEntropy(), rng.integers(-1, K, (N, 3, 4))),
        (MeanSquaredError(), rng.standard_normal(scores.shape)),
    ):
        value, gradient = loss.forward(scores, target), loss.backward()
        lower = loss.forward(scores - 0.1 * gradient, target)
        assert lower < value if gradient.any() else lower == value
        mixed = [a.reshape(N, 12, *a.shape[3:])[:, order].reshape(a.shape) for a in (scores, target)]
        assert loss.forward(*mixed) == pytest.approx(value, rel=1e-12)


def test_a_balanced_loss_gives_every_class_the_same_say(rng):
    target = np.repeat([0, 1, 2], [80, 15, 5]).reshape(1, 10, 10)
    loss = SoftmaxCrossEntropy(balanced_weights([80, 15, 5]))
    loss.forward(np.zeros((1, 10, 10, 3)), target)
    pull = np.abs(loss.backward()).sum(axis=-1)
    np.testing.assert_allclose([pull[target == k].sum() for k in range(3)], 4 / 9, atol=1e-12)


def test_scores_of_any_size_give_finite_losses(device):
    scores, target = device.asarray([[[[1e4, -1e4]]]]), device.asarray([[[1]]])
    loss = SoftmaxCrossEntropy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss.forward(scores, target) == 2e4
        assert loss.backward().ravel().tolist() == [1.0, -1.0]
        assert softmax(scores).ravel().tolist() == [1.0, 0.0]


def test_nothing_counted_is_no_loss(device):
    loss = SoftmaxCrossEntropy()
    assert loss.forward(device.asarray(np.ones((1, 1, 2, 3))), device.asarray(np.full((1, 1, 2), -1))) == 0
    assert not loss.backward().any()


def test_float32_stays_float32_and_sums_in_float64(device, rng):
    scores = device.asarray(rng.standard_normal((1, 300, 300, 2)).astype(np.float32))
    target = device.asarray(rng.integers(0, 2, (1, 300, 300)))
    loss, exact = SoftmaxCrossEntropy(), SoftmaxCrossEntropy()
    assert loss.forward(scores, target) == pytest.approx(exact.forward(scores.astype(np.float64), target), rel=1e-7)
    assert loss.backward().dtype == np.float32


def test_a_forward_pass_only_keeps_no_gradient(rng):
    for loss, target in (
        (SoftmaxCrossEntropy(), np.zeros((1, 2, 2), int)),
        (MeanSquaredError(), np.zeros((1, 2, 2, 3))),
    ):
        loss.forward(np.zeros((1, 2, 2, 3)), target, grad=False)
        with pytest.raises(RuntimeError, match="needs a forward pass with grad=True"):
            loss.backward()
        loss.forward(np.zeros((1, 2, 2, 3)), target)
        loss.backward()
        with pytest.raises(RuntimeError, match="needs a forward pass"):
            loss.backward()


def entropy(scores, target, weights=None):
    return SoftmaxCrossEntropy(weights).forward(np.zeros(scores), target)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: SoftmaxCrossEntropy([1, np.nan]), UsageError, "finite and not negative"),
        (lambda: SoftmaxCrossEntropy([1, -1]), UsageError, "finite and not negative"),
        (lambda: entropy((1, 1, 1, 2), np.zeros((1, 1, 1), int), [1]), UsageError, "1 class weights"),
        (lambda: SoftmaxCrossEntropy(over="images"), UsageError, "not 'images'"),
        (lambda: entropy((1, 1, 2, 2), np.zeros((1, 1, 1), int)), DataError, "do not fit"),
        (lambda: entropy((1, 1, 1, 2), np.full((1, 1, 1), 2)), DataError, "label 2"),
        (lambda: entropy((1, 1, 1, 2), np.full((1, 1, 1), 0.5)), DataError, "label 0.5"),
        (lambda: entropy((1, 1, 1, 2), np.full((1, 1, 1), np.nan)), DataError, "label nan"),
        (lambda: MeanSquaredError().forward(np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 2, 1))), DataError, "does not fit"),
    ],
)
def test_what_does_not_fit_is_refused(act, error, words):
    with pytest.raises(error, match=words):
        act()


def test_scores_of_integers_count_as_numbers():
    scores, half = np.array([[[[3, 1]]]]), np.array([[[[0.5, 1.0]]]])
    for loss, target in ((SoftmaxCrossEntropy([0.5, 2]), np.array([[[0]]])), (MeanSquaredError(), half)):
        assert loss.forward(scores, target) == loss.forward(scores.astype(float), target) > 0
