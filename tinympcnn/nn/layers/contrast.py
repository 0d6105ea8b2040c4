"""Local contrast normalisation: the layer appends (x - local mean) / local deviation to the maps.

The layer is not in the paper. It helps under uneven lighting, such as that of the steel strip. Sources: Pinto, Cox,
DiCarlo, PLoS Comput. Biol. 4 (2008); Jarrett, Kavukcuoglu, Ranzato, LeCun, ICCV 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Shape, array_module
from tinympcnn.errors import UsageError
from tinympcnn.nn.geometry import correlated, count, pair
from tinympcnn.nn.layers.base import Layer, register_layer

FLOOR = 0.1  # the default floor of the deviation: a tenth of the deviation of normalised images


@register_layer
class LocalContrast(Layer):
    """Every map unchanged, followed by its local contrast: its distance from the local mean, in local deviations.

    The mean and the deviation are taken in a Gaussian window of kh x kw pixels, with weights ``w[i, j] = u[i] * v[j]``
    of sum 1 and a standard deviation of a quarter of the window. With x0 the pixel in the middle of the window::

        m[f, q, p]  = sum_ij w[i, j] * x[f, q+i, p+j]
        s2[f, q, p] = sum_ij w[i, j] * x[f, q+i, p+j]**2 - m[f, q, p]**2
        r           = 1 / sqrt(s2 + floor**2)
        y           = x0 in the first maps, z = (x0 - m) * r in the other half

    Through m and s2 each pixel has a part in z all over its surroundings. With dx0 and dz the two halves of dy::

        dm          = dz * r * (m * r * z - 1)
        ds2         = -dz * r**2 * z / 2
        dx[f, q, p] = dx0 + dz * r  at the middle, + sum_ij w[i, j] * (dm + 2 * x[f, q, p] * ds2)[f, q-i, p-j]

    where dm holds both the direct part of m and the part through s2.

    Parameters
    ----------
    in_maps : int
        The number of maps that come in; twice as many go out.
    window : int or (int, int)
        The size of the surroundings, (rows, columns). Both are odd, so that there is a middle.
    floor : float
        The deviation, in the units of the maps, below which contrast is hardly raised, which keeps noise on an even
        surface small. The maps are best normalised: of large squares, little is left in the difference s2.

    Examples
    --------
    >>> scratch = np.zeros((1, 5, 9, 1))
    >>> scratch[:, :, 4] = 1
    >>> layer = LocalContrast(1, 5)
    >>> bright, dark = layer.forward(9 * scratch), layer.forward(3 * scratch)
    >>> bright[0, 0, :, 0].round(1), bright[0, 0, :, 1].round(1), dark[0, 0, :, 1].round(1)
    (array([0., 0., 9., 0., 0.]), array([-0.2, -0.6,  1.2, -0.6, -0.2]), array([-0.2, -0.6,  1.2, -0.6, -0.2]))
    """

    in_maps: int
    letters, form = ("LC",), "LCkxk"

    def __init__(self, in_maps: int, window: int | Sequence[int], floor: float = FLOOR) -> None:
        super().__init__()
        self.in_maps, self.window, self.floor = count(in_maps, "in_maps"), pair(window, "window"), float(floor)
        self.out_maps = 2 * self.in_maps
        if not all(size % 2 for size in self.window):
            raise UsageError(f"the window of LocalContrast needs a middle: use odd sizes, such as 33, not {window!r}")
        if not 0 < self.floor < np.inf:
            raise UsageError(f"floor must be a positive number, such as 0.1, not {floor!r}")

    @classmethod
    def from_word(cls, sizes: tuple[int, ...], in_maps: int, rng: np.random.Generator) -> dict[str, Any]:
        """Return the arguments for LCkxk, or LCk for a square."""
        kh, kw = sizes if len(sizes) > 1 else sizes * 2
        return {"in_maps": in_maps, "window": (kh, kw)}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (F, H-kh+1, W-kw+1, 2*in_maps)."""
        F, H, W, C = shape
        self.check_maps(C)
        return (F, *correlated((H, W), self.window, self), 2 * C)

    def flop(self, shape: Shape) -> int:
        """Return two operations for each tap of both means, first along columns, then along rows."""
        F, h, w, maps = self.output_shape(shape)
        return 2 * F * h * maps * (self.window[0] * shape[2] + self.window[1] * w)

    def kept_bytes(self, shape: Shape) -> int:
        """Return the bytes of m and r, in float32."""
        return 4 * prod(shape)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the storage of maps and their contrasts, (F, H-kh+1, W-kw+1, 2*in_maps)."""
        F, h, w, maps = self.output_shape(x.shape)
        xp, C = array_module(x), self.in_maps
        y = engine.empty((F, h, w, maps), x)
        m, r = (engine.empty((F, h, w, C), x) for _ in range(2)) if train else (None, None)

        def contrast(block: engine.Block) -> None:
            f, q = block
            seen = x[f, q.start : q.stop + self.window[0] - 1]
            mean, square = self._mean(seen), self._mean(seen * seen)
            scale = 1 / xp.sqrt(xp.maximum(square - mean * mean, 0) + self.floor**2)
            y[f, q, :, :C] = self._middle(seen)
            y[f, q, :, C:] = (y[f, q, :, :C] - mean) * scale
            if m is not None and r is not None:
                m[f, q], r[f, q] = mean, scale

        engine.run(contrast, engine.cache_blocks(F, h, 4 * x.shape[2] * C, x))
        self.cache = (x, m, r) if train else None
        return y

    def backward(self, dy: Array) -> Array:
        """Return the gradient of the maps."""
        x, m, r = self.take_cache()
        self.check_dy(dy, self.output_shape(x.shape))
        xp, C = array_module(dy, x), self.in_maps
        dx0, dz = dy[..., :C], dy[..., C:]
        z = (self._middle(x) - m) * r
        kh, kw = self.window

        def spread(d: Array) -> Array:  # sum_ij w[i, j] * d[q-i, p-j]: the weights are symmetric
            return self._mean(xp.pad(d, ((0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1), (0, 0))))

        dx: Array = spread(dz * r * (m * r * z - 1)) - x * spread(dz * r * r * z)
        self._middle(dx)[...] += dx0 + dz * r
        return dx

    def _middle(self, x: Array) -> Array:
        """Return a view of the pixels whose whole surroundings lie in `x`."""
        (kh, kw), (H, W) = self.window, x.shape[1:3]
        return x[:, kh // 2 : H - kh // 2, kw // 2 : W - kw // 2]

    def _mean(self, x: Array) -> Array:
        """Return the weighted mean over the surroundings of each pixel of `_middle`: along columns, then along rows."""
        for axis, size in enumerate(self.window):
            n = x.shape[1 + axis] - size + 1
            taps = [x[:, i : i + n] if axis == 0 else x[:, :, i : i + n] for i in range(size)]
            mean = taps[0] * 0
            for weight, tap in zip(gaussian(size), taps, strict=True):
                mean += weight * tap
            x = mean
        return x


def gaussian(size: int) -> list[float]:
    """Return the weights of a Gaussian window of `size` pixels, with its ends at two standard deviations; sum 1.

    Examples
    --------
    >>> [round(weight, 3) for weight in gaussian(5)]
    [0.054, 0.244, 0.403, 0.244, 0.054]
    """
    place = np.linspace(-2, 2, size) if size > 1 else np.zeros(1)
    weights = np.exp(-(place**2) / 2)
    return [float(weight) for weight in weights / weights.sum()]
