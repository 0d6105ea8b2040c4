"""The conditions under which the pixels of a TIFF file are believed.

tifffile repairs what it can and logs the rest: a list of pages that breaks off gives a shorter stack, pages of another
size vanish, pages that the description promises but the file lacks become zeros. That is kind to somebody who reads one
image at a prompt, but a silent loss in a training run, so all of it is an error here. Nothing is allocated before the
sizes in the header have been compared with the bytes in the file.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tifffile

from tinympcnn.errors import DataError
from tinympcnn.io.image_file import refuse_if_implausible

UNCOMPRESSED = 1
STACKS = ("shaped", "ome", "imagej", "uniform", "generic")
"""The kinds of series in which every page of a file is a page of the stack."""

STALE = "read without its description, which does not fit its pages"

_one_listener = threading.Lock()


@contextmanager
def heeding_log(path: Path) -> Iterator[list[str]]:
    """Raise what tifffile only logs of damage, and hand over what it logs of descriptions.

    The two methods are exchanged so that no level, filter or handler that a user has set for the log can hide damage.
    """
    heard: list[str] = []
    damage: list[str] = []

    def handle(record: logging.LogRecord) -> None:
        message = " ".join(record.getMessage().split())
        if "series" in message:
            heard.append(message)
        elif record.levelno >= logging.ERROR or "TiffPages" in message:
            damage.append(message)

    logger = vars(logging.getLogger("tifffile"))
    with _one_listener:
        logger.update(handle=handle, isEnabledFor=lambda level: level >= logging.WARNING)
        try:
            yield heard
        finally:
            del logger["handle"], logger["isEnabledFor"]
    if damage:
        raise DataError(f"{path} is damaged or unusual; saving it anew may help ({damage[0][:200]})")


def count_pages(path: Path, tif: tifffile.TiffFile) -> int:
    """Count the TIFF pages, whose list tifffile would follow for ever if it led back to an earlier page."""
    seen: set[int] = set()
    for page in tif.pages:
        if page.offset in seen:
            raise DataError(f"{path} is damaged: page {len(seen)} leads back to an earlier one")
        seen.add(page.offset)
    if not seen:
        raise DataError(f"{path} holds no pages")
    return len(seen)


def doubt_ome(path: Path, tif: tifffile.TiffFile, n_pages: int) -> str:
    """Return why OME's description is not to be used, if so; refuse it before tifffile lists more than a file holds."""
    text, page = tif.ome_metadata or "", tif.pages.first
    for pixels in ome_pixels(text):
        sizes = {axis: int(size) for axis, size in re.findall(r'\bSize([A-Z])="(\d+)"', pixels)}
        if (sizes.get("Y"), sizes.get("X")) != (page.imagelength, page.imagewidth):
            return STALE
        planes = math.prod(sizes.values()) // (page.imagelength * page.imagewidth)
        if (files := len(set(re.findall(r'\bFileName="([^"]*)"', text)))) > 1:
            return f"one of {files} files of a set, read by itself"
        numbers = map(int, re.findall(r'\b(?:First[A-Z]|IFD|PlaneCount|NumPlanes)="(\d+)"', text))
        if max(planes, *numbers) > n_pages * page.samplesperpixel:
            raise DataError(f"{path} promises {planes} pages but holds {n_pages}")
    return ""


def stale(path: Path, tif: tifffile.TiffFile, n_pages: int) -> str:
    """Return the note for a file whose description does not fit; refuse the file if the description promises pages."""
    described = tif.imagej_metadata or {}
    if max(described.get(key, 1) for key in ("images", "slices", "frames")) > n_pages:
        raise DataError(f"{path} promises {described} but holds {n_pages} page(s)")
    return STALE


def ome_pixels(text: str) -> list[str]:
    """Return the start tags of all `Pixels` elements in OME's description."""
    return re.findall(r"<(?:\w+:)?Pixels\s[^>]*>", text)


def stack_series(path: Path, tif: tifffile.TiffFile) -> tuple[list[Any], list[str]]:
    """Return tifffile's series that make up the stack, all of one shape, and notes of what was left out.

    Programs that write page after page make several series. Smaller copies of an image are left out.
    """
    try:
        series = tif.series
    except RuntimeError:  # tifffile's word for pages that differ
        tif.is_uniform = False
        series = tif.series
    if not series:
        raise DataError(f"{path} holds no pages of pixels")
    main = [one for one in series if not one.keyframe.is_reduced] or series
    if main[0].kind not in STACKS or _is_pyramid(main[0]):
        main = main[:1]
    shapes = [(one.shape, one.axes, one.dtype) for one in main]
    levels = [level for one in main if not _is_pyramid(one) for level in one.levels[1:]]
    order = [page.index for one in main for page in one.pages if page is not None]
    odd = [one for one, shape in zip(main, shapes, strict=True) if shape != shapes[0]] + levels
    if odd or order != sorted(order):
        kinds = [_kind(one.keyframe) for one in (main[0], *odd)]
        differ = [kind for kind in kinds if kind != kinds[0]]
        mixture = f"{kinds[0]} and {differ[0]}" if differ else "different compression or layout"
        raise DataError(f"{path} mixes pages of {mixture}; save one file for each")
    notes = ["the full resolution of a pyramid"] if _is_pyramid(main[0]) else []
    if len(series) > len(main):
        notes.append(f"without {len(series) - len(main)} smaller or other pictures")
    return main, notes


def _is_pyramid(series: Any) -> bool:
    return all(level.keyframe.is_reduced or level.keyframe.is_subifd for level in series.levels[1:]) and (
        series.is_pyramidal
    )


def _kind(page: Any) -> str:
    return f"{'x'.join(map(str, page.shape))} {page.dtype} ({page.axes})"


def check_page_count(path: Path, series: Sequence[Any], n_pages: int, n_stored: int) -> None:
    """Compare the pages that the description promises with those there are, and their bytes with the file's."""
    page = series[0].keyframe
    stored = page.parent.filehandle.size
    refuse_if_implausible(path, n_pages * _packed(page), stored, page.compression != UNCOMPRESSED)
    if is_headless(series[0], n_pages // len(series)) and series[0].dataoffset is not None:
        refuse_if_implausible(path, n_pages * page.nbytes, stored - series[0].dataoffset, compressed=False)
    elif n_pages != n_stored and series[0].kind in STACKS and not page.is_reduced:
        raise DataError(f"{path} promises {n_pages} pages but holds {n_stored}")


def is_headless(series: Any, n_pages: int) -> bool:
    """Tell whether only the first page has a directory, as in ImageJ's largest stacks."""
    return n_pages > 1 and (series.is_truncated or len(series) < n_pages)


def check_segments(path: Path, page: Any) -> None:
    """Refuse a page whose strips or tiles lie outside of the file, or cannot hold what the page claims."""
    if page is None:
        raise DataError(f"{path} lacks a page that its description promises")
    size = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if not segments or any(offset + count > size or count == 0 for offset, count in segments):
        raise DataError(f"{path} is truncated or damaged: pixels of page {page.index} lie outside of it")
    compressed = page.keyframe.compression != UNCOMPRESSED
    refuse_if_implausible(path, _packed(page.keyframe), sum(count for _, count in segments), compressed)
    chunk = math.prod(page.keyframe.chunks) * _packed(page.keyframe) // page.keyframe.size
    refuse_if_implausible(path, chunk, max(count for _, count in segments), compressed)


def _packed(page: Any) -> int:
    """Return the bytes of a page before compression: pixels of 1 or 12 bits lie packed in the file."""
    return int(page.nbytes * page.bitspersample // (8 * page.dtype.itemsize))
