"""PNG and JPEG through Pillow, which is part of the `images` extra and imported only when such a file is met.

Transparency is left out, since a net has no use for it. Bits become 0 and 255. Palettes become the colours that they
stand for, or one channel where all of these are grey. In label images, a palette of colours gives the stored numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.errors import DataError
from tinympcnn.io.image_file import ImageFile, reading, refuse_if_implausible

READ_AS = {"1": "L", "LA": "L", "RGBA": "RGB", "L": "L", "RGB": "RGB", "I;16": "I;16", "I": "I", "P": "RGB"}
DRAWN = "drawn by tinympcnn"  # the comment in the pictures that commands draw
ORIENTATION = 0x112  # the tag of cameras for how the picture was held


class PictureFile(ImageFile):
    """One PNG or JPEG file: a single page."""

    def __init__(self, path: Path, labels: bool = False) -> None:
        with reading(path), _opened(path) as picture:
            n_pictures, notes = getattr(picture, "n_frames", 1), []
            if picture.format == "PNG" and n_pictures > 1:
                raise DataError(f"{path} is an animation; save its pictures as a TIFF stack")
            if n_pictures > 1:
                notes.append(f"the first of its {n_pictures} pictures")
            if "A" in picture.getbands():
                notes.append("without its transparency")
            self._mode = _mode(path, picture, labels)
            channels = 3 if self._mode == "RGB" else 1
            dtype = np.dtype({"I;16": np.uint16, "I": np.int32}.get(self._mode, np.uint8))
            width, height = picture.size
            refuse_if_implausible(path, width * height * channels * dtype.itemsize, path.stat().st_size)
            dpi = picture.info.get("dpi", (0, 0))
            metadata: dict[str, Any] = {"content": "picture"} if picture.info.get("Comment") == DRAWN else {}
            metadata |= {"resolution": tuple(map(float, dpi)), "resolutionunit": 2} if min(dpi) > 0 else {}
            self._orientation = _orientation(picture)
        super().__init__(path, (height, width, channels), dtype, None, metadata, self._orientation, notes)

    def _read(self, index: int, start: int, stop: int) -> np.ndarray:
        with _opened(self.path) as picture:
            pixels = np.array(picture if picture.mode == self._mode else picture.convert(self._mode))
            if _orientation(picture) != self._orientation:
                raise DataError(f"{self.path} has its orientation tag behind its pixels; save it anew")
        return pixels.reshape(*pixels.shape[:2], -1)[start:stop]


def _opened(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f'{path}: PNG and JPEG files need Pillow: pip install "tinympcnn[images]"') from None
    try:
        return Image.open(path, formats=("PNG", "JPEG", "MPO"))
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataError(f"{path} claims more than {limit} pixels; save it as TIFF") from None


def _mode(path: Path, picture: Any, labels: bool) -> str:
    """Choose the mode in which a picture's pixels are read without loss."""
    if picture.mode not in READ_AS:
        raise DataError(f"{path} has pixels of the kind {picture.mode}; save it as grey or RGB")
    with path.open("rb") as file:
        header = file.read(26)
    if picture.format == "PNG" and header[24] == 16 and header[25] != 0:
        # Pillow would return the upper 8 bits and say nothing.
        raise DataError(f"{path} is a 16-bit colour PNG, which Pillow cuts to 8; save it as TIFF")
    if picture.mode == "P":
        colours = np.array(picture.getpalette("RGB")).reshape(-1, 3)
        grey = (colours == colours[:, :1]).all()
        inverting = grey and np.array_equal(colours[:, 0], np.arange(255, -1, -1))  # ImageJ's, for showing only
        if labels and (not grey or inverting):
            return "P"
        return "L" if grey else "RGB"
    return READ_AS[picture.mode]


def _orientation(picture: Any) -> Any:
    """Return the orientation tag, as far as it is known without decoding the pixels."""
    from PIL import Image

    return Image.Image.getexif(picture).get(ORIENTATION, 1)
