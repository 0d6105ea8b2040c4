"""From files to a decision for each image: what the command ``tinympcnn detect`` does, as a function.

The decisions themselves are made in ``detection.py``. Results are a table, a CSV with a row for every image, and a
contact sheet of the worst mistakes. Read next: ``cli.py``.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from tinympcnn import backend, data, detection
from tinympcnn.atomic import replacing
from tinympcnn.errors import DataError, UsageError
from tinympcnn.jobs import resolution
from tinympcnn.net import Net
from tinympcnn.scale import off_scale

Paths = Sequence[str | PathLike[str]]
SHEET_ROWS = 8
NAMED = 20
"""Flagged images that are named."""


class Inspected(NamedTuple):
    """One image, at the resolution of the net: image (H, W, C), defect (H, W) or None, probability (H, W)."""

    name: str
    image: np.ndarray
    defect: np.ndarray | None
    probability: np.ndarray
    evidence: float
    seconds: float

    @property
    def truth(self) -> bool:
        """Whether there is a defect."""
        return self.defect is not None and bool(self.defect.any())


def inspect(
    net: Net,
    images: Sequence[np.ndarray],
    defects: Sequence[np.ndarray | None],
    names: Sequence[str],
    pixels: float,
) -> list[Inspected]:
    """Segment images one by one, against the clock.

    Parameters
    ----------
    net : Net
        Class 0 is sound, every other class a defect.
    images : sequence of array (H, W, C)
        As the net takes them.
    defects : sequence of array of bool (H, W), or None
        Where the defects are, if that is known.
    names : sequence of str
    pixels : float
        See `tinympcnn.detection.evidence`.

    Examples
    --------
    >>> net = Net.from_spec("C3x3x4 FC2", rng=0)
    >>> [one] = inspect(net, [np.zeros((8, 9, 1))], [None], ["blank"], pixels=10)
    >>> one.name, one.truth, one.probability.shape
    ('blank', False, (8, 9))
    """
    if images:
        net.segment(images[0])  # the first call makes threads and memory, which is not what a second image costs
    done = []
    for image, defect, name in zip(images, defects, names, strict=True):
        start = time.perf_counter()
        probability = 1 - net.segment(image)[:, :, 0]
        found = detection.evidence(probability, pixels)
        done.append(Inspected(name, image, defect, probability, found, time.perf_counter() - start))
    return done


def detect_files(
    images: Paths,
    model: str | PathLike[str],
    labels: Paths | None = None,
    *,
    validation: tuple[Paths, Paths] | None = None,
    threshold: float | None = None,
    pixels: float = detection.PAPER_PIXELS,
    downsample: int | None = None,
    mask_threshold: float | None = None,
    csv_path: str | PathLike[str] | None = None,
    sheet: str | PathLike[str] | None = None,
    axes: str | None = None,
    device: str = "numpy",
    echo: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Decide for every image whether it holds a defect, and compare with the truth where that is known.

    Parameters
    ----------
    images : sequence of path
        Files and folders.
    model : path
        A net whose first class is sound and whose other classes are defects.
    labels : sequence of path, optional
        Label images; an image with a pixel of any class but the first has a defect.
    validation : (images, labels), optional
        On which the probability threshold is chosen.
    threshold : float, optional
        The probability threshold, where it is not chosen: 0.5.
    pixels : float
        Defect pixels, at full resolution, that an image must have more of to be flagged.
    downsample : int, optional
        By how much images and labels are shrunk; by default as the model's record says.
    mask_threshold : float, optional
        Labels above it are a defect, for masks with smoothed edges.
    csv_path, sheet : path, optional
        A CSV with a row for every image, and a PNG of the worst mistakes (and then of the narrowest decisions).

    Returns
    -------
    dict
        What was echoed as a table; the keys that need a truth are missing without `labels`.
    """
    if threshold is not None and validation is not None:
        raise UsageError("a threshold is either given or chosen on validation images, not both")
    xp, why = backend.load(device)
    echo(f"backend: {why}")
    net = Net.load(model).to("numpy" if xp is np else "cupy")
    factor = resolution(net) if downsample is None else downsample
    reduced = pixels / factor**2

    def look(images: Paths, labels: Paths | None) -> list[Inspected]:
        pages, defects, names = _read(net, images, labels, mask_threshold, factor, axes)
        return inspect(net, pages, defects, names, reduced)

    if validation is not None:
        held = look(*validation)
        threshold = detection.choose_threshold([one.evidence for one in held], [one.truth for one in held])
        echo(f"threshold {threshold:.4f}, chosen on {len(held)} validation image(s)")
    threshold = 0.5 if threshold is None else threshold
    found = look(images, labels)
    strange = [(one.name, wrong) for one in found if (wrong := off_scale([net], one.image))]
    if strange:
        name, wrong = strange[0]
        echo(f"warning: {len(strange)} of {len(found)} image(s) are on another scale, the first is {name} with {wrong}")
    report = summary(found, threshold, known=labels is not None)
    smallest = min(found, key=lambda one: one.probability.size)
    if reduced > smallest.probability.size / 4:
        echo(
            f"warning: --pixels {pixels:g} is more than a quarter of image {smallest.name}: smaller defects are missed"
        )
    echo(format_table({"pixels (full resolution)": pixels, "down-sampled by": factor, **report}))
    if flagged := [one.name for one in found if one.evidence > threshold]:
        more = f" and {len(flagged) - NAMED} more, see --csv" if len(flagged) > NAMED else ""
        echo(f"flagged: {', '.join(flagged[:NAMED])}{more}")
    if csv_path is not None:
        write_rows(csv_path, found, threshold, known=labels is not None)
        echo(f"wrote {csv_path}")
    if sheet is not None:
        echo(f"wrote {sheet}, from the top: {contact_sheet(sheet, found, threshold, known=labels is not None)}")
    return report


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
    result = detection.decide(evidences, truth, threshold)
    report |= {
        "with a defect": sum(truth),
        "misses": result.misses,
        "false alarms": result.false_alarms,
        "precision": round(result.precision, 4),
        "recall": round(result.recall, 4),
    }
    if 0 < sum(truth) < len(truth):
        report["ROC AUC"] = round(detection.roc(evidences, truth).auc, 4)
        error = detection.balanced_pixel_error([one.probability for one in found], [one.defect for one in found])  # type: ignore[misc]
        report["balanced pixel error"] = round(error, 4)
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


def write_rows(path: str | PathLike[str], found: Sequence[Inspected], threshold: float, known: bool = True) -> None:
    """Write a CSV with a row for every image: what was found in it, what was decided, and what is true."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "defect", "flagged", "outcome", "evidence", "pixels_above_threshold", "seconds"])
        for one in found:
            writer.writerow([
                one.name, int(one.truth) if known else "", int(one.evidence > threshold),
                _outcome(one, threshold) if known else "", f"{one.evidence:.5f}",
                int((one.probability > threshold).sum()), f"{one.seconds:.5f}",
            ])  # fmt: skip


def contact_sheet(path: str | PathLike[str], found: Sequence[Inspected], threshold: float, known: bool = True) -> str:
    """Draw the worst mistakes, then the narrowest right decisions; return what is in the rows, from the top."""
    from tinympcnn import draw

    def badness(one: Inspected) -> float:
        distance = abs(one.evidence - threshold)
        return distance if known and (one.evidence > threshold) != one.truth else -distance

    rows = sorted(found, key=badness, reverse=True)[:SHEET_ROWS]
    height, width = (max(one.probability.shape[axis] for one in rows) for axis in (0, 1))
    zoom = max(1, round(300 / width))

    def column(pictures: list[np.ndarray]) -> np.ndarray:
        sheet = np.ones((len(pictures), height * zoom + 4, width * zoom), np.float32)
        for cell, picture in zip(sheet, pictures, strict=True):
            large = picture.repeat(zoom, 0).repeat(zoom, 1)
            cell[: large.shape[0], : large.shape[1]] = large
        return sheet.reshape(-1, width * zoom)

    def grey(image: np.ndarray) -> np.ndarray:
        image = image.mean(axis=2, dtype=np.float64)
        return (image - image.min()) / max(float(np.ptp(image)), 1e-12)

    panels = {"image": column([grey(one.image) for one in rows])}
    if known:
        panels["truth"] = column([np.asarray(one.defect, float) for one in rows])
    panels["probability of a defect"] = column([one.probability for one in rows])
    panels[f"above {threshold:.3f}"] = column([(one.probability > threshold).astype(float) for one in rows])
    draw.side_by_side(list(panels.values()), list(panels), path)
    return ", ".join(f"{one.name} ({_outcome(one, threshold) if known else f'{one.evidence:.3f}'})" for one in rows)


def _outcome(one: Inspected, threshold: float) -> str:
    flagged = one.evidence > threshold
    return ("hit" if one.truth else "false alarm") if flagged else ("miss" if one.truth else "pass")


def _read(
    net: Net, images: Paths, labels: Paths | None, mask_threshold: float | None, factor: int, axes: str | None
) -> tuple[list[np.ndarray], list[np.ndarray | None], list[str]]:
    """Return images (H, W, C), where their defects are, and their names, down-sampled."""
    defects: list[np.ndarray | None]
    if labels is None:
        pages, names = data.read_images(images, axes)
        defects = [None] * len(pages)
    else:
        pairs = data.read_pairs(images, labels, axes, mask_threshold)
        pages, names = pairs.images, pairs.names
        defects = [data.downsample_labels(y, factor) > 0 for y in pairs.labels]
    for page, name in zip(pages, names, strict=True):
        if page.shape[2] != net.in_maps:
            raise DataError(f"{name} has {page.shape[2]} channel(s) and the model takes {net.in_maps}")
    return [data.downsample(page, factor) for page in pages], defects, names
