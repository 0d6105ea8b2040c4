"""Objects found in large images: nuclei under the microscope, and synthetic dividing cells.

python benchmarks/objects.py train nuclei --seed 0 -o RUNS    # RUNS/nuclei_0.npz, .csv; the same again goes on
python benchmarks/objects.py train first -o RUNS         # a first net for synthetic mitoses, then, on its mistakes,
python benchmarks/objects.py train second1 -o RUNS       # the second (second2 is another net); both have the budget of
python benchmarks/objects.py train one-stage -o RUNS     # a net that is trained in one stage
python benchmarks/objects.py test nuclei -o RUNS         # or watershed, or mitoses: writes a table as CSV
python benchmarks/objects.py page                        # fills the tables of the page from these files
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pages

from tinympcnn import Net
from tinympcnn.cli.results import write_table
from tinympcnn.data import downsample, synthetic_mitoses
from tinympcnn.data.points import disc_labels
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.locate import locate
from tinympcnn.io.atomic import replacing
from tinympcnn.io.images import expand, open_image
from tinympcnn.io.points import centroids
from tinympcnn.metrics.objects import Ranking, bootstrap_interval, rank_objects
from tinympcnn.training.checkpoint import Checkpoint
from tinympcnn.training.dataset import Dataset, WholeImages
from tinympcnn.training.fit import fit
from tinympcnn.training.focus import DrawnCrops, mistakes
from tinympcnn.training.recipe import Recipe

DATA = Path(os.environ.get("TINYMPCNN_DATA", "."))
LOWEST = 0.05  # the smallest score that is kept
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
    plan, seed = PLANS[options.plan], options.seed or 0
    recipe = replace(plan.recipe, seed=seed)
    net = Net.from_spec(plan.net, plan.in_maps, rng=seed).as_image()
    data = plan.data(net, recipe, options.output)
    place = options.output / (options.plan if options.seed is None else f"{options.plan}_{seed}")
    for record in fit(net, data, recipe, checkpoint=Checkpoint(f"{place}.checkpoint.npz", 2, resume=True)):
        print(
            f"{place.name}: epoch {record['epoch']}, loss {record['loss_train']:.4f}, {record['seconds']:.0f} s",
            flush=True,
        )
        net.save(f"{place}.npz")
    _, records = Checkpoint(f"{place}.checkpoint.npz").peek()
    write_table(f"{place}.csv", records)
    net.save(f"{place}.npz")


def test_nuclei(folder: Path, results: Path) -> list[dict[str, Any]]:
    """Test a net, and three of other seeds together, on the last eight images of each part, with eight views.

    The threshold is chosen on the eighth image.
    """
    rows = []
    for seeds in ((0,), (0, 1, 2)):
        committee = Committee([Net.load(folder / f"nuclei_{seed}.npz") for seed in seeds], turns=True)
        found = {
            part: [(locate(committee, scene.image, 5, LOWEST), scene.points) for scene in nuclei(part)[7:]]
            for part in PARTS
        }
        threshold = _ranking([found[part][0] for part in PARTS], 10 / SHRINK).best_threshold()
        rows += [
            {
                "part": part,
                "nets": len(seeds),
                "within": within,
                "threshold": threshold,
                **_measures(found[part][1:], within / SHRINK, threshold),
            }
            for part in PARTS
            for within in (5, 10, 20)
        ]
    return sorted(rows, key=lambda row: row["part"])


def test_watershed(folder: Path, results: Path) -> list[dict[str, Any]]:
    """Test what a user would otherwise take; the distance between seeds is the best on the first eight images."""
    found = {part: watersheds(part) for part in PARTS}
    distance = max(DISTANCES, key=lambda d: _ranking([one for p in PARTS for one in found[p][d][:8]], 10).at(0).f1)
    return [
        {"part": part, "within": within, "distance": distance, **_measures(found[part][distance][8:], within, 0)}
        for part in PARTS
        for within in (5, 10, 20)
    ]


DISTANCES = (20, 40, 60)  # the smallest distance between seeds of the watershed; the best in training is taken


def watersheds(part: str) -> dict[int, list[tuple[np.ndarray, np.ndarray]]]:
    """Return what a watershed of the thresholded images finds, at each distance, and the truth."""
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.filters import gaussian, threshold_otsu
    from skimage.segmentation import watershed

    found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {distance: [] for distance in DISTANCES}
    for path in expand(DATA / "nuclei" / part / "images"):
        truth = centroids(open_image(path.parents[1] / "labels" / path.name).page(0)[..., 0])
        image = gaussian(open_image(path).page(0)[..., 0].astype(float), 2)
        image = np.minimum(image, np.percentile(image, 99))  # debris is brighter than nuclei, and misleads Otsu
        mask = ndimage.binary_opening(image > threshold_otsu(image), iterations=3)
        depth = gaussian(ndimage.distance_transform_edt(mask), 2)
        for distance in DISTANCES:
            seeds = np.zeros(mask.shape, int)
            places = peak_local_max(depth, min_distance=distance, labels=ndimage.label(mask)[0])
            seeds[tuple(places.T)] = np.arange(1, len(places) + 1)
            segments = centroids(watershed(-depth, seeds, mask=mask))
            found[distance].append((np.column_stack([segments, np.ones(len(segments))]), truth))
    return found


Objects = Sequence[tuple[np.ndarray, np.ndarray]]
"""For each image, what was found (n, 3) and what is there (m, 2)."""


def _ranking(objects: Objects, within: float) -> Ranking:
    return rank_objects([found for found, _ in objects], [truth for _, truth in objects], within)


def _measures(objects: Objects, within: float, threshold: float) -> dict[str, Any]:
    ranking = _ranking(objects, within)
    scores = ranking.at(threshold)

    def f1(drawn: Sequence[int]) -> float:
        return _ranking([objects[i] for i in drawn], within).at(threshold).f1

    low, high = bootstrap_interval(f1, len(objects))
    counts = {"objects": ranking.n_truth, "hits": scores.hits, "false_alarms": scores.false_alarms}
    shares = {"precision": scores.precision, "recall": scores.recall, "f1": scores.f1, "f1_low": low, "f1_high": high}
    return (
        counts
        | {name: round(value, 4) for name, value in shares.items()}
        | {"average_precision": round(ranking.average_precision, 4)}
    )


def test_mitoses(folder: Path, results: Path) -> list[dict[str, Any]]:
    """Test each net alone, then the two second nets together, with one view and with eight."""
    rows = []
    second = ["second1", "second2"]
    for models, turns in (
        *(([name], False) for name in ("first", "one-stage", *second)),
        (second, False),
        (second, True),
    ):
        committee = Committee([Net.load(folder / f"{name}.npz") for name in models], turns)
        held, tested = (
            [(_kept(committee, scene, folder, models), scene.points) for scene in mitoses(part, folder)]
            for part in ("validation", "test")
        )
        threshold = _ranking(held, MITOSIS).best_threshold()
        for within in (5, MITOSIS, 20, 33):
            row = {"nets": "+".join(models), "views": len(committee.views), "within": within, "threshold": threshold}
            rows.append({**row, **_measures(tested, within, threshold)})
        pages.write(results / "mitoses.csv", rows)
    return rows


def _kept(committee: Committee, scene: Scene, folder: Path, models: Sequence[str]) -> np.ndarray:
    """Return the objects of an image; they are found once, and kept."""
    place = folder / f"found_{'+'.join(models)}_{len(committee.views)}_{scene.name}.npy"
    if not place.exists():
        found = locate(committee, scene.image, MITOSIS, LOWEST)
        with replacing(place) as temporary, open(temporary, "wb") as file:
            np.save(file, found)
    return np.load(place)


def page(options: argparse.Namespace) -> None:
    """Fill the tables of the page from the CSV files in the folder of its name."""
    names = ("hits", "false_alarms", "precision", "recall", "f1", "interval", "average_precision")
    measured = {name: name.replace("_", " ") for name in names} | {"f1": "F1", "interval": "F1, 95 %"}

    def table(names: list[str]) -> pages.Table:
        name, *within = names
        rows = pages.read(options.page.with_suffix("") / f"{name}.csv")
        rows = [row for row in rows if not within or row["within"] in within]
        for row in rows:
            row["interval"] = f"{float(row['f1_low']):.2f}&nbsp;to&nbsp;{float(row['f1_high']):.2f}"
            row["hits"] = f"{row['hits']}&nbsp;of&nbsp;{row['objects']}"
            row["nets"] = row.get("nets", "").replace("+", " + ")
        by_text = ("views", "within", "distance")
        told = [key for key in by_text if len({row.get(key) for row in rows}) == 1]
        order = ("part", "nets", "views", "within", "distance")  # the thresholds stand in the files
        first = [key for key in order if rows[0].get(key) and key not in told]
        units = {"within": "within (px)", "distance": "distance (px)"}
        return pages.chosen(rows, {**{key: units.get(key, key) for key in first}, **measured}, digits=3)

    pages.fill(options.page, {"table": table})


TESTS = {"nuclei": test_nuclei, "watershed": test_watershed, "mitoses": test_mitoses}


def test(options: argparse.Namespace) -> None:
    """Test the nets of a folder, and write a table."""
    options.results.mkdir(parents=True, exist_ok=True)
    rows = TESTS[options.set](options.output, options.results)
    pages.write(options.results / f"{options.set}.csv", rows)
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("plan", choices=list(PLANS))
    command.add_argument("--seed", type=int, help="the seed of the net and of the crops, which stands in the names")
    command.add_argument("-o", "--output", type=Path, required=True)
    command.set_defaults(run=train)
    command = commands.add_parser("test")
    command.add_argument("set", choices=list(TESTS))
    command.add_argument("-o", "--output", type=Path, required=True)
    command.add_argument("--results", type=Path, default=Path("docs/results/objects"))
    command.set_defaults(run=test)
    command = commands.add_parser("page")
    command.add_argument("--page", type=Path, default=Path("docs/results/objects.md"))
    command.set_defaults(run=page)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
