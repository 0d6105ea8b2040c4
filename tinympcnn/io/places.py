"""Where objects are, for each page of some images: from a table of points, or from images of numbered objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinympcnn.data.downsample import downsample
from tinympcnn.data.points import check_inside, disc_labels
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import Paths, check_same_channels, expand, page_names
from tinympcnn.io.labels import open_labels, read_labels
from tinympcnn.io.names import match
from tinympcnn.io.pairs import Pairs
from tinympcnn.io.points import centroids, one_value_for_all, points_by_page, read_points
from tinympcnn.io.predictions import open_images
from tinympcnn.io.reading import Reading

TABLES = (".csv", ".tsv", ".txt")


def read_places(truth: Paths, files: Sequence[ImageFile], reading: Reading = Reading()) -> list[np.ndarray]:
    """Read the rows and columns of the objects, in pixels from 0, array, shape (n, 2), for each page of each file.

    The `truth` is tables of points (.csv, .tsv or .txt; see ``io/points.py``), or label images in which each object
    has a number of its own: then their centroids are taken, and `reading` names the axes of label images that do not
    tell theirs. A truth that is not that of these images, and an object outside of its page, are a `DataError`.
    """
    paths = expand(truth, "points")
    pages = [(file, i) for file in files for i in range(file.n_pages)]
    if all(path.suffix.lower() in TABLES for path in paths):
        points = [point for path in paths for point in read_points(path)]
        named = [(str(file.path), i) for file, i in pages]
        places = points_by_page(points, named, ", ".join(map(str, paths)))
    else:
        labels = [open_labels(path, reading) for path in paths]
        order = match([file.path for file in files], [file.path for file in labels])
        labels = labels if order is None else [labels[i] for i in order]
        if [file.n_pages for file in labels] != [file.n_pages for file in files]:
            raise DataError(
                f"{counted(len(files), 'image')} and {counted(len(labels), 'image')} of numbered objects do not have "
                "the same pages"
            )
        for file, label in zip(files, labels, strict=True):
            if file.shape[:2] != label.shape[:2]:
                raise DataError(f"{file} and {label} differ in size")
        numbered = [(label, i) for label in labels for i in range(label.n_pages)]
        numbers = read_labels(numbered, Reading())
        if one_value_for_all(numbers):
            raise DataError(f"{paths[0]}: several objects have one number; number all, or give a table of points")
        places = [centroids(y) for y in numbers]
    for (file, _), some in zip(pages, places, strict=True):
        check_inside(some, file.shape[:2], str(file.path))
    return places


def shrunk(places: np.ndarray, factor: int) -> np.ndarray:
    """Return where places of an image lie in the image down-sampled by `factor`.

    Examples
    --------
    >>> shrunk(np.array([[0.5, 4.5]]), 2), grown(np.array([[0.0, 2.0]]), 2)
    (array([[0., 2.]]), array([[0.5, 4.5]]))
    """
    return (places + 0.5) / factor - 0.5


def grown(places: np.ndarray, factor: int) -> np.ndarray:
    """Return where places of a down-sampled image lie in the image as it was; the inverse of `shrunk`."""
    return (places + 0.5) * factor - 0.5


def read_discs(images: Paths, truth: Paths, reading: Reading) -> Pairs:
    """Read images and the objects in them; the labels are 1 in a disc around each object, -1 in a ring around the disc.

    The `truth` is that of `read_places`, and `reading` has the radius of the discs, in pixels of the images as they are
    in the files. If there is no object, or the images differ in their number of channels, that is a `DataError` too.
    """
    if reading.radius is None:
        raise UsageError("points become discs of a radius: give it, in pixels, as --radius (Reading.radius)")
    if reading.threshold is not None or reading.ignore:
        raise UsageError("thresholds and ignored values are for label images of classes; leave them out with a radius")
    files, factor = open_images(images, reading), reading.downsample
    places = read_places(truth, files, reading)
    check_same_channels(files)
    if not (n := sum(map(len, places))):
        raise DataError("there is no object in the images, so there is nothing to learn")
    pages = [downsample(page, factor) for file in files for page in file]
    labels = [
        disc_labels(shrunk(some, factor), page.shape[:2], reading.radius / factor)
        for page, some in zip(pages, places, strict=True)
    ]
    share = sum(int((y == 1).sum()) for y in labels) / sum(int((y >= 0).sum()) for y in labels)
    discs = f"{counted(n, 'object')} as discs with a radius of {reading.radius:g} pixels"
    lines = [
        f"{counted(len(pages), 'image')}, {files[0].describe()}" + (" and others" if len(files) > 1 else ""),
        f"{discs}, {share:.2%} of the pixels that count",
    ]
    lines += [f"down-sampled by {factor}"] if factor > 1 else []
    return Pairs(pages, labels, (0, 1), page_names(files), lines)
