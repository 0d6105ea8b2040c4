"""What ``detect`` says and writes of the images that it looked at: warnings, a table, a CSV and pictures."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from tinympcnn.cli import pictures
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.input_check import off_scale
from tinympcnn.inference.inspection import Inspected, summary
from tinympcnn.io.atomic import replacing

Path = str | PathLike[str]

NAMED = 20  # flagged images that are named


@dataclass(frozen=True)
class Outputs:
    """The files to write, and whether files that exist are replaced."""

    csv: Path | None = None  # a row for every image
    sheet: Path | None = None  # the worst mistakes, as PNG
    roc: Path | None = None  # the ROC curve, as PNG
    force: bool = False


def report(
    committee: Committee,
    found: Sequence[Inspected],
    threshold: float,
    outputs: Outputs,
    pixels: float,
    factor: int,
    echo: Callable[[str], None],
) -> dict[str, Any]:
    """Say and write what was found, and return it as a table."""
    for warning in _warnings(committee, found, pixels, factor):
        echo(f"warning: {warning}")
    table = summary(found, threshold)
    echo(format_table({"pixels (full resolution)": pixels, "down-sampled by": factor, **table}))
    if flagged := [one.name for one in found if one.score > threshold]:
        more = f" and {len(flagged) - NAMED} more, see --csv" if len(flagged) > NAMED else ""
        echo(f"flagged: {', '.join(flagged[:NAMED])}{more}")
    if outputs.csv is not None:
        write_rows(outputs.csv, found, threshold, factor)
        echo(f"wrote {outputs.csv}")
    if outputs.sheet is not None:
        echo(f"wrote {outputs.sheet}, from the top: {pictures.contact_sheet(outputs.sheet, found, threshold)}")
    if outputs.roc is not None:
        pictures.plot_roc(outputs.roc, found, threshold)
        echo(f"wrote {outputs.roc}")
    return table


def _warnings(committee: Committee, found: Sequence[Inspected], pixels: float, factor: int) -> Iterator[str]:
    strange = [(one.name, wrong) for one in found if (wrong := off_scale(committee.nets, one.image))]
    if strange:
        name, wrong = strange[0]
        yield f"{len(strange)} of {len(found)} image(s) are on another scale, the first is {name} with {wrong}"
    smallest = min(found, key=lambda one: one.probability.size)
    if pixels / factor**2 > smallest.probability.size / 4:
        yield f"--pixels {pixels:g} is more than a quarter of image {smallest.name}: smaller defects are missed"


def format_table(table: dict[str, Any]) -> str:
    """Return a table as lines of name and value.

    Examples
    --------
    >>> print(format_table({"misses": 2, "precision": 0.5}))
    misses     2
    precision  0.5
    """
    width = max(map(len, table))
    return "\n".join(f"{name:<{width}}  {value:g}" for name, value in table.items())


def write_rows(path: Path, found: Sequence[Inspected], threshold: float, factor: int = 1) -> None:
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
