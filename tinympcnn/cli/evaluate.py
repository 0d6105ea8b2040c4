"""``tinympcnn evaluate``: from files of predictions and label images to the measures in ``tinympcnn/metrics``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from tinympcnn import data, metrics
from tinympcnn.cli import compare
from tinympcnn.cli.models import Paths
from tinympcnn.errors import UsageError
from tinympcnn.io.reading import Reading

EXAMPLES = """
  tinympcnn evaluate -p results/*_labels.tif -l labels/
  tinympcnn evaluate -p results/*_prob.tif -l labels/ --membranes --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn evaluate``."""
    text = "The predictions: _prob.tif or _labels.tif files that segment wrote, or label images."
    compare.add_arguments(parser.add_argument_group("data"), text)
    measures = parser.add_argument_group("measures")
    text = "The label value of the positive class for F1, precision and recall. The default is the largest value."
    measures.add_argument("--positive", type=int, metavar="VALUE", help=text)
    text = "Add the measures of segments, for membranes with two classes: Rand error, V_Rand, V_Info, warping error."
    measures.add_argument("--membranes", action="store_true", help=text)
    measures.add_argument("--json", action="store_true", help="Print the report as JSON. The default is a table.")


def run(options: argparse.Namespace) -> None:
    """Print the report."""
    how = {**compare.how(options), "positive": options.positive, "membranes": options.membranes}
    report = evaluate_files(options.predictions, options.labels, **how)
    print(json.dumps(report, indent=1) if options.json else metrics.format_report(report))


def evaluate_files(
    predictions: Paths,
    labels: Paths,
    *,
    positive: int | None = None,
    membranes: bool = False,
    reading: Reading = Reading(),
    mapping: Mapping[int, int] | None = None,
    invert: bool = False,
) -> dict[str, Any]:
    """Return what `metrics.evaluate` says of prediction and label files, with the class values under "class_values".

    `positive` is the label value of the positive class, by default the largest one; `read_compared` says the rest.
    """
    kind, values, pages, truth = compare.read_compared(predictions, labels, reading, mapping, invert)
    if positive is not None and positive not in values:
        raise UsageError(f"--positive {positive} is none of the classes {values}")
    wanted = values.index(positive) if positive is not None else len(values) - 1
    if kind == "labels":
        pages = [data.class_indices(page[:, :, 0], values) for page in pages]
    elif len(values) == 2:
        pages = [page[:, :, wanted] for page in pages]
    report = metrics.evaluate(pages, truth, positive=wanted, n_classes=len(values), membranes=membranes)
    return {**report, "class_values": list(values)}
