"""A page of an image file of which only the rows in use are in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinympcnn.data.downsample import downsample
from tinympcnn.io.image_file import ImageFile


class PageRows:
    """Page `index` of a file, whose rows are read by slicing and down-sampled by `factor`.

    The rows of the last slice stay, as neighbouring slices overlap; `shape` (H, W, C) is that of the page down-sampled.
    """

    def __init__(self, file: ImageFile, index: int, factor: int = 1) -> None:
        height, width, maps = file.shape
        self.shape = height // factor, width // factor, maps
        self._file, self._index, self._factor = file, index, factor
        self._kept: dict[int, np.ndarray] = {}
        self.opened_by_workers = file.opened_by_workers  # by themselves, so that no pixels need to be sent

    def __reduce__(self) -> tuple[Any, ...]:
        return PageRows, (self._file, self._index, self._factor)  # without the rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return rows, array, shape (stop - start, W, C)."""
        start, stop, _ = rows.indices(self.shape[0])
        return downsample(self._rows(start * self._factor, stop * self._factor), self._factor)

    def _rows(self, start: int, stop: int) -> np.ndarray:
        at_once, height = self._file.rows_at_once, self._file.shape[0]
        needed = range(start // at_once, -(-stop // at_once))
        kept = {i: pixels for i, pixels in self._kept.items() if i in needed}
        self._kept = kept  # before others are read
        for i in needed:
            if i not in kept:
                kept[i] = self._file.rows(self._index, i * at_once, min((i + 1) * at_once, height))
        pieces = [kept[i] for i in needed]
        pixels = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        first = start - needed.start * at_once
        return pixels[first : first + stop - start]
