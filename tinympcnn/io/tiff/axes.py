"""Which axis of a TIFF file is which, and when to ask instead of guessing.

The letters are Y for rows, X for columns and C for channels; every other letter counts pages. Three pages may be three
slices, or the three channels of one colour image: a file that can be read in two ways is refused, and the error names
the `--axes` that settle it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinympcnn.errors import DataError, UsageError

UNNAMED = "IQ"  # tifffile's letters for a sequence of pages and for an axis that nobody named


def long_axes(path: Path, series: Sequence[Any]) -> tuple[str, tuple[int, ...], int]:
    """Return the axes of a file that are longer than 1, with rows and columns in any case.

    These are tifffile's letters (S stands for the samples of a pixel), their sizes, and how many of them, from the
    first, lie across TIFF pages; the others lie within each. Several series, of one shape, make another page axis.
    """
    shape, axes = series[0].shape, series[0].axes  # tifffile's versions differ in which axes of 1 they drop
    named = [(axis, size) for axis, size in zip(axes, shape, strict=True) if size > 1 or axis in "YX"]
    page = series[0].keyframe
    inner = tuple(size for axis, size in zip(page.axes, page.shape, strict=True) if size > 1 or axis in "YX")
    if len(series) > 1:
        named.insert(0, ("I", len(series)))
    sizes = tuple(size for _, size in named)
    n_outer = len(sizes) - len(inner)
    if n_outer < 0 or sizes[n_outer:] != inner or math.prod(sizes) == 0 or not {"Y", "X"} <= set(axes):
        raise DataError(f"{path} describes itself as {axes} {shape} but holds {page.axes} {page.shape}")
    return "".join(axis for axis, _ in named), sizes, n_outer


def settle_axes(path: Path, asked: str | None, found: str, sizes: tuple[int, ...], kind: str) -> str:
    """Return the letters of all axes: those asked for where they fit, else those found where they are beyond doubt.

    The letters are distinct, and an axis that merely counts pages is called Z. Letters asked for that a file of fewer
    axes does not name are left out. The `kind` tells who wrote the description: "imagej", "ome", "shaped" (tifffile),
    "uniform" or "generic" (nobody).
    """
    if asked:
        letters = asked.upper().replace("S", "C")
        if not (len(set(letters)) == len(asked) and letters.isalpha() and {"Y", "X"} <= set(letters)):
            raise UsageError(f"axes {asked!r} cannot be; give distinct letters with Y and X, such as ZYX")
        if len(letters) > len(sizes):
            letters = "".join(letter for letter in letters if letter in found.replace("S", "C"))
        if len(letters) != len(sizes):
            raise UsageError(f"axes {asked!r} do not fit {path}, it has {len(sizes)} axes of sizes {sizes}")
        return letters
    choices = _readings(found, sizes, kind)
    if len(choices) > 1:
        either = " or ".join(f"--axes {choice}" for choice in choices)
        raise DataError(f"{path} is ambiguous: axes of sizes {sizes} can be read in two ways; give {either}")
    return choices[0]


def _readings(found: str, sizes: tuple[int, ...], kind: str) -> list[str]:
    """Return all plausible readings of a file's axes."""

    def at(index: int, letter: str) -> str:
        return _named(found[:index] + letter + found[index + 1 :])

    if "S" in found[: found.index("Y")]:  # planar: a colour image, or a stack that was taken for one
        return [at(found.index("S"), "I"), at(found.index("S"), "C")]
    if found == "CYX" and kind == "imagej":  # ImageJ's first guess for any stack
        return ["ZYX", "CYX"]
    if found[-3:-2] in tuple(UNNAMED) and 1 < sizes[-1] <= 4 < sizes[-2]:  # or rows of colour pixels
        return [_named(found), _named(found[:-3] + "YXC")]
    if sum(letter in UNNAMED for letter in found) > 1:
        return [_named(found), at(max(map(found.rfind, UNNAMED)), "C")]
    if "C" in found and "S" in found:
        return [at(found.index("C"), "I"), at(found.index("S"), "I")]
    return [_named(found)]


def _named(found: str) -> str:
    """Give every unnamed or repeated axis a free letter, and the samples of a pixel the letter C."""
    letters = ""
    for letter in found.replace("S", "C"):
        free = next(page for page in "ZTPVWRABDEFG" if page not in found + letters)
        letters += free if letter in UNNAMED or letter in letters else letter
    return letters
