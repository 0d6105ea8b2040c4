"""The conditions under which the pixels of a TIFF file are believed.

tifffile repairs what it can and logs the rest: stacks are cut, pages vanish or become zeros. Such a loss would be
silent in a training run, so all of it is an error here. Nothing is allocated before the sizes in the header have been
compared with the bytes in the file.
"""

from __future__ import annotations

import itertools
import logging
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tifffile

from tinympcnn.errors import DataError, counted
from tinympcnn.io.image_file import refuse_if_implausible

STACKS = ("shaped", "ome", "imagej", "uniform", "generic")  # the kinds of series that hold every page of a file
STALE = "read without its description, which does not fit its pages"
_one_listener = threading.Lock()


@contextmanager
def heeding_log(path: Path) -> Iterator[list[str]]:
    """Raise what tifffile only logs of damage, and collect what it logs of descriptions that do not fit.

    Two methods of the log are exchanged, so that no level, filter or handler of the user's can hide damage.
    """
    stale: list[str] = []
    damage: list[str] = []

    def handle(record: logging.LogRecord) -> None:
        message = " ".join(record.getMessage().split())
        if "series" in message:
            stale.append(message)
        elif record.levelno >= logging.ERROR or "TiffPages" in message:
            damage.append(message)

    log = vars(logging.getLogger("tifffile"))
    with _one_listener:
        log.update(handle=handle, isEnabledFor=lambda level: level >= logging.WARNING)
        try:
            yield stale
        finally:
            del log["handle"], log["isEnabledFor"]
    if damage:
        raise DataError(f"{path} is damaged or unusual; saving it anew may help ({damage[0][:200]})")


def page_offsets(path: Path, tif: tifffile.TiffFile) -> set[int]:
    """Return where the TIFF pages lie; tifffile would follow their list for ever if it led back to an earlier page."""
    pages, seen = tif.pages, set[int]()
    pages.useframes = True  # so that only what differs between pages is read
    for number in itertools.count():
        try:
            offset = pages[number].offset
        except IndexError:
            break
        except RuntimeError:  # a page that differs in more
            pages.useframes = False
            offset = pages[number].offset
        if offset in seen:
            raise DataError(f"{path} is damaged: page {number} leads back to an earlier one")
        seen.add(offset)
    pages.useframes = False
    if not seen:
        raise DataError(f"{path} holds no pages")
    return seen


def ome_pixels(tif: tifffile.TiffFile) -> list[str]:
    """Return the start tags of all `Pixels` elements in OME's description."""
    return re.findall(r"<(?:\w+:)?Pixels\s[^>]*>", tif.ome_metadata or "")


def doubt_ome(path: Path, tif: tifffile.TiffFile, n_pages: int) -> str:
    """Return why OME's description is not to be used, if so; refuse it before tifffile lists more than a file holds."""
    text, page = tif.ome_metadata or "", tif.pages.first
    if "BinaryOnly" in text:  # the description of the set is in another file
        return "one file of a set, read by itself"
    for pixels in ome_pixels(tif):
        sizes = {axis: int(size) for axis, size in re.findall(r'\bSize([A-Z])="(\d+)"', pixels)}
        if (sizes.pop("Y", 0), sizes.pop("X", 0)) != (page.imagelength, page.imagewidth):
            return STALE
        if (n_files := len(set(re.findall(r'\bFileName="([^"]*)"', text)))) > 1:
            return f"one of {n_files} files of a set, read by itself"
        numbers = map(int, re.findall(r'\b(?:First[A-Z]|IFD|PlaneCount|NumPlanes)="(\d+)"', text))
        if max(planes := math.prod(sizes.values()), *numbers) > n_pages * page.samplesperpixel:
            raise DataError(f"the description of {path} promises {planes} pages, and the file holds {n_pages}")
    return ""


def stack_series(path: Path, tif: tifffile.TiffFile, offsets: set[int]) -> tuple[list[Any], int, list[str]]:
    """Return tifffile's series that make up the stack, the number of their pages in the file, and notes.

    Programs that write page after page make several series, which have one shape. Smaller copies are left out.
    """
    notes = []
    try:
        series = tif.series
    except (RuntimeError, ValueError) as error:  # pages that differ; a description that cannot be read
        tif.is_uniform = False
        setattr(tif, "is_shaped", False)  # noqa: B010  # which tifffile makes on demand
        series = tif.series
        notes += [STALE] if isinstance(error, ValueError) else []
    if len(series) == 1 and not series[0].is_pyramidal:
        return list(series), len(offsets), notes
    main = [one for one in series if not one.keyframe.is_reduced] or series
    smaller = [level.keyframe for level in main[0].levels[1:]]
    pyramid = main[0].is_pyramidal and all(page.is_reduced or page.is_subifd for page in smaller)
    if pyramid or main[0].kind not in STACKS:
        main = main[:1]
    pages = [one.keyframe for one in (main if pyramid else [level for one in main for level in one.levels])]
    kinds = [f"{'x'.join(map(str, page.shape))} {page.dtype} ({page.axes})" for page in pages]
    order = [page.index for one in main for page in one.pages if page is not None]
    if len({(one.shape, one.axes) for one in main}) > 1 or len(set(kinds)) > 1 or order != sorted(order):
        odd = next((f"{kinds[0]} and {kind}" for kind in kinds if kind != kinds[0]), "different compression or layout")
        raise DataError(f"{path} mixes pages of {odd}; save one file for each")
    if pyramid:
        notes.append("the full resolution of a pyramid")
    if left_out := len(series) - len(main):
        notes.append(f"without {counted(left_out, 'picture')} of another size or kind")
    own = {page.offset for one in main for page in one.pages if page}
    every = {page.offset for one in series for level in one.levels for page in level.pages if page}
    return main, len(offsets - every | own), notes


def check_promises(path: Path, tif: tifffile.TiffFile, series: list[Any], n_pages: int, n_stored: int) -> bool:
    """Compare the pages that the description promises with the pages and bytes in the file.

    Return whether only the first page has a directory, as in ImageJ's largest stacks, and the others follow its pixels.
    """
    first, page, size = series[0], series[0].keyframe, tif.filehandle.size
    unused = (tif.imagej_metadata or {}) if first.kind in ("uniform", "generic") else {}
    n_promised = max(n_pages, unused.get("images", 1), unused.get("slices", 1))
    packed = page.nbytes * page.bitspersample // (8 * page.dtype.itemsize)  # pixels of 1 or 12 bits
    compressed = page.compression != tifffile.COMPRESSION.NONE
    refuse_if_implausible(path, n_pages * packed, size, compressed)
    refuse_if_implausible(path, math.prod(map(int, page.chunks)) * packed // page.size, size, True)
    if n_pages > len(series) and first.dataoffset is not None and (first.is_truncated or len(first) < n_pages):
        refuse_if_implausible(path, n_pages * page.nbytes, size - first.dataoffset, compressed=False)
        return True
    if (n_pages != n_stored and first.kind in STACKS) or n_promised > max(n_pages, n_stored):
        raise DataError(
            f"the description of {path} promises {counted(n_promised, 'page')}, and the file holds {n_stored}"
        )
    return False


def check_segments(path: Path, page: Any) -> None:
    """Refuse a page that is missing, or whose strips or tiles lie outside of the file and would be zeros."""
    if page is None:
        raise DataError(f"{path} lacks a page that its description promises")
    size = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if not segments or any(offset + count > size or count == 0 for offset, count in segments):
        raise DataError(f"{path} is truncated or damaged: pixels of page {page.index} lie outside of it")
