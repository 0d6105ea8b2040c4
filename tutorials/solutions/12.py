"""Solutions of tutorial 12's exercises, and typical wrong answers."""

from course.grading import Wrong


def backtracking(loss_at, theta, g, t, c, shrink):
    """Return the first step, shrinking from t, that satisfies the Armijo rule."""
    before, slope = loss_at(theta), g @ g
    while loss_at(theta - t * g) > before - c * t * slope:
        t = t * shrink
    return t


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


def any_decrease(loss_at, theta, g, t, c, shrink):
    """Accept any decrease."""
    while loss_at(theta - t * g) > loss_at(theta):
        t = t * shrink
    return t


def slope_not_squared(loss_at, theta, g, t, c, shrink):
    """Take |g| for |g|**2."""
    while loss_at(theta - t * g) > loss_at(theta) - c * t * (g @ g) ** 0.5:
        t = t * shrink
    return t


def shrink_once(loss_at, theta, g, t, c, shrink):
    """Shrink a refused step once and leave it at that."""
    if loss_at(theta - t * g) > loss_at(theta) - c * t * (g @ g):
        t = t * shrink
    return t


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
    "any decrease": Wrong("backtracking", any_decrease, "the decrease asked for is c*t*|g|**2"),
    "slope not squared": Wrong("backtracking", slope_not_squared, "not |g|"),
    "shrunk once": Wrong("backtracking", shrink_once, "go on until one is accepted"),
    "uphill": Wrong("two_loops", lambda g, pairs: _loops(g, pairs, sign=1), "the direction is -H g"),
    "oldest first": Wrong("two_loops", lambda g, pairs: _loops(g, pairs, newest_first=False), "newest pair to the old"),
    "not scaled": Wrong("two_loops", lambda g, pairs: _loops(g, pairs, scale=False), "between the loops is missing"),
    "no beta": Wrong("two_loops", lambda g, pairs: _loops(g, pairs, beta=False), "beta is missing"),
}
