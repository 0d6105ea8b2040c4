"""Finding and opening image files: the functions that the command line and most scripts call.

The first bytes of a file decide what the file is, never its name.

>>> import tempfile, tifffile
>>> folder = tempfile.TemporaryDirectory()
>>> stack = Path(folder.name, "stack.tif")
>>> tifffile.imwrite(stack, np.zeros((3, 20, 30), np.uint8), photometric="minisblack")
>>> open_image(stack).describe()
'Z=3, Y=20, X=30, uint8'
>>> pages, names = read_images([folder.name])
>>> pages[2].shape, names[2]
((20, 30, 1), 'stack[02]')
>>> folder.cleanup()
"""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tinympcnn.errors import DataError, Notice, counted
from tinympcnn.io.atomic import AnyPath
from tinympcnn.io.image_file import ImageFile, reading
from tinympcnn.io.picture import PictureFile
from tinympcnn.io.tiff.reader import TiffFile
from tinympcnn.io.zarr.reader import ZarrFile, is_zarr

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".zarr")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8\xff")

Paths = AnyPath | Iterable[AnyPath]


def expand(paths: Paths, what: str = "images") -> list[Path]:
    """List image files, at least one, with those of each folder in natural order (2 before 10).

    A folder stands for the TIFF, PNG, JPEG and OME-Zarr files in it, not for those in its own folders; a `Notice`
    counts the other files. A path that does not exist, or a folder without images, is a `DataError` that calls the
    files `what`.
    """
    found: list[Path] = []
    for path in path_list(paths):
        if path.is_dir() and not is_zarr(path):
            found += _inside(path, what)
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder, where {what} should be")
    if not found:
        raise DataError(f"no {what} given; name at least one file or folder")
    return found


def path_list(paths: Paths) -> list[Path]:
    """Return one path, or several, as a list."""
    return [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]


def _inside(folder: Path, what: str) -> list[Path]:
    """List the images in a folder, and warn of the files that are none."""
    with reading(folder):
        seen = [path for path in folder.iterdir() if path.name[0] != "."]
        files = [path for path in seen if not path.is_dir() or is_zarr(path)]
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not images:
        raise DataError(f"the folder {folder} holds no {what} ({', '.join(SUFFIXES)})")
    if others := Counter(path.suffix.lower() or "without suffix" for path in files if path not in set(images)):
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
        warnings.warn(f"{counted(others.total(), 'file')} in {folder} left out: {kinds}", Notice, stacklevel=3)
    return sorted(images, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def open_image(path: AnyPath, axes: str | None = None, labels: bool = False) -> ImageFile:
    """Open an image or a stack of pages (H, W, C), reading only its metadata.

    The `axes` have one letter for each axis of a TIFF file that is longer than 1, in the order of the file: Y for rows,
    X for columns, C for channels, any other letter for pages. A file that names fewer axes takes its letters from
    `axes`. If the pixels are `labels`, palettes of colours give the numbers that are stored, in TIFF and PNG.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another kind, or leaves open which axis is which.
    UsageError
        If `axes` do not fit the file.
    """
    path = Path(path)
    if is_zarr(path):
        return ZarrFile(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise DataError(f"{path} is not an ordinary file")
    with reading(path), path.open("rb") as file:
        start = file.read(4)
    if start in TIFF_STARTS:
        return TiffFile(path, axes)
    if start.startswith(PICTURE_STARTS):
        return PictureFile(path, labels)
    raise DataError(f"{path} is neither TIFF, PNG nor JPEG" + ("; it is empty" if not start else ""))


def read_images(paths: Paths, axes: str | None = None) -> tuple[list[np.ndarray], list[str]]:
    """Read all pages of all files and folders into memory; return the pages (H, W, C) and the names from `page_names`.

    The errors and `axes` are those of `open_image`.
    """
    files = [open_image(path, axes) for path in expand(paths)]
    return [page for file in files for page in file], page_names(files)


def page_names(files: Sequence[ImageFile]) -> list[str]:
    """Name every page of every file: the file's stem, with the page's number in a stack, "cells[03]".

    Where stems are alike, the name has the suffix as well, or the folder ("day2/a.png"), or the whole path.
    """
    paths = [file.path for file in files]
    folders = ["/".join(path.parts[-2:]) for path in paths]
    forms = [file.stem for file in files], [path.name for path in paths], folders, list(map(str, paths))
    stems = next(form for form in forms if len(set(form)) == len(set(paths)))
    names = []
    for stem, file in zip(stems, files, strict=True):
        width = max(2, len(str(file.n_pages - 1)))
        names += [f"{stem}[{i:0{width}}]" if file.page_axes else stem for i in range(file.n_pages)]
    return names


def check_same_channels(files: Sequence[ImageFile]) -> None:
    """Raise DataError if the images differ in their number of channels."""
    for file in files:
        if file.shape[2] != files[0].shape[2]:
            raise DataError(f"{file} and {files[0]} differ in their number of channels")


def all_notes(files: Sequence[ImageFile]) -> list[str]:
    """Return one sentence for every note of the files, with the number of files that it is true of."""
    paths: dict[str, list[Path]] = {}
    for file in files:
        for note in file.notes:
            paths.setdefault(note, []).append(file.path)
    more = {note: f" and {len(its) - 1} more" if len(its) > 1 else "" for note, its in paths.items()}
    return [f"{its[0]}{more[note]}: {note}" for note, its in paths.items()]
