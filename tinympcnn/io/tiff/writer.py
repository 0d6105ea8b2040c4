"""Writing a TIFF stack band by band, so that nothing half-written ever looks complete.

The whole file is laid out first, uncompressed, and then every band of rows is put where it belongs: an image
of 16384x16384 pixels or a stack of a thousand pages needs the memory of one band. All of it happens in a
hidden temporary file (see ``tinympcnn.io.atomic``), which takes its name only when every pixel has been written and
has reached the disk.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tifffile

from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.atomic import replacing
from tinympcnn.io.image_file import ImageFile

CLASSIC_LIMIT = 2**32 - 2**26
"""The bytes of pixels up to which a classic TIFF will do, with room for a hundred thousand page headers."""


class PageWriter:
    """Write a TIFF stack band by band; a context manager. A file that exists is replaced at the end.

    Parameters
    ----------
    path : path
        The file to write. Its folder must exist.
    n_pages : int
        The number of pages.
    shape : tuple of int
        The shape (H, W) for labels, or (H, W, K) for the probabilities of K classes, which are stored as K planes.
    dtype : dtype
        The type of the pixels in the file, to which all rows are converted.
    class_values : sequence of int or None
        The class values that the description names; None for predicted images.
    like : ImageFile, optional
        The input, whose page axes, resolution and units are carried over.

    Raises
    ------
    UsageError
        If rows do not fit, or not every row was written.
    DataError
        If the folder is missing, or the file cannot be written, for instance because the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a_labels.tif")
    ...     with PageWriter(path, 2, (4, 5), np.uint8, (0, 255)) as writer:
    ...         for _ in range(2 * 2):
    ...             writer.write(np.zeros((2, 5)))  # two rows at a time
    ...     tifffile.imread(path).shape
    (2, 4, 5)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        n_pages: int,
        shape: tuple[int, ...],
        dtype: Any,
        class_values: Sequence[int] | None,
        like: ImageFile | None = None,
    ) -> None:
        self.path = Path(path)
        self._shape, self._dtype, self._n_pages = shape, np.dtype(dtype).newbyteorder("<"), n_pages
        self._class_values, self._like = class_values, like
        self._row = 0
        self._file: Any = None
        self._exits = ExitStack()

    @property
    def nbytes(self) -> int:
        """The bytes of pixels that the file will hold."""
        return int(self._n_pages * math.prod(self._shape) * self._dtype.itemsize)

    def __enter__(self) -> Self:
        planes, like = self._shape[2:], self._like
        metadata = dict(like.metadata) if like is not None else {}
        keeps_axes = like is not None and like.page_axes and like.n_pages == self._n_pages
        page_axes, page_sizes = (like.page_axes, like.page_sizes) if like and keeps_axes else ("Z", (self._n_pages,))
        shape = (*page_sizes, *planes, *self._shape[:2])
        resolution, unit = metadata.pop("resolution", None), metadata.pop("resolutionunit", None)
        if self._class_values is None:
            metadata["content"] = "prediction"
        else:
            metadata["class_values"] = [int(value) for value in self._class_values]
            metadata["content"] = "probabilities" if planes else "labels"
        metadata["axes"] = page_axes + ("CYX" if planes else "YX")
        big = self.nbytes > CLASSIC_LIMIT
        with ExitStack() as exits:
            part = exits.enter_context(replacing(self.path))
            with tifffile.TiffWriter(part, byteorder="<", bigtiff=big) as tif:
                place: Any = tif.write(
                    shape=shape,
                    dtype=self._dtype,
                    photometric="minisblack",
                    resolution=resolution,
                    resolutionunit=unit,
                    description=json.dumps({"shape": shape, **metadata}),
                    metadata=None,  # with its own description, tifffile drops axes of 1 at the end
                    returnoffset=True,
                )
            self._offset = place[0]
            self._file = part.open("r+b")
            exits.push(self._close)
            self._exits = exits.pop_all()
        return self

    def write(self, band: np.ndarray) -> None:
        """Append rows: a whole page, or a band of it; bands do not reach across pages.

        Parameters
        ----------
        band : array, shape (rows, W) or (rows, W, K)
            The rows.
        """
        height, width = self._shape[:2]
        page, row = divmod(self._row, height)
        if band.shape[1:] != self._shape[1:] or row + len(band) > height or page >= self._n_pages:
            raise UsageError(f"rows of shape {band.shape} do not fit row {row} of pages of {self._shape}")
        planes = band.reshape(*band.shape[:2], -1).transpose(2, 0, 1)
        for i, plane in enumerate(planes):
            first = ((page * len(planes) + i) * height + row) * width
            self._file.seek(self._offset + first * self._dtype.itemsize)
            self._file.write(np.ascontiguousarray(plane, self._dtype).data)
        self._row += len(band)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file before it may take its name; it may not if rows are missing."""
        self._file.close()
        missing = self._n_pages * self._shape[0] - self._row
        if kind is None and missing:
            raise UsageError(f"{self.path} was not written: {missing} rows of pixels are missing")


def check_space(folder: Path, writers: Iterable[PageWriter]) -> None:
    """Raise DataError if the disk of `folder` has too little room for the files of `writers`."""
    needed = 0
    for writer in writers:
        needed += writer.nbytes - (writer.path.stat().st_size if writer.path.exists() else 0)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f"the results take {needed / 1e6:.0f} MB and the disk of {folder} has {free / 1e6:.0f} MB left")
