"""Train a net on real surfaces with a fixed split: steel-strip and magnetic-tile, which lie under TINYMPCNN_DATA.

    python benchmarks/surfaces.py steel-strip steel --downsample 2 --epochs 30 -o strip_steel

writes NAME.csv (the training log), NAME.npz (the model) and a checkpoint, so that the run can be resumed.
`steel_report.py` tests the models. The real images may not be redistributed; none of them is written.
"""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
from resuming import rows_before
from scipy import ndimage

from tinympcnn import Checkpoint, Net, Recipe, SoftmaxCrossEntropy, engine
from tinympcnn.cli.results import write_table
from tinympcnn.data import downsample, downsample_labels
from tinympcnn.engine import backend
from tinympcnn.io.pairs import read_pairs
from tinympcnn.io.reading import Reading
from tinympcnn.nn.losses import balanced_weights
from tinympcnn.training.fit import fit

TWINS = {"Pa_105": "Pa_101", "Sc_247": "Sc_232"}  # of one surface: kept on one side of the split
SHARES = (0.6, 0.15, 0.25)  # of training, validation and test
APART = 1000  # between the numbers of photographs of different tiles; of one tile they differ by less


def read(
    name: str, factor: int, standardise: bool = False
) -> tuple[list[np.ndarray], list[np.ndarray], list[str], list[str]]:
    """Return images (H, W, 1), class indices (H, W), names and kinds (Pa, MT_Free, ...) of a set, down-sampled."""
    root = Path(os.environ["TINYMPCNN_DATA"], name)
    flat = (root / "images").is_dir()
    images = sorted(root.glob("images/*.png" if flat else "MT_*/*.jpg"))
    labels = [root / "masks" / path.name if flat else path.with_suffix(".png") for path in images]
    pairs = read_pairs(images, labels, Reading(threshold=127))
    kinds = [path.stem[:2] if flat else path.parent.name for path in images]
    smaller = [downsample(image, factor) for image in pairs.images]
    classes = [downsample_labels(y, factor) for y in pairs.labels]
    if standardise:  # every image has an exposure of its own
        smaller = [(image - image.mean()) / image.std() for image in smaller]
    return smaller, classes, pairs.names, kinds


def split(names: list[str], kinds: list[str], seed: int = 0) -> tuple[list[int], list[int], list[int]]:
    """Return indices for training (60 %), validation (15 %) and test (25 %), alike for every kind, twins together."""
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for kind in sorted(set(kinds)):
        group = [i for i, (name, k) in enumerate(zip(names, kinds, strict=True)) if k == kind and name not in TWINS]
        order = np.random.default_rng([seed, len(group)]).permutation(group).tolist()
        cuts = [0, *(round(share * len(order)) for share in np.cumsum(SHARES))]
        for part, low, high in zip(parts, cuts, cuts[1:], strict=False):
            part += order[low:high]
    for twin, first in TWINS.items():
        if twin in names:
            next(part for part in parts if names.index(first) in part).append(names.index(twin))
    return tuple(sorted(part) for part in parts)  # type: ignore[return-value]


def split_by_tile(names: list[str], kinds: list[str]) -> tuple[list[int], list[int], list[int]]:
    """Return the indices of training, validation and test, with all photographs of a magnetic tile in one of them.

    A tile was photographed up to six times, under other light and cut out otherwise; the numbers in the names of its
    photographs lie close together ("exp1_num_4727", "exp3_num_4764"). Groups of them are dealt out, large shares of a
    kind first, so that every part comes to hold its share of every kind.
    """
    numbers = np.array([int(name.rsplit("_", 1)[1]) for name in names])
    order = np.argsort(numbers, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order]) > APART) + 1)
    every, places = np.unique(kinds, return_inverse=True)
    holds = np.array([np.bincount(places[group], minlength=len(every)) for group in groups])
    wanted = np.outer(SHARES, holds.sum(axis=0))
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    dealt = np.zeros_like(wanted)
    for g in np.argsort(-(holds / holds.sum(axis=0)).sum(axis=1), kind="stable"):
        misses = [(((dealt + np.outer(part, holds[g]) - wanted) / holds.sum(axis=0)) ** 2).sum() for part in np.eye(3)]
        best = int(np.argmin(misses))
        dealt[best] += holds[g]
        parts[best].extend(groups[g].tolist())
    return tuple(sorted(part) for part in parts)  # type: ignore[return-value]


def split_of(run: dict[str, Any], names: list[str], kinds: list[str]) -> tuple[list[int], list[int], list[int]]:
    """Return the split that the record of a run names."""
    return split_by_tile(names, kinds) if run["split"] == "tile" else split(names, kinds)


def by_kind(labels: list[np.ndarray], kinds: list[str]) -> list[np.ndarray]:
    """Return labels with a class for each kind of defect, in alphabetical order from 1."""
    defects = sorted(set(kinds) - {"MT_Free"})
    classes = [defects.index(kind) + 1 if kind in defects else 0 for kind in kinds]
    return [np.where(y > 0, k, y) for y, k in zip(labels, classes, strict=True)]


def outlined(labels: list[np.ndarray], kinds: list[str], radius: int) -> list[np.ndarray]:
    """Return labels in which uneven areas count by their outline only, to `radius` pixels on either side; inside is -1.

    Inside, an uneven area looks as sound as what lies around it: all that there is to see is the step between them.
    """
    result = []
    for y, kind in zip(labels, kinds, strict=True):
        if kind == "MT_Uneven" and y.any():
            area, disc = y > 0, np.hypot(*np.ogrid[-radius : radius + 1, -radius : radius + 1]) <= radius
            inside = ndimage.binary_erosion(area, disc, border_value=1)  # the border of the image is no step
            outline = ndimage.binary_dilation(area, disc) & ~inside
            y = np.where(outline, y.max(), np.where(inside, -1, 0))
        result.append(y)
    return result


def main() -> None:
    """Train one net."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=("steel-strip", "magnetic-tile"))
    parser.add_argument("net", help="The net to train: steel, or a spec.")
    parser.add_argument("--downsample", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--augment", default="flip", metavar="KINDS", help="The changes made to each image, as for train."
    )
    parser.add_argument("--lr", type=float, default=0.004)
    parser.add_argument("--warmup", type=float, default=0, help="The epochs over which the learning rate grows.")
    parser.add_argument("--start", metavar="MODEL.npz", help="Start from the parameters of this model.")
    parser.add_argument(
        "--split",
        choices=("image", "tile"),
        default="image",
        help="Split by image, or by tile: all photographs of a tile on one side.",
    )
    parser.add_argument("--kinds", action="store_true", help="Make a class for each kind of defect.")
    parser.add_argument(
        "--outline", type=int, metavar="R", help="Count uneven areas only within R pixels of their edge."
    )
    parser.add_argument(
        "--standardise", action="store_true", help="Normalise each image by its own mean and deviation."
    )
    parser.add_argument("--balance", type=float, default=1.0, help="The power of the balanced class weights.")
    parser.add_argument(
        "--over", choices=("pixels", "weights"), default="pixels", help="Take the mean over pixels or over weights."
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=backend.BACKENDS, default="numpy")
    parser.add_argument("-o", "--output", required=True, metavar="NAME")
    options = parser.parse_args()
    images, labels, names, kinds = read(options.set, options.downsample, options.standardise)
    train, held, _ = split_of(vars(options), names, kinds)
    if options.outline:
        labels = outlined(labels, kinds, options.outline)
    if options.kinds:
        labels = by_kind(labels, kinds)
    net = Net.from_spec(options.net, rng=options.seed)
    if options.start:
        net.set_flat(Net.load(options.start).flat())
    net = net.to(options.backend)
    net.class_values = tuple(range(net.out_maps))
    net.record = {**vars(options), "threads": engine.get_threads()}

    def pick(part: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [images[i] for i in part], [labels[i] for i in part]

    counts = np.bincount(np.concatenate([labels[i][labels[i] >= 0] for i in train]), minlength=net.out_maps)
    weights = balanced_weights(counts) ** options.balance
    weights *= counts.sum() / (weights * counts).sum()
    rows, late = rows_before(options.output)
    epochs = fit(
        net, pick(train),
        Recipe(
            epochs=options.epochs, options={"lr": options.lr}, augment=options.augment, warmup=options.warmup,
            seed=options.seed,
        ),
        loss=SoftmaxCrossEntropy(weights, over=options.over), validation=pick(held),
        checkpoint=Checkpoint(f"{options.output}.checkpoint.npz", resume=True),
    )  # fmt: skip
    for record in itertools.chain(late, epochs):
        rows.append(record)
        print(*(f"{key}={record[key]:.5g}" for key in ("epoch", "loss_train", "loss_val", "pixel_error", "seconds")),
              flush=True)  # fmt: skip
        net.save(f"{options.output}.npz")
        write_table(f"{options.output}.csv", rows)


if __name__ == "__main__":
    main()
