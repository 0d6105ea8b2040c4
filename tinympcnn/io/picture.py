"""PNG and JPEG through Pillow, of the `images` extra, imported only when such a file is met.

Grey stays one channel, colour becomes three. Transparency is dropped: a net has no use for it. Palettes
become the colours they stand for, or one channel where all of those are grey. Orientation tags of cameras are
not applied. Read next: `images.py`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.errors import DataError
from tinympcnn.io.image_file import ImageFile, reading, refuse_if_implausible

READ_AS = {"1": "L", "LA": "L", "RGBA": "RGB", "L": "L", "RGB": "RGB", "I;16": "I;16", "I": "I", "P": "RGB"}
"""Pillow's modes and those that their pixels are read in."""


class PictureFile(ImageFile):
    """One PNG or JPEG file: a single page."""

    def __init__(self, path: Path) -> None:
        with reading(path), _opened(path) as picture:
            if getattr(picture, "n_frames", 1) > 1:
                raise DataError(f"{path} is an animation; save its pictures as a TIFF stack")
            mode = _mode(path, picture)
            channels = len(mode) if mode == "RGB" else 1
            dtype = np.dtype({"I;16": np.uint16, "I": np.int32}.get(mode, np.uint8))
            width, height = picture.size
            claimed = width * height * channels * dtype.itemsize
            refuse_if_implausible(path, claimed, path.stat().st_size)
            dpi = picture.info.get("dpi", (0, 0))
            metadata = {"resolution": tuple(map(float, dpi)), "resolutionunit": 2} if min(dpi) > 0 else {}
        super().__init__(path, (height, width, channels), dtype, metadata=metadata)

    def _read(self, index: int, start: int, stop: int) -> np.ndarray:
        with _opened(self.path) as picture:
            pixels = np.array(picture.convert(_mode(self.path, picture)))
        return pixels.reshape(*pixels.shape[:2], -1)[start:stop]


def _opened(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f'{path}: PNG and JPEG files need Pillow: pip install "tinympcnn[images]"') from None
    try:
        return Image.open(path, formats=("PNG", "JPEG"))
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataError(f"{path} claims more than {limit} pixels; save it as TIFF") from None


def _mode(path: Path, picture: Any) -> str:
    """Choose the mode in which a picture's pixels are read without loss."""
    if picture.mode not in READ_AS:
        raise DataError(f"{path} has pixels of the kind {picture.mode}; save it as grey or RGB")
    with path.open("rb") as file:
        header = file.read(26)
    if picture.format == "PNG" and header[24] == 16 and header[25] != 0:
        # Pillow would hand out the upper 8 bits and say nothing.
        raise DataError(f"{path} is a 16-bit colour PNG, which Pillow cuts to 8; save it as TIFF")
    if picture.mode == "P":
        colours = np.array(picture.getpalette("RGB")).reshape(-1, 3)
        if (colours == colours[:, :1]).all():
            return "L"
    return READ_AS[picture.mode]
