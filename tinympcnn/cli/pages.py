"""Pages of image files in, bands of answers out: in order, whoever computes them, and however large the pages are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tinympcnn.cli.models import Echo, Machine, Paths, check_channels, crew_for, loss_named
from tinympcnn.cli.words import say
from tinympcnn.engine.backend import Pair
from tinympcnn.engine.limits import available_memory, resident_memory
from tinympcnn.engine.workers import Crew
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.inference import tiling
from tinympcnn.inference.bands import Band, Bands, Store
from tinympcnn.inference.input_check import off_scale
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.inference.views import Members
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import expand, open_image
from tinympcnn.io.names import name_on_disk
from tinympcnn.io.page_rows import PageRows
from tinympcnn.io.predictions import other_than_results
from tinympcnn.io.reading import Reading

NAMED = 10  # images without a result that the error names


def usable(images: Paths, reading: Reading, channels: int, factor: int) -> tuple[list[ImageFile], Failures]:
    """Return the images that a model of so many channels takes, and why it does not take the others.

    Results of this library among other images are left out.
    """
    opened, failures = [], Failures()
    for path in expand(images, "images"):
        with failures.of(path):
            opened.append(open_image(path, reading.axes))
    files = []
    for file in other_than_results(opened):
        with failures.of(file.path):
            check_image(file, channels, factor)
            files.append(file)
    if not files:
        failures.tell(len(failures))
    if double := [stem for stem, times in Counter(name_on_disk(file.stem) for file in files).items() if times > 1]:
        raise UsageError(f"several images are named {min(double)!r}; their results would overwrite each other")
    return files, failures


def check_image(file: ImageFile, channels: int, factor: int) -> None:
    """Raise DataError unless a model of so many channels, for images down-sampled by `factor`, takes the image."""
    if min(file.shape[:2]) < factor:
        raise DataError(f"{file} is too small to be down-sampled by {factor}")
    check_channels(file.path, file.shape[2], channels)


class Failures(dict[Path, DataError]):
    """The images that cannot be used, and why; the work on the others goes on."""

    @contextmanager
    def of(self, path: Path) -> Iterator[None]:
        """Take what is wrong with an image down."""
        try:
            yield
        except DataError as error:
            self[path] = error if str(path) in str(error) else DataError(f"{path}: {error}")

    def tell(self, n: int) -> None:
        """Raise if there are failures: with the error of a single image, or naming those of `n` images that failed."""
        if not self:
            return
        first, *others = self
        if n == 1:
            raise self[first]
        more = f"; so were {', '.join(map(str, others[:NAMED]))}" if others else ""
        more += f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        raise DataError(f"{len(self)} of {n} images were left out: {self[first]}{more}")


@dataclass(frozen=True)
class Pages:
    """How the pages of image files become bands (h, W, K) of the models' answers."""

    members: Members
    factor: int  # by which images are down-sampled
    post: Postprocess = Postprocess()
    machine: Machine = Machine()
    echo: Echo = say

    def size(self, file: ImageFile) -> Pair:
        """Return the rows and columns of the results of a page."""
        return file.shape[0] // self.factor, file.shape[1] // self.factor

    def bands(
        self, files: Sequence[ImageFile], failures: Failures, stored: Callable[[int], Store] | None = None
    ) -> Iterator[tuple[ImageFile, Iterator[tuple[int, slice, Any]]]]:
        """Yield each file that did not fail, and its bands from the top, as (number of the page, rows, band).

        With `stored`, which is told the height of the bands, a single file's bands are stored where they are computed,
        and come as None.
        """
        pages: list[tuple[ImageFile, int]] = []  # that were read so far
        shared = [file.path for file in files if file.opened_by_workers]
        with crew_for(self.machine.cluster, self.members.nets, shared) as crew:
            size = self._plan(files, crew, stored is not None)
            work = Bands(self.members, size, finish=self.post, crew=crew, echo=self.echo)
            if stored is not None:
                work.store = stored(work.height(self.size(files[0])))
            read = self._read(files, size[0], failures, pages)
            for file, bands in groupby(work(read), lambda band: pages[band.number][0]):
                yield file, self._taken(bands, pages)

    def _taken(self, bands: Iterator[Band], pages: Sequence[tuple[ImageFile, int]]) -> Iterator[tuple[int, slice, Any]]:
        with loss_named(self.machine.cluster):
            for band in bands:
                yield pages[band.number][1], band.rows, band.take()

    def _read(
        self, files: Sequence[ImageFile], height: int, failures: Failures, pages: list[tuple[ImageFile, int]]
    ) -> Iterator[PageRows]:
        """Yield the pages of files that did not fail so far, and warn of files on another scale."""
        for file in files:
            for index in range(len(file)):
                page = PageRows(file, index, self.factor)
                if index == 0:
                    with failures.of(file.path):
                        seen = self.members.rows_seen(page.shape[:2], slice(0, min(height, page.shape[0])))
                        if wrong := off_scale(self.members.nets, page[seen]):  # the page keeps these rows
                            self.echo(f"warning: {file.path} has {wrong}")
                if file.path in failures:
                    break
                pages.append((file, index))
                yield page

    def _plan(self, files: Sequence[ImageFile], crew: Crew, stored: bool) -> Pair:
        """Return the rows and columns of the tiles, and say what memory the process will take at most.

        Where workers of other processes compute, this process holds the rows that are on their way, unless workers read
        and store them, and there is a band for every worker if the images are large enough.
        """
        members, (tile, memory) = self.members, (self.machine.tile, self.machine.memory)
        taken = resident_memory()
        budget = memory if memory is not None else taken + available_memory() // 2
        fixed, row = (max(part) for part in zip(*map(self._page_memory, files), strict=True))
        fixed += self.post.filter_bytes()
        sizes = [self.size(file) for file in files]
        largest = max(rows for rows, _ in sizes), max(columns for _, columns in sizes)
        room, where = max(budget - taken - fixed, 1), ""
        if crew.memory is None:
            rows, columns = size = tiling.tile_size(members, tile, min(room, tiling.DEFAULT_MEMORY), largest, row)
            peak = taken + fixed + rows * row + tiling.tile_memory(members, size, largest)
        else:
            held = 0 if stored and all(file.opened_by_workers for file in files) else (crew.ahead + 1) * row
            every = sum(rows * len(file) for (rows, _), file in zip(sizes, files, strict=True))
            most = max(min(every // max(crew.ahead, 1), room // max(held, 1)), 2 * members.halo)
            largest = min(most, largest[0]), largest[1]
            rows, columns = size = tiling.tile_size(members, tile, crew.memory, largest, row)
            peak = taken + fixed + held * rows
            there, n = tiling.tile_memory(members, size, largest) + rows * row, counted(crew.ahead // 2, "band")
            where = f" here and {there / 1e6:.0f} MB for each of the {n} that workers compute at a time"
        said = f"{counted(len(files), 'file')}, tiles of {rows}x{columns}, at most {peak / 1e6:.0f} MB at the peak"
        self.echo(said + where)
        if peak > budget:
            advice = "the least that is possible" if tile is None else "a smaller --tile takes less"
            self.echo(f"this is more than the {budget / 1e6:.0f} MB asked for; {advice}")
        return size

    def _page_memory(self, file: ImageFile) -> tuple[int, int]:
        """Return the bytes that reading a page and writing its results take besides tiles: at least, for each row."""
        factor, post, K = self.factor, self.post, self.members.out_maps
        height, width, maps = file.shape
        row, halo = width * maps * file.dtype.itemsize, self.members.halo
        shrunk = width // factor * maps * 4 if factor > 1 else 0
        on_the_way = post.pixel_bytes(K)
        result = width // factor * (4 * K + 17 + on_the_way)  # probabilities, classes found, their values
        fixed = halo * shrunk + 2 * post.radius * width // factor * on_the_way  # rows that wait for those below them
        if file.rows_at_once == height:  # decoded whole, and perhaps brought into order
            return 2 * height * row + fixed, shrunk + result
        return 2 * (halo * factor + 2 * file.rows_at_once) * row + fixed, 2 * factor * row + shrunk + result
