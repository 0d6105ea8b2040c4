"""From files of predictions and label images to the measures in ``tinympcnn/metrics``."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from tinympcnn import data, metrics
from tinympcnn.errors import DataError, UsageError

Paths = Sequence[str | PathLike[str]]


def evaluate_files(
    predictions: Paths,
    labels: Paths,
    *,
    positive: int | None = None,
    axes: str | None = None,
    threshold: float | None = None,
    membranes: bool = False,
) -> dict[str, Any]:
    """Compare predictions (``_prob.tif`` or ``_labels.tif``) with label images; see ``tinympcnn.metrics.evaluate``.

    Parameters
    ----------
    predictions, labels : sequence of path
        As many pages on either side, paired in order.
    positive : int, optional
        Label value of the class of F1, precision and recall; by default the largest.

    Returns
    -------
    dict
        The report, with the class values under "class_values".
    """
    opened = [data.read_prediction(path) for path in data.expand(predictions, "predictions")]
    flat = data.read_labels(labels, axes, threshold)
    pages = [(prediction, page) for prediction in opened for page in prediction.pages]
    if len(pages) != len(flat):
        raise DataError(f"{len(pages)} page(s) of predictions and {len(flat)} label image(s) do not pair up")
    if len({(prediction.kind, prediction.class_values) for prediction in opened}) > 1:
        raise DataError("the predictions are of different kinds or classes; evaluate them one kind at a time")
    values = opened[0].class_values or data.find_class_values([*flat, *(page[:, :, 0] for _, page in pages)])
    if positive is not None and positive not in values:
        raise UsageError(f"--positive {positive} is none of the classes {tuple(values)}")
    for (_, page), y in zip(pages, flat, strict=True):
        if page.shape[:2] != y.shape:
            raise DataError(
                f"a prediction of {page.shape[0]}x{page.shape[1]} meets labels of {y.shape[0]}x{y.shape[1]}"
            )
    wanted = values.index(positive) if positive is not None else len(values) - 1
    reports = []
    for group in _same_sizes([y.shape for y in flat]):
        y = np.stack([data.class_indices(flat[i], values) for i in group])
        p = [pages[i][1] for i in group]
        if opened[0].kind == "prob":
            prediction = np.stack(p) if len(values) > 2 else np.stack(p)[..., wanted]
        else:
            prediction = np.stack([data.class_indices(page[:, :, 0], values) for page in p])
        reports.append((prediction, y))
    prediction, y = reports[0] if len(reports) == 1 else _joined(reports)
    report = metrics.evaluate(prediction, y, positive=wanted, n_classes=len(values), membranes=membranes)
    return {**report, "class_values": list(values)}


def _same_sizes(shapes: list[tuple[int, ...]]) -> list[list[int]]:
    """Return the indices of the images of each size."""
    return [[i for i, shape in enumerate(shapes) if shape == size] for size in dict.fromkeys(shapes)]


def _joined(reports: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return images of several sizes as one long row of pixels: measures of pixels do not see the difference."""
    flat = [(p.reshape(-1, *p.shape[3:]), y.reshape(-1)) for p, y in reports]
    return np.concatenate([p for p, _ in flat])[None, None], np.concatenate([y for _, y in flat])[None, None]
