"""Solutions of tutorial 04, and typical wrong answers."""

import numpy as np
from course.grading import Wrong

from tinympcnn import Conv, Tanh

MAPS = ([0, 1, 2], [0, 1, 2])


class MyLogistic(Tanh):
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


class HalfLogistic(MyLogistic):
    """Forgets one factor."""

    def backward(self, dy):
        """Return dy * (1 - y)."""
        return dy * (1 - self.take_cache())


class LogisticAsTanh(MyLogistic):
    """Takes the derivative of tanh."""

    def backward(self, dy):
        """Return dy * (1 - y**2)."""
        return dy * (1 - self.take_cache() ** 2)


class MyConv(Conv):
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


class Unturned(Conv):
    """Takes the taps in the wrong order for dx."""

    def backward(self, dy):
        """Use W[kh-1-i, kw-1-j] where W[i, j] belongs."""
        dx = np.zeros_like(self.cache)
        W, (kh, kw), (h, w) = self.params["W"], self.kernel, dy.shape[1:3]
        super().backward(dy, input_grad=False)
        for i in range(kh):
            for j in range(kw):
                dx[:, i : i + h, j : j + w] += dy @ W[kh - 1 - i, kw - 1 - j].T
        return dx


class Overwriting(MyConv):
    """Assigns the gradients instead of adding to them."""

    def backward(self, dy):
        """Start from zero each time."""
        for grad in self.grads.values():
            grad[...] = 0
        return super().backward(dy)


class Mean(MyConv):
    """Takes the mean over the output pixels for db."""

    def backward(self, dy):
        """Divide what is added to db by the number of pixels."""
        before = self.grads["b"].copy()
        dx = super().backward(dy)
        self.grads["b"][...] = before + dy.mean(axis=(0, 1, 2))
        return dx


WRONG = {
    "a factor forgotten": Wrong("MyLogistic", HalfLogistic, says="the factor y is missing"),
    "derivative of tanh": Wrong("MyLogistic", LogisticAsTanh, says="gradient of x"),
    "kernel not turned": Wrong("MyConv", Unturned, says="the taps are not flipped"),
    "overwritten": Wrong("MyConv", Overwriting, says="you overwrote it"),
    "mean in place of sum": Wrong("MyConv", Mean, says="where the sum is wanted"),
}
