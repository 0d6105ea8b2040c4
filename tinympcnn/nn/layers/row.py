"""What layers in a row do to the size of an image: the sizes that fit, the number of outputs, and what an output sees.

A layer knows its own sizes (`Layer.sizes_before`, `Layer.seen`); a row goes through its layers. Three cases differ:

- Layers with fragments take every size, because the image is padded. Each output depends on its window alone.
- MaxPool without Upsample makes a patch net, which takes every size from its field of view up.
- MaxPool and Upsample, as in a U-Net, take only the sizes that divide in every layer. Moving the image by multiples of
  the `grid` moves the outputs; moving it by another number of pixels changes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from math import lcm, prod

import numpy as np

from tinympcnn.engine import get_threads
from tinympcnn.engine.backend import Pair, Shape
from tinympcnn.errors import UsageError
from tinympcnn.nn.geometry import Sizes
from tinympcnn.nn.layers.base import Layer

ANY = Sizes(1, 1)
GROUP = 1 << 22  # numbers of a storage, for each thread, up to which its fragments stay together: they are work enough
MOST_PHASES = 1 << 16  # how many times layers may enlarge a map; a row with more is a typing error


class LayerRow:
    """Layers in the order in which they are applied, which stay as they are: sizes are worked out once.

    All pairs are (rows, columns).

    Examples
    --------
    >>> from tinympcnn.nn.layers import Conv, MaxPool, MaxPoolFragment, Upsample
    >>> LayerRow([Conv(1, 1, 3), MaxPoolFragment(2), Conv(1, 1, (2, 1))]).field_of_view
    (6, 4)
    >>> row = LayerRow([Conv(1, 1, 3), MaxPool(2), Conv(1, 1, 3), Upsample(2)])
    >>> row.field_of_view, row.window, row.grid, row.sizes(axis=0)
    ((8, 8), (7, 7), (2, 2), Sizes(first=8, period=2))
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)
        if not self.layers or not all(isinstance(layer, Layer) for layer in self.layers):
            raise UsageError(f"a net is made of one or more layers, not of {layers!r}")

    @property
    def in_maps(self) -> int | None:
        """The number of maps that the layers take; None for any number."""
        return next((layer.in_maps for layer in self.layers if layer.in_maps), None)

    @cached_property
    def pools(self) -> list[Pair]:
        """The pools (kh, kw) of the layers that make fragments, in order."""
        return [pool for layer in self.layers for pool in layer.pools]

    @cached_property
    def split_step(self) -> Pair:
        """The product of `pools`: the numbers of dense outputs are multiples of it."""
        return _product(self.pools)

    @cached_property
    def last_split(self) -> int:
        """The number of layers up to the last one that makes fragments; of all layers, if none does."""
        return max((i + 1 for i, layer in enumerate(self.layers) if layer.splits), default=len(self.layers))

    @cached_property
    def comes_up(self) -> bool:
        """Whether one of the layers, or a layer inside them, enlarges maps."""
        return any(layer.up != (1, 1) for layer in every(self.layers))

    @cached_property
    def stride(self) -> Pair:
        """The distance in the image between neighbouring outputs: 1 where fragments fill it."""
        steps, split = _product(layer.step for layer in self.layers), self.split_step
        up = _product(layer.up for layer in self.layers)
        if max(up) > MOST_PHASES:
            raise UsageError(f"the layers enlarge maps by {up[0]}x{up[1]}; {MOST_PHASES} is the most")
        down = steps[0] // split[0], steps[1] // split[1]
        if up not in ((1, 1), down):
            raise UsageError(
                f"the layers shrink maps by {down[0]}x{down[1]} and enlarge them by {up[0]}x{up[1]}; a net comes back "
                "to the size of its image: let every Upsample undo a MaxPool"
            )
        return down if up == (1, 1) else (1, 1)

    @cached_property
    def field_of_view(self) -> Pair:
        """The window of the image that one output pixel sees; behind Upsample, the largest window of any output."""
        up = _product(layer.up for layer in every(self.layers))
        ends = [self.seen(np.arange(phases), np.arange(phases), axis) for axis, phases in enumerate(up)]
        rows, columns = (int((last - first).max()) + 1 for first, last in ends)
        return rows, columns

    def seen(self, first: np.ndarray, last: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last pixel along an axis that the outputs from `first` to `last` see."""
        for layer in reversed(self.layers):
            first, last = layer.seen(first, last, axis)
        return first, last

    @cached_property
    def alignment(self) -> Pair:
        """The multiples by which an image moves so that it moves by whole pixels in every layer."""
        return _alignment(self.layers, (Fraction(1), Fraction(1)))

    @cached_property
    def grid(self) -> Pair:
        """The multiples by which an image moves so that its outputs move with it, unchanged; 1 without Upsample."""
        return self.alignment if self.comes_up else (1, 1)

    def sizes(self, axis: int, outputs: Sizes = ANY) -> Sizes:
        """Return the sizes along an axis that divide evenly in every layer, for numbers of `outputs` at the end."""
        for layer in reversed(self.layers):
            outputs = layer.sizes_before(outputs, axis)
        return outputs

    @cached_property
    def smallest_image(self) -> Pair:
        """The smallest size that needs no padding."""
        return self.sizes(0).first, self.sizes(1).first

    @cached_property
    def window(self) -> Pair:
        """The window (P, Q) that leaves H - P + 1 of H rows: `field_of_view`, unless layers enlarge maps."""
        first = self.smallest_image
        rows, columns = first
        for layer in self.layers:
            rows, columns = layer.length_after(rows, 0), layer.length_after(columns, 1)
        return first[0] - rows * self.split_step[0] + 1, first[1] - columns * self.split_step[1] + 1

    def fitted_size(self, size: Pair) -> Pair:
        """Return the smallest size, from `size` up, of an image that the layers take."""
        return (self.sizes(0).at_least(size[0]), self.sizes(1).at_least(size[1])) if self.comes_up else size

    def padded_size(self, size: Pair) -> Pair:
        """Return the size to which an image is padded, at the bottom and right, so that every layer divides evenly.

        An output that is kept never sees a padded pixel, because its window lies inside the image. Behind Upsample
        that does not hold, so nothing is padded there. UsageError names sizes that work, if this one does not.
        """
        least = self.smallest_image if self.comes_up else self.window
        if size[0] < least[0] or size[1] < least[1]:
            what = "smallest image" if self.comes_up else "field of view"
            raise UsageError(
                f"an image of {size[0]}x{size[1]} pixels is smaller than the net's {what} of {least[0]}x{least[1]}; "
                "use a larger image, or net.segment, which mirrors the borders"
            )
        if self.stride != (1, 1):
            return size
        fit = self.sizes(0), self.sizes(1)
        padded = fit[0].at_least(size[0]), fit[1].at_least(size[1])
        if self.comes_up and padded != size:
            raise UsageError(
                f"an image of {size[0]}x{size[1]} does not divide evenly in the pools of the net; "
                f"{fit[0].near(size[0])} rows and {fit[1].near(size[1])} columns would (net.segment mirrors the "
                "borders up to such a size)"
            )
        return padded

    def shapes(self, shape: Shape) -> list[Shape]:
        """Return the shape of the input storage of every layer for an input of `shape`, and of the last output."""
        found = [(shape[0], *self.padded_size(shape[1:3]), shape[3])]
        for layer in self.layers:
            found.append(layer.output_shape(found[-1]))
        return found


def group_size(before: Shape, behind: Sequence[Shape]) -> int:
    """Return how many fragments of the storage `before` go together through the layers that make those `behind`.

    Behind the last pool stand the widest layers of a net, such as FC200 of N4. A group of fragments takes no more
    memory there than all fragments took before.
    """
    most = max(prod(before), GROUP * get_threads())
    return min(before[0], max(1, before[0] * most // max(map(prod, behind), default=1)))


def every(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Yield the layers, and before each layer those inside it."""
    for layer in layers:
        yield from every(layer.layers)
        yield layer


def _alignment(layers: Sequence[Layer], scale: tuple[Fraction, Fraction]) -> Pair:
    """Return `LayerRow.alignment` for an input of which one pixel is `scale` pixels of the image."""
    found = (1, 1)
    for layer in layers:
        inside = _alignment(layer.layers, scale)
        scale = scale[0] * layer.step[0] / layer.up[0], scale[1] * layer.step[1] / layer.up[1]
        found = lcm(found[0], inside[0], scale[0].numerator), lcm(found[1], inside[1], scale[1].numerator)
    return found


def _product(pairs: Iterable[Pair]) -> Pair:
    rows, columns = zip((1, 1), *pairs, strict=True)
    return prod(rows), prod(columns)
