"""From files of small images to a class for each, and to error rates where the classes are known."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.charts import draw_confusion, draw_mistakes
from tinympcnn.cli.models import AnyPath, Echo, Machine, Paths, crew_for, load_backend, load_nets
from tinympcnn.cli.pictures import check_pictures
from tinympcnn.cli.results import write_table
from tinympcnn.cli.words import say, table
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference.average import average
from tinympcnn.inference.classify import check_columns, classify, opinions, prepared
from tinympcnn.inference.input_check import off_scale
from tinympcnn.io.classes import Classified, has_classes, read_classified
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.reading import Reading
from tinympcnn.metrics import confusion, mcnemar, rejection_curve, top_error

EXAMPLES = """
  tinympcnn classify -i signs/test -m plain.npz
  tinympcnn classify -i signs/test -m plain.npz conorm.npz --csv rows.csv \\
                     --confusion confusion.png --sheet mistakes.png
"""
REJECTED = (0.01, 0.05)  # shares of the images for which the rejection curve is printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn classify``."""
    data, net, machine = (parser.add_argument_group(title) for title in ("data", "net", "machine"))
    text = "The images: one folder with a subfolder for each class, one CSV with the columns file and class, or files "
    arguments.images(data, help=text + "and folders without classes.")
    arguments.fields(data, Outputs, csv="ROWS.csv", confusion="CONFUSION.png", sheet="MISTAKES.png")
    text = "The columns, as train wrote them. The probabilities of several are averaged."
    net.add_argument("-m", "--model", help=text, required=True, **arguments.MODELS)
    arguments.machine(machine, cluster=True)


def run(options: argparse.Namespace) -> None:
    """Classify as the options of ``tinympcnn classify`` say."""
    outputs = arguments.made(Outputs, options)
    classify_files(options.images, options.model, outputs, axes=options.axes, machine=arguments.made(Machine, options))


@dataclass(frozen=True)
class Outputs:
    """The files that are asked for, each of them optional."""

    csv: AnyPath | None = None
    """Write a row for each image to this file. The default is to write none."""
    confusion: AnyPath | None = None
    """Draw the confusion matrix to this file. This needs classes and matplotlib. The default is to draw none."""
    sheet: AnyPath | None = None
    """Draw the surest mistakes to this file. This needs classes and matplotlib. The default is to draw none."""


def classify_files(
    images: Paths,
    models: Paths,
    outputs: Outputs = Outputs(),
    *,
    axes: str | None = None,
    machine: Machine = Machine(),
    echo: Echo = say,
) -> dict[str, Any]:
    """Classify images with a column or a committee of columns, and compare with the truth where that is known.

    The images are one folder with a subfolder for each class, one CSV of file and class, or files and folders without
    classes. Return the measures by name; those that need a truth are missing without one.
    """
    if not has_classes(images) and (outputs.confusion or outputs.sheet):
        raise UsageError("pictures of mistakes need the true classes: a folder for each class, or a CSV")
    check_outputs(vars(outputs).values(), [*models, *(path for path in images if Path(path).is_file())])
    check_pictures(outputs.confusion, outputs.sheet)
    device, why = load_backend(machine.device, machine.cluster)
    echo(f"backend: {why}")
    nets, names, factor = load_nets(models)
    check_columns(nets, names)
    if nets[0].class_names is None:
        raise DataError(f"{names[0]} does not classify whole images: it was trained on label images; use segment")
    data = read_classified(images, nets[0].class_names, Reading(axes=axes, downsample=factor))
    echo(data.describe())
    some = data.images[:: max(1, len(data.images) // 256)]  # about 256 tell their scale
    for net, name in zip(nets, names, strict=True):
        if wrong := off_scale([net], np.concatenate(prepared(net, some))):
            echo(f"warning: for {name} the images have {wrong}")
    nets = [net.to(device) for net in nets]
    classify(nets, data.images[:1])  # the first call makes threads and memory, which is not what an image costs
    with crew_for(machine.cluster, nets) as crew:
        start = time.perf_counter()
        answers = list(opinions(nets, data.images, crew))
        seconds = (time.perf_counter() - start) / len(data.images)
    p = average(answers)
    report = {"images": len(p), "columns": len(nets), "seconds per image": round(seconds, 6)}
    if data.classes is not None:
        report |= measures(p, data.classes) | compared(answers, data.classes, names)
    echo(table(report))
    _write(outputs, data, p, echo)
    return report


def measures(p: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Return the error rate, the top-2 error, and what rejecting the least certain images leaves, by name."""
    values: dict[str, float] = {"wrong": int((p.argmax(axis=1) != classes).sum())}
    values |= {"error": top_error(p, classes), "top-2 error": top_error(p, classes, 2)}
    curve = rejection_curve(p, classes)
    for share in REJECTED:
        if share <= curve.rejected[-1]:
            left = curve.error[np.searchsorted(curve.rejected, share)]
            values[f"error after rejecting {100 * share:g} %"] = float(left)
    return values


def compared(opinions: Sequence[np.ndarray], classes: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Return the error of each of several columns, what their committee gains, and McNemar's p, by name."""
    if len(opinions) < 2:
        return {}
    errors, together = [top_error(p, classes) for p in opinions], average(opinions)
    mean, best = float(np.mean(errors)), opinions[int(np.argmin(errors))]
    return {
        **{f"error of {name}": error for name, error in zip(names, errors, strict=True)},
        "mean error of the columns": mean,
        "gain of the committee on that mean": mean - top_error(together, classes),
        "McNemar's p against the best column": mcnemar(
            together.argmax(axis=1) != classes, best.argmax(axis=1) != classes
        ),
    }


def write_rows(path: AnyPath, data: Classified, p: np.ndarray) -> None:
    """Write a CSV with a row for each image: its class if known, and the two most probable classes."""
    rows = []
    for i, (first, second) in enumerate(np.argsort(-p, axis=1, kind="stable")[:, :2].tolist()):
        row = {"image": data.names[i], "class": "" if data.classes is None else data.class_names[data.classes[i]]}
        row |= {"predicted": data.class_names[first], "probability": f"{p[i, first]:.5f}"}
        rows.append(row | {"second": data.class_names[second], "second_probability": f"{p[i, second]:.5f}"})
    write_table(path, rows)


def _write(outputs: Outputs, data: Classified, p: np.ndarray, echo: Echo) -> None:
    """Write the files that are asked for."""
    if outputs.csv is not None:
        write_rows(outputs.csv, data, p)
    if outputs.confusion is not None and data.classes is not None:
        C = confusion(p.argmax(axis=1), data.classes, len(data.class_names))
        draw_confusion(outputs.confusion, C, data.class_names)
    if outputs.sheet is not None and data.classes is not None:
        draw_mistakes(outputs.sheet, data.images, data.classes, p, data.class_names)
    for path in filter(None, vars(outputs).values()):
        echo(f"wrote {path}")
