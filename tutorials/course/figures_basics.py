"""The figures of tutorials 00 to 03: images and thresholds, memory, convolution, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from course.style import INK, Ink, arrow, cells, figure, frame, picture, told

__all__ = [
    "columns_of",
    "field_of_view_by_pools",
    "grey_values",
    "kink",
    "many_maps",
    "matrix",
    "memory",
    "moved",
    "pictures",
    "positions",
    "responses",
    "sliding_window",
    "step_errors",
    "window_of_a_pixel",
]


def matrix(
    values: np.ndarray | Sequence[Sequence[Any]],
    inks: dict[tuple[int, int], Ink] | None = None,
    title: str = "",
    fmt: str = "{:g}",
) -> Figure:
    """Draw one matrix as boxes with numbers."""
    rows, columns = np.asarray(values).shape
    fig, axes = figure(height=0.45 * rows + 0.5, width=max(0.45 * columns + 0.5, 2.5))
    cells(axes[0, 0], values, inks, title, fmt)
    return fig


def pictures(
    images: Mapping[str, np.ndarray],
    columns: int = 3,
    low: float | None = None,
    high: float | None = None,
    size: float = 2.4,
    note: str = "",
) -> Figure:
    """Draw images side by side, each below its title; `low` and `high` are black and white, by default each its own."""
    rows, shape = -(-len(images) // columns), next(iter(images.values())).shape
    lines = max(title.count("\n") + 1 for title in images)
    height = size * shape[0] / shape[1] + 0.2 * lines + 0.1
    fig, axes = figure(rows, columns, height=height * rows + 0.2 * bool(note), width=size * columns)
    fig.supxlabel(note, fontsize=9)
    for ax in axes.flat[len(images) :]:
        ax.axis("off")
    for ax, (title, image) in zip(axes.flat, images.items(), strict=False):
        picture(ax, image, title, low, high)
    return fig


# --------------------------------------------------------------------------------------- 00: see it segment


def grey_values(image: np.ndarray, labels: np.ndarray, names: Sequence[str], threshold: float) -> Figure:
    """Draw the histograms of the grey values of two classes, and a threshold between them."""
    fig, axes = figure(height=2.7, width=6)
    ax, bins = axes[0, 0], np.arange(0, 257, 8)
    for value, (name, ink) in enumerate(zip(names, INK[1::-1], strict=True)):
        share = np.histogram(image[labels == value], bins)[0] / labels.size * 100
        ax.stairs(share, bins, fill=True, facecolor=ink.fill, edgecolor=ink.edge, hatch=ink.hatch, lw=0, alpha=0.6)
        ax.stairs(share, bins, color=ink.edge, ls=ink.line, lw=1.8, label=name, zorder=3)
    ax.axvline(threshold, color="black", lw=2)
    ax.text(threshold - 3, 0.96 * ax.get_ylim()[1], f"best threshold: {threshold:g}", ha="right", va="top")
    ax.set(xlabel="grey value", ylabel="share of pixels (%)", xlim=(0, 256))
    ax.legend(loc="center right", frameon=False)
    return told(
        fig,
        "Histograms of the grey values of two classes. They overlap widely. A line marks the best threshold; a part of "
        "each histogram lies on the wrong side of it.",
    )


def window_of_a_pixel(image: np.ndarray, pixel: tuple[int, int], window: tuple[int, int], value: str) -> Figure:
    """Draw the window that the net sees for one output pixel: in the image, and enlarged."""
    (q, p), (vh, vw) = pixel, window
    top, left = q - vh // 2, p - vw // 2
    fig, axes = figure(1, 2, height=3.4, width=6.8)
    picture(axes[0, 0], image, f"the window of pixel ({q}, {p})")
    frame(axes[0, 0], top - 0.5, left - 0.5, vh, vw, Ink("", "#ffffff", "", "-", ""), lw=4.5)
    frame(axes[0, 0], top - 0.5, left - 0.5, vh, vw, Ink("", "#000000", "", "--", ""), lw=1.8)
    picture(axes[0, 1], image[top : top + vh, left : left + vw], f"{vh} x {vw} pixels in, one answer out:\n{value}")
    axes[0, 1].plot(vw // 2, vh // 2, "o", ms=14, mfc="none", mec="white", mew=4)
    axes[0, 1].plot(vw // 2, vh // 2, "o", ms=14, mfc="none", mec="black", mew=1.5)
    return told(
        fig,
        f"Left, the image with a dashed frame of {vh} by {vw} pixels around pixel ({q}, {p}). Right, that window "
        f"enlarged, with a ring around its centre pixel, and the answer for it: {value}.",
    )


# --------------------------------------------------------------------------------------- 01: arrays and axes


def memory(orders: Mapping[str, Sequence[str]], inks: Mapping[str, Ink], framed: Mapping[str, Sequence[int]]) -> Figure:
    """Draw the first places of memory as rows of boxes, marked by their last letter; `framed` places are one window."""
    fig, axes = figure(len(orders), 1, height=1.05 * len(orders))
    for ax, (title, names) in zip(axes.flat, orders.items(), strict=True):
        cells(ax, [list(names)], {(0, i): inks[name[-1]] for i, name in enumerate(names)}, title, size=8.5)
        for i in framed[title]:
            frame(ax, 0, i, 1, 1, Ink("", "#000000", "", "-", ""), lw=2.6)
    return told(
        fig,
        "Rows of boxes, the places of memory, hatched by map. "
        + ". ".join(f"{title}: the framed places are {', '.join(map(str, places))}" for title, places in framed.items())
        + ".",
    )


# ------------------------------------------------------------------------------------- 02: convolve by hand


def sliding_window(x: np.ndarray, W: np.ndarray, y: np.ndarray, at: tuple[int, int]) -> Figure:
    """Draw image, kernel and output, with the window of the output pixel `at`."""
    (q, p), (kh, kw) = at, W.shape
    fig, axes = figure(1, 3, height=2.6, width=7, width_ratios=(x.shape[1], kw, y.shape[1]))
    cells(axes[0, 0], x, {(q + i, p + j): INK[1] for i in range(kh) for j in range(kw)}, "image x")
    frame(axes[0, 0], q, p, kh, kw, INK[1])
    cells(axes[0, 1], W, {(i, j): INK[0] for i in range(kh) for j in range(kw)}, "kernel W")
    cells(axes[0, 2], y, {at: INK[1]}, "output y")
    frame(axes[0, 2], q, p, 1, 1, INK[1])
    for ax in axes[0, 1:]:
        ax.set_ylim(axes[0, 0].get_ylim())
    return told(
        fig,
        f"Three matrices. Left, the image of {x.shape[0]} rows and {x.shape[1]} columns, with one window hatched and "
        f"framed. Middle, the {kh} by {kw} kernel. Right, the output, whose pixel in row {q}, column {p} is hatched "
        f"and holds {y[at]:g}.",
    )


def positions(size: int, kernel: int) -> Figure:
    """Draw all positions of a kernel in one row of pixels."""
    fig, axes = figure(height=3.2, width=4.2)
    for q in range(size - kernel + 1):
        marked = {(0, q + i): INK[1] for i in range(kernel)}
        cells(axes[0, 0], [[str(i) for i in range(size)]], marked, at=(1.25 * q, 0))
        axes[0, 0].text(-0.35, 1.25 * q + 0.5, f"q = {q}", ha="right", va="center")
    axes[0, 0].set_xlim(-1.8, size + 0.1)
    axes[0, 0].set_title(f"{size} pixels, a kernel of {kernel}: {size - kernel + 1} positions")
    return told(
        fig,
        f"Copies of a row of {size} boxes, one below the other. A hatched kernel of {kernel} boxes starts at box 0 in "
        f"the first copy and one box further right in each of the next; in copy {size - kernel + 1} it ends at the "
        "last box.",
    )


def responses(scene: np.ndarray, right: np.ndarray, wrong: np.ndarray) -> Figure:
    """Draw an image and what two operations answer to it; rings mark their largest answers."""
    fig, axes = figure(1, 3, height=2.8)
    picture(axes[0, 0], scene, "the image")
    for ax, answer, title in zip(axes[0, 1:], (right, wrong), ("cross-correlation", "the kernel turned"), strict=True):
        picture(ax, answer, f"{title}:\nlargest answer {answer.max():g}")
        q, p = np.unravel_index(answer.argmax(), answer.shape)
        ax.plot(p, q, "o", ms=20, mfc="none", mec="white", mew=4)
        ax.plot(p, q, "o", ms=20, mfc="none", mec="black", mew=1.5)
    return told(
        fig,
        "Three pictures. Left, the image: an L in the lower left and an L turned by 180 degrees in the upper right. "
        "Middle, the answer of the cross-correlation: brightest, and ringed, in the lower left, where the L is. Right, "
        "the answer with the kernel turned: brightest at the turned L.",
    )


def columns_of(x: np.ndarray, cols: np.ndarray, row: int, kernel: tuple[int, int] = (2, 2)) -> Figure:
    """Draw an image, its matrix of columns, and the window that became one row of it."""
    (H, W), (kh, kw) = x.shape, kernel
    q, p = divmod(row, W - kw + 1)
    fig, axes = figure(height=2.1, width=6)
    ax, left = axes[0, 0], W + 2.6
    cells(ax, x, {(q + i, p + j): INK[1] for i in range(kh) for j in range(kw)})
    frame(ax, q, p, kh, kw, INK[1])
    cells(ax, cols, {(row, i): INK[1] for i in range(kh * kw)}, at=((H - len(cols)) / 2, left))
    arrow(ax, (q + kh / 2, p + kw + 0.1), ((H - len(cols)) / 2 + row + 0.5, left - 0.1))
    ax.text(W / 2, -0.25, "image x", ha="center", va="bottom")
    ax.text(left + kh * kw / 2, -0.25, "columns(x): one row for each window", ha="center", va="bottom")
    ax.set_ylim(H + 0.2, -0.9)
    return told(
        fig,
        "Left, a small image with one window hatched and framed. An arrow leads to the matrix of columns on the right, "
        "one row of numbers for each window, where the row of that window is hatched.",
    )


def moved(scenes: Sequence[np.ndarray], answers: Sequence[np.ndarray]) -> Figure:
    """Draw an image and a shifted one, each above what one kernel answers to it."""
    fig, axes = figure(1, 4, height=2.1)
    high = max(answer.max() for answer in answers)
    for k, (scene, answer) in enumerate(zip(scenes, answers, strict=True)):
        picture(axes[0, 2 * k], scene, ("an image", "the same, moved")[k])
        picture(axes[0, 2 * k + 1], answer, ("the answers", "the answers")[k], 0, high)
    return told(
        fig,
        "Two images with the same shape at two places, and beside each the answers of one kernel: the bright spot of "
        "the answers has moved as far as the shape has.",
    )


def many_maps(taps: Sequence[tuple[np.ndarray, np.ndarray]], result: np.ndarray) -> Figure:
    """Draw the sum over taps: a pixel, with one number for each map, times the matrix of its tap, and what it makes."""
    fig, axes = figure(height=1.7)
    ax, left = axes[0, 0], 0.0
    for k, (pixel, tap) in enumerate(taps):
        rows = {(i, j): INK[i] for i, j in np.ndindex(tap.shape)}
        middle = len(tap) / 2
        cells(ax, pixel[None], {(0, i): INK[i] for i in range(len(pixel))}, at=(middle - 0.5, left))
        ax.text(left + len(pixel) / 2, -0.3, f"pixel {k}:\nC maps in", ha="center", va="bottom", size=9)
        left += len(pixel) + 0.8
        ax.text(left - 0.4, middle, "\N{MULTIPLICATION SIGN}", ha="center", va="center", size=13)
        cells(ax, tap, rows, at=(0, left))
        ax.text(left + tap.shape[1] / 2, -0.3, f"tap {k}: C rows,\nM columns", ha="center", va="bottom", size=9)
        left += tap.shape[1] + 0.8
        ax.text(left - 0.4, middle, "+" if k + 1 < len(taps) else "=", ha="center", va="center", size=13)
    cells(ax, result[None], {}, at=(middle - 0.5, left))
    ax.text(left + len(result) / 2, -0.3, "M maps out", ha="center", va="bottom", size=9)
    ax.set_ylim(len(tap) + 0.1, -1.6)
    return told(
        fig,
        "For each tap a row of numbers, one for each input map, times a matrix with one row for each input map, in the "
        "same marks, and one column for each output map. The products are added up to one number for each output map.",
    )


# ------------------------------------------------------------------------------------- 03: check a gradient


def step_errors(h: np.ndarray, errors: Mapping[str, np.ndarray], marked: float) -> Figure:
    """Draw the errors of differences against the step, both on logarithmic axes, and the step that is used."""
    fig, axes = figure(height=3.3, width=6.2)
    ax = axes[0, 0]
    for (name, error), ink in zip(errors.items(), INK, strict=False):
        ax.loglog(h, error, color=ink.edge, ls=ink.line, marker=ink.marker, ms=4, markevery=6, label=name)
    ax.axvline(marked, color="black", lw=1)
    low, high = np.log10(ax.get_ylim())
    ax.text(marked, 10 ** ((low + high) / 2), f" h = {marked:g}", ha="left", va="center")
    ax.set(xlabel="step h", ylabel="error of the slope")
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=2)
    return told(
        fig,
        "The error of a central difference against the step, both on logarithmic axes. Each curve is a valley: from "
        "the right it falls with the square of the step, and left of its lowest point it rises, ragged, as the step "
        "gets smaller. The valley of float64 lies near a step of 1e-5; that of float32 lies near 1e-2 and is several "
        f"powers of ten higher. A line marks the step {marked:g}, which the library uses.",
    )


def kink(x: np.ndarray, y: np.ndarray, cuts: Sequence[tuple[float, float, str]], function: Any) -> Figure:
    """Draw a function with a kink and secants of central differences: (centre, step, label) each."""
    fig, axes = figure(height=2.9, width=5.6)
    ax = axes[0, 0]
    ax.plot(x, y, color="black", lw=1.4)
    for (centre, step, label), ink in zip(cuts, INK, strict=False):
        ends = np.array([centre - step, centre + step])
        ax.plot(ends, function(ends), color=ink.edge, ls=ink.line, marker=ink.marker, ms=7, label=label)
    ax.set(xlabel="x", ylabel="max(x, 0)")
    ax.legend(frameon=False, loc="upper left")
    return told(
        fig,
        "The function max(x, 0): flat left of zero, rising right of it. A long secant starts left of the kink and ends "
        "right of it; its slope is neither 0 nor 1. A short one stays right of it and lies on the function.",
    )


# ------------------------------------------------------------------------------------------ 05: why pool


def field_of_view_by_pools(plain: Sequence[str], pooled: Sequence[str]) -> Figure:
    """Draw how many pixels one output sees, layer after layer ("conv 3", "pool 2") back to the image."""
    ends, nets = [], []
    for layers in (plain, pooled):
        sizes = [1]
        for layer in layers:
            kind, k = layer.split()
            sizes.append(sizes[-1] * int(k) if kind == "pool" else sizes[-1] + int(k) - 1)
        ends.append(sizes[-1])
        nets.append((layers, sizes))
    fig, axes = figure(1, 2, height=2.5, sharex=True, sharey=True)
    widest, most = max(ends), max(len(plain), len(pooled))
    for ax, (layers, sizes), title in zip(axes[0], nets, ("without a pool", "with a pool between"), strict=True):
        for k, n in enumerate(sizes):
            ink = INK[1] if k and layers[k - 1].startswith("pool") else INK[0]
            top = 1.7 * (len(sizes) - 1 - k)
            cells(ax, [[""] * n], {(0, i): ink for i in range(n)}, at=(top, (widest - n) / 2))
            if k:
                ax.text(widest + 0.4, top + 1.35, layers[k - 1], va="center", color=ink.edge)
        ax.set_aspect("auto")
        ax.set_title(f"{title}: {sizes[-1]} pixels")
        ax.text(widest / 2 + 0.8, 1.7 * (len(sizes) - 1) + 0.5, "one output", va="center")
        ax.set_xlim(-0.3, widest + 2.6)
        ax.set_ylim(-0.2, 1.7 * most + 1.1)
        ax.text(widest / 2, -0.3, "image", ha="center", va="top")
    return told(
        fig,
        "Two pyramids of rows of boxes. At the top of each stands one output, below it what it sees in the layer "
        "before, and so on down to the image; the hatched row is what a pool reads. "
        f"Through {', '.join(plain)} it sees {ends[0]} pixels, and through {', '.join(pooled)} {ends[1]}.",
    )
