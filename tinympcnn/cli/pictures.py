"""Pictures with Pillow, of the `images` extra: panels side by side, each under its title.

For the demo, the README and your own results; Pillow is imported only when a picture is drawn. Read next: ``demo.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.io.atomic import replacing

GAP = 6  # pixels between panels and around them
STRIP = 22  # rows of pixels for a line of text


def side_by_side(panels: Sequence[Any], titles: Sequence[str], path: str | PathLike[str], caption: str = "") -> None:
    """Write a PNG of `panels` in a row, a title above each, and a caption below.

    Parameters
    ----------
    panels : sequence of array, (H, W) or (H, W, 3)
        uint8 is shown as it is, booleans as black and white, floats from black (0) to white (1), other integers from
        black (their smallest) to white (their largest).
    titles : sequence of str
        One for each panel.
    path : path
        The PNG file to write, whole or not at all; one that exists is replaced.
    caption : str
        One line.

    Raises
    ------
    UsageError
        If Pillow is missing, or titles and panels do not match.
    DataError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     side_by_side([np.eye(40), np.eye(40) > 0], ["probability", "labels"], folder + "/both.png")
    """
    image, drawing, font = pillow()
    greys = [as_bytes(panel) for panel in panels]
    if not greys or len(greys) != len(titles):
        raise UsageError(f"{len(greys)} panel(s) and {len(titles)} title(s) do not make a picture; give one to each")
    height = STRIP + max(grey.shape[0] for grey in greys) + (STRIP if caption else GAP)
    width = GAP + sum(grey.shape[1] + GAP for grey in greys)
    picture = image.new("L" if all(grey.ndim == 2 for grey in greys) else "RGB", (width, height), "white")
    pen, left = drawing.Draw(picture), GAP
    for grey, title in zip(greys, titles, strict=True):
        pen.text((left, 4), title, fill="black", font=font)
        picture.paste(image.fromarray(grey), (left, STRIP))
        left += grey.shape[1] + GAP
    pen.text((GAP, height - STRIP + 4), caption, fill="black", font=font)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


def text(lines: Sequence[str], height: int, width: int = 160) -> np.ndarray:
    """Return lines of text, black on white, as a panel of `height` x `width`; what does not fit is cut off.

    Examples
    --------
    >>> text(["strip017", "miss"], 60).shape
    (60, 160)
    """
    image, drawing, font = pillow()
    panel = image.new("L", (width, height), "white")
    drawing.Draw(panel).multiline_text((4, 2), "\n".join(lines), fill="black", font=font)
    return np.asarray(panel)


def as_bytes(panel: Any) -> np.ndarray:
    """Return a panel as uint8, (H, W) or (H, W, 3); see `side_by_side`.

    Examples
    --------
    >>> as_bytes(np.array([[0.0, 0.5, 1.0]])).tolist(), as_bytes(np.array([[3, 7]])).tolist()
    ([[0, 128, 255]], [[0, 255]])
    """
    panel = np.asarray(panel)
    if panel.ndim == 3 and panel.shape[2] == 1:
        panel = panel[:, :, 0]
    if 0 in panel.shape or not (panel.ndim == 2 or (panel.ndim == 3 and panel.shape[2] == 3)):
        raise UsageError(f"a panel is an array (H, W) or (H, W, 3), not {panel.shape}")
    if panel.dtype == np.uint8:
        return panel
    if panel.dtype.kind in "iu":
        low, high = int(panel.min()), int(panel.max())
        panel = (panel.astype(np.float64) - low) / max(high - low, 1)
    return (np.clip(panel.astype(np.float64), 0, 1) * 255).round().astype(np.uint8)


def pillow() -> tuple[Any, Any, Any]:
    """Return Pillow's modules Image and ImageDraw, and a font, or say what to install."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise UsageError('drawing needs Pillow: pip install "tinympcnn[images]"') from None
    return Image, ImageDraw, ImageFont.load_default(13)
