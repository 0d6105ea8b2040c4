"""The figures of tutorial 19: splitting without a maximum, convolutions with gaps, and U-Nets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from course.figures_fragments import _between, _board, _box, _frame, _numbers
from course.style import INK, PLAIN, Ink, figure, told

__all__ = ["gaps", "skip_both_ways", "split_only", "u_shape"]


def u_shape(rows: Sequence[int], up: Sequence[int], last: Sequence[int]) -> Figure:
    """Draw a U-Net as a U: down the left side by pools, up the right side by repeating pixels, skips across.

    `rows` are the sizes on the way down, behind the convolutions of a level; `up` and `last` the sizes of each level
    on the way up, before and behind the convolution there, from the top.
    """
    fig, ((ax,),) = figure(height=2.9)
    depth = len(rows)
    for level, size in enumerate(rows):
        y = -1.25 * level
        _map(ax, (1.0 * level, y), size / max(rows), f"{size}")
        if level + 1 < depth:
            _arrow(ax, (level + 0.25, y - 0.42), (level + 0.8, y - 0.85), "-")
            ax.text(level + 0.1, y - 0.75, "pool", ha="right", va="center", size=9)
            right = 2 * depth - level - 0.4
            _map(ax, (right, y), up[level] / max(rows), f"{up[level]}", INK[0])
            _map(ax, (right + 1.0, y), last[level] / max(rows), f"{last[level]}")
            _arrow(ax, (level + 0.62, y), (right - 0.45, y), "--")
            ax.text((level + right) / 2, y + 0.1, f"skip: crop {size} to {up[level]}", ha="center", va="bottom", size=9)
            _arrow(ax, (right + 0.3, y), (right + 0.7, y), "-")
            start = right - 0.6 if level + 2 < depth else depth - 0.45
            _arrow(ax, (start, y - 0.95), (right - 0.1, y - 0.42), "-")
            ax.text(right + 0.1, y - 0.75, "repeat", ha="left", va="center", size=9)
    ax.set(xlim=(-0.6, 2 * depth + 1.3), ylim=(-1.25 * depth + 0.6, 0.65), aspect="equal")
    ax.axis("off")
    sizes = ", ".join(map(str, up[::-1]))
    words = f"""A net drawn as a U. On the left maps of {rows[0]} rows are pooled twice and convolved, down to
        {rows[-1]} rows at the bottom. On the right they come up again by repeating pixels, to {sizes} rows. Dashed
        arrows across the U are the skips: they crop the maps of the left side and lay them beside those of the right
        side."""
    return told(fig, words)


def _map(ax: Axes, centre: tuple[float, float], share: float, text: str, ink: Ink = PLAIN) -> None:
    """Draw maps of a size as a square with the number of rows in the middle of it."""
    side = 0.34 + 0.5 * share
    corner = (centre[0] - side / 2, centre[1] - side / 2)
    for shift in (0.08, 0.04, 0.0):  # several maps lie behind one another
        back = Rectangle((corner[0] + shift, corner[1] + shift), side, side, fc=ink.fill, ec="#555555", lw=0.9)
        ax.add_patch(back)
    ax.text(*centre, text, ha="center", va="center", size=9)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], line: str) -> None:
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-", color="black", lw=1.3, ls=line, zorder=1))
    ax.add_patch(FancyArrowPatch(_near(start, end), end, arrowstyle="-|>", mutation_scale=11, color="black", lw=1.3))


def _near(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Return a point of the line close before its end, so that a head can be drawn solid on a dashed line."""
    along = np.subtract(end, start)
    back = np.subtract(end, 0.02 * along / np.hypot(*along))
    return float(back[0]), float(back[1])


def split_only(x: np.ndarray, k: int = 2) -> Figure:
    """Draw a map (H, W) with its pixels marked by offset, and the k*k fragments that they go to."""
    fig, ((large, *small),) = figure(1, k * k + 1, height=2.2, width_ratios=[2.2] + [1] * (k * k))
    _board(large, x.shape, "x")
    for at in np.ndindex(x.shape):
        _box(large, at, f"{x[at]:g}", INK[at[0] % k * k + at[1] % k])
    for i, ax in enumerate(small):
        r, c = divmod(i, k)
        _board(ax, (len(x) // k, x.shape[1] // k), f"fragment {i}\n({r}, {c})", numbered=False)
        _numbers(ax, x[r::k, c::k], INK[i])
    words = f"""Left: a map of {x.shape[0]} by {x.shape[1]} numbers, shaded by row and column modulo {k}. Right: {k * k}
        fragments, one for each shading, with every {k}nd row and column of the map. Each number stands in one
        fragment."""
    return told(fig, words)


def gaps(rates: Sequence[int], n: int) -> Figure:
    """Draw which of `n` pixels in a row the middle output sees through kernels of 3 with gaps, layer by layer."""
    fig, ((ax,),) = figure(height=0.62 * (len(rates) + 1) + 0.3)
    centre = n // 2
    needed = {centre}
    depth = len(rates)
    for level in range(depth, -1, -1):  # from the output back to the image
        y = depth - level
        for p in range(n):
            ink = INK[0] if p in needed else PLAIN
            ax.add_patch(Rectangle((p, y), 0.9, 0.42, facecolor=ink.fill, edgecolor="#777777", lw=0.8))
        name = "the image" if level == 0 else f"behind rate {rates[level - 1]}"
        ax.text(-0.4, y + 0.21, name, ha="right", va="center", size=9)
        if level:
            rate = rates[level - 1]
            for p in sorted(needed):
                for tap in (-rate, 0, rate):
                    bold = p == centre
                    ax.plot([p + 0.45, p + tap + 0.45], [y + 0.42, y + 1], color="black" if bold else "#bbbbbb",
                            lw=1.3 if bold else 0.6, zorder=2 if bold else 0)  # fmt: skip
            needed = {p + tap for p in needed for tap in (-rate, 0, rate)}
    ax.set(xlim=(-3.6, n + 0.1), ylim=(depth + 0.55, -0.1))
    ax.axis("off")
    ends = max(needed) - min(needed) + 1
    words = f"""Rows of pixels, the output on top and the image below. The middle output of each layer takes three
        pixels of the layer under it, {", ".join(map(str, rates[::-1]))} pixels apart from top to bottom. Through all
        layers it sees {ends} pixels of the image in a row, without a gap."""
    return told(fig, words)


def skip_both_ways(x: np.ndarray, y: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> Figure:
    """Draw a skip: x (H, W) with its two output maps, and the two gradients of these with dx; the crop is framed."""
    fig, axes = figure(2, 4, height=2.7, width_ratios=[2.2, 1.6, 1.6, 2.2])
    grid = axes[0, 0].get_subplotspec().get_gridspec()
    for ax in axes[:, [0, 3]].ravel():
        ax.remove()
    ends = []
    for column, name, values in ((0, "forward: x", x), (3, "backward: dx", dx)):
        ends.append(fig.add_subplot(grid[:, column]))
        _board(ends[-1], values.shape, name, numbered=False)
        _numbers(ends[-1], values, PLAIN, size=9)
        _frame(ends[-1], ((len(x) - len(y)) // 2,) * 2, y.shape[:2], edgecolor=INK[0].edge)  # type: ignore[arg-type]
    for i, part in enumerate(("crop", "inner")):
        for ax, name, values in ((axes[i, 1], "y", y), (axes[i, 2], "dy", dy)):
            _board(ax, values.shape[:2], f"{name}: {part}", numbered=False)
            _numbers(ax, values[..., i], INK[i], size=9)
        row = len(x) * (0.3 + 0.4 * i)
        _between((ends[0], row, x.shape[1] + 0.05), (axes[i, 1], 0.5, -0.05), INK[i].edge)
        _between((axes[i, 2], 0.5, y.shape[1] + 0.05), (ends[1], row, -0.05), INK[i].edge)
    words = """Forward: two arrows go from a map x of 3 by 3, whose middle pixel is framed: to the cropped pixel, 5, and
        to 45, the sum of all pixels that the inner convolution makes. Backward: two arrows go to dx, from the gradient
        2 of the crop and from the gradient 3 of the inner map. In dx stands 3 at every pixel and 3 + 2 = 5 in the
        middle."""
    return told(fig, words)
