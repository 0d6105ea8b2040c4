"""Measure the time of every layer in a training step on a GPU.

    CUPY_TF32=0 python benchmarks/gpu_layers.py > benchmarks/results/gpu-NAME/layers.log

The table has milliseconds by CUDA events (gpu) and on the CPU that queues the kernels (host), medians of STEPS steps.
Where both are alike, the card waits for Python. The line of a whole step is a mean, measured without events in between.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs from a checkout, installed or not
from gpu_checks import problem
from gpu_steps import SIZES

from tinympcnn import Net, SoftmaxCrossEntropy
from tinympcnn.cli import info
from tinympcnn.engine import backend
from tinympcnn.training.objective import Example, image_closure

WARM, STEPS = 3, 10


def main() -> None:
    """Measure and print."""
    cp, _ = backend.load("cupy")
    print(info.card(cp))
    for name, size in SIZES.items():
        net, loss = Net.from_spec(name, rng=0), SoftmaxCrossEntropy()
        pair = Example(*map(cp.asarray, problem(net, size)))
        net = net.to("cupy")
        step = image_closure(net, pair, loss)
        for _ in range(WARM):
            step()
        start = time.perf_counter()
        for _ in range(STEPS):
            step()
        cp.cuda.Device().synchronize()
        print(f"{name} step {1e3 * (time.perf_counter() - start) / STEPS:.3f} ms")
        spent: dict[str, list[tuple[Any, Any, float]]] = defaultdict(list)
        for part, label in [*((layer, f"{i} {layer!r}") for i, layer in enumerate(net.layers)), (loss, "loss")]:
            for direction in ("forward", "backward"):
                watched = timed(cp, getattr(part, direction), spent[f"{label} {direction}"])
                setattr(part, direction, watched)
        for _ in range(STEPS):
            step()
        cp.cuda.Device().synchronize()
        for label, calls in spent.items():
            gpu = np.median([cp.cuda.get_elapsed_time(begin, end) for begin, end, _ in calls])
            print(f"  {label:<50}{gpu:8.3f} gpu {1e3 * np.median([host for *_, host in calls]):8.3f} host")
        cp.get_default_memory_pool().free_all_blocks()


def timed(cp: Any, function: Callable[..., Any], calls: list[tuple[Any, Any, float]]) -> Callable[..., Any]:
    """Return the function with an event before and after it, noted in `calls` with the time on the CPU."""

    def watched(*args: Any, **kwargs: Any) -> Any:
        begin, end = cp.cuda.Event(), cp.cuda.Event()
        begin.record()
        start = time.perf_counter()
        result = function(*args, **kwargs)
        host = time.perf_counter() - start
        end.record()
        calls.append((begin, end, host))
        return result

    return watched


if __name__ == "__main__":
    main()
