"""``tinympcnn bench`` measures in under a minute how fast this machine trains and segments."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from tinympcnn.cli import arguments, info
from tinympcnn.cli.words import say
from tinympcnn.engine.backend import Pair
from tinympcnn.net import Net
from tinympcnn.nn.losses import SoftmaxCrossEntropy
from tinympcnn.training.objective import Example, image_closure

# the steel net on the paper's strip images at a quarter of their size; N3 and N4 on as many pixels as fit a minute
CASES: tuple[tuple[str, Pair], ...] = (("steel", (60, 137)), ("N3", (256, 256)), ("N4", (256, 256)))
PRODUCT = 2048  # rows and columns of the matrices whose product is the machine's limit
PATCHES = 16  # the sample on which patch-by-patch training is measured, one patch at a time

EXAMPLES = """
  tinympcnn bench
  tinympcnn bench --threads 1

benchmarks/cpu.py in the repository compares with PyTorch.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option of ``tinympcnn bench``."""
    arguments.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Print the measurements."""
    bench()


def bench(seconds: float = 50, echo: Callable[[str], object] = say) -> None:
    """Measure matrix products, training steps, segmentation and patch-by-patch training, in about `seconds`."""
    echo(info.system())
    share = seconds / (1 + 3 * len(CASES))
    a = np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT), np.float32)
    limit = 2 * PRODUCT**3 / measure(partial(np.matmul, a, a, out=np.empty_like(a)), share)
    echo(f"\nsgemm of {PRODUCT}: {limit / 1e9:.0f} GFLOP/s, on all threads")
    echo(f"{'':<26}{'median':>10}{'patches/s':>12}{'GFLOP/s':>10}{'of sgemm':>10}")
    for name, (H, W) in CASES:
        net = Net.from_spec(name, rng=0)
        P, Q = net.field_of_view
        image = np.random.default_rng(0).standard_normal((H + P - 1, W + Q - 1), np.float32)
        train = measure(training_step(net, image), share)
        segment = measure(partial(net.segment, image[P // 2 :, Q // 2 :][:H, :W]), share)
        flops = info.flop_training(net, image.shape), info.flop_forward(net, image.shape)
        for what, took, flop in zip(("train", "segment"), (train, segment), flops, strict=True):
            speed = f"{H * W / took:>12,.0f}{flop / took / 1e9:>10.0f}{flop / took / limit:>10.0%}"
            echo(f"{name:<6}{what:<8}{f'{H}x{W}':<12}{1e3 * took:>7,.1f} ms{speed}")
        patches = np.lib.stride_tricks.sliding_window_view(image, (P, Q))[0, :PATCHES]
        steps = [training_step(net.as_patch(), patch) for patch in patches]
        ratio = measure(partial(_run_all, steps), share) / len(steps) * H * W / train
        echo(f"{'':<6}patch by patch, training takes {ratio:,.0f} times as long")
    echo(f"\npatch by patch: {PATCHES} patches were measured, one at a time, and scaled")


def _run_all(steps: Sequence[Callable[[], float]]) -> None:
    for step in steps:
        step()


def measure(task: Callable[[], object], seconds: float) -> float:
    """Run `task` once to warm up, then again until `seconds` are over; return the median time."""
    times: list[float] = []
    begin = time.perf_counter()
    task()
    while not times or time.perf_counter() - begin + times[-1] < seconds:
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def training_step(net: Net, image: np.ndarray) -> Callable[[], float]:
    """Return a function that runs forward, loss and backward on an image (H+P-1, W+Q-1) with random labels."""
    size = [n - window + 1 for n, window in zip(image.shape, net.field_of_view, strict=True)]
    labels = np.random.default_rng(1).integers(0, net.out_maps, (1, *size))
    return image_closure(net, Example(np.ascontiguousarray(image)[None, :, :, None], labels), SoftmaxCrossEntropy())
