"""Fragment: a map is split into its offsets without a maximum. MaxPoolFragment is a maximum at stride 1, and then this.

Between Fragment layers, neighbouring pixels of a fragment lie far apart in the image. So convolutions between Fragment
layers, merged at the end, are the a trous (dilated) convolutions of the image: with pools of 2, of rates 1, 2, 4.
"""

from __future__ import annotations

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Shape, array_module
from tinympcnn.nn.fragments import merge, split
from tinympcnn.nn.geometry import divided
from tinympcnn.nn.layers.base import KLayer, register_layer


class _Steps(KLayer):
    """What Fragment and Subsample have in common: the step `k`, and windows of one pixel."""

    keeps = ""
    step = property(lambda self: self.k)


@register_layer
class Subsample(_Steps):
    """Every kh-th row and kw-th column: what Fragment does to the one window of a patch net.

    ::

        y[f, q, p]        = x[f, kh*q, kw*p]
        dx[f, kh*q, kw*p] = dy[f, q, p], and 0 elsewhere

    Examples
    --------
    >>> import numpy as np
    >>> Subsample(2).forward(np.arange(5.0).reshape(1, 1, 5, 1)).ravel()
    array([0., 2., 4.])
    """

    def as_image(self) -> Fragment:
        """Return the layer that keeps all offsets."""
        return Fragment(self.k)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (F, (H-1)//kh + 1, (W-1)//kw + 1, C)."""
        F, H, W, C = shape
        return (F, (H - 1) // self.k[0] + 1, (W - 1) // self.k[1] + 1, C)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the storage of the pixels that stay."""
        self.cache = x.shape if train else None
        return engine.contiguous(x[:, :: self.k[0], :: self.k[1]])

    def backward(self, dy: Array) -> Array:
        """Return dx, zero except where a pixel stayed."""
        shape = self.take_cache()
        self.check_dy(dy, self.output_shape(shape))
        dx: Array = array_module(dy).zeros(shape, dy.dtype)
        dx[:, :: self.k[0], :: self.k[1]] = dy
        return dx


@register_layer
class Fragment(_Steps):
    """The fragments of a map: one for each of the kh*kw offsets (r, c), with every kh-th row and kw-th column.

    ::

        y[f*kh*kw + r*kw + c, q, p] = x[f, kh*q + r, kw*p + c]
        dx[f, kh*q + r, kw*p + c]   = dy[f*kh*kw + r*kw + c, q, p]

    Every pixel goes to one place and comes back from it: forward is `split`, and backward is `merge`. A map of H x W
    splits if H % kh == 0 and W % kw == 0.

    Examples
    --------
    >>> import numpy as np
    >>> Fragment((1, 2)).forward(np.arange(4.0).reshape(1, 1, 4, 1))[..., 0].tolist()
    [[[0.0, 2.0]], [[1.0, 3.0]]]
    """

    splits = True
    letters, form = ("F",), "Fkxk"

    def as_patch(self) -> Subsample:
        """Return the layer that keeps offset (0, 0)."""
        return Subsample(self.k)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (F*kh*kw, H/kh, W/kw, C)."""
        F, H, W, C = shape
        return (F * self.k[0] * self.k[1], *divided((H, W), self.k, self), C)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the storage of F*kh*kw fragments."""
        self.output_shape(x.shape)
        self.cache = x.shape if train else None
        return split(x, [self.k])

    def backward(self, dy: Array) -> Array:
        """Return the fragments put together again."""
        self.check_dy(dy, self.output_shape(self.take_cache()))
        return merge(dy, [self.k])
