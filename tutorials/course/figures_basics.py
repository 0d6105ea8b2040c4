"""Figures of tutorials 00 to 03."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from course.style import Ink, cells, figure

__all__ = ["matrix"]


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
