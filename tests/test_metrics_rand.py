"""Rand error, V_Rand and V_Info: cases worked by hand, twins that look at every pair, and invariants."""

from collections import Counter
from itertools import count, product
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from tinympcnn import metrics
from tinympcnn.errors import DataError
from tinympcnn.metrics import rand, segments, thin_borders

IMAGES = hnp.arrays(bool, (5, 6), elements=st.sampled_from([True, True, False]))
HALF = [0.5]


def picture(*rows):
    """Draw an image: `#` is border, anything else interior."""
    return np.array([[c != "#" for c in row] for row in rows])


CELLS = picture(".....#.....", ".....#.....", ".....#.....", "###########", ".....#.....", ".....#.....")
ROW, COLUMN = np.indices(CELLS.shape)
MERGED = CELLS | (ROW == 1)  # a hole between the two upper cells
SPLIT = CELLS & ~((ROW == 1) & (COLUMN < 5))  # a bar through one


def test_a_perfect_proposal():
    assert metrics.rand_error(CELLS, CELLS).value == 0
    scores = metrics.v_scores(CELLS, CELLS)
    assert (scores.rand.value, scores.info.value) == pytest.approx((1, 1))


def test_one_merged_pair_by_hand():
    # Truth 15, 15, 10, 10 pixels. The proposal joins the first two: sizes 30, 10, 10 within the truth.
    both, truth, proposal = 15**2 * 2 + 200, 15**2 * 2 + 200, 30**2 + 200
    assert metrics.rand_error(MERGED, CELLS, HALF).value == pytest.approx(1 - 2 * both / (truth + proposal))
    thinned = metrics.v_scores(MERGED, CELLS, HALF).rand
    assert (thinned.split, thinned.merge) == pytest.approx((1, both / proposal))


def test_one_split_by_hand():
    # The bar takes 5 pixels, singletons; it leaves two pieces of 5. Thinned, it stays: it is one pixel thick.
    both, truth = 15**2 + 200 + 5**2 * 2 + 5, 15**2 * 2 + 200
    assert metrics.rand_error(SPLIT, CELLS, HALF).value == pytest.approx(1 - 2 * both / (truth + both))
    thinned = metrics.v_scores(SPLIT, CELLS, HALF).rand
    assert (thinned.split, thinned.merge) == pytest.approx((both / truth, 1))


def test_v_info_of_two_equal_cells_merged_is_zero_and_of_a_split_by_hand():
    two = picture("..#..")
    assert metrics.v_scores(np.ones(two.shape), two, HALF).info.value == 0  # one segment tells nothing
    whole, halves = picture("....#"), picture(".#..#")
    scores = metrics.v_scores(halves, whole, HALF)
    assert scores.info.value == 0  # the truth has nothing to tell
    assert scores.rand.value == pytest.approx(2 * (1 + 4 + 1) / (16 + 6))
    four = picture("..#..#..#..")
    merged_info = metrics.v_scores(picture("..#..#....."), four, HALF).info
    H_truth, H_proposal = log(4), log(4) / 2 + log(2) / 2  # shares 1/4 each; 1/4, 1/4, 1/2
    assert merged_info.value == pytest.approx(2 * H_proposal / (H_truth + H_proposal))


def test_thinning_forgives_wide_borders_that_the_rand_error_punishes():
    truth = picture("....#....", "....#....", "....#....")
    wide = ndimage.binary_erosion(truth, np.ones((1, 3)), border_value=1)
    assert metrics.rand_error(wide, truth).value > 0.1
    assert metrics.v_scores(wide, truth).rand.value == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1001", "1022"),  # an even gap: the line falls on one side, by the checkerboard
        ("10001", "11022"),
        ("100001", "111022"),
        ("0010", "1111"),  # one segment floods everything
        ("0000", "0000"),
    ],
)
def test_thinning_by_hand(before, after):
    row = np.array([[c == "1" for c in before]])
    thinned = "".join(map(str, thin_borders(segments(row))[0]))
    assert thinned == after


@given(IMAGES)
def test_thinned_segments_keep_their_pixels_stay_whole_and_never_touch(interior):
    before = segments(interior)
    after = thin_borders(before)
    np.testing.assert_array_equal(after[interior], before[interior])
    assert all(ndimage.label(after == k)[1] == 1 for k in range(1, before.max() + 1))
    for a, b in ((after[1:], after[:-1]), (after[:, 1:], after[:, :-1])):
        assert not ((a != b) & (a > 0) & (b > 0)).any()
    if before.max() == 1:  # nothing to keep it from
        assert (after == 1).all()


def names(proposal, truth):
    """Return each counted pixel's (true, proposed) segment, a singleton's being its own."""
    fresh = count(10_000)
    return [(int(i), int(j) or next(fresh)) for i, j in zip(truth.flat, proposal.flat, strict=True) if i]


@given(IMAGES, IMAGES)
def test_pairs_and_information_agree_with_counting_every_pair_of_pixels(proposal, truth):
    s, t = segments(proposal), segments(truth)
    pixels = names(s, t)
    if not pixels:
        return
    pairs = list(product(pixels, pixels))  # every pixel with every one, itself included
    expected = (sum(a == b for a, b in pairs), *(sum(a[k] == b[k] for a, b in pairs) for k in (0, 1)))
    assert rand._pairs(s, t) == expected

    def entropy(values):
        return -sum(k / len(pixels) * log(k / len(pixels)) for k in Counter(values).values())

    H_truth, H_proposal = (entropy(p[k] for p in pixels) for k in (0, 1))
    expected = (H_truth + H_proposal - entropy(pixels), H_truth, H_proposal)
    np.testing.assert_allclose(rand._information(s, t), expected, atol=1e-12)


@given(hnp.arrays(float, (1, 5, 6), elements=st.floats(0, 1)), hnp.arrays(bool, (1, 5, 6)))
def test_scores_lie_between_zero_and_one_and_alpha_half_is_the_f_score(p, truth):
    if not truth.any():
        return
    errors = metrics.rand_error(p, truth).values
    assert errors.min() >= 0
    assert errors.max() <= 1
    for v in metrics.v_scores(p, truth):
        assert v.values.min() >= -1e-12
        assert v.values.max() <= 1 + 1e-12
        assert v.value == pytest.approx(2 * v.split * v.merge / max(v.split + v.merge, 1e-12), abs=1e-9)


def test_the_rand_error_pools_pairs_over_slices_and_v_averages_scores():
    stack = np.stack([MERGED, CELLS])
    truth = np.stack([CELLS, CELLS])
    both, of_proposal = 2 * 650, 1100 + 650
    assert metrics.rand_error(stack, truth, HALF).value == pytest.approx(1 - 2 * both / (both + of_proposal))
    alone = [metrics.v_scores(z, CELLS, HALF) for z in stack]
    together = metrics.v_scores(stack, truth, HALF)
    assert together.rand.value == pytest.approx((alone[0].rand.value + 1) / 2)
    assert together.info.value == pytest.approx((alone[0].info.value + 1) / 2)


def test_a_slice_without_interior_changes_nothing():
    empty = np.zeros_like(CELLS)
    stack, truth = np.stack([MERGED, CELLS]), np.stack([CELLS, empty])
    for a, b in zip(metrics.v_scores(stack, truth), metrics.v_scores(MERGED, CELLS), strict=True):
        assert a.value == pytest.approx(b.value)


@pytest.mark.parametrize("measure", [metrics.rand_error, metrics.v_scores])
@pytest.mark.parametrize(
    ("p", "truth", "words"),
    [
        (np.ones((2, 3)), np.ones((3, 2)), r"\(1, 2, 3\).*\(1, 3, 2\)"),
        (np.ones((0, 3)), np.ones((0, 3)), "non-empty"),
        (np.ones(3), np.ones(3), r"\(H, W\)"),
        (np.full((2, 3), np.nan), np.ones((2, 3)), "NaN"),
        (np.full((2, 3), -0.5), np.ones((2, 3)), r"\[0, 1\]"),
        (np.ones((2, 3)), np.full((2, 3), 255), "boolean or 0 and 1"),
        (np.ones((2, 3)), np.zeros((2, 3)), "inverted"),
    ],
)
def test_bad_input_is_told_in_a_sentence(measure, p, truth, words):
    with pytest.raises(DataError, match=words):
        measure(p, truth)
