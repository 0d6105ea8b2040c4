"""Which page belongs to which: of images and of their labels, or of predictions and of the truth."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.errors import DataError, Notice
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import Paths, expand
from tinympcnn.io.labels import open_labels
from tinympcnn.io.names import masks_among, match
from tinympcnn.io.outputs import identity_of
from tinympcnn.io.predictions import open_images, open_prediction, other_than_results
from tinympcnn.io.reading import Reading


class Page(NamedTuple):
    """The number of a page of an image (or of a prediction), and of the page of a label file that belongs to it."""

    image: ImageFile
    number: int
    label: ImageFile
    label_number: int


def pair(images: Paths, labels: Paths, reading: Reading = Reading(), predictions: bool = False) -> list[Page]:
    """Open images, or predictions, and the label files that belong to them; return the pages that belong together.

    Where images and masks lie in one folder that is given for both, files named as masks are the labels. Results of
    `segment` among other images are left out. Files that are paired by order are named in a `Notice`. The pages are in
    the order of the images. A file that is its own label, belongs to none or to several, or has another size than its
    label, is a `DataError`; the sizes of predictions, which may be down-sampled, are not compared.
    """
    what = "prediction" if predictions else "image"
    left, right = expand(images, f"{what}s"), expand(labels, "labels")
    shared = {identity_of(path) for path in left} & {identity_of(path) for path in right}
    if shared:
        left, right = _apart(left, right, shared, what)
    opened = [open_prediction(path, reading) for path in left] if predictions else open_images(left, reading)
    label_files = [open_labels(path, reading) for path in right]
    if shared:
        label_files = other_than_results(label_files)
    matched = match([file.path for file in opened], [file.path for file in label_files], what)
    if matched is None:
        pages = _by_order(opened, label_files, what)
    else:
        pages = _by_file(opened, [label_files[i] for i in matched])
    if wrong := [page for page in pages if not predictions and page.image.shape[:2] != page.label.shape[:2]]:
        raise DataError(f"{wrong[0].image} and its labels {wrong[0].label} differ in size")
    return pages


def _apart(left: list[Path], right: list[Path], shared: set[Any], what: str) -> tuple[list[Path], list[Path]]:
    """Divide files that are given on both sides: those named as masks are labels, the others images."""
    masks = masks_among([*left, *right])
    images = [path for path in left if identity_of(path) not in shared or path not in masks]
    labels = [path for path in right if identity_of(path) not in shared or path in masks]
    if what == "prediction" or not (images and labels):
        own = next(path for path in left if identity_of(path) in shared)
        article = "a" if what == "prediction" else "an"
        raise DataError(f"{own} is given as {article} {what} and as its own label; name the files of labels after -l")
    return images, labels


def _page_order(image: ImageFile, label: ImageFile) -> list[int]:
    """Return the number of the label's page for each page of the image; axes that both name are put in one order."""
    if image.n_pages != label.n_pages:
        raise DataError(f"{image} and its labels {label} differ in their number of pages")
    order: np.ndarray = np.arange(label.n_pages)
    if min(len(image.page_axes), len(label.page_axes)) > 1:
        sizes = dict(zip(label.page_axes, label.page_sizes, strict=True))
        if dict(zip(image.page_axes, image.page_sizes, strict=True)) != sizes:
            raise DataError(
                f"{image} and its labels {label} differ in the axes of their pages; --axes names them for both"
            )
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
