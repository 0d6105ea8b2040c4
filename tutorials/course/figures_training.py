"""The figures of tutorials 11 to 16: learning curves, loss surfaces, segments, decisions, devices, own layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from course.figures_fragments import ACCENT
from course.style import INK, WIDTH, arrow, cells, figure, picture, told

__all__ = [
    "armijo_condition",
    "average_both_ways",
    "costs",
    "descent_directions",
    "loss_curves",
    "loss_surface",
    "merged_cells",
    "one_merged_pair",
    "paths_on_surface",
    "picture_grid",
    "queue_timeline",
    "roc_curve",
    "sorted_counts",
]

Curves = Mapping[str, tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]]


def loss_curves(
    panels: Sequence[tuple[str, Curves]],
    ylabel: str = "loss",
    log: bool = False,
    marks: bool = True,
    height: float = 3.0,
    logx: bool = False,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """Draw curves, one panel for each (label of the horizontal axis, {name: (x, y)}); equal names look equal."""
    fig, axes = figure(1, len(panels), height, sharey=True)
    names = list(dict.fromkeys(name for _, curves in panels for name in curves))
    for ax, (xlabel, curves) in zip(axes[0], panels, strict=True):
        for name, (x, y) in curves.items():
            ink = INK[names.index(name)]
            every = max(1, len(x) // 8)
            ax.plot(x, y, color=ink.edge, ls=ink.line, marker=ink.marker if marks else "", markevery=every, ms=5,
                    label=name, mfc="white")  # fmt: skip
        ax.set_xlabel(xlabel)
        ax.set_yscale("log" if log else "linear")
        ax.set_xscale("log" if logx else "linear")
        ax.grid(True, lw=0.4, color="0.85")
    if ylim:
        axes[0, 0].set_ylim(*ylim)
    axes[0, 0].set_ylabel(ylabel)
    most = max(range(len(panels)), key=lambda i: len(panels[i][1]))
    axes[0, most].legend(loc="best")
    return fig


def picture_grid(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    columns: int = 3,
    outlines: Sequence[np.ndarray | None] | None = None,
    limits: Sequence[tuple[float, float] | None] | None = None,
    dot: tuple[int, int] | None = None,
) -> Figure:
    """Show images in grey, each with its title, the outline of a mask over those that have one, a dot on a pixel."""
    rows = -(-len(images) // columns)
    aspect = images[0].shape[0] / images[0].shape[1]
    fig, axes = figure(rows, columns, rows * (7.2 / columns * aspect + 0.32))
    for i, ax in enumerate(axes.ravel()):
        if i >= len(images):
            ax.axis("off")
            continue
        low, high = (limits[i] if limits else None) or (None, None)
        picture(ax, images[i], titles[i], low, high)
        if outlines is not None and outlines[i] is not None and outlines[i].any():
            ax.contour(outlines[i], levels=[0.5], colors="white", linewidths=2.6)
            ax.contour(outlines[i], levels=[0.5], colors="black", linewidths=1.2, linestyles="--")
        if dot:
            ax.plot(dot[1], dot[0], "o", color=ACCENT, mec="white", ms=6)
    return fig


# ------------------------------------------------------------------------------------------ 12 step sizes


def _contours(ax: Axes, w: np.ndarray, b: np.ndarray, L: np.ndarray) -> None:
    """Draw level lines; a unit of w is as long as one of b, so that right angles look right."""
    levels = np.geomspace(max(L.min(), 1e-2), L.max(), 14)
    ax.contour(w, b, L, levels=levels, colors="0.6", linewidths=0.8)
    ax.set(xlabel="w", xlim=(w.min(), w.max()), ylim=(b.min(), b.max()), aspect="equal")


def _head(ax: Axes, start: Sequence[float], end: Sequence[float], color: str = "black", ls: Any = "-") -> None:
    """Draw an arrow from (w, b) to (w, b) in any line style, with a solid head."""
    ax.plot(*zip(start, end, strict=True), color=color, ls=ls, lw=2)
    along = np.subtract(end, start) / np.hypot(*np.subtract(end, start))
    style = {"arrowstyle": "-|>", "color": color, "lw": 2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 16}
    ax.annotate("", end, np.subtract(end, 0.05 * along), arrowprops=style)


def loss_surface(
    w: np.ndarray, b: np.ndarray, L: np.ndarray, start: Sequence[float], g: Sequence[float], lowest: Sequence[float]
) -> Figure:
    """Draw the loss over two parameters: level lines, a start with its downhill direction, and the lowest point."""
    fig, axes = figure(1, 1, 4.2, 4.6)
    ax = axes[0, 0]
    _contours(ax, w, b, L)
    ax.set_ylabel("b")
    _head(ax, start, np.subtract(start, np.asarray(g) / np.hypot(*g)))
    for at, name, marker in ((start, "start", "o"), (lowest, "lowest", "*")):
        ax.plot(*at, marker, color="black", ms=9)
        ax.annotate(name, at, (8, -14), textcoords="offset points")
    words = """Level lines of the loss over w and b: a long narrow valley that falls slowly from upper left to lower
        right. From the start at (0, 0) the downhill direction, an arrow at a right angle to the level line, points to
        the right and slightly up, across the valley. The lowest point is at (2, 1)."""
    return told(fig, words)


def paths_on_surface(w: np.ndarray, b: np.ndarray, L: np.ndarray, paths: Mapping[str, np.ndarray]) -> Figure:
    """Draw the way of several optimisers over one loss surface, a panel each; points are accepted parameters."""
    height = WIDTH / len(paths) * (b.max() - b.min()) / (w.max() - w.min()) + 0.45
    fig, axes = figure(1, len(paths), height, sharey=True)
    for ax, ink, (name, path) in zip(axes[0], INK, paths.items(), strict=False):
        _contours(ax, w, b, L)
        ax.plot(path[:, 0], path[:, 1], color=ink.edge, ls=ink.line, marker=ink.marker, ms=4, lw=1.3)
        ax.plot(*path[0], "o", color="black", ms=7)
        ax.set_title(f"{name}: {len(path) - 1} steps")
        ax.title.set_fontsize(9)
    axes[0, 0].set_ylabel("b")
    return fig


def armijo_condition(
    t: np.ndarray, L: np.ndarray, slope: float, cs: Sequence[float], trials: Sequence[tuple[float, float]]
) -> Figure:
    """Draw the loss along the downhill direction, the lines that the Armijo rule asks to undercut, and the trials."""
    fig, axes = figure(1, 1, 3.4)
    ax = axes[0, 0]
    ax.plot(t, L, color="black", lw=2.2, label="loss after a step of length t")
    ax.plot(t, L[0] - t * slope, color=INK[4].edge, ls=INK[4].line, lw=1.2, label="what the gradient promises (c = 1)")
    for c, ink in zip(cs, INK[1:], strict=False):
        line = L[0] - c * t * slope
        ax.plot(t, line, color=ink.edge, ls=ink.line, label=f"what is asked for, c = {c:g}")
    line = L[0] - cs[0] * t * slope
    ax.fill_between(t, L, line, where=line >= L, facecolor=INK[1].fill, hatch=INK[1].hatch, edgecolor=INK[1].edge, lw=0)
    for n, (at, value) in enumerate(trials, 1):
        accepted = n == len(trials)
        if value <= L.max():
            ax.plot(at, value, "o" if accepted else "X", color="black", ms=9, zorder=4)
            words, below = ("accepted", -9) if accepted else ("refused", -3)
            ax.annotate(f"trial {n}: {words}", (at, value), (10, below), textcoords="offset points", va="center")
    ax.set(xlabel="step length t", ylabel="loss", ylim=(-0.11 * L.max(), 1.02 * L.max()), xlim=(0, t.max()))
    ax.legend(loc="upper center")
    words = """The loss along the downhill direction is a parabola that falls from 10.5 at t = 0 to nearly 0 at t =
        0.24 and is back at 10.5 near t = 0.48. Two dashed lines start at 10.5: with c = 0.0001 it is
        almost flat, with c = 0.3 it falls. A step is acceptable where the parabola is below the line;
        for c = 0.3 that region is hatched and ends near t = 0.33. The trial at 0.5 lies above both
        lines and is refused, the trial at 0.25 is accepted. The trial at 1 is far outside of the
        picture."""
    return told(fig, words)


def descent_directions(
    w: np.ndarray, b: np.ndarray, L: np.ndarray, at: Sequence[float], directions: Mapping[str, np.ndarray]
) -> Figure:
    """Draw directions from one point of a loss surface, each scaled to the same length."""
    fig, axes = figure(1, 1, 3.7, 3.6)
    ax = axes[0, 0]
    _contours(ax, w, b, L)
    ax.set_ylabel("b")
    handles = []
    for ink, (name, d) in zip(INK, directions.items(), strict=False):
        _head(ax, at, np.asarray(at) + 3.2 * d / np.linalg.norm(d), ink.edge, ink.line)
        handles += ax.plot([], [], color=ink.edge, ls=ink.line, lw=2, label=name)
    ax.plot(*at, "o", color="black", ms=7)
    ax.plot(0, 0, "*", color="black", ms=11)
    ax.legend(handles=handles, loc="lower right", title="drawn equally long")
    words = """Level lines of a valley that is steep in w and flat in b: long ellipses, twice as high as wide. From the
        point (2.5, 5) three arrows of equal length: steepest descent points mostly to the left, at a right angle to
        the level line; Newton points straight to the lowest point at (0, 0); L-BFGS with a single pair points between
        the two, much closer to Newton."""
    return told(fig, words)


# ------------------------------------------------------------------------------------------- 13 membranes


def one_merged_pair(truth: np.ndarray, proposals: Mapping[str, np.ndarray]) -> Figure:
    """Draw small label images as boxes: segments by hatch and number, borders empty."""
    fig, axes = figure(1, 1 + len(proposals), 2.3)
    for ax, (name, labels) in zip(axes[0], {"truth": truth, **proposals}.items(), strict=True):
        inks = {at: INK[n - 1] for at, n in np.ndenumerate(labels) if n}
        words = np.where(labels > 0, labels.astype(str), "")
        cells(ax, words, inks, name, size=9)
    words = """Three label images of 3 by 5 pixels. Truth: segment 1 on the left, segment 2 on the right, an empty
        column between them. One hole: everything is segment 1, but for two membrane pixels above and
        below the hole. Thick membrane: segments 1 and 2 are one column each, with three empty columns
        between them."""
    return told(fig, words)


def merged_cells(image: np.ndarray, segments: np.ndarray, pair: tuple[int, int], gap: tuple[float, float]) -> Figure:
    """Show an image with one hole in a membrane, and the two cells that the hole makes one."""
    fig, axes = figure(1, 3, 2.75)
    picture(axes[0, 0], image, "the proposal", 0, 1)
    picture(axes[0, 1], image, "the hole", 0, 1)
    for ax in axes[0, :2]:
        ax.add_patch(Rectangle((gap[1] - 9, gap[0] - 9), 18, 18, fill=False, ec="white", lw=3))
        ax.add_patch(Rectangle((gap[1] - 9, gap[0] - 9), 18, 18, fill=False, ec="black", lw=1.4, ls="--"))
    axes[0, 1].set_xlim(gap[1] - 14, gap[1] + 14)
    axes[0, 1].set_ylim(gap[0] + 14, gap[0] - 14)
    picture(axes[0, 2], np.where(segments > 0, 0.9, 0.25), "the two cells it merges", 0, 1)
    for number, ink in zip(pair, INK, strict=False):
        mask = (segments == number).astype(float)
        axes[0, 2].contourf(mask, levels=[0.5, 1.5], colors=[ink.fill], hatches=[ink.hatch or "||"])
        axes[0, 2].contour(mask, levels=[0.5], colors=[ink.edge], linewidths=1.5)
    words = """Three pictures. The proposal: white cells with black membranes, and a dashed box around one spot. The
        same spot enlarged: a gap in the membrane. The two cells that the gap makes one, marked with
        hatches: two of the largest in the picture."""
    return told(fig, words)


# ------------------------------------------------------------------------------- 14 rare defects in steel


def sorted_counts(counts: np.ndarray, defective: np.ndarray, threshold: float) -> Figure:
    """Draw, image by image in ascending order, how many pixels were called defect; bars of defective images hatched."""
    fig, axes = figure(1, 1, 2.8)
    ax = axes[0, 0]
    order = np.argsort(counts, kind="stable")
    for x, i in enumerate(order):
        ink = INK[1] if defective[i] else INK[0]
        ax.bar(x, max(counts[i], 0.6), color=ink.fill, edgecolor=ink.edge, hatch=ink.hatch, width=0.85)
    ax.axhline(threshold, color="black", ls="--", lw=1.3)
    ax.text(-0.4, threshold * 0.82, f"threshold: {threshold:g} pixels", va="top")
    ax.set_yscale("log")
    ax.set_ylim(0.5, max(counts.max(), threshold) * 8)
    ax.set(xlabel="images, by number of defect pixels", ylabel="pixels called defect", xticks=[])
    handles = [
        Patch(fc=INK[i].fill, ec=INK[i].edge, hatch=INK[i].hatch, label=name)
        for i, name in enumerate(("sound", "defective"))
    ]
    ax.legend(handles=handles, loc="upper left")
    words = """A bar for each image, in ascending order of the number of pixels called defect, on a logarithmic axis.
        Most sound images, plain bars, are at the left with none. Most defective images, hatched, are at
        the right above the dashed line of the threshold, 312.5 pixels. A few defective images stand
        among the sound ones."""
    return told(fig, words)


def roc_curve(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], points: Mapping[str, tuple[float, float]] | None = None
) -> Figure:
    """Draw hit rate against false-alarm rate, and some decisions on it."""
    fig, axes = figure(1, 1, 3.6, 5.2)
    ax = axes[0, 0]
    ax.plot([0, 1], [0, 1], color="0.6", lw=1, ls=":")
    ax.text(0.62, 0.55, "by chance", color="0.4", rotation=33)
    for ink, (name, (false_alarms, hits)) in zip(INK, curves.items(), strict=False):
        ax.plot(false_alarms, hits, color=ink.edge, ls=ink.line, drawstyle="steps-post", label=name)
    for marker, (name, at) in zip("sD^v", (points or {}).items(), strict=False):
        ax.plot(*at, marker, ls="", color="black", ms=8, label=name, mfc="white", mew=1.6)
    ax.set(xlabel="false alarms: share of sound images flagged", ylabel="hits: share of\ndefective images flagged",
           xlim=(-0.03, 1.03), ylim=(-0.03, 1.05))  # fmt: skip
    ax.grid(True, lw=0.4, color="0.85")
    ax.legend(loc="lower right")
    words = """Hit rate against false-alarm rate for three cuts of the probability. All curves rise steeply at the
        left, far above the dotted diagonal of chance, and stay below 1 until the very end: in two defects,
        and in a third for p > 0.8, no pixel exceeds the cut. A square at the left edge marks the paper's threshold."""
    return told(fig, words)


def costs(thresholds: np.ndarray, curves: Mapping[str, np.ndarray], chosen: Mapping[str, float]) -> Figure:
    """Draw the cost of every threshold, one curve for each price of a miss, and where each is lowest."""
    fig, axes = figure(1, 1, 2.9)
    ax = axes[0, 0]
    for ink, (name, cost) in zip(INK, curves.items(), strict=False):
        ax.plot(thresholds, cost, color=ink.edge, ls=ink.line, drawstyle="steps-post", label=name)
        at = chosen[name]
        k = int(np.searchsorted(thresholds, at, side="right")) - 1
        ax.plot(at, cost[k], ink.marker, color="black", ms=8, mfc="white", mew=1.6)
    ax.set(xlabel="threshold: an image is flagged if more pixels than this are called defect", ylabel="cost per image")
    ax.set_xlim(thresholds.min(), thresholds.max())
    ax.grid(True, lw=0.4, color="0.85")
    ax.legend(loc="best")
    words = """Cost per image against the threshold, three step curves for misses that cost 1, 5 and 20. Going to the
        right, each falls a little with every false alarm that is spared and rises with every defect
        that is missed, the steeper the dearer a miss is. A mark shows where each is lowest: at about
        550 pixels for 1, at about 190 for 5 and 20."""
    return told(fig, words)


# ------------------------------------------------------------------------------------- 15 move to the GPU


def queue_timeline(bars: Sequence[tuple[str, str, float, float]], marks: Mapping[str, float]) -> Figure:
    """Draw what host and device do over time: bars (row, words, start, stop) and clock readings by name."""
    rows = list(dict.fromkeys(row for row, *_ in bars))
    fig, axes = figure(1, 1, 2.4)
    ax = axes[0, 0]
    end = max(stop for *_, stop in bars)
    for row, words, start, stop in bars:
        y = len(rows) - 1 - rows.index(row)
        ink = INK[rows.index(row)]
        ax.add_patch(Rectangle((start, y - 0.3), stop - start, 0.6, fc=ink.fill, ec=ink.edge, hatch=ink.hatch))
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        short = stop - start < 0.1 * end
        ax.text(stop + 0.01 * end if short else (start + stop) / 2, y, words, ha="left" if short else "center",
                va="center", bbox=box, size=9)  # fmt: skip
    for i, (name, at) in enumerate(marks.items()):
        ax.axvline(at, color="black", ls=("--", "-")[i % 2], lw=1.4)
        left = at > 0.6 * end
        ax.text(at + (-0.01 if left else 0.01) * end, len(rows) - 0.28 + 0.0 * i, name, ha="right" if left else "left",
                va="bottom", size=9)  # fmt: skip
    ax.set_yticks(range(len(rows)), rows[::-1])
    ax.set(xlabel="time in ms", xlim=(0, 1.04 * end), ylim=(-0.6, len(rows) + 0.15))
    words = """A time line with two rows. The host's row has one short block at time 0, in which it queues the work.
        The device's row has four blocks of about 10 ms in a row. A dashed line marks the clock read
        without waiting, near 0; a solid line the clock read after synchronising, at the end of the last
        block."""
    return told(fig, words)


# --------------------------------------------------------------------------------- 16 add your own layer


def average_both_ways(x: np.ndarray, storage: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> Figure:
    """Draw a 3x3 input and its four fragments of averages; then gradients for them and the gradient of the input."""
    fig, axes = figure(1, 2, 2.6, sharey=True)
    centre = {(1, 1): INK[5]}  # the same pixel, marked alike on both sides
    for ax in axes[0]:
        first = ax is axes[0, 0]
        whole, parts = (x, storage) if first else (dx, dy)
        at, start = ((0, 0), 4.6) if first else ((0, 4.6), 0.0)
        cells(ax, whole, centre, at=at)
        for i, value in enumerate(parts):
            r, c = divmod(i, 2)
            cells(ax, [[value]], {(0, 0): INK[i]}, at=(0.25 + 1.5 * r, start + 1.5 * c))
        arrow(ax, (1.5, 3.3 if first else 2.8), (1.5, 4.3))
        for name, middle in zip(("x", "y, by fragment") if first else ("dx", "dy, by fragment"),
                                (at[1] + 1.5, start + 1.25), strict=True):  # fmt: skip
            ax.text(middle, -0.3, name, ha="center", size=11)
        ax.set_xlim(-0.4, 8.2)
        ax.set_ylim(3.1, -0.7)
    words = """Two groups of matrices. Forward: x with the numbers 1 to 9, its centre 5 marked, and an arrow to the four
        fragments 3, 4, 6, 7 of one pixel each. Backward: the gradients of the fragments, 4, 8, 12, 16, and an arrow to
        dx, which has 1, 3, 2 in the first row, 4, 10, 6 in the second and 3, 7, 4 in the third, its centre 10
        marked."""
    return told(fig, words)
