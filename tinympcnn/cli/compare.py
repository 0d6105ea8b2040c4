"""Predictions beside the truth: paired, read, relabelled where asked, and checked to fit each other."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinympcnn import data
from tinympcnn.cli import arguments
from tinympcnn.cli.models import Paths
from tinympcnn.data.labels import IGNORED, MAX_CLASSES
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.images import expand
from tinympcnn.io.labels import read_labels
from tinympcnn.io.matching import pair
from tinympcnn.io.predictions import read_prediction
from tinympcnn.io.reading import Reading


def add_arguments(group: argparse._ActionsContainer, help: str) -> None:
    """Add predictions and the label images to compare them with, and how the label images are read and changed."""
    group.add_argument("-p", "--predictions", help=help, required=True, **arguments.FILES)
    text = "The label images, one for each prediction."
    group.add_argument("-l", "--labels", help=text, required=True, **arguments.FILES)
    arguments.reading(group, "axes", "threshold", "ignore", "downsample")
    text = "Replace label value A by B, and so on. The default is to change no value."
    group.add_argument("--map", type=arguments.mapping, dest="mapping", metavar="A:B,...", help=text)
    group.add_argument("--invert", action="store_true", help="Exchange the two values of the label images.")


def how(options: argparse.Namespace) -> dict[str, Any]:
    """Return how label images are read and changed, as `read_compared` takes it."""
    return {"reading": arguments.made(Reading, options), "mapping": options.mapping, "invert": options.invert}


class Compared(NamedTuple):
    """Predictions and truth, page by page."""

    kind: str  # "prob" or "labels"
    values: tuple[int, ...]  # the label values of the classes, ascending
    pages: list[np.ndarray]  # the probabilities, shape (H, W, K), or label values, shape (H, W, 1)
    truth: list[np.ndarray]  # the class indices, shape (H, W), with -1 for pixels that do not count


def read_compared(
    predictions: Paths,
    labels: Paths,
    reading: Reading = Reading(),
    mapping: Mapping[int, int] | None = None,
    invert: bool = False,
) -> Compared:
    """Read predictions (``_prob.tif`` or ``_labels.tif``) and the label images that belong to them; see `pair`.

    `mapping` gives new label values for old ones, which must all occur; two classes at least must be left. `invert`
    then exchanges the two label values. Labels are down-sampled last, for predictions of a model that was trained so.
    """
    if mapping and IGNORED in mapping and reading.ignore:
        raise UsageError(f"--map names {IGNORED}, which --ignore stands for; give one of the two")
    opened = [read_prediction(path, reading) for path in expand(predictions, "predictions")]
    kinds = {(prediction.kind, prediction.class_values) for prediction in opened}
    if len(kinds) > 1:
        raise DataError(
            "the predictions are of different kinds or classes; take one kind at a time, such as *_prob.tif"
        )
    for file in (prediction.pages for prediction in opened if prediction.class_values is None):
        if (n := len(_values(file))) > MAX_CLASSES:
            way_out = "give a _prob.tif or _labels.tif that segment wrote"
            raise DataError(f"{file.path} is no prediction, for it holds {n} values; {way_out}")
    ((kind, values),) = kinds
    matched = pair(predictions, labels, reading, predictions=True)
    pages = [page.image.page(page.number) for page in matched]
    raw = read_labels([(page.label, page.label_number) for page in matched], reading)
    raw = _mapped(raw, mapping or {})
    values = values or _common_values(pages, raw)
    if invert:
        if len(values) != 2:
            raise UsageError(f"--invert exchanges two label values, and there are {len(values)}: {tuple(values)}")
        raw = [data.map_values(y, dict(zip(values, values[::-1], strict=True))) for y in raw]
    for page, y in zip(pages, raw, strict=True):
        _check_sizes(page.shape[:2], y.shape, reading.downsample)
    truth = [data.downsample_labels(data.class_indices(y, values), reading.downsample) for y in raw]
    return Compared(kind, tuple(values), pages, truth)


def _common_values(pages: list[np.ndarray], raw: list[np.ndarray]) -> tuple[int, ...]:
    """Return the values of predictions that do not name their classes, and of their labels."""
    found, true = (data.find_class_values(arrays, least=1) for arrays in (pages, raw))
    if len(found) == len(true) == 2 and found != true:
        into = ",".join(f"{a}:{b}" for a, b in zip(true, found, strict=True) if a != b)
        raise DataError(
            f"the predictions hold the values {found} and the labels {true}; if they mean the same classes, "
            f"--map {into} takes the values of the labels for those of the predictions"
        )
    return data.find_class_values([*raw, *pages])


def _check_sizes(page: tuple[int, ...], labels: tuple[int, ...], factor: int) -> None:
    """Refuse labels of another size than the prediction; if they were not down-sampled as it was, say by how much."""
    if page == tuple(size // factor for size in labels):
        return
    fits = max(labels) // max(page)
    hint = f"; --downsample {fits} fits" if page == tuple(size // max(fits, 1) for size in labels) else ""
    shrunk = f", down-sampled by {factor}" if factor > 1 else ""
    raise DataError(f"a prediction of {page[0]}x{page[1]} meets labels of {labels[0]}x{labels[1]}{shrunk}{hint}")


def _values(pages: Iterable[np.ndarray]) -> set[int]:
    """Return the distinct values of pages."""
    return {value for page in pages for value in np.unique(page).tolist()}


def _mapped(labels: list[np.ndarray], mapping: Mapping[int, int]) -> list[np.ndarray]:
    """Return the labels with their values exchanged; refuse a mapping that was meant for other labels."""
    found = _values(labels) - ({IGNORED} - mapping.keys()) if mapping else set()
    if absent := [value for value in mapping if value not in found]:
        raise DataError(f"--map names {absent[0]}, which the labels do not hold; they are {min(found)} to {max(found)}")
    left = {mapping.get(value, value) for value in found}
    if len(left) < min(len(found), 2):
        raise DataError(f"--map leaves only the class {left.pop()} of the labels; two classes at least are needed")
    return [data.map_values(y, mapping) for y in labels]
