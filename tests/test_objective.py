"""The sum over a set: batches, executors that change no bit, and what real sets have in them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinympcnn import LBFGS, Net, SoftmaxCrossEntropy, UsageError
from tinympcnn.data import downsample, downsample_labels, synthetic_strip
from tinympcnn.nn.losses import balanced_weights
from tinympcnn.training.objective import Example, batches, example, image_closure, set_closure

SPEC = "C5x5x4 MPF2x2 C3x3x4 FC8 FC2"


@pytest.fixture(scope="module")
def strip():
    """Return a net and a small set: some images without any defect pixel, one of another size, one of no class."""
    images, labels = synthetic_strip(7, (64, 120), defects=2, rng=0)
    net = Net.from_spec(SPEC, rng=0)
    small = [
        (downsample(x, 4)[:, :, None] / 64.0, downsample_labels(y, 4) // 255)
        for x, y in zip(images, labels, strict=True)
    ]
    pairs = [example(net, x, y.astype(np.int64)) for x, y in small]
    pairs.insert(3, Example(pairs[0].image[:, :-3], pairs[0].target[:, :-3]))
    pairs.insert(5, Example(pairs[1].image, np.full_like(pairs[1].target, -1)))
    assert sum(not (pair.target > 0).any() for pair in pairs) >= 5
    return net, pairs, SoftmaxCrossEntropy(balanced_weights([30, 1]))


def test_batches_keep_the_order_and_join_only_what_has_one_size(strip):
    _, pairs, _ = strip
    joined = batches(pairs, pixels=3 * pairs[0].target.size)
    assert [len(batch.target) for batch in joined] == [3, 1, 3, 2]
    flat = np.concatenate([batch.target.ravel() for batch in joined])
    assert (flat == np.concatenate([pair.target.ravel() for pair in pairs])).all()
    assert all(len(batch.image) == len(batch.target) for batch in joined)


def test_a_batch_is_the_sum_of_its_images(strip):
    net, pairs, loss = strip
    net = net.astype("float64")
    value, gradient, counted = 0.0, np.zeros(net.n_params), 0
    for pair in pairs:
        value += image_closure(net, pair, loss)() * loss.counted
        gradient += net.flat_grads() * loss.counted
        counted += loss.counted
    whole = set_closure(net, pairs, loss)
    assert whole() == pytest.approx(value / counted, rel=1e-13) and whole(grad=False) == whole()
    np.testing.assert_allclose(net.flat_grads(), gradient / counted, rtol=1e-10, atol=1e-15)
    with pytest.raises(UsageError, match="at least one image"):
        set_closure(net, [], loss)


def test_over_a_set_the_mean_over_weights_is_that_over_pixels_but_for_a_factor(strip):
    net, pairs, loss = strip
    net, weights = net.astype("float64"), loss.class_weights
    value, gradient = set_closure(net, pairs, loss)(), net.flat_grads()
    targets = np.concatenate([pair.target.ravel() for pair in pairs])
    targets = targets[targets >= 0]
    factor = targets.size / weights[targets].sum()
    assert set_closure(net, pairs, SoftmaxCrossEntropy(weights, over="weights"))() == pytest.approx(factor * value)
    np.testing.assert_allclose(net.flat_grads(), factor * gradient, rtol=1e-10, atol=1e-15)


def test_threads_change_no_bit(strip, threads):
    net, pairs, loss = strip
    value = set_closure(net, pairs, loss)()
    gradient = net.flat_grads()
    with ThreadPoolExecutor(3) as executor:
        assert set_closure(net, pairs, loss, executor)() == value
    assert (net.flat_grads() == gradient).all()
    threads(3)
    assert set_closure(net, pairs, loss)() == value
    assert (net.flat_grads() == gradient).all()


def test_lbfgs_learns_a_set_with_few_defects_and_restarts_where_its_search_fails(strip):
    net, pairs, loss = strip
    net = net.astype("float64")
    closure = set_closure(net, pairs, loss)
    optimizer = LBFGS(net)
    losses = [optimizer.step(closure) for _ in range(8)]
    assert losses == sorted(losses, reverse=True)
    s, _ = optimizer.pairs[-1]
    optimizer.pairs = [(s, -1e-6 * s)]  # curvature of the wrong sign: the direction goes uphill
    before = optimizer.loss
    optimizer.step(closure)
    assert optimizer.loss < before
    assert len(optimizer.pairs) <= 1 and all(s @ y > 0 for s, y in optimizer.pairs)


def test_a_set_of_one_class_and_a_set_without_a_counted_pixel(strip):
    net, pairs, _ = strip
    sound = [pair for pair in pairs if not (pair.target > 0).any()]
    loss = SoftmaxCrossEntropy(balanced_weights([100, 0]))
    assert np.isfinite(set_closure(net, sound, loss)())
    nothing = [Example(pair.image, np.full_like(pair.target, -1)) for pair in pairs]
    assert set_closure(net, nothing, loss)() == 0
    assert not net.flat_grads().any()
