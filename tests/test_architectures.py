"""Fragments, a trous convolutions and U-Nets: nets of layers that hold layers, and nets that come up again."""

import random
from functools import reduce

import numpy as np
import pytest
import tifffile
from helpers import PLAIN, lengths, noise, written
from hypothesis import assume, given
from hypothesis import strategies as st

from tinympcnn import (
    Committee,
    Conv,
    Fragment,
    MaxPool,
    MaxPoolFragment,
    MeanSquaredError,
    Net,
    Recipe,
    Relu,
    Skip,
    Tanh,
    Upsample,
    UsageError,
    fit,
)
from tinympcnn.gradcheck import check_contract, check_net
from tinympcnn.nn import reference
from tinympcnn.nn.layers.row import LayerRow
from tinympcnn.nn.spec import parse

UNET = "C3x3x4 [ MP2x2 C3x3x3 [ MP2x2 C3x3x2 U2x2 ] C3x3x2 U2x2 ] C3x3x4 C1x1x2"
BOTH = "C2x3x2 MPF2x2 [ MP2x1 C3x3x2 U2x1 ] C2x2x3 C1x1x2"


@st.composite
def rows(draw, maps, rng, depth=0, fragments=True):
    """Return some layers in a row, which come back to the size of their input, and the number of maps they make."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    layers = []
    for _ in range(draw(st.integers(1, 3 - depth))):
        kind = draw(st.sampled_from(["C", "C", "[", "F", "MPF", "U"] if depth < 2 else ["C"]))
        if kind == "[":
            inner, more = draw(rows(maps, rng, depth + 1))
            layers.append(Skip(inner))
            maps += more
        elif kind == "U":
            k = draw(pair)
            inner, maps = draw(rows(maps, rng, depth + 1, fragments=False))
            layers += [MaxPool(k), *inner, Upsample(k)]
            fragments = fragments and depth == 0
        elif kind in ("F", "MPF") and fragments and not (layers and LayerRow(layers).comes_up):
            layers.append({"F": Fragment, "MPF": MaxPoolFragment}[kind](draw(pair)))
            if depth:
                break
        else:
            out = draw(st.integers(1, 3))
            layers += [Conv(maps, out, draw(pair), rng), draw(st.sampled_from([Tanh, Relu]))()]
            maps = out
    return layers, maps


@st.composite
def nets(draw):
    """Return a net of at most a few hundred phases, with random parameters."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    layers, maps = draw(rows(2, rng))
    try:
        net = Net([Conv(1, 2, 2, rng), *layers, Conv(maps, 2, (2, 1), rng)]).astype("float64")
    except UsageError as error:
        assume("fit no map" not in str(error))  # two maps that were enlarged, with an odd kernel between them
        raise
    net.set_flat(rng.standard_normal(net.n_params))
    return net, rng


small = nets().filter(lambda drawn: max(drawn[0].input_size((1, 1))) < 50 and max(drawn[0].alignment) < 20)


# ----------------------------------------------------------------------------------------------- what is computed


def test_convolutions_between_fragment_layers_are_a_trous_convolutions(device, rng):
    layers = [Conv(2, 3, (3, 2), rng=0), Conv(3, 2, 3, rng=1), Conv(2, 2, (2, 3), rng=2)]
    net = Net([layers[0], Fragment(2), layers[1], Fragment(2), layers[2]]).astype("float64").to(device.backend)
    image = rng.standard_normal((16, 19, 2))
    wanted = image
    for layer, rate in zip(layers, (1, 2, 4), strict=True):
        W, b = (np.asarray(layer.params[name], np.float64) for name in "Wb")
        wanted = reference.conv_fwd(wanted, W, b, rate)
    dense = device.asnumpy(net.forward(device.asarray(image[None])))
    np.testing.assert_allclose(dense[0], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [(2, 2), (3, 1), (2, 3)])
def test_max_pool_fragment_is_a_maximum_at_stride_1_and_then_fragment(k, rng):
    x = rng.standard_normal((2, 4 * k[0] - 1, 3 * k[1] - 1, 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, k, axis=(1, 2))
    assert (MaxPoolFragment(k).forward(x) == Fragment(k).forward(windows.max(axis=(-2, -1)))).all()


@given(small)
def test_random_nested_nets_follow_the_reference_and_finite_differences(drawn):
    net, rng = drawn
    image = rng.permutation(np.linspace(-2, 2, np.prod(size := net.input_size((2, 3))))).reshape(1, *size, 1)
    scores = net.forward(image)
    F_out, back = reference.evaluate(net.layers, [image[0]])
    np.testing.assert_allclose(scores[0], reference.merge(F_out, net.pools)[0], rtol=0, atol=1e-12)
    dscores = rng.standard_normal(scores.shape)
    net.zero_grads()
    dimage = net.backward(dscores)
    [delta], grads = back(reference.split([dscores[0]], net.pools))
    np.testing.assert_allclose(dimage[0], delta, rtol=0, atol=1e-12 * max(1, np.abs(delta).max()))
    wanted = np.concatenate([grad.ravel() for layer in grads for grad in layer])
    np.testing.assert_allclose(net.flat_grads(), wanted, rtol=0, atol=1e-12 * np.linalg.norm(wanted))
    check_net(net, image, rng=rng).raise_if_wrong()


@given(small)
def test_nets_that_do_not_come_up_keep_the_contract(drawn):
    net, rng = drawn
    P, Q = net.field_of_view
    image = rng.integers(-3, 4, (P + 2, Q + 1, 1)) / 2  # with ties
    if net.comes_up:
        with pytest.raises(UsageError, match="a net with Upsample has no patch net"):
            net.as_patch()
    else:
        assert max(check_contract(net, image, rng)) < 1e-12


@pytest.mark.parametrize("spec", [UNET, BOTH, "C3x3x2 F2x2 [ MPF2x3 C2x2x3 ] RELU FC2"])
def test_nets_run_on_a_device(spec, device):
    net = Net.from_spec(spec, rng=0).astype("float64")
    image = noise(device, (2, *net.input_size((3, 4)), 1))
    on_device = net.to(device.backend)
    scores, wanted = on_device.forward(image), net.forward(device.asnumpy(image))
    np.testing.assert_allclose(device.asnumpy(scores), wanted, rtol=0, atol=1e-12)
    dimages = on_device.backward(device.asarray(np.ones(wanted.shape)))
    np.testing.assert_allclose(device.asnumpy(dimages), net.backward(np.ones(wanted.shape)), rtol=0, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------- sizes


@given(small, st.integers(0, 12), st.integers(0, 12))
def test_an_image_is_taken_or_refused_with_sizes_that_work(drawn, more_rows, more_columns):
    net, _ = drawn
    least = net.input_size((1, 1))
    size = (max(1, least[0] + more_rows - 4), max(1, least[1] + more_columns - 4))
    P, Q = net.window
    try:
        assert net.forward(np.zeros((1, *size, 1)), train=False).shape[1:3] == (size[0] - P + 1, size[1] - Q + 1)
        assert net.input_size((size[0] - P + 1, size[1] - Q + 1)) == size
    except UsageError as error:
        words = str(error)
        if "does not divide" in words:
            proposed = [text.split()[-1] for text in words.split("; ")[1].split(" would")[0].split(" and ")]
            assert proposed == ["rows", "columns"]
            near = [[int(n) for n in text.split() if n.isdigit()] for text in words.split("; ")[1].split(" and ")]
            for n in near[0]:
                for m in near[1]:
                    assert net.forward(np.zeros((1, n, m, 1)), train=False).shape[1:3] == (n - P + 1, m - Q + 1)
        else:
            assert "is smaller than the net's" in words and (size[0] < least[0] or size[1] < least[1])


@given(small)
def test_no_output_sees_more_than_the_field_of_view_and_one_sees_as_much(drawn):
    """NaN in one row of pixels spreads to every output that sees the row."""
    net, rng = drawn
    net.set_flat(rng.uniform(0.5, 1, net.n_params))
    net = Net([layer for layer in net.layers if not isinstance(layer, Relu)])
    for axis in (0, 1):
        outputs = [1, 1]
        outputs[axis] = 2 * net.alignment[axis] + 1
        size = net.input_size(tuple(outputs))
        seen = []
        for i in range(size[axis]):
            image = rng.standard_normal((1, *size, 1))
            image[(slice(None),) * (1 + axis) + (i,)] = np.nan
            with np.errstate(invalid="ignore"):
                scores = net.forward(image, train=False)
            seen.append(np.isnan(scores[0]).any(axis=(1 - axis, 2)))
        first, last = np.argmax(seen, axis=0), len(seen) - 1 - np.argmax(seen[::-1], axis=0)
        assert (last - first + 1).max() == net.field_of_view[axis]


@given(small)
def test_outputs_move_with_the_image_by_multiples_of_the_grid(drawn):
    net, rng = drawn
    (r, c), size = net.grid, net.input_size((4, 5))
    image = rng.standard_normal((1, size[0] + r, size[1] + c, 1))
    whole, moved = net.forward(image, train=False), net.forward(image[:, r:, c:], train=False)
    np.testing.assert_allclose(moved, whole[:, r:, c:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("spec", [UNET, BOTH, "C3x3x2 [ MPF2x2 C2x2x3 ] C2x2x2", "C3x3x4 F2x2 C3x3x4 F2x2 C3x3x2"])
@pytest.mark.parametrize("turns", [False, True])
def test_tiles_of_every_size_give_the_same_bits(spec, turns, rng):
    net, image = Net.from_spec(spec, rng=0), rng.standard_normal((41, 66))
    whole = net.segment(image, turns=turns)
    assert np.isfinite(whole).all() and whole.shape == (41, 66, 2)
    for tile in (1, 33, 40):
        assert (net.segment(image, turns=turns, tile=tile) == whole).all(), tile


def test_committees_of_plain_nets_and_u_nets(rng):
    nets, image = [Net.from_spec(spec, rng=0) for spec in (UNET, "C3x3x4 MPF2x2 FC2")], rng.standard_normal((23, 30))
    mean = Committee(nets).segment(image)
    np.testing.assert_allclose(mean, (nets[0].segment(image) + nets[1].segment(image)) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Skip([]), "one or more layers"),
        (lambda: Skip([MaxPool((2, 3)), Conv(1, 1, 3)]), "shrink it by 2x3: add U2x3 at the end, or use MPF for MP"),
        (lambda: Skip([Fragment(2), MaxPool(2), Upsample(2)]), "make fragments, or come up again by U, but not both"),
        (lambda: Net([Conv(1, 1, 3), Upsample(2)]), "let every Upsample undo a MaxPool"),
        (lambda: Net([MaxPool(4), Conv(1, 1, 3), Upsample(2)]), "shrink maps by 4x4 and enlarge them by 2x2"),
        (lambda: Net([*(MaxPool(16) for _ in range(5)), Upsample(16**5)]), "65536 is the most"),
        (lambda: Net([MaxPool(2), Upsample(2), skip := Skip([Tanh()]), skip.layers[0]]), "stands twice"),
        (lambda: Fragment(2).forward(np.zeros((1, 5, 4, 1))), "5 rows do not split into 2 .* 4 or 6 rows would"),
        (lambda: Net.from_spec(UNET).forward(np.zeros((1, 40, 46, 1))), "38 or 42 rows and 46 columns would"),
        (lambda: Net.from_spec(UNET).forward(np.zeros((1, 21, 46, 1))), "smallest image of 22x22"),
        (lambda: reduce(lambda inner, _: Skip([inner]), range(200), Skip([Relu()])), "at most 16 deep"),
    ],
)
def test_what_does_not_hold_is_said(make, words):
    with pytest.raises(UsageError, match=words):
        make()


# ------------------------------------------------------------------------------------------ names, specs, model files


def test_parameters_inside_a_skip_have_nested_names():
    net = Net.from_spec("C3x3x2 [ MP2x2 C3x3x3 [ C1x1x2 ] U2x2 ] C1x1x2", rng=0)
    names = [name for name, _, _ in net.parameters()]
    assert names[::2] == ["0.Conv.W", "2.Skip.1.Conv.W", "2.Skip.3.Skip.0.Conv.W", "3.Conv.W"]
    replica = net.replica()
    pairs = list(zip(net.parameters(), replica.parameters(), strict=True))
    assert all(mine[1] is its[1] and mine[2] is not its[2] for mine, its in pairs)
    with pytest.raises(TypeError):
        net.layers[2].params["1.Conv.W"] = 0  # the inner layer holds it


def test_specs_of_nested_nets():
    layers = parse("C3x3x4 RELU [ MP2x2 C3x3x3 U2x2 ] [ LC3 ] F2 MP3x2 C1x1x2", rng=0)
    assert [type(layer).__name__ for layer in layers] == [
        "Conv", "Relu", "Skip", "Skip", "Fragment", "MaxPool", "Conv"
    ]  # fmt: skip
    assert [type(layer).__name__ for layer in layers[2].layers] == ["MaxPool", "Conv", "Tanh", "Upsample"]
    assert (layers[3].layers[0].in_maps, layers[-1].in_maps, layers[2].out_maps) == (7, 21, 7)
    assert type(parse("C3x3x2 [ MP2 C3x3x2 ] C1x1x2")[2].layers[0]) is MaxPoolFragment
    assert repr(parse("[C3x3x2]C1x1x2", rng=0)) == "[Skip([Conv(1, 2, (3, 3)), Tanh()]), Conv(3, 2, (1, 1))]"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("C3x3x2 [ C1x1x2", "does not close it"),
        ("C3x3x2 ] C1x1x2", "closes more brackets than it opens"),
        ("C3x3x2 [ ] C1x1x2", "empty brackets"),
        ("[ MP2x2 U2x2 ]", "has no C or FC layer"),
        ("[" * 500 + "C1x1x1" + "]" * 500, "nests more than 16 brackets"),
        ("C3x3x2 [ MP2x2 C1x1x2 ] U2x2 C1x1x2", "must come back to the size"),
    ],
)
def test_specs_that_do_not_fit_are_refused(spec, words):
    with pytest.raises(UsageError, match=words):
        parse(spec)


@lengths(300, 20_000)
def test_random_specs_make_a_net_or_one_sentence(cases):
    chance = random.Random(0)
    tokens = ["C3x3x2", "C1x2x3", "[", "]", "MP2x2", "U2x2", "U2x3", "F2", "MPF3x2", "RELU", "FC2", "LC3", "U9999999"]
    made = 0
    for _ in range(cases):
        spec = " ".join(chance.choices(tokens, k=chance.randint(1, 9)))
        try:
            net = Net.from_spec(spec, rng=0)
            made += 1
            assert "field of view" in str(net)
        except UsageError as error:
            assert "\n" not in str(error)
    assert made > cases / 30


def test_nested_nets_survive_their_model_file(tmp_path, rng):
    net = Net.from_spec(UNET, rng=0)
    net.save(tmp_path / "net.npz")
    again, image = Net.load(tmp_path / "net.npz"), rng.standard_normal((20, 25))
    assert repr(again) == repr(net) and (again.segment(image) == net.segment(image)).all()
    assert [name for name, _, _ in again.parameters()] == [name for name, _, _ in net.parameters()]


# ------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("crop", [None, 18])
def test_a_u_net_learns_from_labels_and_from_target_images(crop, rng):
    image = rng.standard_normal((24, 29))
    image = image + np.roll(image, 1, 0)
    for target, out in ((image > 0, 2), (image[:, :, None], 1)):
        net = Net.from_spec(UNET.replace("C1x1x2", f"C1x1x{out}"), rng=0)
        records = list(fit(net, ([image], [target]), Recipe(epochs=8, crop=crop, options={"lr": 0.02})))
        assert records[-1]["loss_train"] < 0.7 * records[0]["loss_train"]
    predicted = net.predict(image)
    assert predicted.shape == (24, 29, 1) and predicted.dtype == np.float32
    assert np.mean((predicted[:, :, 0] - image) ** 2) < 0.7 * image.var()
    assert (net.predict(image, tile=32) == predicted).all()


def test_the_gradient_of_a_cropped_loss(rng):
    net = Net.from_spec(UNET, rng=0).astype("float64")
    image, loss = rng.standard_normal((1, *net.input_size((5, 6)), 1)), MeanSquaredError()
    target = rng.standard_normal((1, 5, 6, 2))
    loss.forward(net.forward(image, outputs=(5, 6)), target)
    net.zero_grads()
    dimage, direction = net.backward(loss.backward()), rng.standard_normal(image.shape)

    def value(h):
        return loss.forward(net.forward(image + h * direction, train=False, outputs=(5, 6)), target, grad=False)

    assert (dimage * direction).sum() == pytest.approx((value(1e-6) - value(-1e-6)) / 2e-6, rel=1e-6)


def test_predict_writes_what_the_net_predicts(run, tmp_path, rng):
    image = rng.integers(0, 255, (2, 21, 26)).astype(np.uint8)
    written(tmp_path / "noisy.tif", image, **PLAIN, metadata={"axes": "ZYX"})
    net = Net.from_spec(UNET, rng=0)
    net.normalisation = np.array([128.0]), np.array([70.0])
    net.save(tmp_path / "net.npz")
    words = ("predict", "-i", tmp_path / "noisy.tif", "-m", tmp_path / "net.npz", "-o", tmp_path / "out")
    code, out, err = run(*words, "--backend", "numpy")
    assert (code, err) == (0, "") and "noisy_predicted.tif" in out
    found = tifffile.imread(tmp_path / "out" / "noisy_predicted.tif")
    assert found.dtype == np.float32 and found.shape == (2, 2, 21, 26)
    for page, pixels in zip(found, image, strict=True):
        assert (page == net.predict(pixels).transpose(2, 0, 1)).all()
    code, _, err = run(*words, "--backend", "numpy")
    assert code == 2 and "exists already" in err


@pytest.mark.parametrize(
    ("kind", "classes", "command"), [("class_values", (0, 255), "segment"), ("class_names", ("cat", "dog"), "classify")]
)
def test_predict_refuses_a_net_of_classes_and_names_its_command(run, tmp_path, kind, classes, command):
    written(tmp_path / "image.tif", np.zeros((21, 26), np.uint8), **PLAIN)
    net = Net.from_spec(UNET, rng=0)
    setattr(net, kind, classes)
    net.save(tmp_path / "net.npz")
    code, _, err = run("predict", "-i", tmp_path / "image.tif", "-m", tmp_path / "net.npz", "-o", tmp_path / "out")
    assert code == 2 and f"classes {classes}" in err and f"'tinympcnn {command}'" in err
    assert not (tmp_path / "out").exists()
