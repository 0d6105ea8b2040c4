"""Solutions of tutorial 17's exercises, and typical wrong answers."""

from math import comb

import numpy as np
from course.grading import Wrong


def committee(opinions):
    """Return the class of the largest mean probability."""
    return opinions.mean(axis=0).argmax(axis=-1)


def mcnemar_p(wrong_a, wrong_b):
    """Return the exact p of McNemar's test."""
    m = min((wrong_a & ~wrong_b).sum(), (wrong_b & ~wrong_a).sum())
    n = int((wrong_a != wrong_b).sum())
    return min(1.0, 2 * sum(comb(n, i) for i in range(int(m) + 1)) / 2**n)


def error_after_rejecting(p, classes, n):
    """Return the error rate of all but the n least certain images."""
    left = np.argsort(p.max(axis=1))[n:]
    return float((p.argmax(axis=1) != classes)[left].mean())


def vote(opinions):
    """Count votes."""
    return np.array([np.bincount(votes).argmax() for votes in opinions.argmax(axis=-1).T])


def one_tail(wrong_a, wrong_b):
    """Forget the other tail."""
    m = min((wrong_a & ~wrong_b).sum(), (wrong_b & ~wrong_a).sum())
    n = int((wrong_a != wrong_b).sum())
    return sum(comb(n, i) for i in range(int(m) + 1)) / 2**n


def of_all(p, classes, n):
    """Divide by all images."""
    return error_after_rejecting(p, classes, n) * (len(p) - n) / len(p)


WRONG = {
    "a vote": Wrong("committee", vote, "this is a vote"),
    "one tail": Wrong("mcnemar_p", one_tail, "this is one tail"),
    "divided by all": Wrong("error_after_rejecting", of_all, "divide them by those that are left"),
}
