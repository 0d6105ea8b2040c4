"""Pixel measures: hand-worked cases, and each against a one-line twin that counts the slow way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinympcnn import metrics
from tinympcnn.errors import DataError, UsageError

TENTHS = st.integers(0, 10).map(lambda k: float(np.linspace(0, 1, 11)[k]))  # they hit thresholds exactly
MAPS = hnp.arrays(float, (2, 3, 4), elements=TENTHS | st.floats(0, 1))
MASKS = hnp.arrays(bool, (2, 3, 4))


def test_pixel_error_counts_wrong_pixels_and_leaves_ignored_ones_out():
    assert metrics.pixel_error([[0, 1], [1, 1]], [[0, 1], [0, 0]]) == 0.5
    assert metrics.pixel_error([[0, 1], [1, 1]], [[0, 1], [0, -1]]) == pytest.approx(1 / 3)
    assert metrics.pixel_error(np.uint8([0, 255]), np.uint8([0, 255])) == 0  # -1 does not fit a uint8


def test_confusion_and_what_follows_from_it():
    C = metrics.confusion([0, 1, 2, 2, 2, 0], [0, 1, 2, 1, 1, -1], n_classes=4)
    np.testing.assert_array_equal(C, [[1, 0, 0, 0], [0, 1, 2, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(metrics.class_errors(C), [0, 2 / 3, 0, np.nan])
    np.testing.assert_allclose(metrics.iou(C), [1, 1 / 3, 1 / 3, np.nan])
    assert metrics.balanced_error(C) == pytest.approx(2 / 9)
    assert metrics.precision_recall_f1(C, 2) == pytest.approx((1 / 3, 1, 1 / 2))
    np.testing.assert_equal(metrics.precision_recall_f1(C, 3), (np.nan, np.nan, 1))  # never there, never claimed


@given(st.data())
def test_confusion_agrees_with_counting_one_pixel_at_a_time(data):
    predicted, true = (data.draw(hnp.arrays(np.uint8, 12, elements=st.integers(0, 2))) for _ in range(2))
    slow = np.zeros((3, 3), int)
    for i, j in zip(true, predicted, strict=True):
        slow[i, j] += 1
    np.testing.assert_array_equal(metrics.confusion(predicted, true, 3), slow)


@given(MAPS, MASKS, MASKS)
def test_f1_error_is_exact_at_every_threshold(p, truth, counted):
    result = metrics.f1_error(p, truth, counted=counted)
    for t, f1 in zip(result.thresholds, 1 - result.values, strict=True):
        claimed = p > t
        wrong, both = (claimed != truth)[counted].sum(), (claimed & truth)[counted].sum()
        assert f1 == pytest.approx(2 * both / (2 * both + wrong) if both + wrong else 1)
    assert result.value == result.values.min()
    assert result.threshold == result.thresholds[result.values.argmin()]


def test_f1_error_reads_a_float32_pixel_at_a_threshold_as_numpy_compares_it():
    p = np.float32([[0.1, 0.3, 0.7]])
    for t in (0.1, 0.3, 0.7):
        expected = (p.astype(float) > t).sum()
        assert metrics.f1_error(p, np.ones((1, 3), bool), [t]).value == pytest.approx(1 - 2 * expected / (expected + 3))


def test_always_saying_interior_costs_what_the_share_of_borders_says():
    truth = np.arange(100).reshape(1, 10, 10) >= 22
    assert metrics.f1_error(np.ones(truth.shape), truth).value == pytest.approx(1 - 2 * 78 / (2 * 78 + 22))


@given(hnp.arrays(np.uint8, 10, elements=st.integers(0, 5)), hnp.arrays(int, 10, elements=st.integers(-1, 1)))
def test_no_threshold_beats_the_best_threshold(grey, labels):
    if (labels == -1).all():
        return
    best = metrics.best_threshold_error(grey, labels)
    errors = [metrics.pixel_error((grey > t) == bright, labels) for t in range(-1, 6) for bright in (0, 1)]
    assert best.error == pytest.approx(min(errors))
    assert metrics.pixel_error((grey > best.threshold) == best.bright, labels) == pytest.approx(best.error)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: metrics.pixel_error([0, 1], [0]), DataError, r"\(2,\).*\(1,\)"),
        (lambda: metrics.pixel_error([], []), DataError, "no pixels"),
        (lambda: metrics.pixel_error([0], [-1]), DataError, "every label is -1"),
        (lambda: metrics.confusion([0, 2], [0, 1], 2), DataError, "prediction must be whole numbers 0 to 1"),
        (lambda: metrics.confusion([0, 1], [0, -2], 2), DataError, "labels must be whole numbers 0 to 1"),
        (lambda: metrics.f1_error([[np.nan]], [[True]]), DataError, "without NaN"),
        (lambda: metrics.f1_error([[200.0]], [[True]]), DataError, "divide by 255"),
        (lambda: metrics.f1_error([[0.5]], [[True]], [0.5, 0.5]), UsageError, "increase"),
        (lambda: metrics.f1_error([[0.5]], [[True]], []), UsageError, "increase"),
        (lambda: metrics.best_threshold_error([1, 2], [0, 255]), UsageError, "two classes"),
        (lambda: metrics.best_threshold_error([1, np.inf], [0, 1]), DataError, "infinite"),
    ],
)
def test_bad_input_is_told_in_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("wrong", [0.9, np.nan])
def test_probabilities_are_no_labels(wrong):
    with pytest.raises(DataError, match="prediction must be whole numbers 0 to 1"):
        metrics.confusion([wrong, 1.0], [0, 1], n_classes=2)
