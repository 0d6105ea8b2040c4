"""Results as files: NAME_labels.tif in the values of the label images, NAME_prob.tif with one map for each class."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.errors import DataError, Notice
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import Paths, expand, open_image
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.reading import Reading
from tinympcnn.io.tiff.writer import PageWriter


def write_labels(
    path: str | PathLike[str],
    indices: np.ndarray,
    class_values: Sequence[int],
    like: ImageFile | None = None,
    force: bool = False,
) -> None:
    """Write class indices as a label image, in the values of the training labels.

    Parameters
    ----------
    path : path
        The file to write, such as "cells_labels.tif".
    indices : array, shape (H, W) or (Z, H, W)
        The indices into `class_values`.
    class_values : sequence of int
        The values to write, in the smallest integer type that holds all of them.
    like : ImageFile, optional
        The image, whose page axes, resolution and units are carried over. It is never overwritten.
    force : bool
        Whether a file that exists is replaced.

    Raises
    ------
    UsageError
        If the file is the image, or exists and `force` is not given.
    DataError
        If the file cannot be written.
    """
    values = np.asarray(class_values, label_dtype(class_values))
    _write(path, values[indices.reshape(-1, *indices.shape[-2:])], class_values, like, force)


def write_probabilities(
    path: str | PathLike[str],
    probabilities: np.ndarray,
    class_values: Sequence[int],
    like: ImageFile | None = None,
    force: bool = False,
) -> None:
    """Write the probability of each class as float32, axes ZCYX.

    Parameters
    ----------
    path : path
        The file to write, such as "cells_prob.tif".
    probabilities : array, shape (H, W, K) or (Z, H, W, K)
        The probabilities.
    class_values : sequence of int
        The K values of the classes, for the description.
    like, force
        As in `write_labels`, which raises the same errors.
    """
    pages = probabilities.reshape(-1, *probabilities.shape[-3:])
    _write(path, pages.astype(np.float32, copy=False), class_values, like, force)


def _write(
    path: str | PathLike[str], pages: np.ndarray, class_values: Sequence[int], like: ImageFile | None, force: bool
) -> None:
    check_outputs([path], [like.path] if like else [], force)
    with PageWriter(path, len(pages), pages.shape[1:], pages.dtype, class_values, like) as out:
        for page in pages:
            out.write(page)


def label_dtype(class_values: Sequence[int]) -> np.dtype[Any]:
    """Return the smallest integer type that holds all values, unsigned if no value is negative.

    Examples
    --------
    >>> label_dtype((0, 255)), label_dtype((0, 256))
    (dtype('uint8'), dtype('uint16'))
    """
    low, high = min(class_values), max(class_values)
    types = (np.iinfo(f"{kind}{size}") for kind in "ui" for size in (1, 2, 4, 8))
    return next(kind.dtype for kind in types if kind.min <= low and high <= kind.max)


def is_result(file: ImageFile) -> bool:
    """Tell whether a file is a result of this library, by its description."""
    return file.metadata.get("content") in ("labels", "probabilities", "prediction")


def open_images(paths: Paths, reading: Reading = Reading()) -> list[ImageFile]:  # noqa: B008
    """Open images, and leave out the results of this library among other images, with a `Notice`.

    Parameters
    ----------
    paths : path or iterable of paths
        The files and folders.
    reading : Reading
        The axes of files that do not tell theirs.
    """
    files = [open_image(path, reading.axes) for path in expand(paths)]
    others = [file for file in files if not is_result(file)] or files
    if len(others) < len(files):
        warnings.warn(
            f"{len(files) - len(others)} results of segment among the images are left out", Notice, stacklevel=2
        )
    return others


class Prediction(NamedTuple):
    """What `read_prediction` returns.

    Attributes
    ----------
    kind : str
        "prob" or "labels".
    pages : ImageFile
        The file, whose pages are probabilities (H, W, K) or label values (H, W, 1).
    class_values : tuple of int or None
        The values of the classes; None for a label image that this library has not written.
    """

    kind: str
    pages: ImageFile
    class_values: tuple[int, ...] | None


def read_prediction(path: str | PathLike[str]) -> Prediction:
    """Open a file of probabilities or labels, as `segment` writes them.

    Parameters
    ----------
    path : path
        A `_prob.tif`, a `_labels.tif`, or any label image of one channel.

    Returns
    -------
    Prediction
        The kind of the file, its pages, and the class values.

    Raises
    ------
    DataError
        If the file cannot be read, or is neither.
    """
    file = open_image(path, labels=True)
    values = file.metadata.get("class_values")
    if values is not None and not (isinstance(values, list) and all(type(value) is int for value in values)):
        raise DataError(f"{file.path} has a damaged description: class values {values!r}")
    if values and file.metadata.get("content") == "probabilities" and file.shape[2] == len(values):
        return Prediction("prob", file, tuple(values))
    if file.shape[2] == 1 and file.dtype.kind in "ui":
        return Prediction("labels", file, tuple(values) if values else None)
    raise DataError(f"{file.path} ({file.describe()}) is neither a label image nor a _prob.tif")
