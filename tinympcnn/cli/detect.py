"""From files to a decision for each image: what the command ``tinympcnn detect`` does, as a function.

The decisions themselves are made in ``detection.py``. Results are a table, a CSV with a row for every image, and the
pictures of ``findings.py``. Read next: ``cli.py``.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinympcnn import data
from tinympcnn.cli import arguments, pictures
from tinympcnn.cli.findings import contact_sheet, outcome, plot_roc
from tinympcnn.cli.models import load_committee
from tinympcnn.cli.outputs import check_outputs
from tinympcnn.engine import backend
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference import inspection
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.input_check import off_scale
from tinympcnn.io.atomic import replacing
from tinympcnn.io.images import expand, read_images
from tinympcnn.io.pairs import read_masks
from tinympcnn.net import Net
from tinympcnn.nn.geometry import count

Paths = Sequence[str | PathLike[str]]
NAMED = 20
"""Flagged images that are named."""


class Inspected(NamedTuple):
    """One image, at the resolution of the net: image (H, W, C), defect (if known) and probability (H, W).

    `area` is the number of defect pixels at that resolution, but counted before, so that thin defects keep theirs.
    """

    name: str
    image: np.ndarray
    defect: np.ndarray | None
    area: float
    probability: np.ndarray
    evidence: float
    seconds: float

    @property
    def truth(self) -> bool:
        """Whether there is a defect."""
        return self.area > 0


def inspect(
    net: Net | Committee,
    images: Sequence[np.ndarray],
    defects: Sequence[np.ndarray | None],
    names: Sequence[str],
    pixels: float = inspection.PAPER_PIXELS,
    factor: int = 1,
) -> list[Inspected]:
    """Look for defects in images one by one, against the clock: from pixels to evidence.

    Parameters
    ----------
    net : Net or Committee
        Class 0 is sound, every other class a defect.
    images : sequence of array (H, W, C)
        Of any sizes.
    defects : sequence of array of bool (H, W), or None
        Where the defects are, if that is known. An image with a single pixel of one has a defect, also where nothing
        of it is left at the resolution of the net.
    names : sequence of str
    pixels : float
        Defect pixels of `images` that are still no defect; see `tinympcnn.inference.inspection.evidence`.
    factor : int
        The images are down-sampled by it, which is a part of the time.

    Examples
    --------
    >>> net = Net.from_spec("C3x3x4 FC2", rng=0)
    >>> [one] = inspect(net, [np.zeros((8, 9, 1))], [None], ["blank"], pixels=10, factor=2)
    >>> one.name, one.truth, one.probability.shape
    ('blank', False, (4, 4))
    """
    if images:  # the first call makes threads and memory, which is not what a second image costs
        net.segment(data.downsample(images[0], factor))
    done = []
    for image, defect, name in zip(images, defects, names, strict=True):
        start = time.perf_counter()
        small = data.downsample(image, factor)
        probability = 1 - net.segment(small)[:, :, 0]
        found = inspection.evidence(probability, pixels / factor**2)
        seconds = time.perf_counter() - start
        area = 0.0 if defect is None else np.count_nonzero(defect) / factor**2
        defect = None if defect is None else data.downsample_labels(defect, factor)
        done.append(Inspected(name, small, defect, area, probability, found, seconds))
    return done


def detect_files(
    images: Paths,
    model: str | PathLike[str] | Paths,
    labels: Paths | None = None,
    *,
    turns: bool = False,
    validation: tuple[Paths, Paths] | None = None,
    threshold: float | None = None,
    pixels: float | None = inspection.PAPER_PIXELS,
    downsample: int | None = None,
    mask_threshold: float | None = None,
    csv_path: str | PathLike[str] | None = None,
    sheet: str | PathLike[str] | None = None,
    roc: str | PathLike[str] | None = None,
    axes: str | None = None,
    device: str = "numpy",
    echo: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Decide for every image whether it holds a defect, and compare with the truth where that is known.

    Parameters
    ----------
    images : sequence of path
        Files and folders.
    model : path or sequence of path
        Nets whose first class is sound and whose other classes are defects. The probabilities of several are averaged.
    labels : sequence of path, optional
        Label images; a pixel of any value but that of the model's first class is one of a defect.
    turns : bool
        Average over the eight flips and quarter turns of each image.
    validation : (images, labels), optional
        On which the probability threshold is chosen.
    threshold : float, optional
        The probability threshold, where it is not chosen: 0.5.
    pixels : float, optional
        Defect pixels, at full resolution, that an image must have more of to be flagged. None chooses them on the
        validation images as well.
    downsample : int, optional
        By how much images and labels are shrunk; by default as the model's record says.
    mask_threshold : float, optional
        Labels above it are a defect, for masks with smoothed edges.
    csv_path, sheet, roc : path, optional
        A CSV with a row for every image, a PNG of the worst mistakes (and then of the narrowest decisions), and a PNG
        of the ROC curve with the chosen point.

    Returns
    -------
    dict
        What was echoed as a table; the keys that need a truth are missing without `labels`.
    """
    known = labels is not None
    if mask_threshold is not None and not known and validation is None:
        raise UsageError("a threshold of the labels needs labels; the one of decisions is --probability (threshold=)")
    if threshold is not None and validation is not None:
        raise UsageError("a threshold is either given or chosen on validation images, not both")
    if pixels is None and validation is None:
        raise UsageError("a number of pixels can be chosen only with validation images; give them, or the number")
    if roc is not None and not known:
        raise UsageError("a ROC curve compares with the truth; give labels too")
    models = [model] if isinstance(model, str | PathLike) else list(model)
    every = zip((images, labels, *(validation or ())), ("images", "labels") * 2, strict=False)
    read = [expand(paths, what) for paths, what in every if paths is not None]
    check_outputs((csv_path, sheet, roc), [*models, *itertools.chain(*read)])
    for picture in (sheet, roc):
        if picture is not None:
            pictures.pillow()
            if Path(picture).suffix.lower() != ".png":
                raise UsageError(f"{picture}: pictures are written as PNG; give a name that ends in .png")
    xp, why = backend.load(device)
    echo(f"backend: {why}")
    committee, factor = load_committee(models, turns)
    committee = committee.to("numpy" if xp is np else "cupy")
    factor = factor if downsample is None else count(downsample, "downsample")

    def look(images: Paths, labels: Paths | None) -> list[Inspected]:
        some = _read(committee, images, labels, mask_threshold, axes)
        return inspect(committee, *some, pixels or 0, factor)  # 0 until a number has been chosen

    if validation is not None:
        held = look(*validation)
        truth = [one.truth for one in held]
        if pixels is None:
            pixels = inspection.choose_pixels([one.probability for one in held], [one.area for one in held]) * factor**2
            held = recounted(held, pixels / factor**2)
            echo(f"more than {pixels} pixels, chosen on {len(held)} validation image(s)")
        threshold = inspection.choose_threshold([one.evidence for one in held], truth)
        echo(f"threshold {threshold:.4f}, chosen on {len(held)} validation image(s)")
    assert pixels is not None
    threshold, reduced = 0.5 if threshold is None else threshold, pixels / factor**2
    found = look(images, labels)
    for warning in _warnings(committee, found, pixels, reduced):
        echo(f"warning: {warning}")
    report = summary(found, threshold, known)
    echo(format_table({"pixels (full resolution)": pixels, "down-sampled by": factor, **report}))
    if flagged := [one.name for one in found if one.evidence > threshold]:
        more = f" and {len(flagged) - NAMED} more, see --csv" if len(flagged) > NAMED else ""
        echo(f"flagged: {', '.join(flagged[:NAMED])}{more}")
    if csv_path is not None:
        write_rows(csv_path, found, threshold, known, factor)
        echo(f"wrote {csv_path}")
    if sheet is not None:
        echo(f"wrote {sheet}, from the top: {contact_sheet(sheet, found, threshold, known)}")
    if roc is not None:
        plot_roc(roc, found, threshold)
        echo(f"wrote {roc}")
    return report


def recounted(found: Sequence[Inspected], pixels: float) -> list[Inspected]:
    """Return the same images with the evidence for another number of pixels, at the resolution of the net."""
    return [one._replace(evidence=inspection.evidence(one.probability, pixels)) for one in found]


def _warnings(committee: Committee, found: Sequence[Inspected], pixels: float, reduced: float) -> Iterator[str]:
    strange = [(one.name, wrong) for one in found if (wrong := off_scale(committee.nets, one.image))]
    if strange:
        name, wrong = strange[0]
        yield f"{len(strange)} of {len(found)} image(s) are on another scale, the first is {name} with {wrong}"
    smallest = min(found, key=lambda one: one.probability.size)
    if reduced > smallest.probability.size / 4:
        yield f"--pixels {pixels:g} is more than a quarter of image {smallest.name}: smaller defects are missed"


def summary(found: Sequence[Inspected], threshold: float, known: bool = True) -> dict[str, Any]:
    """Return what Table 2 of the paper has, and what belongs beside it, by name."""
    evidences = [one.evidence for one in found]
    report: dict[str, Any] = {
        "images": len(found),
        "threshold": round(threshold, 4),
        "flagged": sum(value > threshold for value in evidences),
        "seconds per image": round(float(np.median([one.seconds for one in found])), 5),
    }
    if not known:
        return report
    truth = [one.truth for one in found]
    result = inspection.decide(evidences, truth, threshold)
    report |= {
        "with a defect": sum(truth),
        "misses": result.misses,
        "false alarms": result.false_alarms,
        "precision": round(result.precision, 4),
        "recall": round(result.recall, 4),
    }
    if 0 < sum(truth) < len(truth):
        report["ROC AUC"] = round(inspection.roc(evidences, truth).auc, 4)
        defects = [np.asarray(one.defect, bool) for one in found]
        if any(defect.any() for defect in defects):  # thin ones may all be gone at the resolution of the net
            error = inspection.balanced_pixel_error([one.probability for one in found], defects)
            report["balanced pixel error at 0.5"] = round(error, 4)
    return report


def format_table(report: dict[str, Any]) -> str:
    """Return a report as lines of name and value.

    Examples
    --------
    >>> print(format_table({"misses": 2, "precision": 0.5}))
    misses     2
    precision  0.5
    """
    width = max(map(len, report))
    return "\n".join(f"{name:<{width}}  {value:g}" for name, value in report.items())


def write_rows(
    path: str | PathLike[str], found: Sequence[Inspected], threshold: float, known: bool = True, factor: int = 1
) -> None:
    """Write a CSV with a row for every image: what was found in it, what was decided, and what is true.

    Pixels are counted at full resolution, `factor` times that of the net.
    """
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "defect", "flagged", "outcome", "evidence", "pixels_above_threshold", "seconds"])
        for one in found:
            writer.writerow([
                one.name, int(one.truth) if known else "", int(one.evidence > threshold),
                outcome(one, threshold) if known else "", f"{one.evidence:.5f}",
                int((one.probability > threshold).sum()) * factor**2, f"{one.seconds:.5f}",
            ])  # fmt: skip


def _read(
    net: Committee, images: Paths, labels: Paths | None, mask_threshold: float | None, axes: str | None
) -> tuple[list[np.ndarray], list[np.ndarray | None], list[str]]:
    """Return images (H, W, C), where their defects are, and their names."""
    defects: list[np.ndarray | None]
    if labels is None:
        pages, names = read_images(images, axes)
        defects = [None] * len(pages)
    else:
        sound = 0 if mask_threshold is not None or net.class_values is None else net.class_values[0]
        pages, masks, names = read_masks(images, labels, axes, mask_threshold, sound)
        defects = list(masks)
    for page, name in zip(pages, names, strict=True):
        if page.shape[2] != net.in_maps:
            raise DataError(f"{name} has {page.shape[2]} channel(s) and the model takes {net.in_maps}")
    return pages, defects, names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn detect``."""
    parser.add_argument("-i", "--images", nargs="+", required=True, help="TIFF, PNG or JPEG files, or folders")
    parser.add_argument(
        "-m", "--model", nargs="+", action="extend", required=True, metavar="MODEL.npz",
        help="its first class is sound; the probabilities of several are averaged",
    )  # fmt: skip
    parser.add_argument("-l", "--labels", nargs="+", help="label images; any value but the first class's is a defect")
    parser.add_argument("--turns", action="store_true", help="average over the eight flips and quarter turns")
    parser.add_argument("--val-images", nargs="+", help="images on which the probability threshold is chosen (0.5)")
    parser.add_argument("--val-labels", nargs="+", help="and their label images")
    parser.add_argument(
        "--probability", type=arguments.ranged(float, 0, 1), metavar="P", help="the threshold, if not chosen"
    )
    more = "flag images with more defect pixels, at the resolution given; auto: chosen on validation images (5000)"
    parser.add_argument(
        "--pixels", type=arguments.ranged(float, 0, auto=True), default=5000.0, metavar="auto|N", help=more
    )
    parser.add_argument("--downsample", type=int, metavar="N", help="shrink images by N (as the model was trained)")
    parser.add_argument("--csv", metavar="ROWS.csv", help="one row for every image")
    parser.add_argument("--sheet", metavar="SHEET.png", help="a picture of the worst mistakes")
    parser.add_argument("--roc", metavar="ROC.png", help="a picture of the ROC curve with the chosen point")
    arguments.reading(parser)
    arguments.machine(parser)


def run(options: argparse.Namespace) -> None:
    """Decide as the options of ``tinympcnn detect`` say."""
    if bool(options.val_images) != bool(options.val_labels):
        raise UsageError("--val-images and --val-labels belong together")
    detect_files(
        options.images, options.model, options.labels, turns=options.turns,
        validation=(options.val_images, options.val_labels) if options.val_images else None,
        threshold=options.probability, pixels=options.pixels, downsample=options.downsample,
        mask_threshold=options.threshold, csv_path=options.csv, sheet=options.sheet, roc=options.roc,
        axes=options.axes, device=options.backend,
    )  # fmt: skip
