"""Solutions of tutorial 03, and wrong answers that the grading knows by name."""

import numpy as np
from course.grading import Wrong


def central_difference(f, x, h):
    """Return the slope of f at x."""
    return (f(x + h) - f(x - h)) / (2 * h)


def slope_along(gradient, v):
    """Return the slope along v."""
    return (gradient * v).sum()


def is_right(layer, x, rng):
    """Compare backward with a central difference, under a random upstream gradient."""
    y = layer.forward(x)
    return _agrees(layer, x, rng.standard_normal(y.shape), rng)


def _agrees(layer, x, dy, rng):
    v, h = rng.standard_normal(x.shape), 1e-6
    layer.forward(x)
    analytic = (layer.backward(dy) * v).sum()
    numeric = (dy * (layer.forward(x + h * v) - layer.forward(x - h * v))).sum() / (2 * h)
    return abs(analytic - numeric) < 1e-5 * abs(numeric)


def with_ones(layer, x, rng):
    """Use an upstream gradient of ones."""
    return _agrees(layer, x, np.ones_like(layer.forward(x)), rng)


def along_ones(layer, x, rng):
    """Use a direction of ones."""
    dy, h = rng.standard_normal(layer.forward(x).shape), 1e-6
    analytic = layer.backward(dy).sum()
    numeric = (dy * (layer.forward(x + h) - layer.forward(x - h))).sum() / (2 * h)
    return abs(analytic - numeric) < 1e-5 * abs(numeric)


WRONG = {
    "one side": Wrong("central_difference", lambda f, x, h: (f(x + h) - f(x)) / h, says="the one-sided difference"),
    "divided by h": Wrong("central_difference", lambda f, x, h: (f(x + h) - f(x - h)) / h, says="divide by 2h"),
    "not summed": Wrong("slope_along", lambda g, v: g * v, says="a slope is one number"),
    "no direction": Wrong("slope_along", lambda g, v: g.sum(), says="multiply with v"),
    "ones as upstream gradient": Wrong("is_right", with_ones, says="is your upstream gradient random"),
    "ones as direction": Wrong("is_right", along_ones, says="and your direction?"),
    "always content": Wrong("is_right", lambda layer, x, rng: True, says="your checker says True to a Tanh"),
    "never content": Wrong("is_right", lambda layer, x, rng: False, says="your checker says False to a Tanh"),
}
