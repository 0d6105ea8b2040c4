"""The notation of the papers on classification: what it says, what does not divide, and nets that run on images."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn import Conv, FullyConnected, MaxPool, Net, Tanh, UsageError
from tinympcnn.nn.spec import NETS

COLUMNS = {name: spec for name, spec in NETS.items() if "-" in spec}


def test_every_word_becomes_its_layer():
    layers = Net.from_spec("3x29x27-20C4x2-20MP2-40C5-MP3-150N-10N", rng=0).layers
    assert repr(layers) == repr(
        [
            *(Conv(3, 20, (4, 2)), Tanh(), MaxPool(2), Conv(20, 40, 5), Tanh(), MaxPool(3)),
            *(FullyConnected(40, 150, (3, 3)), Tanh(), FullyConnected(150, 10, 1)),
        ]
    )


@pytest.mark.parametrize(("name", "spec"), COLUMNS.items())
def test_nets_of_the_papers_see_their_whole_input(name, spec):
    net = Net.from_spec(name, rng=0)
    maps, *size = map(int, spec.partition("-")[0].split("x"))
    assert net.in_maps == maps and net.field_of_view == tuple(size)
    assert net.out_maps == int(re.search(r"(\d+)N$", spec)[1])
    assert net.forward(np.zeros((2, *size, maps), np.float32), train=False).shape == (2, 1, 1, net.out_maps)


@pytest.mark.parametrize("name", ["dannet-digits", "dannet-signs-small", "mitosis2"])
def test_on_a_large_image_the_image_net_says_at_every_pixel_what_the_patch_net_says(name):
    net = Net.from_spec(name, rng=1).astype("float64")
    P, Q = net.field_of_view
    image = np.random.default_rng(0).standard_normal((1, P + 4, Q + 2, net.in_maps))
    dense = net.as_image().forward(image, train=False)
    assert dense.shape == (1, 5, 3, net.out_maps)
    for r, c in ((0, 0), (4, 2), (1, 2), (3, 1)):
        patch = net.forward(image[:, r : r + P, c : c + Q], train=False)[:, 0, 0]
        np.testing.assert_allclose(dense[:, r, c], patch, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("1x28x29-20C4-MP2-40C5-MP3-10N", "at 'MP2' maps of 25 rows do not divide by 2; 23 or 29 rows"),
        ("1x29x27-20C4-MP2-40C5-MP3-10N", "at 'MP3' maps of 8 columns do not divide by 3; 23 or 29 columns"),
        ("1x5x5-20C4-MP2-40C5-10N", "at '40C5' maps of 1 rows are smaller than the window of 5; 13 rows"),
        ("1x29x29-20C4-MP2", "does not end in the classes"),
        ("1x29x29-", "cannot read the word ''"),
        ("1x29x29-20C-10N", "cannot read the word '20C'"),
        ("1x29x29-C4-10N", "cannot read the word 'C4'"),
        ("1x29x29-10N3-10N", "cannot read the word '10N3'"),
        ("1x29x29-20C4-30MP2-10N", "'30MP2' pools 20 maps"),
        ("0x29x29-10N", "begins with its input"),
        ("1x29x29-0N", "cannot read the word '0N'"),
        ("1x9999x9999-9C1-9N", "weights; use smaller layers"),
        ("1x29x29--10N", "cannot read the word ''"),
    ],
)
def test_what_does_not_fit_says_where_and_what_would(spec, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        Net.from_spec(spec)


@given(
    st.lists(st.sampled_from(["2C3", "MP2", "2MP3", "3C2x3", "5N", "MP0", "C", "3n", " 2c2"]), max_size=5),
    st.integers(1, 40),
)
def test_a_net_is_made_or_refused_and_a_size_that_is_offered_fits(words, n):
    spec = "-".join([f"1x{n}x{n}", *words, "2N"])
    try:
        assert Net.from_spec(spec, rng=0).field_of_view == (n, n)
    except UsageError as error:
        if offered := re.search(r"(\d+)(?: or (\d+))? rows of input", str(error)):
            for size in filter(None, offered.groups()):
                try:
                    Net.from_spec(spec.replace(f"x{n}x", f"x{size}x", 1), rng=0)
                except UsageError as second:
                    assert "rows" not in str(second)


def test_many_small_maps_share_products_instead_of_filling_each_with_zeros():
    from tinympcnn.engine import blocks
    from tinympcnn.engine.matmul import product_rows

    rows = product_rows(4000, 150, np.dtype("f4"))
    cut = blocks.window_blocks((32, 9, 9), 4, 1000, 150, np.empty(0, np.float32))
    shares = [(rows.shared((f.stop - f.start) * 9), q.stop - q.start) for f, q in cut]
    assert sum(products * size * n for (products, size), n in shares) <= 1.4 * 32 * 9 * 9


@pytest.mark.parametrize("shape", [(1, 9, 11, 5), (2, 6, 8, 3), (1, 21, 20, 4)])
def test_windows_written_out_make_the_products_of_windows_that_overlap_to_the_last_bit(monkeypatch, shape):
    from tinympcnn.engine import blocks
    from tinympcnn.engine.correlation import correlate, correlate_back

    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    W, b = rng.standard_normal((4, 3, shape[3], 7)).astype(np.float32), np.ones(7, np.float32)
    written = correlate(x, W, b)
    back = correlate_back(written, W)
    monkeypatch.setattr(blocks, "WRITTEN_BYTES", 0)
    np.testing.assert_array_equal(correlate(x, W, b), written)
    np.testing.assert_array_equal(correlate_back(written, W), back)
