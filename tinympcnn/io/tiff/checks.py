"""What has to be true of a TIFF file before its pixels are believed.

tifffile repairs what it can and logs the rest: a page list that breaks off gives a shorter stack, pages of
another size vanish, pages that metadata promise but the file lacks become zeros. For people who read one
image at a prompt that is kind; for a training run it is a silent loss, so all of it is an error here. Nothing
is allocated before the sizes in the header have been compared with the bytes in the file. Read next:
`images.py`.
"""

import logging
import math
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tifffile

from tinympcnn.errors import DataError
from tinympcnn.io.image_file import refuse_if_implausible

UNCOMPRESSED = 1


@contextmanager
def heeding_log(path: Path) -> Iterator[None]:
    """Raise what tifffile would only log: every error, and warnings about pages and series."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if record.levelno >= logging.ERROR or "series" in message or "TiffPages" in message:
                heard.append(message)

    logger, listener = logging.getLogger("tifffile"), Listener(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagate
    if heard:
        message = " ".join(heard[0].split())[:200]
        raise DataError(f"{path} is damaged or unusual; saving it anew may help ({message})")


def count_directories(path: Path, tif: tifffile.TiffFile) -> int:
    """Walk the list of TIFF pages, which tifffile follows for ever where it bites its tail."""
    file, form = tif.filehandle, tif.tiff

    def number(format_: str, size: int) -> int:
        return struct.unpack(format_, file.read(size))[0]

    seen: set[int] = set()
    try:
        file.seek(8 if form.is_bigtiff else 4)
        offset = number(form.offsetformat, form.offsetsize)
        while offset:
            if offset in seen:
                raise DataError(f"{path} is damaged: page {len(seen)} leads back to an earlier one")
            seen.add(offset)
            file.seek(offset)
            n_tags = number(form.tagnoformat, form.tagnosize)
            file.seek(offset + form.tagnosize + n_tags * form.tagsize)
            offset = number(form.offsetformat, form.offsetsize)
    except (struct.error, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is truncated or damaged: the list of pages breaks off") from error
    if not seen:
        raise DataError(f"{path} holds no pages")
    return len(seen)


def ome_attributes(tif: tifffile.TiffFile, pattern: str) -> dict[str, str]:
    """Attributes of the first image in OME's XML whose names match; empty for other files."""
    pixels = re.search(r"<(?:\w+:)?Pixels\s[^>]*>", tif.ome_metadata or "")
    return dict(re.findall(rf'\b({pattern})="([^"]*)"', pixels[0])) if pixels else {}


def check_ome_sizes(path: Path, tif: tifffile.TiffFile) -> None:
    """Refuse OME metadata that promise more pages than a file has bytes, before tifffile lists them."""
    for count in re.findall(r'\b(?:Size[A-Z]|First[A-Z]|IFD|PlaneCount)="(\d+)"', tif.ome_metadata or ""):
        refuse_if_implausible(path, int(count), tif.filehandle.size, compressed=False)
    n_pages = math.prod(map(int, ome_attributes(tif, "Size[A-WZ]").values()))
    refuse_if_implausible(path, n_pages, tif.filehandle.size, compressed=False)


def equal_series(path: Path, tif: tifffile.TiffFile) -> Sequence[Any]:
    """Return tifffile's series, all of one shape; several come from programs that write page after page."""
    try:
        series = tif.series
        shapes: list[Any] = [(s.shape, s.axes, s.dtype) for s in series]
    except RuntimeError:  # tifffile's word for pages that differ
        tif.pages.useframes = False
        series, shapes = [], [(page.shape, page.axes, page.dtype) for page in tif.pages]
    odd = next((other for other in shapes if other != shapes[0]), None)
    if odd or not series:
        kinds = f"{_kind(*shapes[0])} and {_kind(*odd)}" if odd else "different compression or layout"
        raise DataError(f"{path} mixes pages of {kinds}; save one file for each")
    return series


def _kind(shape: tuple[int, ...], axes: str, dtype: Any) -> str:
    return f"{'x'.join(map(str, shape))} {dtype} ({axes})"


def is_headless(series: Any, n_pages: int) -> bool:
    """Tell whether only the first page has a directory, as in ImageJ's largest stacks."""
    return n_pages > 1 and (series.is_truncated or len(series) < n_pages)


def check_page_count(path: Path, series: Sequence[Any], n_pages: int, n_directories: int) -> None:
    """Compare the pages that metadata promise with those there are, and their bytes with the file's."""
    page = series[0].keyframe
    stored = page.parent.filehandle.size
    refuse_if_implausible(path, n_pages * _packed(page), stored, page.compression != UNCOMPRESSED)
    if is_headless(series[0], n_pages // len(series)):
        if series[0].dataoffset is None:
            raise DataError(f"{path} promises {n_pages} pages but holds {n_directories}")
        refuse_if_implausible(path, n_pages * page.nbytes, stored - series[0].dataoffset, compressed=False)
    elif n_pages != n_directories and not any(one.is_pyramidal for one in series):
        raise DataError(f"{path} promises {n_pages} pages but holds {n_directories}")


def check_segments(path: Path, page: Any) -> None:
    """Refuse a page whose strips or tiles lie outside of the file, or cannot hold what the page claims."""
    if page is None:
        raise DataError(f"{path} lacks a page that its metadata promise")
    size = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if not segments or any(offset + count > size or count == 0 for offset, count in segments):
        raise DataError(f"{path} is truncated or damaged: pixels of page {page.index} lie outside of it")
    compressed = page.keyframe.compression != UNCOMPRESSED
    refuse_if_implausible(path, _packed(page.keyframe), sum(count for _, count in segments), compressed)
    chunk = math.prod(page.keyframe.chunks) * _packed(page.keyframe) // page.keyframe.size
    refuse_if_implausible(path, chunk, max(count for _, count in segments), compressed)


def _packed(page: Any) -> int:
    """Bytes of a page before compression: pixels of 1 or 12 bits lie packed in the file."""
    return page.nbytes * page.bitspersample // (8 * page.dtype.itemsize)
