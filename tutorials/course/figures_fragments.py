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

from course.style import INK, PLAIN, WIDTH, Ink, figure, picture, told

__all__ = [
    "fragment_gradients",
    "fragment_index_map",
    "grey_pictures",
    "growing_view",
    "interleaving",
    "mirrored_border",
    "padded_image",
    "patches_summed",
    "real_fragments",
    "shifted_additions",
    "split_backward",
    "split_forward",
    "windows_of_a_pool",
]

BLACK, ACCENT = "#000000", "#d55e00"
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
        _box(ax, at, fmt.format(values[at]).replace("-", "\N{MINUS SIGN}"), ink, size)


def _frame(ax: Axes, at: tuple[float, float], size: tuple[float, float], **style: Any) -> None:
    """Draw a frame around size[0] x size[1] boxes from the box `at` on."""
    ax.add_patch(Rectangle((at[1], at[0]), size[1], size[0], fill=False, **{"edgecolor": BLACK, "lw": 2.2, **style}))


def _note(ax: Axes, at: tuple[float, float], text: str, color: str = BLACK) -> None:
    """Write words on white, centred at (row, column)."""
    back = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    ax.text(at[1], at[0], text, ha="center", va="center", size=9, color=color, bbox=back)


def _between(start: tuple[Axes, float, float], end: tuple[Axes, float, float], color: str = BLACK) -> None:
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
    words = """Left: a map of 7 by 7 with the pooling window at row 2, column 3 shaded, and the frames of the four
        windows of 4 by 4 that hold it: those at (0,1), (0,3), (2,1) and (2,3). Right: the 4 by 4
        outputs with their offsets, row and column modulo 2; the same four outputs are framed, and all
        of them have offset (0,1)."""
    return told(fig, words)


def real_fragments(image: np.ndarray, dense: np.ndarray, storage: np.ndarray) -> Figure:
    """Show an image, a map of a trained net pooled at every position, and the k*k fragments that it falls into."""
    fig = figure(height=2.55)[0]
    fig.clear()
    left, middle, right = fig.subfigures(1, 3)
    for part, shown, title in ((left, image, "an image"), (middle, dense, "a map, pooled everywhere")):
        picture(part.subplots(), shown, title)
    grid = right.subplots(2, 2)
    low, high = dense.min(), dense.max()
    for i, (ax, fragment) in enumerate(zip(grid.ravel(), storage, strict=True)):
        shades = ((fragment - low) / (high - low))[..., None] ** 0.8
        tint = np.array([int(INK[i].fill[j : j + 2], 16) for j in (1, 3, 5)]) / 255
        picture(ax, shades * (0.4 * tint + 0.6 * tint**3), f"offset ({i // 2}, {i % 2})")
        ax.title.set_fontsize(8)
    words = """An image of membranes; one map of a trained net behind its first pool, taken at every position; and the
        four fragments of this map, each with a tint of its own. Every fragment is the same picture at half the size,
        made of other pixels of the map."""
    return told(fig, words)


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
    words = """The same map of 5 by 5 four times, once for each offset. Offset (0,0) covers rows and columns 0 to 3,
        offset (1,1) rows and columns 1 to 4. Thick frames are the pooling windows, circles their
        maxima; below each map stands its fragment of 2 by 2. The 1.0 at (1,1) is circled for offsets
        (0,0) and (1,1), the 1.1 at (3,3) for all four."""
    return told(fig, words)


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
    words = """A grid of 4 by 4 pixels of the dense map, each with the number of its fragment and that one's two
        offsets: row 0 holds fragments 0, 4, 1, 5, row 1 holds 8, 12, 9, 13, row 2 holds 2, 6, 3, 7, row
        3 holds 10, 14, 11, 15. Shading repeats with the first offset, in every second row and column."""
    return told(fig, words)


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
    words = """Four fragments of 2 by 2, each with a shading of its own, and the dense map of 4 by 4 they form:
        fragment 0 takes even rows and even columns, fragment 1 even rows and odd columns, fragment 2
        odd rows and even columns, fragment 3 odd rows and odd columns."""
    return told(fig, words)


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
        ax.set_xlabel(f"{size} x {size}", labelpad=4)
    words = """Five squares that shrink from left to right: one output pixel depends on 2 by 2 values before the last
        pool, on 3 by 3 before the second convolution, on 6 by 6 before the first pool and on 8 by 8
        pixels of the image."""
    return told(fig, words)


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
    words = """Left: an image of 10 by 13, padded to 11 by 15; the padding is hatched. The window of the last kept
        output, (2,5), ends with the image's last row and column. The dashed window of output (0,6)
        reaches into the padding. Right: 4 by 8 outputs; the upper left 3 by 6 are kept, the others are
        marked cut."""
    return told(fig, words)


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
    words = """An image of membranes with a mirrored border around it, divided by a solid frame. A dashed frame of 24
        by 24 is the window of pixel (3,38): it reaches over the upper and the right edge into the
        mirrored border. The dot in its middle is the pixel."""
    return told(fig, words)


# ----------------------------------------------------------------------------------------------- 10 going back


def split_backward(deltas: np.ndarray, routed: Sequence[np.ndarray], total: np.ndarray, follow: Place) -> Figure:
    """Draw the paper's Figure 2, bottom: deltas of the fragments, where each goes, their sum; one place followed.

    `deltas` is (4, h, w), `routed` four maps (H, W), `total` their sum.
    """
    fig, axes = figure(3, 4, height=5.6, height_ratios=(1.4, 1.75, 2.0))
    for ax in axes[2]:
        ax.remove()
    below = fig.add_subplot(axes[2, 0].get_subplotspec().get_gridspec()[2, :])
    _board(below, total.shape, "")
    for at in np.ndindex(total.shape):
        _box(below, at, f"{total[at]:g}" if total[at] else "", bold=at == follow)
    _frame(below, follow, (1, 1), edgecolor=ACCENT)
    below.text(-0.9, len(total) / 2, "the sum of the four:\ndelta of the\nsource fragment", ha="right", va="center")
    won = [f"{part[follow]:g}" for part in routed]
    below.text(
        len(total[0]) + 0.9, follow[0] + 0.5, f"{' + '.join(won)} = {total[follow]:g}", color=ACCENT, va="center"
    )
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
            _between((top, q + 1, p + 0.85), (middle, follow[0], follow[1] + 0.97), ACCENT)  # between the numbers
    words = """Top: the deltas of the four fragments, 1 to 4, 5 to 8, 9 to 12 and 13 to 16. Middle: where each fragment
        sends them in the 5 by 5 source map, empty elsewhere. Bottom: the sum of the four maps. Arrows
        follow the lower right delta of every fragment, 4, 8, 12 and 16, to place (3,3). In the sum 40
        stands there, and beside it 4 + 8 + 12 + 16 = 40."""
    return told(fig, words)


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
    words = """Four maps of 5 by 5, one for each tap of the pooling window. A frame shows the slice of 4 by 4 that is
        added to, shifted by the tap; in it stand the deltas of the windows that this tap has won,
        shaded by the offset of their fragment. Place (3,3) holds 16, 12, 8 and 4."""
    return told(fig, words)


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
    words = """Five matrices of 2 by 2 in a row: the gradients of the weights from fragments 0 to 3, plus signs between
        them, an equals sign, and their sum dW with 2.90 in its upper left corner."""
    return told(fig, words)


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
    words = """A curve on a logarithmic axis: the distance between the sum of the first n patch gradients and the
        image's gradient. It stays above 0.1 while patches are added, and falls to rounding error with
        the very last one."""
    return told(fig, words)
