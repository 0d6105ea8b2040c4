"""The figures of tutorials 11 to 16: learning curves, loss surfaces, segments, decisions, devices, own layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from course.style import INK, cells, figure, picture

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
) -> Figure:
    """Show images in grey, each with its title, and the outline of a mask over those that have one."""
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
    return fig


# ------------------------------------------------------------------------------------------ 12 step sizes


def _contours(ax: Axes, w: np.ndarray, b: np.ndarray, L: np.ndarray) -> None:
    levels = np.geomspace(max(L.min(), 1e-2), L.max(), 14)
    ax.contour(w, b, L, levels=levels, colors="0.6", linewidths=0.8)
    ax.set_xlabel("w")
    ax.set_xlim(w.min(), w.max())
    ax.set_ylim(b.min(), b.max())


def loss_surface(
    w: np.ndarray, b: np.ndarray, L: np.ndarray, start: Sequence[float], g: Sequence[float], lowest: Sequence[float]
) -> Figure:
    """Draw the loss over two parameters: level lines, a start with its downhill direction, and the lowest point."""
    fig, axes = figure(1, 1, 3.4, 5.4)
    ax = axes[0, 0]
    _contours(ax, w, b, L)
    ax.set_ylabel("b")
    length = np.hypot(*g)
    ax.annotate("", (start[0] - g[0] / length, start[1] - g[1] / length), start,
                arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.8})  # fmt: skip
    for at, words, marker in ((start, "start", "o"), (lowest, "lowest", "*")):
        ax.plot(*at, marker, color="black", ms=9)
        ax.annotate(words, at, (8, -14), textcoords="offset points")
    ax.text(start[0] - g[0] / length, start[1] - g[1] / length + 0.12, "\N{MINUS SIGN}g", ha="center")
    return fig


def paths_on_surface(w: np.ndarray, b: np.ndarray, L: np.ndarray, paths: Mapping[str, np.ndarray]) -> Figure:
    """Draw the way of several optimisers over one loss surface, a panel each; points are accepted parameters."""
    columns = 3 if len(paths) == 3 else 2
    rows = -(-len(paths) // columns)
    fig, axes = figure(rows, columns, 2.7 * rows, sharex=True, sharey=True)
    for i, (ax, (name, path)) in enumerate(zip(axes.ravel(), paths.items(), strict=True)):
        _contours(ax, w, b, L)
        ink = INK[i]
        ax.plot(path[:, 0], path[:, 1], color=ink.edge, ls=ink.line, marker=ink.marker, ms=4, lw=1.3)
        ax.plot(*path[0], "o", color="black", ms=7)
        ax.set_title(f"{name}: {len(path) - 1} steps")
        ax.set_xlabel("w" if i // columns == rows - 1 else "")
        ax.set_ylabel("b" if i % columns == 0 else "")
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
    return fig


def descent_directions(
    w: np.ndarray, b: np.ndarray, L: np.ndarray, at: Sequence[float], directions: Mapping[str, np.ndarray]
) -> Figure:
    """Draw directions from one point of a loss surface, each scaled to the same length."""
    fig, axes = figure(1, 1, 3.6, 5.6)
    ax = axes[0, 0]
    _contours(ax, w, b, L)
    ax.set_ylabel("b")
    handles = []
    for ink, (name, d) in zip(INK, directions.items(), strict=False):
        end = np.asarray(at) + 3.2 * d / np.linalg.norm(d)
        ax.annotate("", end, at, arrowprops={"arrowstyle": "-|>", "color": ink.edge, "ls": ink.line, "lw": 2})
        handles += ax.plot([], [], color=ink.edge, ls=ink.line, lw=2, label=name)
    ax.plot(*at, "o", color="black", ms=7)
    ax.plot(0, 0, "*", color="black", ms=11)
    ax.legend(handles=handles, loc="upper left")
    return fig


# ------------------------------------------------------------------------------------------- 13 membranes


def one_merged_pair(truth: np.ndarray, proposals: Mapping[str, np.ndarray]) -> Figure:
    """Draw small label images as boxes: segments by hatch and number, borders empty."""
    fig, axes = figure(1, 1 + len(proposals), 2.3)
    for ax, (name, labels) in zip(axes[0], {"truth": truth, **proposals}.items(), strict=True):
        inks = {at: INK[n - 1] for at, n in np.ndenumerate(labels) if n}
        words = np.where(labels > 0, labels.astype(str), "")
        cells(ax, words, inks, name, size=9)
    return fig


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
    return fig


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
    return fig


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
    return fig


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
    return fig


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
    return fig


# --------------------------------------------------------------------------------- 16 add your own layer


def average_both_ways(x: np.ndarray, storage: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> Figure:
    """Draw a 3x3 input, its four fragments of averages, gradients for them, and the gradient of the input."""
    fig, axes = figure(1, 2, 2.6, sharey=True)
    for ax, (whole, parts, names, ink) in zip(
        axes[0],
        ((x, storage, ("x", "y, by fragment"), INK[5]), (dx, dy, ("dx", "dy, by fragment"), INK[4])),
        strict=True,
    ):
        cells(ax, whole, {(1, 1): ink})
        for i, value in enumerate(parts):
            r, c = divmod(i, 2)
            cells(ax, [[value]], {(0, 0): INK[i]}, at=(0.25 + 1.5 * r, 4.2 + 1.5 * c))
        ax.text(1.5, -0.3, names[0], ha="center", size=11)
        ax.text(5.45, -0.3, names[1], ha="center", size=11)
        ax.set_ylim(3.1, -0.7)
    return fig
