"""What ``detect`` says and writes of the images that it looked at: warnings, a table, a CSV and pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tinympcnn.cli import charts, pictures
from tinympcnn.cli.models import AnyPath, Echo
from tinympcnn.cli.words import table
from tinympcnn.errors import counted
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.input_check import off_scale
from tinympcnn.inference.inspection import PAPER_PIXELS, Inspected, summary
from tinympcnn.io.atomic import replacing

NAMED = 20  # flagged images that are named
PAPER_SHARE = PAPER_PIXELS / (240 * 548)  # of an image of the paper, four times 60 by four times 137 pixels


@dataclass(frozen=True)
class Outputs:
    """The files to write, and whether files that exist are replaced."""

    csv: AnyPath | None = None
    """Write a row for every image to this file. The default is to write none."""
    sheet: AnyPath | None = None
    """Draw the worst mistakes to this file. This needs matplotlib. The default is to draw none."""
    roc: AnyPath | None = None
    """Draw the ROC curve with the chosen point to this file. This needs labels and matplotlib. The default is to draw
    none."""
    force: bool = False
    """Replace results that exist. Inputs are never replaced."""


def report(
    committee: Committee,
    found: Sequence[Inspected],
    threshold: float,
    outputs: Outputs,
    pixels: float,
    factor: int,
    echo: Echo,
) -> dict[str, Any]:
    """Say and write what was found, and return it as a table."""
    for warning in _warnings(committee, found, pixels, factor):
        echo(f"warning: {warning}")
    values = summary(found, threshold)
    echo(table({"pixels (full resolution)": f"{pixels:g}", "down-sampled by": factor, **values}))
    if flagged := [one.name for one in found if one.score > threshold]:
        more = f" and {len(flagged) - NAMED} more, see --csv" if len(flagged) > NAMED else ""
        echo(f"flagged: {', '.join(flagged[:NAMED])}{more}")
    if outputs.csv is not None:
        write_rows(outputs.csv, found, threshold, factor)
        echo(f"wrote {outputs.csv}")
    if outputs.sheet is not None:
        rows = charts.contact_sheet(outputs.sheet, found, threshold, pixels / factor**2)
        echo(f"wrote {outputs.sheet}, from the top: {rows}")
    if outputs.roc is not None:
        charts.plot_roc(outputs.roc, found, threshold)
        echo(f"wrote {outputs.roc}")
    return values


def _warnings(committee: Committee, found: Sequence[Inspected], pixels: float, factor: int) -> Iterator[str]:
    strange = [(one.name, wrong) for one in found if (wrong := off_scale(committee.nets, one.image))]
    if strange:
        name, wrong = strange[0]
        yield f"{len(strange)} of {counted(len(found), 'image')} on another scale, the first is {name} with {wrong}"
    smallest = min(found, key=lambda one: one.probability.size)
    size = smallest.probability.size * factor**2
    if pixels > size / 4:
        yield (
            f"--pixels {pixels:g} is more than a quarter of image {smallest.name}, which has {size} pixels, so smaller "
            f"defects are missed; try --pixels {max(1, int(PAPER_SHARE * size))}, or auto with validation images"
        )


def write_rows(path: AnyPath, found: Sequence[Inspected], threshold: float, factor: int = 1) -> None:
    """Write a CSV in UTF-8 with a row for every image: what was found, what was decided, and what is true.

    Pixels are counted at full resolution, `factor` times that of the net.
    """
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "defect", "flagged", "outcome", "score", "pixels_above_threshold", "seconds"])
        for one in found:
            known = one.defect is not None
            writer.writerow([
                pictures.printable(one.name), int(one.truth) if known else "", int(one.score > threshold),
                one.outcome(threshold) if known else "", f"{one.score:.5f}",
                int((one.probability > threshold).sum()) * factor**2, f"{one.seconds:.5f}",
            ])  # fmt: skip
