"""Solutions of tutorial 12's exercises, and typical wrong answers."""

from course.grading import Wrong


def backtracking(loss_at, theta, g, t, c, shrink):
    """Return the first step, shrinking from t, that satisfies the Armijo rule."""
    before, slope = loss_at(theta), g @ g
    while loss_at(theta - t * g) > before - c * t * slope:
        t = t * shrink
    return t


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


WRONG = {
    "any decrease": Wrong("backtracking", any_decrease, "the decrease asked for is c*t*|g|**2"),
    "slope not squared": Wrong("backtracking", slope_not_squared, "not |g|"),
    "shrunk once": Wrong("backtracking", shrink_once, "go on until one is accepted"),
}
