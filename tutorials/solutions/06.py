"""Solutions of tutorial 06, and typical wrong answers."""

import numpy as np
from course.grading import Wrong

from tinympcnn.nn.losses import softmax


def score_gradient(scores, target):
    """Return (p - onehot) / n."""
    p = softmax(scores)
    onehot = np.eye(scores.shape[1])[target]
    return (p - onehot) / len(scores)


def corner(r, c, P, Q):
    """Return where the window of pixel (r, c) starts."""
    return r - P // 2, c - Q // 2


WRONG = {
    "sum in place of mean": Wrong(
        "score_gradient", lambda s, t: len(s) * score_gradient(s, t), says="gradient of the sum"
    ),
    "sign": Wrong("score_gradient", lambda s, t: -score_gradient(s, t), says="its sign is wrong"),
    "label forgotten": Wrong("score_gradient", lambda s, t: softmax(s) / len(s), says="the label has no part in it"),
    "not centred": Wrong("corner", lambda r, c, P, Q: (r, c), says="P // 2 is missing"),
    "one pixel off": Wrong("corner", lambda r, c, P, Q: (r - (P - 1) // 2, c - (Q - 1) // 2), says="one pixel off"),
}
