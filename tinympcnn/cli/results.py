"""From image files to files of results: what is written where, and what is left out."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.cli.models import AnyPath, Paths
from tinympcnn.cli.pages import Failures, Pages, usable
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.atomic import replacing
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.reading import Reading
from tinympcnn.io.tiff.writer import PageWriter, check_space
from tinympcnn.io.zarr.writer import LABELS, check_zarr, made_store, replacing_folder

Draw = Callable[[ImageFile, list[Path]], None]  # of an image and its results, to the last of the paths


class Result(NamedTuple):
    """A file that is written for each image, NAME_kind.tif."""

    kind: str
    form: Callable[[np.ndarray], np.ndarray]  # from a band (h, W, K) of the models' answer to what is written
    pixel: tuple[int, ...]  # the shape of a pixel: (K,) for an answer to each class, () for one number
    dtype: Any
    values: tuple[int, ...] | None  # the label values of the classes


@dataclass(frozen=True)
class Job:
    """How the results of images are made, and which."""

    pages: Pages
    results: Sequence[Result]
    reading: Reading = Reading()
    force: bool = False  # make results again that exist
    draw: Draw | None = None  # add NAME_preview.png to each

    def run(self, images: Paths, output: Path) -> list[Path]:
        """Write the results of image files, and return what was written.

        The results go into a folder, or those of a single image into one OME-Zarr, ``NAME.zarr``. Images whose results
        exist are left out, unless `force` is given. If some images cannot be used, the others have their results when
        a `DataError` names them.
        """
        files, failures = usable(images, self.reading, self.pages.members.in_maps, self.pages.factor)
        inputs = [*(file.path for file in files), *failures]
        if self.pages.factor > 1:
            self.pages.echo(f"images are down-sampled by {self.pages.factor}, as for training")
        into = self._into_zarr if output.suffix.lower() == ".zarr" else self._into_folder
        written = into(output, files, inputs, failures)
        failures.tell(len(inputs))
        return written

    def _into_folder(self, folder: Path, files: list[ImageFile], inputs: list[Path], failures: Failures) -> list[Path]:
        """Write NAME_kind.tif for each result of each image."""
        made_folder(folder)
        kinds = [*(f"{result.kind}.tif" for result in self.results), *(["preview.png"] if self.draw else [])]
        paths = {file: [folder / f"{file.stem}_{kind}" for kind in kinds] for file in files}
        missing = [file for file in files if not all(path.exists() for path in paths[file])]
        if not self.force and (missing or failures):
            if kept := len(files) - len(missing):
                left = f"{kept} of {len(inputs)} images have results in {folder} and are left out"
                self.pages.echo(f"{left}; --force makes them again")
            files = missing
        written = [path for file in files for path in paths[file]]
        check_outputs(written, inputs, self.force)
        writers = {file: [*map(partial(self._writer, file), paths[file], self.results)] for file in files}
        check_space(folder, [writer for some in writers.values() for writer in some])
        for file, bands in self.pages.bands(files, failures) if files else ():
            with failures.of(file.path):
                with ExitStack() as opened:
                    for writer in writers[file]:
                        opened.enter_context(writer)
                    for _, _, band in bands:
                        for writer, result in zip(writers[file], self.results, strict=True):
                            writer.write(result.form(band))
                        del band  # before the next one is made
                if self.draw is not None:
                    self.draw(file, paths[file])
                self._tell(file, paths[file])
        return written

    def _into_zarr(self, path: Path, files: list[ImageFile], inputs: list[Path], failures: Failures) -> list[Path]:
        """Write the probabilities and the labels of a single image, each band by whoever computed it."""
        values = self.results[0].values
        if values is None:
            raise UsageError(f"an OME-Zarr holds probabilities and labels; name a folder for predictions, not {path}")
        if len(inputs) > 1:
            raise UsageError(f"{path} holds the results of one image, and {len(inputs)} came; name a folder for them")
        check_zarr(path, inputs, self.force)
        [file] = files
        picture = path.with_name(f"{file.stem}_preview.png")
        check_outputs([picture if self.draw else None], inputs, self.force)
        with replacing_folder(path) as temporary:
            store = partial(made_store, temporary, file, values, self.pages.factor)
            for _, bands in self.pages.bands(files, failures, store):
                with failures.of(file.path):
                    deque(bands, maxlen=0)
            failures.tell(1)
        if self.draw is not None:
            self.draw(file, [path, path / LABELS, picture])
        written = [path, picture] if self.draw else [path]
        self._tell(file, written)
        return written

    def _tell(self, file: ImageFile, written: Sequence[Path]) -> None:
        """Say what was written of an image."""
        shrunk = ", of {}x{}".format(*self.pages.size(file)) if self.pages.factor > 1 else ""
        self.pages.echo(f"{file.describe()}: wrote {' and '.join(map(str, written))}{shrunk}")

    def _writer(self, file: ImageFile, path: Path, result: Result) -> PageWriter:
        return PageWriter(path, len(file), (*self.pages.size(file), *result.pixel), result.dtype, result.values, file)


def write_table(path: AnyPath, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows, one at least and all with the same columns, as a CSV in UTF-8, whole or not at all."""
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def made_folder(folder: Path) -> Path:
    """Make a folder if it does not exist, and return it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    return folder
