"""Crops drawn at random: what the net sees of the image, how often it sees rare objects and a first net's mistakes."""

import numpy as np
import pytest

from tinympcnn import Net, Recipe
from tinympcnn.errors import DataError, UsageError
from tinympcnn.training.dataset import WholeImages
from tinympcnn.training.fit import fit
from tinympcnn.training.focus import DrawnCrops, mistakes

SPEC = "C3x4x3 MPF2x2 C2x3x3 FC2"  # a field of view of 6x9: one side is even


def scene(size=(40, 53)):
    """An image that says where each pixel lies, and labels with one object."""
    image = np.stack(np.indices(size), axis=-1).astype(np.float64)
    labels = np.zeros(size, np.int8)
    labels[30:32, 7:9] = 1
    return image, labels


def data(recipe, in_maps=2, spec=SPEC, **options):
    net = Net.from_spec(spec, in_maps, rng=0).astype("float64")
    net.normalisation = np.zeros(2), np.ones(2)
    image, labels = scene()
    return net, DrawnCrops(net, [image], [labels], recipe, **options)


@pytest.mark.parametrize("spec", [SPEC, "C3x3x2 [ MP2x2 C3x3x2 [ MP2x2 C3x3x2 U2x2 ] C3x3x2 U2x2 ] C1x1x2"])
def test_a_crop_is_a_part_of_the_image_with_its_true_surroundings(spec):
    net, drawn = data(Recipe(crop=9), updates=40, spec=spec)
    whole = next(WholeImages(net, *[[x] for x in scene()], Recipe()).everything())
    P, Q = net.window  # which the field of view of a net with sizes that must divide is larger than
    for position in range(40):
        image, target = drawn.example(0, position)
        r, c = (int(n) for n in image[0, P // 2, Q // 2])
        seen = image[:, : 9 + P - 1, : 9 + Q - 1]
        np.testing.assert_array_equal(seen, whole.image[:, r : r + 9 + P - 1, c : c + 9 + Q - 1])
        np.testing.assert_array_equal(target, whole.target[:, r : r + 9, c : c + 9])
        assert net.forward(image, True, (9, 9)).shape == (1, 9, 9, 2)


@pytest.mark.parametrize("augment", ["flip", "rotate", "elastic+intensity", "rotate+elastic"])
def test_augmented_crops_keep_their_size_and_their_labels(augment):
    net, drawn = data(Recipe(crop=9, augment=augment), updates=60)
    P, Q = net.field_of_view
    near = []
    for position in range(60):
        image, target = drawn.example(1, position)
        assert image.shape == (1, 9 + P - 1, 9 + Q - 1, 2) and target.shape == (1, 9, 9)
        if augment == "flip" or augment == "rotate":
            own = image[0, P // 2 : P // 2 + 9, Q // 2 : Q // 2 + 9][target[0] == 1]
            near += np.hypot(*(own - [30.5, 7.5]).T).tolist()
    assert max(near, default=0) < 1.5


def test_every_class_has_the_same_share_of_the_crops_and_mistakes_draw_more():
    _, labels = scene()
    wrong = np.where((labels == 1) | (np.arange(53) > 40), 1.0, 0.001)
    _, even = data(Recipe(crop=1))
    _, focused = data(Recipe(crop=1), wrong=[wrong])

    def seen(some):
        pixels = np.array([some._draw(np.random.default_rng([0, 0, i]))[1:] for i in range(400)])
        return pixels, labels[tuple(pixels.T)] == 1

    pixels, objects = seen(even)
    assert 0.4 < objects.mean() < 0.6 and (pixels[~objects, 1] > 40).mean() < 0.4
    pixels, objects = seen(focused)
    assert 0.4 < objects.mean() < 0.6 and (pixels[~objects, 1] > 40).mean() > 0.95
    assert len(even) == 40 * 53


def test_pixels_that_do_not_count_are_never_drawn():
    image, labels = scene()
    labels[:, 10:] = -1
    net = Net.from_spec(SPEC, 2, rng=0)
    drawn = DrawnCrops(net, [image], [labels], Recipe(crop=1))
    assert max(drawn._draw(np.random.default_rng(i))[2] for i in range(50)) < 10
    with pytest.raises(DataError, match="nothing to train on"):
        DrawnCrops(net, [image], [np.full((40, 53), -1)], Recipe(crop=5))


def test_mistakes_are_the_probability_of_the_other_classes():
    net = Net.from_spec(SPEC, 2, rng=0)
    net.normalisation = np.full(2, 20.0), np.full(2, 10.0)
    image, labels = scene()
    labels[0] = -1
    wrong, p = mistakes(net, image, labels), net.segment(image)
    np.testing.assert_allclose(wrong[1:], np.where(labels == 1, p[..., 0], p[..., 1])[1:], atol=1e-3)
    assert (wrong[0] == 0).all()


def test_training_on_drawn_crops_learns_and_names_the_crop():
    net, drawn = data(Recipe(crop=9, epochs=3, options={"lr": 0.01}), updates=30)
    net.normalisation = np.array([20.0, 26.0]), np.array([12.0, 15.0])
    records = list(fit(net, drawn, Recipe(crop=9, epochs=3, options={"lr": 0.01})))
    assert records[-1]["loss_train"] < records[0]["loss_train"]
    assert "row" in drawn.place(0, 0) and drawn.place(0, 0) == drawn.place(0, 0)


def test_drawing_crops_needs_their_size():
    with pytest.raises(UsageError, match="--crop 64"):
        data(Recipe())
