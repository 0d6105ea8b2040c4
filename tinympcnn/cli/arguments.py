"""The arguments that several commands share, and the types that read the value of an argument or refuse it."""

from __future__ import annotations

import argparse
import glob
import inspect
import math
import os
import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from tinympcnn.cli.models import Machine
from tinympcnn.engine.backend import BACKENDS
from tinympcnn.io.reading import Reading

Made = TypeVar("Made")
LARGEST_VALUE = 2**31  # the largest label value, positive or negative, that --map and --ignore take


class Files(argparse.Action):
    """Collect the names of files and folders; expand a wildcard that the shell left alone, as on Windows."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Append the names to those that the option was given before."""
        names = [*(getattr(namespace, self.dest) or [])]
        for name in values:
            names += [name] if os.path.exists(name) else sorted(glob.glob(name), key=_natural) or [name]
        setattr(namespace, self.dest, names)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


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
            wanted = "a whole number" if kind is int else "a number"
            limits = f"from {low} up" if high == math.inf else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"expected {'auto or ' * auto}{wanted} {limits}, not {text!r}")
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


def fields(group: argparse._ActionsContainer, source: type, **options: str | dict[str, Any]) -> None:
    """Add an option for each named field of a dataclass, which tells the type, the default and the help.

    The value of a name is the metavar of the option, or what `add_argument` takes besides.
    """
    hints, texts = get_type_hints(source), _texts(source)
    for name, given in options.items():
        more: dict[str, Any] = {"metavar": given} if isinstance(given, str) else dict(given)
        text, kinds = texts[name].replace("%", "%%"), (hints[name], *get_args(hints[name]))
        default = more.setdefault("default", getattr(source, name, None))
        if bool in kinds:
            more["action"] = "store_true"
        else:
            kind = next((kind for kind in (int, float, str) if kind in kinds), None)
            if "action" not in more:
                named = new_file if "." in more.get("metavar", "") else path  # a file, or a folder as well
                more.setdefault("type", named if kind is str and str is not kinds[0] else kind)
            text += f" The default is {default}." if default is not None and "default" not in text else ""
        group.add_argument(*more.pop("flags", [f"--{name.replace('_', '-')}"]), help=text, **more)


@cache
def _texts(source: type) -> dict[str, str]:
    """Return what the string below each field says, or the table in the docstring, without Python's marks."""
    table = re.findall(r"^(\w+) : .*\n((?:    .+\n?)+)", inspect.getdoc(source) or "", re.MULTILINE)
    below = re.findall(r'^    (\w+): .*\n    """((?:.|\n)*?)"""$', inspect.getsource(source), re.MULTILINE)
    return {name: " ".join(text.split()).replace("``", "").replace('"', "") for name, text in [*table, *below]}


def made(source: type[Made], options: argparse.Namespace, /, **given: Any) -> Made:
    """Return a dataclass with the options that are named as its fields, and with what is given besides."""
    named = {field: getattr(options, field) for field in source.__dataclass_fields__ if hasattr(options, field)}  # type: ignore[attr-defined]
    lists = {name: tuple(value) if isinstance(value, list) else value for name, value in named.items()}
    return source(**{**lists, **given})


FILES: dict[str, Any] = {"action": Files, "nargs": "+", "type": path, "metavar": "FILE"}
MODELS: dict[str, Any] = {**FILES, "metavar": "MODEL.npz"}
FACTOR: dict[str, Any] = {"type": ranged(int, 1), "metavar": "N"}
RADIUS: dict[str, Any] = {"type": ranged(float, 0), "metavar": "R"}
VALUES: dict[str, Any] = {"type": ranged(int, -LARGEST_VALUE, LARGEST_VALUE), "metavar": "VALUE"}
READING: dict[str, str | dict[str, Any]] = {
    "axes": {"type": axes},
    "threshold": "VALUE",
    "ignore": {"action": "append", "default": [], **VALUES},
    "downsample": FACTOR,
    "radius": RADIUS,
}
"""How the command line takes the fields of `Reading`."""
IMAGES = "The images: TIFF, PNG, JPEG or OME-Zarr, or folders that hold such images."


def output(group: argparse._ActionsContainer, metavar: str, help: str, **more: Any) -> None:
    """Add the option that names what is written: a file, or a folder."""
    kind = path if metavar.startswith("DIR") else new_file
    group.add_argument("-o", "--output", type=kind, metavar=metavar, help=help, **more)


def reading(group: argparse._ActionsContainer, *names: str) -> None:
    """Add these fields of `Reading`."""
    fields(group, Reading, **{name: READING[name] for name in names})


def images(group: argparse._ActionsContainer, *names: str, help: str = IMAGES) -> None:
    """Add the images that a command reads, their axes, and the other fields of `Reading` that are named."""
    group.add_argument("-i", "--images", help=help, required=True, **FILES)
    reading(group, "axes", *names)


def models(group: argparse._ActionsContainer, help: str) -> None:
    """Add the models whose answers are averaged, and test-time augmentation."""
    group.add_argument("-m", "--model", help=help, required=True, **MODELS)
    text = "Average over the eight flips and quarter turns of each image: test-time augmentation."
    group.add_argument("--turns", action="store_true", help=text)


def machine(group: argparse._ActionsContainer, tiles: bool = False, cluster: bool = False) -> None:
    """Add where to compute, on how many threads and, for pages that are computed in tiles, in which pieces."""
    if tiles:
        tile = {"type": ranged(int, 1, auto=True), "metavar": "auto|N"}
        fields(group, Machine, tile=tile, memory={"type": memory, "metavar": "SIZE"})
    text = "The library that computes. auto, the default, takes cupy if a GPU works, and numpy otherwise."
    group.add_argument("--backend", choices=BACKENDS, default="auto", dest="device", help=text)
    threads(group)
    if cluster:
        fields(group, Machine, cluster="local|ADDRESS")


def threads(group: argparse._ActionsContainer) -> None:
    """Add the number of threads, which `tinympcnn.cli.entry` sets."""
    text = "The number of worker threads. The default is the number of cores that are available."
    group.add_argument("--threads", type=int, metavar="T", help=text)


def force(group: argparse._ActionsContainer, help: str = "Replace results that exist.") -> None:
    """Add the permission to replace what an earlier run wrote."""
    group.add_argument("--force", action="store_true", help=f"{help} Inputs are never replaced.")
