"""``tinympcnn train``: from images and label images, or images with one class each, to a model file.

Everything is checked before the work begins. A checkpoint beside the model survives any interruption.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.cli import arguments, crew
from tinympcnn.cli.progress import Bar
from tinympcnn.cli.session import AnyPath, Job, Session, check_session, checkpoint_path, train
from tinympcnn.cli.train_classes import Column, train_classes
from tinympcnn.cli.train_classes import add_arguments as add_column
from tinympcnn.errors import UsageError
from tinympcnn.io.images import expand
from tinympcnn.io.pairs import Pairs, read_pairs
from tinympcnn.io.places import read_discs
from tinympcnn.io.reading import Reading
from tinympcnn.net import Net
from tinympcnn.nn.optim import OPTIMIZERS
from tinympcnn.training.dataset import split_validation
from tinympcnn.training.recipe import BALANCES, KEEPS, Recipe

EXAMPLE = """examples:
  tinympcnn train -i slices/ -l masks/ -o membranes.npz --net N3 --epochs 30 --augment flip --val 0.2
  tinympcnn train -i slides/ -l points.csv --radius 8 -o cells.npz --net mitosis2 --crop 64 --focus classes
  tinympcnn train -i signs/ -o signs.npz --preprocess imadjust --distort signs --epochs 30 --val 0.2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn train``."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "-i", "--images", action=arguments.Files, required=True, metavar="FILE",
        help="The images: TIFF, PNG or JPEG files, or folders that hold such files. Without label images: one folder "
        "with a subfolder for each class, or one CSV with the columns file and class.",
    )  # fmt: skip
    text = "The label images. Each value that they hold stands for a class. With --radius: a table of points, or "
    text += "images of numbered objects. The default is one class for each image."
    arguments.labels(data, text, required=False)
    data.add_argument(
        "--radius", type=arguments.ranged(float, 0), metavar="R",
        help="The radius in pixels of the discs that stand for objects. --labels then gives the places of the objects.",
    )  # fmt: skip
    data.add_argument(
        "-o", "--output", type=arguments.new_file, required=True, metavar="MODEL.npz",
        help="The model file to write. A checkpoint is kept beside it.",
    )  # fmt: skip
    data.add_argument(
        "--val", type=float, default=0.0, metavar="FRACTION",
        help="The share of the images that is held out for validation. The default, 0, holds out none.",
    )  # fmt: skip
    data.add_argument(
        "--downsample", type=arguments.ranged(int, 1), default=1, metavar="N",
        help="Shrink images and labels by this factor. The default is 1.",
    )  # fmt: skip
    arguments.reading(data)
    data.add_argument(
        "--log", type=arguments.new_file, metavar="LOG.csv", help="Write a row for every epoch to this file."
    )
    text = (
        "Replace the model, the checkpoint and the log of an earlier run. The default is to keep them under a number, "
    )
    arguments.force(data, text + "such as cells.1.npz.")
    net = parser.add_argument_group("net").add_mutually_exclusive_group()
    net.add_argument(
        "--net", metavar="N3|N4|steel|dannet-digits|SPEC",
        help="The net to train, by name or by a spec such as 'C5x5x8 MPF2x2 FC2' or '1x29x29-20C4-MP2-40C5-MP3-10N'. "
        "The default is N3 for label images, and a small net for images with one class each.",
    )  # fmt: skip
    net.add_argument(
        "--init", type=arguments.path, metavar="MODEL.npz",
        help="Start from the net and the parameters of this model. The default is a net with random parameters.",
    )  # fmt: skip
    _add_recipe(parser.add_argument_group("recipe"))
    add_column(parser.add_argument_group("images with one class each"))
    run = parser.add_argument_group("run")
    run.add_argument(
        "--resume", action="store_true",
        help="Go on from the checkpoint beside MODEL.npz, if there is one. A finished run can go on for more epochs "
        "if its learning rate does not depend on their number, as with --decay none.",
    )  # fmt: skip
    run.add_argument(
        "--minutes", type=float, default=10, metavar="MINUTES",
        help="The longest time between two checkpoints. The default is 10.",
    )  # fmt: skip
    run.add_argument(
        "--processes", type=int, default=1, metavar="N",
        help="The number of processes, of one thread each, over which lbfgs spreads the images. The default is 1.",
    )  # fmt: skip
    arguments.machine(run)
    crew.add_argument(run, "the images of lbfgs")


def _add_recipe(parser: argparse._ActionsContainer) -> None:
    """Add an option for each field of `Recipe`, with its default."""

    def add(name: str, text: str, **more: Any) -> None:
        text += " The default is %(default)s."
        parser.add_argument(f"--{name}", default=getattr(Recipe(), name), help=text, **more)

    add("epochs", "The number of passes over the images.", type=int, metavar="E")
    add("optimizer", "The optimiser.", choices=list(OPTIMIZERS))
    parser.add_argument(
        "--lr", type=float, help="The learning rate, or the first step of armijo. Each optimiser has its own default."
    )
    parser.add_argument(
        "--on-failure", choices=("stop", "continue"),
        help="What to do if the line search of armijo finds no step. The default is stop.",
    )  # fmt: skip
    text = "Let every class count as much as the others; with 'images' also every image, for rare defects."
    add("balance", text, nargs="?", const="classes", choices=BALANCES)
    text = "The learning-rate schedule of adam and sgd: none, linear, cosine, or a factor for each epoch such as 0.993 "
    text += "(down to a floor: 0.993:0.03)."
    add("decay", text, metavar="SCHEDULE")
    add("warmup", "The number of epochs over which the learning rate grows from zero.", type=float, metavar="E")
    add("augment", "The changes made to each image, such as flip or rotate+elastic+intensity.", metavar="KINDS")
    parser.add_argument(
        "--crop", type=int, metavar="N", help="Make one update for each NxN crop. The default is one for each image."
    )
    text = "How crops are chosen: none (a grid), classes (drawn, as many for each class), or the model of a first net, "
    text += "whose mistakes are drawn."
    add("focus", text, type=arguments.path, metavar="none|classes|FIRST.npz")
    add("keep", "The epoch whose parameters are kept: the last one, or the best one by validation loss.", choices=KEEPS)
    add("seed", "The seed of everything random.", type=arguments.ranged(int, 0), metavar="S")


def run(options: argparse.Namespace) -> None:
    """Train as the options of ``tinympcnn train`` say; an interrupted run says how to go on."""
    chosen = {"lr": options.lr, "on_failure": options.on_failure}
    choices = {field.name: getattr(options, field.name) for field in fields(Recipe) if field.name != "options"}
    recipe = Recipe(**choices, options={name: value for name, value in chosen.items() if value is not None})
    bar = Bar(recipe.epochs)
    session = Session(
        device=options.backend, processes=options.processes, cluster=options.cluster, minutes=options.minutes,
        resume=options.resume, force=options.force, log=options.log, report=bar.epoch, progress=bar.update,
    )  # fmt: skip
    try:
        _start(options, recipe, session)
    except KeyboardInterrupt:
        place = checkpoint_path(options.output)
        way_on = f"the same command with --resume goes on from {place}" if place.is_file() else ""
        raise KeyboardInterrupt(way_on) from None
    finally:
        bar.clear()


def _start(options: argparse.Namespace, recipe: Recipe, session: Session) -> None:
    """Train on label images, if there are any, or on images with one class each."""
    reading, column = arguments.reading_of(options), Column(options.preprocess, options.distort, options.batch)
    if options.labels:
        if column != Column():
            raise UsageError(
                "--preprocess, --distort and --batch are for images with one class each; leave out --labels"
            )
        net = options.init or options.net or "N3"
        train_files(
            options.images, options.labels, options.output, recipe, net=net, val=options.val, reading=reading,
            session=session,
        )  # fmt: skip
    else:
        if reading.radius is not None:
            raise UsageError("--radius is for objects; give the places of the objects as --labels")
        if options.init:
            raise UsageError("--init starts from a model of label images; images with one class each begin with --net")
        train_classes(
            options.images, options.output, recipe, net=options.net, column=column, val=options.val, reading=reading,
            session=session,
        )  # fmt: skip


def train_files(
    images: Sequence[AnyPath],
    labels: Sequence[AnyPath],
    output: AnyPath,
    recipe: Recipe = Recipe(),  # noqa: B008
    *,
    net: str = "N3",
    val: float = 0.0,
    reading: Reading = Reading(),  # noqa: B008
    session: Session = Session(),  # noqa: B008
) -> Net:
    """Train a net on image files, write it to `output`, and return it, on the CPU.

    Parameters
    ----------
    net : str
        The net to train: N3, N4, steel, a spec, or the model file (.npz) whose parameters training starts from. The
        images are normalised by their own mean and standard deviation in each case.
    val : float
        The share of the images that is held out: the last pages of stacks, a random choice of single files.
    reading : Reading
        How the files are read. The model records it, and `segment_files` and `detect_files` follow.
    """
    echo = session.echo
    models = [Path(name) for name in (net, recipe.focus) if name.endswith(".npz")]
    check_session(session, output, [*expand(images, "images"), *expand(labels, "labels"), *models], recipe)
    pairs = read_pairs(images, labels, reading) if reading.radius is None else read_discs(images, labels, reading)
    for line in pairs.description:
        echo(line)
    model, start = _model(net, pairs, recipe.seed)
    stacks = all(name.endswith("]") for name in pairs.names)
    kept, held = split_validation(len(pairs.images), val, stacks, recipe.seed)

    def pick(which: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [pairs.images[i] for i in which], [pairs.labels[i] for i in which]

    echo(f"training on {len(kept)} image(s), validating on {len(held)}")
    present = set().union(*(np.unique(pairs.labels[i]).tolist() for i in kept))
    for k, value in enumerate(pairs.class_values):
        if k not in present:
            echo(f"warning: no image to train on has a pixel of class {value}, so the net cannot learn this class")
    names = {"images": [pairs.names[i] for i in kept], "validation": [pairs.names[i] for i in held]}
    choices = {"net": net, **asdict(reading), "val": val, "init_sha256": start, "data_sha256": _digest(pairs)}
    if recipe.focus not in ("none", "classes"):
        choices["focus_sha256"] = hashlib.sha256(Net.load(recipe.focus).flat().tobytes()).hexdigest()
    validation = pick(held) if held else None
    return train(model, pick(kept), recipe, validation=validation, job=Job(output, choices, names), session=session)


def _model(net: str, pairs: Pairs, seed: int) -> tuple[Net, str | None]:
    """Return the net to train and, if it starts from a model file, the SHA-256 of its parameters."""
    in_maps, classes, start = pairs.images[0].shape[2], len(pairs.class_values), None
    if net.endswith(".npz"):
        loaded = Net.load(net)
        model, start = Net(loaded.layers), hashlib.sha256(loaded.flat().tobytes()).hexdigest()
        if model.in_maps != in_maps or model.out_maps != classes:
            raise UsageError(
                f"{net} takes images with {model.in_maps} channel(s) and tells {model.out_maps} classes apart; "
                f"here are {in_maps} channel(s) and {classes} classes"
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
    return model, start


def _digest(pairs: Pairs) -> str:
    """Return the SHA-256 of all pixels, labels and class values, by which a record tells if the data are the same."""
    digest = hashlib.sha256(repr(pairs.class_values).encode())
    for array in [*pairs.images, *pairs.labels]:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
