"""Solutions of tutorial 10, and wrong answers that its verdicts must name."""

import numpy as np
from course.exercises import solutions
from course.grading import Wrong

from tinympcnn import MaxPool


def your_gradient(x, dy):
    """Sum over the fragments."""
    dW = np.zeros((x.shape[3], dy.shape[3]))
    for f, delta in zip(x, dy, strict=True):
        dW += f.reshape(-1, f.shape[2]).T @ delta.reshape(-1, delta.shape[2])
    return dW


def _last(x, dy):
    for f, delta in zip(x, dy, strict=True):
        dW = f.reshape(-1, f.shape[2]).T @ delta.reshape(-1, delta.shape[2])
    return dW


class YourMaxPoolFragment(solutions("08").YourMaxPoolFragment):
    """The forward pass of 08, and Algorithm 4: within one offset windows do not overlap, between offsets they add."""

    def backward(self, dy):
        """Add what comes back through a plain MaxPool for each offset."""
        x, (kh, kw) = self.take_cache(), self.k
        dx = np.zeros_like(x, dtype=dy.dtype)
        for i, (r, c) in enumerate(np.ndindex(kh, kw)):
            pool = MaxPool(self.k)
            pool.forward(x[:, r:, c:])
            dx[:, r:, c:] += pool.backward(dy[i :: kh * kw])
        return dx


class _Codes(YourMaxPoolFragment):
    """The forward pass that keeps the numbers of the winning taps, for the wrong answers below."""

    def taps(self, array, n, h, w):
        """Return for offset number n the kh*kw strided views of `array`, one for each tap of the windows."""
        (kh, kw), (r, c) = self.k, divmod(n, self.k[1])
        return [
            array[:, r + i : r + i + kh * h : kh, c + j : c + j + kw * w : kw][:, :h, :w]
            for i in range(kh)
            for j in range(kw)
        ]

    def forward(self, x, train=True):
        """Return the storage of fragments; keep the codes of the winners."""
        y = np.empty(self.output_shape(x.shape), x.dtype)
        winners, K = np.empty(y.shape, int), self.k[0] * self.k[1]
        for n in range(K):
            taps = np.stack(self.taps(x, n, *y.shape[1:3]))
            y[n::K], winners[n::K] = taps.max(axis=0), taps.argmax(axis=0)
        self.cache = (x.shape, winners) if train else None
        return y

    def backward(self, dy):
        """Add each fragment's deltas to its source, at the winners."""
        shape, winners = self.take_cache()
        dx, K = np.zeros(shape, dy.dtype), self.k[0] * self.k[1]
        for n in range(K):
            for code, tap in enumerate(self.taps(dx, n, *dy.shape[1:3])):
                tap += dy[n::K] * (winners[n::K] == code)
        return dx


class _Overwrites(_Codes):
    def backward(self, dy):
        shape, winners = self.take_cache()
        dx, K = np.zeros(shape, dy.dtype), self.k[0] * self.k[1]
        for n in range(K):
            for code, tap in enumerate(self.taps(dx, n, *dy.shape[1:3])):
                tap[...] = np.where(winners[n::K] == code, dy[n::K], tap)
        return dx


class _Swapped(_Codes):
    def backward(self, dy):
        by_columns = dy.reshape(-1, *self.k[::-1], *dy.shape[1:]).swapaxes(1, 2)
        return super().backward(by_columns.reshape(dy.shape))


class _Cropped(_Codes):
    def backward(self, dy):
        shape, winners = self.take_cache()
        dx, K = np.zeros(shape, dy.dtype), self.k[0] * self.k[1]
        for n in range(K):
            for code, tap in enumerate(self.taps(dx, 0, *dy.shape[1:3])):
                tap += dy[n::K] * (winners[n::K] == code)
        return dx


class _EveryTap(_Codes):
    def backward(self, dy):
        shape, _ = self.take_cache()
        dx, K = np.zeros(shape, dy.dtype), self.k[0] * self.k[1]
        for n in range(K):
            for tap in self.taps(dx, n, *dy.shape[1:3]):
                tap += dy[n::K]
        return dx


class _LastOfTies(_Codes):
    def forward(self, x, train=True):
        y, K = super().forward(x), self.k[0] * self.k[1]
        winners = np.empty(y.shape, int)
        for n in range(K):
            winners[n::K] = K - 1 - np.stack(self.taps(x, n, *y.shape[1:3]))[::-1].argmax(axis=0)
        self.cache = (x.shape, winners)
        return y


class _AllOfTies(_Codes):
    def forward(self, x, train=True):
        y = super().forward(x)
        self.cache = x, y
        return y

    def backward(self, dy):
        x, y = self.take_cache()
        dx, K = np.zeros(x.shape, dy.dtype), self.k[0] * self.k[1]
        for n in range(K):
            for tap, pixel in zip(self.taps(dx, n, *y.shape[1:3]), self.taps(x, n, *y.shape[1:3]), strict=True):
                tap += dy[n::K] * (pixel == y[n::K])
        return dx


class _ByColumns(_Codes):
    def forward(self, x, train=True):
        y = super().forward(x, train)
        return y.reshape(len(x), *self.k, *y.shape[1:]).swapaxes(1, 2).reshape(y.shape)


WRONG = {
    "a mean": Wrong("your_gradient", lambda x, dy: your_gradient(x, dy) / len(x), "the mean over the fragments"),
    "the last fragment": Wrong("your_gradient", _last, "you assigned (=) where you must add (+=)"),
    "overwrites": Wrong("YourMaxPoolFragment", _Overwrites, "their gradients must be added (+=), not ="),
    "swapped": Wrong("YourMaxPoolFragment", _Swapped, "the order of the fragments is swapped"),
    "cropped places": Wrong("YourMaxPoolFragment", _Cropped, "counted in the cropped fragment"),
    "every tap": Wrong("YourMaxPoolFragment", _EveryTap, "those that have not won"),
    "the last of ties": Wrong("YourMaxPoolFragment", _LastOfTies, "the first in reading order wins"),
    "all of ties": Wrong("YourMaxPoolFragment", _AllOfTies, "arrives more than once"),
    "by columns": Wrong("YourMaxPoolFragment", _ByColumns, "counted by columns"),
}
