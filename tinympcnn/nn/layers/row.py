"""What layers in a row do to the size of an image: the sizes that fit, the number of outputs, and what an output sees.

A layer knows its own sizes (`Layer.sizes_before`, `Layer.seen`). The functions here go through a row of layers, and
through the layers inside its layers. Three cases differ:

- Layers with fragments take every size, because the image is padded. Each output depends on its window alone.
- MaxPool without Upsample makes a patch net, which takes every size from its field of view up.
- MaxPool and Upsample, as in a U-Net, take only the sizes that divide in every layer. Moving the image by multiples of
  the `grid` moves the outputs; moving it by another number of pixels changes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import lcm, prod

import numpy as np

from tinympcnn.engine.backend import Pair, Shape
from tinympcnn.errors import UsageError
from tinympcnn.nn.geometry import Sizes
from tinympcnn.nn.layers.base import Layer

Layers = Sequence[Layer]
ANY = Sizes(1, 1)
MOST_PHASES = 1 << 16  # how many times layers may enlarge a map; a row with more is a typing error


def every(layers: Layers) -> Iterator[Layer]:
    """Yield the layers, and before each layer those inside it.

    Examples
    --------
    >>> from tinympcnn.nn.layers import MaxPool, Skip, Upsample
    >>> [type(layer).__name__ for layer in every([Skip([MaxPool(2), Upsample(2)])])]
    ['MaxPool', 'Upsample', 'Skip']
    """
    for layer in layers:
        yield from every(layer.layers)
        yield layer


def comes_up(layers: Layers) -> bool:
    """Return whether one of the layers, or a layer inside them, enlarges maps."""
    return any(layer.up != (1, 1) for layer in every(layers))


def in_maps(layers: Layers) -> int | None:
    """Return the number of maps that the layers take; None for any number."""
    return next((layer.in_maps for layer in layers if layer.in_maps), None)


def pools(layers: Layers) -> list[Pair]:
    """Return the pools (kh, kw) of the layers that make fragments, in order."""
    return [pool for layer in layers for pool in layer.pools]


def split_step(layers: Layers) -> Pair:
    """Return the product of `pools`: the numbers of dense outputs (rows, columns) are multiples of it."""
    return _product(pools(layers))


def stride(layers: Layers) -> Pair:
    """Return the distance (rows, columns) in the image between neighbouring outputs: 1 where fragments fill it.

    Raises
    ------
    UsageError
        If the layers enlarge maps too much, or do not come back to the size of the image exactly.
    """
    steps, split, up = _product([layer.step for layer in layers]), split_step(layers), _product([x.up for x in layers])
    if max(up) > MOST_PHASES:
        raise UsageError(f"the layers enlarge maps by {up[0]}x{up[1]}; {MOST_PHASES} is the most")
    down = steps[0] // split[0], steps[1] // split[1]
    if up not in ((1, 1), down):
        raise UsageError(
            f"the layers shrink maps by {down[0]}x{down[1]} and enlarge them by {up[0]}x{up[1]}; a net comes back to "
            "the size of its image: let every Upsample undo a MaxPool"
        )
    return down if up == (1, 1) else (1, 1)


# --------------------------------------------------------------------------------------------- what an output sees


def field_of_view(layers: Layers) -> Pair:
    """Return the window (rows, columns) of the image that one output pixel sees.

    From the last layer back, outputs from `first` to `last` see inputs from ``first * step`` to
    ``last * step + window - 1``. Behind Upsample the window depends on the place of the output: the result is the
    largest window.

    Examples
    --------
    >>> from tinympcnn.nn.layers import Conv, MaxPool, MaxPoolFragment, Upsample
    >>> field_of_view([Conv(1, 1, 3), MaxPoolFragment(2), Conv(1, 1, (2, 1))])
    (6, 4)
    >>> field_of_view([MaxPool(2), Conv(1, 1, 3), Upsample(2), Conv(1, 1, 3)])
    (8, 8)
    """
    up = _product([layer.up for layer in every(layers)])
    rows, columns = (_widest(layers, axis, up[axis]) for axis in (0, 1))
    return rows, columns


def seen(layers: Layers, first: np.ndarray, last: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last pixel along an axis that the outputs from `first` to `last` see."""
    for layer in reversed(layers):
        first, last = layer.seen(first, last, axis)
    return first, last


def _widest(layers: Layers, axis: int, phases: int) -> int:
    first, last = seen(layers, np.arange(phases), np.arange(phases), axis)
    return int((last - first).max()) + 1


# ------------------------------------------------------------------------------------------------ sizes that fit


def sizes(layers: Layers, axis: int, outputs: Sizes = ANY) -> Sizes:
    """Return the sizes along an axis that divide evenly in every layer, for numbers of `outputs` of the last layer.

    Examples
    --------
    >>> from tinympcnn.nn.layers import Conv, MaxPool, Upsample
    >>> sizes([Conv(1, 1, 3), MaxPool(2), Conv(1, 1, 3), Upsample(2)], axis=0)
    Sizes(first=8, period=2)
    """
    for layer in reversed(layers):
        outputs = layer.sizes_before(outputs, axis)
    return outputs


def smallest_image(layers: Layers) -> Pair:
    """Return the smallest size that needs no padding."""
    return sizes(layers, 0).first, sizes(layers, 1).first


def window(layers: Layers) -> Pair:
    """Return the window (rows, columns) by which layers make sizes smaller: n pixels give n - window + 1 outputs.

    The window is the field of view, except behind Upsample: there an output may see more.
    """

    def along(axis: int) -> int:
        n = first = sizes(layers, axis).first
        for layer in layers:
            n = layer.length_after(n, axis)
        return first - n * split_step(layers)[axis] + 1

    return along(0), along(1)


def alignment(layers: Layers, scale: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))) -> Pair:
    """Return the multiples (rows, columns) by which an image moves so that it moves by whole pixels in every layer.

    Parameters
    ----------
    layers : sequence of Layer
        The layers.
    scale : (rows, columns)
        The number of pixels of the image for one pixel of the input of the layers.

    Examples
    --------
    >>> from tinympcnn.nn.layers import MaxPool, Upsample
    >>> alignment([MaxPool(2), MaxPool((2, 3)), Upsample((4, 6))])
    (4, 6)
    """
    found = (1, 1)
    for layer in layers:
        inside = alignment(layer.layers, scale)
        scale = scale[0] * layer.step[0] / layer.up[0], scale[1] * layer.step[1] / layer.up[1]
        found = lcm(found[0], inside[0], scale[0].numerator), lcm(found[1], inside[1], scale[1].numerator)
    return found


def grid(layers: Layers) -> Pair:
    """Return the multiples (rows, columns) by which an image moves so that its outputs move with it, unchanged."""
    return alignment(layers) if comes_up(layers) else (1, 1)


def fitted_size(layers: Layers, size: Pair) -> Pair:
    """Return the smallest size, from `size` up, of an image that the layers take."""
    if not comes_up(layers):
        return size
    return sizes(layers, 0).at_least(size[0]), sizes(layers, 1).at_least(size[1])


def padded_size(layers: Layers, size: Pair) -> Pair:
    """Return the size to which an image is padded, at the bottom and right, so that every layer divides evenly.

    An output that is kept never sees a padded pixel, because its window lies inside the image. Behind Upsample that
    does not hold, so nothing is padded there.

    Raises
    ------
    UsageError
        If the image is too small, or does not divide and can not be padded. The message names sizes that work.
    """
    least = smallest_image(layers) if comes_up(layers) else window(layers)
    if size[0] < least[0] or size[1] < least[1]:
        what = "smallest image" if comes_up(layers) else "field of view"
        raise UsageError(
            f"an image of {size[0]}x{size[1]} pixels is smaller than the net's {what} of {least[0]}x{least[1]}; use a "
            "larger image, or net.segment, which mirrors the borders"
        )
    if stride(layers) != (1, 1):
        return size
    fit = sizes(layers, 0), sizes(layers, 1)
    padded = fit[0].at_least(size[0]), fit[1].at_least(size[1])
    if comes_up(layers) and padded != size:
        raise UsageError(
            f"an image of {size[0]}x{size[1]} does not divide evenly in the pools of the net; {fit[0].near(size[0])} "
            f"rows and {fit[1].near(size[1])} columns would (net.segment mirrors the borders up to such a size)"
        )
    return padded


# ------------------------------------------------------------------------------------------------------- storages


def shapes(layers: Layers, shape: Shape) -> list[Shape]:
    """Return the shape of the input storage of every layer for an input of `shape`, and of the last output."""
    found = [(shape[0], *padded_size(layers, shape[1:3]), shape[3])]
    for layer in layers:
        found.append(layer.output_shape(found[-1]))
    return found


def _product(pairs: Sequence[Pair]) -> Pair:
    return prod(p[0] for p in pairs), prod(p[1] for p in pairs)
