"""Solutions of tutorial 08, and wrong answers that its verdicts must name."""

import numpy as np
from course.grading import Wrong

from tinympcnn import Layer, MaxPool
from tinympcnn.nn.geometry import fragmented, pair


def fragment_index(f, r, c, k):
    """Return the number of the fragment that source fragment f gives at offset (r, c), for a pool k = (kh, kw)."""
    return f * k[0] * k[1] + r * k[1] + c


class YourMaxPoolFragment(Layer):
    """Algorithm 3 with a plain MaxPool for each offset: fragment i of the storage has offset i % (kh*kw)."""

    splits = True

    def __init__(self, k):
        super().__init__()
        self.k = self.window = self.step = pair(k, "k")

    def as_patch(self):
        """Return the layer of the patch net."""
        return MaxPool(self.k)

    def output_shape(self, shape):
        """Return (F*kh*kw, h, w, C)."""
        F, H, W, C = shape
        h, w = fragmented((H, W), self.k, "YourMaxPoolFragment")
        return F * self.k[0] * self.k[1], h, w, C

    def offsets(self):
        """Return the offsets in the order of their fragments."""
        return [(r, c) for r in range(self.k[0]) for c in range(self.k[1])]

    def forward(self, x, train=True):
        """Return the storage of fragments."""
        self.cache = x if train else None
        y = np.empty(self.output_shape(x.shape), x.dtype)
        for j, (r, c) in enumerate(self.offsets()):
            y[j :: len(self.offsets())] = MaxPool(self.k).forward(x[:, r:, c:])
        return y


class _ByColumns(YourMaxPoolFragment):
    def offsets(self):
        return [(r, c) for c in range(self.k[1]) for r in range(self.k[0])]


class _NotMoved(YourMaxPoolFragment):
    def offsets(self):
        return [(0, 0)] * (self.k[0] * self.k[1])


class _OffsetsFirst(YourMaxPoolFragment):
    def forward(self, x, train=True):
        y = super().forward(x, train)
        return y.reshape(len(x), -1, *y.shape[1:]).swapaxes(0, 1).reshape(y.shape)


class _Blocks(YourMaxPoolFragment):
    def forward(self, x, train=True):
        y = super().forward(x, train)
        (kh, kw), (h, w, C) = self.k, y.shape[1:]
        everywhere = y.reshape(-1, kh, kw, h, w, C).transpose(0, 3, 1, 4, 2, 5)
        return everywhere.reshape(-1, kh, h, kw, w, C).swapaxes(2, 3).reshape(y.shape)


class _OneSource(YourMaxPoolFragment):
    def output_shape(self, shape):
        return super().output_shape((1, *shape[1:]))


WRONG = {
    "columns first": Wrong("fragment_index", lambda f, r, c, k: f * k[0] * k[1] + c * k[0] + r, "counted by columns"),
    "kh for kw": Wrong("fragment_index", lambda f, r, c, k: f * k[0] * k[1] + r * k[0] + c, "kw of them, not kh"),
    "fragments by columns": Wrong("YourMaxPoolFragment", _ByColumns, "counted by columns"),
    "one offset only": Wrong("YourMaxPoolFragment", _NotMoved, "did not move"),
    "offsets before sources": Wrong("YourMaxPoolFragment", _OffsetsFirst, "offsets come before the source fragments"),
    "blocks": Wrong("YourMaxPoolFragment", _Blocks, "blocks of neighbouring positions"),
    "one source only": Wrong("YourMaxPoolFragment", _OneSource, "output_shape: (6,"),
}
