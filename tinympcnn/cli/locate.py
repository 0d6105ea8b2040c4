"""``tinympcnn locate``: from image files and model files to a table of objects, and pictures of what was found.

Pages are read and segmented band by band, so that the memory does not depend on their size.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.cli import arguments, crew
from tinympcnn.cli.findings import format_table
from tinympcnn.cli.models import load_committee
from tinympcnn.cli.objects import Found, Outputs, compared, ranked, roifile, write_objects
from tinympcnn.cli.pages import Machine
from tinympcnn.cli.pictures import check_picture
from tinympcnn.engine import backend
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference.bands import Bands
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.locate import objects_in
from tinympcnn.inference.tiling import DEFAULT_MEMORY
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import page_names
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.page_rows import PageRows
from tinympcnn.io.places import grown, read_places
from tinympcnn.io.predictions import open_images
from tinympcnn.io.reading import Reading

AnyPath = str | PathLike[str]
Paths = Sequence[AnyPath]
Echo = Callable[[str], None]

LOWEST = 0.05  # the smallest score among which a threshold is chosen

EXAMPLE = """example:
  tinympcnn locate -i slides/ -m cells.npz -o objects.csv --val known/ --truth points.csv --turns --overlay pictures/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn locate``."""
    parser.epilog = EXAMPLE
    data = parser.add_argument_group("data")
    arguments.images(data)
    data.add_argument(
        "-o", "--output", type=arguments.new_file, required=True, metavar="OBJECTS.csv",
        help="The table of objects to write: file, page, row, column and score, in pixels from 0.",
    )  # fmt: skip
    data.add_argument(
        "--truth", action=arguments.Files, metavar="FILE",
        help="The objects that are there: a table of points, or images of numbered objects.",
    )  # fmt: skip
    data.add_argument(
        "--val", action=arguments.Files, metavar="FILE",
        help="The validation images, on which the threshold is chosen. Their objects are in --truth as well.",
    )  # fmt: skip
    data.add_argument(
        "--within", type=arguments.ranged(float, 0), nargs="+", metavar="PIXELS",
        help="The largest distance of a hit; several are compared. The default is the radius.",
    )  # fmt: skip
    arguments.reading(data, labels=False)
    data.add_argument(
        "--overlay", type=arguments.path, metavar="DIR",
        help="Draw hits, misses and false alarms into a PNG for each page. This needs matplotlib.",
    )  # fmt: skip
    data.add_argument(
        "--roi", type=arguments.path, metavar="DIR",
        help="Write the objects of each page as points for ImageJ's ROI manager. This needs roifile.",
    )  # fmt: skip
    arguments.force(data)
    net = parser.add_argument_group("net")
    arguments.models(net, "The models that train wrote with --radius. The probabilities of several are averaged.")
    net.add_argument(
        "--radius", type=arguments.ranged(float, 0), metavar="R",
        help="The radius of the objects, in pixels. The default is the radius that the models were trained with.",
    )  # fmt: skip
    net.add_argument(
        "--score", type=arguments.ranged(float, 0, 1), metavar="P",
        help="The smallest score of an object, if it is not chosen on validation images. The default is 0.5.",
    )  # fmt: skip
    machine = parser.add_argument_group("machine")
    arguments.machine(machine)
    crew.add_argument(machine, "the bands of the images")


def run(options: argparse.Namespace) -> None:
    """Find objects as the options of ``tinympcnn locate`` say."""
    locate_files(
        options.images,
        options.model,
        Outputs(options.output, options.overlay, options.roi, options.force),
        Truth(options.truth, options.val, tuple(options.within or ())) if options.truth or options.val else None,
        Search(options.radius, options.score, options.turns),
        reading=arguments.reading_of(options),
        machine=Machine(options.backend, cluster=options.cluster),
    )


@dataclass(frozen=True)
class Search:
    """What an object is.

    Attributes
    ----------
    radius : float or None
        The radius of the objects, in pixels of the images as they are in the files; by default the models'.
    threshold : float or None
        The smallest score. None chooses it on the validation images; without such images it is 0.5.
    turns : bool
        Whether probabilities are averaged over the eight flips and quarter turns of each image.
    """

    radius: float | None = None
    threshold: float | None = None
    turns: bool = False


@dataclass(frozen=True)
class Truth:
    """The objects that are there.

    Attributes
    ----------
    places : sequence of path or None
        Tables of points, or images of numbered objects, of the images and of the validation images.
    validation : sequence of path or None
        The images on which the threshold is chosen, by F1.
    within : tuple of float
        The largest distances of a hit, in pixels; the first decides. By default the radius of the objects.
    """

    places: Paths | None = None
    validation: Paths | None = None
    within: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.places:
            raise UsageError("a threshold is chosen where the objects are known: give them as --truth (Truth.places)")


def locate_files(
    images: Paths,
    model: AnyPath | Paths,
    outputs: Outputs,
    truth: Truth | None = None,
    search: Search = Search(),
    *,
    reading: Reading = Reading(),  # noqa: B008
    machine: Machine = Machine(),  # noqa: B008
    echo: Echo = print,
) -> dict[str, Any]:
    """Find the objects in image files, and compare them with the truth where that is known.

    Parameters
    ----------
    images : sequence of path
        Files and folders.
    model : path or sequence of path
        Models with two classes, background and object. The probabilities of several models are averaged.
    outputs : Outputs
        The files to write.
    truth : Truth, optional
        The objects that are there.
    search : Search
        What an object is.
    reading : Reading
        The axes of the images. The models say by how much images are down-sampled.
    machine : Machine
        Where to compute, and in which pieces.
    echo : callable
        It is told what is done.

    Returns
    -------
    dict
        What was echoed as a table.
    """
    models = [model] if isinstance(model, str | PathLike) else list(model)
    xp, why = backend.load(crew.backend_for(machine.cluster, machine.device))
    echo(f"backend: {why}")
    committee, factor = load_committee(models, search.turns)
    committee = committee.to("numpy" if xp is np else "cupy")
    radius = _radius(committee, search.radius)
    files = _open(images, reading, committee)
    if committee.out_maps != 2:
        raise UsageError(f"objects are found by models of two classes; {models[0]} has {committee.out_maps}")
    held = _open(truth.validation, reading, committee) if truth and truth.validation else []
    if held and search.threshold is not None:
        raise UsageError("a score is either given or chosen on validation images, not both; leave out --score or --val")
    places = read_places(truth.places or [], [*files, *held], reading) if truth else None
    _check_outputs(outputs, files, [*models, *(file.path for file in held)])

    n = sum(file.n_pages for file in files)
    within = truth.within if truth and truth.within else (radius,)
    threshold = 0.5 if search.threshold is None else search.threshold
    seen = [file.path for file in [*files, *held] if file.opened_by_workers]
    with crew.crew_for(machine.cluster, committee.nets, seen) as helpers:

        def find(some: list[ImageFile], threshold: float, places: Sequence[np.ndarray] | None) -> list[Found]:
            room = helpers.memory or machine.memory or DEFAULT_MEMORY
            work = Bands(committee, machine.tile, room, crew=helpers, echo=echo)
            return list(_find(work, some, radius, threshold, factor, places))

        if held and places is not None:
            threshold = ranked(find(held, LOWEST, places[n:]), within[0]).best_threshold()
            if threshold == float("inf"):
                raise DataError(
                    "nothing on the validation images was found, so no threshold can be chosen; see --within"
                )
            pages = sum(file.n_pages for file in held)
            echo(f"score of at least {threshold:.4f}, chosen on {pages} validation page(s)")
        found = find(files, threshold if places is None else min(threshold, LOWEST), places and places[:n])
    kept = [one._replace(objects=one.objects[one.objects[:, 2] >= threshold]) for one in found]
    report: dict[str, Any] = {"pages": n, "objects": sum(len(one.objects) for one in kept), "threshold": threshold}
    for distance in within if places is not None else ():
        report |= compared(found, threshold, distance)
    echo(format_table(report))
    write_objects(outputs, kept, within[0], radius, echo)
    return report


def _radius(committee: Committee, asked: float | None) -> float:
    """Return the radius of the objects: the one that was asked for, or the one in the records of the models."""
    radii = {getattr(net, "record", {}).get("radius") for net in committee.nets} if asked is None else {asked}
    radius = next(iter(radii))
    if len(radii) > 1 or not isinstance(radius, int | float) or not 0 < radius < float("inf"):
        raise UsageError("the models do not tell one radius of their objects; give it, in pixels, as --radius")
    return float(radius)


def _open(images: Paths, reading: Reading, committee: Committee) -> list[ImageFile]:
    files = open_images(images, reading)
    for file in files:
        if file.shape[2] != committee.in_maps:
            raise DataError(f"{file.path} has {file.shape[2]} channel(s) and the model takes {committee.in_maps}")
    names = [file.path.name for file in files]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"several images are named {double}, so a table could not tell them apart")
    return files


def _check_outputs(outputs: Outputs, files: Sequence[ImageFile], inputs: Paths) -> None:
    """Refuse before any work what could not be written at the end."""
    written: list[AnyPath] = [outputs.table]
    for folder, ending in ((outputs.overlay, ".png"), (outputs.roi, ".zip")):
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            written += [Path(folder, name + ending) for name in page_names(files)]
    check_outputs(written, [*inputs, *(file.path for file in files)], outputs.force)
    if outputs.overlay is not None:
        check_picture(written[1])
    if outputs.roi is not None:
        roifile()


def _find(
    work: Bands,
    files: Sequence[ImageFile],
    radius: float,
    threshold: float,
    factor: int,
    places: Sequence[np.ndarray] | None,
) -> Iterator[Found]:
    """Yield what is found on each page, in pixels of the images as they are in the files."""
    pages = [(file, index) for file in files for index in range(file.n_pages)]
    names, truth = page_names(files), places if places is not None else [None] * len(pages)
    bands = work(PageRows(file, index, factor) for file, index in pages)
    for number, some in groupby(bands, attrgetter("number")):
        objects = objects_in(((band.rows, band.take()) for band in some), radius / factor, threshold)
        objects[:, :2] = grown(objects[:, :2], factor)
        file, index = pages[number]
        yield Found(names[number], file, index, objects, truth[number])
