"""The figures of tutorials 04 to 07: gradients through convolution and pooling, training on patches, wasted work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from course.style import INK, arrow, cells, figure, frame, picture, told

__all__ = [
    "alignments",
    "best_offset",
    "blocks",
    "falling_losses",
    "full_correlation",
    "kernels_and_maps",
    "learning_curves",
    "operation_counts",
    "overlap",
    "patches_and_labels",
    "pooled_and_routed",
    "route_to_equals",
    "score_gradients",
    "segmentation",
    "stamps",
    "tanh_slopes",
    "timings",
]


# ------------------------------------------------------------------------------ 04: convolution and tanh


def stamps(W: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> Figure:
    """Draw, for each output pixel, the kernel times its dy laid on its window of the input, and their sum dx."""
    n = dy.size
    fig, axes = figure(1, n + 1, height=2.1)
    for k, ax in enumerate(axes[0, :n]):
        q, p = divmod(k, dy.shape[1])
        part = np.zeros(dx.shape)
        part[q : q + W.shape[0], p : p + W.shape[1]] = W * dy[q, p]
        window = {(q + i, p + j): INK[k % 5] for i, j in np.ndindex(W.shape)}
        cells(ax, part + 0.0, window, f"dy[{q}, {p}] = {dy[q, p]:g}".replace("-", "\N{MINUS SIGN}"))
    cells(axes[0, n], dx, title="their sum: dx")
    frame(axes[0, n], 0, 0, *dx.shape, INK[5], lw=2)
    return told(
        fig,
        "One matrix for each output pixel, and their sum. In each, the kernel, times one element of dy, lies on the "
        "window of that output. In the sum, a pixel that lies in several windows holds the sum of all of them.",
    )


def full_correlation(dy: np.ndarray, W: np.ndarray, dx: np.ndarray, at: tuple[int, int]) -> Figure:
    """Draw dy with its border of zeros, the turned kernel, and the pixel of dx that one window gives."""
    kh, kw = W.shape
    padded = np.pad(dy, ((kh - 1, kh - 1), (kw - 1, kw - 1)))
    fig, axes = figure(1, 3, height=2.6, width_ratios=(padded.shape[1], kw, dx.shape[1]))
    inner = {(q + kh - 1, p + kw - 1): INK[0] for q, p in np.ndindex(dy.shape)}
    cells(axes[0, 0], padded, inner, "dy, with a border of zeros")
    frame(axes[0, 0], *at, kh, kw, INK[5])
    cells(axes[0, 1], W[::-1, ::-1], {place: INK[1] for place in np.ndindex(W.shape)}, "W, turned")
    cells(axes[0, 2], dx, {at: INK[2]}, "dx")
    frame(axes[0, 2], *at, 1, 1, INK[5])
    for ax in axes[0, 1:]:
        ax.set_ylim(axes[0, 0].get_ylim())
    return told(
        fig,
        "Left, dy with a border of zeros, and a framed window of it. Middle, the turned kernel. Right, dx; its framed "
        "pixel is the sum of the products of that window with the turned kernel.",
    )


def falling_losses(curves: Mapping[str, Sequence[float]], xlabel: str = "update") -> Figure:
    """Draw one loss curve for each name."""
    fig, axes = figure(height=2.8)
    for ink, (name, values) in zip(INK, curves.items(), strict=False):
        axes[0, 0].plot(values, ls=ink.line, color=ink.edge, label=name)
    axes[0, 0].set(xlabel=xlabel, ylabel="loss", ylim=(0, None))
    axes[0, 0].legend(frameon=False)
    return told(
        fig,
        "Loss curves against updates. They start at the same value and all fall: "
        + ", ".join(f"{name} to {values[-1]:.3f}" for name, values in curves.items())
        + ".",
    )


def tanh_slopes(at: Sequence[float]) -> Figure:
    """Draw tanh, and its tangents at some places with the slope 1 - y**2 written to them."""
    fig, axes = figure(height=2.9)
    ax, x = axes[0, 0], np.linspace(-3, 3, 200)
    ax.plot(x, np.tanh(x), color=INK[0].edge)
    for ink, a in zip(INK[1:], at, strict=False):
        y, slope = np.tanh(a), 1 - np.tanh(a) ** 2
        near = np.array([a - 0.7, a + 0.7])
        ax.plot(near, y + slope * (near - a), color=ink.edge, ls=ink.line)
        ax.plot(a, y, ink.marker, color=ink.edge)
        words = f"y = {y:.2f}, slope {slope:.2f}".replace("-", "\N{MINUS SIGN}")
        ax.annotate(words, (a, y), (8, -16), textcoords="offset points", fontsize=9)
    ax.set(xlabel="x", ylabel="y = tanh(x)", ylim=(-1.25, 1.25))
    ax.grid(alpha=0.3)
    return told(
        fig,
        "The curve of tanh from minus 3 to 3 with tangents at some places: "
        + ", ".join(f"slope {1 - np.tanh(a) ** 2:.2f} where y is {np.tanh(a):.2f}" for a in at)
        + ". Where y is close to 1 or minus 1 the tangent is nearly flat.",
    )


# ---------------------------------------------------------------------------------------- 05: max-pooling


def pooled_and_routed(
    x: np.ndarray, y: np.ndarray, dy: np.ndarray, dx: np.ndarray, k: tuple[int, int], winners: np.ndarray
) -> Figure:
    """Draw a map with its windows and winners, the maxima, the gradient that comes in, and where it goes."""
    fig, axes = figure(1, 4, height=2.4, width_ratios=(x.shape[1], y.shape[1], dy.shape[1], dx.shape[1]))
    places, going = {}, {}
    for q, p in np.ndindex(y.shape):
        i, j = divmod(int(winners[q, p]), k[1])
        ink = INK[(q * y.shape[1] + p) % 5]
        places[q * k[0] + i, p * k[1] + j] = ink
        going[q, p] = ink
    cells(axes[0, 0], x, places, "x, winners marked")
    cells(axes[0, 1], y, going, "y")
    cells(axes[0, 2], dy, going, "dy")
    cells(axes[0, 3], dx, places, "dx")
    for ax in (axes[0, 0], axes[0, 3]):
        for q, p in np.ndindex(y.shape):
            frame(ax, q * k[0], p * k[1], *k, INK[5], lw=1.8)
    return told(
        fig,
        "Four matrices. The input with its pooling windows framed and the winner of each marked. The maxima. The "
        "gradient that comes in, in the marks of its windows. The gradient of the input: zero, but for the incoming "
        "numbers at the places of the winners.",
    )


def route_to_equals(image: np.ndarray, wrong: np.ndarray, right: np.ndarray) -> Figure:
    """Draw a clipped image, and the gradients that two ways of routing send to it."""
    fig, axes = figure(1, 3, height=2.9)
    high = max(wrong.max(), right.max())
    picture(axes[0, 0], image, "image, clipped at white")
    for ax, dx, name in ((axes[0, 1], right, "to the first winner"), (axes[0, 2], wrong, "to all that are equal")):
        picture(ax, -dx, f"dx, {name}:\nsum {dx.sum():.0f}", -high, 0)
    axes[0, 1].set_xlabel("black: has received", fontsize=9)
    axes[0, 2].set_xlabel("black: has received", fontsize=9)
    return told(
        fig,
        "A clipped image in which large areas are equally white. Next to it the gradient that reaches its pixels: one "
        "dot in every window if the first winner takes it. On the right, routed to all that are equal, the white "
        "areas receive the gradient everywhere, several times over.",
    )


# ------------------------------------------------------------------------------------------- 06: patches


def score_gradients(p: np.ndarray, target: int) -> Figure:
    """Draw the probabilities of one pixel, its one-hot label, and the gradient p - onehot as bars."""
    onehot = np.eye(len(p))[target]
    fig, axes = figure(1, 3, height=2.3, sharey=True)
    panels = (
        (p, "probabilities p", 0),
        (onehot, "label, one-hot", 4),
        (p - onehot, "gradient p \N{MINUS SIGN} onehot", 1),
    )
    for ax, (values, title, ink) in zip(axes[0], panels, strict=True):
        ax.bar(range(len(p)), values, color=INK[ink].fill, edgecolor=INK[ink].edge, hatch=INK[ink].hatch)
        for k, value in enumerate(values):
            text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
            ax.annotate(text, (k, value), (0, 3 if value >= 0 else -12), textcoords="offset points", ha="center")
        ax.axhline(0, color="black", lw=0.8)
        ax.set(title=title, xticks=range(len(p)), xlabel="class", ylim=(-1.05, 1.25))
    numbers = "; ".join(", ".join(f"{value:.2f}" for value in values) for values, _, _ in panels)
    return told(fig, f"Bar charts over the classes: probabilities, one-hot label, and their difference: {numbers}.")


def patches_and_labels(
    image: np.ndarray, places: Sequence[tuple[int, int]], patches: np.ndarray, labels: Sequence[int], before: int
) -> Figure:
    """Draw an image with windows framed, and beside it each patch with its centre pixel and its label."""
    n, size = len(places), patches.shape[1]
    fig, axes = figure(1, n + 1, height=2.6, width_ratios=(1.9, *[1] * n))
    picture(axes[0, 0], image, "windows and their centres")
    names = ("membrane", "interior")
    for ax, ink, (r, c), patch, label in zip(axes[0, 1:], INK, places, patches, labels, strict=False):
        frame(axes[0, 0], r - before - 0.5, c - before - 0.5, size, size, ink, lw=2)
        axes[0, 0].plot(c, r, "o", ms=5, mfc=ink.fill, mec=ink.edge)
        picture(ax, patch, f"label {label}:\n{names[label]}")
        frame(ax, -0.5, -0.5, size, size, ink, lw=4)
        ax.plot(before, before, "o", ms=7, mfc="none", mec="white", mew=3)
        ax.plot(before, before, "o", ms=7, mfc="none", mec="black", mew=1.2)
    return told(
        fig,
        "A synthetic micrograph with dark membranes around bright cells, with some windows framed in it. Beside it "
        "those windows in the same frames, with a circle at the centre of each and the label of that pixel: "
        + ", ".join(names[label] for label in labels)
        + ".",
    )


def learning_curves(
    curves: Mapping[str, Sequence[Mapping[str, float]]], guess: float, log_time: bool = False
) -> Figure:
    """Draw the error on held-out pixels against the windows seen and against seconds, one curve for each name."""
    fig, axes = figure(1, 2, height=2.9, sharey=True)
    for ax, key, label in zip(axes[0], ("windows", "seconds"), ("windows seen", "seconds of training"), strict=True):
        for ink, (name, curve) in zip(INK, curves.items(), strict=False):
            ax.plot([point[key] for point in curve], [100 * point["error"] for point in curve], ls=ink.line,
                    marker=ink.marker, ms=4, color=ink.edge, label=name)  # fmt: skip
        ax.axhline(100 * guess, color="black", lw=1, ls=INK[5].line)
        ax.annotate("always answering \N{LEFT DOUBLE QUOTATION MARK}interior\N{RIGHT DOUBLE QUOTATION MARK}",
                    (0.98, 100 * guess), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                    ha="right", fontsize=8)  # fmt: skip
        ax.set(xlabel=label, xscale="log" if log_time else "linear")
        ax.grid(alpha=0.3)
    axes[0, 0].set(ylabel="error, % of held-out pixels", ylim=(0, None))
    axes[0, 0].legend(frameon=False, loc="lower left")
    return told(
        fig,
        "The error on held-out pixels, against the number of windows seen and against seconds. A line marks the error "
        "of the constant answer. "
        + " ".join(
            f"The curve of {name} goes from {curve[0]['error']:.0%} to {curve[-1]['error']:.0%}."
            for name, curve in curves.items()
        ),
    )


def kernels_and_maps(before: np.ndarray, after: np.ndarray, maps: np.ndarray) -> Figure:
    """Draw the kernels (kh, kw, n) of a first layer before and after training, and the map (H, W, n) of each."""
    n = after.shape[2]
    fig, axes = figure(3, n, height=3.1, gridspec_kw={"height_ratios": (1, 1, 1)})
    high = max(abs(before).max(), abs(after).max())
    for k in range(n):
        picture(axes[0, k], before[:, :, k], low=-high, high=high)
        picture(axes[1, k], after[:, :, k], low=-high, high=high)
        picture(axes[2, k], maps[:, :, k])
    for row, name in enumerate(("first\nweights", "learnt", "maps")):
        axes[row, 0].set_ylabel(name)
    fig.supxlabel("weights: white is positive, black is negative", fontsize=9)
    return told(
        fig,
        f"The {n} kernels of the first layer as small pictures, positive weights white and negative ones black: above, "
        "before training, noise; in the middle, after training, some with a bright or dark stroke or edge. Below, the "
        "map of each on the held-out image: membranes stand out bright in some and dark in others.",
    )


def segmentation(image: np.ndarray, labels: np.ndarray, probability: np.ndarray, error: float) -> Figure:
    """Draw an image, its labels, the probability of the interior, and where the more probable class is wrong."""
    fig, axes = figure(1, 4, height=2.3)
    wrong = (probability > 0.5) != labels
    for ax, values, title in zip(
        axes[0],
        (image, labels, probability, ~wrong),
        ("image", "truth", "probability of interior", f"wrong (black): {error:.1%}"),
        strict=True,
    ):
        picture(ax, values, title)
    return told(
        fig,
        "Four pictures of the same part of an image: grey values, truth, the probability of the interior, which shows "
        f"the membranes somewhat blurred, and the wrong pixels, {error:.0%}, most of them along membranes.",
    )


def best_offset(errors: Sequence[float], right: int) -> Figure:
    """Draw the error of a dense map against the offset from window corner to labelled pixel."""
    fig, axes = figure(height=2.7)
    ax = axes[0, 0]
    ax.plot(100 * np.asarray(errors), color=INK[0].edge, marker="o", ms=3)
    ax.plot(right, 100 * errors[right], INK[1].marker, ms=9, color=INK[1].edge)
    ax.annotate(f"vh // 2 = {right}", (right, 100 * errors[right]), (14, -4), textcoords="offset points")
    ax.annotate("the window's corner", (0, 100 * errors[0]), (8, -16), textcoords="offset points")
    ax.set(xlabel="rows and columns from the window's corner to the pixel it is said to classify", ylabel="error, %")
    ax.set_ylim(0, 100 * max(errors) * 1.2)
    ax.grid(alpha=0.3)
    return told(
        fig,
        "The error against the assumed offset from window corner to labelled pixel. It is high at the corner, falls "
        f"steeply towards offset {right}, the centre, where it is smallest, and rises steeply behind it.",
    )


# --------------------------------------------------------------------------------------------- 07: waste


def overlap(size: int, window: int, starts: Sequence[tuple[int, int]]) -> Figure:
    """Draw a few overlapping windows on a map of size x size, with the number of them that hold each pixel."""
    counts = np.zeros((size, size), int)
    for q, p in starts:
        counts[q : q + window, p : p + window] += 1
    fig, axes = figure(height=2.8, width=3.4)
    cells(axes[0, 0], counts, {}, "windows that hold each pixel", size=9)
    for ink, (q, p) in zip(INK, starts, strict=False):
        inset = 0.1 + 0.06 * (2 * q + p)
        frame(axes[0, 0], q + inset, p + inset, window - 2 * inset, window - 2 * inset, ink, lw=2)
    return told(
        fig,
        f"A map of {size} by {size} pixels with {len(starts)} overlapping windows of {window} by {window}, and in each "
        f"pixel how many of them hold it: one in the corners, up to {counts.max()} in the middle.",
    )


def operation_counts(names: Sequence[str], patch: Sequence[float], image: Sequence[float]) -> Figure:
    """Draw the multiplications and additions of each layer, window by window and shared, on a log scale."""
    fig, axes = figure(height=3.0)
    ax, x = axes[0, 0], np.arange(len(names))
    for shift, values, ink, label in ((-0.2, patch, INK[1], "window by window"), (0.2, image, INK[0], "shared")):
        ax.bar(x + shift, values, 0.38, color=ink.fill, edgecolor=ink.edge, hatch=ink.hatch, label=label)
    for k, (a, b) in enumerate(zip(patch, image, strict=True)):
        ax.annotate(f"{a / b:.0f} x", (k - 0.2, a), (0, 3), textcoords="offset points", ha="center", fontsize=9)
    ax.set(yscale="log", xticks=x, ylabel="operations")
    ax.set_xticks(x, names)
    ax.set_ylim(min(image) / 3, max(patch) * 60)
    ax.legend(frameon=False, ncols=2, loc="upper right")
    return told(
        fig,
        "Bars on a logarithmic scale for each layer, window by window and shared. They differ by these factors: "
        + ", ".join(f"{name} {a / b:.0f}" for name, a, b in zip(names, patch, image, strict=True))
        + ".",
    )


def alignments(x: np.ndarray, window: int, pooled: Sequence[np.ndarray]) -> Figure:
    """Draw one row of numbers under two neighbouring windows: the pooling grid of each, and its maxima."""
    n = len(x)
    fig, axes = figure(height=2.9)
    ax = axes[0, 0]
    for start, y in enumerate(pooled):
        top = 3.2 * start
        held = {(0, p): INK[start] for p in range(start, start + window)}
        cells(ax, x[None], held, at=(top, 0))
        for p, value in enumerate(y):
            left = start + 2 * p
            frame(ax, top, left, 1, 2, INK[5], lw=2.4)
            cells(ax, np.array([[value]]), {(0, 0): INK[start]}, at=(top + 1.5, left + 0.5))
            arrow(ax, (top + 1.0, left + 1.0), (top + 1.5, left + 1.0))
        ax.text(-0.3, top + 0.5, f"window {start}", ha="right", va="center")
        ax.text(-0.3, top + 2.0, "pooled", ha="right", va="center")
    ax.set_xlim(-2.4, n + 0.1)
    return told(
        fig,
        "One row of numbers, drawn once for each of two windows, with the pairs that each pools framed and their "
        "maxima below. Window 1 starts one pixel after window 0, and the pairs of the two windows interlock.",
    )


def timings(names: Sequence[str], per_second: Sequence[float]) -> Figure:
    """Draw windows per second as bars on a log scale."""
    fig, axes = figure(height=2.2)
    ax, y = axes[0, 0], np.arange(len(names))[::-1]
    for at, ink, value in zip(y, INK, per_second, strict=False):
        ax.barh(at, value, 0.6, color=ink.fill, edgecolor=ink.edge, hatch=ink.hatch)
        ax.annotate(f"{value:,.0f}", (value, at), (5, 0), textcoords="offset points", va="center")
    ax.set(xscale="log", xlabel="windows per second")
    ax.set_yticks(y, names)
    ax.set_xlim(min(per_second) / 4, max(per_second) * 6)
    return told(
        fig,
        "Windows per second as bars on a logarithmic scale: "
        + ", ".join(f"{name} {value:,.0f}" for name, value in zip(names, per_second, strict=True))
        + ".",
    )


def blocks(image: np.ndarray, labels: np.ndarray, dense: np.ndarray, blocky: np.ndarray) -> Figure:
    """Draw an image, its labels, and two segmentations: with an answer for every pixel, and for one in 16."""
    fig, axes = figure(1, 4, height=2.2)
    titles = ("image", "truth", "every pixel", "one pixel in 16,\nrepeated")
    for ax, values, title in zip(axes[0], (image, labels, dense, blocky), titles, strict=True):
        picture(ax, values, title)
    return told(
        fig,
        "An image, its truth, the segmentation with an answer for every pixel, whose membranes are smooth, and the one "
        "with an answer for one pixel in 16, made of squares, in which thin membranes break up into steps.",
    )
