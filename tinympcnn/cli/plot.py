"""``tinympcnn plot``: from the logs of training runs to a picture of their curves."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from tinympcnn.cli import arguments, charts
from tinympcnn.cli.models import AnyPath, Echo, Paths
from tinympcnn.cli.pictures import check_pictures
from tinympcnn.cli.words import say
from tinympcnn.errors import DataError
from tinympcnn.io.outputs import check_outputs

EXAMPLES = """
  tinympcnn plot cells.csv -o cells.png
  tinympcnn plot adam.csv sgd.csv armijo.csv -o optimizers.png --force
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tinympcnn plot``."""
    text = "The logs that train --log wrote."
    parser.add_argument("logs", nargs="+", type=arguments.path, metavar="LOG.csv", help=text)
    arguments.output(parser, "PICTURE.png", "The picture to write.", required=True)
    arguments.force(parser, "Replace a picture that exists.")


def run(options: argparse.Namespace) -> None:
    """Draw the curves."""
    plot_files(options.logs, options.output, force=options.force)


def plot_files(logs: Paths, output: AnyPath, *, force: bool = False, echo: Echo = say) -> None:
    """Draw the curves of the logs of training runs: loss and mistakes over the epochs, a colour for each run."""
    check_outputs([output], logs, force)
    check_pictures(output)
    names = [Path(log).stem for log in logs]
    names = names if len(set(names)) == len(names) else [str(log) for log in logs]
    charts.plot_curves(output, dict(zip(names, map(read_log, logs), strict=True)))
    echo(f"wrote {output}")


def read_log(path: AnyPath) -> Sequence[dict[str, float]]:
    """Return the rows of a log, those of its columns that hold numbers."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [*csv.DictReader(file)]
        wanted = ["epoch", *(name for names in charts.CURVES.values() for name in names)]
        found = [{name: float(row[name]) for name in wanted if name in row} for row in rows]
    except OSError as error:
        raise DataError(f"cannot read the log {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path} is not a log of training: {error}") from error
    if not found or not {"epoch", "loss_train"} <= found[0].keys():
        raise DataError(f"{path} is not a log of training; train --log writes the columns epoch and loss_train")
    return found
