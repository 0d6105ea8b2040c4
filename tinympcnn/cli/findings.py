"""Pictures of what was decided: a contact sheet of the worst mistakes, and the ROC curve with the chosen point.

Drawn with Pillow, through ``draw.py``. Read next: ``inspection.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinympcnn.cli import pictures
from tinympcnn.inference import inspection

if TYPE_CHECKING:
    from tinympcnn.cli.detect import Inspected

SHEET_ROWS = 8
BLUE, RED, GREY = (20, 60, 160), (200, 40, 40), (225, 225, 225)


def outcome(one: Inspected, threshold: float) -> str:
    """Return "hit", "miss", "false alarm" or "pass"."""
    flagged = one.evidence > threshold
    return ("hit" if one.truth else "false alarm") if flagged else ("miss" if one.truth else "pass")


def contact_sheet(path: str | PathLike[str], found: Sequence[Inspected], threshold: float, known: bool = True) -> str:
    """Draw the worst mistakes, then the narrowest right decisions; return what is in the rows, from the top.

    Where the truth is not known, the images with the most evidence.
    """

    def badness(one: Inspected) -> float:
        distance = abs(one.evidence - threshold)
        return one.evidence if not known else distance if (one.evidence > threshold) != one.truth else -distance

    rows = sorted(found, key=badness, reverse=True)[:SHEET_ROWS]
    height, width = (max(one.probability.shape[axis] for one in rows) for axis in (0, 1))
    zoom = max(1, round(300 / width))

    def column(pictures: list[NDArray]) -> NDArray:
        sheet = np.ones((len(pictures), height * zoom + 4, width * zoom), np.float32)
        for cell, picture in zip(sheet, pictures, strict=True):
            large = picture.repeat(zoom, 0).repeat(zoom, 1)
            cell[: large.shape[0], : large.shape[1]] = large
        return sheet.reshape(-1, width * zoom)

    def grey(image: NDArray) -> NDArray:
        image = image.mean(axis=2, dtype=np.float64)
        return (image - image.min()) / max(float(np.ptp(image)), 1e-12)

    panels = {"image": column([grey(one.image) for one in rows])}
    if known:
        panels["truth"] = column([np.asarray(one.defect, float) for one in rows])
    panels["probability of a defect"] = column([one.probability for one in rows])
    panels[f"above {threshold:.3f}"] = column([(one.probability > threshold).astype(float) for one in rows])
    said = [outcome(one, threshold) if known else "flagged" if one.evidence > threshold else "pass" for one in rows]
    captions = [[one.name, what, f"evidence {one.evidence:.3f}"] for one, what in zip(rows, said, strict=True)]
    panels[""] = np.concatenate([pictures.text(lines, height * zoom + 4) for lines in captions])
    pictures.side_by_side(list(panels.values()), list(panels), path)
    return ", ".join(f"{one.name} ({what})" for one, what in zip(rows, said, strict=True))


def plot_roc(path: str | PathLike[str], found: Sequence[Inspected], threshold: float, size: int = 300) -> None:
    """Draw the ROC curve of images whose truth is known, and a square at the chosen threshold.

    Parameters
    ----------
    path : path
        The PNG file to write.
    found : sequence of Inspected
        Of both kinds, with a defect and without.
    threshold : float
    size : int
        Pixels for a rate from 0 to 1.
    """
    evidences, truth = [one.evidence for one in found], [one.truth for one in found]
    curve, chosen = inspection.roc(evidences, truth), inspection.decide(evidences, truth, threshold)
    margin = 10
    canvas = np.full((size + 2 * margin, size + 2 * margin, 3), 255, np.uint8)
    for tick in range(0, size + 1, size // 4):
        canvas[margin + tick, margin : size + margin + 1] = GREY
        canvas[margin : size + margin + 1, margin + tick] = GREY

    def at(false_alarms: NDArray, hits: NDArray) -> tuple[NDArray, NDArray]:
        return np.rint(margin + (1 - hits) * size).astype(int), np.rint(margin + false_alarms * size).astype(int)

    x, y = np.append(0.0, curve.false_alarm_rate), np.append(0.0, curve.hit_rate)
    way = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))  # along the curve, from 0 to 2
    points = np.linspace(0, way[-1], 8 * size)
    row, column = at(np.interp(points, way, x), np.interp(points, way, y))
    for thick in (0, 1):
        canvas[row + thick, column] = BLUE
    [row], [column] = at(np.array([1 - chosen.specificity]), np.array([chosen.recall]))
    canvas[row - 4 : row + 5, column - 4 : column + 5] = RED
    title = f"hits over false alarms, from 0 to 1: AUC {curve.auc:.3f}"
    pictures.side_by_side(
        [canvas], [title], path, caption=f"square: threshold {threshold:.3f}, {chosen.mistakes} mistake(s)"
    )
