"""Training on images that show one thing each: what ``tinympcnn train`` does without label images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tinympcnn.cli.models import AnyPath, load_backend
from tinympcnn.cli.session import Job, Session, check_session, digest, train
from tinympcnn.data.distort import Distortion
from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.errors import UsageError, counted
from tinympcnn.io.classes import Classified, has_classes, read_classified
from tinympcnn.io.reading import Reading
from tinympcnn.net import Net
from tinympcnn.nn.spec import NETS
from tinympcnn.training.classes import ClassifiedImages, split_stratified
from tinympcnn.training.recipe import Recipe

USUAL = "32x32-16C5-MP2-32C3-MP2-64C3-MP2-100N"  # the net where none is given, between its channels and its classes


@dataclass(frozen=True)
class Column:
    """What happens to an image before the net of a column sees it, and how many images make an update."""

    preprocess: str = "none"
    """What happens to each image first, in training and in use: none, width12 (or another width, for digits), imadjust,
    histeq, adapthisteq or conorm."""
    distort: str = "none"
    """How each image is distorted each time it is seen in training: digits, signs, or some of translation, scale,
    rotation, shear, alpha and sigma, as in rotation=10,scale=0.1."""
    batch: int = 32
    """The number of images of one update."""


def train_classes(
    images: Sequence[AnyPath],
    output: AnyPath,
    recipe: Recipe = Recipe(),
    *,
    net: str | None = None,
    column: Column = Column(),
    val: float = 0.0,
    reading: Reading = Reading(),
    session: Session = Session(),
) -> Net:
    """Train a column on images with one class each, and write it to `output`.

    The images are one folder with a subfolder for each class, or one CSV with the columns file and class. Without a
    `net`, a small one is trained. `val` is the share of the images of each class that is held out. Return the column,
    on the CPU.
    """
    if not has_classes(images):
        raise UsageError(
            f"{images[0]} tells no classes: give label images (-l), or one folder with a subfolder for each class, "
            "or one CSV with the columns file and class"
        )
    if recipe.augment != "none" or recipe.crop is not None:
        raise UsageError("images with one class each are distorted by --distort; leave out --augment and --crop")
    if reading.threshold is not None or reading.ignore:
        raise UsageError("--threshold and --ignore are for label images; leave them out")
    distortion = Distortion.parse(column.distort)
    check_session(session, output, [path for path in map(Path, images) if path.is_file()], recipe)
    read = read_classified(images, reading=reading)
    session.echo(read.describe())
    model = _model(net, column, read, recipe.seed).to(load_backend(session.device, None)[0])
    assert read.classes is not None
    kept, held = split_stratified(read.classes, val, recipe.seed)
    data = ClassifiedImages(model, read.images[kept], read.classes[kept], distortion, column.batch, recipe.seed)
    validation = ClassifiedImages(model, read.images[held], read.classes[held], batch=column.batch) if val else None
    same = digest(read.class_names, [read.images, read.classes])
    choices = {"net": net, **asdict(column), **asdict(reading), "val": val, "data_sha256": same}
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
            f"the net {written} takes {counted(model.in_maps, 'channel')} and tells {model.out_maps} classes apart; "
            f"here are {counted(maps, 'channel')} and {classes} classes: begin it with {maps}x and end it in {classes}N"
        )
    model.class_names = read.class_names
    model.preprocessing = Preprocessing.parse(column.preprocess).config()
    return model
