"""Solution of tutorial 05, and typical wrong answers."""

import numpy as np
from course.grading import Wrong

from tinympcnn import Layer


class YourMaxPool(Layer):
    """Max-pooling with the windows as an axis of their own."""

    def __init__(self, k):
        super().__init__()
        self.k = k
        self.window = self.step = (k, k)

    def windows(self, x):
        """Return the values of every window, (F, h, w, C, k * k)."""
        F, H, W, C = x.shape
        k, h, w = self.k, H // self.k, W // self.k
        grid = x[:, : k * h, : k * w].reshape(F, h, k, w, k, C)
        return grid.transpose(0, 1, 3, 5, 2, 4).reshape(F, h, w, C, k * k)

    def forward(self, x, train=True):
        """Return the maxima."""
        windows = self.windows(x)
        y = windows.max(axis=-1)
        winners = windows.argmax(axis=-1)
        self.cache = (x.shape, winners) if train else None
        return y

    def spread(self, routed, winners, dy):
        """Write dy into `routed`, at the winners."""
        np.put_along_axis(routed, winners[..., None], dy[..., None], axis=-1)

    def backward(self, dy):
        """Return dx."""
        (F, H, W, C), winners = self.take_cache()
        k, (h, w) = self.k, dy.shape[1:3]
        routed = np.zeros((F, h, w, C, k * k), dy.dtype)
        self.spread(routed, winners, dy)
        dx = np.zeros((F, H, W, C), dy.dtype)
        dx[:, : k * h, : k * w] = (
            routed.reshape(F, h, w, C, k, k).transpose(0, 1, 4, 2, 5, 3).reshape(F, k * h, k * w, C)
        )
        return dx


class ToAll(YourMaxPool):
    """Sends the gradient to every pixel of the window."""

    def spread(self, routed, winners, dy):
        """Ignore the winners."""
        routed[...] = dy[..., None]


class ToFirst(YourMaxPool):
    """Sends the gradient to the first pixel of the window."""

    def spread(self, routed, winners, dy):
        """Ignore the winners."""
        routed[..., 0] = dy


class Ones(YourMaxPool):
    """Forgets the upstream gradient."""

    def spread(self, routed, winners, dy):
        """Write ones at the winners."""
        np.put_along_axis(routed, winners[..., None], 1, axis=-1)


class Average(YourMaxPool):
    """Takes the mean where the maximum is wanted."""

    def forward(self, x, train=True):
        """Return the means."""
        super().forward(x, train)
        return self.windows(x).mean(axis=-1)


class ToEqual(YourMaxPool):
    """Sends the gradient to all pixels that equal the maximum: the mistake of step 4."""

    def forward(self, x, train=True):
        """Return the maxima; keep which pixels equal them."""
        y, windows = super().forward(x, train), self.windows(x)
        self.cache = (x.shape, windows == y[..., None])
        return y

    def spread(self, routed, winners, dy):
        """Write dy to every one of them."""
        routed[...] = winners * dy[..., None]


class LastOfTies(YourMaxPool):
    """Lets the last of several equal pixels win."""

    def forward(self, x, train=True):
        """Return the maxima."""
        y, windows = super().forward(x, train), self.windows(x)
        self.cache = (x.shape, windows.shape[-1] - 1 - windows[..., ::-1].argmax(axis=-1))
        return y


WRONG = {
    "to every pixel": Wrong("YourMaxPool", ToAll, says="have not won"),
    "to the first pixel": Wrong("YourMaxPool", ToFirst, says="have not won"),
    "to all that are equal": Wrong("YourMaxPool", ToEqual, says="arrives more than once"),
    "the last of ties": Wrong("YourMaxPool", LastOfTies, says="the first in reading order wins"),
    "upstream gradient forgotten": Wrong("YourMaxPool", Ones, says="dy has no part in it"),
    "mean in place of maximum": Wrong("YourMaxPool", Average, says="the mean of the window"),
}
