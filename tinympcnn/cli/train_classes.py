"""Training on images that show one thing each: what ``tinympcnn train`` does without label images."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.session import Job, Session, check_session, train
from tinympcnn.data.distort import Distortion
from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.engine import backend
from tinympcnn.errors import UsageError
from tinympcnn.io.classes import Classified, has_classes, read_classified
from tinympcnn.io.reading import Reading
from tinympcnn.net import Net
from tinympcnn.nn.spec import NETS
from tinympcnn.training.classes import ClassifiedImages, split_stratified
from tinympcnn.training.recipe import Recipe

USUAL = "32x32-16C5-MP2-32C3-MP2-64C3-MP2-100N"  # the net where none is given, between its channels and its classes


@dataclass(frozen=True)
class Column:
    """What happens to an image before the net of a column sees it, and how many images make an update.

    Attributes
    ----------
    preprocess : str
        "none", "width12" or another width, "imadjust", "histeq", "adapthisteq" or "conorm": always applied.
    distort : str
        How images are distorted in training, such as "rotation=10,scale=0.1", "digits" or "signs".
    batch : int
        The number of images of one update.
    """

    preprocess: str = "none"
    distort: str = "none"
    batch: int = 32


def add_arguments(parser: argparse._ActionsContainer) -> None:
    """Add the options of ``tinympcnn train`` that belong to images with one class each."""
    usual = Column()
    parser.add_argument(
        "--preprocess", default=usual.preprocess, metavar="KIND",
        help="What happens to each image first, in training and in use: none, width12 (or another width, for digits), "
        "imadjust, histeq, adapthisteq or conorm. The default is none.",
    )  # fmt: skip
    parser.add_argument(
        "--distort", default=usual.distort, metavar="RANGES",
        help="How each image is distorted each time it is seen: digits, signs, or some of translation, scale, "
        "rotation, shear, alpha and sigma, as in rotation=10,scale=0.1. The default is none.",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=arguments.ranged(int, 1), default=usual.batch, metavar="N",
        help="The number of images of one update. The default is 32.",
    )  # fmt: skip


def train_classes(
    images: Sequence[str | PathLike[str]],
    output: str | PathLike[str],
    recipe: Recipe = Recipe(),  # noqa: B008
    *,
    net: str | None = None,
    column: Column = Column(),
    val: float = 0.0,
    reading: Reading = Reading(),  # noqa: B008
    session: Session = Session(),  # noqa: B008
) -> Net:
    """Train a column on images with one class each, and write it to `output`.

    Parameters
    ----------
    images : sequence of path
        One folder with a subfolder for each class, or one CSV with the columns file and class.
    output : path
        The model file, written at the end. A checkpoint lies beside it.
    recipe : Recipe
        All that decides the result, beside the column and the data. Its augmentation and crops are for label images.
    net : str, optional
        The net, by name or in the notation ``1x29x29-20C4-MP2-40C5-MP3-150N-10N``. The default is a small net.
    column : Column
        The preprocessing, the distortion and the batch.
    val : float
        The share of the images of each class that is held out.
    reading : Reading
        How the files are read: their axes, and the factor by which images are shrunk.
    session : Session
        How the run is carried out.

    Returns
    -------
    Net
        The trained column, on the CPU.
    """
    if not has_classes(images):
        raise UsageError(
            f"{images[0]} tells no classes: give label images (-l), or one folder with a subfolder for each class, "
            "or one CSV with the columns file and class"
        )
    if recipe.augment != "none" or recipe.crop is not None:
        raise UsageError("images with one class each are distorted by --distort; leave out --augment and --crop")
    distortion = Distortion.parse(column.distort)
    check_session(session, output, [path for path in map(Path, images) if path.is_file()], recipe)
    read = read_classified(images, reading=reading)
    session.echo(read.describe())
    model = _model(net, column, read, recipe.seed).to("numpy" if backend.load(session.device)[0] is np else "cupy")
    assert read.classes is not None
    kept, held = split_stratified(read.classes, val, recipe.seed)
    data = ClassifiedImages(model, read.images[kept], read.classes[kept], distortion, column.batch, recipe.seed)
    validation = ClassifiedImages(model, read.images[held], read.classes[held], batch=column.batch) if val else None
    session.echo(f"training on {len(kept)} image(s), validating on {len(held)}")
    choices = {"net": net, **asdict(column), **asdict(reading), "val": val, "data_sha256": _digest(read)}
    names = {"images": [read.names[i] for i in kept], "validation": [read.names[i] for i in held]}
    return train(model, data, recipe, validation=validation, job=Job(output, choices, names), session=session)


def _model(net: str | None, column: Column, read: Classified, seed: int) -> Net:
    """Return the patch net to train, with its preprocessing and the names of its classes."""
    maps, classes = read.images.shape[3], len(read.class_names)
    if classes < 2:
        raise UsageError(f"all images are of the class {read.class_names[0]!r}; a net needs two classes to tell apart")
    spec = net or f"{maps}x{USUAL}-{classes}N"
    model = Net.from_spec(spec, maps, rng=seed).as_patch()
    if (model.in_maps, model.out_maps) != (maps, classes):
        written = NETS.get(spec.strip().lower(), spec)
        raise UsageError(
            f"the net {written} takes images with {model.in_maps} channel(s) and tells {model.out_maps} classes apart; "
            f"here are {maps} channel(s) and {classes} classes: begin it with {maps}x and end it in {classes}N"
        )
    model.class_names = read.class_names
    model.preprocessing = Preprocessing.parse(column.preprocess).config()
    return model


def _digest(read: Classified) -> str:
    """Return the SHA-256 of all pixels, classes and class names, by which a record tells if the data are the same."""
    digest = hashlib.sha256(repr((read.class_names, read.images.shape, read.images.dtype.str)).encode())
    for array in (read.images, np.asarray(read.classes)):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
