"""TIFF through tifffile, page by page: plain pages, ImageJ hyperstacks, OME-TIFF, planar and tiled files.

Axes make TIFF harder than it looks: three pages may be three slices or the three channels of one colour
image, and files often do not say. Where both readings are possible this reader refuses and names the `--axes`
that settles it (`tiff_axes.py`). Damaged and lying files are met in `tiff_checks.py`.

Stored values are handed out as they are: palettes, look-up tables and "white is zero" are not applied. A
channel that is marked as transparency is dropped. Read next: `tiff_axes.py`.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tinympcnn.errors import DataError
from tinympcnn.io.image_file import ImageFile, reading
from tinympcnn.io.tiff import checks
from tinympcnn.io.tiff.axes import long_axes, settle_axes
from tinympcnn.io.tiff.rows import read_rows, read_stored, rows_at_once

ALPHA = (1, 2)
"""TIFF's codes for the extra samples that are transparency."""

UNITS = (1, 2, 3)
"""TIFF's codes for units of resolution: none, inch, centimetre."""

PHYSICAL = tuple(f"PhysicalSize{axis}{unit}" for axis in "XYZ" for unit in ("", "Unit"))
DESCRIBED = (*PHYSICAL, "unit", "spacing", "finterval", "class_values", "content")
"""What is kept of OME's, ImageJ's and tifffile's descriptions; the last two are this library's own."""


class TiffFile(ImageFile):
    """A TIFF file as a sequence of pages.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        One letter for each axis of the file that is longer than 1, in the order of the file: Y and X for rows
        and columns, C for channels, any other letter for pages. Overrides what the file says.

    Notes
    -----
    A file is a grid of TIFF pages (the outer axes), each of which holds an array (the inner axes). One page
    of ours is what is left when every page axis is fixed, wherever the axes lie.
    """

    def __init__(self, path: Path, axes: str | None = None) -> None:
        with reading(path), checks.heeding_log(path), tifffile.TiffFile(path) as tif:
            n_directories = checks.count_directories(path, tif)
            checks.check_ome_sizes(path, tif)
            self._series = checks.equal_series(path, tif)
            found, sizes, n_outer = long_axes(path, self._series)
            letters = settle_axes(path, axes, found, sizes, self._series[0].kind)
            checks.check_page_count(path, self._series, math.prod(sizes[:n_outer]), n_directories)
            self._letters = letters
            self._inner = sizes[n_outer:]
            self._numbers = np.arange(math.prod(sizes[:n_outer])).reshape(sizes[:n_outer])
            at_once = rows_at_once(self._series[0].keyframe)
            metadata = _metadata(tif)

        size = dict(zip(letters, sizes, strict=True))
        extra = self._series[0].keyframe.extrasamples
        self._n_channels = size.get("C", 1)
        if "C" in letters[n_outer:]:
            self._n_channels -= sum(kind in ALPHA for kind in extra)
        page_axes = "".join(letter for letter in letters if letter not in "YXC")
        dtype = np.dtype(self._series[0].dtype)
        if dtype.kind not in "buif":
            raise DataError(f"{path} holds {dtype} pixels; integers and floats can be read")
        super().__init__(
            path,
            (size["Y"], size["X"], self._n_channels),
            np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("="),
            page_axes,
            tuple(size[letter] for letter in page_axes),
            metadata,
        )
        if letters[n_outer] == "Y":
            self.rows_at_once = at_once

    def _read(self, index: int, start: int, stop: int) -> np.ndarray:
        """Gather the rows of the TIFF pages of one page, fix the page axes, and bring the others into order."""
        at = dict(zip(self.page_axes, np.unravel_index(index, self.page_sizes), strict=True))
        place = [at.get(letter, slice(None)) for letter in self._letters]
        numbers = self._numbers[tuple(place[: self._numbers.ndim])]
        file = self._series[0].parent.filehandle
        with checks.heeding_log(self.path):
            file.open()
            try:
                planes = [self._tiff_page(int(number), start, stop) for number in numbers.flat]
            finally:
                file.close()
        free = [slice(None)] * numbers.ndim
        inner = self._inner if stop - start == self.shape[0] else (stop - start, *self._inner[1:])
        pixels = np.stack(planes) if len(planes) > 1 else planes[0]
        pixels = pixels.reshape(numbers.shape + inner)[(*free, *place[self._numbers.ndim :])]
        letters = "".join(letter for letter in self._letters if letter not in at)
        if "C" not in letters:
            pixels, letters = pixels[..., None], letters + "C"
        return pixels.transpose([letters.index(axis) for axis in "YXC"])[..., : self._n_channels]

    def _tiff_page(self, number: int, start: int, stop: int) -> np.ndarray:
        """Read rows of TIFF page `number`, counted over all series, as they are stored."""
        which, position = divmod(number, self._numbers.size // len(self._series))
        series, whole = self._series[which], stop - start == self.shape[0]
        if checks.is_headless(series, self._numbers.size // len(self._series)):
            offset, height = series.dataoffset + position * series.keyframe.nbytes, series.keyframe.shape[0]
            return read_stored(series.keyframe, offset, *((0, height) if whole else (start, stop)))
        page = series[position]
        checks.check_segments(self.path, page)
        return page.asarray() if whole else read_rows(page, start, stop)


def _metadata(tif: tifffile.TiffFile) -> dict[str, Any]:
    """Resolution and units from the tags, from ImageJ's or tifffile's description, or from OME's XML."""
    described = {**(tif.imagej_metadata or {}), **(tif.shaped_metadata or ({},))[0]}
    metadata = {key: described[key] for key in DESCRIBED if key in described}
    metadata |= checks.ome_attributes(tif, "|".join(PHYSICAL))
    tags = tif.pages.first.tags
    resolution = [tags.valueof(f"{axis}Resolution", default=(0, 0)) for axis in "XY"]
    if all(count > 0 for pair in resolution for count in pair):
        metadata["resolution"] = tuple(numerator / denominator for numerator, denominator in resolution)
        unit = tags.valueof("ResolutionUnit", default=1)
        metadata["resolutionunit"] = int(unit) if unit in UNITS else 1
    return metadata
