"""Solutions of tutorial 18's exercises, and typical wrong answers."""

import numpy as np
from course.grading import Wrong


def f1(hits, false_alarms, misses):
    """Return F1 from the three counts."""
    return 2 * hits / (2 * hits + false_alarms + misses)


def suppress(objects, radius):
    """Return the objects that are further than the radius from every larger one that stays."""
    kept = []
    for one in objects:
        if all(np.hypot(*(one - other)[:2]) > radius for other in kept):
            kept.append(one)
    return np.array(kept)


def draw(wrong, u):
    """Return the index at which the running sum passes u times the whole sum."""
    total = np.cumsum(wrong)
    return int(np.searchsorted(total, u * total[-1], side="right"))


def precision(hits, false_alarms, misses):
    """Forget the misses."""
    return hits / (hits + false_alarms)


def compare_with_all(objects, radius):
    """Let what has gone suppress others."""
    near = np.hypot(*(objects[:, None, :2] - objects[None, :, :2]).transpose(2, 0, 1)) <= radius
    return objects[~np.tril(near, -1).any(axis=1)]


def draw_evenly(wrong, u):
    """Give all pixels the same chance."""
    return int(u * len(wrong))


WRONG = {
    "precision": Wrong("f1", precision, "this is the precision"),
    "compared with all": Wrong("suppress", compare_with_all, "what has gone suppresses nothing"),
    "drawn evenly": Wrong("draw", draw_evenly, "the same chance"),
}
