"""From files of small images to a class for each, and to error rates where the classes are known."""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.class_pictures import draw_confusion, draw_mistakes
from tinympcnn.cli.crew import add_argument as add_cluster
from tinympcnn.cli.crew import backend_for, crew_for
from tinympcnn.cli.models import resolution
from tinympcnn.cli.pictures import check_picture
from tinympcnn.engine import backend
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference.average import agreed, average
from tinympcnn.inference.classify import check_columns, classify
from tinympcnn.inference.classify import opinions as each_column
from tinympcnn.io.atomic import replacing
from tinympcnn.io.classes import Classified, has_classes, read_classified
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.reading import Reading
from tinympcnn.metrics import confusion, mcnemar, rejection_curve, top_error
from tinympcnn.net import Net

Paths = Sequence[str | PathLike[str]]
EXAMPLE = """example:
  tinympcnn classify -i signs/test -m plain.npz conorm.npz --csv rows.csv --sheet mistakes.png
"""
REJECTED = (0.01, 0.05)  # shares of the images for which the rejection curve is printed


class Outputs(NamedTuple):
    """The files that are asked for, each of them optional."""

    csv: str | PathLike[str] | None = None
    confusion: str | PathLike[str] | None = None
    sheet: str | PathLike[str] | None = None


def classify_files(
    images: Paths,
    models: Paths,
    outputs: Outputs = Outputs(),  # noqa: B008, it is immutable
    *,
    axes: str | None = None,
    device: str = "numpy",
    cluster: str | None = None,
    echo: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Classify images with a column or a committee of columns, and compare with the truth where that is known.

    Parameters
    ----------
    images : sequence of path
        One folder with a subfolder for each class, one CSV of file and class, or files and folders without classes.
    models : sequence of path
        The columns, whose probabilities are averaged.
    outputs : Outputs
        The files to write: a CSV with a row for each image, pictures of the confusion matrix and of the mistakes.
    axes : str, optional
        The axes of TIFF files that do not tell theirs.
    device : {"numpy", "cupy", "auto"}
        Where to compute.
    cluster : str, optional
        "local" or the address of a Dask cluster that computes the columns.
    echo : callable
        Called with each line of the report.

    Returns
    -------
    dict
        The measures by name; those that need a truth are missing without one.
    """
    if not has_classes(images) and (outputs.confusion or outputs.sheet):
        raise UsageError(
            "a confusion matrix and a sheet of mistakes need the true classes: a folder for each, or a CSV"
        )
    check_outputs(outputs, [*models, *(path for path in images if Path(path).is_file())])
    for picture in (outputs.confusion, outputs.sheet):
        if picture is not None:
            check_picture(picture)
    xp, why = backend.load(backend_for(cluster, device))
    echo(f"backend: {why}")
    nets, names = [Net.load(path) for path in models], [str(path) for path in models]
    check_columns(nets, names)
    if nets[0].class_names is None:
        raise DataError(f"{names[0]} does not classify whole images: it was trained on label images; use segment")
    factor = agreed("down-sampling", [resolution(net) for net in nets], names)
    data = read_classified(images, nets[0].class_names, Reading(axes=axes, downsample=factor))
    echo(data.describe())
    nets = [net.to("numpy" if xp is np else "cupy") for net in nets]
    classify(nets, data.images[:1])  # the first call makes threads and memory, which is not what an image costs
    with crew_for(cluster, nets) as crew:
        start = time.perf_counter()
        opinions = list(each_column(nets, data.images, crew))
        seconds = (time.perf_counter() - start) / len(data.images)
    p = average(opinions)
    report = {"images": len(p), "columns": len(nets), "seconds per image": round(seconds, 6)}
    if data.classes is not None:
        report |= measures(p, data.classes) | compared(opinions, data.classes, names)
    for name, value in report.items():
        echo(f"{name:<40}  {value:.6g}")
    _write(outputs, data, p, echo)
    return report


def measures(p: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Return the error rate, the top-2 error, and what rejecting the least certain images leaves, by name."""
    curve = rejection_curve(p, classes)
    left = {
        f"error after rejecting {100 * share:g} %": float(curve.error[np.searchsorted(curve.rejected, share)])
        for share in REJECTED
        if share <= curve.rejected[-1]
    }
    return {
        "wrong": int((p.argmax(axis=1) != classes).sum()),
        "error": top_error(p, classes),
        "top-2 error": top_error(p, classes, 2),
        **left,
    }


def compared(opinions: Sequence[np.ndarray], classes: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Return each column's error, what the committee gains on their mean, and McNemar's test against the best column.

    Nothing for a single column.
    """
    if len(opinions) < 2:
        return {}
    errors = [top_error(p, classes) for p in opinions]
    best = int(np.argmin(errors))
    together = average(opinions)
    return {
        **{f"error of {name}": error for name, error in zip(names, errors, strict=True)},
        "mean error of the columns": float(np.mean(errors)),
        "gain of the committee on that mean": float(np.mean(errors)) - top_error(together, classes),
        "McNemar's p against the best column": mcnemar(
            together.argmax(axis=1) != classes, opinions[best].argmax(axis=1) != classes
        ),
    }


def write_rows(path: str | PathLike[str], data: Classified, p: np.ndarray) -> None:
    """Write a CSV with a row for each image: its class if known, and the two most probable classes."""
    order = np.argsort(-p, axis=1, kind="stable")
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "class", "predicted", "probability", "second", "second_probability"])
        for i, (first, second) in enumerate(order[:, :2].tolist()):
            true = "" if data.classes is None else data.class_names[data.classes[i]]
            first_row = [data.class_names[first], f"{p[i, first]:.5f}"]
            writer.writerow([data.names[i], true, *first_row, data.class_names[second], f"{p[i, second]:.5f}"])


def _write(outputs: Outputs, data: Classified, p: np.ndarray, echo: Callable[[str], None]) -> None:
    if outputs.csv is not None:
        write_rows(outputs.csv, data, p)
    if outputs.confusion is not None and data.classes is not None:
        C = confusion(p.argmax(axis=1), data.classes, len(data.class_names))
        draw_confusion(outputs.confusion, C, data.class_names)
    if outputs.sheet is not None and data.classes is not None:
        draw_mistakes(outputs.sheet, data.images, data.classes, p, data.class_names)
    for path in outputs:
        if path is not None:
            echo(f"wrote {path}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn classify``."""
    parser.add_argument(
        "-i", "--images", action=arguments.Files, required=True, metavar="PATH",
        help="The images: one folder with a subfolder for each class, one CSV with the columns file and class, or "
        "files and folders without classes.",
    )  # fmt: skip
    parser.add_argument(
        "-m", "--model", action=arguments.Files, required=True, metavar="MODEL.npz",
        help="The columns, as train wrote them. The probabilities of several are averaged.",
    )  # fmt: skip
    parser.add_argument(
        "--csv", type=arguments.new_file, metavar="ROWS.csv", help="Write a row for each image to this file."
    )
    parser.add_argument(
        "--confusion", type=arguments.new_file, metavar="CONFUSION.png", help="Draw the confusion matrix to this file."
    )
    parser.add_argument(
        "--sheet", type=arguments.new_file, metavar="MISTAKES.png", help="Draw the surest mistakes to this file."
    )
    arguments.reading(parser, labels=False)
    arguments.machine(parser)
    add_cluster(parser, "the columns and the images")


def run(options: argparse.Namespace) -> None:
    """Classify as the options of ``tinympcnn classify`` say."""
    outputs = Outputs(options.csv, options.confusion, options.sheet)
    classify_files(
        options.images, options.model, outputs, axes=options.axes, device=options.backend, cluster=options.cluster
    )
