"""Solutions of tutorial 04, and typical wrong answers."""

import numpy as np
from course.grading import Wrong

from tinympcnn import Conv, Tanh

MAPS = ([0, 1, 2], [0, 1, 2])


class YourLogistic(Tanh):
    """The logistic function."""

    def forward(self, x, train=True):
        """Return 1 / (1 + exp(-x))."""
        y = 1 / (1 + np.exp(-x))
        self.cache = y if train else None
        return y

    def backward(self, dy):
        """Return dy * y * (1 - y)."""
        y = self.take_cache()
        return dy * y * (1 - y)


class HalfLogistic(YourLogistic):
    """Forgets one factor."""

    def backward(self, dy):
        """Return dy * (1 - y)."""
        return dy * (1 - self.take_cache())


class LogisticAsTanh(YourLogistic):
    """Takes the derivative of tanh."""

    def backward(self, dy):
        """Return dy * (1 - y**2)."""
        return dy * (1 - self.take_cache() ** 2)


class YourConv(Conv):
    """Convolution with a backward pass tap by tap."""

    def backward(self, dy):
        """Add to the gradients of W and b, and return that of x."""
        x, W = self.take_cache(), self.params["W"]
        (kh, kw), (h, w) = self.kernel, dy.shape[1:3]
        dx = np.zeros_like(x)
        for i in range(kh):
            for j in range(kw):
                met = x[:, i : i + h, j : j + w]
                self.grads["W"][i, j] += np.tensordot(met, dy, axes=MAPS)
                dx[:, i : i + h, j : j + w] += dy @ W[i, j].T
        self.grads["b"] += dy.sum(axis=(0, 1, 2))
        return dx


class Turned(Conv):
    """Takes the taps in the wrong order for dx."""

    def backward(self, dy):
        """Use W[kh-1-i, kw-1-j] where W[i, j] belongs."""
        dx = np.zeros_like(self.cache)
        W, (kh, kw), (h, w) = self.params["W"], self.kernel, dy.shape[1:3]
        super().backward_params(dy)
        for i in range(kh):
            for j in range(kw):
                dx[:, i : i + h, j : j + w] += dy @ W[kh - 1 - i, kw - 1 - j].T
        return dx


class Overwriting(YourConv):
    """Assigns the gradients instead of adding to them."""

    def backward(self, dy):
        """Start from zero each time."""
        for grad in self.grads.values():
            grad[...] = 0
        return super().backward(dy)


class Mean(YourConv):
    """Takes the mean over the output pixels for db."""

    def backward(self, dy):
        """Divide what is added to db by the number of pixels."""
        before = self.grads["b"].copy()
        dx = super().backward(dy)
        self.grads["b"][...] = before + dy.mean(axis=(0, 1, 2))
        return dx


WRONG = {
    "a factor forgotten": Wrong("YourLogistic", HalfLogistic, says="the factor y is missing"),
    "derivative of tanh": Wrong("YourLogistic", LogisticAsTanh, says="slope of tanh"),
    "kernel not turned": Wrong("YourConv", Turned, says="you turned the kernel"),
    "overwritten": Wrong("YourConv", Overwriting, says="you overwrote it"),
    "mean in place of sum": Wrong("YourConv", Mean, says="where the sum is wanted"),
}
