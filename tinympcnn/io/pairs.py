"""Which file belongs to which: images with their labels, and predictions with the truth, page by page.

Names decide; see `match`. Files pair by order only if no name fits another, and both sides have as many pages.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.data.downsample import downsample, downsample_labels
from tinympcnn.data.labels import IGNORED, advice, class_indices, class_shares, find_class_values
from tinympcnn.errors import DataError, Notice
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import Paths, all_notes, expand, open_image, page_names
from tinympcnn.io.labels import open_labels, read_labels
from tinympcnn.io.names import masks_among, match
from tinympcnn.io.outputs import identity_of
from tinympcnn.io.predictions import is_result, open_images
from tinympcnn.io.reading import Reading


class Page(NamedTuple):
    """The number of a page of an image (or of a prediction), and of the page of a label file that belongs to it."""

    image: ImageFile
    number: int
    label: ImageFile
    label_number: int


def pair(images: Paths, labels: Paths, reading: Reading = Reading(), predictions: bool = False) -> list[Page]:  # noqa: B008
    """Open images, or predictions, and the label files that belong to them.

    Where images and masks lie in one folder that is given for both, files named as masks are the labels. Results of
    `segment` among other images are left out. Files that are paired by order are named in a `Notice`.

    Parameters
    ----------
    images, labels : path or iterable of paths
        The files and folders.
    reading : Reading
        The axes of files that do not tell theirs.
    predictions : bool
        Whether the images are predictions, as `read_prediction` opens them.

    Returns
    -------
    list of Page
        The pages that belong together, in the order of the images. Their sizes are not compared.

    Raises
    ------
    DataError
        If a file cannot be read, is its own label, or belongs to none or to several.
    """
    what = "prediction" if predictions else "image"
    left, right = expand(images, f"{what}s"), expand(labels, "labels")
    shared = {identity_of(path) for path in left} & {identity_of(path) for path in right}
    if shared:
        left, right = _apart(left, right, shared, what)
    opened = [open_image(path, labels=True) for path in left] if predictions else open_images(left, reading)
    label_files = [open_labels(path, reading) for path in right]
    if shared:
        label_files = [file for file in label_files if not is_result(file)] or label_files
    matched = match([file.path for file in opened], [file.path for file in label_files], what)
    return (
        _by_order(opened, label_files, what) if matched is None else _by_file(opened, [label_files[i] for i in matched])
    )


def _apart(left: list[Path], right: list[Path], shared: set[Any], what: str) -> tuple[list[Path], list[Path]]:
    """Divide files that are given on both sides: those named as masks are labels, the others images."""
    masks = masks_among([*left, *right])
    images = [path for path in left if identity_of(path) not in shared or path not in masks]
    labels = [path for path in right if identity_of(path) not in shared or path in masks]
    if what == "prediction" or not (images and labels):
        own = next(path for path in left if identity_of(path) in shared)
        raise DataError(f"{own} is given as {_a(what)} and as its own label; name the files of labels after -l")
    return images, labels


def _page_order(image: ImageFile, label: ImageFile) -> list[int]:
    """Return the number of the label's page for each page of the image; axes that both name are put in one order."""
    both = f"{image.path} ({image.describe()}) and its labels {label.path} ({label.describe()})"
    if image.n_pages != label.n_pages:
        raise DataError(f"{both} differ in their number of pages")
    order: np.ndarray = np.arange(label.n_pages)
    if min(len(image.page_axes), len(label.page_axes)) > 1:
        sizes = dict(zip(label.page_axes, label.page_sizes, strict=True))
        if dict(zip(image.page_axes, image.page_sizes, strict=True)) != sizes:
            raise DataError(f"{both} differ in the axes of their pages; --axes names them for both")
        order = order.reshape(label.page_sizes).transpose([label.page_axes.index(axis) for axis in image.page_axes])
    return order.ravel().tolist()


def _by_file(images: Sequence[ImageFile], labels: Sequence[ImageFile]) -> list[Page]:
    files = zip(images, labels, strict=True)
    return [Page(image, i, label, j) for image, label in files for i, j in enumerate(_page_order(image, label))]


def _by_order(images: Sequence[ImageFile], labels: Sequence[ImageFile], what: str) -> list[Page]:
    """Pair files, or pages, in the order in which they were given, and say so if there are several."""
    if len(images) == len(labels):
        pages = _by_file(images, labels)
    else:
        left, right = ([(file, i) for file in files for i in range(file.n_pages)] for files in (images, labels))
        if len(left) != len(right):
            raise DataError(
                f"{len(images)} {what} files but {len(labels)} label files, with {len(left)} and {len(right)} pages; "
                f"each {what} needs one, with the same name"
            )
        pages = [Page(*a, *b) for a, b in zip(left, right, strict=True)]
    files = dict.fromkeys((page.image.path, page.label.path) for page in pages)
    if len(files) > 1:
        said = ", ".join(f"{image} with {label}" for image, label in files)
        warnings.warn(f"no name fits, so files are paired by order: {said}", Notice, stacklevel=3)
    return pages


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


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
    pages, raw = _read(matched, reading)
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
        lines.append(f"{ignored / sum(page.size for page in indices):.1%} of all pixels do not count")
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


def _read(matched: list[Page], reading: Reading) -> tuple[list[np.ndarray], list[np.ndarray]]:
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
    return images, read_labels([(page.label, page.label_number) for page in matched], reading)


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
