"""Calibration: the best of all rising cubics, whatever the data, and a file that is checked."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from tinympcnn import DataError, UsageError
from tinympcnn.inference.calibration import Calibration, fit_calibration, steepest_fall

IDENTITY = (0.0, 1.0, 0.0, 0.0)


def sample(seed):
    """Draw probabilities and truths that belong together in one of several ways, some of them absurd."""
    rng = np.random.default_rng(seed)
    p = rng.beta(*rng.uniform(0.2, 3, 2), 1500)
    share = [p, p**3, p**0.3, 1 - p, 0.5 + 0.4 * np.sin(9 * p), np.where(p > 0.5, 0.9, 0.2)][seed % 6]
    return p, rng.random(1500) < share


@pytest.mark.slow
@given(st.integers(0, 10_000))
def test_the_fit_rises_and_no_rising_cubic_is_nearer(seed):
    p, truth = sample(seed)
    fit = fit_calibration([(p, truth)], (0, 1))
    assert steepest_fall(fit.calibration.coefficients) <= 1e-9
    V, t = np.vander(p, 4, increasing=True), np.linspace(0, 1, 201)
    slopes = np.stack([0 * t, 0 * t + 1, 2 * t, 3 * t * t], axis=1)

    def error(c):
        return np.mean((V @ c - truth) ** 2)

    best = optimize.minimize(
        error, [0.5, 0.1, 0, 0], jac=lambda c: 2 * V.T @ (V @ c - truth) / len(p), method="SLSQP",
        constraints={"type": "ineq", "fun": lambda c: slopes @ c, "jac": lambda c: slopes}, options={"ftol": 1e-12},
    )  # fmt: skip
    assert fit.after == pytest.approx(error(np.array(fit.calibration.coefficients)), abs=1e-9)
    assert fit.after <= best.fun + 1e-5 and fit.after <= fit.before + 1e-12
    assert fit.before == pytest.approx(np.mean((p - truth) ** 2), abs=1e-9)


def test_what_needs_no_constraint_is_least_squares():
    p, wanted = np.linspace(0, 1, 500), (0.1, 0.3, 0.6, -0.2)
    fit = fit_calibration([(p, np.polynomial.polynomial.polyval(p, wanted))], (0, 1))
    np.testing.assert_allclose(fit.calibration.coefficients, wanted, atol=1e-5)


def test_pages_are_summed(rng):
    p, truth = sample(2)
    whole = fit_calibration([(p.reshape(30, 50), truth.reshape(30, 50))], (0, 1))
    parts = fit_calibration(zip(np.split(p, [100, 700]), np.split(truth, [100, 700]), strict=True), (0, 1))
    np.testing.assert_allclose(parts.calibration.coefficients, whole.calibration.coefficients, atol=1e-4)
    assert parts.after == pytest.approx(whole.after, abs=1e-9) and parts.pixels == whole.pixels == 1500


@pytest.mark.parametrize("seed", range(6))
def test_probabilities_sum_to_one_keep_their_order_and_stay_in_range(seed, rng):
    calibration = fit_calibration([sample(seed)], (0, 255)).calibration
    p = np.sort(rng.random(200, np.float32)).reshape(10, 20)
    found = calibration(np.stack([1 - p, p], axis=-1))
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-6)
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    assert (np.diff(found[..., 1].ravel()) >= 0).all()


def test_the_identity_changes_nothing(rng):
    p = rng.random((5, 6), np.float32)
    found = Calibration(IDENTITY, (0, 1))(np.stack([1 - p, p], axis=-1))
    assert (found[..., 1] == p).all()


@pytest.mark.parametrize("truth", [np.zeros(9, bool), np.ones(9, bool)])
def test_one_class_alone_is_refused(truth):
    with pytest.raises(DataError, match="pixels of both classes"):
        fit_calibration([(np.linspace(0, 1, 9), truth)], (0, 1))
    with pytest.raises(DataError, match="0 of class 0 alone"):
        fit_calibration([], (0, 1))


@pytest.mark.parametrize(
    ("coefficients", "values", "words"),
    [
        ((0, -1, 0, 0), (0, 1), "rises over"),
        ((0, 1, -2, 1), (0, 1), "rises over"),
        ((0, 1, 0), (0, 1), "rises over"),
        ((0, float("nan"), 0, 0), (0, 1), "rises over"),
        (IDENTITY, (0, 1, 2), "for two classes"),
    ],
)
def test_what_is_no_calibration_is_refused(coefficients, values, words):
    with pytest.raises(UsageError, match=words):
        Calibration(coefficients, values)


def test_a_file_holds_it_all_and_is_checked(tmp_path):
    calibration, path = Calibration((0.01, 0.9, -0.05, 0.1), (0, 255)), tmp_path / "c.json"
    calibration.save(path, pixels=7)
    assert Calibration.load(path) == calibration and json.loads(path.read_text())["pixels"] == 7
    with pytest.raises(DataError, match="cannot read the calibration"):
        Calibration.load(tmp_path / "no.json")
    good = json.loads(path.read_text())
    for damage in (
        "", "[]", "3", "{}", "\x00\xff", json.dumps({**good, "format": "other"}),
        json.dumps({**good, "coefficients": [0, -1, 0, 0]}), json.dumps({**good, "coefficients": "1234"[:3]}),
        json.dumps({**good, "class_values": [0, 1.5]}), json.dumps({**good, "class_values": None}),
    ):  # fmt: skip
        path.write_text(damage)
        with pytest.raises(DataError, match="is not a calibration; 'tinympcnn calibrate' writes them"):
            Calibration.load(path)
