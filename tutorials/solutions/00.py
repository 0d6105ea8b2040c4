"""Solutions of tutorial 00, and wrong answers that the grading knows by name."""

import numpy as np
from course.grading import Wrong


def your_pixel_error(prediction, labels):
    """Return the share of pixels whose class is wrong."""
    return (prediction != labels).mean()


def your_softmax(scores):
    """Return the probabilities, with the largest score taken out first."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def overflowing(scores):
    """Exponentiate the scores as they are."""
    return np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)


def over_everything(scores):
    """Divide by the sum over all pixels and classes."""
    return np.exp(scores) / np.exp(scores).sum()


def one_maximum(scores):
    """Take the largest score of all pixels out, so that the others vanish."""
    e = np.exp(scores - scores.max())
    return e / e.sum(axis=-1, keepdims=True)


WRONG = {
    "share that is right": Wrong("your_pixel_error", lambda p, t: (p == t).mean(), says="pixels that are right"),
    "count": Wrong("your_pixel_error", lambda p, t: (p != t).sum(), says="divide by how many pixels"),
    "differences": Wrong("your_pixel_error", lambda p, t: abs(p - t).mean(), says="differences of labels are not"),
    "overflow": Wrong("your_softmax", overflowing, says="exp(1000) overflows"),
    "one maximum for all": Wrong("your_softmax", one_maximum, says="the largest score of each pixel"),
    "sum over everything": Wrong("your_softmax", over_everything, says="not over everything"),
    "not divided": Wrong("your_softmax", np.exp, says="now divide by their sum"),
}
