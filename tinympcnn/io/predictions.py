"""Results as files: `_labels.tif` in the values of the label images, `_prob.tif` with one map per class.

Read next: `borders.py`.
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.errors import DataError
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import open_image
from tinympcnn.io.tiff.writer import PageWriter


def write_labels(
    path: str | os.PathLike[str],
    indices: np.ndarray,
    class_values: Sequence[int],
    like: ImageFile | None = None,
    force: bool = False,
) -> None:
    """Write class indices as a label image, in the values of the training labels.

    Parameters
    ----------
    path : path
        The file to be, such as "cells_labels.tif".
    indices : ndarray
        (H, W) or (Z, H, W), indices into `class_values`.
    class_values : sequence of int
        The values to write, in the smallest unsigned type that holds them (signed, where one is negative).
    like, force
        As in `PageWriter`, whose errors this raises.
    """
    pages = indices.reshape(-1, *indices.shape[-2:])
    dtype = label_dtype(class_values)
    with PageWriter(path, len(pages), pages.shape[1:], dtype, class_values, like, force) as out:
        for page in pages:
            out.write(np.asarray(class_values)[page])


def write_probabilities(
    path: str | os.PathLike[str],
    probabilities: np.ndarray,
    class_values: Sequence[int],
    like: ImageFile | None = None,
    force: bool = False,
) -> None:
    """Write the probability of each class as float32, axes ZCYX.

    Parameters
    ----------
    path : path
        The file to be, such as "cells_prob.tif".
    probabilities : ndarray
        (H, W, K) or (Z, H, W, K).
    class_values : sequence of int
        K values, written into the description.
    like, force
        As in `PageWriter`, whose errors this raises.
    """
    pages = probabilities.reshape(-1, *probabilities.shape[-3:])
    with PageWriter(path, len(pages), pages.shape[1:], np.float32, class_values, like, force) as out:
        for page in pages:
            out.write(page)


def label_dtype(class_values: Sequence[int]) -> np.dtype[Any]:
    """Return the smallest integer type that holds all values, unsigned if it can be.

    Examples
    --------
    >>> label_dtype((0, 255)), label_dtype((0, 256))
    (dtype('uint8'), dtype('uint16'))
    """
    low, high = min(class_values), max(class_values)
    types = (np.iinfo(f"{kind}{size}") for kind in "ui" for size in (1, 2, 4, 8))
    return next(kind.dtype for kind in types if kind.min <= low and high <= kind.max)


class Prediction(NamedTuple):
    """What `read_prediction` returns.

    Attributes
    ----------
    kind : str
        "prob" or "labels".
    pages : ImageFile
        Hands out (H, W, K) probabilities or (H, W, 1) label values, page by page.
    class_values : tuple of int or None
        None for a label image that this library has not written.
    """

    kind: str
    pages: ImageFile
    class_values: tuple[int, ...] | None


def read_prediction(path: str | os.PathLike[str]) -> Prediction:
    """Open a file of probabilities or labels, as `segment` writes them.

    Parameters
    ----------
    path : path
        A `_prob.tif`, a `_labels.tif`, or any label image of one channel.

    Returns
    -------
    Prediction
        Its kind, its pages, and the class values.

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
