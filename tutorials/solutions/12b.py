"""Solution of tutorial 12b's exercise, and typical wrong answers."""

from course.grading import Wrong


def two_loops(g, pairs):
    """Return -H g by the two-loop recursion."""
    q = -g
    alphas = []
    for s, y in reversed(pairs):
        alpha = (s @ q) / (s @ y)
        q = q - alpha * y
        alphas.append(alpha)
    if pairs:
        s, y = pairs[-1]
        q = q * (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = (y @ q) / (s @ y)
        q = q + (alpha - beta) * s
    return q


def _loops(g, pairs, newest_first=True, scale=True, beta=True, sign=-1):
    q, alphas = sign * g, []
    for s, y in reversed(pairs) if newest_first else pairs:
        alphas.append((s @ q) / (s @ y))
        q = q - alphas[-1] * y
    if pairs and scale:
        s, y = pairs[-1]
        q = q * (s @ y) / (y @ y)
    back = pairs if newest_first else list(reversed(pairs))
    for (s, y), alpha in zip(back, reversed(alphas), strict=True):
        q = q + (alpha - (y @ q) / (s @ y) * beta) * s
    return q


WRONG = {
    "uphill": Wrong("two_loops", lambda g, pairs: _loops(g, pairs, sign=1), "the direction is -H g"),
    "oldest first": Wrong("two_loops", lambda g, pairs: _loops(g, pairs, newest_first=False), "newest pair to the old"),
    "not scaled": Wrong("two_loops", lambda g, pairs: _loops(g, pairs, scale=False), "between the loops is missing"),
    "no beta": Wrong("two_loops", lambda g, pairs: _loops(g, pairs, beta=False), "beta is missing"),
}
