"""Warping: simple points against Yokoi's number, the warp against a naive twin, and what breaks cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from tinympcnn import metrics
from tinympcnn.errors import DataError
from tinympcnn.metrics import warping

MAPS = hnp.arrays(float, (6, 7), elements=st.sampled_from([0, 0.2, 0.4, 0.6, 0.8, 1]))
IMAGES = hnp.arrays(bool, (6, 7))
CIRCLE = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))  # by angle


def yokoi(interior):
    """Return the connectivity number of a patch's centre (Yokoi et al. 1975): 1 where it is simple."""
    x = [int(interior[1 + r, 1 + c]) for r, c in CIRCLE]
    return sum(x[k] - x[k] * x[k + 1] * x[(k + 2) % 8] for k in (0, 2, 4, 6))


def cells(height=40, width=60, gap=1):
    """Draw two cells side by side, apart by a gap, in a frame of border."""
    truth = np.zeros((height, width), bool)
    truth[3:-3, 3 : width // 2] = truth[3:-3, width // 2 + gap : -3] = True
    return truth


def mistakes(proposal, truth):
    errors = metrics.warping_error(proposal.astype(float), truth, [0.5])
    return [round(e.value * truth.size) for e in errors]


def test_simple_points_are_those_of_connectivity_number_one():
    table = warping._simple_codes()
    for code in range(256):
        patch = np.zeros((3, 3), bool)
        for k, (r, c) in enumerate(warping.RING):
            patch[1 + r, 1 + c] = code >> k & 1
        assert table[code] == (yokoi(patch) == 1), patch


def naive_warp(truth, p, t):
    """Flip one simple pixel at a time, looking at the image itself."""
    framed = np.pad(truth, 1)
    wrong = np.argwhere(truth != (p > t))
    order = sorted(range(len(wrong)), key=lambda i: -abs(p[tuple(wrong[i])] - t))
    while True:
        flips = 0
        for r, c in wrong[order]:
            if framed[r + 1, c + 1] != (p[r, c] > t) and yokoi(framed[r : r + 3, c : c + 3]) == 1:
                framed[r + 1, c + 1] ^= True
                flips += 1
        if not flips:
            return framed[1:-1, 1:-1]


@given(IMAGES, MAPS)
def test_warp_does_what_its_naive_twin_does(truth, p):
    np.testing.assert_array_equal(metrics.warp(truth, p, 0.5), naive_warp(truth, p, 0.5))


@given(IMAGES, MAPS)
def test_warp_changes_no_component_and_no_hole(truth, p):
    warped = metrics.warp(truth, p, 0.5)
    assert ndimage.label(warped)[1] == ndimage.label(truth)[1]
    borders = [ndimage.label(~np.pad(image, 1), np.ones((3, 3)))[1] for image in (truth, warped)]
    assert borders[0] == borders[1]
    agreed = truth == (p > 0.5)
    np.testing.assert_array_equal(warped[agreed], truth[agreed])


def test_a_perfect_proposal_costs_nothing():
    assert mistakes(cells(), cells()) == [0, 0]


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (2, 2), (0, -2)])
def test_a_shifted_border_costs_pixels_but_no_warping(shift):
    truth = cells(gap=3)
    moved = np.roll(truth, shift, (0, 1))
    assert metrics.pixel_error(moved, truth.astype(int)) > 0.02
    assert mistakes(moved, truth) == [0, 0]


def test_a_border_that_leaves_its_place_entirely_can_not_follow():
    # Pixels that agree never flip, so a line one pixel thick cannot cross the agreed column in between.
    both = mistakes(np.roll(cells(), 2, axis=1), cells())
    assert min(both) > 30


def test_a_hole_in_a_border_is_one_merge_however_long_the_border():
    truth = cells()
    proposal = truth.copy()
    proposal[20, 30] = True
    assert mistakes(proposal, truth) == [1, 1]


def test_a_bar_through_a_cell_is_one_split_per_row_that_must_stay():
    truth = cells()
    proposal = truth.copy()
    proposal[20, 3:30] = False
    assert mistakes(proposal, truth) == [1, 1]  # the bar may grow from both ends; the last pixel is the split


def test_holes_and_lost_or_new_cells_are_disagreements_but_neither_splits_nor_merges():
    truth = cells()
    hole, lost, new = truth.copy(), truth.copy(), truth.copy()
    hole[20, 15] = False
    lost[:, 31:] = False
    new[1, 1] = True
    assert mistakes(hole, truth) == [1, 0]
    assert mistakes(lost, truth) == [1, 0]  # a cell shrinks to its last pixel, which may not go
    assert mistakes(new, truth) == [1, 0]


def test_a_cell_that_is_cut_and_meets_again_farther_away_counts_as_split():
    ring = np.zeros((60, 60), bool)
    ring[5:55, 5:55] = True
    ring[10:50, 10:50] = False
    cut = ring.copy()
    cut[5:10, 30] = False  # opens the ring: it stays one component, but not within the challenge's 20 pixels
    assert mistakes(cut, ring) == [1, 1]


def test_the_best_threshold_is_found_over_the_whole_stack():
    truth = np.stack([cells(), cells()])
    p = np.where(truth, 0.9, 0.1)
    p[0, 20, 30] = 0.55  # merged at 0.5, right from 0.6 on
    errors = metrics.warping_error(p, truth)
    assert errors.every.value == 0
    assert errors.every.threshold == pytest.approx(0.6)
    assert errors.splits_and_mergers.values[5] * truth.size == pytest.approx(1)


def test_bad_input_is_told_in_a_sentence():
    with pytest.raises(DataError, match="the same"):
        metrics.warping_error(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(DataError, match="NaN"):
        metrics.warping_error(np.full((2, 3), np.nan), np.ones((2, 3)))
    with pytest.raises(DataError, match="one shape"):
        metrics.warp(np.ones((2, 3), bool), np.ones((3, 3)))
