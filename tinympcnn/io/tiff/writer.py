"""Writing a TIFF stack band by band, so that nothing half-written ever looks complete.

The whole file is laid out first, uncompressed, and then every band of rows is put where it belongs, so that the memory
of one band is enough. All of it happens in a temporary file (see ``tinympcnn.io.atomic``).
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import tifffile

from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.atomic import AnyPath, replacing
from tinympcnn.io.image_file import ImageFile

CLASSIC_LIMIT = 2**32 - 2**26  # the bytes of pixels that leave a classic TIFF room for 100,000 page headers


class PageWriter:
    """Write a TIFF stack band by band; a context manager. A file that exists is replaced at the end.

    Pages have the shape (H, W) for labels, or (H, W, K) for the probabilities of K classes, which are stored as K
    planes. Rows are converted to `dtype`. The description names the class values, which are None for predicted images.
    The page axes, resolution and units are those of the image `like`. A file that cannot be written is a `DataError`;
    rows that do not fit, or are missing at the end, are a `UsageError`.
    """

    def __init__(
        self,
        path: AnyPath,
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

    @property
    def nbytes(self) -> int:
        """The bytes of pixels that the file will hold."""
        return int(self._n_pages * math.prod(self._shape) * self._dtype.itemsize)

    def __enter__(self) -> Self:
        self._open = self._opened()
        self._open.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """Lay the file out, and let it take its name at the end of the block, unless rows are missing."""
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
        with replacing(self.path) as part:
            with tifffile.TiffWriter(part, byteorder="<", bigtiff=self.nbytes > CLASSIC_LIMIT) as tif:
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
            with part.open("r+b") as self._file:
                yield
            if missing := self._n_pages * self._shape[0] - self._row:
                raise UsageError(f"{self.path} was not written: {missing} rows of pixels are missing")

    def write(self, band: np.ndarray) -> None:
        """Append rows, (rows, W) or (rows, W, K): a whole page, or a band of it, but never of two pages."""
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


def check_space(folder: Path, writers: Iterable[PageWriter]) -> None:
    """Raise DataError if the disk of `folder` has too little room for the files of `writers`."""
    needed = sum(writer.nbytes - (writer.path.stat().st_size if writer.path.exists() else 0) for writer in writers)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f"the results take {needed / 1e6:.0f} MB and the disk of {folder} has {free / 1e6:.0f} MB left")
