"""Some rows of a TIFF page: only the strips or tiles that hold them are read and decoded.

tifffile decodes pages whole, and a page of 16384x16384 floats is a gigabyte. Where a page cannot be taken apart (one
strip, planes of colours, a third dimension) it is read whole. Read next: `page_rows.py`.
"""

import math
from typing import Any

import numpy as np

AT_ONCE = 1 << 20
"""Bytes that are read together at least: opening the file for every strip of one row would take longer than reading."""

JPEG = (6, 7, 34892, 33007)
"""TIFF's codes for the compressions that keep tables apart from the pixels."""


def rows_at_once(page: Any) -> int:
    """Return how many rows of a TIFF page are best read together; all of them, if it cannot be taken apart.

    Parameters
    ----------
    page : tifffile.TiffPage
        A keyframe: the page that describes its like.
    """
    height = max(page.imagelength, 1)
    if not page.axes.startswith("YX") or page.jpegheader is not None or page.is_contiguous != page.is_final:
        return height
    unit = 1 if page.is_final else max(page.chunks[0], 1)  # 0 in damaged files
    times = max(1, AT_ONCE // max(unit * page.nbytes // height, 1))
    return min(unit * times, height)


def read_rows(page: Any, start: int, stop: int) -> np.ndarray:
    """Read the rows from `start` to `stop` of a TIFF page, as `page.asarray` would give them.

    Parameters
    ----------
    page : tifffile.TiffPage or tifffile.TiffFrame
        Of an open file; its keyframe allows it (`rows_at_once`).
    start, stop : int
        `start` is a multiple of what `rows_at_once` returned, and so is `stop`, or it is the page's height.
    """
    keyframe = page.keyframe
    if keyframe.is_final:
        return read_stored(keyframe, page.dataoffsets[0], start, stop)
    file = page.parent.filehandle
    tables = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
    options = tables if keyframe.compression in JPEG else {}
    height, width = keyframe.chunks[:2]
    across = math.ceil(keyframe.shape[1] / width)
    result = np.empty((stop - start, *keyframe.shape[1:]), keyframe.dtype)
    for index in range(start // height * across, math.ceil(stop / height) * across):
        file.seek(page.dataoffsets[index])
        segment, (_, _, row, column, _), _ = keyframe.decode(file.read(page.databytecounts[index]), index, **options)
        place = result[row - start : row - start + height, column : column + width]
        place[...] = segment[0, : len(place), : place.shape[1]].reshape(place.shape)
    return result


def read_stored(keyframe: Any, offset: int, start: int, stop: int) -> np.ndarray:
    """Read rows of a page that lies in the file at `offset` as it is: not compressed, in one piece."""
    row = keyframe.nbytes // keyframe.shape[0]
    dtype = keyframe.dtype.newbyteorder(keyframe.parent.byteorder)
    count = (stop - start) * keyframe.size // keyframe.shape[0]
    pixels = keyframe.parent.filehandle.read_array(dtype, count, offset + start * row)
    return pixels.reshape(stop - start, *keyframe.shape[1:])
