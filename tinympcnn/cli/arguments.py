"""The arguments that several commands share, and the types that read the value of an argument or refuse it."""

from __future__ import annotations

import argparse
import difflib
import glob
import math
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tinympcnn.engine.backend import BACKENDS
from tinympcnn.errors import UsageError
from tinympcnn.io.reading import Reading

LARGEST_VALUE = 2**31  # the largest label value, positive or negative, that --map and --ignore take


class Parser(argparse.ArgumentParser):
    """A parser that takes whole names of options only, and says in one sentence what it cannot take."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self._negative_number_matcher = re.compile(r"-\.?\d")  # so that --map -1:0 has a value

    def error(self, message: str) -> NoReturn:
        """Raise what the command line prints."""
        if re.search("expected .*argument", message):
            message += "; write a value that begins with a minus as --option=VALUE, and such a file as ./NAME"
        raise UsageError(f"{message} (see '{self.prog} --help')")

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Say that no argument takes these words, and which option the first of them may have meant."""
        word = words[0].split("=")[0]
        near = difflib.get_close_matches(word, re.findall(r"--[a-z-]+", self.format_usage()), 1)
        hint = f"; did you mean {near[0]}?" if near else f"; did you mean ./{word}?" if os.path.exists(word) else ""
        self.error(f"unrecognized arguments: {' '.join(words)}{hint}")


class Files(argparse.Action):
    """Collect the names of files and folders; expand a wildcard that the shell left alone, as on Windows."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs="+", type=path, **options)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Append the names to those that the option was given before."""
        names = getattr(namespace, self.dest) or []
        for name in values:
            names = [*names, *([name] if os.path.exists(name) else sorted(glob.glob(name), key=_natural) or [name])]
        setattr(namespace, self.dest, names)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def images(parser: argparse._ActionsContainer) -> None:
    """Add the images that a command reads."""
    parser.add_argument(
        "-i", "--images", action=Files, required=True, metavar="FILE",
        help="The images: TIFF, PNG or JPEG files, or folders that hold such files.",
    )  # fmt: skip


def labels(parser: argparse._ActionsContainer, help: str, required: bool = True) -> None:
    """Add the label images that a command reads."""
    parser.add_argument("-l", "--labels", action=Files, required=required, metavar="FILE", help=help)


def models(parser: argparse._ActionsContainer, help: str) -> None:
    """Add the models whose probabilities are averaged, and test-time augmentation."""
    parser.add_argument("-m", "--model", action=Files, required=True, metavar="MODEL.npz", help=help)
    parser.add_argument(
        "--turns", action="store_true",
        help="Average the probabilities over the eight flips and quarter turns of each image: test-time augmentation.",
    )  # fmt: skip


def reading(parser: argparse._ActionsContainer, *, labels: bool = True) -> None:
    """Add how images, and label images if there are any, are read; see `reading_of`."""
    parser.add_argument(
        "--axes",
        type=axes,
        help="The axes of the images, such as ZYX or CYX. The default is to take the axes that each file declares.",
    )
    if labels:
        parser.add_argument(
            "--threshold", type=float, metavar="VALUE",
            help="Replace label pixels above this value by 255 and all others by 0. The default is to keep the values.",
        )  # fmt: skip
        parser.add_argument(
            "--ignore", type=ranged(int, -LARGEST_VALUE, LARGEST_VALUE), action="append", default=[], metavar="VALUE",
            help="Leave out the pixels that have this label value. Repeat the option for several values. "
            "The value -1 is always left out, but train refuses it unless --ignore=-1 names it.",
        )  # fmt: skip


def reading_of(options: argparse.Namespace) -> Reading:
    """Return how the options say that files are read."""
    return Reading(
        axes=options.axes,
        threshold=getattr(options, "threshold", None),
        ignore=tuple(getattr(options, "ignore", ())),
        downsample=getattr(options, "downsample", None) or 1,
        radius=getattr(options, "radius", None),
    )


def machine(parser: argparse._ActionsContainer) -> None:
    """Add where to compute, and on how many threads."""
    parser.add_argument(
        "--backend", choices=BACKENDS, default="auto",
        help="The library that computes. auto, the default, takes cupy if a GPU works, and numpy otherwise.",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=int, metavar="T",
        help="The number of worker threads. The default is the number of cores that are available.",
    )  # fmt: skip


def tiles(parser: argparse._ActionsContainer) -> None:
    """Add how much is computed at a time."""
    parser.add_argument(
        "--tile", type=ranged(int, 1, auto=True), metavar="auto|N",
        help="Compute tiles of NxN pixels. The result does not depend on it. auto, the default, fits --memory.",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=memory, metavar="SIZE",
        help="Keep to this much memory, such as 2G or 500M. The default is half of what is free.",
    )  # fmt: skip


def force(parser: argparse._ActionsContainer, help: str = "Replace results that exist.") -> None:
    """Add the permission to replace what an earlier run wrote."""
    parser.add_argument("--force", action="store_true", help=f"{help} Inputs are never replaced.")


def comparison(parser: argparse._ActionsContainer, help: str) -> None:
    """Add predictions and the label images to compare them with, and how the label images are read and changed."""
    parser.add_argument("-p", "--predictions", action=Files, required=True, metavar="FILE", help=help)
    labels(parser, "The label images, one for each prediction.")
    reading(parser)
    parser.add_argument(
        "--map", type=mapping, metavar="A:B,...",
        help="Replace label value A by B, and so on. The default is to change no value.",
    )  # fmt: skip
    parser.add_argument("--invert", action="store_true", help="Exchange the two values of the label images.")
    parser.add_argument(
        "--downsample", type=ranged(int, 1), default=1, metavar="N",
        help="Shrink the label images by this factor, as for training the model. The default is 1.",
    )  # fmt: skip


def path(text: str) -> str:
    """Take any name of a file or folder but an empty one, which would stand for the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a file or folder, not an empty string")
    return text


def new_file(text: str) -> str:
    """Take the name of a file to write, which no folder and no empty string is."""
    if os.path.basename(text) in ("", ".", ".."):
        raise argparse.ArgumentTypeError(f"expected the name of a file to write, not {text!r}")
    return text


def axes(text: str) -> str:
    """Take one letter for each axis."""
    if not re.fullmatch("[A-Za-z]+", text):
        raise argparse.ArgumentTypeError(f"expected one letter for each axis, such as ZYX, not {text!r}")
    return text


def ranged(
    kind: type[int] | type[float], low: float, high: float = math.inf, auto: bool = False
) -> Callable[[str], Any]:
    """Return a type that takes a number from `low` to `high` and, if it may be chosen by the program, auto as None.

    Examples
    --------
    >>> ranged(float, 0, 1)("0.5"), ranged(int, 1, auto=True)("auto")
    (0.5, None)
    """

    def read(text: str) -> float | None:
        if auto and text == "auto":
            return None
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not (low <= number <= high and number < math.inf):
            wanted = (
                f"a {'whole ' if kind is int else ''}number from {low} {'up' if high == math.inf else f'to {high}'}"
            )
            raise argparse.ArgumentTypeError(f"expected {'auto or ' if auto else ''}{wanted}, not {text!r}")
        return number

    return read


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


def memory(text: str) -> int:
    """Read a number of bytes such as 500M, 2G or 2GB."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)([KMG]?)B?", text, re.IGNORECASE)
    size = int(float(found[1]) * 2 ** {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()]) if found else 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"expected a size such as 500M or 2G, not {text!r}")
    return size


def size(text: str) -> tuple[int, int]:
    """Read rows and columns such as 512x512."""
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text, re.IGNORECASE)
    if not found or not all(int(part) for part in found.groups()):
        raise argparse.ArgumentTypeError(f"expected HxW such as 512x512, not {text!r}")
    return int(found[1]), int(found[2])
