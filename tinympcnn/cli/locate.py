"""``tinympcnn locate``: from image files and model files to a table of objects, and pictures of what was found.

Pages are read and segmented band by band, so that the memory does not depend on their size.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from tinympcnn.cli import arguments
from tinympcnn.cli.models import AnyPath, Echo, Machine, Paths, load_committee
from tinympcnn.cli.objects import Found, Outputs, compared, ranked, roifile, write_objects
from tinympcnn.cli.pages import Failures, Pages, check_image
from tinympcnn.cli.pictures import check_pictures
from tinympcnn.cli.results import made_folder
from tinympcnn.cli.words import say, table
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.locate import objects_in
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import expand, page_names
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.places import grown, read_places
from tinympcnn.io.predictions import open_images
from tinympcnn.io.reading import Reading

LOWEST = 0.05  # the smallest score among which a threshold is chosen

EXAMPLES = """
  tinympcnn locate -i slides/ -m cells.npz -o objects.csv --score 0.7
  tinympcnn locate -i slides/ -m cells.npz -o objects.csv --val known/ \\
                   --truth points.csv --turns --overlay pictures/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn locate``."""
    data, net, machine = (parser.add_argument_group(title) for title in ("data", "net", "machine"))
    arguments.images(data)
    text = "The table of objects to write: file, page, row, column and score, in pixels from 0."
    arguments.output(data, "OBJECTS.csv", text, required=True)
    within = {"type": arguments.ranged(float, 0), "nargs": "+", "metavar": "PIXELS"}
    arguments.fields(data, Search, truth=arguments.FILES, val=arguments.FILES, within=within)
    arguments.fields(data, Outputs, overlay="DIR", roi="DIR", force={})
    arguments.models(net, "The models that train wrote with --radius. The probabilities of several are averaged.")
    score = {"type": arguments.ranged(float, 0, 1), "metavar": "P"}
    arguments.fields(net, Search, radius=arguments.RADIUS, score=score)
    arguments.machine(machine, cluster=True)


def run(options: argparse.Namespace) -> None:
    """Find objects as the options of ``tinympcnn locate`` say."""
    outputs, search = arguments.made(Outputs, options), arguments.made(Search, options)
    machine = arguments.made(Machine, options)
    locate_files(options.images, options.model, outputs, search, machine=machine, axes=options.axes)


@dataclass(frozen=True)
class Search:
    """What an object is, and the objects that are there."""

    radius: float | None = None
    """The radius of the objects, in pixels of the files. The default is the radius that the models were trained
    with."""
    score: float | None = None
    """The smallest score of an object, if it is not chosen on validation images. The default is then 0.5."""
    turns: bool = False
    """Average over the eight flips and quarter turns of each image."""
    truth: Paths | None = None
    """The objects that are there: a table of points, or images of numbered objects. By default they are not known."""
    val: Paths | None = None
    """The validation images, on which the threshold is chosen by F1. Their objects are in --truth as well. By default
    there are none."""
    within: tuple[float, ...] = ()
    """The largest distances of a hit, in pixels; the first decides. The default is the radius."""

    def __post_init__(self) -> None:
        if self.val and not self.truth:
            raise UsageError("a threshold is chosen where the objects are known: give them as --truth (Search.truth)")
        if self.val and self.score is not None:
            raise UsageError("a score is given, or chosen on validation images; leave out --score or --val")
        if not all(distance > 0 for distance in self.within):
            raise UsageError("the largest distance of a hit is a positive number of pixels (--within)")


def locate_files(
    images: Paths,
    models: Paths,
    outputs: Outputs,
    search: Search = Search(),
    *,
    axes: str | None = None,
    machine: Machine = Machine(),
    echo: Echo = say,
) -> dict[str, Any]:
    """Find the objects in image files, compare them with the truth where that is known, and return what is measured.

    The models have two classes, background and object; the probabilities of several are averaged. The models say by
    how much images are down-sampled.
    """
    committee, factor = load_committee(models, search.turns, machine, echo)
    reading = Reading(axes=axes, radius=search.radius, downsample=factor)
    if committee.out_maps != 2:
        raise UsageError(f"objects are found by models of two classes; {models[0]} has {committee.out_maps}")
    radius = _radius(committee, search.radius)
    files = _open(images, reading, committee)
    held = _open(search.val, reading, committee) if search.val else []
    places = read_places(search.truth, [*files, *held], reading) if search.truth else None
    tables = expand(search.truth, "points") if search.truth else []
    _check_outputs(outputs, files, [*models, *tables, *(file.path for file in held)])

    names = [*page_names(files), *page_names(held)]
    truth = places if places is not None else [None] * len(names)
    within, threshold = search.within or (radius,), 0.5 if search.score is None else search.score
    lowest = threshold if places is None else min(threshold, LOWEST)
    pages = Pages(committee, factor, machine=machine, echo=echo)
    numbered = [(file, page) for file in (*files, *held) for page in range(file.n_pages)]
    known, failures = dict(zip(numbered, zip(names, truth, strict=True), strict=True)), Failures()
    seen = _seen(pages, known, radius, lowest, failures)
    found, validation = ([one for one in seen if one.file in some] for some in (files, held))
    if not found or (held and not validation):
        failures.tell(len(files) + len(held))
    if validation:
        threshold = ranked(validation, within[0]).best_threshold()
        if threshold == float("inf"):
            raise DataError("no object was found on the validation images to choose a threshold; see --within")
        echo(f"score of at least {threshold:.4f}, chosen on {counted(len(validation), 'validation page')}")
    kept = [one._replace(objects=one.objects[one.objects[:, 2] >= threshold]) for one in found]
    report: dict[str, Any] = {"pages": len(kept), "objects": sum(len(one.objects) for one in kept)}
    report["threshold"] = threshold
    for distance in within if places is not None else ():
        report |= compared(found, threshold, distance)
    echo(table(report))
    write_objects(outputs, kept, within[0], radius, echo)
    failures.tell(len(files) + len(held))
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
        check_image(file, committee.in_maps, reading.downsample)
    names = [file.path.name for file in files]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"several images are named {double}, so a table could not tell them apart")
    return files


def _check_outputs(outputs: Outputs, files: Sequence[ImageFile], inputs: Paths) -> None:
    """Refuse before any work what could not be written at the end."""
    written: list[AnyPath] = [outputs.output]
    for folder, ending in ((outputs.overlay, ".png"), (outputs.roi, ".zip")):
        if folder is not None:
            written += [made_folder(Path(folder)) / (name + ending) for name in page_names(files)]
    check_outputs(written, [*inputs, *(file.path for file in files)], outputs.force)
    if outputs.overlay is not None:
        check_pictures(written[1])
    if outputs.roi is not None:
        roifile()


def _seen(
    pages: Pages, known: dict[tuple[ImageFile, int], tuple[str, Any]], radius: float, lowest: float, failures: Failures
) -> list[Found]:
    """Return what is found on pages whose name and truth are `known`, but for the files that cannot be read."""
    seen: list[Found] = []
    for file, bands in pages.bands([*dict.fromkeys(file for file, _ in known)], failures):
        with failures.of(file.path):
            its = []
            for page, some in groupby(bands, itemgetter(0)):
                objects = objects_in(((rows, band) for _, rows, band in some), radius / pages.factor, lowest)
                objects[:, :2] = grown(objects[:, :2], pages.factor)
                name, truth = known[file, page]
                its.append(Found(name, file, page, objects, truth))
            seen += its
    return seen
