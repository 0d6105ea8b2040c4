"""TIFF through tifffile, page by page: plain pages, ImageJ hyperstacks, OME-TIFF, planar and tiled files.

Stored values are read as they are: palettes, look-up tables and "white is zero" are not applied. Only bits become 0
and 255, as in PNG. A channel that is marked as transparency is left out.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tinympcnn.errors import DataError
from tinympcnn.io.image_file import ImageFile, reading
from tinympcnn.io.tiff import checks
from tinympcnn.io.tiff.axes import long_axes, settle_axes
from tinympcnn.io.tiff.rows import read_rows, read_stored, rows_at_once

ALPHA = (1, 2)  # the codes of the extra samples that are transparency
UNITS = (1, 2, 3)  # the codes of the units of resolution: none, inch, centimetre
SHOWN_OTHERWISE = {0: "stored values, of which 0 is shown white", 3: "stored numbers of a palette"}  # by photometric
ORIENTATION, GDAL_NODATA = 274, 42113  # tags that tifffile does not apply
PHYSICAL = tuple(f"PhysicalSize{axis}{unit}" for axis in "XYZ" for unit in ("", "Unit"))
# What is kept of OME's, ImageJ's and tifffile's descriptions; the last two keys are this library's own.
DESCRIBED = (*PHYSICAL, "unit", "spacing", "finterval", "class_values", "content")


class TiffFile(ImageFile):
    """A TIFF file as a sequence of pages; `axes` are those of `open_image`.

    A file is a grid of TIFF pages (the outer axes), each of which holds an array (the inner axes). One page of ours is
    what is left when every page axis is fixed, wherever the axes lie.
    """

    def __init__(self, path: Path, axes: str | None = None) -> None:
        with reading(path), checks.heeding_log(path) as stale, tifffile.TiffFile(path) as tif:
            offsets = checks.page_offsets(path, tif)
            doubt = checks.doubt_ome(path, tif, len(offsets))
            tif.is_ome = bool(tif.is_ome and not doubt)
            self._series, n_stored, notes = checks.stack_series(path, tif, offsets)
            notes += [doubt] if doubt else [checks.STALE] if stale else []
            found, sizes, n_outer = long_axes(path, self._series)
            letters = settle_axes(path, axes, found, sizes, self._series[0].kind)
            n_pages = math.prod(sizes[:n_outer])
            self._headless = checks.check_promises(path, tif, self._series, n_pages, n_stored)
            keyframe = self._series[0].keyframe
            at_once, tags = rows_at_once(keyframe), keyframe.tags
            metadata = _metadata(tif)
        self._letters, self._inner = letters, sizes[n_outer:]
        self._numbers = np.arange(n_pages).reshape(sizes[:n_outer])

        size = dict(zip(letters, sizes, strict=True))
        n_channels = size.get("C", 1)
        kinds = keyframe.extrasamples if "C" in letters[n_outer:] else ()  # those of the last channels
        alpha = {n_channels - len(kinds) + i for i, kind in enumerate(kinds) if kind in ALPHA}
        self._channels = [channel for channel in range(n_channels) if channel not in alpha]
        notes += ["without its transparency"] if alpha else []
        notes += [SHOWN_OTHERWISE[keyframe.photometric]] if keyframe.photometric in SHOWN_OTHERWISE else []
        dtype = np.dtype(keyframe.dtype)
        if dtype.kind not in "buif":
            raise DataError(f"{path} holds {dtype} pixels; integers and floats can be read")
        super().__init__(
            path,
            (size["Y"], size["X"], len(self._channels)),
            np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("="),
            {letter: size[letter] for letter in letters if letter not in "YXC"},
            metadata,
            tags.valueof(ORIENTATION, default=1),
            list(dict.fromkeys(notes)),
        )
        with suppress(ValueError):
            self.no_data = float(str(tags.valueof(GDAL_NODATA, default="")).strip("\0 "))
        if letters[n_outer] == "Y" and not self._turn:
            self.rows_at_once = at_once

    def _read(self, index: int, start: int, stop: int) -> np.ndarray:
        """Gather the rows of the TIFF pages of one page, fix the page axes, and bring the others into order."""
        at = dict(zip(self.page_axes, np.unravel_index(index, self.page_sizes), strict=True))
        place = [at.get(letter, slice(None)) for letter in self._letters]
        n_outer = self._numbers.ndim
        numbers = self._numbers[tuple(place[:n_outer])]
        file = self._series[0].parent.filehandle
        with checks.heeding_log(self.path):
            file.open()
            try:
                planes = [self._tiff_page(int(number), start, stop) for number in numbers.flat]
            finally:
                file.close()
        inner = self._inner if stop - start == self._stored_height else (stop - start, *self._inner[1:])
        pixels = np.stack(planes) if len(planes) > 1 else planes[0]
        pixels = pixels.reshape(numbers.shape + inner)[(..., *place[n_outer:])]
        letters = "".join(letter for letter in self._letters if letter not in at)
        if "C" not in letters:
            pixels, letters = pixels[..., None], letters + "C"
        pixels = pixels.transpose([letters.index(axis) for axis in "YXC"])
        if len(self._channels) < pixels.shape[2]:
            pixels = pixels[..., self._channels]
        return pixels * np.uint8(255) if pixels.dtype.kind == "b" else pixels

    def _tiff_page(self, number: int, start: int, stop: int) -> np.ndarray:
        """Read rows of TIFF page `number`, counted over all series, as they are stored."""
        n_pages = self._numbers.size // len(self._series)
        which, position = divmod(number, n_pages)
        series, whole = self._series[which], stop - start == self._stored_height
        keyframe = series.keyframe
        if self._headless:
            rows = (0, keyframe.shape[0]) if whole else (start, stop)
            return read_stored(keyframe, series.dataoffset + position * keyframe.nbytes, *rows)
        page = series[position]
        checks.check_segments(self.path, page)
        return page.asarray() if whole else read_rows(page, start, stop)


def _metadata(tif: tifffile.TiffFile) -> dict[str, Any]:
    """Return resolution and units from the tags, from ImageJ's or tifffile's description, or from OME's XML."""
    described = {**(tif.imagej_metadata or {}), **(tif.shaped_metadata or ({},))[0]}
    metadata = {key: described[key] for key in DESCRIBED if key in described}
    first = "".join(checks.ome_pixels(tif)[:1])
    metadata |= re.findall(rf'\b({"|".join(PHYSICAL)})="([^"]*)"', first)
    tags = tif.pages.first.tags
    resolution = [tags.valueof(f"{axis}Resolution", default=(0, 0)) for axis in "XY"]
    if all(count > 0 for pair in resolution for count in pair):
        metadata["resolution"] = tuple(numerator / denominator for numerator, denominator in resolution)
        unit = tags.valueof("ResolutionUnit", default=1)
        metadata["resolutionunit"] = int(unit) if unit in UNITS else 1
    return metadata
