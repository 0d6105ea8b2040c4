"""Objects found in large images: nuclei under the microscope, and synthetic dividing cells.

python benchmarks/objects.py train nuclei -o RUNS        # RUNS/nuclei.npz, nuclei.csv; the same again goes on
python benchmarks/objects.py train first -o RUNS         # a first net for synthetic mitoses, then, on its mistakes,
python benchmarks/objects.py train second -o RUNS        # the second; both have the budget of
python benchmarks/objects.py train one-stage -o RUNS     # a net that is trained in one stage
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinympcnn import Net
from tinympcnn.cli.session import write_log
from tinympcnn.data import downsample, synthetic_mitoses
from tinympcnn.data.points import disc_labels
from tinympcnn.io.atomic import replacing
from tinympcnn.io.images import expand, open_image
from tinympcnn.io.points import centroids
from tinympcnn.training.checkpoint import Checkpoint
from tinympcnn.training.dataset import Dataset, WholeImages
from tinympcnn.training.fit import fit
from tinympcnn.training.focus import DrawnCrops, mistakes
from tinympcnn.training.recipe import Recipe

DATA = Path(os.environ.get("TINYMPCNN_DATA", "."))
MITOSIS = 8  # pixels of the discs that stand for dividing cells
UPDATES = 100  # crops of an epoch, of the nets for mitoses
SHRINK, FRAME = 4, 24  # nuclei: down-sampling, and pixels of a dark frame, as a mirrored half nucleus looks whole
NUCLEI = "C5x5x12 MPF2x2 C5x5x16 MPF2x2 C4x4x24 MPF2x2 FC3x3x48 FC2"
PARTS = ("gnf", "ic100")


class Scene(NamedTuple):
    """An image as a net takes it, and the places of its objects in the pixels of this image."""

    name: str
    image: np.ndarray
    points: np.ndarray


def nuclei(part: str) -> list[Scene]:
    """Read the images of a part, shrunk and framed, and the centroids of the nuclei."""
    scenes = []
    for path in expand(DATA / "nuclei" / part / "images"):
        image = open_image(path).page(0)
        labels = open_image(path.parents[1] / "labels" / path.name).page(0)[..., 0]
        small = downsample(image, SHRINK)
        framed = np.pad(small, ((FRAME, FRAME), (FRAME, FRAME), (0, 0)), constant_values=small.min())
        scenes.append(Scene(f"{part}/{path.stem}", framed, shrunk(centroids(labels))))
    return scenes


def shrunk(points: np.ndarray) -> np.ndarray:
    """Return the places of points of a nuclei image in the image as a net takes it."""
    return (points + 0.5) / SHRINK - 0.5 + FRAME


def train_nuclei(net: Net, recipe: Recipe, folder: Path) -> Dataset:
    """Return crops of the first seven images of each part; the eighth is for the threshold, the others for testing."""
    scenes = [scene for part in PARTS for scene in nuclei(part)[:7]]
    labels = [disc_labels(scene.points, scene.image.shape[:2], radius=5) for scene in scenes]
    return WholeImages(net, [scene.image for scene in scenes], labels, recipe)


SEEDS = {"train": (0, 12), "validation": (1, 3), "test": (2, 6)}  # of synthetic mitoses: the seed, and how many images


def mitoses(part: str, folder: Path) -> list[Scene]:
    """Return synthetic images of 2084x2084 with about six dividing cells each; they are drawn once, and kept."""
    seed, n = SEEDS[part]
    place = folder / f"mitoses_{part}.npz"
    if not place.exists():
        images, points = synthetic_mitoses(n, (2084, 2084), mitoses=6, mimics=60, nuclei=2500, rng=seed)
        with replacing(place) as temporary, open(temporary, "wb") as file:
            arrays = {"images": images} | {f"points{i}": places for i, places in enumerate(points)}
            np.savez(file, **arrays)  # type: ignore[arg-type]
    with np.load(place) as file:
        return [Scene(f"{part}{i}", image, file[f"points{i}"]) for i, image in enumerate(file["images"])]


def train_mitoses(net: Net, recipe: Recipe, folder: Path, first: str | None = None) -> Dataset:
    """Return crops that are drawn in equal shares of the classes, and in proportion to the mistakes of a first net."""
    scenes = mitoses("train", folder)
    images = [scene.image for scene in scenes]
    labels = [disc_labels(scene.points, scene.image.shape[:2], MITOSIS) for scene in scenes]
    wrong = None
    if first is not None:
        place, model = folder / "mistakes.npy", Net.load(folder / f"{first}.npz")
        if not place.exists():
            with replacing(place) as temporary, open(temporary, "wb") as file:
                np.save(file, np.stack([mistakes(model, *pair) for pair in zip(images, labels, strict=True)]))
        wrong = list(np.load(place))
    return DrawnCrops(net, images, labels, recipe, wrong, updates=UPDATES)


class Plan(NamedTuple):
    """A net, its recipe and its data."""

    net: str
    recipe: Recipe
    data: Callable[[Net, Recipe, Path], Dataset]
    in_maps: int = 1


def _mitosis(net: str, epochs: int, lr: float, first: str | None = None) -> Plan:
    recipe = Recipe(epochs=epochs, options={"lr": lr}, augment="flip+intensity", crop=64, warmup=1)
    return Plan(net, recipe, partial(train_mitoses, first=first), 3)


PLANS = {
    "nuclei": Plan(
        NUCLEI,
        Recipe(epochs=60, options={"lr": 3e-3}, augment="flip+intensity", crop=136, warmup=1),
        train_nuclei,
    ),
    "first": _mitosis("mitosis1", 15, 2e-3),
    "second1": _mitosis("mitosis1", 30, 2e-3, "first"),
    "one-stage": _mitosis("mitosis1", 45, 2e-3),
    "second2": _mitosis("mitosis2", 30, 7e-4, "first"),
}


def train(options: argparse.Namespace) -> None:
    """Train one net; go on where an earlier run of the same command was stopped."""
    plan = PLANS[options.plan]
    net = Net.from_spec(plan.net, plan.in_maps, rng=0).as_image()
    data = plan.data(net, plan.recipe, options.output)
    place = options.output / options.plan
    records = []
    for record in fit(net, data, plan.recipe, checkpoint=Checkpoint(f"{place}.checkpoint.npz", 2, resume=True)):
        records.append(record)
        print(
            f"{place.name}: epoch {record['epoch']}, loss {record['loss_train']:.4f}, {record['seconds']:.0f} s",
            flush=True,
        )
        net.save(f"{place}.npz")
    _, records = Checkpoint(f"{place}.checkpoint.npz").peek()
    write_log(f"{place}.csv", records)
    net.save(f"{place}.npz")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("plan", choices=list(PLANS))
    command.add_argument("-o", "--output", type=Path, required=True)
    command.set_defaults(run=train)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
