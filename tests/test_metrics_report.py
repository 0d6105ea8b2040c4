"""The report: every measure of a stack at once, as numbers for programs and as a table for people."""

import json

import numpy as np
import pytest

from tinympcnn import metrics
from tinympcnn.errors import DataError, UsageError

TRUTH = np.ones((2, 12, 13), int)
TRUTH[:, 5] = TRUTH[:, :, 6] = 0
P = np.where(TRUTH, 0.8, 0.3) + np.random.default_rng(0).uniform(-0.2, 0.2, TRUTH.shape)


def test_probabilities_and_the_measures_one_by_one():
    report = metrics.evaluate(P, TRUTH, membranes=True)
    interior = TRUTH == 1
    assert report["pixel_error"] == metrics.pixel_error(P > 0.5, TRUTH)
    assert report["f1_error"]["value"] == metrics.f1_error(P, interior).value
    assert report["rand_error"]["value"] == metrics.rand_error(P, interior).value
    assert report["v_rand"]["value"] == metrics.v_scores(P, interior).rand.value
    assert report["v_info"]["threshold"] == metrics.v_scores(P, interior).info.threshold
    warps = metrics.warping_error(P, interior)
    assert report["splits_and_mergers"]["value"] == warps.splits_and_mergers.value
    assert len(report["f1_error"]["slices"]) == 2


def test_probabilities_of_all_classes_mean_the_same_as_of_one():
    both = np.stack([1 - P, P], axis=-1)
    assert metrics.evaluate(both, TRUTH, membranes=True) == metrics.evaluate(P, TRUTH, membranes=True)


def test_one_slice_needs_no_stack():
    assert metrics.evaluate(P[0], TRUTH[0]) == metrics.evaluate(P[:1], TRUTH[:1])


@pytest.mark.parametrize("soft", [True, False])
def test_images_of_several_sizes_are_measured_one_by_one(soft):
    """A list of equal images is a stack; parts of different sizes are no stack, and are not joined either."""
    p = P if soft else (P > 0.6).astype(int)
    assert metrics.evaluate(list(p), list(TRUTH), membranes=True) == metrics.evaluate(p, TRUTH, membranes=True)
    parts = [p[0], p[1, :, :9]], [TRUTH[0], TRUTH[1, :, :9]]
    both = metrics.evaluate(*parts, membranes=True)
    one = [metrics.evaluate(*part, membranes=True) for part in zip(*parts, strict=True)]
    pixels = np.array([report["pixels"] for report in one])
    assert (both["slices"], both["pixels"], len(both["f1_error"]["slices"])) == (2, pixels.sum(), 2)
    if not soft:  # no threshold is best for both
        warps = [report["warping_error"]["value"] for report in one]
        assert both["warping_error"]["value"] == pytest.approx((warps * pixels).sum() / pixels.sum())
        for name in ("v_rand", "v_info"):
            assert both[name]["value"] == pytest.approx(np.mean([report[name]["value"] for report in one]))
        assert both["f1_error"]["slices"] == [report["f1_error"]["value"] for report in one]


def test_lists_that_do_not_pair_up_are_told_in_a_sentence():
    with pytest.raises(DataError, match="prediction has 1 images but labels have 2"):
        metrics.evaluate([P[0]], list(TRUTH))
    with pytest.raises(DataError, match=r"\(12, 13\) but labels has \(12, 9\)"):
        metrics.evaluate([P[0], P[1]], [TRUTH[0], TRUTH[1, :, :9]])


def test_labels_have_no_threshold():
    report = metrics.evaluate(P > 0.5, TRUTH, membranes=True)
    assert report["f1_error"]["threshold"] is None and report["v_rand"]["threshold"] is None
    assert report["f1_error"]["value"] == pytest.approx(1 - report["f1"])
    assert "at p" not in metrics.format_report(report)


def test_a_perfect_prediction():
    report = metrics.evaluate(TRUTH, TRUTH, membranes=True)
    zero = ("pixel_error", "balanced_error")
    zero_best = ("f1_error", "rand_error", "warping_error", "splits_and_mergers")
    assert [report[k] for k in zero] == [0, 0] and [report[k]["value"] for k in zero_best] == [0] * 4
    assert (report["v_rand"]["value"], report["v_info"]["value"]) == pytest.approx((1, 1))


def test_several_classes_an_absent_one_and_ignored_pixels():
    labels = np.array([[[0, 1, 3, -1]]])
    report = metrics.evaluate(np.array([[[0, 3, 3, 3]]]), labels, positive=1)
    assert report["classes"] == 4 and report["pixels"] == 3
    assert report["class_errors"] == [0, 1, None, 0]
    assert (report["precision"], report["recall"]) == (None, 0)
    report["f1_error"]["threshold"] = 0.0  # the same again from one-hot probabilities
    assert metrics.evaluate(np.eye(4)[[[[0, 3, 3, 3]]]], labels, positive=1) == report


def test_a_positive_class_other_than_the_largest():
    report = metrics.evaluate(1 - P, TRUTH, positive=0)
    assert report["confusion"] == metrics.confusion(~(1 - P > 0.5), TRUTH, 2).tolist()


def test_reports_survive_json_and_the_table_shows_them_all():
    report = metrics.evaluate(P, TRUTH, membranes=True)
    assert json.loads(json.dumps(report)) == report
    table = metrics.format_report(report)
    for words in ("2 slices, 312 pixels", "F1 error", "Rand", "V_Rand", "V_Info", "splits and", "best at p > 0."):
        assert words in table
    assert max(map(len, table.splitlines())) < 80


def test_the_table_says_which_threshold_and_which_label_values():
    lines = metrics.format_report({**metrics.evaluate(P, TRUTH), "class_values": [0, 255]}).splitlines()
    assert lines[0].endswith("positive class 255") and lines[-3].endswith("predicted as 0, 255")
    assert [line.split()[0] for line in lines[-2:]] == ["0", "255"]
    assert all(line.endswith("  at p > 0.50") for line in lines[1:6]) and "  best at p > " in lines[6]
    many = metrics.format_report(metrics.evaluate(np.eye(3)[[[0, 1, 2]]], [[0, 1, 1]]))
    assert "most probable class" in many and " at p > 0.50" not in many


@pytest.mark.parametrize(
    ("prediction", "labels", "options", "error", "words"),
    [
        (P[:, :-1], TRUTH, {}, DataError, r"\(2, 11, 13\).*\(2, 12, 13\)"),
        (P * 255, TRUTH, {}, DataError, "divide by 255"),
        (np.full_like(P, np.nan), TRUTH, {}, DataError, "NaN"),
        (P, TRUTH * 0.5, {}, DataError, "whole numbers"),
        (P.astype(complex), TRUTH, {}, DataError, "complex"),
        (P[:0], TRUTH[:0], {}, DataError, "non-empty"),
        (P, TRUTH, {"positive": 2}, UsageError, "0 to 1; got 2"),
        (P, TRUTH, {"n_classes": 3}, UsageError, "every class"),
        (TRUTH + 1, TRUTH, {"n_classes": 2}, DataError, "prediction must be"),
        (TRUTH, np.full_like(TRUTH, -1), {}, DataError, "no pixel counts"),
        (TRUTH, TRUTH - 1, {"membranes": True}, UsageError, "ignored pixels"),
        (TRUTH + 1, TRUTH, {"membranes": True}, UsageError, "3 classes"),
    ],
)
def test_bad_input_is_told_in_a_sentence(prediction, labels, options, error, words):
    with pytest.raises(error, match=words):
        metrics.evaluate(prediction, labels, **options)
