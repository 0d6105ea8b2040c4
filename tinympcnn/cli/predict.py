"""``tinympcnn predict``: from image files and a model trained on target images to files of predicted images."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.models import AnyPath, Echo, Machine, Paths, load_committee
from tinympcnn.cli.pages import Pages
from tinympcnn.cli.results import Job, Result
from tinympcnn.cli.words import say
from tinympcnn.errors import UsageError
from tinympcnn.inference.segment import predictor
from tinympcnn.io.reading import Reading

EXAMPLES = """
  tinympcnn predict -i noisy/ -m denoiser.npz -o results/
  tinympcnn predict -i noisy/ -m denoiser.npz -o results/ --turns --force
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn predict``."""
    data, net, machine = (parser.add_argument_group(title) for title in ("data", "net", "machine"))
    arguments.images(data)
    arguments.output(
        data, "DIR", "The folder of the results, NAME_predicted.tif for each image, in float32 and in the units of the "
        "images that the net was trained to give. The folder is made if it does not exist. Images whose results exist "
        "are left out.", required=True,
    )  # fmt: skip
    arguments.force(data)
    arguments.models(net, "The models, saved by Net.save after fit. The predictions of several models are averaged.")
    arguments.machine(machine, tiles=True, cluster=True)


def run(options: argparse.Namespace) -> None:
    """Predict as the options of ``tinympcnn predict`` say."""
    machine, reading = arguments.made(Machine, options), arguments.made(Reading, options)
    what, how = (options.images, options.model, options.output), {"turns": options.turns, "force": options.force}
    predict_files(*what, machine, reading=reading, **how)


def predict_files(
    images: Paths,
    model: AnyPath | Paths,
    output: AnyPath,
    machine: Machine = Machine(),
    *,
    turns: bool = False,
    reading: Reading = Reading(),
    force: bool = False,
    echo: Echo = say,
) -> list[Path]:
    """Write what nets predict of image files into ``{name}_predicted.tif``, and return these files; see `Job.run`.

    With `turns`, predictions are averaged over the eight flips and quarter turns of each image. A `UsageError` refuses
    a model that was trained on classes.
    """
    committee, factor = load_committee(model, turns, machine, echo)
    for net in committee.nets:
        if classes := net.class_values or net.class_names:
            command = "segment" if net.class_values else "classify"
            raise UsageError(f"a net trained on the classes {classes} predicts no images; use 'tinympcnn {command}'")
    members = predictor(committee)
    result = Result("predicted", lambda band: band, (members.out_maps,), np.float32, None)
    pages = Pages(members, factor, machine=machine, echo=echo)
    return Job(pages, [result], reading, force).run(images, Path(output))
