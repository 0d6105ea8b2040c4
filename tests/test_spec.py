"""The paper's notation: any text becomes layers or one sentence, and layers become their text again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinympcnn import Conv, FullyConnected, Logistic, MaxPool, MaxPoolFragment, Net, Tanh, UsageError, zoo
from tinympcnn.nn.spec import parse, unparse

size = st.integers(1, 5)
words = st.one_of(
    st.builds("C{}x{}x{}".format, size, size, size),
    st.builds("MPF{}x{}".format, size, size),
    st.builds("FC{}".format, size),
    st.builds("LC{}x{}".format, st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5])),
    st.builds("FC{}x{}x{}".format, st.integers(2, 4), size, size),
)
specs = st.lists(words, min_size=1, max_size=6).filter(lambda some: any(word[0] in "CF" for word in some))


@given(specs, size)
@settings(max_examples=100, deadline=None)
def test_unparse_undoes_parse(some, in_maps):
    spec = " ".join(some)
    layers = parse(spec, in_maps, rng=0)
    assert unparse(layers) == spec
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
@settings(max_examples=400, deadline=None)
def test_any_text_is_layers_or_a_usage_error(text):
    try:
        layers = zoo.build(text, rng=0).layers
    except UsageError as error:
        assert len(str(error)) < 400 and "\n" not in str(error)
    else:
        assert text.strip().lower() in zoo.ZOO or unparse(layers) is not None


@pytest.mark.parametrize(
    ("one", "other"), [("MP2", "MPF2x2"), ("mpf2x3", "MPF2x3"), ("MP2x2", "MPF2"), ("lc3", "LC3x3"), ("fc3", "FC1x1x3")]
)
def test_words_that_mean_the_same(one, other):
    assert repr(parse(f"C2x2x2 {one} FC2", rng=0)) == repr(parse(f"C2x2x2 {other} FC2", rng=0))


@pytest.mark.parametrize(
    "spec",
    [
        "",
        " ",
        "MPF2x2",
        "C3x3",
        "C3x3x2x2",
        "FC2x2",
        "MPF2x2x2",
        "C0x3x2 FC2",
        "X2",
        "C3x3x2,FC2",
        "C-3x3x2",
        "C3x3x2 FC",
        "C٣x٣x٢",
    ],
)
def test_what_does_not_parse_is_refused_with_an_example(spec):
    with pytest.raises(UsageError, match="'C5x5x8 MPF2x2 C3x3x8 FC"):
        parse(spec)


def test_a_layer_too_large_to_make_is_refused_before_it_is_made():
    for spec in ("C999999x999999x999999 FC2", "C3x3x999999 C3x3x999999 FC2", "C9999x9999x2 FC2"):
        with pytest.raises(UsageError, match="weights; use smaller layers"):
            parse(spec)


def test_tanh_follows_every_layer_with_weights_but_the_last():
    kinds = [type(layer) for layer in parse("C3x3x2 MPF2x2 FC3 FC2 MPF2", rng=0)]
    assert kinds == [Conv, Tanh, MaxPoolFragment, FullyConnected, Tanh, FullyConnected, MaxPoolFragment]


@pytest.mark.parametrize(
    "layers",
    [
        [Conv(1, 2, 3, rng=0), Logistic(), Conv(2, 2, 1, rng=0)],
        [Conv(1, 2, 3, rng=0), Conv(2, 2, 1, rng=0)],
        [Conv(1, 2, 3, rng=0), MaxPool(2)],
        [Conv(1, 2, 3, rng=0), Tanh()],
    ],
)
def test_what_the_notation_cannot_say_has_no_text(layers):
    assert unparse(layers) is None


def test_the_zoo():
    assert [zoo.build(name).field_of_view[0] for name in ("n3", "n4", "steel")] == [65, 95, 34]
    assert (zoo.build(" Steel ", rng=1).flat() == zoo.steel(rng=1).flat()).all()
    assert zoo.build("N3", in_maps=3).in_maps == 3
    with pytest.raises(UsageError, match="cannot read 'N5x'"):
        zoo.build("N5x")
    with pytest.raises(UsageError, match="use N3, N4, steel, dannet-digits"):
        zoo.build("unet")
