"""Solution of tutorial 05, and typical wrong answers."""

import numpy as np
from course.grading import Wrong

from tinympcnn import Layer


class MyMaxPool(Layer):
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


class ToAll(MyMaxPool):
    """Sends the gradient to every pixel of the window."""

    def spread(self, routed, winners, dy):
        """Ignore the winners."""
        routed[...] = dy[..., None]


class ToFirst(MyMaxPool):
    """Sends the gradient to the first pixel of the window."""

    def spread(self, routed, winners, dy):
        """Ignore the winners."""
        routed[..., 0] = dy


class Ones(MyMaxPool):
    """Forgets the upstream gradient."""

    def spread(self, routed, winners, dy):
        """Write ones at the winners."""
        np.put_along_axis(routed, winners[..., None], 1, axis=-1)


class Average(MyMaxPool):
    """Takes the mean where the maximum is wanted."""

    def forward(self, x, train=True):
        """Return the means."""
        super().forward(x, train)
        return self.windows(x).mean(axis=-1)


WRONG = {
    "to every pixel": Wrong("MyMaxPool", ToAll, says="have not won"),
    "to the first pixel": Wrong("MyMaxPool", ToFirst, says="have not won"),
    "upstream gradient forgotten": Wrong("MyMaxPool", Ones, says="dy has no part in it"),
    "mean in place of maximum": Wrong("MyMaxPool", Average, says="the mean of the window"),
}
