"""The figures of tutorials 08 to 10: fragments, fields of view, and gradients on their way back.

Offset number i of a pool is marked with ``INK[i]``: a tint, a hatch and its name in words, never colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, ConnectionPatch, Rectangle

from course.style import INK, PLAIN, WIDTH, Ink, figure, picture

__all__ = [
    "fragment_gradients",
    "fragment_index_map",
    "grey_pictures",
    "growing_view",
    "interleaving",
    "mirrored_border",
    "padded_image",
    "patches_summed",
    "shifted_additions",
    "split_backward",
    "split_forward",
    "windows_of_a_pool",
]

BLACK, ACCENT = "#000000", "#b2182b"
Place = tuple[int, int]


# ------------------------------------------------------------------------------------------- small pieces


def _board(ax: Axes, shape: Place, title: str = "", numbered: bool = True) -> None:
    """Prepare `ax` for a map of rows x columns boxes, row 0 on top, with row and column numbers at its edges."""
    ax.set(xlim=(-0.08, shape[1] + 0.08), ylim=(shape[0] + 0.08, -0.08), aspect="equal")
    ax.set_xticks(np.arange(shape[1]) + 0.5, [str(i) for i in range(shape[1])] if numbered else [""] * shape[1])
    ax.set_yticks(np.arange(shape[0]) + 0.5, [str(i) for i in range(shape[0])] if numbered else [""] * shape[0])
    ax.tick_params(length=0, labelsize=8, labelcolor="#444444", pad=1)
    ax.xaxis.tick_top()
    for spine in ax.spines.values():
        spine.set_visible(False)
    if title:
        ax.set_title(title)


def _box(ax: Axes, at: Place, text: str = "", ink: Ink = PLAIN, size: float = 9, bold: bool = False) -> None:
    """Draw one box of a map: plain, or marked with an ink, with a text in it."""
    ax.add_patch(Rectangle((at[1], at[0]), 1, 1, facecolor=ink.fill, edgecolor=_pale(ink), hatch=ink.hatch, lw=0))
    ax.add_patch(Rectangle((at[1], at[0]), 1, 1, fill=False, edgecolor="#888888", lw=0.8))
    if text:
        back = {"facecolor": ink.fill, "edgecolor": "none", "pad": 1.0}
        ax.text(at[1] + 0.5, at[0] + 0.5, text, ha="center", va="center", size=size, bbox=back,
                weight="bold" if bold else "normal")  # fmt: skip


def _pale(ink: Ink) -> str:
    """Return a hatch colour that leaves numbers legible: half way between the ink's fill and its edge."""
    fill, edge = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (ink.fill, ink.edge))
    return "#" + "".join(f"{int(n):02x}" for n in (fill + edge) / 2)


def _numbers(ax: Axes, values: np.ndarray, ink: Ink = PLAIN, fmt: str = "{:g}", size: float = 9) -> None:
    """Draw a map with its values in the boxes."""
    for at in np.ndindex(values.shape):
        _box(ax, at, fmt.format(values[at]), ink, size)


def _frame(ax: Axes, at: tuple[float, float], size: tuple[float, float], **style: Any) -> None:
    """Draw a frame around size[0] x size[1] boxes from the box `at` on."""
    ax.add_patch(Rectangle((at[1], at[0]), size[1], size[0], fill=False, **{"edgecolor": BLACK, "lw": 2.2, **style}))


def _note(ax: Axes, at: tuple[float, float], text: str, color: str = BLACK) -> None:
    """Write words on white, centred at (row, column)."""
    back = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    ax.text(at[1], at[0], text, ha="center", va="center", size=9, color=color, bbox=back)


def _arrow(start: tuple[Axes, float, float], end: tuple[Axes, float, float], color: str = BLACK) -> None:
    """Draw an arrow from (axes, row, column) to (axes, row, column), under the numbers of the latter axes."""
    line = ConnectionPatch(start[:0:-1], end[:0:-1], "data", "data", axesA=start[0], axesB=end[0], clip_on=False,
                           arrowstyle="-|>", mutation_scale=11, lw=1.4, color=color, zorder=2)  # fmt: skip
    line.set_in_layout(False)  # or the layout makes room for it
    end[0].add_artist(line)


def grey_pictures(images: Sequence[np.ndarray], titles: Sequence[str], low: Any = None, high: Any = None) -> Figure:
    """Show grey pictures side by side; on one scale if `low` and `high` are given."""
    rows, columns = images[0].shape
    fig, axes = figure(1, len(images), height=WIDTH / len(images) * rows / columns + 0.35)
    for ax, image, title in zip(axes[0], images, titles, strict=True):
        picture(ax, image, title, low, high)
    return fig


# ------------------------------------------------------------------------------------------------ 08 split


def windows_of_a_pool(size: int, window: int, k: int, at: Place) -> Figure:
    """Show which windows of a patch net the pooling window at `at` belongs to, and the offset of every output."""
    n = size - window + 1
    fig, ((left, right),) = figure(1, 2, height=4.0, width_ratios=(size, n + 1.5))
    ink = INK[at[0] % k * k + at[1] % k]
    _board(left, (size, size), f"the pooling window at {at}, and the\nwindows of the net that hold it")
    for place in np.ndindex(size, size):
        inside = all(a <= p < a + k for a, p in zip(at, place, strict=True))
        _box(left, place, ink=ink if inside else PLAIN)
    mine = [
        o for o in np.ndindex(n, n) if all(a - u in range(0, window - k + 1, k) for a, u in zip(at, o, strict=True))
    ]
    for i, out in enumerate(mine):
        inset = 0.07 * i  # so that no frame hides another
        side = window - 2 * inset
        _frame(left, (out[0] + inset, out[1] + inset), (side, side), ls=INK[i].line, edgecolor=INK[i].edge)
    _board(right, (n, n), f"the outputs and their offsets\n(row mod {k}, column mod {k})")
    for out in np.ndindex(n, n):
        _box(right, out, f"{out[0] % k},{out[1] % k}", INK[out[0] % k * k + out[1] % k])
        if out in mine:
            i = mine.index(out)
            _frame(right, (out[0] + 0.05, out[1] + 0.05), (0.9, 0.9), ls=INK[i].line, edgecolor=INK[i].edge)
    return fig


def split_forward(x: np.ndarray, storage: Sequence[np.ndarray], places: Sequence[np.ndarray], k: int = 2) -> Figure:
    """Draw the paper's Figure 2, top: the grid of windows at every offset, its winners, and its fragment.

    `x` is (H, W), the fragments of `storage` are (h, w), `places` the rows and columns of their winners, (h, w, 2).
    """
    fig, axes = figure(2, k * k, height=3.5, height_ratios=(len(x) + 0.5, len(storage[0]) + 0.8))
    for i, (top, below) in enumerate(zip(*axes, strict=True)):
        r, c = divmod(i, k)
        h, w = storage[i].shape
        _board(top, x.shape, f"offset ({r}, {c})")
        for at in np.ndindex(x.shape):
            covered = r <= at[0] < r + k * h and c <= at[1] < c + k * w
            _box(top, at, f"{x[at]:.1f}", INK[i] if covered else PLAIN, size=7.5)
        for q, p in np.ndindex(h, w):
            _frame(top, (r + k * q, c + k * p), (k, k), lw=1.8)
            row, column = places[i][q, p]
            top.add_patch(Circle((column + 0.5, row + 0.5), 0.45, fill=False, edgecolor=ACCENT, lw=1.5))
        _board(below, (h, w), f"fragment {i}", numbered=False)
        _numbers(below, storage[i], INK[i], "{:.1f}", size=8.5)
    return fig


def fragment_index_map(pools: Sequence[int]) -> Figure:
    """Write into every pixel of one block of the dense map the fragment it comes from, and its offsets."""
    side = int(np.prod(pools))
    fig, ((ax,),) = figure(height=4.6, width=4.6)
    _board(ax, (side, side), "where each fragment lies in the dense map")
    for at in np.ndindex(side, side):
        index, offsets, (row, column) = 0, [], at
        for k in pools:
            index = index * k * k + row % k * k + column % k
            offsets.append(f"({row % k},{column % k})")
            row, column = row // k, column // k
        first = INK[at[0] % pools[0] * pools[0] + at[1] % pools[0]]
        _box(ax, at, f"{index}\n{' '.join(offsets)}", first, size=9)
    return fig


# ------------------------------------------------------------------------------- 09 merge, pad, field of view


def interleaving(storage: np.ndarray, dense: np.ndarray, k: int = 2) -> Figure:
    """Draw the k*k fragments (k*k, h, w) on the left, and on the right the dense map they interleave into."""
    h, w = storage.shape[1:]
    fig, ((*small, large),) = figure(1, k * k + 1, height=2.7, width_ratios=[1] * (k * k) + [2.0])
    for i, ax in enumerate(small):
        _board(ax, (h, w), f"fragment {i}\n({i // k}, {i % k})", numbered=False)
        _numbers(ax, storage[i], INK[i], "{:.1f}")
    _board(large, dense.shape, "dense map")
    for at in np.ndindex(dense.shape):
        _box(large, at, f"{dense[at]:.1f}", INK[at[0] % k * k + at[1] % k])
    return fig


def growing_view(sizes: Sequence[int], names: Sequence[str]) -> Figure:
    """Draw the field of view of one output pixel in every storage, from the image on the left to the output.

    `sizes` are its side lengths, from the image to the output; `names` what they are sizes of.
    """
    fig, (axes,) = figure(1, len(sizes), height=1.9)
    for ax, size, name in zip(axes, sizes, names, strict=True):
        _board(ax, (max(sizes), max(sizes)), name, numbered=False)
        ax.title.set_fontsize(8.5)
        start = (max(sizes) - size) / 2
        for at in np.ndindex(size, size):
            ax.add_patch(
                Rectangle((start + at[1], start + at[0]), 1, 1, facecolor=INK[0].fill, edgecolor="#888888", lw=0.5)
            )
        _frame(ax, (start, start), (size, size), lw=1.8)
        ax.set_xlabel(f"{size} x {size}", labelpad=0)
    return fig


def padded_image(size: Place, view: int, step: int) -> Figure:
    """Draw an image padded at bottom and right, the last window that is kept and one that is cropped."""
    rows, columns = (n - view + 1 for n in size)
    padded_rows, padded_columns = (-(-n // step) * step for n in (rows, columns))
    padded = (padded_rows + view - 1, padded_columns + view - 1)
    fig, ((left, right),) = figure(1, 2, height=3.7, width_ratios=(padded[1], padded_columns + 2))
    _board(left, padded, f"image {size[0]} x {size[1]}, padded to {padded[0]} x {padded[1]}")
    for at in np.ndindex(padded):
        _box(left, at, ink=PLAIN if at[0] < size[0] and at[1] < size[1] else INK[1])
    last, beyond = (rows - 1, columns - 1), (0, columns)
    _frame(left, last, (view, view))
    _note(left, (last[0] + view / 2, last[1] + view / 2), f"window of\n{last}:\nkept")
    if padded_columns > columns:
        _frame(left, beyond, (view, view), ls="--", edgecolor=ACCENT)
        _note(left, (view / 2 - 0.5, columns + view / 2), f"window of\n{beyond}:\ncropped", ACCENT)
    _board(
        right, (padded_rows, padded_columns), f"{padded_rows} x {padded_columns} outputs,\n{rows} x {columns} are kept"
    )
    for at in np.ndindex(padded_rows, padded_columns):
        kept = at[0] < rows and at[1] < columns
        _box(right, at, "" if kept else "cut", INK[0] if kept else INK[1], size=8)
    _frame(right, last, (1, 1))
    if padded_columns > columns:
        _frame(right, beyond, (1, 1), ls="--", edgecolor=ACCENT)
    return fig


def mirrored_border(extended: np.ndarray, before: Place, size: Place, view: Place, pixel: Place) -> Figure:
    """Show an image with its mirrored border, and the window around one pixel of it."""
    fig, ((ax,),) = figure(height=4.4, width=4.8)
    picture(ax, extended, f"solid frame: the image; dashed: the window of pixel {pixel}")
    corner = (before[0] - 0.5, before[1] - 0.5)
    for color, lw in (("#ffffff", 4.5), (BLACK, 1.8)):
        _frame(ax, corner, size, edgecolor=color, lw=lw)
    start = (pixel[0] - 0.5, pixel[1] - 0.5)
    _frame(ax, start, view, edgecolor="#ffffff", lw=4.5)
    _frame(ax, start, view, edgecolor=ACCENT, ls="--")
    ax.plot(pixel[1] + view[1] // 2, pixel[0] + view[0] // 2, "o", mfc=ACCENT, mec="white", ms=9)
    return fig


# ----------------------------------------------------------------------------------------------- 10 going back


def split_backward(deltas: np.ndarray, routed: Sequence[np.ndarray], total: np.ndarray, follow: Place) -> Figure:
    """Draw the paper's Figure 2, bottom: deltas of the fragments, where each goes, their sum; one place followed.

    `deltas` is (4, h, w), `routed` four maps (H, W), `total` their sum.
    """
    fig, axes = figure(3, 4, height=6.0, height_ratios=(1.4, 1.75, 2.3))
    for ax in axes[2]:
        ax.remove()
    below = fig.add_subplot(axes[2, 0].get_subplotspec().get_gridspec()[2, :])
    _board(below, total.shape, "")
    for at in np.ndindex(total.shape):
        _box(below, at, f"{total[at]:g}" if total[at] else "", bold=at == follow)
    _frame(below, follow, (1, 1), edgecolor=ACCENT)
    below.text(-0.9, len(total) / 2, "the sum of the four:\ndelta of the\nsource fragment", ha="right", va="center")
    for i, (top, middle) in enumerate(zip(*axes[:2], strict=True)):
        _board(top, deltas.shape[1:], f"delta of fragment {i}\noffset ({i // 2}, {i % 2})", numbered=False)
        _numbers(top, deltas[i], INK[i])
        _board(middle, routed[i].shape)
        for at in np.ndindex(routed[i].shape):
            value = routed[i][at]
            _box(middle, at, f"{value:g}" if value else "", INK[i] if value else PLAIN, size=8)
        _frame(middle, follow, (1, 1), edgecolor=ACCENT)
        for q, p in np.argwhere(deltas[i] == routed[i][follow]):
            _frame(top, (q, p), (1, 1), edgecolor=ACCENT)
            _arrow((top, q + 1, p + 0.5), (middle, follow[0], follow[1] + 0.5), ACCENT)
        aim = follow[1] + 0.2 * (i + 1)
        _arrow((middle, follow[0] + 1, follow[1] + 0.5), (below, follow[0], aim), ACCENT)
    for ax in (*axes[1], below):  # arrows go under the numbers at the edges
        ax.set_axisbelow(False)
        for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    return fig


def shifted_additions(delta: np.ndarray, winners: np.ndarray, size: Place, k: int = 2) -> Figure:
    """Show the k*k additions of the fast backward pass: what tap (i, j) has won, and the slice it is added to."""
    fig, (axes,) = figure(1, k * k, height=2.4)
    for code, ax in enumerate(axes):
        i, j = divmod(code, k)
        _board(ax, size, f"tap ({i}, {j}): dx[{i}:{i + len(delta)}, {j}:{j + delta.shape[1]}]")
        ax.title.set_fontsize(9)
        for at in np.ndindex(size):
            q, p = at[0] - i, at[1] - j
            won = 0 <= q < len(delta) and 0 <= p < delta.shape[1] and winners[q, p] == code
            _box(ax, at, f"{delta[q, p]:g}" if won else "", INK[q % k * k + p % k] if won else PLAIN, size=8)
        _frame(ax, (i, j), delta.shape)  # type: ignore[arg-type]
    return fig


def fragment_gradients(parts: Sequence[np.ndarray], total: np.ndarray) -> Figure:
    """Draw the paper's Figure 3: one gradient of the weights for each fragment, and their sum, (kh, kw) each."""
    fig, (axes,) = figure(1, len(parts) + 1, height=1.7)
    for i, (ax, part) in enumerate(zip(axes, [*parts, total], strict=True)):
        last = i == len(parts)
        _board(ax, part.shape, "dW" if last else f"fragment {i}", numbered=False)
        _numbers(ax, part, PLAIN if last else INK[i], "{:.2f}", size=9)
        if last:
            _frame(ax, (0, 0), part.shape)  # type: ignore[arg-type]
        else:
            sign = "=" if i == len(parts) - 1 else "+"
            ax.text(part.shape[1] + 0.3, len(part) / 2, sign, ha="center", va="center", size=16, clip_on=False)
    return fig


def patches_summed(distances: Sequence[float]) -> Figure:
    """Plot how far the sum over the first n patches is from the gradient of the whole image."""
    fig, ((ax,),) = figure(height=2.8)
    n = np.arange(1, len(distances) + 1)
    ax.semilogy(n, distances, color=BLACK, marker=".", ms=4, lw=1)
    ax.plot(n[-1], distances[-1], "o", ms=10, mfc="none", mec=ACCENT, mew=2)
    ax.annotate(f"all {n[-1]} patches: rounding error", (n[-1], distances[-1]), xytext=(-16, 2), ha="right",
                textcoords="offset points", color=ACCENT)  # fmt: skip
    ax.set(xlabel="patches added so far", ylabel="relative distance to\nthe image's gradient")
    ax.grid(True, lw=0.4, color="#dddddd")
    return fig
