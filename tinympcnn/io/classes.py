"""Images that show one thing each, and which: read from a folder with one subfolder for each class, or from a CSV.

The folders are those of torchvision's ImageFolder, Keras and fastai: the name of a subfolder is the name of a class.
The CSV has the columns ``file`` and ``class``; its paths are relative to the folder of the CSV. A file may hold a
stack, all pages of which belong to its class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from tinympcnn.data.downsample import downsample
from tinympcnn.errors import DataError, counted
from tinympcnn.io.atomic import AnyPath
from tinympcnn.io.image_file import reading as opening
from tinympcnn.io.images import Paths, _natural, expand, open_image, page_names, path_list
from tinympcnn.io.points import read_table
from tinympcnn.io.reading import Reading
from tinympcnn.io.zarr.reader import is_zarr


class Classified(NamedTuple):
    """Images of one size, (N, H, W, C), their names and, if known, their classes as positions in `class_names`."""

    images: np.ndarray
    names: list[str]
    classes: np.ndarray | None
    class_names: tuple[str, ...]

    def describe(self) -> str:
        """Return what was read in one line."""
        n, H, W, C = self.images.shape
        what = f"{counted(n, 'image')} of {H}x{W} pixels, {counted(C, 'channel')}"
        if self.classes is None:
            return what
        counts = np.bincount(self.classes, minlength=len(self.class_names))
        few, many = counts.argmin(), counts.argmax()
        return (
            f"{what}, {len(counts)} classes: from {counts[few]} ({self.class_names[few]}) to {counts[many]} "
            f"({self.class_names[many]}) images each"
        )


def read_classified(
    source: Paths, class_names: Sequence[str] | None = None, reading: Reading = Reading()
) -> Classified:
    """Read images and their classes.

    The `source` is one folder with a subfolder for each class, one CSV, or image files and folders without classes. The
    `class_names` are the classes there are, in order: by default those that occur, in natural order (2 before 10). The
    images are shrunk as `reading` says. A class without an image or outside of `class_names`, a file that can not be
    read, and images that differ in size are a `DataError`.
    """
    paths = path_list(source)
    if len(paths) == 1 and (by_class := _listed(paths[0])):
        found = [name for name, _ in by_class]
        known = tuple(class_names or sorted(dict.fromkeys(found), key=lambda name: _natural(Path(name))))
        if strange := next((name for name in found if name not in known), None):
            shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
            raise DataError(f"{paths[0]} has the class {strange!r}, and the classes of the model are {shown}")
        files = [(path, known.index(name)) for name, its in by_class for path in its]
    else:
        known = tuple(class_names or ())
        files = [(path, -1) for path in expand(paths)]
    opened = [open_image(path, reading.axes) for path, _ in files]
    names = page_names(opened)
    pages = [shrunk(page, reading.downsample) for file in opened for page in file]
    _check_sizes(pages, names)
    classes = np.repeat([k for _, k in files], [file.n_pages for file in opened]).astype(np.int64)
    return Classified(np.stack(pages), names, None if classes[0] < 0 else classes, known)


def has_classes(source: Sequence[AnyPath]) -> bool:
    """Tell whether `source` is one folder with subfolders, or one CSV."""
    return len(source) == 1 and bool(_folders(Path(source[0])) or Path(source[0]).suffix.lower() == ".csv")


def _folders(path: Path) -> list[Path]:
    if not path.is_dir() or is_zarr(path):
        return []
    with opening(path):
        inside = [one for one in path.iterdir() if one.is_dir() and one.name[0] != "." and not is_zarr(one)]
    return sorted(inside, key=_natural)


def _listed(path: Path) -> list[tuple[str, list[Path]]]:
    """Return the classes that a folder or a CSV names, and the files of each; nothing for other paths."""
    if path.suffix.lower() == ".csv":
        return _rows(path)
    return [(normalize("NFC", folder.name), expand(folder)) for folder in _folders(path)]


def _rows(path: Path) -> list[tuple[str, list[Path]]]:
    files: dict[str, list[Path]] = {}
    names, rows = read_table(path)
    if missing := {"file", "class"} - set(names):
        raise DataError(f"{path} has no column {min(missing)!r}; its first line must name the columns file and class")
    class_of: dict[Path, str] = {}
    for number, row in rows:
        file, name = (row["file"] or "").strip(), normalize("NFC", (row["class"] or "").strip())
        if not file or not name:
            raise DataError(f"line {number} of {path} lacks a file or a class")
        image = path.parent / file
        if not image.is_file():
            raise DataError(f"line {number} of {path} names {file}, and there is no such file")
        if class_of.setdefault(image, name) != name:
            raise DataError(f"line {number} of {path} gives {file} the class {name}, and it had {class_of[image]}")
        files.setdefault(name, []).append(image)
    if not files:
        raise DataError(f"{path} lists no image")
    return list(files.items())


def shrunk(page: np.ndarray, factor: int) -> np.ndarray:
    """Shrink an image and keep its type, which tells how bright its numbers are."""
    small = downsample(page, factor)
    return small.astype(page.dtype) if page.dtype.kind == "f" else np.rint(small).astype(page.dtype)


def _check_sizes(pages: Sequence[np.ndarray], names: Sequence[str]) -> None:
    for page, name in zip(pages, names, strict=True):
        if page.shape != pages[0].shape or page.dtype != pages[0].dtype:
            one, other = (
                f"{H}x{W} pixels, {counted(C, 'channel')}, {p.dtype}" for p in (pages[0], page) for H, W, C in [p.shape]
            )
            raise DataError(f"{names[0]} has {one} and {name} has {other}; bring all images to one size and kind")
