"""Measure the time of every layer in a training step on a CPU, which explains the figures of ``cpu.py``.

    python benchmarks/layer_times.py -o benchmarks/results/NAME/layer_times.csv      # environment as for cpu.py

The CSV has, for each net on one thread and on all threads, the milliseconds and GFLOP/s of every layer forward and
backward (medians over steps), the rest for loss and bookkeeping, and the time for which a step keeps processors busy.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pages
from contenders import Case, make

from tinympcnn import engine


def main() -> None:
    """Measure all nets, print the rows and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("layer_times.csv"))
    options = parser.parse_args()
    rows = []
    for threads in (1, engine.available_cores()):
        engine.set_threads(threads)
        for name, size, steps in (("N3", (512, 512), 4), ("N4", (512, 512), 3), ("steel", (60, 137), 100)):
            rows += measured(Case(name, size), steps, threads)
    pages.write(options.output, rows)
    for row in rows:
        print(*row.values(), sep="\t")


def measured(case: Case, steps: int, threads: int) -> list[dict[str, Any]]:
    """Return a row for each layer and direction, one for the rest, and one for the whole step."""
    net = case.net
    spent: dict[tuple[int, str], list[float]] = defaultdict(list)
    step = make(case, "tinympcnn", "train")
    plan = net.plan(case.images.shape[1:3])
    step()
    whole, busy = [], time.process_time()
    for _ in range(steps):
        start = time.perf_counter()
        step()
        whole.append(time.perf_counter() - start)
    busy = (time.process_time() - busy) / steps
    first = next(i for i, layer in enumerate(net.layers) if layer.params)
    for i, layer in enumerate(net.layers):
        for direction in ("forward", "backward"):
            called = "backward_params" if (i, direction) == (first, "backward") else direction
            setattr(layer, called, timed(getattr(layer, called), spent[i, direction]))
    for _ in range(steps):
        step()
    rows, total = [], 0.0
    for (i, direction), seconds in spent.items():
        median = float(np.median(seconds))
        total += median
        flop = plan[i].flop * (1 if direction == "forward" or i == first else 2)
        rows.append(row(case.name, threads, f"{i} {net.layers[i]!r}", direction, median, flop))
    step_seconds = float(np.median(whole))
    rows.append(row(case.name, threads, "loss, merge, bookkeeping", "", step_seconds - total, 0))
    rows.append(
        row(case.name, threads, "step", "", step_seconds, case.flop("train")) | {"busy_ms": f"{1e3 * busy:.2f}"}
    )
    return rows


def timed(function: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
    """Return a function that does the same and notes the time of every call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = function(*args, **kwargs)
        into.append(time.perf_counter() - start)
        return result

    return call


def row(net: str, threads: int, what: str, direction: str, seconds: float, flop: int) -> dict[str, Any]:
    """Return one row of the profile."""
    rate = f"{flop / seconds / 1e9:.0f}" if flop else ""
    return {"net": net, "threads": threads, "what": what, "direction": direction, "ms": f"{1e3 * seconds:.3f}",
            "gflop_per_s": rate, "busy_ms": ""}  # fmt: skip


if __name__ == "__main__":
    main()
