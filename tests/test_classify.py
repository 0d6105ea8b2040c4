"""Columns and committees on whole images: what the net sees, averages, stratification, saliency, model files."""

import numpy as np
import pytest

from tinympcnn import DataError, Net, UsageError
from tinympcnn.data import synthetic_digits
from tinympcnn.data.distort import DISTORTIONS
from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.inference.classify import as_input, classify, filters, prepared, saliency
from tinympcnn.nn.losses import SoftmaxCrossEntropy, softmax
from tinympcnn.training.classes import ClassifiedImages, split_stratified

SPEC = "1x12x12-4C3-MP2-6C2-MP2-8N-10N"
IMAGES, CLASSES = synthetic_digits(40, 12, rng=0)


def column(seed=0, preprocessing="none", spec=SPEC):
    net = Net.from_spec(spec, rng=seed)
    net.preprocessing = Preprocessing.parse(preprocessing).config()
    net.normalisation = np.array([0.2 + 0.1 * seed]), np.array([0.4])
    net.class_names = tuple(map(str, range(net.out_maps)))
    return net


def test_a_column_prepares_resizes_and_normalises():
    net = column(preprocessing="width8", spec="1x9x9-4C4-MP2-10N")
    x = as_input(net, prepared(net, IMAGES))
    assert x.shape == (40, 9, 9, 1) and x.dtype == np.float32
    np.testing.assert_allclose(classify(net, IMAGES), softmax(net.forward(x)[:, 0, 0]), atol=1e-6)
    same = (prepared(column(), IMAGES)[..., 0] - 0.2) / 0.4
    np.testing.assert_allclose(as_input(column(), prepared(column(), IMAGES))[..., 0], same, atol=1e-5)


def test_a_committee_is_the_mean_of_its_columns_whatever_their_preprocessing_and_size():
    nets = [column(0), column(1, "width8"), column(2, "histeq", "1x9x9-4C4-MP2-10N")]
    mean = sum(classify(net, IMAGES) for net in nets) / 3
    np.testing.assert_array_equal(classify(nets, IMAGES), mean)
    np.testing.assert_allclose(mean.sum(axis=1), 1)


def test_image_nets_classify_as_their_patch_nets_and_batches_change_nothing(monkeypatch):
    net = column()
    whole = classify(net, IMAGES)
    np.testing.assert_array_equal(classify(net.as_image(), IMAGES), whole)
    monkeypatch.setattr("tinympcnn.inference.classify.BATCH", 7)
    np.testing.assert_allclose(classify(net, IMAGES), whole, atol=1e-6)


def test_columns_with_other_classes_do_not_vote():
    other = column()
    other.class_names = tuple("abcdefghij")
    with pytest.raises(DataError, match=r"list of class names of a\.npz"):
        classify([column(), other], IMAGES, ["a.npz", "b.npz"])
    with pytest.raises(DataError, match="number of classes"):
        classify([column(), column(spec="1x12x12-4C3-MP2-3N")], IMAGES)
    with pytest.raises(DataError, match=r"classify \(N, H, W, 1\)"):
        classify(column(), IMAGES.repeat(3, axis=-1))


def test_a_model_file_keeps_class_names_and_preprocessing(tmp_path):
    net = column(3, "width8")
    net.save(tmp_path / "a.npz")
    twin = Net.load(tmp_path / "a.npz")
    assert twin.class_names == net.class_names and twin.preprocessing == {"kind": "width", "pixels": 8}
    np.testing.assert_array_equal(classify(twin, IMAGES), classify(net, IMAGES))
    assert twin.to("numpy").as_image().class_names == net.class_names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("class_names", ("a", "b")),
        ("class_names", ("a",) * 10),
        ("preprocessing", {"kind": "blur"}),
        ("preprocessing", 3),
    ],
)
def test_a_model_file_with_names_or_preprocessings_that_cannot_be_is_refused(tmp_path, name, value):
    net = column()
    setattr(net, name, value)
    net.save(tmp_path / "a.npz")
    with pytest.raises(DataError, match="does not fit together"):
        Net.load(tmp_path / "a.npz")


def test_saliency_is_the_derivative_of_the_score():
    net = column().astype("float64")
    images = np.random.default_rng(1).random((3, 12, 12, 1))  # on black ground maxima tie, and there is no derivative
    ours = saliency(net, images, np.array([4, 0, 9]))
    x = as_input(net, prepared(net, images)).astype(float)
    rng = np.random.default_rng(0)
    for i, k in enumerate((4, 0, 9)):
        v, h = rng.standard_normal(x[i].shape), 1e-6
        up, down = (net.forward((x[i] + s * h * v)[None])[0, 0, 0, k] for s in (1, -1))
        assert (ours[i] * v).sum() == pytest.approx((up - down) / (2 * h), rel=1e-5)
    assert all((grad == 0).all() for _, _, grad in net.parameters())  # the net's own gradients stay as they were


def test_filters_are_pictures_with_grey_for_nothing():
    net = column()
    W = net.layers[0].params["W"]
    pictures = filters(net)
    assert pictures.shape == (4, 3, 3, 1) and pictures.min() >= 0 and pictures.max() <= 1
    np.testing.assert_array_equal(np.sign(pictures[2, :, :, 0] - 0.5), np.sign(W[:, :, 0, 2]))


def test_each_epoch_sees_every_image_once_with_its_class_and_distorted_anew():
    net = column()
    data = ClassifiedImages(net, IMAGES, CLASSES, DISTORTIONS["digits"], batch=16, seed=3)
    assert len(data) == 3 and data.counts().tolist() == np.bincount(CLASSES, minlength=10).tolist()
    first, second = ([data.example(epoch, i) for i in range(3)] for epoch in (0, 1))
    assert [len(one.image) for one in first] == [16, 16, 8]
    for batches in (first, second):
        assert sorted(np.concatenate([one.target.ravel() for one in batches])) == sorted(CLASSES)
    order = [np.random.default_rng([3, epoch]).permutation(40) for epoch in (0, 1)]
    assert (first[0].target.ravel() == CLASSES[order[0][:16]]).all()
    one, other = (
        np.concatenate([b.image for b in batches])[np.argsort(o)]
        for batches, o in zip((first, second), order, strict=True)
    )
    assert np.abs(one - other).max(axis=(1, 2, 3)).min() > 0.1
    again = data.example(1, 2)
    np.testing.assert_array_equal(again.image, second[2].image)
    plain = np.concatenate([one.image for one in data.everything()])
    np.testing.assert_array_equal(plain, as_input(net, prepared(net, IMAGES)))


def test_normalisation_comes_from_the_prepared_images():
    net = column(preprocessing="width8")
    net.normalisation = None
    ClassifiedImages(net, IMAGES, CLASSES)
    seen = Preprocessing("width", pixels=8)(IMAGES)
    np.testing.assert_allclose([*net.normalisation[0], *net.normalisation[1]], [seen.mean(), seen.std()], rtol=1e-4)


@pytest.mark.parametrize(
    ("images", "classes", "message"),
    [
        (IMAGES, CLASSES[:-1], "need one integer each"),
        (IMAGES, CLASSES + 1, "has 10 outputs"),
        (IMAGES, CLASSES - 1, "reach from -1"),
        (IMAGES[..., 0], CLASSES, r"\(N, H, W, 1\)"),
        (IMAGES[:0], CLASSES[:0], r"\(N, H, W, 1\)"),
        (np.where(IMAGES > 100, np.nan, 0.0), CLASSES, "NaN"),
    ],
)
def test_what_no_net_can_train_on_is_refused(images, classes, message):
    with pytest.raises(DataError, match=message):
        ClassifiedImages(column(), images, classes)


def test_a_stratified_split_holds_the_same_share_of_each_class():
    classes = np.repeat([0, 1, 2, 3], [100, 50, 10, 1])
    kept, held = split_stratified(classes, 0.2, seed=1)
    assert np.bincount(classes[held], minlength=4).tolist() == [20, 10, 2, 0]
    assert sorted([*kept, *held]) == list(range(161))
    assert (split_stratified(classes, 0.2, seed=1)[1] == held).all()
    assert (split_stratified(classes, 0.2, seed=2)[1] != held).any()
    assert len(split_stratified(classes, 0)[1]) == 0
    with pytest.raises(UsageError, match="below 1"):
        split_stratified(classes, 1.0)
    with pytest.raises(UsageError, match="no class has two images"):
        split_stratified(np.arange(4), 0.5)


def test_columns_work_on_every_device(device):
    net = column(preprocessing="width8")
    there = net.to(device.backend)
    np.testing.assert_allclose(classify([there, there], IMAGES), classify(net, IMAGES), atol=1e-6)
    smooth = np.random.default_rng(1).random((3, 12, 12, 1))
    gradient = saliency(there, smooth, np.array([4, 0, 9]))
    np.testing.assert_allclose(gradient, saliency(net, smooth, np.array([4, 0, 9])), atol=1e-5)
    np.testing.assert_allclose(filters(there), filters(net), atol=1e-6)
    one = ClassifiedImages(there, IMAGES, CLASSES, batch=8).example(0, 1)
    loss = SoftmaxCrossEntropy()
    loss.forward(there.forward(one.image), one.target)
    there.backward(loss.backward(), input_grad=False)
    assert float(abs(there.flat_grads()).max()) > 0
