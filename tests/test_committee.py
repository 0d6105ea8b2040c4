"""Committees: the mean over nets, and over the turned images, exactly, whatever the tiles, threads and memory."""

import tracemalloc

import numpy as np
import pytest
from helpers import Counted

from tinympcnn import Committee, DataError, Net, UsageError, engine
from tinympcnn.data import dihedral, dihedral_inverse
from tinympcnn.inference.segment import segment, segment_bands
from tinympcnn.inference.tiling import tile_memory, tile_size

SPECS = ["C3x3x4 MPF2x2 C2x2x4 FC2", "C2x3x3 MPF3x2 C2x2x4 MPF2x3 FC1x2x2", "C4x4x3 FC2"]


def make(spec, seed=0, in_maps=1):
    net = Net.from_spec(spec, in_maps, rng=seed)
    net.normalisation = np.full(in_maps, 100.0), np.full(in_maps, 50.0)
    net.class_values = 0, 255
    return net


def by_turning_whole_images(net, image, **options):
    """Turn the image, segment it, turn the result back; the mean of all eight."""
    results = [dihedral_inverse(net.segment(dihedral(image, k), **options), k) for k in range(8)]
    return sum(results[1:], start=results[0]) / np.float32(8)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(("size", "maps"), [((45, 61), 1), ((1, 1), 1), ((3, 40), 2), ((97, 37), 2)])
def test_turns_are_the_mean_over_whole_turned_images_to_the_last_bit(spec, size, maps, rng):
    """Fields of view are even, odd and oblong here, so that the turned window of a pixel is another one."""
    net, image = make(spec, in_maps=maps), rng.integers(0, 255, (*size, maps), dtype=np.uint8)
    wanted = by_turning_whole_images(net, image)
    for tile in (1, 1000):
        assert (net.segment(image, turns=True, tile=tile) == wanted).all(), tile


@pytest.mark.parametrize("spec", SPECS)
def test_turns_depend_neither_on_tiles_nor_threads_nor_memory(spec, rng, threads):
    net, image = make(spec), rng.integers(0, 255, (70, 103), dtype=np.uint8)
    whole = net.segment(image, turns=True, tile=1000)
    assert (whole == by_turning_whole_images(net, image)).all() and (whole != net.segment(image)).any()
    for tile in (1, 33, 64):
        threads(1 + tile % 3)
        assert (net.segment(image, turns=True, tile=tile) == whole).all(), tile
    assert (net.segment(image, turns=True, memory=1) == whole).all()
    assert (net.as_patch().segment(image, turns=True) == whole).all()


@pytest.mark.parametrize("spec", SPECS)
def test_an_image_turned_gets_the_result_turned(spec, rng):
    net, image = make(spec).astype("float64"), rng.integers(0, 255, (20, 33), dtype=np.uint8)
    upright = net.segment(image, turns=True)
    for k in range(8):
        turned = net.segment(dihedral(image, k), turns=True)
        np.testing.assert_allclose(turned, dihedral(upright, k), atol=1e-6)
    np.testing.assert_allclose(upright.sum(axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("turns", [False, True])
def test_a_committee_is_the_mean_of_its_nets_whatever_the_tiles(turns, rng):
    """The nets differ in their field of view, and in where their tiles may start."""
    nets, image = [make(spec, seed) for seed, spec in enumerate(SPECS)], rng.integers(0, 255, (60, 71), dtype=np.uint8)
    committee, members = Committee(nets, turns), [net.segment(image, turns=turns) for net in nets]
    whole = committee.segment(image)
    np.testing.assert_allclose(whole, np.mean(members, axis=0), atol=1e-6)
    assert turns or (whole == (members[0] + members[1] + members[2]) / np.float32(3)).all()
    for tile in (1, 50, 1000):
        assert (committee.segment(image, tile=tile) == whole).all()
    assert (segment(committee, image, memory=1) == whole).all()
    np.testing.assert_allclose(Committee(nets[:1] * 2, turns).segment(image), members[0], atol=1e-6)


@pytest.mark.slow
def test_the_memory_of_a_tile_bounds_what_a_committee_takes(rng):
    nets = [make("C5x5x16 MPF2x2 C3x3x16 FC2"), make("C5x5x8 MPF2x2 C3x3x8 MPF3x3 C2x2x8 FC2")]
    committee, image = Committee(nets, turns=True), rng.integers(0, 255, (500, 400, 1), dtype=np.uint8)
    size = tile_size(committee, 128)
    promised = tile_memory(committee, size, (500, 400))
    engine.release_memory()
    tracemalloc.start()
    for _, band in segment_bands(committee, image, tile=128):
        assert band.shape[1:] == (400, 2)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < promised + size[0] * 400 * 2 * 4 * 2
    assert tile_memory(committee, 500, (500, 400)) < tile_memory(committee, 500)  # no tile is larger than the image
    assert tile_memory(committee, tile_size(committee, None, 128 << 20, (500, 400)), (500, 400)) <= 128 << 20


@pytest.mark.parametrize("turns", [False, True])
def test_no_more_rows_are_taken_than_a_band_sees(turns, rng):
    committee = Committee([make(spec) for spec in SPECS], turns)
    image = rng.integers(0, 255, (200, 30, 1), dtype=np.uint8)
    counted = Counted(image)
    bands = list(segment_bands(committee, counted, tile=32))
    assert (np.concatenate([band for _, band in bands]) == committee.segment(image)).all()
    assert len(counted.taken) == len(bands) > 2
    height = max(rows.stop - rows.start for rows, _ in bands)
    assert max(last - first for first, last in counted.taken) <= height + committee.halo < 200


def test_a_committee_may_run_on_a_device(device, rng):
    committee, image = Committee([make(spec) for spec in SPECS], turns=True), rng.random((35, 44))
    there = committee.to(device.backend)
    assert there.xp is device.xp and committee.xp is np
    np.testing.assert_allclose(there.segment(image, tile=32), committee.segment(image), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda net: setattr(net, "class_values", (0, 1)), r"values of a is \(0, 255\) and that of b is \(0, 1\)"),
        (lambda net: make("C3x3x4 FC3"), "number of classes of a is 2 and that of b is 3"),
        (lambda net: make("C3x3x4 FC2", in_maps=3), "number of maps in of a is 1 and that of b is 3"),
    ],
)
def test_nets_that_do_not_go_together_are_named(change, words):
    other = make(SPECS[0])
    with pytest.raises(DataError, match=words):
        Committee([make(SPECS[2]), change(other) or other], names=["a", "b"])


@pytest.mark.parametrize("nets", [["a.npz"], "a.npz", make(SPECS[0]), [make(SPECS[0]), None], 3])
def test_what_is_no_list_of_nets_is_refused_with_an_example(nets):
    with pytest.raises(UsageError, match=r"a list of nets, such as Committee\(\[Net\.load"):
        Committee(nets, make(SPECS[1]))


def test_turns_belong_to_the_constructor():
    with pytest.raises(UsageError, match=r"Committee\(nets, turns=True\)\.segment\(image\)"):
        Committee([make(SPECS[0])]).segment(np.eye(9), turns=True)


def test_a_committee_of_nobody_is_refused():
    with pytest.raises(UsageError, match="at least one net"):
        Committee([])
