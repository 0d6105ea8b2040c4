"""Which images a command can use, and what it says of the others while the work on the rest goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinympcnn.cli.models import Paths, check_channels
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import expand, open_image
from tinympcnn.io.names import name_on_disk
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
            if min(file.shape[:2]) < factor:
                raise DataError(f"{file} is too small to be down-sampled by {factor}")
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
