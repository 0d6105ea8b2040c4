"""``tinympcnn segment``: from image files and model files to files of probabilities and labels.

Pages are read, segmented and written band by band, so that the memory does not depend on their size.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np

from tinympcnn.cli import arguments, crew
from tinympcnn.cli.models import load_calibration, load_committee
from tinympcnn.cli.pages import Echo, Job, Machine, segment_jobs
from tinympcnn.cli.results import Paths, TiffPair, made_folder, usable
from tinympcnn.engine import backend
from tinympcnn.errors import UsageError
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.reading import Reading
from tinympcnn.io.tiff.writer import check_space
from tinympcnn.io.zarr.writer import check_zarr, made_store, replacing_folder

EXAMPLE = """example:
  tinympcnn segment -i slices/ -m membranes.npz -o results/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn segment``."""
    data = parser.add_argument_group("data")
    arguments.images(data)
    data.add_argument(
        "-o", "--output", type=arguments.path, required=True, metavar="DIR|NAME.zarr",
        help="The folder of the results, NAME_prob.tif and NAME_labels.tif for each image, or NAME.zarr for one image. "
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
    crew.add_argument(machine, "the bands of the images")


def run(options: argparse.Namespace) -> None:
    """Segment as the options of ``tinympcnn segment`` say."""
    steps = Steps(options.turns, options.calibration, options.median)
    machine = Machine(options.backend, options.tile, options.memory, options.cluster)
    reading = arguments.reading_of(options)
    segment_files(options.images, options.model, options.output, steps, machine, reading=reading, force=options.force)


@dataclass(frozen=True)
class Steps:
    """What decides the result besides images and models."""

    turns: bool = False  # average the probabilities over the eight flips and quarter turns of each image
    calibration: str | PathLike[str] | None = None  # the file of calibrate, which corrects the average
    median: int = 0  # the radius in pixels of the median filter that comes last; 0 for no filter


def segment_files(
    images: Paths,
    model: str | PathLike[str] | Paths,
    output: str | PathLike[str],
    steps: Steps = Steps(),
    machine: Machine = Machine(),  # noqa: B008
    *,
    reading: Reading = Reading(),  # noqa: B008
    force: bool = False,
    echo: Echo = print,
) -> list[Path]:
    """Segment image files, page by page and band by band, into ``{name}_prob.tif`` and ``{name}_labels.tif``.

    An `output` that ends in ``.zarr`` becomes the OME-Zarr of a single image, see ``io/zarr/writer.py``.

    Where the models were trained on down-sampled images, pages are down-sampled and the results have that size. Images
    whose results exist in the folder `output` are left out, unless `force` is given. Return the files that were
    written. If some images cannot be segmented, the others have their results when a `DataError` names them.
    """
    xp, why = backend.load(crew.backend_for(machine.cluster, machine.device))
    echo(f"backend: {why}")
    committee, factor = load_committee([model] if isinstance(model, str | PathLike) else list(model), steps.turns)
    committee = committee.to("numpy" if xp is np else "cupy")
    values = tuple(committee.class_values or range(committee.out_maps))
    post = Postprocess(load_calibration(steps.calibration, values), steps.median)
    files, failures = usable(images, reading, committee.in_maps, factor)
    inputs, output = [*(file.path for file in files), *failures], Path(output)
    if committee.size > 1:
        echo(f"mean of {len(committee.nets)} net(s), each on {len(committee.views)} view(s) of the image")
    if factor > 1:
        echo(f"images are down-sampled by {factor}, as for training")
    run = partial(
        segment_jobs, members=committee, factor=factor, post=post, machine=machine, failures=failures, echo=echo
    )
    if output.suffix.lower() == ".zarr":
        if len(inputs) > 1:
            raise UsageError(f"{output} holds the results of one image, and {len(inputs)} came; name a folder for them")
        check_zarr(output, inputs, force)
        with replacing_folder(output) as temporary:
            job = Job(files[0], nullcontext(), f"{output}{_shrunk(files[0], factor)}")
            list(run([job], stored=partial(made_store, temporary, files[0], values, factor)))
            failures.tell(1)
        return [output]
    jobs = [(file, TiffPair(file, made_folder(output), values, factor)) for file in files]
    missing = [job for job in jobs if not all(path.exists() for path in job[1].paths)]
    if not force and (missing or failures):
        if kept := len(jobs) - len(missing):
            echo(f"{kept} of {len(inputs)} images have results in {output} and are left out; --force makes them again")
        jobs = missing
    writers = [writer for _, pair in jobs for writer in pair.writers]
    check_outputs((writer.path for writer in writers), inputs, force)
    check_space(output, writers)
    planned = [Job(file, pair, " and ".join(map(str, pair.paths)) + _shrunk(file, factor)) for file, pair in jobs]
    written = [path for job in run(planned) for path in job.writer.paths]
    failures.tell(len(inputs))
    return written


def _shrunk(file: ImageFile, factor: int) -> str:
    return f", of {file.shape[0] // factor}x{file.shape[1] // factor}" if factor > 1 else ""
