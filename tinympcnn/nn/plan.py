"""What a net will do with an image, before any arithmetic: the storage that every layer makes, its work, its memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, prod
from typing import NamedTuple

from tinympcnn import engine
from tinympcnn.engine.backend import Pair, Shape
from tinympcnn.nn.layers import Layer
from tinympcnn.nn.layers.row import LayerRow, group_size


class Row(NamedTuple):
    """One row of a plan: a layer, the storage it makes, its parameters, the work of a forward pass, and rows inside."""

    layer: Layer
    shape: Shape
    n_params: int
    flop: int
    inner: tuple[Row, ...] = ()


def plan(layers: LayerRow, shape: Shape) -> Iterator[Row]:
    """Yield, layer by layer, the storage that images of `shape` lead to, or raise UsageError."""
    shapes = layers.shapes(shape)
    for layer, before, after in zip(layers.layers, shapes, shapes[1:], strict=False):
        inner = tuple(plan(LayerRow(layer.layers), before)) if layer.layers else ()
        yield Row(layer, after, sum(param.size for param in layer.params.values()), layer.flop(before), inner)


def every(rows: Sequence[Row], at: str = "") -> Iterator[tuple[str, Row]]:
    """Yield all rows with their numbers, such as "3" and "3.1"; the rows inside a row come first, as they run first."""
    for i, found in enumerate(rows):
        yield from every(found.inner, f"{at}{i}.")
        yield f"{at}{i}", found


def working_items(rows: Sequence[Row], items: int) -> int:
    """Return the most numbers that storages hold together while an input of `items` is answered."""
    last = LayerRow([found.layer for found in rows]).last_split
    most = _most_items(rows[:last], items)
    if last == len(rows):
        return most
    before, behind = rows[last - 1].shape, [found.shape for found in rows[last:]]
    share = group_size(before, behind) / before[0]
    group = ceil(_most_items(rows[last:], prod(before)) * share)
    return max(most, group if share == 1 else prod(before) + prod(behind[-1]) + group)


def _most_items(rows: Sequence[Row], items: int) -> int:
    """Return the most numbers in the input and output of a layer while an input of `items` goes through.

    The input of a layer with layers inside is needed until they are done; then their output is put together, beside it.
    """
    most = items
    for found in rows:
        after = prod(found.shape)
        most = max(most, items + after)
        if found.inner:
            inside = prod(found.inner[-1].shape)
            most = max(most, items + working_items(found.inner, items), items + inside + max(inside, after))
        items = after
    return most


def block_bytes(rows: Sequence[Row], itemsize: int) -> int:
    """Return the bytes that all threads of a CPU take at most for the blocks in which they work."""
    return (
        max((found.layer.block_bytes(found.shape, itemsize) for _, found in every(rows)), default=0)
        * engine.get_threads()
    )


def table(layers: LayerRow, size: Pair | None = None) -> str:
    """Return the layers as a table: name, maps, fragments, size, parameters and, for images of a `size`, operations."""
    (P, Q), (s, t), (H, W) = layers.field_of_view, layers.stride, size or layers.smallest_image
    rows = list(plan(layers, (1, H, W, layers.in_maps or 1)))
    work = f"{'MFLOP':>11}" if size else ""
    lines = [f"{'layer':>5}  {'':<24}{'maps':>6}{'fragments':>11}{'size':>9}{'parameters':>12}{work}"]
    for number, found in every(rows):
        F, h, w, maps = found.shape
        window = "x".join(map(str, found.layer.window if found.layer.up == (1, 1) else found.layer.up))
        name = f"{type(found.layer).__name__} {'' if window == '1x1' else window}"
        work = f"{found.flop / 1e6:>11,.1f}" if size and found.flop else ""
        line = f"{number:>5}  {name:<24}{maps:>6}{F:>11}{f'{h}x{w}':>9}{found.n_params or '':>12}{work}"
        lines.append(line.rstrip())
    n_params = sum(found.n_params for found in rows)
    lines.append(f"{n_params:,} parameters, field of view {P}x{Q}, stride {s}x{t} (sizes for an image of {H}x{W})")
    return "\n".join(lines)
