"""Images with their labels, read into memory: as classes to train on, or as masks of defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinympcnn.data.downsample import downsample, downsample_labels
from tinympcnn.data.labels import IGNORED, advice, class_indices, class_shares, find_class_values
from tinympcnn.errors import DataError
from tinympcnn.io.images import Paths, all_notes, check_same_channels, page_names
from tinympcnn.io.labels import read_labels
from tinympcnn.io.matching import pair
from tinympcnn.io.reading import Reading


@dataclass(frozen=True)
class Pairs:
    """Images and their labels, in memory."""

    images: list[np.ndarray]  # shape (H, W, C), all with the same number of channels
    labels: list[np.ndarray]  # int8, shape (H, W): indices into the class values, or -1 for pixels that do not count
    class_values: tuple[int, ...]  # the values of the label images, ascending
    names: list[str]  # one name per image, as from `read_images`
    description: list[str]  # lines to print: files, sizes, the share of each class (which shows inverted labels)
    advice: str = ""  # what the labels may be instead of classes (numbered objects, resized masks), and what to do then


def read_pairs(images: Paths, labels: Paths, reading: Reading = Reading()) -> Pairs:
    """Read images and the label images that belong to them; see `pair`.

    Images and labels that differ in size, labels that are no classes, and a down-sampling that leaves no pixel of a
    class are a `DataError`.
    """
    pages, raw, names, lines = _read(images, labels, reading, training=True)
    class_values = find_class_values(raw)
    indices = [class_indices(page, class_values) for page in raw]
    if reading.downsample > 1:
        pages = [downsample(page, reading.downsample) for page in pages]
        indices = [downsample_labels(page, reading.downsample) for page in indices]
        lines.append(f"down-sampled by {reading.downsample}")
    shares = class_shares(indices, len(class_values))
    for value, share in zip(class_values, shares, strict=True):
        if share == 0:
            raise DataError(
                f"down-sampling by {reading.downsample} leaves no pixel of the class {value}; "
                f"take a smaller factor, or leave the class out with --ignore {value}"
            )
    classes = ", ".join(f"{value}: {share:.1%}" for value, share in zip(class_values, shares, strict=True))
    lines.append(f"classes, by share of pixels: {classes}")
    if ignored := sum(np.count_nonzero(page == IGNORED) for page in indices):
        lines.append(f"{ignored / sum(page.size for page in indices):.1%} of all pixels are left out (--ignore, -1)")
    return Pairs(pages, indices, class_values, names, lines, advice(raw))


class Masks(NamedTuple):
    """Images (H, W, C), their defects (H, W) as int8, 1 or 0 or -1 for a pixel that does not count, and their names."""

    images: list[np.ndarray]
    defects: list[np.ndarray]
    names: list[str]


def read_masks(images: Paths, labels: Paths, reading: Reading = Reading(), sound: int = 0) -> Masks:
    """Read images and where they have a defect: wherever the label image has a value that counts, other than `sound`.

    The labels may be of one value only, as for images without any defect, but that not one pixel is sound is a
    `DataError`. Nothing is down-sampled.
    """
    pages, raw, names, _ = _read(images, labels, reading)
    values = find_class_values(raw, least=1)
    if sound not in values:
        held = ", ".join(map(str, values))
        raise DataError(f"no pixel of the labels has the value {sound}, which stands for sound; they hold {held}")
    defects = [np.where(y == IGNORED, IGNORED, y != sound).astype(np.int8) for y in raw]
    return Masks(pages, defects, names)


def _read(
    images: Paths, labels: Paths, reading: Reading, training: bool = False
) -> tuple[list[np.ndarray], list[np.ndarray], list[str], list[str]]:
    """Return images and label values that fit each other, the images' names, and lines to print of the files."""
    matched = pair(images, labels, reading)
    files = list(dict.fromkeys((page.image, page.label) for page in matched))
    opened, label_files = ([*dict.fromkeys(side)] for side in zip(*files, strict=True))
    check_same_channels(opened)
    lines = [f"{image.path}: {image.describe()}; labels {label.path.name}" for image, label in files[:3]]
    if len(files) > 3:
        lines[2:] = [f"and {len(files) - 2} more files"]
    pages = [page.image.page(page.number) for page in matched]
    values = read_labels([(page.label, page.label_number) for page in matched], reading, training)
    return pages, values, page_names(opened), lines + all_notes(opened + label_files)
