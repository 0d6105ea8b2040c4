"""``tinympcnn detect``: from image files and model files to a decision for each image.

The decisions themselves are made in ``inference/inspection.py``. Results are a table, a CSV with a row for every image,
and pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from tinympcnn.cli import arguments, pictures
from tinympcnn.cli.findings import Outputs, Path, report
from tinympcnn.cli.models import load_committee
from tinympcnn.engine import backend
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference import inspection
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.inspection import PAPER_PIXELS, Inspected, inspect, recounted
from tinympcnn.io.images import expand, page_names
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.pairs import read_masks
from tinympcnn.io.predictions import open_images
from tinympcnn.io.reading import Reading
from tinympcnn.nn.geometry import count

Paths = Sequence[Path]
Echo = Callable[[str], None]

EXAMPLE = """example:
  tinympcnn detect -i line4/ -m steel.npz --val-images known/ --val-labels masks/ --csv rows.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn detect``."""
    data = parser.add_argument_group("data")
    arguments.images(data)
    arguments.labels(
        data, "The label images, if the truth is known. Every value but that of the first class is a defect.", False
    )
    data.add_argument(
        "--val-images", action=arguments.Files, metavar="FILE",
        help="The validation images, on which the threshold is chosen.",
    )  # fmt: skip
    data.add_argument(
        "--val-labels", action=arguments.Files, metavar="FILE", help="The label images of the validation images."
    )
    arguments.reading(data)
    data.add_argument(
        "--csv", type=arguments.new_file, metavar="ROWS.csv", help="Write a row for every image to this file."
    )
    data.add_argument(
        "--sheet",
        type=arguments.new_file,
        metavar="SHEET.png",
        help="Draw the worst mistakes to this file. This needs matplotlib.",
    )
    data.add_argument(
        "--roc", type=arguments.new_file, metavar="ROC.png",
        help="Draw the ROC curve with the chosen point to this file. This needs labels and matplotlib.",
    )  # fmt: skip
    arguments.force(data)
    net = parser.add_argument_group("net")
    arguments.models(net, "The models that train wrote. The first class is sound. The probabilities are averaged.")
    net.add_argument(
        "--probability", type=arguments.ranged(float, 0, 1), metavar="P",
        help="The probability threshold, if it is not chosen on validation images. The default is 0.5.",
    )  # fmt: skip
    net.add_argument(
        "--pixels", type=arguments.ranged(float, 0, auto=True), default=float(PAPER_PIXELS), metavar="auto|N",
        help="Flag images with more than N defect pixels, counted at full resolution. The default is 5000. "
        "auto chooses N on the validation images.",
    )  # fmt: skip
    net.add_argument(
        "--downsample", type=arguments.ranged(int, 1), metavar="N",
        help="Shrink the images by this factor. The default is the factor that the model was trained with.",
    )  # fmt: skip
    arguments.machine(parser.add_argument_group("machine"))


def run(options: argparse.Namespace) -> None:
    """Decide as the options of ``tinympcnn detect`` say."""
    if bool(options.val_images) != bool(options.val_labels):
        raise UsageError("--val-images and --val-labels belong together; give both or neither")
    validation = (options.val_images, options.val_labels) if options.val_images else None
    rule = Rule(options.pixels, options.probability, validation, options.turns, options.downsample)
    outputs = Outputs(options.csv, options.sheet, options.roc, options.force)
    how: dict[str, Any] = {"reading": arguments.reading_of(options), "device": options.backend}
    detect_files(options.images, options.model, options.labels, rule, outputs, **how)


@dataclass(frozen=True)
class Rule:
    """When an image is flagged: if more than `pixels` of its pixels have a defect probability above `threshold`."""

    pixels: float | None = PAPER_PIXELS  # at full resolution; None chooses the number on the validation images
    threshold: float | None = None  # None chooses it on the validation images; without such images it is 0.5
    validation: tuple[Paths, Paths] | None = None  # the images and labels on which pixels and threshold are chosen
    turns: bool = False  # average the probabilities over the eight flips and quarter turns of each image
    downsample: int | None = None  # the factor by which images and labels are shrunk; None takes the model's

    def __post_init__(self) -> None:
        if self.threshold is not None and self.validation is not None:
            raise UsageError("a threshold is either given or chosen on validation images, not both")
        if self.pixels is None and self.validation is None:
            raise UsageError("the number of pixels is chosen on validation images; give such images, or the number")
        if self.downsample is not None:
            count(self.downsample, "downsample")


def detect_files(
    images: Paths,
    model: Path | Paths,
    labels: Paths | None = None,
    rule: Rule = Rule(),
    outputs: Outputs = Outputs(),  # noqa: B008
    *,
    reading: Reading = Reading(),  # noqa: B008
    device: str = "numpy",
    echo: Echo = print,
) -> dict[str, Any]:
    """Decide for every image whether it has a defect, and compare with the truth where that is known.

    The first class of the models is sound, their other classes are defects, and a pixel of `labels` of any value but
    that of the first class is a defect; with a threshold in `reading`, every pixel above it. Return what was echoed as
    a table; the keys that need a truth are missing without `labels`.
    """
    models = [model] if isinstance(model, str | PathLike) else list(model)
    _check(images, models, labels, rule, outputs, reading)
    xp, why = backend.load(device)
    echo(f"backend: {why}")
    committee, factor = load_committee(models, rule.turns)
    committee = committee.to("numpy" if xp is np else "cupy")
    factor = rule.downsample or factor

    pixels, threshold = rule.pixels, 0.5 if rule.threshold is None else rule.threshold
    if rule.validation is not None:
        held = inspect(committee, *_read(committee, *rule.validation, reading), pixels or 0, factor)
        pixels, threshold = choose(held, pixels, factor, echo)
    assert pixels is not None  # the rule says so
    found = inspect(committee, *_read(committee, images, labels, reading), pixels, factor)
    return report(committee, found, threshold, outputs, pixels, factor, echo)


def choose(held: Sequence[Inspected], pixels: float | None, factor: int, echo: Echo) -> tuple[float, float]:
    """Return the number of pixels, at full resolution, and the threshold that decide best on validation images."""
    if pixels is None:
        pixels = inspection.choose_pixels([one.probability for one in held], [one.area for one in held]) * factor**2
        held = recounted(held, pixels / factor**2)
        echo(f"more than {pixels} pixels, chosen on {len(held)} validation image(s)")
    threshold = inspection.choose_threshold([one.score for one in held], [one.truth for one in held])
    echo(f"threshold {threshold:.4f}, chosen on {len(held)} validation image(s)")
    return pixels, threshold


def _check(images: Paths, models: Paths, labels: Paths | None, rule: Rule, outputs: Outputs, reading: Reading) -> None:
    """Refuse before any work what could not be done at the end."""
    if reading.threshold is not None and labels is None and rule.validation is None:
        raise UsageError("a threshold of the labels needs labels; decisions take --probability (Rule.threshold)")
    if outputs.roc is not None and labels is None:
        raise UsageError("a ROC curve compares with the truth; give labels too")
    held_images, held_labels = rule.validation or (None, None)
    inputs = [*models]
    for paths, what in ((images, "images"), (labels, "labels"), (held_images, "images"), (held_labels, "labels")):
        inputs += [] if paths is None else expand(paths, what)
    check_outputs((outputs.csv, outputs.sheet, outputs.roc), inputs, outputs.force)
    for picture in (outputs.sheet, outputs.roc):
        if picture is not None:
            pictures.check_picture(picture)


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
        if page.shape[2] != net.in_maps:
            raise DataError(f"{name} has {page.shape[2]} channel(s) and the model takes {net.in_maps}")
    return pages, defects, names
