"""Several opinions on every pixel, averaged: those of several nets, and of one net on several views of an image.

The winner of the ISBI 2012 challenge averaged four nets (Ciresan, Giusti, Gambardella, Schmidhuber, NIPS 2012). A net
is not indifferent to flips and quarter turns, although membranes are: its opinions on the eight views of an image
differ, and their mean is better than each. Read next: ``tiles.py``, then ``segment.py``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tinympcnn import engine
from tinympcnn.data.borders import mirrored
from tinympcnn.data.dihedral import dihedral_inverse
from tinympcnn.engine import backend
from tinympcnn.errors import DataError, UsageError
from tinympcnn.nn.losses import softmax

if TYPE_CHECKING:
    from tinympcnn.nn.sequential import Sequential


class Committee:
    """Nets whose probabilities are averaged, each over some views of the image.

    Parameters
    ----------
    nets : sequence of Sequential
        With the same maps in, the same classes, and on the same backend; their fields of view may differ.
    turns : bool
        Whether each net sees the eight flips and quarter turns of an image, or the image alone. Equal to turning the
        image, segmenting it, turning the result back and taking the mean: also to the last bit.
    names : sequence of str, optional
        What errors call the nets.

    Attributes
    ----------
    nets : list of Sequential
        Image nets, in the order in which they are summed.
    views : range
        What `tinympcnn.data.dihedral` does to the image, in the order in which results are summed.
    in_maps, out_maps, class_values, xp
        What the nets have in common, as in `Net`.

    Raises
    ------
    UsageError
        If there is no net, or anything but a net.
    DataError
        If the nets do not go together.

    Examples
    --------
    >>> from tinympcnn import Net
    >>> nets = [Net.from_spec(spec, rng=0) for spec in ("C3x3x4 MPF2x2 C2x2x4 FC2", "C5x5x4 FC2")]
    >>> image = np.random.default_rng(0).random((9, 7))
    >>> mean = Committee(nets).segment(image)
    >>> bool(np.allclose(mean, sum(net.segment(image) for net in nets) / 2))
    True
    """

    def __init__(self, nets: Sequence[Sequential], turns: bool = False, names: Sequence[str] | None = None) -> None:
        from tinympcnn.nn.sequential import Sequential

        if not isinstance(nets, Sequence) or not all(isinstance(net, Sequential) for net in nets):
            raise UsageError(
                "a committee is made of a list of nets, such as Committee([Net.load('a.npz'), Net.load('b.npz')])"
            )
        if not nets:
            raise UsageError("a committee needs at least one net")
        names = names or [f"net {i}" for i in range(len(nets))]
        self.nets = [net if net.stride == (1, 1) else net.as_image() for net in nets]
        self.views = range(8 if turns else 1)
        self.xp = agreed("backend", [net.xp for net in nets], names)
        self.in_maps = agreed("number of maps in", [net.in_maps for net in nets], names)
        self.out_maps = agreed("number of classes", [net.out_maps for net in nets], names)
        self.class_values = agreed("class values", [net.class_values for net in nets], names)

    @property
    def size(self) -> int:
        """Number of opinions on every pixel."""
        return len(self.nets) * len(self.views)

    @cached_property
    def alignment(self) -> tuple[int, int]:
        """Multiples (rows, columns) at which tiles best start: nothing is computed twice then, for the first net."""
        return alignment(self.nets[0])

    @property
    def halo(self) -> int:
        """Rows of the image, at most, that a band of outputs sees besides its own."""
        if self.size == 1:
            return self.nets[0].field_of_view[0] - 1
        return 2 * max(max(net.field_of_view) // 2 + max(alignment(net)) - 1 for net in self.nets)

    def rows_seen(self, size: tuple[int, int], rows: slice) -> slice:
        """Return which rows of an image of `size` (H, W) a band of outputs sees."""
        every = [_seen(net, k, 0, size[0], rows)[0] for net in self.nets for k in self.views]
        return slice(int(min(seen.min() for seen in every)), int(max(seen.max() for seen in every)) + 1)

    def probabilities(
        self, pixels: np.ndarray, top: int, size: tuple[int, int], rows: slice, columns: slice
    ) -> np.ndarray:
        """Return the mean probabilities (h, w, K) of one tile of outputs.

        Parameters
        ----------
        pixels : array, shape (h', W, C)
            Of an image of `size` (H, W), at least the rows seen.
        top : int
            The first of these rows.
        size : (H, W)
        rows, columns : slice
            The tile.
        """
        opinions = (_opinion(net, k, pixels, top, size, (rows, columns)) for net in self.nets for k in self.views)
        total = next(opinions)
        for opinion in opinions:
            total = total + opinion
        return total / self.size

    def segment(self, image: backend.Array, **options: Any) -> np.ndarray:
        """Return the class probabilities (H, W, K) of one image; see ``tinympcnn.inference.segment.segment``."""
        from tinympcnn.inference.segment import segment

        if "turns" in options:
            raise UsageError("a committee is told of turns when it is made: Committee(nets, turns=True).segment(image)")
        return segment(self, image, **options)

    def to(self, name: str) -> Committee:
        """Return a copy on another backend, ``"numpy"`` or ``"cupy"``."""
        twin = copy.copy(self)
        twin.nets = [net.to(name) for net in self.nets]
        twin.xp = twin.nets[0].xp
        return twin


def agreed(what: str, values: Sequence[Any], names: Sequence[str]) -> Any:
    """Return the value that all have, or say which one has another.

    Examples
    --------
    >>> agreed("size", [3, 3, 4], ["a", "b", "c"])
    Traceback (most recent call last):
        ...
    tinympcnn.errors.DataError: the size of a is 3 and that of c is 4; they cannot work together
    """
    for value, name in zip(values, names, strict=True):
        if value != values[0]:
            raise DataError(
                f"the {what} of {names[0]} is {_name(values[0])} and that of {name} is {_name(value)}; "
                "they cannot work together"
            )
    return values[0]


def _name(value: Any) -> str:
    return str(getattr(value, "__name__", value))


def alignment(net: Sequential) -> tuple[int, int]:
    """Return the multiples (rows, columns) at which tiles of a net must start for the same last bit."""
    step = net.split_step
    return step[0], step[1] * (1 if net.xp is not np else engine.row_period(net.dtype))


def _opinion(
    net: Sequential, k: int, pixels: np.ndarray, top: int, size: tuple[int, int], tile: tuple[slice, slice]
) -> np.ndarray:
    """Return the probabilities (h, w, K) of one tile, found on view k of the image and turned back."""
    (rows, first_row), (columns, first_column) = (_seen(net, k, axis, size[axis], tile[axis]) for axis in (0, 1))
    if k & 1:  # the image's rows are the view's columns
        seen = pixels[rows[None, :] - top, columns[:, None]]
        first_row, first_column = first_column, first_row
    else:
        seen = pixels[rows[:, None] - top, columns[None, :]]
    scores = net.forward(net.xp.asarray(net.normalised(seen)[None]), train=False)
    return dihedral_inverse(backend.to_numpy(softmax(scores)[0])[first_row:, first_column:], k)


def _seen(net: Sequential, k: int, axis: int, n: int, outputs: slice) -> tuple[np.ndarray, int]:
    """Return which of the image's `n` pixels along one of its axes are seen, in the order of the view.

    In view k the axis is perhaps another one, and perhaps flipped; the outputs then lie elsewhere, perhaps where no
    tile may start. They are made to start earlier, and by how much is returned too.
    """
    there = axis ^ (k & 1)
    flipped = bool(k & (2 << there))
    start, stop = (n - outputs.stop, n - outputs.start) if flipped else (outputs.start, outputs.stop)
    window, more = net.field_of_view[there], start % alignment(net)[there]
    seen = mirrored(n, window)[start - more : stop + window - 1]
    return n - 1 - seen if flipped else seen, more
