"""The training set: which crop of which image the net sees, and that the crops of an image make up the image."""

import numpy as np
import pytest

from tinympcnn import DataError, Net, Recipe, SoftmaxCrossEntropy, UsageError
from tinympcnn.training.dataset import WholeImages, mean_and_std
from tinympcnn.training.objective import image_closure, set_closure, validate
from tinympcnn.training.schedules import decay_factor

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


@pytest.mark.parametrize(
    ("image", "labels", "words"),
    [
        (np.eye(9), np.full((9, 9), -1), "nothing to train on"),
        (np.eye(9), np.ma.masked_equal(np.eye(9, dtype=int), 1), "masked elements"),
        (np.ma.masked_equal(np.eye(9), 1), np.eye(9, dtype=int), "masked elements"),
        (np.eye(9) * 1j, np.eye(9, dtype=int), "type complex128"),
    ],
)
def test_pixels_that_would_count_wrongly_are_refused(image, labels, words):
    with pytest.raises(DataError, match=words):
        WholeImages(Net.from_spec("C3x3x4 FC2", rng=0), [image], [labels], Recipe())


@pytest.mark.parametrize("dtype", [bool, np.float16, np.longdouble])
def test_images_of_rare_types_turn_as_those_of_float32_do(dtype):
    image, labels = np.eye(40), np.eye(40, dtype=int)
    turned = [
        WholeImages(Net.from_spec("C3x3x4 FC2", rng=0), [x], [labels], Recipe(augment="rotate")).example(0, 0).image
        for x in (image.astype(dtype), image.astype(np.float32))
    ]
    assert (turned[0] == turned[1]).all()


def test_a_map_of_one_value_is_not_stretched_by_the_rounding_of_its_mean():
    assert mean_and_std([np.full((20, 20, 1), 0.1)])[1] == 1


@pytest.mark.parametrize("wrong", [{"epochs": 2.5}, {"epochs": "2"}, {"crop": 8.5}, {"seed": 1.5}, {"decay": None}])
def test_recipes_of_the_wrong_kind_are_refused(wrong):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}.*must be"):
        Recipe(**wrong)


def test_a_factor_of_decay_may_be_a_number():
    assert decay_factor(Recipe(decay=0.5).decay, 2, 10) == 0.25
