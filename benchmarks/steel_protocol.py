"""Run the protocol of section 4.2 of the paper on `synthetic_strip`: train, choose the threshold, test.

    python benchmarks/steel_protocol.py -o steel --epochs 100          # trains: steel.npz, steel.csv, a checkpoint
    python benchmarks/steel_report.py ...                              # tests and draws

The 534 images of 550x240 pixels, 70 with a defect, are down-sampled by 4. A random half is for training, a quarter for
validation, and a quarter for testing. L-BFGS trains the steel net on the whole training set, with balanced classes and
mirrored borders. The model with the lowest validation loss is kept; the loss is computed every 5 epochs.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
from resuming import rows_before

from tinympcnn import Checkpoint, Recipe, SoftmaxCrossEntropy, engine, zoo
from tinympcnn.cli.results import write_table
from tinympcnn.data import downsample, downsample_labels, synthetic_strip
from tinympcnn.nn.losses import balanced_weights
from tinympcnn.training.fit import fit
from tinympcnn.training.objective import example, set_closure

FACTOR, CHECK = 4, 5


def read(seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return 534 images (60, 137, 1), down-sampled, and their class indices (60, 137), 1 on defects."""
    images, labels = synthetic_strip(rng=seed)
    return (
        [downsample(image, FACTOR)[:, :, None] for image in images],
        [downsample_labels(y, FACTOR).astype(np.int64) // 255 for y in labels],
    )


def split(n: int, seed: int = 0) -> tuple[list[int], list[int], list[int]]:
    """Return the indices of training, validation and test images: 50 %, 25 %, 25 %, at random."""
    order = np.random.default_rng([seed, n]).permutation(n)
    train, held, test = np.split(order, [n // 2, 3 * n // 4])
    return sorted(train.tolist()), sorted(held.tolist()), sorted(test.tolist())


def main() -> None:
    """Train the steel net and write the model, the log and a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=100, help="The number of steps of L-BFGS. The default is 100.")
    parser.add_argument(
        "--seed", type=int, default=0, help="The seed of the images, the split and the net. The default is 0."
    )
    parser.add_argument("-o", "--output", required=True, metavar="NAME")
    options = parser.parse_args()
    images, labels = read(options.seed)
    train, held, _ = split(len(images), options.seed)
    net = zoo.steel(rng=options.seed)
    net.class_values = (0, 255)
    net.record = {**vars(options), "threads": engine.get_threads(), "downsample": FACTOR}
    weights = balanced_weights(np.bincount(np.concatenate([labels[i].ravel() for i in train]), minlength=2))
    loss, validation = SoftmaxCrossEntropy(weights), None
    rows, late = rows_before(options.output)
    best = min((row["loss_val"] for row in rows if np.isfinite(row["loss_val"])), default=np.inf)
    epochs = fit(
        net, ([images[i] for i in train], [labels[i] for i in train]),
        Recipe(epochs=options.epochs, optimizer="lbfgs", seed=options.seed), loss=loss,
        checkpoint=Checkpoint(f"{options.output}.checkpoint.npz", resume=True),
    )  # fmt: skip
    for record in itertools.chain(late, epochs):
        if record["epoch"] % CHECK == 0:
            validation = validation or set_closure(net, [example(net, images[i], labels[i]) for i in held], loss)
            record["loss_val"] = validation(grad=False)
            if record["loss_val"] < best:
                best = record["loss_val"]
                net.record["kept"] = record["epoch"]
                net.save(f"{options.output}.npz")
        rows.append(record)
        print(*(f"{key}={record[key]:.5g}" for key in ("epoch", "evaluations", "loss_train", "loss_val", "seconds")),
              flush=True)  # fmt: skip
        write_table(f"{options.output}.csv", rows)


if __name__ == "__main__":
    main()
