"""How every picture of the command line is drawn: palette, style and files; and pictures of what is in an image.

Drawn with matplotlib, of the `plot` extra, which is imported only when a picture is drawn.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.cli.models import AnyPath
from tinympcnn.errors import UsageError, counted
from tinympcnn.io.atomic import replacing
from tinympcnn.io.picture import DRAWN

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
"""The palette of Okabe and Ito, which people with any colour vision can tell apart."""
GREY = "#999999"
INK = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE)
"""The order in which curves and segments take colours: neighbours differ for every kind of colour vision."""
FALSE, MISSED = VERMILLION, BLUE
LINES, MARKS = ("-", "--", "-.", ":"), "os^Dv<"

DPI = 110
PREVIEW = 2048  # rows and columns of a preview, at most
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # names of files may hold dollar signs
}


def side_by_side(panels: Sequence[Any], titles: Sequence[str], path: AnyPath, caption: str = "") -> None:
    """Write a PNG of `panels` in a row, each with a title above and its pixels counted along its sides.

    A panel is an array, shape (H, W) or (H, W, 3): uint8 is shown as it is, booleans as black and white, other integers
    from black (the smallest) to white (the largest). Floats are probabilities, from 0 to 1, and get a scale.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     side_by_side([np.eye(40), np.eye(40) > 0], ["probability", "labels"], folder + "/both.png")
    """
    arrays, n = [np.asarray(panel) for panel in panels], len(titles)
    if not arrays or len(arrays) != n:
        raise UsageError(f"{counted(len(arrays), 'panel')} cannot have {counted(n, 'title')}; give one to each")
    for array in arrays:
        if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
            raise UsageError(f"a panel is an array (H, W) or (H, W, 3), not {array.shape}")
    with drawing(path, figsize=(3.2 * len(arrays), 3.7)) as figure:
        for ax, array, title in zip(figure.subplots(1, len(arrays), squeeze=False)[0], arrays, titles, strict=True):
            shown = show(ax, array)
            ax.set_title(title)
            if array.dtype.kind == "f":
                figure.colorbar(shown, ax=ax, label="probability", shrink=0.6)
        figure.supxlabel(f"column (pixels)\n{caption}".strip(), fontsize=9)
        figure.supylabel("row (pixels)", fontsize=9)


def tinted(image: np.ndarray, segments: np.ndarray, strength: float = 0.55) -> np.ndarray:
    """Return an image (H, W) in grey whose segments, numbered from 1, have colours, neighbours different ones.

    Neighbours are segments that meet when all are grown until they fill the image. The result is uint8, (H, W, 3).
    """
    from scipy import ndimage

    numbers = segments
    if (segments == 0).any() and segments.any():
        nearest = ndimage.distance_transform_edt(segments == 0, return_distances=False, return_indices=True)
        numbers = segments[tuple(nearest)]
    meet = [(numbers[1:], numbers[:-1]), (numbers[:, 1:], numbers[:, :-1])]
    pairs = np.unique(np.concatenate([np.stack([a[a != b], b[a != b]], axis=1) for a, b in meet]), axis=0)
    inks = np.zeros(int(segments.max()) + 1, int)
    for i in range(1, len(inks)):
        near = {int(inks[b if a == i else a]) for a, b in pairs if i in (a, b)}
        free = [ink for ink in range(1, len(INK) + 1) if ink not in near]
        inks[i] = free[i % len(free)] if free else 1 + i % len(INK)
    colours = np.array([(0, 0, 0), *map(rgb, INK)])
    below = grey(image)[..., None] * np.ones(3)
    tint = (1 - strength) * below + strength * colours[inks[segments]]
    return (255 * np.where(segments[..., None] > 0, tint, 0.35 * below)).astype(np.uint8)


def outlines(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask (H, W) that have a neighbour outside of the mask."""
    from scipy import ndimage

    return np.asarray(mask & ~ndimage.binary_erosion(mask, border_value=1))


def draw_preview(
    path: AnyPath, image: np.ndarray, classes: np.ndarray, values: Sequence[int], truth: np.ndarray | None = None
) -> None:
    """Draw an image (H, W, C) with the outlines of its segments and, where the truth is known, the mistakes.

    The `classes` and the `truth`, (H, W), are indices into the label `values`; a truth of -1 does not count. Of
    images of more than `PREVIEW` rows or columns, every second pixel is drawn, or every third, and so on.
    """
    step = -(-max(classes.shape) // PREVIEW)
    image, classes = image[::step, ::step], classes[::step, ::step]
    truth = None if truth is None else truth[::step, ::step]
    inks = INK if truth is None else (YELLOW,)
    edges = ((k, outlines(classes == k)) for k in range(1, len(values)))
    marks = [(inks[k % len(inks)], mask, f"edge of {values[k]}") for k, mask in edges]
    if truth is not None:
        wrong, n = (classes != truth) & (truth >= 0), max(1, np.count_nonzero(truth >= 0))
        others = str(values[1]) if len(values) == 2 else "another"
        for ink, mask, true in ((FALSE, wrong & (truth == 0), values[0]), (MISSED, wrong & (truth > 0), others)):
            marks.append((ink, mask, f"wrong, truth {true}: {mask.sum() / n:.1%}"))
    shown = np.zeros((*classes.shape, 4))
    for ink, mask, _ in marks:
        shown[mask] = (*rgb(ink), 1)
    with picture_of(path, image) as (figure, ax):
        from matplotlib.patches import Patch

        ax.imshow(shown, interpolation="nearest")
        handles = [Patch(color=ink, label=words) for ink, _, words in marks]
        figure.legend(handles=handles, loc="lower center", ncols=3, frameon=False, fontsize=8)


def draw_objects(
    path: AnyPath,
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
        kinds = [("hit", BLUE, "o", objects[matched >= 0]), ("false alarm", VERMILLION, "s", objects[matched < 0])]
        kinds += [("miss", YELLOW, "D", np.delete(truth, matched[matched >= 0], axis=0))]
    with picture_of(path, image) as (figure, ax):
        size = (2 * 72 / DPI * (radius * enlarged(image) + 2)) ** 2
        for name, colour, mark, some in kinds:
            ax.scatter(
                some[:, 1], some[:, 0], s=size, marker=mark, facecolors="none", edgecolors=colour, linewidths=1.5,
                label=f"{name} ({len(some)})",
            )  # fmt: skip
        figure.legend(loc="lower center", ncols=3, frameon=False, markerscale=min(1.0, 7 / np.sqrt(size)))


@contextmanager
def picture_of(path: AnyPath, image: np.ndarray) -> Iterator[tuple[Any, Any]]:
    """Give a figure and its axes that show an image (H, W, C) pixel by pixel, with room for a legend below."""
    height, width = image.shape[:2]
    scale = enlarged(image)
    inches, room = (scale * width / DPI, scale * height / DPI), 0.4
    with drawing(path, figsize=(max(inches[0], 4.6), inches[1] + room), layout="none") as figure:
        ax = figure.add_axes((0, room / (inches[1] + room), 1, inches[1] / (inches[1] + room)))
        shown = grey(image if image.shape[2] == 3 else image.mean(axis=2, dtype=np.float64))
        ax.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        ax.set_axis_off()
        yield figure, ax


def enlarged(image: np.ndarray) -> int:
    """Return how many pixels of a picture a pixel of an image takes along each axis: several, if the image is small."""
    return int(max(1, 500 / max(image.shape[:2]) + 0.5))


def rgb(ink: str) -> tuple[float, float, float]:
    """Return red, green and blue of a colour such as #0072B2, from 0 to 1."""
    red, green, blue = bytes.fromhex(ink[1:])
    return red / 255, green / 255, blue / 255


def grey(image: np.ndarray) -> np.ndarray:
    """Return an image from 0 to 1: bytes as they are, others from their smallest value to their largest."""
    low, high = (0.0, 255.0) if image.dtype == np.uint8 else (float(image.min()), float(image.max()))
    return np.asarray((image.astype(np.float64) - low) / max(high - low, 1e-9))


def check_pictures(*paths: AnyPath | None) -> None:
    """Raise before the work begins if a picture that is asked for could not be drawn after it."""
    for path in (path for path in paths if path is not None):
        _figure_class()
        if Path(path).suffix.lower() != ".png":
            raise UsageError(f"{path}: pictures are written as PNG; give a name that ends in .png")


def printable(name: str) -> str:
    """Return a name in which bytes that are no text are written out."""
    return name.encode(errors="backslashreplace").decode()


def show(ax: Any, array: np.ndarray) -> Any:
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
def drawing(path: AnyPath, **options: Any) -> Iterator[Any]:
    """Give a figure that is made with these options, in our style, and write it as a PNG when all is drawn."""
    new_figure = _figure_class()
    import matplotlib

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # characters that no font has are drawn as boxes
        figure = new_figure(**options)
        yield figure
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None, "Comment": DRAWN})
