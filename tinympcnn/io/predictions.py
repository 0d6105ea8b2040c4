"""Results as files: NAME_labels.tif in the values of the label images, NAME_prob.tif with one map for each class."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.errors import DataError, Notice
from tinympcnn.io.atomic import AnyPath
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import Paths, expand, open_image
from tinympcnn.io.labels import open_labels
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.reading import Reading
from tinympcnn.io.tiff.writer import PageWriter


def write_labels(
    path: AnyPath, indices: np.ndarray, class_values: Sequence[int], like: ImageFile | None = None, force: bool = False
) -> None:
    """Write class indices, array, shape (H, W) or (Z, H, W), as a label image in the values of the classes.

    The file has the smallest integer type that holds all class values, and the page axes, resolution and units of the
    image `like`. A `UsageError` refuses to overwrite `like`, and any other file without `force`; a file that cannot be
    written is a `DataError`.
    """
    values = np.asarray(class_values, label_dtype(class_values))
    _write(path, values[indices.reshape(-1, *indices.shape[-2:])], class_values, like, force)


def write_probabilities(
    path: AnyPath,
    probabilities: np.ndarray,
    class_values: Sequence[int],
    like: ImageFile | None = None,
    force: bool = False,
) -> None:
    """Write the probability of each class, array, shape (H, W, K) or (Z, H, W, K), as float32 with the axes ZCYX.

    The file names the K class values in its description. All else is as in `write_labels`.
    """
    pages = probabilities.reshape(-1, *probabilities.shape[-3:])
    _write(path, pages.astype(np.float32, copy=False), class_values, like, force)


def _write(path: AnyPath, pages: np.ndarray, class_values: Sequence[int], like: ImageFile | None, force: bool) -> None:
    check_outputs([path], [like.path] if like else [], force)
    with PageWriter(path, len(pages), pages.shape[1:], pages.dtype, class_values, like) as out:
        for page in pages:
            out.write(page)


def label_dtype(class_values: Sequence[int]) -> np.dtype[Any]:
    """Return the smallest integer type that holds all values, unsigned if no value is negative."""
    low, high = min(class_values), max(class_values)
    types = (np.iinfo(f"{kind}{size}") for kind in "ui" for size in (1, 2, 4, 8))
    return next(kind.dtype for kind in types if kind.min <= low and high <= kind.max)


def most_probable(probabilities: np.ndarray, class_values: Sequence[int]) -> np.ndarray:
    """Return the value of the most probable class of each pixel, array, shape (H, W), of probabilities (H, W, K)."""
    values = np.array(class_values, label_dtype(class_values))
    return np.asarray(values[probabilities.argmax(axis=-1)])


def other_than_results(files: list[ImageFile]) -> list[ImageFile]:
    """Leave out what this library has written, as descriptions tell, unless there is nothing else."""
    ours = ("labels", "probabilities", "prediction", "picture")
    return [file for file in files if file.metadata.get("content") not in ours] or files


def open_images(paths: Paths, reading: Reading = Reading()) -> list[ImageFile]:
    """Open images, and leave out the results of this library among other images, with a `Notice`."""
    files = [open_image(path, reading.axes) for path in expand(paths)]
    others = other_than_results(files)
    if len(others) < len(files):
        n = len(files) - len(others)
        warnings.warn(f"{n} results of segment among the images are left out", Notice, stacklevel=2)
    return others


class Prediction(NamedTuple):
    """A file of results: its kind, its pages, (H, W, K) or (H, W, 1), and the values of the classes.

    The values are None for a label image that this library has not written.
    """

    kind: str  # "prob" or "labels"
    pages: ImageFile
    class_values: tuple[int, ...] | None


def open_prediction(path: AnyPath, reading: Reading = Reading()) -> ImageFile:
    """Open a file of results; the axes of `reading` are for label images of others that do not tell theirs."""
    try:
        return open_image(path, labels=True)
    except DataError:
        if reading.axes is None:
            raise
        return open_labels(Path(path), reading)


def read_prediction(path: AnyPath, reading: Reading = Reading()) -> Prediction:
    """Open a `_prob.tif` or a `_labels.tif` of `segment`, or any label image of one channel; refuse others."""
    file = open_prediction(path, reading)
    values = file.metadata.get("class_values")
    if values is not None and not (isinstance(values, list) and all(type(value) is int for value in values)):
        raise DataError(f"{file.path} has a damaged description: class values {values!r}")
    if values and file.metadata.get("content") == "probabilities" and file.shape[2] == len(values):
        return Prediction("prob", file, tuple(values))
    if file.shape[2] == 1 and file.dtype.kind in "ui":
        return Prediction("labels", file, tuple(values) if values else None)
    raise DataError(f"{file} is neither a label image nor a _prob.tif")
