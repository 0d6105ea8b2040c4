"""Solutions of tutorial 19's exercises, and typical wrong answers."""

import numpy as np
from course.grading import Wrong

from tinympcnn import Fragment, Layer, Skip


class YourFragment(Layer):
    """Each pixel goes to the fragment of its offset, and comes back from there."""

    splits = True

    def __init__(self, k):
        super().__init__()
        self.k = self.step = k

    def forward(self, x, train=True):
        """Return the storage of all offsets."""
        (kh, kw), K = self.k, self.k[0] * self.k[1]
        self.cache = x.shape if train else None
        y = np.empty((len(x) * K, x.shape[1] // kh, x.shape[2] // kw, x.shape[3]), x.dtype)
        for i, (r, c) in enumerate(np.ndindex(kh, kw)):
            y[i::K] = x[:, r::kh, c::kw]
        return y

    def backward(self, dy):
        """Return the fragments in their places again."""
        (kh, kw), K = self.k, self.k[0] * self.k[1]
        dx = np.empty(self.take_cache(), dy.dtype)
        for i, (r, c) in enumerate(np.ndindex(kh, kw)):
            dx[:, r::kh, c::kw] = dy[i::K]
        return dx


class YourSkip(Skip):
    """Both ways of x bring a gradient back."""

    def backward(self, dy):
        """Return the gradient through the inner layers plus the one past them."""
        C, _ = self.take_cache()
        dx = self.inner.backward(dy[..., C:])
        top, left = self.window[0] // 2, self.window[1] // 2
        dx[:, top : top + dy.shape[1], left : left + dy.shape[2]] += dy[..., :C]
        return dx


def rows_after(layers, H):
    """Follow the rows through the layers; 0 where a pool leaves rows over."""
    for layer in layers:
        if isinstance(layer, list):
            H = rows_after(layer, H)
        elif layer[0] == "C":
            H = H - layer[1] + 1
        elif layer[0] == "U":
            H = H * layer[1]
        elif H % layer[1] == 0:
            H = H // layer[1]
        else:
            return 0
    return H


def alignment(layers, scale=1):
    """Return the largest number of image pixels, along an axis, that one pixel of any layer stands for."""
    most = scale
    for layer in layers:
        if isinstance(layer, list):
            most = max(most, alignment(layer, scale))
        elif layer[0] == "MP":
            scale *= layer[1]
        elif layer[0] == "U":
            scale //= layer[1]
        most = max(most, scale)
    return most


class _ByColumns(YourFragment):
    def forward(self, x, train=True):
        (kh, kw), K = self.k, self.k[0] * self.k[1]
        y = super().forward(x, train)
        for i, (c, r) in enumerate(np.ndindex(kw, kh)):
            y[i::K] = x[:, r::kh, c::kw]
        return y


class _OffsetsFirst(YourFragment):
    def forward(self, x, train=True):
        super().forward(x, train)
        return np.concatenate([x[:, r :: self.k[0], c :: self.k[1]] for r, c in np.ndindex(*self.k)])


class _Blocks(YourFragment):
    def forward(self, x, train=True):
        y, (h, w), K = super().forward(x, train), (n // k for n, k in zip(x.shape[1:3], self.k, strict=True)), 0
        K = self.k[0] * self.k[1]
        for i, (r, c) in enumerate(np.ndindex(*self.k)):
            y[i::K] = x[:, r * h : r * h + h, c * w : c * w + w]
        return y


class _LastOffset(YourFragment):
    def backward(self, dy):
        shape, (kh, kw), K = self.take_cache(), self.k, self.k[0] * self.k[1]
        for i, (r, c) in enumerate(np.ndindex(kh, kw)):
            dx = np.zeros(shape, dy.dtype)
            dx[:, r::kh, c::kw] = dy[i::K]
        return dx


class _BackByColumns(YourFragment):
    def backward(self, dy):
        kh, kw = self.k
        turned = dy.reshape(-1, kw, kh, *dy.shape[1:]).swapaxes(1, 2).reshape(dy.shape)
        layer = Fragment(self.k)
        layer.cache = self.take_cache()
        return layer.backward(turned)


class _Through(Skip):
    def backward(self, dy):
        C, _ = self.take_cache()
        return self.inner.backward(dy[..., C:])


class _Past(Skip):
    def backward(self, dy):
        C, _ = self.take_cache()
        dx = 0 * self.inner.backward(dy[..., C:])
        top, left = self.window[0] // 2, self.window[1] // 2
        dx[:, top : top + dy.shape[1], left : left + dy.shape[2]] = dy[..., :C]
        return dx


class _Assigns(Skip):
    def backward(self, dy):
        C, _ = self.take_cache()
        dx = self.inner.backward(dy[..., C:])
        top, left = self.window[0] // 2, self.window[1] // 2
        dx[:, top : top + dy.shape[1], left : left + dy.shape[2]] = dy[..., :C]
        return dx


class _OddWindows(Skip):
    def backward(self, dy):
        C, _ = self.take_cache()
        dx = self.inner.backward(dy[..., C:])
        top, left = self.window[0] // 2, self.window[1] // 2
        dx[:, top:-top, left:-left] += dy[..., :C]
        return dx


class _Corner(Skip):
    def backward(self, dy):
        C, _ = self.take_cache()
        dx = self.inner.backward(dy[..., C:])
        dx[:, : dy.shape[1], : dy.shape[2]] += dy[..., :C]
        return dx


def _never_zero(layers, H):
    for layer in layers:
        if isinstance(layer, list):
            H = _never_zero(layer, H)
        else:
            H = {"C": H - layer[1] + 1, "MP": H // layer[1], "U": H * layer[1]}[layer[0]]
    return H


def _flat(layers):
    return [pair for layer in layers for pair in (_flat(layer) if isinstance(layer, list) else [layer])]


def _as_large_as_its_input(layers, H):
    return rows_after([layer for layer in layers if not isinstance(layer, list)], H)


def _all_pools(layers):
    return int(np.prod([k for kind, k in _flat(layers) if kind == "MP"], dtype=int))


def _largest_pool(layers):
    return max([k for kind, k in _flat(layers) if kind == "MP"], default=1)


WRONG = {
    "by columns": Wrong("YourFragment", _ByColumns, "counted by columns"),
    "offsets first": Wrong("YourFragment", _OffsetsFirst, "offsets come before the source fragments"),
    "blocks": Wrong("YourFragment", _Blocks, "blocks of neighbouring pixels"),
    "the last offset": Wrong("YourFragment", _LastOffset, "only the last offset arrives"),
    "back by columns": Wrong("YourFragment", _BackByColumns, "by columns on the way back"),
    "through only": Wrong("YourSkip", _Through, "past the inner layers is missing"),
    "past only": Wrong("YourSkip", _Past, "through the inner layers is missing"),
    "assigns": Wrong("YourSkip", _Assigns, "must be added (+=)"),
    "odd windows": Wrong("YourSkip", _OddWindows, "let it end at t + dy.shape[1]"),
    "corner": Wrong("YourSkip", _Corner, "self.window[0] // 2 rows from the top"),
    "never 0": Wrong("rows_after", _never_zero, "makes the answer 0"),
    "as large as its input": Wrong("rows_after", _as_large_as_its_input, "cropped to fit"),
    "largest pool": Wrong("alignment", _largest_pool, "pools inside one another multiply"),
    "all pools": Wrong("alignment", _all_pools, "U undoes a pool"),
}
