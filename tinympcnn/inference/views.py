"""What nets see of an image: for a tile of outputs, which pixels each net needs on each view of the image.

Membranes look the same when they are flipped or turned, but the probabilities of a net change. `Members` runs every net
on the image alone, or on the eight flips and quarter turns of the image (test-time augmentation), and averages.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import ModuleType
from typing import Self

import numpy as np

from tinympcnn import engine
from tinympcnn.data.borders import mirrored
from tinympcnn.data.dihedral import dihedral_inverse
from tinympcnn.engine import backend
from tinympcnn.engine.backend import Pair
from tinympcnn.errors import UsageError
from tinympcnn.inference.average import agreed, average
from tinympcnn.nn.losses import softmax
from tinympcnn.nn.sequential import Sequential

Tile = tuple[slice, slice]  # the rows and the columns of the outputs of a tile


class Members:
    """Nets whose probabilities are averaged, each over some views; `tinympcnn.Committee` describes them.

    With ``scores=True`` the scores themselves are averaged: the predictions of nets trained on target images.
    """

    def __init__(
        self,
        nets: Sequence[Sequential],
        turns: bool = False,
        names: Sequence[str] | None = None,
        *,
        scores: bool = False,
    ) -> None:
        if not isinstance(nets, Sequence) or not all(isinstance(net, Sequential) for net in nets):
            raise UsageError(
                "a committee is made of a list of nets, such as Committee([Net.load('a.npz'), Net.load('b.npz')])"
            )
        if not nets:
            raise UsageError("a committee needs at least one net")
        names = names or [f"net {i}" for i in range(len(nets))]
        self.nets = [net if net.stride == (1, 1) else net.as_image() for net in nets]
        self.views = range(8 if turns else 1)
        self.scores = scores
        self.alignment = alignment(self.nets[0])  # tiles that start at multiples are not computed twice by this net
        agreed("backend", [net.xp for net in nets], names)
        self.in_maps = agreed("number of maps in", [net.in_maps for net in nets], names)
        self.out_maps = agreed("number of classes", [net.out_maps for net in nets], names)
        self.class_values = agreed("class values", [net.class_values for net in nets], names)

    @property
    def xp(self) -> ModuleType:
        """The array module of the nets, numpy or cupy."""
        return self.nets[0].xp

    @property
    def size(self) -> int:
        """The number of opinions on every pixel."""
        return len(self.nets) * len(self.views)

    @property
    def halo(self) -> int:
        """The largest number of image rows that a band of outputs sees besides its own rows."""
        if self.size == 1:
            return self.nets[0].window[0] + self.nets[0].grid[0] - 2
        return 2 * max(max(net.window) // 2 + max(alignment(net)) - 1 for net in self.nets)

    def rows_seen(self, size: Pair, rows: slice) -> slice:
        """Return which rows of an image of `size` (H, W) a band of outputs sees."""
        every = [_seen(net, k, 0, size[0], rows)[0] for net in self.nets for k in self.views]
        return slice(int(min(seen.min() for seen in every)), int(max(seen.max() for seen in every)) + 1)

    def probabilities(self, pixels: np.ndarray, top: int, size: Pair, tile: Tile) -> np.ndarray:
        """Return the mean probabilities (h, w, K) of one tile of outputs of an image of `size` (H, W).

        The pixels (h', W, C) are at least the rows of the image that the tile sees, from row `top` on.
        """
        return average(_opinion(net, k, pixels, top, size, tile, self.scores) for net in self.nets for k in self.views)

    def to(self, name: str) -> Self:
        """Return a copy on another backend, ``"numpy"`` or ``"cupy"``."""
        twin = copy.copy(self)
        twin.nets = [net.to(name) for net in self.nets]
        twin.alignment = alignment(twin.nets[0])
        return twin


def as_members(net: Sequential | Members) -> Members:
    """Return members as they are, and a net as the only member."""
    return net if isinstance(net, Members) else Members([net])


def alignment(net: Sequential) -> Pair:
    """Return the multiples (rows, columns) at which tiles of a net must start for the same last bit."""
    step = net.alignment
    return step[0], step[1] * (1 if net.xp is not np else engine.row_period(net.dtype))


def _opinion(net: Sequential, k: int, pixels: np.ndarray, top: int, size: Pair, tile: Tile, raw: bool) -> np.ndarray:
    """Return the probabilities, or the `raw` scores, (h, w, K) of a tile, found on view k of the image, turned back."""
    (rows, first_row), (columns, first_column) = (_seen(net, k, axis, size[axis], tile[axis]) for axis in (0, 1))
    lengths = [tile[axis].stop - tile[axis].start + more for axis, more in enumerate((first_row, first_column))]
    outputs = (lengths[1], lengths[0]) if k & 1 else (lengths[0], lengths[1])
    if k & 1:  # the image's rows are the view's columns
        seen = pixels[rows[None, :] - top, columns[:, None]]
        first_row, first_column = first_column, first_row
    else:
        seen = pixels[rows[:, None] - top, columns[None, :]]
    with np.errstate(over="ignore", invalid="ignore"):  # `segment` refuses the NaN that comes of it
        scores = net.forward(net.xp.asarray(net.normalised(seen)[None]), False, outputs)
        values = backend.to_numpy((scores if raw else softmax(scores))[0])
    opinion: np.ndarray = dihedral_inverse(values[first_row:, first_column:], k)
    return opinion


def _seen(net: Sequential, k: int, axis: int, n: int, outputs: slice) -> tuple[np.ndarray, int]:
    """Return which of the image's `n` pixels along one of its axes are seen, in the order of the view.

    In view k the axis may be the other axis, and may be flipped. The outputs then lie elsewhere, perhaps where no tile
    may start: they start earlier, and the second value returned says by how many outputs.
    """
    there = axis ^ (k & 1)
    flipped = bool(k & (2 << there))
    start, stop = (n - outputs.stop, n - outputs.start) if flipped else (outputs.start, outputs.stop)
    more = start % alignment(net)[there]
    end = start - more + net.input_size((stop - start + more,) * 2)[there]
    seen = mirrored(n, net.window[there], end)[start - more : end]
    return n - 1 - seen if flipped else seen, more
