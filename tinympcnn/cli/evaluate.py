"""From files of predictions and label images to the measures in ``tinympcnn/metrics``.

Read next: ``pairing.py``, which reads and checks them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinympcnn import data, metrics
from tinympcnn.cli import arguments
from tinympcnn.cli.compare import Paths, read_compared
from tinympcnn.errors import UsageError


def evaluate_files(
    predictions: Paths,
    labels: Paths,
    *,
    positive: int | None = None,
    axes: str | None = None,
    threshold: float | None = None,
    mapping: Mapping[int, int] | None = None,
    invert: bool = False,
    downsample: int = 1,
    membranes: bool = False,
) -> dict[str, Any]:
    """Compare predictions (``_prob.tif`` or ``_labels.tif``) with label images; see ``tinympcnn.metrics.evaluate``.

    Parameters
    ----------
    predictions, labels : sequence of path
        As many pages on either side, paired in order.
    positive : int, optional
        Label value of the class of F1, precision and recall; by default the largest.
    axes, threshold, mapping, invert, downsample : optional
        See ``tinympcnn.cli.compare.read_compared``.

    Returns
    -------
    dict
        The report, with the class values under "class_values".
    """
    kind, values, pages, truth = read_compared(predictions, labels, axes, threshold, mapping, invert, downsample)
    if positive is not None and positive not in values:
        raise UsageError(f"--positive {positive} is none of the classes {values}")
    wanted = values.index(positive) if positive is not None else len(values) - 1
    reports = []
    for group in _same_sizes([y.shape for y in truth]):
        y = np.stack([truth[i] for i in group])
        p = [pages[i] for i in group]
        if kind == "prob":
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn evaluate``."""
    parser.add_argument("-p", "--predictions", nargs="+", required=True, help="_prob.tif or _labels.tif files")
    parser.add_argument("-l", "--labels", nargs="+", required=True, help="label images")
    parser.add_argument("--positive", type=int, metavar="VALUE", help="class of F1, precision, recall (the largest)")
    parser.add_argument("--membranes", action="store_true", help="add Rand, V_Rand, V_Info and warping error")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments.relabelling(parser)
    arguments.reading(parser)


def run(options: argparse.Namespace) -> None:
    """Print the report."""
    report = evaluate_files(
        options.predictions, options.labels, positive=options.positive, axes=options.axes,
        threshold=options.threshold, mapping=options.map, invert=options.invert, membranes=options.membranes,
        downsample=options.downsample,
    )  # fmt: skip
    print(json.dumps(report, indent=1) if options.json else metrics.format_report(report))
