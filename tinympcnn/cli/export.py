"""``tinympcnn export``: from model files to one ONNX file, or to a folder for DeepImageJ, ilastik and QuPath."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinympcnn import __version__
from tinympcnn.cli import arguments
from tinympcnn.cli.models import AnyPath, Echo, Paths, load_calibration, load_nets
from tinympcnn.cli.results import made_folder
from tinympcnn.cli.words import say
from tinympcnn.data import synthetic_membranes
from tinympcnn.data.downsample import downsample
from tinympcnn.engine.backend import Pair
from tinympcnn.errors import UsageError, counted
from tinympcnn.inference.average import agreed
from tinympcnn.inference.calibration import Calibration
from tinympcnn.inference.classify import check_columns, classify
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.segment import predict
from tinympcnn.io.atomic import replacing
from tinympcnn.io.classes import shrunk
from tinympcnn.io.onnx import bioimageio
from tinympcnn.io.onnx.graph import library
from tinympcnn.io.onnx.model import PIXELS, Steps, classifies, to_onnx
from tinympcnn.io.outputs import check_outputs
from tinympcnn.nn.sequential import Sequential

EXAMPLES = """
  tinympcnn export membranes.npz membranes.onnx
  tinympcnn export n3.npz n4.npz both.onnx --calibration cal.json
  tinympcnn export --bioimageio membranes-model/ membranes.npz
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn export``."""
    text = "The models that train wrote, and as the last file the one to write, which ends in .onnx. The probabilities "
    parser.add_argument("files", **arguments.FILES, help=text + "of several models are averaged.")
    parser.add_argument(
        "--bioimageio", type=arguments.path, metavar="DIR",
        help="Write the model to this folder, with the description rdf.yaml and test images, for DeepImageJ, ilastik "
        "and QuPath. All files are models then.",
    )  # fmt: skip
    arguments.fields(parser, Choices, turns={}, calibration="CAL.json", predict={}, pixels={"choices": PIXELS})
    arguments.force(parser, "Replace files that exist.")


def run(options: argparse.Namespace) -> None:
    """Export as the options of ``tinympcnn export`` say."""
    folder = options.bioimageio is not None
    *models, output = [*options.files, options.bioimageio] if folder else options.files
    if not folder and Path(output).suffix.lower() != ".onnx":
        raise UsageError(
            f"the last file is the one to write and ends in .onnx, and {output} does not: tinympcnn export {output} "
            f"{Path(output).with_suffix('.onnx')}"
        )
    if not models:
        raise UsageError(f"{output} needs the model to export before it: tinympcnn export MODEL.npz {output}")
    export_files(models, output, arguments.made(Choices, options), folder=folder, force=options.force)


@dataclass(frozen=True)
class Choices:
    """What decides the exported model besides the models."""

    turns: bool = False
    """Average the probabilities over the eight flips and quarter turns of each image: test-time augmentation."""
    calibration: AnyPath | None = None
    """Correct the probabilities by this file, which calibrate wrote. The default is to correct nothing."""
    predict: bool = False
    """Give the images that nets trained on target images predict, in place of probabilities."""
    pixels: str | None = None
    """The type of the pixels that go in. The default is float32. For nets that classify whole images the default is
    uint8."""


def export_files(
    models: Paths,
    output: AnyPath,
    choices: Choices = Choices(),
    *,
    folder: bool = False,
    force: bool = False,
    echo: Echo = say,
) -> Path:
    """Write models as one ONNX file that averages them, or as a `folder` for bioimage.io, and return its path.

    The models all segment, or all classify whole images. A `UsageError` refuses a file that exists, unless `force` is
    given, and what ONNX can not express: a layer, a preprocessing or a choice. A `DataError` refuses models that do not
    fit together, or compute in float64.
    """
    library()
    if folder:
        bioimageio.library()
    nets, steps, calibration = _joined(models, choices)
    model, path = to_onnx(nets, steps, {"tinympcnn": __version__}), Path(output)
    check_outputs([made_folder(path) / name for name in bioimageio.FILES] if folder else [path], models, force)
    if folder:
        image = example_image(nets[0], steps, bioimageio.example_size(model))
        result = expected(nets, steps, calibration, image)
        bioimageio.write_folder(path, model, np.moveaxis(image, -1, 0)[None], np.moveaxis(result, -1, 0)[None])
    else:
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString())
    shape = "(N, K)" if classifies(nets) else "(N, K, H, W)"
    mean = f"{counted(len(nets), 'net')}, each on {counted(steps.views, 'view')}"
    echo(
        f"wrote {path}: image (N, C, H, W) of {steps.pixels} to {steps.output} {shape}, with C = {nets[0].in_maps} and "
        f"K = {nets[0].out_maps}; the mean of {mean}"
    )
    return path


def _joined(models: Paths, choices: Choices) -> tuple[Sequence[Sequential], Steps, Calibration | None]:
    """Read models that fit together and the choices; return also what happens to pixels and probabilities besides."""
    nets, names, factor = load_nets(models)
    agreed("list of class names", [net.class_names for net in nets], names)
    whole = classifies(nets)
    if whole and (choices.turns or choices.calibration or choices.predict):
        raise UsageError(f"{names[0]} classifies whole images: leave out --turns, --calibration and --predict")
    if choices.predict and choices.calibration:
        raise UsageError("a calibration corrects probabilities: leave out --calibration or --predict")
    if choices.predict and nets[0].class_values:
        raise UsageError(f"{names[0]} was trained on the classes {nets[0].class_values}: leave out --predict")
    if whole:
        check_columns(nets, names)
    calibration = load_calibration(choices.calibration, tuple(nets[0].class_values or range(nets[0].out_maps)))
    steps = Steps(
        turns=choices.turns,
        calibration=calibration.coefficients if calibration else (),
        scores=choices.predict,
        downsample=factor,
        pixels=choices.pixels or ("uint8" if whole else "float32"),
    )
    return nets if whole else Committee(nets, names=names).nets, steps, calibration


def example_image(net: Sequential, steps: Steps, size: Pair) -> np.ndarray:
    """Return a synthetic image (H, W, C) of the type and on the scale of the pixels that a net takes."""
    image = np.moveaxis(synthetic_membranes(net.in_maps, size, rng=0)[0], 0, -1).astype(np.float64)
    if classifies([net]):
        image *= PIXELS[steps.pixels] / 255
    elif net.normalisation is not None:
        mean, std = net.normalisation
        image = (image - image.mean(axis=(0, 1))) / image.std(axis=(0, 1)) * std + mean
    if steps.pixels != "float32":
        image = np.rint(image).clip(0, PIXELS[steps.pixels])
    return image.astype(steps.pixels)


def expected(
    nets: Sequence[Sequential], steps: Steps, calibration: Calibration | None, image: np.ndarray
) -> np.ndarray:
    """Return what the library gives for an image (H, W, C): (h, w, K), or (K,) of nets that classify whole images."""
    if classifies(nets):
        return np.asarray(classify(nets, shrunk(image, steps.downsample)[None])[0], np.float32)
    committee = Committee(nets, steps.turns)
    image = downsample(image, steps.downsample)
    if steps.scores:
        return predict(committee, image)
    probabilities = committee.segment(image)
    return calibration(probabilities) if calibration else probabilities
