"""``tinympcnn demo`` does the main job on synthetic membranes: train, segment unseen images, score, time, draw.

The steps are those of a script of your own, in their order.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tinympcnn import data, metrics
from tinympcnn.cli import arguments, pictures
from tinympcnn.cli.models import AnyPath, Echo
from tinympcnn.cli.progress import Progress
from tinympcnn.cli.results import made_folder
from tinympcnn.cli.words import say
from tinympcnn.engine import backend
from tinympcnn.errors import UsageError
from tinympcnn.inference.committee import Committee
from tinympcnn.io.atomic import replacing
from tinympcnn.io.predictions import write_labels, write_probabilities
from tinympcnn.net import Net
from tinympcnn.nn.losses import softmax
from tinympcnn.training.fit import fit
from tinympcnn.training.recipe import Recipe

SPEC = "C4x4x16 MPF2x2 C3x3x24 MPF2x2 C3x3x32 MPF2x2 FC3x3x48 FC2"
RECIPE = Recipe(12, options={"lr": 0.005}, augment="flip", crop=64, balance="classes")
DRAWN = {"training": 16, "unseen": 2, "held-out": 4}  # images of 256x256
VALUES = (0, 255)  # of membranes and of the insides of cells, as in the ISBI 2012 challenge
SAMPLE = 4096  # patches that the patch net is timed on
BATCH = 256  # patches that it gets at a time: one at a time it would be slower still
SLIVER = 30  # pixels that a cell has at least
MAKER = "tinympcnn demo"
FILES = ("model.npz", "unseen.tif", "unseen_truth.tif", "unseen_prob.tif", "unseen_labels.tif", "membranes.png")
THRESHOLDS = np.linspace(0.3, 0.95, 14)

EXAMPLES = """
  tinympcnn demo
  tinympcnn demo -o pictures --threads 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn demo``."""
    text = "The folder of the results, which is made if it does not exist. The default is demo."
    arguments.output(parser, "DIR", text, default="demo")
    arguments.machine(parser)


def run(options: argparse.Namespace) -> None:
    """Run the demo."""
    demo(options.output, device=options.device)


def demo(output: AnyPath = "demo", device: str = "auto", seconds: float = 45, echo: Echo = say) -> dict[str, Any]:
    """Train a net on synthetic membranes, find the cells of two unseen images, and say how good and how fast that was.

    Training ends with the first epoch after `seconds`, on a slow machine before the last. What an earlier demo left in
    the folder, as its model tells, is replaced; a `UsageError` refuses to replace other files of these names. Return
    what was measured, by name, and the files.
    """
    xp, why = backend.load(device)
    echo(f"backend: {why}")
    folder = made_folder(Path(output))
    there = [folder / name for name in FILES if (folder / name).exists()]
    if there and (there[0].name != FILES[0] or Net.load(there[0]).record.get("made by") != MAKER):
        raise UsageError(f"{there[0]} exists and is not of an earlier demo; name another folder as -o")
    drawn = {
        name: data.synthetic_membranes(n, 256, rng=np.random.default_rng([0, i]))
        for i, (name, n) in enumerate(DRAWN.items())
    }
    net = Net.from_spec(SPEC, rng=0).to(xp.__name__)
    net.class_values = VALUES
    net.record = {"made by": MAKER, "net": SPEC, "numpy": np.__version__}
    epochs = _trained(net, drawn["training"], seconds, echo)

    committee = Committee([net], turns=True)
    held, unseen = (np.stack([committee.segment(image) for image in drawn[name][0]]) for name in ("held-out", "unseen"))
    images, truth = drawn["unseen"]
    apart, interior = separated(unseen[..., 1]), truth > 0
    threshold = metrics.v_scores(separated(held[..., 1]), drawn["held-out"][1] > 0, THRESHOLDS).rand.threshold
    found = [metrics.thin_borders(metrics.segments(p > threshold)) for p in apart]
    true = [cells(inside) for inside in interior]
    scores = {
        "v_rand": metrics.v_scores(apart, interior, [threshold]).rand.value,
        "cells": sum(len(np.unique(one)) - 1 for one in true),
        "merged": sum(map(merged, found, true)),
        "pixel_error": float((unseen.argmax(axis=-1) != interior).mean()),
        "threshold_error": metrics.best_threshold_error(images, interior.astype(int)).error,
    }
    echo(
        f"unseen images: V_Rand {scores['v_rand']:.3f} of 1, {scores['merged']} of {scores['cells']} cells merged, "
        f"pixel error {scores['pixel_error']:.3f}; the best grey threshold alone: {scores['threshold_error']:.3f}"
    )
    patches, whole, difference = _speed(net, images)
    ratio, alike = whole / patches, f"to {difference:.0e}" if difference else "bit for bit"
    echo(
        f"\n{'patch by patch':<15}{patches:>10,.0f} patches/s\n"
        f"{'whole image':<15}{whole:>10,.0f} patches/s   {ratio:.0f} x, same probabilities {alike}\n"
    )
    files = _write(folder, net, drawn["unseen"], unseen)
    picture = folder / FILES[-1]
    try:
        panels = [images[0], *(pictures.tinted(images[0], segments[0]) for segments in (true, found))]
        lost = merged(found[0], true[0])
        titles = ["image", f"truth: {len(np.unique(true[0])) - 1} cells", f"answer: {lost} cells merged"]
        caption = f"V_Rand {scores['v_rand']:.3f}; {ratio:.0f} times faster than patch by patch"
        pictures.side_by_side(panels, titles, picture, caption)
        files.append(picture)
        echo(str(picture))
    except UsageError as missing:
        echo(f"no picture: {missing}")
    return {"epochs": epochs, **scores, "speedup": ratio, "largest_difference": difference, "files": files}


def _trained(net: Net, drawn: tuple[np.ndarray, np.ndarray], seconds: float, echo: Echo) -> int:
    """Train a net until the recipe is done or the time is up; return the number of epochs."""
    images, labels = drawn
    recipe, progress = RECIPE, Progress(RECIPE.epochs, echo)
    echo(
        f"training {SPEC} on {len(images)} images of 256x256, in crops of {recipe.crop}x{recipe.crop}, for at most "
        f"{seconds:g} s and the epoch then begun"
    )
    for record in fit(net, (list(images), list(data.class_indices(labels, VALUES))), recipe, progress=progress.update):
        progress.epoch(record)
        if record["seconds"] > seconds:
            break
    if record["epoch"] < recipe.epochs:
        echo(f"the time is up after {record['epoch']} of {recipe.epochs} epochs: more would make the result better")
    return int(record["epoch"])


def separated(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities (Z, H, W) of the interior in which no bridge of less than five pixels joins two cells.

    Each pixel has the smallest probability of a disc around it; V_Rand thins borders, so that their width is no loss.
    """
    from scipy import ndimage

    y, x = np.ogrid[-2:3, -2:3]
    lowest: np.ndarray = ndimage.minimum_filter(probabilities, footprint=(y * y + x * x <= 4)[None])
    return lowest


def cells(interior: np.ndarray) -> np.ndarray:
    """Return the segments of an image (H, W) that are no slivers at its edge."""
    segments = metrics.segments(interior)
    segments[np.isin(segments, np.flatnonzero(np.bincount(segments.ravel()) < SLIVER))] = 0
    return segments


def merged(found: np.ndarray, true: np.ndarray) -> int:
    """Return how many of the cells of `true` (H, W), numbered from 1, lie mainly in a found segment with another cell.

    Examples
    --------
    >>> merged(np.array([[1, 1, 1, 0, 2]]), np.array([[1, 0, 2, 0, 3]]))
    2
    """
    overlap = np.zeros((true.max() + 1, found.max() + 1), int)
    np.add.at(overlap, (true, found), 1)
    inside = overlap[1:, 1:]
    held = np.bincount(inside.argmax(axis=1)[inside.any(axis=1)])
    return int(held[held > 1].sum())


def _speed(net: Net, images: np.ndarray) -> tuple[float, float, float]:
    """Return patches per second patch by patch and on whole images, and the largest difference of probabilities.

    The patch net is timed on random pixels.
    """
    net.segment(images[0])  # the first time threads start and memory is taken
    start = time.perf_counter()
    probabilities, *_ = [net.segment(image) for image in images]
    whole = images.size / (time.perf_counter() - start)
    rng, patch = np.random.default_rng(0), net.as_patch()
    rows, columns = (rng.integers(n, size=SAMPLE) for n in images[0].shape)
    mirrored = data.mirror(net.normalised(images[0][:, :, None]), net.field_of_view)[:, :, 0]
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, net.field_of_view)
    start, found = time.perf_counter(), []
    for i in range(0, SAMPLE, BATCH):
        batch = net.xp.asarray(windows[rows[i : i + BATCH], columns[i : i + BATCH]][..., None])
        found.append(backend.to_numpy(softmax(patch.forward(batch, train=False))[:, 0, 0]))
    rate = SAMPLE / (time.perf_counter() - start)
    return rate, whole, float(np.abs(np.concatenate(found) - probabilities[rows, columns]).max())


def _write(folder: Path, net: Net, drawn: tuple[np.ndarray, np.ndarray], probabilities: np.ndarray) -> list[Path]:
    """Write the model, and images and results named as `tinympcnn segment` would name them."""
    files = [folder / name for name in FILES[:-1]]
    net.to("numpy").save(files[0])
    for path, stack in zip(files[1:3], drawn, strict=True):
        with replacing(path) as temporary:
            tifffile.imwrite(temporary, stack, photometric="minisblack", metadata={"axes": "ZYX"})
    write_probabilities(files[3], probabilities, VALUES, force=True)
    write_labels(files[4], probabilities.argmax(axis=-1), VALUES, force=True)
    return files
