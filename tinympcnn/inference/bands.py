"""Pages in, bands of probabilities out: the pieces into which segmenting is cut, and who computes them.

A piece is a band of rows of one page. It takes the members, the rows of the image that the band sees, and nothing
else, so any executor may compute it: this thread, others, processes, or a cluster (see ``engine/workers.py``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinympcnn.engine import backend
from tinympcnn.engine.backend import Pair
from tinympcnn.engine.workers import Crew, drawn_ahead, result_of
from tinympcnn.errors import DataError
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.inference.tiling import DEFAULT_MEMORY, SMALLEST_TILE, spans, tile_size
from tinympcnn.inference.views import Members


class Rows(Protocol):
    """An image from which rows can be taken: an array (H, W, C), or a page of a file."""

    shape: Any

    def __getitem__(self, rows: slice) -> np.ndarray: ...


Store = Callable[[int, slice, np.ndarray], None]  # takes the number of a page, rows of it, and their band


@dataclass
class _Cut:
    """The rows of an image from `top` on that a piece sees."""

    shape: tuple[int, ...]
    top: int
    pixels: np.ndarray

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self.pixels[rows.start - self.top : rows.stop - self.top]


class _Piece(NamedTuple):
    """The arguments of `_computed`: what is sent to a worker."""

    members: Members
    image: Rows
    number: int  # of the page
    rows: slice  # the rows of the band
    wide: slice  # those rows, and the rows around them that `finish` sees
    width: int  # the columns of a tile
    finish: Postprocess
    store: Store | None


@dataclass
class Band:
    """A band of a page that is computed somewhere.

    `take` may be called once. It gives the probabilities, array, shape (h, W, K), or None if the band was stored where
    it was computed, and raises what went wrong there.
    """

    number: int  # of the page
    rows: slice
    take: Callable[[], Any]
    cancel: Callable[[], Any]


class Bands:
    """Cut pages into bands, have a crew compute them, and yield the bands in order, page by page, from the top.

    The `tile` and the `memory` are those of `segment`, and `finish` is what is done to the probabilities last. The
    `store` is a function of (the number of the page, rows, band) that keeps a band; it is called where the band is
    computed, and the bands that are yielded then hold nothing. The `crew` says who computes, and how many bands ahead.

    If a device runs out of memory, the tiles become half as large, down to the smallest; then the CPU goes on. `echo`
    is told. Every probability is the same whatever the tiles and the crew.
    """

    def __init__(
        self,
        members: Members,
        tile: int | Pair | None = None,
        memory: int = DEFAULT_MEMORY,
        *,
        finish: Postprocess = Postprocess(),
        store: Store | None = None,
        crew: Crew = Crew(),
        echo: Callable[[str], None] = warnings.warn,
    ) -> None:
        self._members, self._tile, self._asked, self._memory = members, tile, tile, memory
        self._finish, self.store, self._crew, self._echo = finish, store, crew, echo

    def __call__(self, pages: Iterable[Rows]) -> Iterator[Band]:
        """Yield the bands of pages, each of which is an image (H, W, C)."""
        return drawn_ahead(self._submitted(pages), self._crew.ahead)

    def height(self, size: Pair) -> int:
        """Return the rows of a band of pages of `size` (H, W): they, and what `finish` sees, fit into a tile.

        Bands start at multiples of this number, as long as the memory suffices.
        """
        rows, multiple = self._size(size)[0], self._members.alignment[0]
        if self._finish.radius and rows < size[0]:
            margin = 2 * self._finish.radius + multiple
            rows = -(-max(rows - margin, SMALLEST_TILE) // multiple) * multiple
        return int(spans(size[0], rows, multiple)[0].stop)

    def _size(self, size: Pair) -> Pair:
        return tile_size(self._members, self._tile, self._memory, largest=size)

    def _submitted(self, pages: Iterable[Rows]) -> Iterator[Band]:
        for number, image in enumerate(pages):
            size, done = image.shape[:2], 0
            height = self.height(size)
            while done < size[0]:
                if self.store is None:  # stored bands stay as tall as they are, so that no two write one chunk
                    height = self.height(size)  # the tiles may have become smaller
                rows = slice(done, min(done + height, size[0]))
                if height > self.height(size):
                    yield Band(number, rows, partial(self._again, number, image, rows), lambda: None)
                else:
                    yield self._submit(number, image, rows)
                done = rows.stop

    def _submit(self, number: int, image: Rows, rows: slice) -> Band:
        members, size = self._members, self._size(image.shape[:2])
        radius, multiple = self._finish.radius, members.alignment[0]
        top = max(rows.start - radius, 0) // multiple * multiple
        wide = slice(top, min(rows.stop + radius, image.shape[0]))
        try:
            piece = _Piece(
                members, _to_send(members, image, wide), number, rows, wide, size[1], self._finish, self.store
            )
        except DataError as error:  # the file cannot be read here
            futures = [Future[Any]()]
            futures[0].set_exception(error)
        else:
            futures = [self._crew.executor.submit(_computed, piece)]
            del piece

        def take() -> np.ndarray | None:
            try:
                found: np.ndarray | None = result_of(futures.pop())
                return found
            except backend.out_of_memory_errors() as error:
                self._shrink(image.shape[:2], size, members, error)
            return self._again(number, image, rows)

        return Band(number, rows, take, lambda: [future.cancel() for future in futures])

    def _again(self, number: int, image: Rows, rows: slice) -> np.ndarray | None:
        """Compute a band once more, in as many bands as the tiles ask for now."""
        found, top = [], rows.start
        while top < rows.stop:
            part = slice(top, min(top + self.height(image.shape[:2]), rows.stop))  # the tiles may have become smaller
            if (band := self._submit(number, image, part).take()) is not None:
                found.append(band)
            top = part.stop
        return np.concatenate(found) if found else None

    def _shrink(self, page: Pair, size: Pair, members: Members, error: BaseException) -> None:
        """Make the tiles of a page smaller than `size`, which did not fit, or leave the device; say so."""
        if members is not self._members or self._size(page) != size:
            return  # another band was told before
        smaller = tile_size(members, min(size) // 2, self._memory, largest=page)
        if smaller != size:
            self._echo(f"out of memory with tiles of {size[0]}x{size[1]}: going on with {smaller[0]}x{smaller[1]}")
            self._tile = min(size) // 2
        elif members.xp is not np:
            self._echo(f"out of memory with the smallest tiles, {size[0]}x{size[1]}: going on on the CPU")
            self._members, self._tile = members.to("numpy"), self._asked
        else:
            raise DataError(f"not enough memory for tiles of {size[0]}x{size[1]}, the smallest") from error


def _to_send(members: Members, image: Rows, wide: slice) -> Rows:
    """Return what a worker is sent of an image: the rows it needs, or the image itself if workers can open it."""
    if getattr(image, "opened_by_workers", False):
        return image
    seen = members.rows_seen(image.shape[:2], wide)
    return _Cut(image.shape, seen.start, image[seen])


def _computed(piece: _Piece) -> np.ndarray | None:
    """Return the probabilities (h, W, K) of a band, or store them; this is what a worker runs."""
    members, image, number, rows, wide, width, finish, store = piece
    band = finish(_probabilities(members, image, wide, width))
    band = band[rows.start - wide.start : rows.stop - wide.start]
    if store is None:
        return band
    store(number, rows, band)
    return None


def _probabilities(members: Members, image: Rows, rows: slice, width: int) -> np.ndarray:
    """Return the probabilities (h, W, K) of rows of outputs, in tiles of at most `width` columns."""
    H, W = image.shape[:2]
    seen = members.rows_seen((H, W), rows)
    pixels = image[seen]
    band = np.empty((rows.stop - rows.start, W, members.out_maps), np.float32)
    for columns in spans(W, width, members.alignment[1]):
        band[:, columns] = members.probabilities(pixels, seen.start, (H, W), (rows, columns))
    if not np.isfinite(band).all():
        raise DataError(
            f"the net gives NaN in rows {rows.start} to {rows.stop - 1}: their pixels, from {np.min(pixels):.4g} to "
            f"{np.max(pixels):.4g}, are too large for it; replace values that stand for 'no data' first"
        )
    return band
