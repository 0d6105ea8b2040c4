"""``tinympcnn segment``: from image files and model files to files of probabilities and labels, and to pictures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tinympcnn import data
from tinympcnn.cli import arguments, pictures
from tinympcnn.cli.models import AnyPath, Echo, Machine, Paths, load_calibration, load_committee
from tinympcnn.cli.pages import Pages
from tinympcnn.cli.results import Job, Result
from tinympcnn.cli.words import say
from tinympcnn.errors import UsageError, counted
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.labels import read_labels
from tinympcnn.io.matching import Page, pair
from tinympcnn.io.predictions import label_dtype, most_probable, read_prediction
from tinympcnn.io.reading import Reading

EXAMPLES = """
  tinympcnn segment -i slices/ -m membranes.npz -o results/
  tinympcnn segment -i slices/ -m a.npz b.npz --turns -o results/ --preview
  tinympcnn segment -i volume.zarr -m a.npz -o result.zarr --cluster local
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn segment``."""
    data, net, machine = (parser.add_argument_group(title) for title in ("data", "net", "machine"))
    arguments.images(data)
    arguments.output(
        data, "DIR|NAME.zarr", "The folder of the results, NAME_prob.tif and NAME_labels.tif for each image, or the "
        "OME-Zarr of one image. The folder is made if it does not exist. Images whose results exist are left out; if "
        "all exist, the command ends with exit code 2.", required=True,
    )  # fmt: skip
    labels = {"flags": ["-l", "--labels"], **arguments.FILES}
    arguments.fields(data, Steps, preview={}, labels=labels)
    arguments.force(data)
    arguments.models(net, "The models that train wrote. The probabilities of several models are averaged.")
    arguments.fields(net, Steps, calibration="CAL.json", median="R")
    arguments.machine(machine, tiles=True, cluster=True)


def run(options: argparse.Namespace) -> None:
    """Segment as the options of ``tinympcnn segment`` say."""
    steps, machine = arguments.made(Steps, options), arguments.made(Machine, options)
    where, reading = (options.images, options.model, options.output), arguments.made(Reading, options)
    segment_files(*where, steps, machine, reading=reading, force=options.force)


@dataclass(frozen=True)
class Steps:
    """What decides the result besides images and models."""

    turns: bool = False
    """Average over the eight flips and quarter turns of each image."""
    calibration: AnyPath | None = None
    """Correct the probabilities by this file, which calibrate wrote. The default is to correct nothing."""
    median: int = 0
    """Smooth the probabilities by a median filter with a radius of R pixels. The default, 0, is no filter."""
    preview: bool = False
    """Draw also NAME_preview.png, the first page of each image with the outlines of its segments. This needs
    matplotlib, and the memory of a page."""
    labels: Paths | None = None
    """The label images, where the truth is known. --preview then shows the mistakes in two colours. By default there
    are none."""

    def __post_init__(self) -> None:
        if self.labels and not self.preview:
            raise UsageError("the labels are what --preview compares with; give --preview too, or use evaluate")


def segment_files(
    images: Paths,
    model: AnyPath | Paths,
    output: AnyPath,
    steps: Steps = Steps(),
    machine: Machine = Machine(),
    *,
    reading: Reading = Reading(),
    force: bool = False,
    echo: Echo = say,
) -> list[Path]:
    """Segment image files into ``{name}_prob.tif`` and ``{name}_labels.tif``, and return these files; see `Job.run`.

    An `output` that ends in ``.zarr`` becomes the OME-Zarr of a single image, see ``io/zarr/writer.py``.
    Where the models were trained on down-sampled images, pages are down-sampled and the results have that size.
    """
    draw = None
    if steps.preview:
        pictures.check_pictures("preview.png")
    committee, factor = load_committee(model, steps.turns, machine, echo)
    if steps.preview:
        known = pair(images, steps.labels, reading) if steps.labels else []
        draw = partial(draw_preview, truth={page.image.path: page for page in known if page.number == 0}, factor=factor)
    values = tuple(committee.class_values or range(committee.out_maps))
    post = Postprocess(load_calibration(steps.calibration, values), steps.median)
    if committee.size > 1:
        views = counted(len(committee.views), "view")
        echo(f"mean of {counted(len(committee.nets), 'net')}, each on {views} of the image")
    results = [
        Result("prob", lambda band: band, (len(values),), np.float32, values),
        Result("labels", partial(most_probable, class_values=values), (), label_dtype(values), values),
    ]
    pages = Pages(committee, factor, post, machine, echo)
    return Job(pages, results, reading, force, draw).run(images, Path(output))


def draw_preview(file: ImageFile, paths: Sequence[Path], *, truth: Mapping[Path, Page], factor: int = 1) -> None:
    """Draw the first page of an image with the outlines of its labels and, if it has a label image, the mistakes.

    The `paths` are those of the probabilities, of the labels, and of the picture. Results are down-sampled by `factor`.
    """
    _, pages, values = read_prediction(paths[1])
    assert values is not None  # for they are ours
    classes, true = data.class_indices(pages.page(0)[:, :, 0], values), None
    if file.path in truth:
        page = truth[file.path]
        [raw] = read_labels([(page.label, page.label_number)], Reading())
        true = data.downsample_labels(data.class_indices(raw, values), factor)
    pictures.draw_preview(paths[2], data.downsample(file.page(0), factor), classes, values, true)
