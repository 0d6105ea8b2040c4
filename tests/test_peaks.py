"""Objects from maps: smoothing against its definition, peaks against the literal rule, bands that change nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn import DataError, UsageError
from tinympcnn.data.points import disc_labels
from tinympcnn.inference.peaks import half_widths, peaks, smooth, smooth_bands


def cut(array, heights):
    """Yield an array in bands of these heights, over and over."""
    start, i = 0, 0
    while start < len(array):
        stop = min(start + heights[i % len(heights)], len(array))
        yield slice(start, stop), array[start:stop]
        start, i = stop, i + 1


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (12, 7), (3, 20)])
@pytest.mark.parametrize("radius", [0, 1, 3, 5])
def test_smoothing_is_the_mean_over_the_disc_in_the_image(rng, size, radius):
    p = rng.random(size)
    i, j = np.indices(size)
    right = [[p[(i - a) ** 2 + (j - b) ** 2 <= radius**2].mean() for b in range(size[1])] for a in range(size[0])]
    np.testing.assert_allclose(smooth(p, radius), right, rtol=1e-6)


@given(
    st.integers(1, 30), st.integers(1, 12), st.integers(0, 6), st.lists(st.integers(1, 9), min_size=1), st.integers(0)
)
def test_bands_change_no_bit_of_the_map_and_no_object(H, W, radius, heights, seed):
    p = np.random.default_rng(seed).integers(0, 8, (H, W)) / 8  # with ties
    whole = smooth(p, radius)
    bands = list(smooth_bands(cut(p, heights), radius))
    assert [rows.start for rows, _ in bands] == [0, *(rows.stop for rows, _ in bands[:-1])]
    assert (np.concatenate([band for _, band in bands]) == whole).all()
    assert (peaks(bands, radius + 0.5, 0.3) == literal(whole, radius + 0.5, 0.3)).all()


def literal(p, radius, threshold):
    """Take the largest value, delete all within the radius, and do so again."""
    p, found = p.astype(float).copy(), []
    i, j = np.indices(p.shape)
    while p.max() >= threshold:
        a, b = np.unravel_index(p.argmax(), p.shape)
        found.append((a, b, p[a, b]))
        p[(i - a) ** 2 + (j - b) ** 2 <= radius**2] = -1
    return np.array(found, float).reshape(-1, 3)


def test_no_pixel_reaches_the_threshold():
    assert peaks([(slice(0, 2), np.zeros((2, 2)))], 3, 0.5).shape == (0, 3)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="positive number of pixels, not 0"):
        peaks([], 0, 0.5)
    with pytest.raises(UsageError, match="not finite"):
        peaks([(slice(0, 1), np.array([[np.nan]]))], 3, 0.5)
    with pytest.raises(UsageError, match="0 or more, not -1"):
        half_widths(-1)


def test_discs_count_where_rings_of_others_lie():
    labels = disc_labels([[5, 5], [5, 9]], (11, 15), radius=2, ring=2)
    assert labels[5, 4:11].tolist() == [1, 1, 1, 1, 1, 1, 1] and labels[5, 2] == -1 and labels[5, 0] == 0
    assert (labels == 1).sum() == 2 * 13 - 1 and labels[1, 5] == -1


def test_points_outside_are_told_and_exchanged_axes_too():
    with pytest.raises(
        DataError, match="1 of 2 points lie outside the image of 5x9, the first at row 7, column 1; with"
    ):
        disc_labels([[7, 1], [2, 2]], (5, 9), 1)
    with pytest.raises(DataError, match=r"the first at row 2, column 11$"):
        disc_labels([[2, 11]], (5, 9), 1)
    with pytest.raises(UsageError, match="positive radius"):
        disc_labels([[2, 2]], (5, 9), 0)
