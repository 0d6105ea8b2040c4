"""Images with their labels, read into memory: as classes to train on, or as masks of defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinympcnn.data.downsample import downsample, downsample_labels
from tinympcnn.data.labels import IGNORED, advice, class_indices, class_shares, find_class_values
from tinympcnn.errors import DataError
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import Paths, all_notes, page_names
from tinympcnn.io.labels import read_labels
from tinympcnn.io.matching import Page, pair
from tinympcnn.io.reading import Reading


@dataclass(frozen=True)
class Pairs:
    """Images and their labels, in memory.

    Attributes
    ----------
    images : list of array, shape (H, W, C)
        The images, all with the same number of channels.
    labels : list of array of int8, shape (H, W)
        The indices into `class_values`, or -1 for pixels that do not count.
    class_values : tuple of int
        The values of the label images, ascending.
    names : list of str
        One name per image, as from `read_images`.
    description : list of str
        Lines to print: the files, their sizes, how they were paired, and the share of each class, by which inverted
        labels are noticed.
    advice : str
        What the labels may be instead of classes (numbered objects, resized masks) and what to do then, or nothing.
    """

    images: list[np.ndarray]
    labels: list[np.ndarray]
    class_values: tuple[int, ...]
    names: list[str]
    description: list[str]
    advice: str = ""


def read_pairs(images: Paths, labels: Paths, reading: Reading = Reading()) -> Pairs:  # noqa: B008
    """Read images and the label images that belong to them; see `pair`.

    Parameters
    ----------
    images, labels : path or iterable of paths
        The files and folders.
    reading : Reading
        How the files are read.

    Returns
    -------
    Pairs
        Everything that was read, with class indices for labels.

    Raises
    ------
    DataError
        If files cannot be read or paired, images and labels differ in size, the labels are no classes, or down-sampling
        leaves no pixel of a class.
    """
    matched = pair(images, labels, reading)
    pages, raw = _read(matched, reading, training=True)
    class_values = find_class_values(raw)
    indices = [class_indices(page, class_values) for page in raw]
    lines = _describe(matched)
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
    return Pairs(pages, indices, class_values, page_names(_images(matched)), lines, advice(raw))


class Masks(NamedTuple):
    """What `read_masks` returns.

    Attributes
    ----------
    images : list of array, shape (H, W, C)
        The images.
    defects : list of array of int8, shape (H, W)
        1 where a defect is, 0 where none is, -1 where a pixel does not count.
    names : list of str
        One name per image.
    """

    images: list[np.ndarray]
    defects: list[np.ndarray]
    names: list[str]


def read_masks(images: Paths, labels: Paths, reading: Reading = Reading(), sound: int = 0) -> Masks:  # noqa: B008
    """Read images and where they have a defect: wherever the label image has a value that counts, other than `sound`.

    Parameters
    ----------
    images, labels : path or iterable of paths
        The files and folders. The labels may be of one value only, as for images without any defect.
    reading : Reading
        How the files are read. Nothing is down-sampled.
    sound : int
        The value of pixels without a defect.

    Raises
    ------
    DataError
        If files cannot be read or paired, images and labels differ in size, or not one pixel is sound.
    """
    matched = pair(images, labels, reading)
    pages, raw = _read(matched, reading)
    values = find_class_values(raw, least=1)
    if sound not in values:
        held = ", ".join(map(str, values))
        raise DataError(f"no pixel of the labels has the value {sound}, which stands for sound; they hold {held}")
    defects = [np.where(y == IGNORED, IGNORED, y != sound).astype(np.int8) for y in raw]
    return Masks(pages, defects, page_names(_images(matched)))


def _read(matched: list[Page], reading: Reading, training: bool = False) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read all images and label values; refuse those that do not fit each other."""
    first = matched[0].image
    for image, label in _files(matched):
        if image.shape[:2] != label.shape[:2]:
            both = f"{image.path} ({image.describe()}) and its labels {label.path} ({label.describe()})"
            raise DataError(f"{both} differ in size")
        if image.shape[2] != first.shape[2]:
            others = f"{image.path} ({image.describe()}) and {first.path} ({first.describe()})"
            raise DataError(f"{others} differ in their number of channels")
    images = [page.image.page(page.number) for page in matched]
    return images, read_labels([(page.label, page.label_number) for page in matched], reading, training)


def _files(matched: list[Page]) -> list[tuple[ImageFile, ImageFile]]:
    return list(dict.fromkeys((page.image, page.label) for page in matched))


def _images(matched: list[Page]) -> list[ImageFile]:
    return list(dict.fromkeys(page.image for page in matched))


def _describe(matched: list[Page]) -> list[str]:
    """Return what was read, in lines to print: the first files, and what is special about any."""
    files = _files(matched)
    lines = [f"{image.path}: {image.describe()}; labels {label.path.name}" for image, label in files[:3]]
    if len(files) > 3:
        lines[2:] = [f"and {len(files) - 2} more files"]
    return [*lines, *all_notes([*_images(matched), *(label for _, label in files)])]
