"""Segmentation: exactly the patch net at every pixel, whatever the tiles, threads, sizes and memory."""

import re
import threading
import tracemalloc

import numpy as np
import pytest
from helpers import Counted
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn import DataError, Net, UsageError, engine
from tinympcnn.data import mirror
from tinympcnn.inference import segment
from tinympcnn.inference.tiling import SMALLEST_TILE, spans, tile_memory, tile_size
from tinympcnn.inference.views import alignment
from tinympcnn.nn.layers import row
from tinympcnn.nn.losses import softmax

SPECS = ["C3x3x4 MPF2x2 C2x2x4 FC2", "C2x3x3 MPF3x2 C2x2x4 MPF2x3 FC1x2x3", "FC2"]
slow = pytest.mark.slow


def make(spec, in_maps=1):
    net = Net.from_spec(spec, in_maps, rng=0)
    net.normalisation = np.full(in_maps, 100.0), np.full(in_maps, 50.0)
    return net


def patch_by_patch(net, image):
    """Return what the patch net says of every pixel, with mirrored borders."""
    x, (P, Q), patch = mirror(net.normalised(image), net.field_of_view), net.field_of_view, net.as_patch()
    H, W = image.shape[:2]
    windows = np.stack([x[r : r + P, c : c + Q] for r in range(H) for c in range(W)])
    return softmax(patch.forward(windows)).reshape(H, W, -1)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("size", [(13, 17), (1, 1), (3, 40), (2, 5)])
@pytest.mark.parametrize("maps", [1, 3])
def test_every_pixel_is_that_of_the_patch_net(spec, size, maps, rng):
    net, image = make(spec, maps), rng.integers(0, 255, (*size, maps), dtype=np.uint8)
    np.testing.assert_allclose(net.segment(image), patch_by_patch(net, image), rtol=0, atol=1e-6)
    exact = net.astype("float64").segment(image)
    assert exact.dtype == np.float32 and exact.shape == (*size, net.out_maps)
    np.testing.assert_allclose(exact, patch_by_patch(net.astype("float64"), image), rtol=0, atol=1e-7)


@pytest.mark.parametrize("spec", SPECS[:2])
def test_tiles_and_threads_change_no_bit(spec, rng, threads):
    net, image = make(spec), rng.integers(0, 255, (111, 87), dtype=np.uint8)
    whole = net.segment(image, tile=1000)
    for tile in (1, 33, 40, 64, 110):
        threads(1 + tile % 3)
        assert (net.segment(image, tile=tile) == whole).all(), tile
    assert (net.segment(image, memory=1) == whole).all()
    assert (net.as_patch().segment(image) == whole).all()


small = st.integers(1, 3)
convs = st.tuples(small, small, st.integers(1, 5)).map(lambda k: f"C{k[0]}x{k[1]}x{k[2]}")
pools = st.tuples(small, small).map(lambda k: f"MPF{k[0]}x{k[1]}")
specs = st.tuples(st.lists(st.one_of(convs, pools), max_size=4), small, small).map(
    lambda net: " ".join([*net[0], f"FC{net[1]}x{net[2]}x3"])
)


@given(specs, st.integers(1, 110), st.integers(1, 110), st.integers(1, 120), st.integers(1, 3), st.data())
def test_any_net_any_size_any_tiles_any_threads_give_the_same_bits(threads, spec, H, W, tile, maps, data):
    net, image = make(spec, maps), np.random.default_rng(H).integers(0, 255, (H, W, maps), dtype=np.uint8)
    threads(1)
    whole = net.segment(image, tile=1000)
    threads(data.draw(st.integers(1, 4)))
    np.testing.assert_array_equal(net.segment(image, tile=tile), whole)
    r, c = data.draw(st.integers(0, H - 1)), data.draw(st.integers(0, W - 1))  # and one pixel is its patch net's
    (P, Q), x = net.field_of_view, mirror(net.normalised(image), net.field_of_view)
    scores = net.as_patch().forward(x[None, r : r + P, c : c + Q])
    np.testing.assert_allclose(whole[r, c], softmax(scores).ravel(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("maps", range(1, 10))
def test_layers_of_one_map_give_the_same_bits_in_any_tiles(rng, maps):
    net = make(f"C1x1x{maps} C1x1x1 C2x3x1 FC1x1x3", maps)
    image = rng.integers(0, 255, (2, 61, maps), dtype=np.uint8)
    whole = net.segment(image, tile=1000)
    for tile in (1, 7, 24):
        np.testing.assert_array_equal(net.segment(image, tile=tile), whole)


@given(st.integers(1, 400), st.integers(1, 90), st.integers(1, 12))
def test_spans_cover_everything_and_start_where_they_may(n, tiles, multiple):
    size = tiles * multiple
    cut = spans(n, size, multiple)
    assert set().union(*(range(*span.indices(n)) for span in cut)) == set(range(n))
    assert all(span.start % multiple == 0 and span.stop <= n for span in cut)
    lengths = [span.stop - span.start for span in cut]
    assert len(set(lengths[:-1])) <= 1 and lengths[0] - multiple < lengths[-1] <= lengths[0] <= max(size, 1)
    assert lengths[0] >= min(n, size, SMALLEST_TILE)
    assert n <= size or len(cut) <= -(-n // min(size, SMALLEST_TILE))


@pytest.mark.parametrize("spec", ["C5x5x16 MPF2x2 C3x3x16 FC2", "C5x5x8 MPF2x2 C3x3x8 MPF2x2 FC2x2x1000 FC2"])
def test_the_memory_of_a_tile_bounds_what_is_taken(spec, rng, monkeypatch):
    monkeypatch.setattr(row, "GROUP", 1 << 16)
    net, image = make(spec), rng.integers(0, 255, (290, 300), dtype=np.uint8)
    rows, columns = tile_size(net, 128)
    promised = tile_memory(net, max(rows, columns))
    assert row.group_size((16, 33, 33, 8), [(16, 32, 32, 1000)]) < 8  # the second net answers in groups
    engine.release_memory()
    tracemalloc.start()
    for _, band in segment.segment_bands(net, image[:, :, None], tile=128):
        assert band.shape[1:] == (300, 2)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < promised + rows * 300 * 2 * 4 * 2
    small, large = (tile_size(net, None, memory) for memory in (32 << 20, 256 << 20))
    assert small < large and tile_memory(net, large) <= 256 << 20
    assert tile_size(net, None, 256 << 20, row_bytes=1 << 20) < large
    rows, columns = tile_size(net, None, 256 << 20, largest=(100, 60))
    assert 100 <= rows < 150 and 60 <= columns < 100


@pytest.mark.parametrize("spec", SPECS)
def test_no_more_rows_are_taken_than_a_band_sees(spec, rng):
    net, image = make(spec), rng.integers(0, 255, (111, 50, 1), dtype=np.uint8)
    counted, P = Counted(image), net.field_of_view[0]
    bands = list(segment.segment_bands(net, counted, tile=32))
    assert (np.concatenate([band for _, band in bands]) == net.segment(image)).all()
    assert len(counted.taken) == len(bands) > 2
    for (first, last), (rows, _) in zip(counted.taken, bands, strict=True):
        assert first >= min(rows.start, 111 - 32 - alignment(net)[0]) - P and last <= rows.stop + P


@pytest.mark.parametrize(
    ("maps", "megabytes"), [(2, 64), (16, 64), pytest.param(16, 200, marks=slow), pytest.param(48, 160, marks=slow)]
)
def test_tiles_and_bands_stay_within_the_memory_given(maps, megabytes, rng):
    net, image = make(f"C5x5x{maps} MPF2x2 C3x3x{maps} FC3"), rng.integers(0, 255, (200, 3000, 1), dtype=np.uint8)
    row, memory = 3000 * 4 * 3, megabytes << 20
    size = tile_size(net, None, memory, (3000, 3000), row)
    engine.release_memory()
    tracemalloc.start()
    for _ in segment.segment_bands(net, image, tile=size):
        pass
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < tile_memory(net, size) + size[0] * row <= memory


def test_out_of_memory_halves_the_tiles_and_says_so(rng, failing):
    net, image, said = make(SPECS[0]), rng.integers(0, 255, (150, 140, 1), dtype=np.uint8), []
    whole = net.segment(image)
    failing(MemoryError, lambda call, images: images.shape[1] > 50)
    bands = list(segment.segment_bands(net, image, tile=256, echo=said.append))
    assert (np.concatenate([band for _, band in bands]) == whole).all()
    steps = [[int(n) for n in re.findall(r"(\d+)x", line)] for line in said]
    assert len(steps) == 2 and steps[0][0] == 150 and steps[0][1] == steps[1][0] > steps[1][1]
    assert said[0].startswith("out of memory with tiles of 150x") and "going on with" in said[0]
    with pytest.warns(UserWarning, match="out of memory"):
        net.segment(image, tile=256)


def test_no_memory_even_for_the_smallest_tiles_is_one_sentence(rng, failing):
    net, image = make(SPECS[0]), rng.integers(0, 255, (60, 60), dtype=np.uint8)
    failing(MemoryError, lambda call, images: images.shape[1] > 10)
    with pytest.raises(DataError, match=r"not enough memory for tiles of 32x[0-9]+, the smallest"):
        list(segment.segment_bands(net, image[:, :, None], tile=32))


def test_several_threads_may_segment_at_once(rng):
    net, images, results = make(SPECS[0]), rng.integers(0, 255, (4, 60, 50), dtype=np.uint8), {}
    wanted = [net.segment(image) for image in images]

    def work(i):
        results[i] = net.replica().segment(images[i])

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all((results[i] == wanted[i]).all() for i in range(4))


@pytest.mark.parametrize(
    ("image", "options", "error", "words"),
    [
        (np.zeros((5, 5, 3)), {}, UsageError, r"1 map, not 3"),
        (np.zeros((0, 5)), {}, UsageError, r"\(H, W\) or \(H, W, C\), not \(0, 5"),
        (np.zeros(5), {}, UsageError, r"\(H, W\) or \(H, W, C\), not \(5,\)"),
        (np.full((5, 5), np.nan), {}, DataError, "the image has 25 pixels that are NaN"),
        (np.zeros((5, 5)), {"tile": 0}, UsageError, "tile must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_segmented_is_refused(image, options, error, words):
    with pytest.raises(error, match=words):
        make(SPECS[0]).segment(image, **options)


def test_a_net_that_makes_nan_of_large_values_never_says_sound(rng):
    net, image = make("C3x3x4 FC2"), rng.random((40, 50))
    net.normalisation = np.array([0.0]), np.array([0.01])
    image[35:38, 20:23] = -3e38
    with pytest.raises(DataError, match=r"gives NaN in rows \d+ to \d+: their pixels, from -3e\+38 to"):
        net.segment(image)
