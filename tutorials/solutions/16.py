"""Solutions of tutorial 16's exercises, and typical wrong answers."""

import numpy as np
from course.grading import Wrong

from tinympcnn import Layer


class ReLU(Layer):
    """max(x, 0)."""

    def forward(self, x, train=True):
        """Return max(x, 0)."""
        self.cache = x > 0 if train else None
        return x * (x > 0)

    def backward(self, dy):
        """Return dy where x was positive."""
        return dy * self.take_cache()


class PReLU(Layer):
    """x where it is positive, else a * x."""

    def __init__(self, in_maps):
        super().__init__()
        self.in_maps = in_maps
        self.params = {"a": np.full(in_maps, 0.25, np.float32)}
        self.grads = {"a": np.zeros(in_maps, np.float32)}

    def forward(self, x, train=True):
        """Return x or a * x."""
        self.cache = x if train else None
        return np.where(x > 0, x, self.params["a"] * x)

    def backward(self, dy):
        """Return dx; add to the gradient of a."""
        x = self.take_cache()
        self.grads["a"] += (dy * x * (x <= 0)).sum(axis=(0, 1, 2))
        return np.where(x > 0, dy, self.params["a"] * dy)


class Magnitude(ReLU):
    """Takes the absolute value."""

    def forward(self, x, train=True):
        """Return |x|."""
        self.cache = x > 0 if train else None
        return np.abs(x)


class HandedThrough(ReLU):
    """Forgets the derivative."""

    def backward(self, dy):
        """Return dy."""
        self.take_cache()
        return dy


class SignOfDy(ReLU):
    """Asks the gradient in place of the input."""

    def backward(self, dy):
        """Return dy where dy is positive."""
        self.take_cache()
        return dy * (dy > 0)


class Hoarder(ReLU):
    """Keeps its cache always."""

    def forward(self, x, train=True):
        """Return max(x, 0)."""
        self.cache = x > 0
        return x * self.cache


class SlopeOnTheRight(PReLU):
    """Puts the slope on the positive side."""

    def forward(self, x, train=True):
        """Return a * x or x."""
        self.cache = x if train else None
        return np.where(x > 0, self.params["a"] * x, x)


class Overwrites(PReLU):
    """Assigns the gradient of a."""

    def backward(self, dy):
        """Return dx; overwrite the gradient of a."""
        x = self.take_cache()
        self.grads["a"] = (dy * x * (x <= 0)).sum(axis=(0, 1, 2))
        return np.where(x > 0, dy, self.params["a"] * dy)


class Mean(PReLU):
    """Takes the mean over pixels for the gradient of a."""

    def backward(self, dy):
        """Return dx; add the mean to the gradient of a."""
        x = self.take_cache()
        self.grads["a"] += (dy * x * (x <= 0)).mean(axis=(0, 1, 2))
        return np.where(x > 0, dy, self.params["a"] * dy)


class FirstFragment(PReLU):
    """Sums over rows and columns of one fragment only."""

    def backward(self, dy):
        """Return dx; add the first fragment's part to the gradient of a."""
        x = self.take_cache()
        self.grads["a"] += (dy * x * (x <= 0)).sum(axis=(1, 2))[0]
        return np.where(x > 0, dy, self.params["a"] * dy)


class SlopeAsItWas(PReLU):
    """Takes the first value of the slope for the slope."""

    def backward(self, dy):
        """Return dx with a slope of 0.25; add to the gradient of a."""
        x = self.take_cache()
        self.grads["a"] += (dy * x * (x <= 0)).sum(axis=(0, 1, 2))
        return np.where(x > 0, dy, 0.25 * dy)


WRONG = {
    "absolute value": Wrong("ReLU", Magnitude, "absolute value"),
    "no derivative": Wrong("ReLU", HandedThrough, "dy was handed through"),
    "sign of dy": Wrong("ReLU", SignOfDy, "the sign of x that decides"),
    "cache kept": Wrong("ReLU", Hoarder, "nothing should be kept"),
    "slope on the wrong side": Wrong("PReLU", SlopeOnTheRight, "belongs to the negative inputs"),
    "slope as it was": Wrong("PReLU", SlopeAsItWas, "the gradient of x"),
    "overwritten": Wrong("PReLU", Overwrites, "you overwrote it"),
    "mean": Wrong("PReLU", Mean, "it is the mean over"),
    "one fragment": Wrong("PReLU", FirstFragment, "fragment 0 alone counts"),
}
