"""``tinympcnn predict``: from image files and a model trained on target images to files of predicted images."""

from __future__ import annotations

import argparse
from os import PathLike
from pathlib import Path

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.models import load_committee
from tinympcnn.cli.planning import plan_tiles
from tinympcnn.cli.results import Paths, made_folder, usable
from tinympcnn.cli.segment import Echo, Machine
from tinympcnn.engine import backend
from tinympcnn.errors import UsageError
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.inference.predict import predictor
from tinympcnn.inference.segment import segment_bands
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.page_rows import PageRows
from tinympcnn.io.reading import Reading
from tinympcnn.io.tiff.writer import PageWriter, check_space

EXAMPLE = """example:
  tinympcnn predict -i noisy/ -m denoiser.npz -o results/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn predict``."""
    data = parser.add_argument_group("data")
    arguments.images(data)
    data.add_argument(
        "-o", "--output", type=arguments.path, required=True, metavar="DIR",
        help="The folder of the results, NAME_predicted.tif for each image, in float32 and in the units of the images "
        "that the net was trained to give. The folder is made if it does not exist.",
    )  # fmt: skip
    arguments.reading(data, labels=False)
    arguments.force(data)
    net = parser.add_argument_group("net")
    arguments.models(net, "The models, saved by Net.save after fit. The predictions of several models are averaged.")
    machine = parser.add_argument_group("machine")
    arguments.tiles(machine)
    arguments.machine(machine)


def run(options: argparse.Namespace) -> None:
    """Predict as the options of ``tinympcnn predict`` say."""
    predict_files(
        options.images,
        options.model,
        options.output,
        Machine(options.backend, options.tile, options.memory),
        turns=options.turns,
        reading=arguments.reading_of(options),
        force=options.force,
    )


def predict_files(
    images: Paths,
    model: str | PathLike[str] | Paths,
    output: str | PathLike[str],
    machine: Machine = Machine(),  # noqa: B008
    *,
    turns: bool = False,
    reading: Reading = Reading(),  # noqa: B008
    force: bool = False,
    echo: Echo = print,
) -> list[Path]:
    """Write what a net predicts of image files, page by page and band by band, into ``{name}_predicted.tif``.

    Parameters
    ----------
    images : sequence of path
        Files and folders. Results of an earlier run among them are left out.
    model : path or sequence of path
        The models. The predictions of several models are averaged.
    output : path
        The folder of the results. It is made if it does not exist.
    machine : Machine
        Where to compute, and in which pieces.
    turns : bool
        Whether predictions are averaged over the eight flips and quarter turns of each image.
    reading : Reading
        The axes of the images.
    force : bool
        Whether results that exist are made again. Images are never overwritten.
    echo : callable
        It is told what is done.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    DataError
        If some images could not be used. The others have their results then.
    UsageError
        If a model was trained on classes, or a result would overwrite an image, or exists already and `force` is not
        given.
    """
    xp, why = backend.load(machine.device)
    echo(f"backend: {why}")
    paths = [model] if isinstance(model, str | PathLike) else list(model)
    committee, factor = load_committee(paths, turns)
    for path, net in zip(paths, committee.nets, strict=True):
        if net.class_values or net.class_names:
            command = "segment" if net.class_values else "classify"
            raise UsageError(f"{path} was trained on classes, and predicts no images; use 'tinympcnn {command}'")
    members = predictor(committee).to("numpy" if xp is np else "cupy")
    files, failures = usable(images, reading, members.in_maps, factor)
    inputs, folder = [*(file.path for file in files), *failures], made_folder(Path(output))
    jobs = [(file, _writer(file, folder, members.out_maps, factor)) for file in files]
    check_outputs((writer.path for _, writer in jobs), inputs, force)
    check_space(folder, [writer for _, writer in jobs])
    if jobs:
        size = plan_tiles(members, factor, Postprocess(None, 0), files, machine.tile, machine.memory, echo)
    written = []
    for file, writer in jobs:
        with failures.of(file.path):
            with writer:
                for index in range(len(file)):
                    for _, band in segment_bands(members, PageRows(file, index, factor), size, echo=echo):
                        writer.write(band)
                        del band  # before the next one is made
            echo(f"{file.describe()}: wrote {writer.path}")
            written.append(writer.path)
    failures.tell(len(inputs))
    return written


def _writer(file: ImageFile, folder: Path, maps: int, factor: int) -> PageWriter:
    shape = (file.shape[0] // factor, file.shape[1] // factor, maps)
    return PageWriter(folder / f"{file.stem}_predicted.tif", len(file), shape, np.float32, None, file)
