"""Skip: the maps of an input next to the maps that other layers make of it. A U-Net is Skips inside each other."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Shape
from tinympcnn.errors import UsageError
from tinympcnn.nn.geometry import Sizes
from tinympcnn.nn.layers.base import Convert, Layer, Shapes, describe, layer_class, rebuild, register_layer
from tinympcnn.nn.layers.chain import Chain

DEEPEST = 16  # skips inside each other


@register_layer
class Skip(Layer):
    """The cropped input and, behind its C maps, the maps that the inner layers make of it.

    With P x Q the window by which the inner layers make their input smaller::

        y  = concat(crop(x), inner(x))
        dx = inner.backward(dy[..., C:]) + uncrop(dy[..., :C])

    crop leaves out P // 2 rows at the top and P - 1 - P // 2 at the bottom, and columns alike. That is the library's
    rule for borders: the pixel that stays is the centre of the window. uncrop puts zeros there.

    The inner layers come back to the size of their input. MaxPool needs Upsample for that; Fragment and MaxPoolFragment
    do not, because their fragments are merged inside the Skip. A Skip around fragments is the same in a patch net.

    Examples
    --------
    >>> from tinympcnn.nn.layers import Conv, MaxPool, Upsample
    >>> skip = Skip([MaxPool(2), Conv(3, 5, 3, rng=0), Upsample(2)])
    >>> skip.window, skip.forward(np.ones((1, 12, 10, 3), np.float32)).shape
    ((5, 5), (1, 8, 6, 8))
    """

    keeps = ""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.cache = None
        self.depth: int = 1 + max((layer.depth for layer in layers if isinstance(layer, Skip)), default=0)
        if self.depth > DEEPEST:  # sizes are worked out from every layer for all layers inside it
            raise UsageError(f"skips lie inside each other at most {DEEPEST} deep")
        self.inner = Chain(layers)
        if self.inner.pools and self.inner.comes_up:
            raise UsageError("the inner layers of a skip make fragments, or come up again by U, but not both")
        if (steps := self.inner.stride) != (1, 1):
            raise UsageError(
                "the inner layers of a skip must come back to the size of their input, but they shrink it by "
                f"{steps[0]}x{steps[1]}: add U{steps[0]}x{steps[1]} at the end, or use MPF for MP"
            )
        self.window = self.inner.window

    def __repr__(self) -> str:
        return f"Skip({self.layers!r})"

    @property
    def layers(self) -> list[Layer]:  # type: ignore[override]
        """The inner layers."""
        return self.inner.layers

    @property
    def params(self) -> Mapping[str, Array]:  # type: ignore[override]
        """The parameters of the inner layers, with names such as "1.Conv.W"."""
        return self._named("params")

    @property
    def grads(self) -> Mapping[str, Array]:  # type: ignore[override]
        """The gradients of the inner layers, by the same names."""
        return self._named("grads")

    def _named(self, what: str) -> Mapping[str, Array]:
        return MappingProxyType({
            f"{i}.{type(layer).__name__}.{name}": array
            for i, layer in enumerate(self.layers)
            for name, array in getattr(layer, what).items()
        })  # fmt: skip

    @property
    def in_maps(self) -> int | None:  # type: ignore[override]
        """The number of maps that the inner layers take."""
        return self.inner.in_maps

    @property
    def out_maps(self) -> int | None:  # type: ignore[override]
        """The number of maps that come in, and of those that the inner layers make."""
        return self.output_shape((1, *self.inner.smallest_image, self.in_maps))[3] if self.in_maps else None

    def copied(self, param: Convert = lambda array: array, grad: Convert = lambda array: array) -> Self:
        """Return a copy whose inner layers are copies; see `Layer.copied`."""
        twin = copy.copy(self)
        twin.cache, twin.inner = None, Chain([layer.copied(param, grad) for layer in self.layers])
        return twin

    def config(self) -> dict[str, Any]:
        """Return the descriptions of the inner layers."""
        return {"layers": [describe(layer) for layer in self.layers]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the Skip whose inner layers are described."""
        return cls([rebuild(name, inner) for name, inner in config["layers"]])

    @classmethod
    def param_shapes(cls, config: dict[str, Any]) -> Shapes:
        """Return the shapes of the parameters of the inner layers."""
        return {
            f"{i}.{name}.{param}": shape
            for i, (name, inner) in enumerate(config["layers"])
            for param, shape in layer_class(name).param_shapes(inner).items()
        }

    def sizes_before(self, sizes: Sizes, axis: int) -> Sizes:
        """Return the input sizes that divide in the inner layers; every size, if they only make fragments."""
        return super().sizes_before(sizes, axis) if self.inner.pools else self.inner.sizes(axis, sizes)

    def seen(self, first: np.ndarray, last: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what the outputs from `first` to `last` see through the inner layers and past them."""
        through = super().seen(first, last, axis) if self.inner.pools else self.inner.seen(first, last, axis)
        before = self.window[axis] // 2
        return np.minimum(first + before, through[0]), np.maximum(last + before, through[1])

    def output_shape(self, shape: Shape) -> Shape:
        """Return (F, H-P+1, W-Q+1, C + inner maps)."""
        F, h, w, maps = self.inner.output_shape(shape)
        return (F, h, w, shape[3] + maps)

    def flop(self, shape: Shape) -> int:
        """Return the operations of the inner layers."""
        return sum(layer.flop(x) for layer, x in zip(self.layers, self.inner.shapes(shape), strict=False))

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the storage of both kinds of maps."""
        inner = self.inner.forward(x, train)
        F, h, w, maps = inner.shape
        C = x.shape[3]
        y = engine.empty((F, h, w, C + maps), x)
        engine.copy(self._crop(x, (h, w)), into=y[..., :C])
        engine.copy(inner, into=y[..., C:])
        self.cache = (C, y.shape) if train else None
        return y

    def backward(self, dy: Array) -> Array:
        """Add to the gradients of the inner layers, and return the gradient of the input."""
        dx = engine.contiguous(self._back(dy, input_grad=True))
        self._crop(dx, dy.shape[1:3])[...] += dy[..., : dx.shape[3]]
        return dx

    def backward_params(self, dy: Array) -> None:
        """Add to the gradients of the inner layers."""
        self._back(dy, input_grad=False)

    def _back(self, dy: Array, input_grad: bool) -> Any:
        C, shape = self.take_cache()
        self.check_dy(dy, shape)
        return self.inner.backward(engine.contiguous(dy[..., C:]), input_grad)

    def _crop(self, x: Array, size: tuple[int, ...]) -> Array:
        """Return the view of the pixels of `x` that have an output."""
        top, left = self.window[0] // 2, self.window[1] // 2
        return x[:, top : top + size[0], left : left + size[1]]
