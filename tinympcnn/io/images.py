"""Finding and opening image files: the functions that the command line and most scripts call.

What a file is, is decided by its first bytes, never by its name. Read next: `pairs.py`, which pairs images
with their label images, and `output.py`, which writes results back.

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

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tinympcnn.errors import DataError
from tinympcnn.io.image_file import ImageFile, reading
from tinympcnn.io.picture import PictureFile
from tinympcnn.io.tiff.reader import TiffFile

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8\xff")

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def expand(paths: Paths, what: str = "images") -> list[Path]:
    """List image files, taking those of each folder in natural order (2 before 10).

    Parameters
    ----------
    paths : path or iterable of paths
        Files and folders. A folder stands for the TIFF, PNG and JPEG files in it, not for those in its own
        folders.
    what : str
        What the files are, for the error message.

    Returns
    -------
    list of Path
        At least one file.

    Raises
    ------
    DataError
        If a path does not exist, or there is no image in a folder.
    """
    found: list[Path] = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        path = Path(path)
        if path.is_dir():
            with reading(path):
                inside = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.name[0] != "."]
            if not inside:
                raise DataError(f"the folder {path} holds no {what} ({', '.join(SUFFIXES)})")
            found += sorted(inside, key=_natural)
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder, where {what} should be")
    if not found:
        raise DataError(f"no {what} given; name at least one file or folder")
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def open_image(path: str | os.PathLike[str], axes: str | None = None) -> ImageFile:
    """Open an image or a stack, reading only its metadata.

    Parameters
    ----------
    path : path
        A TIFF, PNG or JPEG file.
    axes : str, optional
        For TIFF: one letter for each axis longer than 1, in the order of the file. Y rows, X columns, C
        channels, any other letter pages.

    Returns
    -------
    ImageFile
        Hands out its pages as (H, W, C) arrays.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another kind, or leaves open which axis is which.
    UsageError
        If `axes` do not fit the file.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise DataError(f"{path} is not an ordinary file")
    with reading(path), path.open("rb") as file:
        start = file.read(4)
    if start in TIFF_STARTS:
        return TiffFile(path, axes)
    if start.startswith(PICTURE_STARTS):
        return PictureFile(path)
    raise DataError(f"{path} is neither TIFF, PNG nor JPEG" + ("; it is empty" if not start else ""))


def read_images(paths: Paths, axes: str | None = None) -> tuple[list[np.ndarray], list[str]]:
    """Read all pages of all files into memory.

    Parameters
    ----------
    paths : path or iterable of paths
        As in `expand`.
    axes : str, optional
        As in `open_image`.

    Returns
    -------
    pages : list of ndarray
        (H, W, C) each.
    names : list of str
        The file's stem, with the page's number where there are several: "train-volume[03]". Where stems are alike, the
        file's name, with its folder ("day2/a.png") or its whole path if need be.

    Raises
    ------
    DataError, UsageError
        As in `open_image`.
    """
    files = [open_image(path, axes) for path in expand(paths)]
    return [page for file in files for page in file], page_names(files)


def page_names(files: Sequence[ImageFile]) -> list[str]:
    """Name every page of every file: "stem", or "stem[03]" in a stack; more of the path where stems are alike."""
    paths = [file.path for file in files]
    forms = [
        [path.stem for path in paths],
        [path.name for path in paths],
        ["/".join(path.parts[-2:]) for path in paths],
        [str(path) for path in paths],
    ]
    stems = next(form for form in forms if len(set(form)) == len(set(paths)))
    names = []
    for stem, file in zip(stems, files, strict=True):
        width = max(2, len(str(file.n_pages - 1)))
        stack = bool(file.page_axes)
        names += [f"{stem}[{i:0{width}}]" if stack else stem for i in range(file.n_pages)]
    return names
