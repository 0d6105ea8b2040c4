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
    """Measure, in about `seconds`, matrix products, training steps, segmentation and patch-by-patch training.

    Everything runs at least once, after a run that is not counted. `echo` is told each line of the report. Return a
    record for each measurement; times are medians.
    """
    echo(info.system())
    share = seconds / (1 + 3 * len(CASES))
    limit = sgemm(share)
    records = [limit]
    echo(f"\nsgemm of 2048: {limit['gflop_per_second']:.0f} GFLOP/s, on all threads")
    echo(f"{'':<26}{'median':>10}{'min to max':>24}{'patches/s':>12}{'GFLOP/s':>10}{'of sgemm':>10}")
    for name, (H, W) in CASES:
        net = Net.from_spec(name, rng=0)
        P, Q = net.field_of_view
        image = np.random.default_rng(0).standard_normal((H + P - 1, W + Q - 1), np.float32)
        tasks: list[tuple[str, Callable[[], object], int]] = [
            ("train", training_step(net, image), info.flop_training(net, image.shape)),
            ("segment", partial(net.segment, image[P // 2 :, Q // 2 :][:H, :W]), info.flop_forward(net, image.shape)),
        ]
        for what, task, flop in tasks:
            record = {"what": what, "net": name, "size": (H, W), **measure(task, share)}
            record["patches_per_second"] = H * W / record["seconds"]
            record["gflop_per_second"] = flop / record["seconds"] / 1e9
            record["share_of_sgemm"] = record["gflop_per_second"] / limit["gflop_per_second"]
            records.append(record)
            echo(_line(record))
        patches = np.lib.stride_tricks.sliding_window_view(image, (P, Q))[0, :PATCHES]
        steps = [training_step(net.as_patch(), patch) for patch in patches]
        patch_seconds = measure(partial(_run_all, steps), share)["seconds"] / len(steps)
        ratio = records[-2]["patch_by_patch"] = patch_seconds * H * W / records[-2]["seconds"]
        echo(f"{'':<6}patch by patch, training takes {ratio:,.0f} times as long ({PATCHES} patches measured, "
             "one at a time)")  # fmt: skip
    return records


def _run_all(steps: list[Callable[[], float]]) -> None:
    for step in steps:
        step()


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


def training_step(net: Net, image: np.ndarray) -> Callable[[], float]:
    """Return a function that runs forward, loss and backward on an image (H+P-1, W+Q-1) with random labels."""
    size = [n - window + 1 for n, window in zip(image.shape, net.field_of_view, strict=True)]
    labels = np.random.default_rng(1).integers(0, net.out_maps, (1, *size))
    return image_closure(net, Example(np.ascontiguousarray(image)[None, :, :, None], labels), SoftmaxCrossEntropy())


def _line(record: dict[str, Any]) -> str:
    rows, columns = record["size"]
    low, high = (f"{1e3 * t:,.1f}" for t in record["spread"])
    return (
        f"{record['net']:<6}{record['what']:<8}{f'{rows}x{columns}':<12}{1e3 * record['seconds']:>7,.1f} ms"
        f"{f'{low} to {high} ms':>24}{record['patches_per_second']:>12,.0f}{record['gflop_per_second']:>10.0f}"
        f"{record['share_of_sgemm']:>10.0%}"
    )
