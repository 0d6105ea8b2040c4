"""The common face of all image files, and the one place where a reader's failure becomes one sentence.

Readers read only metadata when they are made, and keep no file open, so a thousand images cost no file handles.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.data.checks import check_finite
from tinympcnn.data.dihedral import dihedral
from tinympcnn.errors import DataError, UsageError

SMALL = 2**26  # the bytes that a page may always claim: an image of one colour is compressed to next to nothing
BEST_RATIO = 4000  # the compression above ``SMALL`` that no real image reaches
TURNS = {2: 4, 3: 6, 4: 2, 5: 1, 6: 5, 7: 7, 8: 3}  # orientation tag: ``dihedral``'s number for turning upright


class ImageFile:
    """An image or a stack of images in a file: metadata now, a sequence of pages on demand. See `open_image`.

    Attributes
    ----------
    shape : tuple of int
        The shape (H, W, C) of each page, upright. The constructor takes the shape as it is stored.
    dtype : numpy.dtype
        The type of the pixels, in native byte order.
    page_axes, page_sizes, n_pages : str, tuple of int, int
        The axes that count pages, one letter each, their sizes, and the product of the sizes.
    axes : str
        All axes of the stack in the order of the arrays, such as "ZYX" or "YXC".
    metadata, notes : dict, list of str
        What an output file can carry over, such as the resolution; what a user should know of how the file is read.
    rows_at_once : int
        The number of rows that are best read together; the height, where a page cannot be taken apart.
    no_data : float or None
        The value that the file names for pixels without data.
    ignored : tuple of int
        The values of labels that are left out, and so may stand for "no data".
    opened_by_workers : bool
        Whether other processes read the file by themselves, if they see its folder.
    """

    opened_by_workers = False

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        pages: Mapping[str, int] | None = None,
        metadata: Mapping[str, Any] | None = None,
        orientation: int = 1,
        notes: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.stem = stem_of(path)
        self.dtype = dtype
        self.page_axes, self.page_sizes = "".join(pages or ()), tuple((pages or {}).values())
        self.n_pages = math.prod(self.page_sizes)
        self.metadata = dict(metadata or {})
        self.no_data: float | None = None
        self.ignored: tuple[int, ...] = ()
        self.notes = list(notes)
        self._turn, self._stored_height = TURNS.get(orientation, 0), shape[0]
        if self._turn:
            self.notes.append(f"turned upright by its orientation tag {orientation}")
        self.shape = (shape[1], shape[0], shape[2]) if self._turn & 1 else shape
        self.axes = self.page_axes + ("YXC" if shape[2] > 1 else "YX")
        self.rows_at_once = max(self.shape[0], 1)
        if 0 in (*shape, self.n_pages):
            raise DataError(f"{path} holds no pixels ({self.describe()})")

    def _read(self, index: int, start: int, stop: int) -> np.ndarray:
        """Read rows of one page as they are stored, array, shape (rows, W, C); each reader has its own way."""
        raise NotImplementedError

    def page(self, index: int) -> np.ndarray:
        """Read page `index`, array, shape (H, W, C); a negative index counts from the end.

        A page that cannot be read, or holds pixels that are NaN, infinite or stand for "no data", is a `DataError`.
        """
        return self.rows(index, 0, self.shape[0])

    def rows(self, index: int, start: int, stop: int) -> np.ndarray:
        """Read some rows of a page, array, shape (stop - start, W, C). Raises as `page` does.

        Both `start` and `stop` are multiples of `rows_at_once`, but for a `stop` at the height of the page.
        """
        if not -self.n_pages <= index < self.n_pages:
            raise IndexError(f"{self.path} has {self.n_pages} pages, there is no page {index}")
        index %= self.n_pages
        with reading(self.path):
            if self._turn:  # the page is read whole
                pixels = dihedral(self._read(index, 0, self._stored_height), self._turn)
            else:
                pixels = self._read(index, start, stop)
        if pixels.shape != (stop - start, *self.shape[1:]):
            raise DataError(f"{self.path}: page {index} is {pixels.shape}, the file promised {self.shape}")
        where = "" if (start, stop) == (0, self.shape[0]) else f", rows {start} to {stop - 1},"
        check_finite(pixels, f"{self.path}: page {index}{where}", self.no_data, self.ignored)
        return np.asarray(pixels, self.dtype)

    def describe(self) -> str:
        """Return the sizes along all axes, the type and all notes, such as "Z=30, Y=512, X=512, uint8"."""
        sizes = dict(zip(self.page_axes + "YXC", self.page_sizes + self.shape, strict=True))
        if self.shape[2] == 1:
            del sizes["C"]
        return ", ".join([*(f"{axis}={size}" for axis, size in sizes.items()), str(self.dtype), *self.notes])

    def __str__(self) -> str:
        return f"{self.path} ({self.describe()})"

    def __len__(self) -> int:
        return self.n_pages

    def __getitem__(self, index: int) -> np.ndarray:
        return self.page(index)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.page(i) for i in range(self.n_pages))


def stem_of(path: Path) -> str:
    """Return the name of a file without its suffix, which is .ome.tif in some."""
    return path.stem[:-4] if path.stem.lower().endswith(".ome") else path.stem


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises on a damaged file into a `DataError` that names it; silence its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (DataError, UsageError):
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        if "imagecodecs" in str(error) and importlib.util.find_spec("imagecodecs"):
            raise DataError(f"{path} cannot be read: the installed imagecodecs lacks its codec ({reason})") from error
        if "imagecodecs" in str(error):
            hint = 'its compression needs: pip install "tinympcnn[images]"'
            raise DataError(f"{path} cannot be read here; {hint}") from error
        raise DataError(f"{path} cannot be read; it is damaged or of an unknown kind ({reason})") from error


def refuse_if_implausible(path: Path, claimed: int, stored: int, compressed: bool = True) -> None:
    """Refuse a header that claims far more bytes of pixels than are stored, before anything is allocated."""
    if claimed > (max(SMALL, BEST_RATIO * stored) if compressed else stored):
        raise DataError(f"{path} is damaged: it claims {claimed} bytes of pixels but stores {stored}")
