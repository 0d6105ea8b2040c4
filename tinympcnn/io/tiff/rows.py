"""Some rows of a TIFF page: only the strips or tiles that hold these rows are read and decoded.

A page that cannot be taken apart (one strip, planes of colours, a third dimension) is read whole.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

AT_ONCE = 1 << 20  # the bytes that are read together at least: to open the file for every strip would take longer
JPEG = (6, 7, 34892, 33007)  # the codes of the compressions that keep tables apart from the pixels


def rows_at_once(page: Any) -> int:
    """Return how many rows of a TIFF page are best read together: all of them, if the page cannot be taken apart."""
    height = max(page.imagelength, 1)
    if not page.axes.startswith("YX") or page.jpegheader is not None or page.is_contiguous != page.is_final:
        return int(height)
    unit = 1 if page.is_final else max(page.chunks[0], 1)  # 0 in damaged files
    times = max(1, AT_ONCE // max(unit * page.nbytes // height, 1))
    return int(min(unit * times, height))


def read_rows(page: Any, start: int, stop: int) -> np.ndarray:
    """Read rows of a TIFF page of an open file, as `page.asarray` would give them; see `ImageFile.rows`."""
    keyframe = page.keyframe
    if keyframe.is_final:
        return read_stored(keyframe, page.dataoffsets[0], start, stop)
    tables = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
    options = tables if keyframe.compression in JPEG else {}
    height, width = keyframe.chunks[:2]
    across = math.ceil(keyframe.shape[1] / width)
    needed = slice(start // height * across, math.ceil(stop / height) * across)
    result = np.empty((stop - start, *keyframe.shape[1:]), keyframe.dtype)
    for data, index in page.parent.filehandle.read_segments(
        page.dataoffsets[needed], page.databytecounts[needed], range(needed.start, needed.stop)
    ):
        segment, (_, _, row, column, _), _ = keyframe.decode(data, index, **options)
        place = result[row - start : row - start + height, column : column + width]
        place[...] = segment[0, : len(place), : place.shape[1]].reshape(place.shape)
    return result


def read_stored(keyframe: Any, offset: int, start: int, stop: int) -> np.ndarray:
    """Read rows of a page that lies in the file at `offset` as it is: not compressed, in one piece."""
    row = keyframe.nbytes // keyframe.shape[0]
    dtype = keyframe.dtype.newbyteorder(keyframe.parent.byteorder)
    count = (stop - start) * keyframe.size // keyframe.shape[0]
    pixels: np.ndarray = keyframe.parent.filehandle.read_array(dtype, count, offset + start * row)
    return pixels.reshape(stop - start, *keyframe.shape[1:])
