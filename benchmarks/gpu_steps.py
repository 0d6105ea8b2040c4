"""Measure training steps of N3, N4 and the steel net on one GPU, with tinympcnn and, if installed, PyTorch with cuDNN.

    CUPY_TF32=0 python benchmarks/gpu_steps.py        # prints one JSON object for each measurement

CuPy reads its TF32 switch once, so ``gpu.py`` runs this file twice; PyTorch's switches are set to the same. A step is
forward, loss and backward on one image that is on the card already, with the loss read back, as in training. Every
contender is warmed up; then each step is timed by a pair of CUDA events, and the median counts.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs from a checkout, installed or not
from gpu_checks import problem

from tinympcnn import Net, SoftmaxCrossEntropy
from tinympcnn.cli import info
from tinympcnn.engine import backend
from tinympcnn.training.objective import Example, image_closure

SIZES = {"N3": (512, 512), "N4": (512, 512), "steel": (60, 137)}
TF32 = os.environ.get("CUPY_TF32", "0") != "0"
WARM, STEPS = 3, 20


def measurements(sizes: dict[str, tuple[int, int]] = SIZES, product: int = 8192) -> Iterator[dict[str, Any]]:
    """Yield a record for the card's product of matrices, and for each net and contender."""
    cp, _ = backend.load("cupy")
    times = sgemm_times(cp, product)
    limit = 2 * product**3 / float(np.median(times))
    yield record("sgemm", "CuPy", (product, product), times, 2 * product**3, limit)
    for name, size in sizes.items():
        net = Net.from_spec(name, rng=0)
        image, labels = problem(net, size)
        flop = info.flop_training(net, image.shape[1:3])
        pair = Example(cp.asarray(image), cp.asarray(labels))
        closure = image_closure(net.to("cupy"), pair, SoftmaxCrossEntropy())
        wanted = closure()
        yield record(name, "tinympcnn", size, cupy_times(cp, closure), flop, limit)
        del closure, pair
        cp.get_default_memory_pool().free_all_blocks()
        for contender, times in torch_times(net, image, labels, wanted):
            yield record(name, contender, size, times, flop, limit)


def record(
    what: str, contender: str, size: tuple[int, int], times: list[float], flop: int, limit: float
) -> dict[str, Any]:
    """Return one row of the results."""
    median = float(np.median(times))
    return {
        "what": what, "rows": size[0], "columns": size[1], "contender": contender, "tf32": TF32,
        "median_ms": 1e3 * median, "min_ms": 1e3 * min(times), "max_ms": 1e3 * max(times), "steps": len(times),
        "tflop_per_s": flop / median / 1e12, "of_sgemm": flop / median / limit,
    }  # fmt: skip


def sgemm_times(cp: Any, n: int) -> list[float]:
    """Return the seconds that a product of two n x n matrices of float32 takes: the card's limit."""
    a = cp.asarray(np.random.default_rng(0).standard_normal((n, n), np.float32))
    out = cp.empty_like(a)
    return cupy_times(cp, lambda: cp.matmul(a, a, out=out))


def cupy_times(cp: Any, work: Callable[[], object]) -> list[float]:
    """Return the seconds of each of STEPS calls, by CUDA events."""
    return timed(work, cp.cuda.Event, lambda start, stop: cp.cuda.get_elapsed_time(start, stop))


def timed(work: Callable[[], object], event: Callable[[], Any], elapsed: Callable[[Any, Any], float]) -> list[float]:
    """Return the seconds of each of STEPS calls after WARM others; `elapsed` gives milliseconds between events."""
    for _ in range(WARM):
        work()
    times = []
    for _ in range(STEPS):
        start, stop = event(), event()
        start.record()
        work()
        stop.record()
        stop.synchronize()
        times.append(elapsed(start, stop) / 1e3)
    return times


def torch_times(net: Net, image: np.ndarray, labels: np.ndarray, wanted: float) -> Iterator[tuple[str, list[float]]]:
    """Yield the name and the times of each formulation in PyTorch, if its loss is that of tinympcnn."""
    try:
        import torch
        from pytorch_twins import FORMATS, FORMULATIONS, Twin
    except ImportError:
        return
    if not torch.cuda.is_available():
        return
    torch.backends.cudnn.benchmark = True  # let cuDNN try its algorithms
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = TF32
    images = torch.tensor(np.ascontiguousarray(image.transpose(0, 3, 1, 2))).cuda()
    target = torch.tensor(labels).cuda()
    for formulation in FORMULATIONS:
        for memory_format in FORMATS:
            name = f"PyTorch {torch.__version__}, {formulation}, {memory_format}"
            twin = Twin(net, formulation, memory_format)
            twin.params = [param.detach().cuda().requires_grad_() for param in twin.params]
            try:
                loss = twin.step(images, target)
                assert abs(loss - wanted) < 1e-2 * abs(wanted), f"{name} has a loss of {loss}, not {wanted}"
                yield (
                    name,
                    timed(
                        functools.partial(twin.step, images, target),
                        lambda: torch.cuda.Event(enable_timing=True),
                        lambda start, stop: start.elapsed_time(stop),
                    ),
                )
            except torch.cuda.OutOfMemoryError:
                print(f"{name} ran out of memory", file=sys.stderr)
            del twin
            torch.cuda.empty_cache()


if __name__ == "__main__":
    for row in measurements():
        print(json.dumps(row), flush=True)
