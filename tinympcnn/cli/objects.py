"""What ``locate`` says and writes of the objects that it found: measures, a table, pictures, and ROIs for ImageJ."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinympcnn.cli import pictures
from tinympcnn.cli.models import AnyPath, Echo
from tinympcnn.errors import UsageError
from tinympcnn.io.atomic import replacing
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.points import Point, write_points
from tinympcnn.metrics.objects import Ranking, bootstrap_interval, match_objects, rank_objects


@dataclass(frozen=True)
class Outputs:
    """The files to write."""

    output: AnyPath
    """The table of objects to write."""
    overlay: AnyPath | None = None
    """Draw hits, misses and false alarms into a PNG for each page in this folder. This needs matplotlib. The default is
    to draw nothing."""
    roi: AnyPath | None = None
    """Write the objects of each page as points for ImageJ's ROI manager into this folder. This needs roifile. The
    default is to write none."""
    force: bool = False
    """Replace results that exist. Inputs are never replaced."""


class Found(NamedTuple):
    """A page, the objects found on it, (n, 3), and those that are there, (m, 2), if they are known."""

    name: str
    file: ImageFile
    page: int
    objects: np.ndarray
    truth: np.ndarray | None


def ranked(found: Sequence[Found], within: float) -> Ranking:
    """Return all objects of pages whose truth is known, ranked by score."""
    known = [(one.objects, one.truth) for one in found if one.truth is not None]
    return rank_objects([objects for objects, _ in known], [truth for _, truth in known], within)


def compared(found: Sequence[Found], threshold: float, within: float) -> dict[str, Any]:
    """Return what the comparison with the truth gives at one distance, by name."""
    ranking = ranked(found, within)
    scores = ranking.at(threshold)
    values: dict[str, float] = {"hits": scores.hits, "false alarms": scores.false_alarms, "misses": scores.misses}
    values |= {"precision": scores.precision, "recall": scores.recall, "F1": scores.f1}
    values |= {"average precision": ranking.average_precision, "recall at 1 false alarm a page": ranking.froc([1])[0]}
    if len(found) > 1:  # else no other images could have been drawn

        def f1(drawn: list[int]) -> float:
            return ranked([found[i] for i in drawn], within).at(threshold).f1

        values["F1, 95 % from"], values["F1, 95 % to"] = bootstrap_interval(f1, len(found))
    return {f"{name} within {within:g} px": value for name, value in values.items()}


def write_objects(outputs: Outputs, found: Sequence[Found], within: float, radius: float, echo: Echo) -> None:
    """Write the table and, where they are asked for, pictures and ROIs."""
    points = [
        Point(one.file.path.name, one.page, row, column, score=score)
        for one in found
        for row, column, score in one.objects.tolist()
    ]
    write_points(outputs.output, points)
    echo(f"wrote {outputs.output}")
    for one in found:
        if outputs.overlay is not None:
            hits = None if one.truth is None else match_objects(one.objects, one.truth, within)
            path = Path(outputs.overlay, f"{one.name}.png")
            pictures.draw_objects(path, one.file.page(one.page), one.objects, one.truth, hits, radius)
            echo(f"wrote {path}")
        if outputs.roi is not None:
            path = Path(outputs.roi, f"{one.name}.zip")
            _write_rois(path, one)
            echo(f"wrote {path}")


def _write_rois(path: Path, found: Found) -> None:
    """Write a point for each object, named by rank and score, to a file that ImageJ's ROI manager opens."""
    rois = roifile()
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for i, (row, column, score) in enumerate(found.objects.tolist()):
            # ImageJ counts from the corner of the first pixel
            roi = rois.ImagejRoi.frompoints([[column + 0.5, row + 0.5]], name=f"{i + 1:04} {score:.3f}")
            roi.roitype = rois.ROI_TYPE.POINT
            roi.position = found.page + 1 if found.file.n_pages > 1 else 0
            file.writestr(f"{roi.name}.roi", roi.tobytes())


def roifile() -> Any:
    """Return the module roifile, or say what to install."""
    try:
        import roifile
    except ImportError:
        raise UsageError('ROIs need roifile: pip install "tinympcnn[roi]"') from None
    return roifile
