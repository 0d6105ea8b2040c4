"""What every image file looks like once opened, and where a reader's failure becomes one sentence.

`ImageFile` is the common face of the two readers: `tiff.py` (stacks, page by page) and `picture.py` (PNG and
JPEG). Both read nothing but metadata when they are made, and keep no file open in between, so that a folder
of a thousand images costs no file handles. Read next: `tiff.py`, then `images.py` for the functions most
callers want.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.data.checks import check_finite
from tinympcnn.errors import DataError, UsageError

SMALL = 2**26
"""Bytes that a page may always claim: an image of one colour can pack into next to nothing."""

BEST_RATIO = 4000
"""Above `SMALL`, no compression of a real image packs better than this; a header that claims more lies."""


class ImageFile:
    """An image or a stack of images in a file: metadata now, pages when they are asked for.

    Made by `open_image`. Behaves as a sequence of pages.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        (H, W, C) of each page, in pixels and channels.
    dtype : numpy.dtype
        Type of the pixels, in native byte order.
    page_axes, page_sizes : str, tuple of int
        The axes that count pages, one letter each, and their sizes: "Z" and (30,), or "" and () for a single
        image.
    metadata : dict
        What an output file can carry over: resolution, unit and the like.

    Attributes
    ----------
    n_pages : int
        Number of pages, the product of `page_sizes`.
    axes : str
        All axes of the stack as pages are handed out, such as "ZYX" or "YXC".
    rows_at_once : int
        Rows that are best read together: all of a page, where it cannot be taken apart.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        page_axes: str = "",
        page_sizes: tuple[int, ...] = (),
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.stem = path.stem
        self.shape = shape
        self.dtype = dtype
        self.page_axes = page_axes
        self.page_sizes = page_sizes
        self.n_pages = math.prod(page_sizes)
        self.axes = page_axes + ("YXC" if shape[2] > 1 else "YX")
        self.metadata = metadata or {}
        self.rows_at_once = max(shape[0], 1)
        if 0 in (*shape, self.n_pages):
            raise DataError(f"{path} holds no pixels ({self.describe()})")

    def _read(self, index: int, start: int, stop: int) -> np.ndarray:
        """Read rows of one page as (rows, W, C), in steps of `rows_at_once`; each reader has its own."""
        raise NotImplementedError

    def page(self, index: int) -> np.ndarray:
        """Read one page.

        Parameters
        ----------
        index : int
            From 0 to `n_pages` - 1, or negative to count from the end.

        Returns
        -------
        ndarray
            (H, W, C), in native byte order.

        Raises
        ------
        IndexError
            If there is no such page.
        DataError
            If the page cannot be read, or holds pixels that are NaN or infinite.
        """
        return self.rows(index, 0, self.shape[0])

    def rows(self, index: int, start: int, stop: int) -> np.ndarray:
        """Read some rows of a page; `start` and `stop` are multiples of `rows_at_once`, or the last is the height.

        Returns
        -------
        ndarray
            (stop - start, W, C), in native byte order. Raises as `page` does.
        """
        if not -self.n_pages <= index < self.n_pages:
            raise IndexError(f"{self.path} has {self.n_pages} pages, there is no page {index}")
        index %= self.n_pages
        with reading(self.path):
            pixels = self._read(index, start, stop)
        if pixels.shape != (stop - start, *self.shape[1:]):
            raise DataError(f"{self.path}: page {index} is {pixels.shape}, the file promised {self.shape}")
        where = "" if (start, stop) == (0, self.shape[0]) else f", rows {start} to {stop - 1},"
        check_finite(pixels, f"{self.path}: page {index}{where}")
        return pixels.astype(self.dtype, copy=False)

    def describe(self) -> str:
        """Sizes along all axes and the type, such as "Z=30, Y=512, X=512, uint8"."""
        sizes = dict(zip(self.page_axes + "YXC", self.page_sizes + self.shape, strict=True))
        if self.shape[2] == 1:
            del sizes["C"]
        return ", ".join([*(f"{axis}={size}" for axis, size in sizes.items()), str(self.dtype)])

    def __len__(self) -> int:
        return self.n_pages

    def __getitem__(self, index: int) -> np.ndarray:
        return self.page(index)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.page(i) for i in range(self.n_pages))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path.name}: {self.describe()}>"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises into a `DataError` that names the file, and silence its warnings.

    Readers of damaged files raise nearly anything: `struct.error`, `SyntaxError`, `RuntimeError`,
    `ZeroDivisionError`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (DataError, UsageError):
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:
        if "imagecodecs" in str(error):
            hint = 'its compression needs: pip install "tinympcnn[images]"'
            raise DataError(f"{path} cannot be read here; {hint}") from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{path} cannot be read; it is damaged or of an unknown kind ({reason})") from error


def refuse_if_implausible(path: Path, claimed: int, stored: int, compressed: bool = True) -> None:
    """Refuse a header that claims far more pixels than its file can hold, before anything is allocated.

    Parameters
    ----------
    path : Path
        Named in the error.
    claimed : int
        Bytes of pixels that the header promises.
    stored : int
        Bytes of the file that hold them.
    compressed : bool
        Without compression every byte has to be there.

    Examples
    --------
    >>> refuse_if_implausible(Path("a.tif"), claimed=2**20, stored=3000)
    >>> refuse_if_implausible(Path("a.tif"), claimed=2**40, stored=3000)
    Traceback (most recent call last):
        ...
    tinympcnn.errors.DataError: a.tif is damaged: it claims 1099511627776 bytes of pixels but stores 3000
    """
    if claimed > (max(SMALL, BEST_RATIO * stored) if compressed else stored):
        raise DataError(f"{path} is damaged: it claims {claimed} bytes of pixels but stores {stored}")
