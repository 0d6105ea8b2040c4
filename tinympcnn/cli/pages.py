"""From image files to files of results, band by band, whoever computes the bands; one writer puts them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from tinympcnn.cli.crew import crew_for
from tinympcnn.cli.planning import plan_tiles
from tinympcnn.cli.results import Failures
from tinympcnn.inference.bands import Band, Bands, Store
from tinympcnn.inference.input_check import off_scale
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.inference.views import Members
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.page_rows import PageRows

Echo = Callable[[str], None]


@dataclass(frozen=True)
class Machine:
    """Where to compute, and in which pieces. Only the last bits of the result depend on the device."""

    device: str = "numpy"  # or "cupy" or "auto"
    tile: int | None = None  # the number of outputs per axis that are computed at a time; None fits the memory
    memory: int | None = None  # the bytes of memory to keep to; None is half of what is free
    cluster: str | None = None  # "local" or the address of a Dask cluster; None computes in this process


class Job(NamedTuple):
    """An image, who writes its results, and what to say of them at the end.

    The writer is a context manager that takes the bands from the top by ``write``, and leaves whole files or none.
    """

    file: ImageFile
    writer: Any
    said: str


class _Pages:
    """The pages of all images, one after the other, and whose they are; images on another scale are warned of."""

    def __init__(
        self, files: Sequence[ImageFile], members: Members, factor: int, failures: Failures, echo: Echo
    ) -> None:
        self._files, self._members, self._factor = files, members, factor
        self._failures, self._echo = failures, echo
        self._owners: list[int] = []

    def __call__(self, height: int) -> Iterator[PageRows]:
        """Yield the pages of images that did not fail, perhaps in a band of `height` rows that was taken meanwhile."""
        for number, file in enumerate(self._files):
            for index in range(len(file)):
                page = PageRows(file, index, self._factor)
                if index == 0:
                    with self._failures.of(file.path):
                        seen = self._members.rows_seen(page.shape[:2], slice(0, min(height, page.shape[0])))
                        if wrong := off_scale(self._members.nets, page[seen]):  # the page keeps these rows
                            self._echo(f"warning: {file.path} has {wrong}")
                if file.path in self._failures:
                    break
                self._owners.append(number)
                yield page

    def owner(self, band: Band) -> int:
        """Return the number of the image that a band belongs to."""
        return self._owners[band.number]


def segment_jobs(
    jobs: Sequence[Job],
    members: Members,
    factor: int,
    post: Postprocess,
    machine: Machine,
    failures: Failures,
    echo: Echo,
    stored: Callable[[int], Store] | None = None,
) -> Iterator[Job]:
    """Compute the results of images, and yield each job that is done; the images that fail are taken down.

    With `stored`, which is told the height of the bands, a single image's bands are stored where they are computed.
    """
    if not jobs:
        return
    files = [job.file for job in jobs]
    pages = _Pages(files, members, factor, failures, echo)
    with crew_for(machine.cluster, members.nets, [file.path for file in files if file.opened_by_workers]) as crew:
        size = plan_tiles(members, factor, post, files, (machine.tile, machine.memory), crew, echo, stored is not None)
        work = Bands(members, size, finish=post, crew=crew, echo=echo)
        if stored is not None:
            H, W = files[0].shape[:2]
            work.store = stored(work.height((H // factor, W // factor)))
        for number, bands in groupby(work(pages(size[0])), pages.owner):
            job = jobs[number]
            with failures.of(job.file.path):
                with job.writer:
                    for band in bands:
                        found = band.take()
                        if found is not None:
                            job.writer.write(found)
                        del found  # before the next one is made
                echo(f"{job.file.describe()}: wrote {job.said}")
            if job.file.path not in failures:
                yield job
