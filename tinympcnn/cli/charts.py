"""Pictures of many images, or of none: sheets of images, ROC curve, confusion matrix, and training curves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from tinympcnn.cli.models import AnyPath
from tinympcnn.cli.pictures import (
    BLUE,
    FALSE,
    GREY,
    INK,
    LINES,
    MARKS,
    SKY,
    YELLOW,
    drawing,
    grey,
    outlines,
    printable,
    rgb,
    show,
)
from tinympcnn.errors import counted
from tinympcnn.inference.inspection import Inspected
from tinympcnn.metrics.roc import decide, roc_curve

Log = Sequence[Mapping[str, float]]
SHEET_ROWS = 8  # images on a contact sheet
MISTAKES, ACROSS = 40, 8  # images on a sheet of mistakes at most, and in a row
CURVES = {"loss": ("loss_train", "loss_val"), "share of mistakes": ("pixel_error", "error")}
"""The panels of training curves, and the columns of the log in each."""
WORDS = {"loss_train": "training", "loss_val": "validation", "pixel_error": "validation", "error": "validation"}


def contact_sheet(path: AnyPath, found: Sequence[Inspected], threshold: float, pixels: float) -> str:
    """Draw the worst mistakes, then the narrowest right decisions; return what is in the rows, from the top.

    Where the truth is not known, the images with the largest scores are drawn. `pixels` is the number of pixels, at
    the resolution of the net, that is not yet a defect.
    """

    def badness(one: Inspected) -> float:
        if one.defect is None:
            return one.score
        distance = abs(one.score - threshold)
        return distance if (one.score > threshold) != one.truth else -distance

    rows = sorted(found, key=badness, reverse=True)[:SHEET_ROWS]
    known = rows[0].defect is not None
    height = min(3.0, 3.2 * max(one.probability.shape[0] / one.probability.shape[1] for one in rows)) + 0.4
    rule = f"Flagged: an image with more than {counted(int(pixels), 'pixel')} of a probability above {threshold:.3f}"
    with drawing(path, figsize=(11, height * len(rows) + 1)) as figure:
        from matplotlib.patches import Patch

        grid = figure.subplots(len(rows), 3, squeeze=False)
        for line, one in zip(grid, rows, strict=True):
            above = one.probability > threshold
            for ax in (line[0], line[2]):
                ax.imshow(one.image.mean(axis=2, dtype=np.float64), cmap="gray", interpolation="nearest")
            shown = line[1].imshow(one.probability, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
            _mask(line[2], above, YELLOW, 0.8)
            if one.defect is not None:
                for ax in line:
                    _mask(ax, one.defect < 0, GREY, 0.6)
                    _mask(ax, outlines(one.defect == 1), SKY, 1)
            outcome = one.outcome(threshold)
            wrong = outcome in ("miss", "false alarm")
            line[0].set_title(f"{printable(one.name)[-40:]}: {outcome}", loc="left", weight="bold" if wrong else None)
            line[1].set_title(f"score {one.score:.3f}", loc="left")
            line[2].set_title(f"{np.count_nonzero(above)} of at most {counted(int(pixels), 'pixel')}", loc="left")
            for ax in line:
                ax.tick_params(labelsize=7, labelleft=ax is line[0], labelbottom=one is rows[-1])
                ax.spines[:].set(visible=True, color=FALSE if wrong else GREY, linewidth=4 if wrong else 0.8)
        titles = ("image", "probability of a defect", "pixels above the threshold")
        for ax, title in zip(grid[0], titles, strict=True):
            ax.annotate(title, (0.5, 1), (0, 24), "axes fraction", "offset points", ha="center", weight="bold")
        figure.colorbar(shown, ax=grid[:, 1], label="probability", orientation="horizontal", shrink=0.8, aspect=30)
        keys = [Patch(color=YELLOW, label="pixel above the threshold")]
        if known:
            keys += [Patch(facecolor="none", edgecolor=SKY, label="edge of a true defect")]
            keys += [Patch(color=GREY, label="not counted")]
            keys += [Patch(facecolor="none", edgecolor=FALSE, linewidth=3, label="wrong decision")]
        figure.suptitle(rule, fontsize=11)
        for ax in grid[-1]:
            ax.set_xlabel("column (pixels)")
        figure.supylabel("row (pixels)", fontsize=9)
        figure.legend(handles=keys, loc="outside lower right", ncols=4, frameon=False)
    return ", ".join(f"{printable(one.name)} ({one.outcome(threshold)})" for one in rows)


def _mask(ax: Any, mask: np.ndarray, ink: str, strength: float) -> None:
    """Lay a colour over the pixels of a mask."""
    shown = np.zeros((*mask.shape, 4))
    shown[mask] = (*rgb(ink), strength)
    ax.imshow(shown, interpolation="nearest")


def plot_roc(path: AnyPath, found: Sequence[Inspected], threshold: float) -> None:
    """Draw the ROC curve of images whose truth is known, some with a defect and some without, and the chosen point."""
    scores, truth = [one.score for one in found], [one.truth for one in found]
    curve, chosen = roc_curve(scores, truth), decide(scores, truth, threshold)
    point = 1 - chosen.specificity, chosen.recall
    mistakes = f"{chosen.misses} missed, {counted(chosen.false_alarms, 'false alarm')}"
    with drawing(path, figsize=(4.8, 4.8)) as figure:
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
        rates = np.append(0, curve.false_alarm_rate), np.append(0, curve.hit_rate)
        ax.plot(*rates, color=BLUE, linewidth=2, label=f"every threshold: AUC {curve.auc:.4f}", clip_on=False)
        ax.plot(
            *point, color=FALSE, marker="s", markersize=8, linestyle="", clip_on=False, zorder=3,
            label=f"threshold {threshold:.3f}: {mistakes}",
        )  # fmt: skip
        words = f"{point[1]:.1%} of the defects found,\n{point[0]:.1%} of the others flagged"
        side, away = ("left", 10) if point[0] < 0.5 else ("right", -10)
        ax.annotate(words, point, (away, -28), textcoords="offset points", fontsize=8, ha=side)
        ax.set(
            xlim=(-0.03, 1), ylim=(0, 1.03), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1),
            title=f"{sum(truth)} of {counted(len(truth), 'image')} with a defect",
            xlabel="false alarm rate (share of the images without a defect)",
            ylabel="hit rate (share of the images with a defect)",
        )  # fmt: skip
        ax.legend(loc="lower right", frameon=False)


def plot_curves(path: AnyPath, logs: Mapping[str, Log]) -> None:
    """Draw what the logs of training runs, by name, say of every epoch: one colour and mark for each run."""
    with drawing(path) as figure:
        figure.set_size_inches(5 * _curves(figure, logs), 3.8)


def draw_watch(path: AnyPath, records: Log, images: Mapping[str, np.ndarray]) -> None:
    """Draw the curves of a run so far above images (H, W) or (H, W, 3) of what the net answers now."""
    with drawing(path, figsize=(10, 5.6 if images else 3.4)) as figure:
        above, below = figure.subfigures(2, 1, height_ratios=(1, 0.9)) if images else (figure, figure)
        _curves(above, {"": records})
        for i, (title, image) in enumerate(images.items(), 1):
            ax = below.add_subplot(1, len(images), i, title=title, xticks=[], yticks=[])
            show(ax, image)


def _curves(figure: Any, logs: Mapping[str, Log]) -> int:
    """Draw the panels of `CURVES` of which the logs hold numbers, and return how many there are."""
    records = [record for log in logs.values() for record in log]
    held = {name for name in WORDS if any(np.isfinite(record.get(name, np.nan)) for record in records)}
    panels = {title: [name for name in names if name in held] for title, names in CURVES.items() if held & {*names}}
    for i, (title, names) in enumerate(panels.items(), 1):
        ax = figure.add_subplot(1, len(panels), i, xlabel="epoch", ylabel=title)
        for (run, log), ink, mark in zip(logs.items(), cycle(INK), cycle(MARKS), strict=False):
            epochs = [record["epoch"] for record in log]
            for name in names:
                first = name == "loss_train"
                colour = ink if len(logs) > 1 else BLUE if first else FALSE
                values = [record.get(name, np.nan) for record in log]
                style = {"color": colour, "linestyle": LINES[not first], "marker": mark, "markersize": 4}
                label = re.sub("^_", " _", f"{printable(run)} {WORDS[name]}".strip())  # matplotlib hides those of _
                if np.isfinite(values).any():
                    ax.plot(epochs, values, markevery=max(1, len(epochs) // 10), label=label, **style)
        ax.set_ylim(0)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(frameon=False)
    return len(panels)


def draw_confusion(path: AnyPath, C: np.ndarray, names: Sequence[str]) -> None:
    """Draw a confusion matrix (K, K): the classes down, what they were taken for across.

    The diagonal is left out of the scale of greys, as the few mistakes would otherwise not be seen.
    """
    K, names = len(names), [*map(printable, names)]
    mistakes = C - np.diag(np.diag(C))
    with drawing(path, figsize=(2 + 0.28 * K, 1.6 + 0.28 * K)) as figure:
        axes = figure.subplots()
        axes.imshow(mistakes, cmap="Greys", vmin=0, vmax=max(1, mistakes.max()))
        for i, j in zip(*np.nonzero(C), strict=True):
            dark = mistakes[i, j] > 0.6 * mistakes.max()
            colour = BLUE if i == j else "white" if dark else "black"
            axes.text(j, i, C[i, j], ha="center", va="center", fontsize=6, color=colour)
        axes.set_xticks(range(K), names, rotation=90, fontsize=7)
        axes.set_yticks(range(K), names, fontsize=7)
        axes.set(xlabel="taken for", ylabel="class")
        said = f"{counted(int(mistakes.sum()), 'mistake')} in {counted(int(C.sum()), 'image')}"
        axes.set_title(said, fontsize=9)


def draw_mistakes(path: AnyPath, images: np.ndarray, classes: np.ndarray, p: np.ndarray, names: Sequence[str]) -> None:
    """Draw the mistakes, the surest first; under each image its class, what it was taken for, and how surely.

    The images, shape (N, H, W, C), are as they were read; numbers of channels other than 1 and 3 are drawn as their
    mean. `classes` holds the true classes, shape (N,), and `p` the probabilities, shape (N, K).
    """
    names, wrong = [*map(printable, names)], np.flatnonzero(p.argmax(axis=1) != classes)
    shown = wrong[np.argsort(-p[wrong].max(axis=1), kind="stable")][:MISTAKES]
    rows = max(1, -(-len(shown) // ACROSS))
    with drawing(path, figsize=(1.2 * ACROSS, 0.4 + 1.45 * rows)) as figure:
        cells = figure.subplots(rows, ACROSS, squeeze=False).ravel()
        for axes in cells:
            axes.set_axis_off()
        for axes, i in zip(cells, shown, strict=False):
            image = images[i] if images.shape[3] == 3 else images[i].mean(axis=2)
            axes.imshow(grey(image), cmap="gray", vmin=0, vmax=1)
            guess = int(p[i].argmax())
            axes.set_title(f"{names[classes[i]]}\nas {names[guess]}, {p[i, guess]:.2f}", fontsize=6)
        said = f"{counted(len(wrong), 'mistake')} in {counted(len(images), 'image')}, the surest first"
        figure.suptitle(said, fontsize=9)
