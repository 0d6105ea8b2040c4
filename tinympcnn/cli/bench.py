"""``tinympcnn bench`` measures in under a minute how fast this machine trains and segments."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinympcnn.cli import info
from tinympcnn.engine.backend import Pair
from tinympcnn.net import Net
from tinympcnn.nn.losses import SoftmaxCrossEntropy
from tinympcnn.training.objective import Example, image_closure

# the steel net on the paper's strip images at a quarter of their size; N3 and N4 on as many pixels as fit a minute
CASES: tuple[tuple[str, Pair], ...] = (("steel", (60, 137)), ("N3", (256, 256)), ("N4", (256, 256)))
PATCHES = 16  # the sample on which patch-by-patch training is measured, one patch at a time


EXAMPLE = """example:
  tinympcnn bench

benchmarks/cpu.py in the repository compares with PyTorch.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say where the other benchmarks are; ``tinympcnn bench`` takes no options."""


def run(options: argparse.Namespace) -> None:
    """Print the measurements."""
    bench()


def bench(seconds: float = 50, echo: Callable[[str], object] = print) -> list[dict[str, Any]]:
    """Measure matrix products, training steps, segmentation and patch-by-patch training.

    Parameters
    ----------
    seconds : float
        About how long the measurements take. Everything runs at least once, after a run that is not counted.
    echo : callable
        It is told each line of the report.

    Returns
    -------
    list of dict
        A record for each measurement: what, net, size, seconds (the median), spread (shortest and longest), runs,
        patches_per_second, gflop_per_second and share_of_sgemm. Training steps also have patch_by_patch, how many times
        longer the same image takes patch by patch.
    """
    echo(info.system())
    share = seconds / (1 + 3 * len(CASES))
    limit = sgemm(share)
    records = [limit]
    echo(f"\nsgemm of 2048: {limit['gflop_per_second']:.0f} GFLOP/s, on all threads")
    echo(f"{'':<26}{'median':>10}{'min to max':>24}{'patches/s':>12}{'GFLOP/s':>10}{'of sgemm':>10}")
    for name, size in CASES:
        net = Net.from_spec(name, rng=0)
        P, Q = net.field_of_view
        image = np.random.default_rng(0).standard_normal((size[0] + P - 1, size[1] + Q - 1), np.float32)
        centre = image[P // 2 :, Q // 2 :][: size[0], : size[1]]
        work: dict[str, tuple[Callable[[], object], int]] = {
            "train": (training_step(net, image[None, :, :, None], size), info.flop_training(net, image.shape)),
            "segment": (partial(net.segment, centre), info.flop_forward(net, image.shape)),
        }
        for what, (task, flop) in work.items():
            record = {"what": what, "net": name, "size": size, **measure(task, share)}
            record["patches_per_second"] = size[0] * size[1] / record["seconds"]
            record["gflop_per_second"] = flop / record["seconds"] / 1e9
            record["share_of_sgemm"] = record["gflop_per_second"] / limit["gflop_per_second"]
            records.append(record)
            echo(_line(record))
        patch = patch_seconds(net, image, share)
        records[-2]["patch_by_patch"] = patch * size[0] * size[1] / records[-2]["seconds"]
        echo(f"{'':<6}patch by patch, training takes {records[-2]['patch_by_patch']:,.0f} times as long "
             f"({PATCHES} patches measured, one at a time)")  # fmt: skip
    return records


def measure(task: Callable[[], object], seconds: float) -> dict[str, Any]:
    """Run `task` once to warm up, then again until `seconds` are over; return the median, the spread and the runs."""
    times: list[float] = []
    begin = time.perf_counter()
    task()
    while not times or time.perf_counter() - begin + times[-1] < seconds:
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return {"seconds": float(np.median(times)), "spread": (min(times), max(times)), "runs": len(times)}


def sgemm(seconds: float, n: int = 2048) -> dict[str, Any]:
    """Measure the product of two n x n matrices of float32: the machine's limit."""
    a = np.random.default_rng(0).standard_normal((n, n), np.float32)
    out = np.empty_like(a)
    record = measure(lambda: np.matmul(a, a, out=out), seconds)
    return {"what": "sgemm", "size": (n, n), **record, "gflop_per_second": 2 * n**3 / record["seconds"] / 1e9}


def training_step(net: Net, images: np.ndarray, size: Pair) -> Callable[[], float]:
    """Return a function that runs forward, loss and backward on `images` with random labels."""
    labels = np.random.default_rng(1).integers(0, net.out_maps, (len(images), *size))
    return image_closure(net, Example(images, labels), SoftmaxCrossEntropy())


def patch_seconds(net: Net, image: np.ndarray, seconds: float) -> float:
    """Return the time that training on one patch takes, one patch at a time."""
    (P, Q), patch_net = net.field_of_view, net.as_patch()
    windows = np.lib.stride_tricks.sliding_window_view(image, (P, Q))[0, :PATCHES]
    steps = [training_step(patch_net, np.ascontiguousarray(window)[None, :, :, None], (1, 1)) for window in windows]
    return float(measure(lambda: [step() for step in steps], seconds)["seconds"] / len(steps))


def _line(record: dict[str, Any]) -> str:
    rows, columns = record["size"]
    low, high = (f"{1e3 * t:,.1f}" for t in record["spread"])
    return (
        f"{record['net']:<6}{record['what']:<8}{f'{rows}x{columns}':<12}{1e3 * record['seconds']:>7,.1f} ms"
        f"{f'{low} to {high} ms':>24}{record['patches_per_second']:>12,.0f}{record['gflop_per_second']:>10.0f}"
        f"{record['share_of_sgemm']:>10.0%}"
    )
