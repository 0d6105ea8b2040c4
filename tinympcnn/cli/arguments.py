"""Arguments that several commands share, and the values that arguments take: read, or refused in one sentence.

Read next: ``cli.py``.
"""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from tinympcnn.engine.backend import BACKENDS
from tinympcnn.errors import UsageError

LARGEST_VALUE = 2**31
"""Of a label, either way."""


class Parser(argparse.ArgumentParser):
    """A parser that takes whole names of options only, and says in one sentence what it cannot take."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise what the command line prints."""
        raise UsageError(f"{message} (see '{self.prog} --help')")

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Say that no argument takes these words, and which option the first of them may have meant."""
        near = difflib.get_close_matches(words[0].split("=")[0], re.findall(r"--[a-z-]+", self.format_usage()), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        self.error(f"unrecognized arguments: {' '.join(words)}{hint}")


def machine(parser: argparse.ArgumentParser) -> None:
    """Add where to compute, and on how many threads."""
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="where to compute (auto)")
    parser.add_argument("--threads", type=int, metavar="T", help="worker threads (the cores available)")


def reading(parser: argparse.ArgumentParser) -> None:
    """Add how images and labels are read."""
    parser.add_argument("--axes", help="axes of the images, such as ZYX or CYX, whatever the files say themselves")
    parser.add_argument("--threshold", type=float, help="labels above it are 255, the others 0")


def relabelling(parser: argparse.ArgumentParser) -> None:
    """Add what becomes of label images before predictions are compared with them."""
    parser.add_argument("--map", type=mapping, metavar="A:B,...", help="take label value A for B, and so on")
    parser.add_argument("--invert", action="store_true", help="exchange the two values of the labels")
    parser.add_argument(
        "--downsample", type=int, default=1, metavar="N", help="shrink labels by N, as the model was trained (1)"
    )


def mapping(text: str) -> dict[int, int]:
    """Read what to take label values for, such as 0:1,255:0."""
    try:
        pairs = [part.split(":") for part in text.split(",")]
        values = {int(old): int(new) for old, new in pairs}
        if max(map(abs, [*values, *values.values()])) > LARGEST_VALUE:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected pairs of label values such as 0:1,255:0, not {text!r}") from None
    if len(values) < len(pairs):
        raise argparse.ArgumentTypeError(f"{text!r} says twice what becomes of a value")
    return values


def probability(text: str) -> float:
    """Read a number from 0 to 1."""
    if not 0 <= (number := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, not {text!r}")
    return number


def pixels(text: str) -> float | None:
    """Read a number of pixels, from 0 up, or auto, which is None."""
    if text == "auto":
        return None
    if not 0 <= (number := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"expected auto or a number of pixels from 0 up, not {text!r}")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def tile(text: str) -> int | None:
    """Read a number of pixels, or auto, which is None."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected auto or a positive number of pixels, not {text!r}")
    return int(text)


def seed(text: str) -> int:
    """Read a whole number from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 up, not {text!r}")
    return int(text)


def memory(text: str) -> int:
    """Read a number of bytes such as 500M, 2G or 2GB."""
    units = {"K": 10, "M": 20, "G": 30}
    short = text.upper().removesuffix("B")
    number, unit = (short[:-1], units[short[-1]]) if short[-1:] in units else (short, 0)
    try:
        size = int(float(number) * 2**unit)
    except (ValueError, OverflowError):
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"expected a size such as 500M or 2G, not {text!r}")
    return size


def size(text: str) -> tuple[int, int]:
    """Read rows and columns such as 512x512."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and 0 < int(part) < 10**6 for part in parts):
        raise argparse.ArgumentTypeError(f"expected HxW such as 512x512, not {text!r}")
    return int(parts[0]), int(parts[1])
