"""Label images as numbers, cut at a threshold if asked, with -1 for what does not count."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tinympcnn.data.labels import IGNORED
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import open_image
from tinympcnn.io.reading import Reading


def open_labels(path: Path, reading: Reading) -> ImageFile:
    """Open a label file, which has the axes of its images without C."""
    axes = reading.axes and reading.axes.upper().translate({ord("C"): None, ord("S"): None})
    try:
        file = open_image(path, axes, labels=True)
    except UsageError as error:
        hint = f"labels have the axes of their images, here {reading.axes!r}, without C"
        raise UsageError(f"{error} ({hint})") from None
    file.ignored = (IGNORED, *reading.ignore)
    return file


def read_labels(pages: Iterable[tuple[ImageFile, int]], reading: Reading, training: bool = False) -> list[np.ndarray]:
    """Read pages of label files, given with their numbers: arrays, shape (H, W), where -1 stands for values to ignore.

    If classes are learnt from the labels (`training`), a -1 in a file may be meant as a class, and is refused unless
    `reading` ignores it. Colours, and files all below the threshold though they hold labels, are refused too.
    """
    found, highest = [], dict[Path, float]()
    for file, index in pages:
        page = file.page(index)
        if (page != page[..., :1]).any():
            raise DataError(f"{file.path} is a colour image; labels are one number per pixel, save them as grey")
        page = page[..., 0]
        if training and IGNORED not in reading.ignore and (page == IGNORED).any():
            raise DataError(f"{file.path} holds the label {IGNORED}; --ignore={IGNORED} leaves its pixels out")
        ignored = np.isin(page, (IGNORED, *reading.ignore))
        if reading.threshold is not None:
            top = float(page.max(where=~ignored, initial=0))
            highest[file.path] = max(highest.get(file.path, 0.0), top)
            page = np.where(page > reading.threshold, np.uint8(255), np.uint8(0))
        found.append(np.where(ignored, np.int64(IGNORED), page) if ignored.any() else page)
    if reading.threshold is not None:
        _check_threshold(reading.threshold, highest)
    return found


def _check_threshold(threshold: float, highest: dict[Path, float]) -> None:
    """Refuse a threshold above all labels, or above the 0 and 1 of one file among files of larger values."""
    top = max(highest.values())
    if 0 < top <= threshold:
        middle = int(top / 2) if top >= 1 else top / 2
        raise DataError(
            f"--threshold {threshold:g} is above every label value, for the labels reach {top:g}; "
            f"--threshold {middle:g} divides them"
        )
    if low := [path for path, value in highest.items() if 0 < value <= min(threshold, 1)]:
        raise DataError(
            f"{low[0]} holds no label above {highest[low[0]]:g}, and others reach {top:g}, so --threshold "
            f"{threshold:g} does not fit all of them; save all labels in the same values"
        )
