"""``tinympcnn detect``: from image files and model files to a decision for each image (``inference/inspection.py``)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from tinympcnn.cli import arguments, charts
from tinympcnn.cli.models import AnyPath, Echo, Machine, Paths, check_channels, load_committee
from tinympcnn.cli.pictures import check_pictures
from tinympcnn.cli.results import write_table
from tinympcnn.cli.words import say, table
from tinympcnn.errors import UsageError, counted
from tinympcnn.inference import inspection
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.input_check import off_scale
from tinympcnn.inference.inspection import PAPER_PIXELS, Inspected, inspect, recounted, summary
from tinympcnn.io.images import expand, page_names
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.pairs import read_masks
from tinympcnn.io.predictions import open_images
from tinympcnn.io.reading import Reading
from tinympcnn.nn.geometry import count

NAMED = 20  # flagged images that are named
PAPER_SHARE = PAPER_PIXELS / (240 * 548)  # of an image of the paper, four times 60 by four times 137 pixels

EXAMPLES = """
  tinympcnn detect -i line4/ -m steel.npz --probability 0.7 --pixels 312
  tinympcnn detect -i line4/ -m steel.npz --val-images known/ \\
                   --val-labels masks/ --pixels auto --sheet worst.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn detect``."""
    data, net, machine = (parser.add_argument_group(title) for title in ("data", "net", "machine"))
    arguments.images(data, "threshold", "ignore")
    text = "The label images, where the truth is known. Every value but that of the first class is a defect."
    data.add_argument("-l", "--labels", help=text, **arguments.FILES)
    text = "The validation images, on which the threshold is chosen, and with --pixels auto the number of pixels too."
    data.add_argument("--val-images", help=text, **arguments.FILES)
    data.add_argument("--val-labels", help="The label images of the validation images.", **arguments.FILES)
    arguments.fields(data, Outputs, csv="ROWS.csv", sheet="SHEET.png", roc="ROC.png", force={})
    arguments.models(net, "The models that train wrote. The first class is sound. The probabilities are averaged.")
    probability = {"flags": ["--probability"], "dest": "probability", "type": arguments.ranged(float, 0, 1)}
    arguments.fields(
        net, Rule, threshold={**probability, "metavar": "P"},
        pixels={"type": arguments.ranged(float, 0, auto=True), "metavar": "auto|N"},
        downsample=arguments.FACTOR,
    )  # fmt: skip
    arguments.machine(machine)


def run(options: argparse.Namespace) -> None:
    """Decide as the options of ``tinympcnn detect`` say."""
    if bool(options.val_images) != bool(options.val_labels):
        raise UsageError("--val-images and --val-labels belong together; give both or neither")
    validation = (options.val_images, options.val_labels) if options.val_images else None
    rule = arguments.made(Rule, options, threshold=options.probability, validation=validation)
    outputs, reading = arguments.made(Outputs, options), arguments.made(Reading, options, downsample=1)
    what = options.images, options.model, options.labels
    detect_files(*what, rule, outputs, reading=reading, device=options.device)


@dataclass(frozen=True)
class Rule:
    """When an image is flagged: if more than `pixels` of its pixels have a defect probability above `threshold`."""

    pixels: float | None = PAPER_PIXELS
    """Flag images with more than N defect pixels, counted at full resolution. The default is 5000, as in the paper.
    auto chooses N on the validation images."""
    threshold: float | None = None
    """The probability above which a pixel is a defect pixel, if it is not chosen on validation images. The default is
    then 0.5."""
    validation: tuple[Paths, Paths] | None = None
    """The images and labels on which pixels and threshold are chosen."""
    turns: bool = False
    """Average over the eight flips and quarter turns of each image."""
    downsample: int | None = None
    """Shrink the images by this factor. The default is the factor that the model was trained with."""

    def __post_init__(self) -> None:
        if self.threshold is not None and self.validation is not None:
            raise UsageError("a threshold is either given or chosen on validation images, not both")
        if self.pixels is None and self.validation is None:
            raise UsageError("the number of pixels is chosen on validation images; give such images, or the number")
        if self.downsample is not None:
            count(self.downsample, "downsample")


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


def detect_files(
    images: Paths,
    model: AnyPath | Paths,
    labels: Paths | None = None,
    rule: Rule = Rule(),
    outputs: Outputs = Outputs(),
    *,
    reading: Reading = Reading(),
    device: str = "numpy",
    echo: Echo = say,
) -> dict[str, Any]:
    """Decide for every image whether it has a defect, compare with the truth if that is known, and return the table.

    The first class of the models is sound, their other classes are defects, and a pixel of `labels` of any value but
    that of the first class is a defect; with a threshold in `reading`, every pixel above it.
    """
    models = [model] if isinstance(model, str | PathLike) else list(model)
    _check(images, models, labels, rule, outputs, reading)
    committee, factor = load_committee(models, rule.turns, Machine(device), echo)
    factor = rule.downsample or factor

    pixels, threshold = rule.pixels, 0.5 if rule.threshold is None else rule.threshold
    if rule.validation is not None:
        held = inspect(committee, *_read(committee, *rule.validation, reading), pixels or 0, factor)
        pixels, threshold = choose(held, pixels, factor, echo)
    assert pixels is not None  # the rule says so
    found = inspect(committee, *_read(committee, images, labels, reading), pixels, factor)
    for warning in _warnings(committee, found, pixels, factor):
        echo(f"warning: {warning}")
    return report(found, threshold, outputs, pixels, factor, echo)


def choose(held: Sequence[Inspected], pixels: float | None, factor: int, echo: Echo) -> tuple[float, float]:
    """Return the number of pixels, at full resolution, and the threshold that decide best on validation images."""
    if pixels is None:
        pixels = inspection.choose_pixels([one.probability for one in held], [one.area for one in held]) * factor**2
        held = recounted(held, pixels / factor**2)
        echo(f"more than {counted(int(pixels), 'pixel')}, chosen on {counted(len(held), 'validation image')}")
    threshold = inspection.choose_threshold([one.score for one in held], [one.truth for one in held])
    echo(f"threshold {threshold:.4f}, chosen on {counted(len(held), 'validation image')}")
    return pixels, threshold


def _check(images: Paths, models: Paths, labels: Paths | None, rule: Rule, outputs: Outputs, reading: Reading) -> None:
    """Refuse before any work what could not be done at the end."""
    if reading.threshold is not None and labels is None and rule.validation is None:
        raise UsageError("a threshold of the labels needs labels; decisions take --probability (Rule.threshold)")
    if outputs.roc is not None and labels is None:
        raise UsageError("a ROC curve compares with the truth; give labels too")
    inputs = [*models]
    for paths, what in zip((images, labels, *(rule.validation or ())), 2 * ("images", "labels"), strict=False):
        inputs += expand(paths, what) if paths is not None else []
    check_outputs((outputs.csv, outputs.sheet, outputs.roc), inputs, outputs.force)
    check_pictures(outputs.sheet, outputs.roc)


def _read(
    net: Committee, images: Paths, labels: Paths | None, reading: Reading
) -> tuple[list[np.ndarray], Sequence[np.ndarray | None], list[str]]:
    """Return images (H, W, C), where their defects are, and their names."""
    defects: Sequence[np.ndarray | None]
    if labels is None:
        files = open_images(images, reading)
        pages, names = [page for file in files for page in file], page_names(files)
        defects = [None] * len(pages)
    else:
        sound = 0 if reading.threshold is not None or net.class_values is None else net.class_values[0]
        pages, defects, names = read_masks(images, labels, reading, sound)
    for page, name in zip(pages, names, strict=True):
        check_channels(name, page.shape[2], net.in_maps)
    return pages, defects, names


def report(
    found: Sequence[Inspected], threshold: float, outputs: Outputs, pixels: float, factor: int, echo: Echo
) -> dict[str, Any]:
    """Say and write what was found, and return it as a table."""
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
    """Write a CSV with a row for every image: what was found, what was decided, and what is true.

    Pixels are counted at full resolution, `factor` times that of the net.
    """
    rows = []
    for one in found:
        known = one.defect is not None
        row = {"image": one.name, "defect": int(one.truth) if known else "", "flagged": int(one.score > threshold)}
        row |= {"outcome": one.outcome(threshold) if known else "", "score": f"{one.score:.5f}"}
        row["pixels_above_threshold"] = int((one.probability > threshold).sum()) * factor**2
        rows.append(row | {"seconds": f"{one.seconds:.5f}"})
    write_table(path, rows)
