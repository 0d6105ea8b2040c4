"""``tinympcnn segment``: from image files and model files to files of probabilities and labels.

Pages are read, segmented and written band by band, so that the memory does not depend on their size.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from os import PathLike
from pathlib import Path

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.models import load_calibration, load_committee
from tinympcnn.cli.planning import plan_tiles
from tinympcnn.cli.results import Paths, made_folder, usable, writers_of
from tinympcnn.engine import backend
from tinympcnn.engine.backend import Pair
from tinympcnn.inference import segment
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.input_check import off_scale
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.page_rows import PageRows
from tinympcnn.io.predictions import label_dtype
from tinympcnn.io.reading import Reading
from tinympcnn.io.tiff.writer import check_space

Echo = Callable[[str], None]


EXAMPLE = """example:
  tinympcnn segment -i slices/ -m membranes.npz -o results/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn segment``."""
    data = parser.add_argument_group("data")
    arguments.images(data)
    data.add_argument(
        "-o", "--output", type=arguments.path, required=True, metavar="DIR",
        help="The folder of the results, NAME_prob.tif and NAME_labels.tif for each image. "
        "The folder is made if it does not exist. Images whose results exist are left out; if all exist, the command "
        "ends with exit code 2.",
    )  # fmt: skip
    arguments.reading(data, labels=False)
    arguments.force(data)
    net = parser.add_argument_group("net")
    arguments.models(net, "The models that train wrote. The probabilities of several models are averaged.")
    net.add_argument(
        "--calibration", type=arguments.path, metavar="CAL.json",
        help="Correct the probabilities by this file, which calibrate wrote. The default is to correct nothing.",
    )  # fmt: skip
    net.add_argument(
        "--median", type=int, default=0, metavar="R",
        help="Smooth the probabilities by a median filter with a radius of R pixels. The default, 0, is no filter.",
    )  # fmt: skip
    machine = parser.add_argument_group("machine")
    arguments.tiles(machine)
    arguments.machine(machine)


def run(options: argparse.Namespace) -> None:
    """Segment as the options of ``tinympcnn segment`` say."""
    steps = Steps(options.turns, options.calibration, options.median)
    machine = Machine(options.backend, options.tile, options.memory)
    reading = arguments.reading_of(options)
    segment_files(options.images, options.model, options.output, steps, machine, reading=reading, force=options.force)


@dataclass(frozen=True)
class Steps:
    """What decides the result besides images and models."""

    turns: bool = False  # average the probabilities over the eight flips and quarter turns of each image
    calibration: str | PathLike[str] | None = None  # the file of calibrate, which corrects the average
    median: int = 0  # the radius in pixels of the median filter that comes last; 0 for no filter


@dataclass(frozen=True)
class Machine:
    """Where to compute, and in which pieces. Only the last bits of the result depend on the device."""

    device: str = "numpy"  # or "cupy" or "auto"
    tile: int | None = None  # the number of outputs per axis that are computed at a time; None fits the memory
    memory: int | None = None  # the bytes of memory to keep to; None is half of what is free


def segment_files(
    images: Paths,
    model: str | PathLike[str] | Paths,
    output: str | PathLike[str],
    steps: Steps = Steps(),
    machine: Machine = Machine(),
    *,
    reading: Reading = Reading(),  # noqa: B008
    force: bool = False,
    echo: Echo = print,
) -> list[Path]:
    """Segment image files, page by page and band by band, into ``{name}_prob.tif`` and ``{name}_labels.tif``.

    Where the models were trained on down-sampled images, pages are down-sampled and the results have that size. Images
    whose results exist in the folder `output` are left out, unless `force` is given. Return the files that were
    written. If some images cannot be segmented, the others have their results when a `DataError` names them.
    """
    xp, why = backend.load(machine.device)
    echo(f"backend: {why}")
    committee, factor = load_committee([model] if isinstance(model, str | PathLike) else list(model), steps.turns)
    committee = committee.to("numpy" if xp is np else "cupy")
    values = tuple(committee.class_values or range(committee.out_maps))
    post = Postprocess(load_calibration(steps.calibration, values), steps.median)
    files, failures = usable(images, reading, committee.in_maps, factor)
    inputs, folder = [*(file.path for file in files), *failures], made_folder(Path(output))
    jobs = [(file, *writers_of(file, folder, values, factor)) for file in files]
    missing = [job for job in jobs if not all(writer.path.exists() for writer in job[1:])]
    if not force and (missing or failures):
        if kept := len(jobs) - len(missing):
            echo(f"{kept} of {len(inputs)} images have results in {folder} and are left out; --force makes them again")
        jobs = missing
    writers = [writer for _, *pair in jobs for writer in pair]
    check_outputs((writer.path for writer in writers), inputs, force)
    check_space(folder, writers)
    if factor > 1:
        echo(f"images are down-sampled by {factor}, as for training")
    if committee.size > 1:
        echo(f"mean of {len(committee.nets)} net(s), each on {len(committee.views)} view(s) of the image")
    if jobs:
        size = plan_tiles(committee, factor, post, [file for file, *_ in jobs], machine.tile, machine.memory, echo)
    class_values, written = np.array(values, label_dtype(values)), []
    for file, prob, labels in jobs:
        with failures.of(file.path):
            with prob, labels:
                for band in _bands(committee, post, file, factor, size, echo):
                    prob.write(band)
                    labels.write(class_values[band.argmax(axis=-1)])
                    del band  # before the next one is made
            shrunk = f", of {file.shape[0] // factor}x{file.shape[1] // factor}" if factor > 1 else ""
            echo(f"{file.describe()}: wrote {prob.path} and {labels.path}{shrunk}")
            written += [prob.path, labels.path]
    failures.tell(len(inputs))
    return written


def _bands(
    committee: Committee, post: Postprocess, file: ImageFile, factor: int, size: Pair, echo: Echo
) -> Iterator[np.ndarray]:
    """Yield the probabilities of a file, page by page and band by band; warn of images on another scale."""
    for index in range(len(file)):
        page = PageRows(file, index, factor)
        seen = committee.rows_seen(page.shape[:2], slice(0, min(size[0], page.shape[0])))  # by the first band
        if index == 0 and (wrong := off_scale(committee.nets, page[seen])):  # the page keeps these rows for the band
            echo(f"warning: {file.path} has {wrong}")
        yield from post(map(itemgetter(1), segment.segment_bands(committee, page, size, echo=echo)))
