"""Solutions of tutorial 13's exercises, and typical wrong answers."""

import numpy as np
from course.grading import Wrong


def v_rand(truth, proposal):
    """Return V_Rand of two label images."""
    t, s = truth[truth > 0], proposal[truth > 0]
    singletons = (s == 0).sum()
    n = np.array([[((t == i) & (s == j)).sum() for j in range(1, s.max() + 1)] for i in range(1, t.max() + 1)])
    both = (n**2).sum() + singletons
    of_truth = (np.bincount(t) ** 2).sum()
    of_proposal = (n.sum(axis=0) ** 2).sum() + singletons
    return both / (0.5 * of_truth + 0.5 * of_proposal)


def best_threshold(p, truth, thresholds):
    """Return the threshold of the largest F1."""
    scores = []
    for t in thresholds:
        tp, wrong = ((p > t) & truth).sum(), ((p > t) != truth).sum()
        scores.append(2 * tp / (2 * tp + wrong))
    return thresholds[int(np.argmax(scores))]


def all_pixels(truth, proposal):
    """Count the pixels on true borders, too: v_rand of everything shifted by one segment."""
    shifted = truth + 1
    return v_rand(shifted, proposal)


def one_border(truth, proposal):
    """Take all border pixels of the proposal for one segment."""
    return v_rand(truth, np.where(proposal == 0, proposal.max() + 1, proposal))


def no_border(truth, proposal):
    """Leave the border pixels of the proposal out."""
    return v_rand(np.where(proposal > 0, truth, 0), proposal)


def not_squared(truth, proposal):
    """Forget to square the overlaps."""
    t, s = truth[truth > 0], proposal[truth > 0].copy()
    s[s == 0] = s.max() + 1 + np.arange((s == 0).sum())
    return len(t) / (0.5 * (np.bincount(t) ** 2).sum() + 0.5 * (np.bincount(s) ** 2).sum())


def truth_only(truth, proposal):
    """Divide by the truth's pairs alone."""
    n = [[((truth == i) & (proposal == j)).sum() for j in range(1, proposal.max() + 1)] for i in range(1, 4)]
    n = np.array([row for i, row in enumerate(n, 1) if (truth == i).any()])
    return (n**2).sum() / (n.sum(axis=1) ** 2).sum()


def fewest_wrong(p, truth, thresholds):
    """Minimise the pixel error."""
    return thresholds[int(np.argmin([((p > t) != truth).mean() for t in thresholds]))]


def most_found(p, truth, thresholds):
    """Maximise recall."""
    return thresholds[int(np.argmax([((p > t) & truth).sum() for t in thresholds]))]


def equal_too(p, truth, thresholds):
    """Take p >= threshold."""
    return best_threshold(p, truth, np.nextafter(thresholds, -1))


def last_best(p, truth, thresholds):
    """Return the last of several that are equally good."""
    scores = [2 * ((p > t) & truth).sum() / ((p > t).sum() + truth.sum()) for t in thresholds]
    return thresholds[np.flatnonzero(scores == np.max(scores))[-1]]


WRONG = {
    "borders counted": Wrong("v_rand", all_pixels, "keep those with truth > 0"),
    "border is one segment": Wrong("v_rand", one_border, "are one segment in yours"),
    "border left out": Wrong("v_rand", no_border, "are left out in yours"),
    "not squared": Wrong("v_rand", not_squared, "must be squared"),
    "truth only": Wrong("v_rand", truth_only, "mergers cost nothing"),
    "pixel error": Wrong("best_threshold", fewest_wrong, "smallest pixel error"),
    "equal, too": Wrong("best_threshold", equal_too, "not where they are equal"),
    "the last": Wrong("best_threshold", last_best, "the first of them is wanted"),
    "recall": Wrong("best_threshold", most_found, "largest recall"),
}
