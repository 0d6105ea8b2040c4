"""``tinympcnn demo`` does the main job on synthetic membranes: train, segment unseen images, score, time, draw.

The steps are those of a script of your own, in their order.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tinympcnn import data, metrics
from tinympcnn.cli import arguments, pictures
from tinympcnn.cli.progress import Progress
from tinympcnn.cli.results import made_folder
from tinympcnn.engine import backend
from tinympcnn.errors import UsageError
from tinympcnn.io.atomic import replacing
from tinympcnn.io.predictions import write_labels, write_probabilities
from tinympcnn.net import Net
from tinympcnn.nn.losses import softmax
from tinympcnn.training.fit import fit
from tinympcnn.training.recipe import Recipe

SPEC = "C5x5x12 MPF2x2 C4x4x16 MPF2x2 FC4x4x32 FC2"
EPOCHS = 30
VALUES = (0, 255)  # of membranes and of the insides of cells, as in the ISBI 2012 challenge
SAMPLE = 4096  # patches that the patch net is timed on
BATCH = 256  # patches that it gets at a time: one at a time it would be slower still

EXAMPLES = """
  tinympcnn demo
  tinympcnn demo -o /tmp/demo --threads 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn demo``."""
    parser.add_argument(
        "-o", "--output", type=arguments.path, default="demo", metavar="DIR",
        help="The folder of the results, which is made if it does not exist. The default is demo.",
    )  # fmt: skip
    arguments.machine(parser)


def run(options: argparse.Namespace) -> None:
    """Run the demo."""
    demo(options.output, device=options.backend)


def demo(
    output: str | PathLike[str] = "demo",
    device: str = "auto",
    seconds: float = 40,
    echo: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a small net on synthetic membranes, segment two unseen images, and say how good and how fast that was.

    Training ends with the first epoch after `seconds`, on a slow machine before the last. What an earlier demo left in
    the folder is replaced. Return what was measured, by name, and the files.
    """
    xp, why = backend.load(device)
    echo(f"backend: {why}")
    folder = made_folder(Path(output))
    images, labels = data.synthetic_membranes(48, 80, rng=0)
    unseen, truth = data.synthetic_membranes(2, 256, rng=np.random.default_rng([0, 1]))

    net = Net.from_spec(SPEC, rng=0).to("numpy" if xp is np else "cupy")
    net.class_values = VALUES
    net.record = {"made by": "tinympcnn demo", "net": SPEC, "numpy": np.__version__}
    echo(f"training {SPEC}\non {len(images)} images of 80x80, for at most {seconds:g} s and the epoch then begun:")
    recipe = Recipe(EPOCHS, options={"lr": 0.01}, augment="flip")
    for record in fit(net, (list(images), list(data.class_indices(labels, VALUES))), recipe):
        pass
        if record["seconds"] > seconds:
            break
    epochs = record["epoch"]
    if epochs < EPOCHS:
        echo(f"  the time is up after {epochs} of {EPOCHS} epochs: more would make the result better")

    net.segment(unseen[0])  # the first time threads start and memory is taken
    start = time.perf_counter()
    probabilities = np.stack([net.segment(image) for image in unseen])
    rate = truth.size / (time.perf_counter() - start)
    classes = probabilities.argmax(axis=-1)
    labelled = np.asarray(VALUES, np.uint8)[classes]
    error = float((labelled != truth).mean())
    best = metrics.best_threshold_error(unseen, data.class_indices(truth, VALUES))
    alone = f"the best grey threshold alone: {best.error:.3f}"
    echo(f"pixel error on {len(unseen)} unseen images of 256x256: {error:.3f}; {alone}")

    patch_rate, difference = _patch_by_patch(net, unseen[0], probabilities[0])
    echo(
        f"segmented {rate:,.0f} patches per second; patch by patch it would be {patch_rate:,.0f}, measured on {SAMPLE} "
        f"of them, {BATCH} at a time, and scaled: {rate / patch_rate:.0f} times slower, for the same probabilities "
        f"(to {difference:.0e})"
    )
    names = ("model.npz", "unseen.tif", "unseen_truth.tif", "unseen_prob.tif", "unseen_labels.tif", "membranes.png")
    files = [folder / name for name in names]  # named as `tinympcnn segment` would
    net.to("numpy").save(files[0])
    for path, stack in zip(files[1:3], (unseen, truth), strict=True):
        with replacing(path) as temporary:
            tifffile.imwrite(temporary, stack, photometric="minisblack", metadata={"axes": "ZYX"})
    write_probabilities(files[3], probabilities, VALUES, force=True)
    write_labels(files[4], classes, VALUES, force=True)
    try:
        panels = [unseen[0], truth[0], probabilities[0, :, :, 1], labelled[0]]
        titles = ["image", "truth (black: membrane)", "probability of the interior", "labels"]
        caption = f"pixel error {error:.3f}; {alone}; {rate:,.0f} patches per second"
        pictures.side_by_side(panels, titles, files[5], caption)
    except UsageError as missing:
        echo(f"no picture: {missing}")
        files.pop()
    echo(f"wrote {', '.join(file.name for file in files)} in {folder}")
    return {
        "epochs": epochs,
        "pixel_error": error,
        "threshold_error": best.error,
        "speedup": rate / patch_rate,
        "largest_difference": difference,
        "files": files,
    }


def _patch_by_patch(net: Net, image: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    """Return the patch net's speed on random pixels, in patches per second, and its distance from `probabilities`."""
    rng, patch = np.random.default_rng(0), net.as_patch()
    rows, columns = (rng.integers(n, size=SAMPLE) for n in image.shape)
    mirrored = data.mirror(net.normalised(image[:, :, None]), net.field_of_view)[:, :, 0]
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, net.field_of_view)
    start, found = time.perf_counter(), []
    for i in range(0, SAMPLE, BATCH):
        batch = net.xp.asarray(windows[rows[i : i + BATCH], columns[i : i + BATCH]][..., None])
        found.append(backend.to_numpy(softmax(patch.forward(batch, train=False))[:, 0, 0]))
    rate = SAMPLE / (time.perf_counter() - start)
    return rate, float(np.abs(np.concatenate(found) - probabilities[rows, columns]).max())
