"""Errors of whole images, worked by hand."""

import numpy as np
import pytest

from tinympcnn import DataError
from tinympcnn.metrics import mcnemar, rejection_curve, top_error

P = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.4, 0.4, 0.2], [0.2, 0.3, 0.5], [0.45, 0.35, 0.2]])
Y = np.array([0, 2, 1, 2, 2])


def test_top_errors_by_hand():
    assert [top_error(P, Y, k) for k in (1, 2, 3)] == [3 / 5, 1 / 5, 0]
    assert top_error(P, Y) == np.mean(P.argmax(axis=1) != Y)


def test_a_rejection_curve_by_hand():
    curve = rejection_curve(P, Y)  # certainties 0.4 (wrong), 0.45 (wrong), 0.5 and 0.5 (right), 0.6 (wrong)
    np.testing.assert_allclose(curve.rejected, [0, 1 / 5, 2 / 5, 4 / 5])
    np.testing.assert_allclose(curve.error, [3 / 5, 2 / 4, 1 / 3, 1])
    np.testing.assert_allclose(curve.threshold, [0.4, 0.45, 0.5, 0.6])


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (0, 6, 2 / 64), (8, 2, 2 * (1 + 10 + 45) / 1024), (3, 3, 1.0)],
)
def test_mcnemar_by_hand(only_a, only_b, p):
    a = np.r_[np.ones(only_a), np.zeros(only_b), np.ones(4), np.zeros(9)]
    b = np.r_[np.zeros(only_a), np.ones(only_b), np.ones(4), np.zeros(9)]
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(p)


def test_mcnemar_matches_scipy():
    from scipy.stats import binomtest

    rng = np.random.default_rng(0)
    a, b = rng.random(900) < 0.2, rng.random(900) < 0.25
    n, m = int((a != b).sum()), int((a & ~b).sum())
    assert mcnemar(a, b) == pytest.approx(binomtest(m, n).pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("p", "y"), [(P, Y[:4]), (P, Y + 1), (P[0], Y[:1]), (P, Y * 1.0), (P, -Y), (np.zeros((0, 3)), Y[:0])]
)
def test_what_does_not_belong_together_is_refused(p, y):
    for measure in (top_error, rejection_curve):
        with pytest.raises(DataError):
            measure(p, y)


def test_a_paired_test_is_of_the_same_images():
    with pytest.raises(DataError, match="same images"):
        mcnemar([True], [True, False])


def test_what_is_no_number_is_refused_and_many_images_take_no_time():
    p = np.array([[np.nan, np.nan], [0.3, 0.7]])
    for measure in (top_error, rejection_curve):
        with pytest.raises(DataError, match="NaN"):
            measure(p, np.array([1, 0]))
    a = np.arange(30000) % 2 == 0  # with factorials this would take minutes
    assert mcnemar(a, ~a) == 1
