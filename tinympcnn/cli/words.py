"""Words for the terminal: lines that end at words, curves of blocks, and durations."""

from __future__ import annotations

import math
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def say(text: str) -> None:
    """Print lines, those that are longer than the terminal is wide in several, divided between words."""
    width = shutil.get_terminal_size().columns
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        print(
            textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False),
            flush=True,
        )


def table(values: Mapping[str, object]) -> str:
    """Return names and values as lines.

    Examples
    --------
    >>> print(table({"misses": 2, "precision": 0.5, "model": "a.npz"}))
    misses     2
    precision  0.5
    model      a.npz
    """
    width = max(map(len, values))
    shown = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return "\n".join(f"{name:<{width}}  {text}" for name, text in shown.items())


def sparkline(values: Sequence[float], width: int = 12) -> str:
    """Return a curve of at most `width` blocks, or nothing where standard output cannot show blocks.

    Of more values than blocks, the last of each share is drawn.

    Examples
    --------
    >>> sparkline([4, 3, 2.5, 2.2, 2.1])
    '█▄▂▁▁'
    """
    try:
        BLOCKS.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return ""
    n = min(width, len(values))
    shown = [values[(i + 1) * len(values) // n - 1] for i in range(n)]
    finite = [value for value in shown if math.isfinite(value)] or [0.0]
    low, rise = min(finite), max(finite) - min(finite) or 1.0
    return "".join(
        BLOCKS[round((len(BLOCKS) - 1) * (value - low) / rise)] if math.isfinite(value) else " " for value in shown
    )


def duration(seconds: float) -> str:
    """Return a time in the unit that people would name.

    Examples
    --------
    >>> duration(3.26), duration(95), duration(7200)
    ('3 s', '1:35 min', '2:00 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    large, small = divmod(round(seconds), 60) if seconds < 3600 else divmod(round(seconds / 60), 60)
    return f"{large}:{small:02} {'min' if seconds < 3600 else 'h'}"
