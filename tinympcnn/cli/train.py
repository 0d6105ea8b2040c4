"""``tinympcnn train``: from image files and label images to a model file.

Everything is checked before the work begins. A checkpoint beside the model survives any interruption.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.progress import Bar
from tinympcnn.cli.session import AnyPath, Job, Session, check_session, checkpoint_path, train
from tinympcnn.errors import UsageError
from tinympcnn.io.images import expand
from tinympcnn.io.pairs import Pairs, read_pairs
from tinympcnn.io.reading import Reading
from tinympcnn.net import Net
from tinympcnn.nn.optim import OPTIMIZERS
from tinympcnn.training.dataset import split_validation
from tinympcnn.training.recipe import BALANCES, KEEPS, Recipe

EXAMPLE = """example:
  tinympcnn train -i slices/ -l masks/ -o membranes.npz --net N3 --epochs 30 --augment flip --val 0.2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn train``."""
    parser.epilog = EXAMPLE
    data = parser.add_argument_group("data")
    arguments.images(data)
    arguments.labels(data, "The label images. Each value that they hold stands for a class.")
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
    data.add_argument("--log", type=arguments.new_file, metavar="LOG.csv", help="Write one row for every epoch.")
    arguments.force(data)
    net = parser.add_argument_group("net").add_mutually_exclusive_group()
    net.add_argument(
        "--net", default="N3", metavar="N3|N4|steel|SPEC",
        help="The net to train, by name or by a spec such as 'C5x5x8 MPF2x2 FC2'. The default is N3.",
    )  # fmt: skip
    net.add_argument(
        "--init", type=arguments.path, metavar="MODEL.npz",
        help="Start from the net and the parameters of this model. The default is a net with random parameters.",
    )  # fmt: skip
    _add_recipe(parser.add_argument_group("recipe"))
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
    text = "The learning-rate schedule of adam and sgd: none, linear, cosine, or a factor for each epoch such as 0.993."
    add("decay", text, metavar="SCHEDULE")
    add("warmup", "The number of epochs over which the learning rate grows from zero.", type=float, metavar="E")
    add("augment", "The changes made to each image, such as flip or rotate+elastic+intensity.", metavar="KINDS")
    parser.add_argument(
        "--crop", type=int, metavar="N", help="Make one update for each NxN crop. The default is one for each image."
    )
    add("keep", "The epoch that is kept: the last one, or the best one by validation loss.", choices=KEEPS)
    add("seed", "The seed of everything random.", type=arguments.ranged(int, 0), metavar="S")


def run(options: argparse.Namespace) -> None:
    """Train as the options of ``tinympcnn train`` say; an interrupted run says how to go on."""
    chosen = {"lr": options.lr, "on_failure": options.on_failure}
    choices = {field.name: getattr(options, field.name) for field in fields(Recipe) if field.name != "options"}
    recipe = Recipe(**choices, options={name: value for name, value in chosen.items() if value is not None})
    bar = Bar(recipe.epochs)
    session = Session(
        device=options.backend, processes=options.processes, minutes=options.minutes, resume=options.resume,
        force=options.force, log=options.log, report=bar.epoch, progress=bar.update,
    )  # fmt: skip
    try:
        train_files(
            options.images, options.labels, options.output, recipe, net=options.init or options.net, val=options.val,
            reading=arguments.reading_of(options), session=session,
        )  # fmt: skip
    except KeyboardInterrupt:
        place = checkpoint_path(options.output)
        way_on = f"the same command with --resume goes on from {place}" if place.is_file() else ""
        raise KeyboardInterrupt(way_on) from None
    finally:
        bar.clear()


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
    """Train a net on image files and write it to `output`.

    Parameters
    ----------
    images, labels : sequence of path
        Files and folders; see ``tinympcnn.io.pairs.read_pairs``.
    output : path
        The model file, written at the end. A checkpoint lies beside it (``checkpoint_path``).
    recipe : Recipe
        All that decides the result, beside the net and the data.
    net : str
        The net to train: N3, N4, steel, a spec, or the model file (.npz) whose parameters training starts from. The
        images are normalised by their own mean and standard deviation in each case.
    val : float
        The share of the images that is held out: the last pages of stacks, a random choice of single files.
    reading : Reading
        How the files are read. The model records it, and `segment_files` and `detect_files` follow.
    session : Session
        How the run is carried out.

    Returns
    -------
    Net
        The trained net, on the CPU.
    """
    echo = session.echo
    inputs = [*expand(images, "images"), *expand(labels, "labels"), *([Path(net)] if net.endswith(".npz") else [])]
    check_session(session, output, inputs, recipe)
    pairs = read_pairs(images, labels, reading)
    for line in pairs.description:
        echo(line)
    model, start = _model(net, pairs, recipe.seed)
    stacks = all(name.endswith("]") for name in pairs.names)
    kept, held = split_validation(len(pairs.images), val, stacks, recipe.seed)

    def pick(which: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [pairs.images[i] for i in which], [pairs.labels[i] for i in which]

    echo(f"training on {len(kept)} image(s), validating on {len(held)}")
    _warn_of_missing(pairs, kept, echo)
    names = {"images": [pairs.names[i] for i in kept], "validation": [pairs.names[i] for i in held]}
    choices = {"net": net, **asdict(reading), "val": val, "init_sha256": start, "data_sha256": _digest(pairs)}
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
        model = Net.from_spec(net, in_maps, rng=seed)
    if model.out_maps != classes:
        way_out = pairs.advice or f"end the spec in FC{classes}, or leave values out with --ignore VALUE"
        raise UsageError(
            f"the net has {model.out_maps} outputs and the labels have {classes} classes "
            f"{pairs.class_values}; {way_out}"
        )
    model.class_values = pairs.class_values
    return model, start


def _warn_of_missing(pairs: Pairs, kept: list[int], echo: Callable[[str], None]) -> None:
    """Name the classes of which validation or down-sampling leaves no pixel to train on."""
    present = set().union(*(np.unique(pairs.labels[i]).tolist() for i in kept))
    for k, value in enumerate(pairs.class_values):
        if k not in present:
            echo(f"warning: no image to train on has a pixel of class {value}, so the net cannot learn this class")


def _digest(pairs: Pairs) -> str:
    """Return the SHA-256 of all pixels, labels and class values, by which a record tells if the data are the same."""
    digest = hashlib.sha256(repr(pairs.class_values).encode())
    for array in [*pairs.images, *pairs.labels]:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
