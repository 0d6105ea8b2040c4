"""``tinympcnn train``: from images and label images, or images with one class each, to a model file."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.models import AnyPath
from tinympcnn.cli.progress import Progress
from tinympcnn.cli.session import Job, Session, check_session, checkpoint_path, digest, train
from tinympcnn.cli.train_classes import Column, train_classes
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.io.images import expand
from tinympcnn.io.pairs import Pairs, read_pairs
from tinympcnn.io.places import read_discs
from tinympcnn.io.reading import Reading
from tinympcnn.net import Net
from tinympcnn.nn.optim import OPTIMIZERS
from tinympcnn.training.dataset import split_validation
from tinympcnn.training.recipe import BALANCES, KEEPS, Recipe

EXAMPLES = """
  tinympcnn train -i slices/ -l masks/ -o membranes.npz --net N3 --epochs 30 \\
                  --augment flip --val 0.2 --log membranes.csv
  tinympcnn train -i signs/ -o signs.npz --preprocess imadjust --distort signs

'tinympcnn help nets' explains how nets are written. docs/ of the repository
shows whole jobs: membranes, defects in steel, objects, traffic signs.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn train``."""
    titles = ("data", "net", "training", "images with one class each", "machine")
    data, net, training, column, machine = (parser.add_argument_group(title) for title in titles)
    text = f"{arguments.IMAGES} Without label images: one folder with a subfolder for each class, or one CSV with the "
    text += "columns file and class."
    arguments.images(data, "radius", "downsample", "threshold", "ignore", help=text)
    text = "The label images. Each value that they hold stands for a class. With --radius: a table of points, or "
    text += "images of numbered objects. The default is one class for each image."
    data.add_argument("-l", "--labels", help=text, **arguments.FILES)
    arguments.output(data, "MODEL.npz", "The model file to write. A checkpoint is kept beside it.", required=True)
    text = "The share of the images that is held out for validation. The default, 0, holds out none."
    data.add_argument("--val", type=float, default=0.0, metavar="FRACTION", help=text)
    arguments.fields(data, Session, log="LOG.csv", watch="PICTURE.png", force={})
    either = net.add_mutually_exclusive_group()
    either.add_argument(
        "--net", metavar="NAME|SPEC",
        help="The net to train, by a name such as N3, N4 or steel, or by a spec such as 'C5x5x8 MPF2x2 FC2'; "
        "'tinympcnn help nets' explains both. The default is N3 for label images, and a small net for images with one "
        "class each.",
    )  # fmt: skip
    text = "Start from the net and the parameters of this model. The default is a net with random parameters."
    either.add_argument("--init", type=arguments.path, metavar="MODEL.npz", help=text)
    arguments.fields(
        training, Recipe, epochs="E", optimizer={"choices": list(OPTIMIZERS)},
        balance={"nargs": "?", "const": "classes", "choices": BALANCES}, augment="KINDS", crop="N",
        focus={"type": arguments.path, "metavar": "none|classes|FIRST.npz"}, decay="SCHEDULE", warmup="E",
        keep={"choices": KEEPS}, seed={"type": arguments.ranged(int, 0), "metavar": "S"},
    )  # fmt: skip
    text = "The learning rate, or the first step of armijo. Each optimiser has its own default."
    training.add_argument("--lr", type=float, help=text)
    text = "What happens if the line search of armijo finds no step. The default is stop."
    training.add_argument("--on-failure", choices=("stop", "continue"), help=text)
    arguments.fields(
        column, Column, preprocess="KIND", distort="RANGES", batch={"type": arguments.ranged(int, 1), "metavar": "N"}
    )
    arguments.fields(machine, Session, resume={}, minutes="MINUTES", processes="N", cluster="local|ADDRESS")
    arguments.machine(machine)


def run(options: argparse.Namespace) -> None:
    """Train as the options of ``tinympcnn train`` say; an interrupted run says how to go on."""
    chosen = {name: getattr(options, name) for name in ("lr", "on_failure") if getattr(options, name) is not None}
    recipe = arguments.made(Recipe, options, options=chosen)
    shown = Progress(recipe.epochs)
    hooks = {"begin": shown.begin, "report": shown.epoch, "progress": shown.update}
    try:
        use = _start(options, recipe, arguments.made(Session, options, **hooks))
    except KeyboardInterrupt:
        place = checkpoint_path(options.output)
        way_on = f"the same command with --resume goes on from {place}" if place.is_file() else ""
        raise KeyboardInterrupt(way_on) from None
    finally:
        shown.clear()
    shown.end()
    print(f"next: tinympcnn {use.format(model=shlex.quote(options.output))}")  # in one piece, to be copied


def _start(options: argparse.Namespace, recipe: Recipe, session: Session) -> str:
    """Train on label images, or on images with one class each; return the command that uses the model."""
    reading, column = arguments.made(Reading, options), arguments.made(Column, options)
    how: dict[str, Any] = {"val": options.val, "reading": reading, "session": session}
    if options.labels:
        if column != Column():
            raise UsageError(
                "--preprocess, --distort and --batch are for images with one class each; leave out --labels"
            )
        if options.init and not options.init.endswith(".npz"):
            raise UsageError(f"--init takes a model file whose name ends in .npz; rename {options.init}")
        net = options.init or options.net or "N3"
        train_files(options.images, options.labels, options.output, recipe, net=net, **how)
        found = "segment -i IMAGES -m {model} -o results/ --preview"
        return found if reading.radius is None else "locate -i IMAGES -m {model} -o objects.csv"
    if reading.radius is not None:
        raise UsageError("--radius is for objects; give the places of the objects as --labels")
    if options.init:
        raise UsageError("--init starts from a model of label images; images with one class each begin with --net")
    train_classes(options.images, options.output, recipe, net=options.net, column=column, **how)
    return "classify -i IMAGES -m {model}"


def train_files(
    images: Sequence[AnyPath],
    labels: Sequence[AnyPath],
    output: AnyPath,
    recipe: Recipe = Recipe(),
    *,
    net: str = "N3",
    val: float = 0.0,
    reading: Reading = Reading(),
    session: Session = Session(),
) -> Net:
    """Train a net on image files, write it to `output`, and return it, on the CPU.

    The `net` is N3, N4, steel, a spec, or the model file (.npz) whose parameters training starts from. `val` is the
    share of the images that is held out: the last pages of stacks, a random choice of single files.
    """
    echo = session.echo
    models = [Path(name) for name in (net, recipe.focus) if name.endswith(".npz")]
    check_session(session, output, [*expand(images, "images"), *expand(labels, "labels"), *models], recipe)
    pairs = read_pairs(images, labels, reading) if reading.radius is None else read_discs(images, labels, reading)
    for line in pairs.description:
        echo(line)
    model = _model(net, pairs, recipe.seed)
    start = digest((), [model.flat()]) if net.endswith(".npz") else None
    stacks = all(name.endswith("]") for name in pairs.names)
    kept, held = split_validation(len(pairs.images), val, stacks, recipe.seed)
    train_on, held_out = (([pairs.images[i] for i in some], [pairs.labels[i] for i in some]) for some in (kept, held))
    for part, labelled in (("to train on", train_on[1]), ("held out by --val", held_out[1])):
        if labelled and not any((y >= 0).any() for y in labelled):
            raise DataError(f"no pixel of the images {part} counts; label some of them, or change --val")
    present = set().union(*map(np.unique, train_on[1]))
    for k, value in enumerate(pairs.class_values):
        if k not in present:
            echo(f"warning: no image to train on has a pixel of class {value}, so the net cannot learn this class")
    data = digest(pairs.class_values, [*pairs.images, *pairs.labels])
    names = {"images": [pairs.names[i] for i in kept], "validation": [pairs.names[i] for i in held]}
    choices = {"net": net, **asdict(reading), "val": val, "init_sha256": start, "data_sha256": data}
    if recipe.focus not in ("none", "classes"):
        choices["focus_sha256"] = digest((), [Net.load(recipe.focus).flat()])
    validation = held_out if held else None
    return train(model, train_on, recipe, validation=validation, job=Job(output, choices, names), session=session)


def _model(net: str, pairs: Pairs, seed: int) -> Net:
    """Return the net to train: new, or from a model file."""
    in_maps, classes = pairs.images[0].shape[2], len(pairs.class_values)
    if net.endswith(".npz"):
        model = Net(Net.load(net).layers)
        if model.in_maps != in_maps or model.out_maps != classes:
            raise UsageError(
                f"{net} takes {counted(model.in_maps, 'channel')} and tells {model.out_maps} classes apart; here "
                f"are {counted(in_maps, 'channel')} and {classes} classes"
            )
    else:
        model = Net.from_spec(net, in_maps, rng=seed).as_image()
    if model.out_maps != classes:
        way_out = pairs.advice or f"end the spec in FC{classes}, or leave values out with --ignore VALUE"
        raise UsageError(
            f"the net has {model.out_maps} outputs and the labels have {classes} classes "
            f"{pairs.class_values}; {way_out}"
        )
    model.class_values = pairs.class_values
    return model
