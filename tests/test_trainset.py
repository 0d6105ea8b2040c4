"""The training set: which crop of which image the net sees, and that the crops of an image make up the image."""

import numpy as np
import pytest

from tinympcnn import Net, Recipe, SoftmaxCrossEntropy
from tinympcnn.training.dataset import WholeImages
from tinympcnn.training.objective import image_closure, set_closure, validate

SPEC = "C3x3x3 MPF2x2 C2x3x3 FC2"


def pictures(shapes, rng=0):
    rng = np.random.default_rng(rng)
    images = [rng.standard_normal(shape) for shape in shapes]
    return images, [(image > 0.5).astype(int) for image in images]


def test_the_gradients_of_the_crops_sum_to_that_of_the_whole_image():
    net, loss = Net.from_spec(SPEC, rng=0).astype("float64"), SoftmaxCrossEntropy()
    images, labels = pictures([(23, 31)])
    (whole_image,) = WholeImages(net, images, labels, Recipe()).everything()
    whole = set_closure(net, [whole_image], loss)
    expected, gradient = whole(), net.flat_grads()
    crops, total, value = WholeImages(net, images, labels, Recipe(crop=10)), 0, 0
    assert len(crops) == 3 * 4
    for position in range(len(crops)):
        example = crops.example(0, position)
        share = example.target.size / labels[0].size
        value += share * image_closure(net, example, loss)()
        total = total + share * net.flat_grads()
    assert value == pytest.approx(expected, rel=1e-12)
    assert np.linalg.norm(total - gradient) < 1e-12 * np.linalg.norm(gradient)
    everything = list(crops.everything())  # what is validated on
    assert max(max(pair.target.shape) for pair in everything) <= 10
    assert validate(net, everything, loss, "error") == pytest.approx(
        validate(net, [whole_image], loss, "error"), rel=1e-12
    )


@pytest.mark.parametrize("augment", ["none", "flip", "rotate", "elastic", "rotate+elastic"])
@pytest.mark.parametrize("crop", [None, 1, 7, 8, 100])
def test_crops_are_never_empty_nor_larger_than_asked_for(augment, crop):
    net = Net.from_spec(SPEC, rng=0)
    data = WholeImages(net, *pictures([(9, 40), (12, 12)]), Recipe(augment=augment, crop=crop))
    for position in range(len(data)):
        image, target = data.example(3, position)
        assert image.shape[1:3] == tuple(n + p - 1 for n, p in zip(target.shape[1:], net.field_of_view, strict=True))
        assert min(target.shape) >= 1
        assert crop is None or max(target.shape[1:]) <= crop


def test_an_epoch_sees_every_crop_once_and_every_epoch_has_its_own_order():
    net = Net.from_spec(SPEC, rng=0)
    data = WholeImages(net, *pictures([(9, 40), (12, 12)]), Recipe(crop=10))
    orders = [[data._update(epoch, i) for i in range(len(data))] for epoch in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == data.updates and orders[0] != orders[1]
