"""From image files to files of results, page by page and band by band: the memory does not depend on their size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.cli.models import Echo, Machine, Paths, check_channels
from tinympcnn.cli.words import say
from tinympcnn.engine.backend import Pair
from tinympcnn.engine.limits import available_memory, resident_memory
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.inference import segment, tiling
from tinympcnn.inference.input_check import off_scale
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.inference.views import Members
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import expand, open_image
from tinympcnn.io.names import name_on_disk
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.page_rows import PageRows
from tinympcnn.io.predictions import other_than_results
from tinympcnn.io.reading import Reading
from tinympcnn.io.tiff.writer import PageWriter, check_space

Draw = Callable[[ImageFile, list[Path], Path], None]  # of an image and its results, to a picture
NAMED = 10  # images without a result that the error names


class Result(NamedTuple):
    """A file that is written for each image, NAME_kind.tif."""

    kind: str
    form: Callable[[np.ndarray], np.ndarray]  # from a band (h, W, K) of the models' answer to what is written
    pixel: tuple[int, ...]  # the shape of a pixel: (K,) for an answer to each class, () for one number
    dtype: Any
    values: tuple[int, ...] | None  # the label values of the classes


@dataclass(frozen=True)
class Job:
    """How the results of images are made."""

    members: Members
    factor: int  # by which images are down-sampled
    results: Sequence[Result]
    post: Postprocess = Postprocess()  # noqa: RUF009, it is immutable
    machine: Machine = Machine()  # noqa: RUF009
    reading: Reading = Reading()  # noqa: RUF009
    force: bool = False  # make results again that exist
    echo: Echo = say

    def run(self, images: Paths, folder: Path, draw: Draw | None = None) -> list[Path]:
        """Write the results of image files into a folder, and return the files; `draw` adds NAME_preview.png to each.

        Images whose results exist are left out, unless `force` is given. If some images cannot be used, the others
        have their results when a `DataError` names them.
        """
        files, failures = usable(images, self.reading, self.members.in_maps, self.factor)
        inputs, folder = [*(file.path for file in files), *failures], made_folder(folder)
        pictures = {file: folder / f"{file.stem}_preview.png" for file in files if draw is not None}
        jobs = {file: [self._writer(file, folder, result) for result in self.results] for file in files}

        def paths(file: ImageFile) -> list[Path]:
            return [*(writer.path for writer in jobs[file]), *([pictures[file]] if pictures else [])]

        missing = [file for file in files if not all(path.exists() for path in paths(file))]
        if not self.force and (missing or failures):
            if kept := len(jobs) - len(missing):
                left = f"{kept} of {len(inputs)} images have results in {folder} and are left out"
                self.echo(f"{left}; --force makes them again")
            files = missing
        written = [path for file in files for path in paths(file)]
        check_outputs(written, inputs, self.force)
        check_space(folder, [writer for file in files for writer in jobs[file]])
        if self.factor > 1:
            self.echo(f"images are down-sampled by {self.factor}, as for training")
        if files:
            size = self._plan(files)
        for file in files:
            out = jobs[file]
            with failures.of(file.path):
                with ExitStack() as opened:
                    for writer in out:
                        opened.enter_context(writer)
                    for band in self._bands(file, size):
                        for writer, result in zip(out, self.results, strict=True):
                            writer.write(result.form(band))
                        del band  # before the next one is made
                shrunk = (
                    f", of {file.shape[0] // self.factor}x{file.shape[1] // self.factor}" if self.factor > 1 else ""
                )
                if draw is not None:
                    draw(file, [writer.path for writer in out], pictures[file])
                self.echo(f"{file.describe()}: wrote {' and '.join(map(str, paths(file)))}{shrunk}")
        failures.tell(len(inputs))
        return written

    def _plan(self, files: Sequence[ImageFile]) -> Pair:
        """Return the rows and columns of the tiles, and say what memory the process will take at most."""
        taken, memory = resident_memory(), self.machine.memory
        budget = memory if memory is not None else taken + available_memory() // 2
        fixed, row = (max(part) for part in zip(*map(self._page_memory, files), strict=True))
        fixed += self.post.filter_bytes()
        largest = (
            max(file.shape[0] for file in files) // self.factor,
            max(file.shape[1] for file in files) // self.factor,
        )
        room = max(min(budget - taken - fixed, tiling.DEFAULT_MEMORY), 1)
        rows, columns = size = tiling.tile_size(self.members, self.machine.tile, room, largest, row)
        peak = taken + fixed + rows * row + tiling.tile_memory(self.members, size, largest)
        self.echo(f"{counted(len(files), 'file')}, tiles of {rows}x{columns}, at most {peak / 1e6:.0f} MB at the peak")
        if peak > budget:
            advice = "the least that is possible" if self.machine.tile is None else "a smaller --tile takes less"
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

    def _writer(self, file: ImageFile, folder: Path, result: Result) -> PageWriter:
        shape = (file.shape[0] // self.factor, file.shape[1] // self.factor, *result.pixel)
        path = folder / f"{file.stem}_{result.kind}.tif"
        return PageWriter(path, len(file), shape, result.dtype, result.values, file)

    def _bands(self, file: ImageFile, size: Pair) -> Iterator[np.ndarray]:
        """Yield the answers to a file, page by page and band by band; warn of images on another scale."""
        for index in range(len(file)):
            page = PageRows(file, index, self.factor)
            seen = self.members.rows_seen(page.shape[:2], slice(0, min(size[0], page.shape[0])))  # by the first band
            if index == 0 and (wrong := off_scale(self.members.nets, page[seen])):  # the page keeps these rows
                self.echo(f"warning: {file.path} has {wrong}")
            yield from self.post(map(itemgetter(1), segment.segment_bands(self.members, page, size, echo=self.echo)))


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
            if min(file.shape[:2]) < factor:
                raise DataError(f"{file.path} ({file.describe()}) is too small to be down-sampled by {factor}")
            check_channels(file.path, file.shape[2], channels)
            files.append(file)
    if not files:
        failures.tell(len(failures))
    if double := [stem for stem, times in Counter(name_on_disk(file.stem) for file in files).items() if times > 1]:
        raise UsageError(f"several images are named {min(double)!r}; their results would overwrite each other")
    return files, failures


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


def made_folder(folder: Path) -> Path:
    """Make a folder if it does not exist, and return it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    return folder
