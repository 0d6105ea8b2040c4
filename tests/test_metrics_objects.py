"""Objects: every measure against a case worked by hand."""

import math

import numpy as np
import pytest

from tinympcnn import UsageError
from tinympcnn.metrics.objects import ObjectScores, bootstrap_interval, match_objects, rank_objects


def test_the_largest_score_takes_the_nearest_and_each_truth_is_taken_once():
    truth = np.array([[0, 0], [0, 6]])
    found = np.array([[0, 2, 0.5], [0, 4, 0.9], [0, 5, 0.7], [9, 9, 1.0]])
    # 0.9 at 4 takes the truth at 6 (distance 2); 0.7 at 5 wants it too and takes the one at 0 (distance 5)
    assert match_objects(found, truth, 5).tolist() == [-1, 1, 0, -1]
    assert match_objects(found, truth, 3).tolist() == [0, 1, -1, -1]


def test_a_hit_may_be_exactly_a_radius_away_and_of_equal_scores_the_first_wins():
    assert match_objects(np.array([[3, 4, 1.0]]), np.array([[0, 0]]), 5).tolist() == [0]
    assert match_objects(np.array([[3, 4, 1.0]]), np.array([[0, 0]]), 4.99).tolist() == [-1]
    assert match_objects(np.array([[0, 1, 0.5], [0, 0, 0.5]]), np.array([[0, 0]]), 5).tolist() == [0, -1]


def test_nothing_found_and_nothing_there():
    assert match_objects([], np.array([[1, 1]]), 5).tolist() == []
    assert match_objects(np.array([[1, 1, 0.3]]), [], 5).tolist() == [-1]
    none = rank_objects([[]], [[]], 5)
    assert none.at(0.5) == ObjectScores(0, 0, 0) and math.isnan(none.average_precision)
    assert none.best_threshold() == math.inf and math.isnan(none.at(0).f1)
    missed = rank_objects([[]], [np.array([[1, 1]])], 5)
    assert missed.average_precision == 0 and missed.at(0).recall == 0 and math.isnan(missed.at(0).precision)


@pytest.fixture
def ranking():
    """Make four objects found, by score: hit, false alarm, hit, hit; four are there, in two images."""
    found = [np.array([[0, 0, 0.9], [50, 50, 0.8]]), np.array([[0, 0, 0.7], [20, 20, 0.6]])]
    truth = [np.array([[0, 1], [90, 90]]), np.array([[1, 0], [20, 21]])]
    return rank_objects(found, truth, 3)


def test_precision_recall_and_f1_by_hand(ranking):
    at = ranking.at(0.7)
    assert at == ObjectScores(hits=2, false_alarms=1, misses=2)
    assert (at.precision, at.recall, at.f1) == (2 / 3, 1 / 2, 4 / 7)
    assert ranking.at(0.91) == ObjectScores(0, 0, 4)


def test_average_precision_best_threshold_and_froc_by_hand(ranking):
    assert ranking.average_precision == pytest.approx((1 + 2 / 3 + 3 / 4) / 4)
    assert ranking.best_threshold() == 0.6  # F1 is 2/5, 2/6, 4/7, 6/8
    assert ranking.froc([0.25, 0.5]) == [1 / 4, 3 / 4]  # half a false alarm an image is one in two images


def test_equal_scores_count_together_whatever_the_order_of_the_images():
    found, truth = [np.array([[0, 0, 0.5]]), np.array([[0, 0, 0.5]])], [np.array([[0, 0]]), np.zeros((0, 2))]
    one, other = rank_objects(found, truth, 3), rank_objects(found, truth[::-1], 3)
    assert one.average_precision == other.average_precision == 0.5
    assert one.froc([0, 0.5]) == other.froc([0, 0.5]) == [0, 1]
    assert one.best_threshold() == other.best_threshold() == 0.5


def test_a_threshold_changes_no_match():
    rng = np.random.default_rng(0)
    found, truth = rng.random((60, 3)) * [40, 40, 1], rng.random((20, 2)) * 40
    ranking = rank_objects([found], [truth], 6)
    for threshold in (0.2, 0.5, 0.8):
        kept = found[found[:, 2] >= threshold]
        assert ranking.at(threshold).hits == (match_objects(kept, truth, 6) >= 0).sum()


def test_the_interval_holds_the_mean_and_narrows_with_more_images():
    rng = np.random.default_rng(1)
    few, many = rng.standard_normal(10), rng.standard_normal(1000)
    low, high = bootstrap_interval(lambda drawn: few[drawn].mean(), 10)
    lower, higher = bootstrap_interval(lambda drawn: many[drawn].mean(), 1000, draws=200)
    assert low < few.mean() < high and higher - lower < (high - low) / 3


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="radius must be a positive number of pixels, not 0"):
        match_objects(np.ones((1, 3)), np.ones((1, 2)), 0)
    with pytest.raises(UsageError, match=r"found must be an array of finite numbers with 3 columns, not \(1, 2\)"):
        match_objects(np.ones((1, 2)), np.ones((1, 2)), 1)
    with pytest.raises(UsageError, match="finite"):
        match_objects(np.array([[1, 1, np.nan]]), np.ones((1, 2)), 1)
    with pytest.raises(UsageError, match="found in 1 image"):
        rank_objects([[]], [[], []], 1)


def test_an_interval_of_nothing_is_nan():
    assert np.isnan(bootstrap_interval(lambda drawn: np.nan, 3)).all()  # and NumPy does not warn
