"""Measure the speed on the paper's steel set: training, segmenting an image, and both patch by patch.

    python benchmarks/steel.py -o docs/results/steel/speed.csv

Training means one evaluation of L-BFGS: loss and gradient, summed over all 534 images of 60x137 pixels. "Batch" is one
batch of this sum, with tinympcnn and with PyTorch in all formulations of `pytorch_twins.py`. Contenders take turns, and
the median of the rounds counts. Keep the machine quiet; every contender uses TINYMPCNN_THREADS threads.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from math import prod

import numpy as np
from contenders import OURS, PATCHES, SAMPLE, TWINS, Case, check, make

from tinympcnn import LBFGS, Net, SoftmaxCrossEntropy, data, engine
from tinympcnn.cli import info
from tinympcnn.io.atomic import replacing
from tinympcnn.training.objective import BATCH_PIXELS, Example, set_closure

FULL, SIZE, IMAGES = (240, 550), (60, 137), 534


def main() -> None:
    """Measure all contenders, print the results and write them to a CSV file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", metavar="CSV")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    check("steel", echo=print)
    rows = [*training(options.rounds), *segmenting(10 * options.rounds), *ratios()]
    for name, value, unit in rows:
        print(f"{name:<60}{value:>14,.6g} {unit}")
    if options.output:
        with replacing(options.output) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file).writerows([("what", "value", "unit"), *rows, ("threads", engine.get_threads(), "")])


def training(rounds: int) -> list[tuple[str, float, str]]:
    """Return patches per second of the set, of a batch and of single patches, with their ratios."""
    case = Case("steel", SIZE, images=BATCH_PIXELS // prod(SIZE))
    steps: dict[str, Callable[[], object]] = {name: make(case, name, "train") for name in (OURS, *TWINS, *PATCHES)}
    outputs = {name: SAMPLE.get(name, case.outputs) for name in steps}
    medians = interleaved(steps, rounds)
    speed = {name: outputs[name] / seconds for name, seconds in medians.items()}
    fastest = max(speed[name] for name in TWINS)
    pairs = [Example(case.images[i % case.n][None], case.labels[i % case.n][None]) for i in range(IMAGES)]
    seconds = evaluation(case.net, pairs)
    cores, spawn = engine.get_threads(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, spawn, engine.set_threads, (1,)) as executor:
        apart = IMAGES * prod(SIZE) / evaluation(case.net, pairs, executor)
    whole = IMAGES * prod(SIZE) / seconds
    return [
        ("training, L-BFGS over 534 images of 60x137", whole, "patches/s"),
        ("training, the same, in a process for each core", apart, "patches/s"),
        ("training, one evaluation over the 534 images", seconds, "s"),
        *((f"training, batch of {case.n} images, {name}", speed[name], "patches/s") for name in (OURS, *TWINS)),
        ("training, ours over the fastest of PyTorch", speed[OURS] / fastest, "times"),
        ("training, whole set in processes over the fastest of PyTorch", apart / fastest, "times"),
        *((f"training, {name}", speed[name], "patches/s") for name in PATCHES),
        *((f"training, whole set over {name}", whole / speed[name], "times") for name in PATCHES),
    ]


def evaluation(net: Net, pairs: list[Example], executor: Executor | None = None) -> float:
    """Return the seconds of one evaluation in L-BFGS's steps: loss and gradient over all images."""
    closure, optimizer = set_closure(net, pairs, SoftmaxCrossEntropy(), executor), LBFGS(net)
    optimizer.step(closure)
    start, before = time.perf_counter(), optimizer.evaluations
    for _ in range(3):
        optimizer.step(closure)
    return (time.perf_counter() - start) / (optimizer.evaluations - before)


def segmenting(rounds: int) -> list[tuple[str, float, str]]:
    """Return the seconds that one image takes, from 550x240 pixels to probabilities, and patch by patch."""
    case = Case("steel", SIZE)
    image = np.random.default_rng(0).integers(0, 256, (*FULL, 1)).astype(np.uint8)
    whole: dict[str, Callable[[], object]] = {
        "with down-sampling": lambda: case.net.segment(data.downsample(image, 4)),
        **{name: make(case, name, "segment") for name in (OURS, *TWINS)},
    }
    medians = interleaved(whole, rounds)
    single = interleaved({name: make(case, name, "segment") for name in PATCHES}, 5)
    patches = {name: seconds * prod(SIZE) / SAMPLE[name] for name, seconds in single.items()}
    return [
        *((f"one image segmented, {name}", 1e3 * seconds, "ms") for name, seconds in medians.items()),
        *((f"one image segmented, {name}", 1e3 * seconds, "ms") for name, seconds in patches.items()),
        *((f"one image segmented, {name} over whole", s / medians[OURS], "times") for name, s in patches.items()),
    ]


def ratios() -> list[tuple[str, float, str]]:
    """Return the ratio of operations, which follows from arithmetic."""
    return [("operations, patch by patch over whole, 60x137", info.patch_ratio(Case("steel", SIZE).net, SIZE), "times")]


def interleaved(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each function; they take turns, so that a busy moment strikes all.

    Of the two calls of a turn the second counts.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # finds the caches, and threads that still spin, as another left them
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
