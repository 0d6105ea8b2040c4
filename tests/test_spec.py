"""The paper's notation: any text becomes layers or one sentence; a registered layer has a word of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn import Conv, FullyConnected, Layer, LocalContrast, MaxPoolFragment, Net, Tanh, UsageError, zoo
from tinympcnn.nn.layers import LAYERS
from tinympcnn.nn.spec import parse

size = st.integers(1, 5)
words = st.one_of(
    st.builds("C{}x{}x{}".format, size, size, size),
    st.builds("MPF{}x{}".format, size, size),
    st.builds("FC{}".format, size),
    st.builds("LC{}x{}".format, st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5])),
    st.builds("FC{}x{}x{}".format, st.integers(2, 4), size, size),
)
specs = st.lists(words, min_size=1, max_size=6).filter(lambda some: any(word[0] in "CF" for word in some))


def written(layer):
    """Return the word of a layer, or nothing."""
    match layer:
        case FullyConnected(kernel=(1, 1)):
            return [f"FC{layer.out_maps}"]
        case Conv(kernel=(kh, kw)):
            return [f"{'FC' if isinstance(layer, FullyConnected) else 'C'}{kh}x{kw}x{layer.out_maps}"]
        case MaxPoolFragment(k=(kh, kw)):
            return [f"MPF{kh}x{kw}"]
        case LocalContrast(window=(kh, kw)):
            return [f"LC{kh}x{kw}"]
    return []


@given(specs, size)
def test_every_word_becomes_its_layer(some, in_maps):
    layers = parse(" ".join(some), in_maps, rng=0)
    assert [word for layer in layers for word in written(layer)] == some
    assert Net(layers).in_maps == in_maps or isinstance(layers[0], MaxPoolFragment)


anything = st.one_of(
    st.text(max_size=40),
    st.text("CMPFx0123456789 -.\n", max_size=30),
    st.lists(
        st.sampled_from(["C3x3x2", "MPF2", "FC2", "C", "x", "MPF0x2", "FC99999999", "²", "C3X3X2", "c1x1x1"]),
        max_size=5,
    ).map(" ".join),
)


@given(anything)
def test_any_text_is_layers_or_a_usage_error(text):
    try:
        layers = Net.from_spec(text, rng=0).layers
    except UsageError as error:
        assert len(str(error)) < 400 and "\n" not in str(error)
    else:
        assert any(isinstance(layer, Conv) for layer in layers)


@pytest.mark.parametrize(
    ("one", "other"), [("MP2", "MPF2x2"), ("mpf2x3", "MPF2x3"), ("MP2x2", "MPF2"), ("lc3", "LC3x3"), ("fc3", "FC1x1x3")]
)
def test_words_that_mean_the_same(one, other):
    assert repr(parse(f"C2x2x2 {one} FC2", rng=0)) == repr(parse(f"C2x2x2 {other} FC2", rng=0))


@pytest.mark.parametrize(
    "spec",
    ["", " ", "MPF2x2", "C3x3", "C3x3x2x2", "FC2x2", "MPF2x2x2", "C0x3x2 FC2", "X2", "C3x3x2,FC2", "C-3x3x2",
     "C3x3x2 FC", "C٣x٣x٢"],
)  # fmt: skip
def test_what_does_not_parse_is_refused_with_an_example(spec):
    with pytest.raises(UsageError, match="'C5x5x8 MPF2x2 C3x3x8 FC"):
        parse(spec)


def test_a_layer_too_large_to_make_is_refused_before_it_is_made():
    for spec in ("C999999x999999x999999 FC2", "C3x3x9999 C99x99x999999 FC2", "C9999x9999x2 FC2"):
        with pytest.raises(UsageError, match="weights; use smaller layers"):
            parse(spec)


def test_tanh_follows_every_layer_with_weights_but_the_last():
    kinds = [type(layer) for layer in parse("C3x3x2 MPF2x2 FC3 FC2 MPF2", rng=0)]
    assert kinds == [Conv, Tanh, MaxPoolFragment, FullyConnected, Tanh, FullyConnected, MaxPoolFragment]


def test_the_nets_that_have_names():
    assert [Net.from_spec(name).field_of_view[0] for name in ("N3", "N4", "steel")] == [65, 95, 34]
    assert (Net.from_spec(" Steel ", rng=1).flat() == zoo.steel(rng=1).flat()).all()
    assert Net.from_spec("N3", in_maps=3).in_maps == 3
    assert [zoo.n3().n_params, zoo.n4().n_params] == [117806, 219290]
    with pytest.raises(UsageError, match="cannot read 'N5x'"):
        Net.from_spec("N5x")
    with pytest.raises(UsageError, match="unknown net 'unet': use N3, N4, steel, dannet-digits"):
        Net.from_spec("unet")


# ------------------------------------------------------------------------------------------ layers of one's own


def widen(maps_for_each, cls=Layer):
    """Return a class called Widen that repeats every map."""

    class Widen(cls):
        letters, form = ("W",), "Wn"

        def __init__(self, in_maps, n=maps_for_each):
            super().__init__()
            self.in_maps, self.n, self.out_maps = in_maps, n, n * in_maps

        @classmethod
        def from_word(cls, sizes, in_maps, rng):
            (n,) = sizes
            return {"in_maps": in_maps, "n": n}

        def output_shape(self, shape):
            return (*shape[:3], self.n * shape[3])

    return Widen


def test_a_registered_layer_has_a_word_in_specs(register):
    register(widen(2))
    layers = parse("C3x3x2 w3 MPF2x2 FC2", rng=0)
    assert repr(layers[2]) == "Widen(2, 3)" and layers[4].in_maps == 6
    for wrong in ("C3x3x2 W FC2", "C3x3x2 W2x2 FC2", "C3x3x2 W0 FC2"):
        with pytest.raises(UsageError, match=r"words are CkxkxM, .*LCkxk, .*Wn, with positive sizes"):
            parse(wrong)
    assert "Widen" in str(Net(layers))


def test_words_are_not_inherited(register):
    class Mine(Conv):
        pass

    register(Mine)
    assert type(parse("C3x3x2", rng=0)[0]) is Conv


def test_a_class_defined_again_replaces_the_earlier_one(register):
    first, second = register(widen(2)), register(widen(3))
    assert first is not second and LAYERS["Widen"] is second


def test_a_name_that_is_taken_is_refused(register):
    class Tanh(Layer):
        pass

    with pytest.raises(UsageError, match=r"tinympcnn\.nn\.layers\.activation has a layer Tanh already"):
        register(Tanh)
