"""Solutions of tutorial 14's exercises, and typical wrong answers."""

import numpy as np
from course.grading import Wrong


def class_weights(counts):
    """Return N / (K N_k), and 0 for absent classes."""
    counts = np.asarray(counts, float)
    weights = np.zeros(len(counts))
    present = counts > 0
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def choose_threshold(counts, defective, miss, alarm, thresholds):
    """Return the first threshold of least cost."""
    costs = []
    for t in thresholds:
        flagged = counts > t
        costs.append(miss * (defective & ~flagged).sum() + alarm * (flagged & ~defective).sum())
    return thresholds[int(np.argmin(costs))]


def divides_by_zero(counts):
    """Give no thought to absent classes."""
    return counts.sum() / (len(counts) * counts)


def as_frequent(counts):
    """Give the frequent class the large weight."""
    return counts / counts.sum()


def not_normalised(counts):
    """Take 1 / N_k."""
    counts = np.asarray(counts, float)
    return np.where(counts > 0, 1 / np.maximum(counts, 1), 0)


def absent_counted(counts):
    """Count absent classes in K."""
    counts = np.asarray(counts, float)
    return np.where(counts > 0, counts.sum() / (len(counts) * np.maximum(counts, 1)), 0)


def swapped(counts, defective, miss, alarm, thresholds):
    """Exchange the prices."""
    return choose_threshold(counts, defective, alarm, miss, thresholds)


def unpriced(counts, defective, miss, alarm, thresholds):
    """Ignore the prices."""
    return choose_threshold(counts, defective, 1, 1, thresholds)


def misses_only(counts, defective, miss, alarm, thresholds):
    """Ignore false alarms."""
    return choose_threshold(counts, defective, miss, 0, thresholds)


def equal_too(counts, defective, miss, alarm, thresholds):
    """Flag images with counts >= threshold."""
    return choose_threshold(counts, defective, miss, alarm, thresholds - 0.5) + 0.5


def last_best(counts, defective, miss, alarm, thresholds):
    """Return the last of several that cost the same."""
    best = thresholds[0]
    for t in thresholds:
        if choose_threshold(counts, defective, miss, alarm, np.array([t, best])) == t:
            best = t
    return best


WRONG = {
    "division by zero": Wrong("class_weights", divides_by_zero, "divides by zero"),
    "frequent is heavy": Wrong("class_weights", as_frequent, "a rare class needs the large one"),
    "not normalised": Wrong("class_weights", not_normalised, "should be the number of pixels"),
    "absent counted": Wrong("class_weights", absent_counted, "absent classes were counted"),
    "prices swapped": Wrong("choose_threshold", swapped, "the two prices are swapped"),
    "no prices": Wrong("choose_threshold", unpriced, "both errors cost the same"),
    "equal, too": Wrong("choose_threshold", equal_too, "not where they are equal"),
    "the last": Wrong("choose_threshold", last_best, "the first of them is wanted"),
    "misses only": Wrong("choose_threshold", misses_only, "false alarms cost nothing"),
}
