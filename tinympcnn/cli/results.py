"""Which images are to be segmented, where their results go, and what is said of images that cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np

from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import expand, open_image
from tinympcnn.io.predictions import label_dtype, other_than_results
from tinympcnn.io.reading import Reading
from tinympcnn.io.tiff.writer import PageWriter

Paths = Sequence[str | PathLike[str]]

NAMED = 10  # images without a result that the error names


def usable(images: Paths, reading: Reading, channels: int, factor: int) -> tuple[list[ImageFile], Failures]:
    """Return the images that a model of so many channels takes, and why it does not take the others.

    Results of `segment` among other images are left out.
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
            if file.shape[2] != channels:
                raise DataError(f"{file.path} has {file.shape[2]} channel(s) and the model takes {channels}")
            files.append(file)
    if not files:
        failures.tell(len(failures))
    if double := [stem for stem, times in Counter(file.stem for file in files).items() if times > 1]:
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


class TiffPair:
    """The writer of the probabilities and the labels of an image, NAME_prob.tif and NAME_labels.tif in a folder."""

    def __init__(self, file: ImageFile, folder: Path, values: tuple[int, ...], factor: int) -> None:
        H, W = file.shape[0] // factor, file.shape[1] // factor
        prob, labels = folder / f"{file.stem}_prob.tif", folder / f"{file.stem}_labels.tif"
        self._values = np.array(values, label_dtype(values))
        self.writers = (
            PageWriter(prob, len(file), (H, W, len(values)), np.float32, values, file),
            PageWriter(labels, len(file), (H, W), self._values.dtype, values, file),
        )
        self.paths = [prob, labels]

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for writer in self.writers:
                opened.enter_context(writer)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def write(self, band: np.ndarray) -> None:
        """Append a band of probabilities (h, W, K), and the value of the most probable class of each pixel."""
        prob, labels = self.writers
        prob.write(band)
        labels.write(self._values[band.argmax(axis=-1)])


def made_folder(folder: Path) -> Path:
    """Make a folder if it does not exist, and return it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    return folder
