"""What a row of layers does to the size of an image, before any arithmetic: field of view, stride, storages, work."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from tinympcnn import engine
from tinympcnn.engine.backend import Pair, Shape
from tinympcnn.nn.geometry import padded_outputs
from tinympcnn.nn.layers import Layer


class Row(NamedTuple):
    """One row of a plan: a layer, the storage it makes, its parameters and the work of one forward pass."""

    layer: Layer
    shape: Shape
    n_params: int
    flop: int


def field_of_view(layers: Sequence[Layer]) -> Pair:
    """Return the window (rows, columns) of the image that one output pixel sees.

    From the last layer back: v outputs next to each other look ``step`` apart and ``window`` wide,
    so they see ``(v - 1) * step + window`` pixels.

    Examples
    --------
    >>> from tinympcnn.nn.layers import Conv, MaxPoolFragment
    >>> field_of_view([Conv(1, 1, 3), MaxPoolFragment(2), Conv(1, 1, (2, 1))])
    (6, 4)
    """
    rows, columns = 1, 1
    for layer in reversed(layers):
        rows = (rows - 1) * layer.step[0] + layer.window[0]
        columns = (columns - 1) * layer.step[1] + layer.window[1]
    return rows, columns


def stride(layers: Sequence[Layer]) -> Pair:
    """Return the distance (rows, columns) in the image between neighbouring outputs: 1 where fragments fill it."""
    steps, split = _product([layer.step for layer in layers]), split_step(layers)
    return steps[0] // split[0], steps[1] // split[1]


def pools(layers: Sequence[Layer]) -> list[Pair]:
    """Return the pools (kh, kw) of the layers that make fragments, in order."""
    return [pool for layer in layers for pool in layer.pools]


def split_step(layers: Sequence[Layer]) -> Pair:
    """Return the product of `pools`: the numbers of dense outputs (rows, columns) are multiples of it."""
    return _product(pools(layers))


def in_maps(layers: Sequence[Layer]) -> int:
    """Return the number of maps of the images that the layers take."""
    return next((layer.in_maps for layer in layers if layer.in_maps), 1)


def padded_size(layers: Sequence[Layer], size: Pair) -> Pair:
    """Return the size to which an image is padded, at the bottom and right, so that every layer divides evenly."""
    P, Q = field_of_view(layers)
    rows, columns = padded_outputs(size, (P, Q), split_step(layers))
    return rows + P - 1, columns + Q - 1


def smallest_image(layers: Sequence[Layer]) -> Pair:
    """Return the smallest size that needs no padding."""
    return padded_size(layers, field_of_view(layers))


def plan(layers: Sequence[Layer], size: Pair, images: int = 1) -> list[Row]:
    """Return, layer by layer, the storage that `images` images of `size` lead to.

    Raises
    ------
    UsageError
        If the images are too small or a layer does not take the maps it gets.
    """
    shape: Shape = (images, *padded_size(layers, size), in_maps(layers))
    rows = []
    for layer in layers:
        flop = layer.flop(shape)
        shape = layer.output_shape(shape)
        rows.append(Row(layer, shape, sum(param.size for param in layer.params.values()), flop))
    return rows


def block_bytes(rows: Sequence[Row], itemsize: int) -> int:
    """Return the bytes that all threads of a CPU take at most for the blocks in which they work."""
    return max((row.layer.block_bytes(row.shape, itemsize) for row in rows), default=0) * engine.get_threads()


def table(layers: Sequence[Layer]) -> str:
    """Return the layers as a table: name, maps, kernel, fragments, size, parameters."""
    size, (P, Q), (s, t) = smallest_image(layers), field_of_view(layers), stride(layers)
    rows = plan(layers, size)
    lines = [f"{'layer':>5}  {'':<24}{'maps':>6}{'fragments':>11}{'size':>9}{'parameters':>12}"]
    for i, row in enumerate(rows):
        F, h, w, maps = row.shape
        window = "x".join(map(str, row.layer.window)) if row.layer.window != (1, 1) else ""
        name = f"{type(row.layer).__name__} {window}"
        lines.append(f"{i:>5}  {name:<24}{maps:>6}{F:>11}{f'{h}x{w}':>9}{row.n_params or '':>12}".rstrip())
    n_params = sum(row.n_params for row in rows)
    lines.append(
        f"{n_params:,} parameters, field of view {P}x{Q}, stride {s}x{t} (sizes for an image of {size[0]}x{size[1]})"
    )
    return "\n".join(lines)


def _product(pairs: Sequence[Pair]) -> Pair:
    return prod(p[0] for p in pairs), prod(p[1] for p in pairs)
