"""Which label image belongs to which image: files that are read together, as classes or as masks of defects.

Colour pictures of masks, and files that do not pair up, are refused with the way out. Read next: `output.py`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinympcnn.data.downsample import downsample, downsample_labels
from tinympcnn.data.labels import class_indices, class_shares, find_class_values
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import Paths, expand, open_image, page_names

THRESHOLDED = (0, 255)
"""Class values of labels that were cut at a threshold."""

LABEL_SUFFIXES = tuple(f"{mark}{word}" for mark in "_-" for word in ("label", "labels", "mask", "masks"))
"""What the name of a label file may have after the name of its image: cell.png and cell_mask.png."""


@dataclass(frozen=True)
class Pairs:
    """Images and their labels, in memory.

    Attributes
    ----------
    images : list of ndarray
        (H, W, C) each, all with the same number of channels.
    labels : list of ndarray
        (H, W) each, int8: indices into `class_values`.
    class_values : tuple of int
        The values of the label images, ascending.
    names : list of str
        One name per image, as from `read_images`.
    description : list of str
        What was read, in lines to print: sizes, and the share of each class, by which inverted labels are
        noticed.
    """

    images: list[np.ndarray]
    labels: list[np.ndarray]
    class_values: tuple[int, ...]
    names: list[str]
    description: list[str]


def read_pairs(images: Paths, labels: Paths, axes: str | None = None, threshold: float | None = None) -> Pairs:
    """Read images and the label images that belong to them.

    One file on either side pair as they are; several pair by stem (cell.png with cell.png, cell_label.tif or
    cell-mask.png) or, where all of them are stacks, by order. Pages pair by order.

    Parameters
    ----------
    images, labels : path or iterable of paths
        Files and folders.
    axes : str, optional
        As in `open_image`; the labels have the same axes, without C.
    threshold : float, optional
        Labels above it become 255, the others 0. For label images with smoothed edges.

    Returns
    -------
    Pairs
        Everything read, with class indices for labels.

    Raises
    ------
    DataError
        If a file cannot be read, images and labels differ in number or size, or the labels hold one single
        value, more than 16 values, fractions or colours.
    """
    pairs, raw = _read(images, labels, axes, threshold)
    class_values = find_class_values(raw)
    indices = [class_indices(page, class_values) for page in raw]
    shares = class_shares(indices, len(class_values))
    lines = [f"{image.path}: {image.describe()}; labels {label.path.name}" for image, label in pairs[:3]]
    if len(pairs) > 3:
        lines[2:] = [f"and {len(pairs) - 2} more files"]
    classes = ", ".join(f"{value}: {share:.1%}" for value, share in zip(class_values, shares, strict=True))
    return Pairs(
        [page for image, _ in pairs for page in image],
        indices,
        class_values,
        page_names([image for image, _ in pairs]),
        [*lines, f"classes, by share of pixels: {classes}"],
    )


def read_masks(
    images: Paths, labels: Paths, axes: str | None = None, threshold: float | None = None, sound: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
    """Read images, and where in them a defect is: wherever the label image holds anything but the value `sound`.

    Parameters
    ----------
    images, labels, axes, threshold
        As in `read_pairs`. The labels may well be of one value only, as those of a flawless lot are.
    sound : int
        The value of pixels without a defect.

    Returns
    -------
    images : list of ndarray
        (H, W, C) each.
    masks : list of ndarray of bool
        (H, W) each.
    names : list of str

    Raises
    ------
    DataError
        As in `read_pairs`, or if not one pixel is sound.
    """
    pairs, raw = _read(images, labels, axes, threshold)
    values = find_class_values(raw, least=1)
    if sound not in values:
        held = ", ".join(map(str, values))
        raise DataError(f"no pixel of the labels has the value {sound}, which stands for sound; they hold {held}")
    pages = [page for image, _ in pairs for page in image]
    return pages, [y != sound for y in raw], page_names([image for image, _ in pairs])


def read_labels(labels: Paths, axes: str | None = None, threshold: float | None = None) -> list[np.ndarray]:
    """Read all pages of label images as they are, (H, W) each.

    Parameters
    ----------
    labels, axes, threshold
        As in `read_pairs`.

    Raises
    ------
    DataError
        If a file cannot be read or holds colours.
    """
    files = [open_image(path, axes, labels=True) for path in expand(labels, "labels")]
    return [_raw_labels(file, i, threshold) for file in files for i in range(file.n_pages)]


def _read(
    images: Paths, labels: Paths, axes: str | None, threshold: float | None
) -> tuple[list[tuple[ImageFile, ImageFile]], list[np.ndarray]]:
    """Return the files that belong together, and all label pages as they are."""
    image_files = [open_image(path, axes) for path in expand(images, "images")]
    label_files = [_open_labels(path, axes) for path in expand(labels, "labels")]
    pairs, raw = _pair(image_files, label_files), []
    for image, label in pairs:
        _check_pair(image, label, pairs[0][0])
        raw += [_raw_labels(label, i, threshold) for i in range(label.n_pages)]
    return pairs, raw


def _open_labels(path: Path, axes: str | None) -> ImageFile:
    """Open a label file of images that have these axes."""
    own = axes and axes.upper().translate({ord("C"): None, ord("S"): None})
    try:
        return open_image(path, own, labels=True)
    except UsageError as error:
        raise UsageError(f"{error} (labels have the axes of their images, here {axes!r}, without C)") from None


def _pair(images: list[ImageFile], labels: list[ImageFile]) -> list[tuple[ImageFile, ImageFile]]:
    by_stem = {image.stem: image for image in images}
    paired: dict[str, ImageFile] = {}
    for label in labels:
        stems = [label.stem, *(label.stem.removesuffix(suffix) for suffix in LABEL_SUFFIXES)]
        stem = next((stem for stem in stems if stem in by_stem), None)
        if stem is not None:
            paired[stem] = label
    if len(images) != len(labels):
        without = [str(image.path) for image in images if image.stem not in paired]
        which = f"; the first without is {without[0]}" if paired and without else ""
        raise DataError(f"{len(images)} image files but {len(labels)} label files; each image needs one{which}")
    if len(paired) == len(labels):
        return [(image, paired[image.stem]) for image in images]
    if len(images) == 1 or all(file.n_pages > 1 for file in images + labels):
        return list(zip(images, labels, strict=True))
    if twin := next((image for image in images if by_stem[image.stem] is not image), None):
        raise DataError(f"{twin.path} and {by_stem[twin.stem].path} have one name; it is open which labels are whose")
    alone = next(image for image in images if image.stem not in paired)
    raise DataError(f"no label file belongs to {alone.path}; expected {alone.stem} or {alone.stem}_label")


def _check_pair(image: ImageFile, label: ImageFile, first: ImageFile) -> None:
    both = f"{image.path} ({image.describe()}) and its labels {label.path} ({label.describe()})"
    if image.n_pages != label.n_pages:
        raise DataError(f"{both} differ in their number of pages")
    if image.shape[:2] != label.shape[:2]:
        raise DataError(f"{both} differ in size")
    if image.shape[2] != first.shape[2]:
        others = f"{image.path} ({image.describe()}) and {first.path} ({first.describe()})"
        raise DataError(f"{others} differ in their number of channels")


def _raw_labels(file: ImageFile, index: int, threshold: float | None) -> np.ndarray:
    page = file.page(index)
    if (page != page[..., :1]).any():
        raise DataError(f"{file.path} is a colour image; labels are one number per pixel, save them as grey")
    page = page[..., 0]
    return page if threshold is None else np.where(page > threshold, *THRESHOLDED[::-1]).astype(np.uint8)


def downsample_pairs(pairs: Pairs, factor: int) -> Pairs:
    """Shrink all images of a set and their labels; its description says so."""
    if factor == 1:
        return pairs
    images = [downsample(image, factor) for image in pairs.images]
    labels = [downsample_labels(y, factor) for y in pairs.labels]
    return replace(pairs, images=images, labels=labels, description=[*pairs.description, f"down-sampled by {factor}"])
