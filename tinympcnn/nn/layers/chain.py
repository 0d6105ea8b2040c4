"""Layers in a row at work: pad the images, run the layers, merge the fragments, crop; and the same way back."""

from __future__ import annotations

from collections.abc import Sequence

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Pair, Shape
from tinympcnn.errors import UsageError
from tinympcnn.nn.fragments import merge, split
from tinympcnn.nn.layers.base import Layer
from tinympcnn.nn.layers.row import LayerRow, group_size


class Chain(LayerRow):
    """Layers in a row, from images (N, H, W, C) to dense outputs. A net is a chain, and so is the inside of a Skip."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        self._shapes: tuple[Shape, Shape, Shape] | None = None  # the last images, dense outputs and cropped outputs

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the dense outputs for images of `shape`, or raise UsageError."""
        N, H, W, _ = shape
        _, h, w, maps = self.shapes(shape)[-1]
        P, Q = self.window
        return (N, H - P + 1, W - Q + 1, maps) if self.pools else (N, h, w, maps)

    def forward(self, images: Array, train: bool = True, outputs: Pair | None = None) -> Array:
        """Return the dense outputs of images (N, H, W, C), or the first `outputs` (rows, columns) of them."""
        _, H, W, _ = images.shape
        x = padded(images, self.padded_size((H, W)))
        if not train:
            x = self._answer(x)
        else:
            for layer in self.layers:
                x = layer.forward(x)
        dense = merge(x, self.pools) if self.pools else x
        if outputs is None and self.pools:  # outputs that see the padding are cropped
            P, Q = self.window
            outputs = H - P + 1, W - Q + 1
        y = dense if outputs is None else dense[:, : outputs[0], : outputs[1]]
        self._shapes = (images.shape, dense.shape, y.shape) if train else None
        return y

    def _answer(self, x: Array) -> Array:
        """Return the output of all layers for `x`, without what `backward` needs.

        Behind the last pool nothing joins fragments, and groups of them go through one after the other: see
        `group_size`.
        """
        for layer in self.layers[: self.last_split]:
            x = layer.forward(x, False)
        rest, shapes = self.layers[self.last_split :], [x.shape]
        for layer in rest:
            shapes.append(layer.output_shape(shapes[-1]))
        n = group_size(shapes[0], shapes[1:])
        if n == len(x):
            for layer in rest:
                x = layer.forward(x, False)
            return x
        y = engine.empty(shapes[-1], x)
        for start in range(0, len(x), n):
            part = x[start : start + n]
            for layer in rest:
                part = layer.forward(part, False)
            y[start : start + n] = part
        return y

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Add to the gradients of all parameters, and return the gradient of the images if it is asked for."""
        if self._shapes is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a forward(images, train=True) before it")
        (_, H, W, _), dense, y = self._shapes
        if dy.shape != y:
            raise UsageError(f"the gradient of the outputs has shape {dy.shape}; the outputs had {y}")
        dy = padded(dy, dense[1:3])  # outputs that were cropped have no part in the loss
        dy = split(dy, self.pools) if self.pools else dy
        self._shapes = None
        lowest = 0 if input_grad else next((i for i, layer in enumerate(self.layers) if layer.params), 0)
        for layer in reversed(self.layers[lowest + 1 :]):
            dy = layer.backward(dy)
        if input_grad:
            return self.layers[0].backward(dy)[:, :H, :W]
        self.layers[lowest].backward_params(dy)
        for layer in self.layers[:lowest]:  # nothing below has parameters
            layer.cache = None
        return None


def padded(x: Array, size: Pair) -> Array:
    """Return `x` (N, H, W, C) with rows and columns of zeros at the bottom and right up to `size`."""
    N, H, W, C = x.shape
    if size == (H, W):
        return x
    y = engine.empty((N, *size, C), x)
    y[:, H:], y[:, :H, W:] = 0, 0
    y[:, :H, :W] = x
    return y
