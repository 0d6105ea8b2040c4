"""The style of all figures: legible in black and white, drawn without global state, shown with alternative text.

Colour never carries a meaning alone: every colour of `INK` has its own hatch and line style, and the colours differ in
brightness. Okabe and Ito chose these colours for colour-blind readers (Color Universal Design, 2008). Every figure
function starts with `figure`, draws with `cells` (numbers in boxes) and `picture` (images), and returns the figure with
words that say what it shows: `told`. The notebook passes the figure to `show`. `source` shows code of the library.
"""

from __future__ import annotations

import html
import inspect
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

DPI = 110
WIDTH = 7.2  # inches: what fits the text column of JupyterLab and of code-hosting pages

matplotlib.rcParams.update(
    {
        "font.size": 10,
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
        "axes.titlesize": 10,
        "axes.labelsize": 10,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "figure.constrained_layout.h_pad": 0.08,
        "hatch.linewidth": 0.6,
        "lines.linewidth": 1.8,
    }
)


@dataclass(frozen=True)
class Ink:
    """One way to mark things: a pale fill and a dark edge of one colour, a hatch, a line style and a marker."""

    fill: str
    edge: str
    hatch: str
    line: str
    marker: str


INK = (
    Ink("#cfe3f2", "#0072b2", "", "-", "o"),
    Ink("#f8dfa8", "#b87a00", "//", "--", "s"),
    Ink("#bfe5d8", "#00714f", "..", ":", "^"),
    Ink("#f0cfe0", "#a8507f", "xx", "-.", "D"),
    Ink("#e3e3e3", "#444444", "\\\\", (0, (5, 1, 1, 1)), "v"),
    Ink("#ffffff", "#000000", "++", (0, (1, 1)), "x"),
)
"""The inks of the first thing, the second, ...; for fragments, of the offsets (r, c) in row-major order."""

PLAIN = Ink("#ffffff", "#888888", "", "-", "")
"""The ink of a cell without a mark."""


def figure(
    rows: int = 1, columns: int = 1, height: float = 2.6, width: float = WIDTH, **options: Any
) -> tuple[Figure, np.ndarray]:
    """Make a figure with a grid of axes, always an array (rows, columns); sizes in inches."""
    fig = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(fig)
    return fig, fig.subplots(rows, columns, squeeze=False, **options)


def cells(
    ax: Axes,
    values: np.ndarray | Sequence[Sequence[Any]],
    inks: dict[tuple[int, int], Ink] | None = None,
    title: str = "",
    fmt: str = "{:g}",
    at: tuple[float, float] = (0, 0),
    size: float = 10,
) -> None:
    """Draw a matrix as boxes with numbers (or words) in them, row 0 at the top.

    Parameters
    ----------
    values : array, shape (rows, columns)
        Numbers, or strings that are drawn as they are.
    inks : dict of (row, column) to Ink
        How boxes are marked; the others are `PLAIN`.
    at : (row, column)
        Where the top left box stands, so that several matrices fit in one drawing.
    size : float
        Of the letters.
    """
    array = np.asarray(values)
    rows, columns = array.shape
    for q in range(rows):
        for p in range(columns):
            ink = (inks or {}).get((q, p), PLAIN)
            corner = (at[1] + p, at[0] + q)
            ax.add_patch(Rectangle(corner, 1, 1, facecolor=ink.fill, edgecolor=ink.edge, hatch=ink.hatch, lw=1.0))
            value = array[q, p]
            text = value if isinstance(value, str) else fmt.format(value).replace("-", "\N{MINUS SIGN}")
            back = {"facecolor": ink.fill, "edgecolor": "none", "pad": 1.2} if ink.hatch else None
            ax.text(corner[0] + 0.5, corner[1] + 0.5, text, ha="center", va="center", size=size, bbox=back)
    if not ax.patches or len(ax.patches) == rows * columns:  # the first matrix sets the view
        ax.set_xlim(at[1] - 0.1, at[1] + columns + 0.1)
        ax.set_ylim(at[0] + rows + 0.1, at[0] - 0.1)
    else:
        left, right = ax.get_xlim()
        bottom, top = ax.get_ylim()
        ax.set_xlim(min(left, at[1] - 0.1), max(right, at[1] + columns + 0.1))
        ax.set_ylim(max(bottom, at[0] + rows + 0.1), min(top, at[0] - 0.1))
    ax.set_aspect("equal")
    ax.axis("off")
    if title:
        ax.set_title(title)


def frame(ax: Axes, row: float, column: float, rows: float, columns: float, ink: Ink, lw: float = 3.0) -> None:
    """Draw a thick frame around some boxes or pixels: a window."""
    ax.add_patch(
        Rectangle((column, row), columns, rows, facecolor="none", edgecolor=ink.edge, lw=lw, ls=ink.line, zorder=3)
    )


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], ink: Ink = INK[5], lw: float = 1.4) -> None:
    """Draw an arrow between two points given as (row, column)."""
    ax.add_patch(
        FancyArrowPatch(
            start[::-1], end[::-1], arrowstyle="-|>", mutation_scale=12, color=ink.edge, lw=lw, ls=ink.line, zorder=4
        )
    )


def picture(ax: Axes, image: np.ndarray, title: str = "", low: float | None = None, high: float | None = None) -> Any:
    """Draw an image (H, W) in grey, or (H, W, 3) in colour, without axes; returns what a colour bar needs."""
    drawn = ax.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(True)
    if title:
        ax.set_title(title)
    return drawn


def png(fig: Figure, colours: int = 256) -> bytes:
    """Return the figure as a PNG with a palette: small, and the same bytes for the same figure."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    buffer.seek(0)
    packed, image = io.BytesIO(), Image.open(buffer).convert("RGB")
    quantized = image.quantize(colours, dither=Image.Dither.NONE)
    if colours < 256:  # or the inks' few pixels would share their places with the greys of the pictures
        quantized = _with_inks(image, quantized)
    quantized.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _with_inks(image: Image.Image, quantized: Image.Image, most: int = 16) -> Image.Image:
    """Return the image with a palette that also has black, white, and the colours, no greys, that fill most of it."""
    pixels = np.asarray(image).astype(np.int64)
    distinct, place, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    is_ink = distinct.max(axis=1) - distinct.min(axis=1) > 8
    inks = distinct[is_ink][np.argsort(-counts[is_ink], kind="stable")[:most]]
    used = np.reshape(quantized.getpalette(), (-1, 3))[: len(quantized.getcolors() or [])]
    palette = np.concatenate([[[0, 0, 0], [255, 255, 255]], inks, used])[:256]
    distance = (palette**2).sum(axis=1) - 2 * distinct @ palette.T  # but for the part that all colours share
    packed = Image.fromarray(distance.argmin(axis=1)[place].reshape(pixels.shape[:2]).astype(np.uint8))
    packed.putpalette(palette.astype(np.uint8).tobytes())
    return packed


def told(fig: Figure, words: str) -> Figure:
    """Return the figure with its alternative text: what is to be seen, in one to four sentences."""
    fig.set_label(" ".join(words.split()))
    return fig


def show(fig: Figure, alt: str | None = None, colours: int = 256) -> None:
    """Display a figure with its alternative text: for a screen reader, and folded below the figure for everyone.

    Parameters
    ----------
    alt : str, optional
        What is to be seen, in one to four sentences that do without the picture; by default what `told` was given.
    colours : int
        The number of colours of the palette; fewer make a smaller file. Pictures with noise need few.
    """
    words = " ".join((alt or fig.get_label()).split())
    data = {"image/png": png(fig, colours), "text/plain": f"Figure: {words}"}
    display(data, raw=True, metadata={"image/png": {"alt": words}})
    display(HTML(f"<details><summary>The figure in words</summary>{html.escape(words)}</details>"))


def source(*pieces: Any, fold: bool = False) -> None:
    """Show functions or classes of the library from their source, in colour; with `fold` behind a line to click on."""
    look = HtmlFormatter(noclasses=True, nobackground=True, prestyles="font-family: monospace; overflow-x: auto")
    for piece in pieces:
        path = Path(inspect.getsourcefile(piece) or "").resolve()
        package = next((parent for parent in path.parents if parent.name == "tinympcnn"), path.parent)
        where = f"{piece.__qualname__} in {path.relative_to(package.parent).as_posix()}"
        code = textwrap.dedent(inspect.getsource(piece))
        text = highlight(code, PythonLexer(), look)
        words = f"<details><summary>{where}</summary>{text}</details>" if fold else f"<p>{where}</p>{text}"
        display({"text/html": words, "text/plain": f"{where}\n\n{code}"}, raw=True)
