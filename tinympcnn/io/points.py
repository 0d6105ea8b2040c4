"""Files of objects: points in a CSV table, measurement tables of ImageJ and QuPath, and images of numbered objects.

Our own table has a header, ``file,page,row,column[,class][,score]``. Rows and columns are pixels, counted from 0 at the
centre of the first pixel; pages count from 0.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from tinympcnn.errors import DataError
from tinympcnn.io.atomic import AnyPath, replacing

HEADER = ("file", "page", "row", "column", "class", "score")


class Point(NamedTuple):
    """One object: the file and page it lies in, its place in pixels, its class, and a score where a net found it."""

    file: str
    page: int
    row: float
    column: float
    class_name: str = ""
    score: float = math.nan


def read_points(path: AnyPath) -> list[Point]:
    """Read the objects of a table: a CSV file, or one with tabs or semicolons.

    The table is our own, with the columns file, page, row, column and perhaps class and score; ImageJ's results, with
    Label, X, Y and perhaps Slice; or QuPath's measurements, with Image and Centroid X px, Centroid Y px. ImageJ and
    QuPath put the origin at the corner of the first pixel, so 0.5 is subtracted. A file that has no header of one of
    these kinds, and a row that holds no place, are a `DataError`.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a table of points ({error})") from error
    first = text.partition("\n")[0]
    delimiter = max(",\t;", key=first.count)
    table = csv.DictReader(text.splitlines(), delimiter=delimiter)
    table.fieldnames = names = [name.strip().lower() for name in table.fieldnames or ()]
    columns, shift = _columns(names, path)
    points = []
    for number, row in enumerate(table, 2):
        try:
            file, at_row, at_column = (row[columns[key]] for key in ("file", "row", "column"))
            if columns["file"] == "label":
                file = file.split(":")[0]  # ImageJ writes "stack.tif:page label" there
            page = int(float(row[columns["page"]])) - int(shift > 0) if columns.get("page") in names else 0
            place, score = (float(at_row) - shift, float(at_column) - shift), float(row.get("score") or math.nan)
            points.append(Point(file.strip(), page, *place, row.get("class") or "", score))
        except (AttributeError, OverflowError, TypeError, ValueError):  # of short rows, and of words for numbers
            raise DataError(f"{path}, line {number}: {_shown(row)} is no point; rows and columns are numbers") from None
        if not all(map(math.isfinite, place)) or page < 0:
            raise DataError(f"{path}, line {number}: {_shown(row)} is no place in an image")
    return points


def _columns(names: Sequence[str], path: Path) -> tuple[dict[str, str], float]:
    """Return which column of a table holds what, and how far its origin lies from ours."""
    kinds = (
        ({"file": "file", "page": "page", "row": "row", "column": "column"}, 0.0),
        ({"file": "image", "row": "centroid y px", "column": "centroid x px"}, 0.5),
        ({"file": "label", "page": "slice", "row": "y", "column": "x"}, 0.5),
    )
    for columns, shift in kinds:
        if all(column in names for key, column in columns.items() if key != "page" or not shift):
            return columns, shift
    hint = ""
    if any("centroid" in name for name in names):
        hint = "; QuPath's centroids in micrometres have no place in pixels: remove the pixel size before measuring"
    raise DataError(
        f"{path} has the columns {', '.join(names) or 'of no header'}; a table of points has the header "
        f"file,page,row,column (then class, score){hint}"
    )


def _shown(row: Mapping[str, object]) -> str:
    return ",".join(str(value) for value in row.values())[:80]


def write_points(path: AnyPath, points: Iterable[Point]) -> None:
    """Write objects as a table with our own header, whole or not at all; class and score are left out where unknown."""
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for point in points:
            score = "" if math.isnan(point.score) else f"{point.score:.6g}"
            writer.writerow(
                [point.file, point.page, *(f"{n:g}" for n in (point.row, point.column)), point.class_name, score]
            )


def points_by_page(points: Sequence[Point], pages: Sequence[tuple[str, int]], where: str) -> list[np.ndarray]:
    """Return the places (n, 2) of the objects of each page, given as (file, page).

    A file of the table and a file on disk are the same if their names without folders are, with or without ending. A
    table, called `where`, that names an image that is not among the pages is a `DataError`.
    """
    names = [(PurePath(file).name, page) for file, page in pages]
    stems = [(_stem(file), page) for file, page in pages]
    if double := next((name for name, page in names if names.count((name, page)) > 1), None):
        raise DataError(f"several images are named {double}, so it is open which of them {where} means")
    index = {stem: i for i, stem in enumerate(stems) if stems.count(stem) == 1}
    index |= {name: i for i, name in enumerate(names)}
    places: list[list[tuple[float, float]]] = [[] for _ in pages]
    for point in points:
        name = PurePath(point.file.replace("\\", "/")).name
        i = index.get((name, point.page), index.get((_stem(name), point.page)))
        if i is None:
            known = {PurePath(file).name for file, _ in pages}
            what = f"page {point.page} of {name}" if name in known or _stem(name) in map(_stem, known) else name
            raise DataError(
                f"{where} has points in {what}, which is not among the images ({', '.join(sorted(known)[:3])})"
            )
        places[i].append((point.row, point.column))
    return [np.array(some, np.float64).reshape(-1, 2) for some in places]


def _stem(name: str) -> str:
    return PurePath(name).name.split(".")[0]


def centroids(labels: np.ndarray) -> np.ndarray:
    """Return the centroids (n, 2) of the objects of an instance label image, by their number; 0 is background.

    Examples
    --------
    >>> centroids(np.array([[1, 1, 0, 7], [1, 1, 0, 7]]))
    array([[0.5, 0.5],
           [0.5, 3. ]])
    """
    from scipy import ndimage

    numbers = np.setdiff1d(labels, 0)
    return np.reshape(ndimage.center_of_mass(labels != 0, labels, numbers), (-1, 2))
