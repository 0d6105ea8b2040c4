"""Files of predictions beside their label images: read, relabelled where asked, and checked to fit each other.

Read next: ``evaluating.py`` and ``calibrating.py``, which compare them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np

from tinympcnn import data
from tinympcnn.data.labels import MAX_CLASSES
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.images import expand
from tinympcnn.io.pairs import read_labels
from tinympcnn.io.predictions import Prediction, read_prediction
from tinympcnn.io.reading import Reading

Paths = Sequence[str | PathLike[str]]


class Compared(NamedTuple):
    """Predictions and truth, page by page.

    Attributes
    ----------
    kind : str
        "prob" or "labels".
    values : tuple of int
        The label values of the classes, ascending.
    pages : list of ndarray
        (H, W, K) probabilities or (H, W, 1) label values.
    truth : list of ndarray
        (H, W), class indices.
    """

    kind: str
    values: tuple[int, ...]
    pages: list[np.ndarray]
    truth: list[np.ndarray]


def read_compared(
    predictions: Paths,
    labels: Paths,
    reading: Reading = Reading(),  # noqa: B008
    mapping: Mapping[int, int] | None = None,
    invert: bool = False,
) -> Compared:
    """Read predictions (``_prob.tif`` or ``_labels.tif``) and label images, as many pages on either side, in order.

    Parameters
    ----------
    predictions, labels : sequence of path
    reading : Reading
        How the label images are read. They are shrunk by its factor after mapping and inverting.
    mapping : dict of int to int, optional
        Then, for data labelled in other values: what to take each label value for; others stay. Every value that is
        named must occur, and two classes at least be left.
    invert : bool
        Then, for data of the other polarity: exchange the two label values.

    Raises
    ------
    DataError
        If they do not fit each other.
    UsageError
        If there are not two classes to exchange.
    """
    opened = [read_prediction(path) for path in expand(predictions, "predictions")]
    if len({(prediction.kind, prediction.class_values) for prediction in opened}) > 1:
        raise DataError(
            "the predictions are of different kinds or classes; take them one kind at a time, such as *_prob.tif"
        )
    for prediction in opened:
        _check_classes(prediction)
    raw = read_labels(labels, reading.axes, reading.threshold)
    pages = [page for prediction in opened for page in prediction.pages]
    if len(pages) != len(raw):
        raise DataError(f"{len(pages)} page(s) of predictions and {len(raw)} label image(s) do not pair up")
    raw = _mapped(raw, mapping or {})
    values = opened[0].class_values or data.find_class_values([*raw, *(page[:, :, 0] for page in pages)])
    if invert:
        if len(values) != 2:
            raise UsageError(f"there are two classes to exchange, or none; these are {len(values)}: {tuple(values)}")
        raw = [data.map_values(y, dict(zip(values, values[::-1], strict=True))) for y in raw]
    for page, y in zip(pages, raw, strict=True):
        _check_sizes(page.shape[:2], y.shape, reading.downsample)
    truth = [data.downsample_labels(data.class_indices(y, values), reading.downsample) for y in raw]
    return Compared(opened[0].kind, tuple(values), pages, truth)


def _check_sizes(page: tuple[int, ...], labels: tuple[int, ...], downsample: int) -> None:
    """Refuse labels of another size than the prediction; if they were not down-sampled as it was, say by how much."""
    if page == tuple(size // downsample for size in labels):
        return
    factor = max(labels) // max(page)
    hint = f"; --downsample {factor} fits" if page == tuple(size // max(factor, 1) for size in labels) else ""
    shrunk = f", down-sampled by {downsample}" if downsample > 1 else ""
    raise DataError(f"a prediction of {page[0]}x{page[1]} meets labels of {labels[0]}x{labels[1]}{shrunk}{hint}")


def _check_classes(prediction: Prediction) -> None:
    """Refuse a file that was not written by `segment` and has too many values to be labels."""
    if prediction.class_values is None:
        found = {value for page in prediction.pages for value in np.unique(page).tolist()}
        if len(found) > MAX_CLASSES:
            raise DataError(
                f"{prediction.pages.path} is no prediction, for it holds {len(found)} values; "
                "give a _prob.tif or _labels.tif that segment wrote"
            )


def _mapped(labels: list[np.ndarray], mapping: Mapping[int, int]) -> list[np.ndarray]:
    """Return the labels with their values exchanged; refuse a mapping that was meant for other labels."""
    found = {value for y in labels for value in np.unique(y).tolist()} if mapping else set()
    if absent := [value for value in mapping if value not in found]:
        raise DataError(f"--map names {absent[0]}, which the labels do not hold; they are {min(found)} to {max(found)}")
    left = {mapping.get(value, value) for value in found}
    if len(left) < min(len(found), 2):
        raise DataError(f"--map leaves only the class {left.pop()} of the labels; two classes at least are needed")
    return [data.map_values(y, mapping) for y in labels]
