"""Every picture of the command line: panels side by side, the contact sheet and the ROC curve of ``detect``.

Drawn with matplotlib, of the `plot` extra, which is imported only when a picture is drawn.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.inference.inspection import Inspected
from tinympcnn.io.atomic import replacing
from tinympcnn.metrics.roc import decide, roc_curve

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
"""The palette of Okabe and Ito, which people with any colour vision can tell apart."""
GREY = "#999999"
INK = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE)
"""The order in which curves and segments take colours: neighbours differ for every kind of colour vision."""
FALSE, MISSED = VERMILLION, BLUE
LINES, MARKS = ("-", "--", "-.", ":"), "os^Dv<"

SHEET_ROWS = 8  # images on a contact sheet
DPI = 110
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # names of files may hold dollar signs
}


def side_by_side(panels: Sequence[Any], titles: Sequence[str], path: str | PathLike[str], caption: str = "") -> None:
    """Write a PNG of `panels` in a row, each with a title above and its pixels counted along its sides.

    A panel is an array, shape (H, W) or (H, W, 3): uint8 is shown as it is, booleans as black and white, other integers
    from black (the smallest) to white (the largest). Floats are probabilities, from 0 to 1, and get a scale.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     side_by_side([np.eye(40), np.eye(40) > 0], ["probability", "labels"], folder + "/both.png")
    """
    arrays = [np.asarray(panel) for panel in panels]
    if not arrays or len(arrays) != len(titles):
        raise UsageError(f"{len(arrays)} panel(s) and {len(titles)} title(s) do not make a picture; give one to each")
    for array in arrays:
        if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
            raise UsageError(f"a panel is an array (H, W) or (H, W, 3), not {array.shape}")
    with drawing() as new_figure:
        figure = new_figure(figsize=(3.2 * len(arrays), 3.4))
        for ax, array, title in zip(figure.subplots(1, len(arrays), squeeze=False)[0], arrays, titles, strict=True):
            shown = _show(ax, array)
            ax.set_title(title)
            if array.dtype.kind == "f":
                figure.colorbar(shown, ax=ax, label="probability", shrink=0.6)
        figure.supxlabel(f"column (pixels)\n{caption}".strip(), fontsize=9)
        figure.supylabel("row (pixels)", fontsize=9)
        write_figure(figure, path)


def contact_sheet(path: str | PathLike[str], found: Sequence[Inspected], threshold: float) -> str:
    """Draw the worst mistakes, then the narrowest right decisions; return what is in the rows, from the top.

    Where the truth is not known, the images with the largest scores are drawn.
    """

    def badness(one: Inspected) -> float:
        if one.defect is None:
            return one.score
        distance = abs(one.score - threshold)
        return distance if (one.score > threshold) != one.truth else -distance

    rows = sorted(found, key=badness, reverse=True)[:SHEET_ROWS]
    known = rows[0].defect is not None
    titles = [*(["truth"] if known else []), "probability of a defect", f"above {threshold:.3f}"]
    height = min(3.0, 2.6 * max(one.probability.shape[0] / one.probability.shape[1] for one in rows)) + 0.5
    with drawing() as new_figure:
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        kinds = {"no defect": "white", "defect": VERMILLION, **({"not counted": GREY} if known else {})}
        colours = ListedColormap(["white", VERMILLION, GREY])
        figure = new_figure(figsize=(2.9 * len(titles) + 3.6, height * len(rows) + 0.5))
        axes = figure.subplots(len(rows), len(titles) + 1, squeeze=False)
        for line, one in zip(axes, rows, strict=True):
            line[0].imshow(one.image.mean(axis=2, dtype=np.float64), cmap="gray", interpolation="nearest")
            line[0].set_ylabel("row (pixels)")
            line[0].set_title(
                f"{printable(one.name)[-40:]}\n{one.outcome(threshold)}, score {one.score:.3f}", loc="left"
            )
            shown = _show(line[-2], one.probability.astype(float))
            maps = [] if one.defect is None else [np.where(one.defect < 0, 2, one.defect)]
            maps.append((one.probability > threshold).astype(int))
            for ax, kind in zip((*line[1:-2], line[-1]), maps, strict=True):
                ax.imshow(kind, colours, vmin=0, vmax=2, interpolation="nearest")
        for ax, title in zip(axes[0, 1:], titles, strict=True):
            ax.set_title(title)
        for ax in axes[-1]:
            ax.set_xlabel("column (pixels)")
        figure.colorbar(shown, ax=axes[:, -1], label="probability", shrink=min(1, 2 / len(rows)), aspect=15)
        patches = [Patch(facecolor=colour, edgecolor=BLACK, label=kind) for kind, colour in kinds.items()]
        figure.legend(handles=patches, loc="outside lower right", ncols=3, frameon=False)
        write_figure(figure, path)
    return ", ".join(f"{printable(one.name)} ({one.outcome(threshold)})" for one in rows)


def plot_roc(path: str | PathLike[str], found: Sequence[Inspected], threshold: float) -> None:
    """Draw the ROC curve of images whose truth is known, some with a defect and some without, and the chosen point."""
    scores, truth = [one.score for one in found], [one.truth for one in found]
    curve, chosen = roc_curve(scores, truth), decide(scores, truth, threshold)
    mistakes = f"{chosen.misses} missed, {chosen.false_alarms} false alarm(s)"
    with drawing() as new_figure:
        figure = new_figure(figsize=(4.6, 4.6))
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
        rates = np.append(0, curve.false_alarm_rate), np.append(0, curve.hit_rate)
        ax.plot(*rates, color=BLUE, linewidth=2, label=f"every threshold: AUC {curve.auc:.4f}", clip_on=False)
        ax.plot(
            1 - chosen.specificity, chosen.recall, color=VERMILLION, marker="s", markersize=8, linestyle="",
            label=f"threshold {threshold:.3f}: {mistakes}", clip_on=False, zorder=3,
        )  # fmt: skip
        ax.set(
            xlim=(0, 1), ylim=(0, 1), aspect="equal", title=f"{sum(truth)} of {len(truth)} images have a defect",
            xlabel="false alarm rate (share of the images without a defect)",
            ylabel="hit rate (share of the images with a defect)",
        )  # fmt: skip
        ax.legend(loc="lower right", frameon=False)
        write_figure(figure, path)


def draw_objects(
    path: str | PathLike[str],
    image: np.ndarray,
    objects: np.ndarray,
    truth: np.ndarray | None,
    matched: np.ndarray | None,
    radius: float,
) -> None:
    """Draw marks around the objects of an image (H, W, C), a pixel of the picture for each pixel of the image.

    `matched` holds, for each of the `objects` (n, 3), the index of its object of the `truth` (m, 2), or -1. Hits are
    circles, false alarms squares and misses diamonds, in colours of their own. Without a truth all are circles.
    """
    kinds = [("object", BLUE, "o", objects)]
    if truth is not None and matched is not None:
        missed = np.delete(truth, matched[matched >= 0], axis=0)
        kinds = [
            ("hit", BLUE, "o", objects[matched >= 0]),
            ("false alarm", VERMILLION, "s", objects[matched < 0]),
            ("miss", YELLOW, "D", missed),
        ]
    height, width = image.shape[:2]
    inches = width / DPI, height / DPI
    with drawing() as new_figure:
        figure = new_figure(figsize=(max(inches[0], 4), inches[1] + 0.4), layout="none")
        ax = figure.add_axes((0, 0.4 / (inches[1] + 0.4), 1, inches[1] / (inches[1] + 0.4)))
        shown = image.astype(np.float64)
        low, high = (0, 255) if image.dtype == np.uint8 and image.shape[2] == 3 else (shown.min(), shown.max())
        shown = (shown - low) / max(high - low, 1e-9)
        ax.imshow(shown if image.shape[2] == 3 else shown[:, :, 0], cmap="gray", interpolation="nearest")
        size = (2 * 72 / DPI * (radius + 2)) ** 2
        for name, colour, mark, some in kinds:
            ax.scatter(
                some[:, 1], some[:, 0], s=size, marker=mark, facecolors="none", edgecolors=colour, linewidths=1.5,
                label=f"{name} ({len(some)})",
            )  # fmt: skip
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        ax.set_axis_off()
        figure.legend(loc="lower center", ncols=3, frameon=False, markerscale=min(1.0, 7 / np.sqrt(size)))
        write_figure(figure, path)


def check_picture(path: str | PathLike[str]) -> None:
    """Raise before the work begins if this picture could not be drawn after it."""
    _figure_class()
    if Path(path).suffix.lower() != ".png":
        raise UsageError(f"{path}: pictures are written as PNG; give a name that ends in .png")


def printable(name: str) -> str:
    r"""Return a name in which bytes that are no text are written out.

    Examples
    --------
    >>> print(printable("d\udce9faut"))
    d\udce9faut
    """
    return name.encode(errors="backslashreplace").decode()


def _show(ax: Any, array: np.ndarray) -> Any:
    """Show an array in grey, or probabilities in the colours of a scale from 0 to 1."""
    if array.dtype.kind == "f":
        return ax.imshow(array, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    limits = {"vmin": 0, "vmax": 255} if array.dtype == np.uint8 else {}
    return ax.imshow(array, cmap="gray", interpolation="nearest", **limits)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError('drawing needs matplotlib: pip install "tinympcnn[plot]"') from None
    return Figure


@contextmanager
def drawing() -> Iterator[Any]:
    """Give the class of figures, and our style while it is used; characters that no font has are drawn as boxes."""
    figure = _figure_class()
    import matplotlib

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield figure


def write_figure(figure: Any, path: str | PathLike[str]) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
