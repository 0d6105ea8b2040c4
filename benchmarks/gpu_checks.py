"""Check that a GPU computes the same as the CPU, repeats its bits, and copes when its memory runs out.

``gpu.py`` runs these checks on a GPU. The tests run them on small nets and the fake device.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinympcnn import DataError, Net, Recipe, SoftmaxCrossEntropy, fit
from tinympcnn.engine.backend import to_numpy
from tinympcnn.training.objective import Example, image_closure

LIMITS = {"float32": 1e-5, "float64": 1e-11}  # of the norm
GRADIENT_LIMITS = {**LIMITS, "float32": 2e-2}  # a tie rounded the other way sends a gradient another way
SIZES = {"N3": (96, 84), "N4": (48, 64), "steel": (60, 137)}  # outputs, rows and columns


class Check(NamedTuple):
    """One comparison: its subject, the difference that was found, and the difference that is allowed."""

    what: str
    net: str
    dtype: str
    error: float
    limit: float

    @property
    def ok(self) -> bool:
        """Whether the comparison holds; nan does not hold."""
        return self.error <= self.limit

    def __str__(self) -> str:
        words = f"{self.what}, {self.net}, {self.dtype}"
        return f"{'ok  ' if self.ok else 'FAIL'} {words:<60}{self.error:10.1e} (at most {self.limit:.0e})"


def problem(net: Net, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (1, H, W, C) with `size` outputs, in the net's dtype, and random labels for the outputs."""
    rng, (P, Q) = np.random.default_rng(0), net.field_of_view
    image = rng.standard_normal((1, size[0] + P - 1, size[1] + Q - 1, net.in_maps))
    return image.astype(net.dtype), rng.integers(0, net.out_maps, (1, *size))


def everything(sizes: dict[str, tuple[int, int]] = SIZES) -> Iterator[Check]:
    """Yield all checks: `sizes` has the nets, by name or spec, and their numbers of outputs."""
    for name, size in sizes.items():
        for dtype in LIMITS:
            yield from agreement(name, size, dtype)
    for dtype in LIMITS:
        yield from training(dtype)
    yield from repeatability(*next(iter(sizes.items())))
    yield from out_of_memory()


def agreement(name: str, size: tuple[int, int], dtype: str) -> Iterator[Check]:
    """Compare scores and the gradients of parameters and image between the GPU and the CPU."""
    host = Net.from_spec(name, rng=0).astype(dtype)
    device = host.to("cupy")
    image, labels = problem(host, size)
    results: list[list[Any]] = []
    for net in (host, device):
        scores = net.forward(net.xp.asarray(image))
        loss = SoftmaxCrossEntropy()
        loss.forward(scores, net.xp.asarray(labels))
        dimage = net.backward(loss.backward())
        results.append([scores, net.flat_grads(), dimage])
    limits = LIMITS[dtype], GRADIENT_LIMITS[dtype], GRADIENT_LIMITS[dtype]
    for what, wanted, got, limit in zip(("scores", "gradient", "gradient of the image"), *results, limits, strict=True):
        yield Check(what, name, dtype, distance(got, wanted), limit)


def training(dtype: str, spec: str = "C5x5x8 MPF2x2 C3x3x8 MPF2x2 FC2") -> Iterator[Check]:
    """Compare the parameters after a short training run with rotations."""
    start = Net.from_spec(spec, rng=0).astype(dtype)
    yield Check("parameters trained", spec, dtype, distance(trained(start.to("cupy")), trained(start)), LIMITS[dtype])


def trained(net: Net) -> np.ndarray:
    """Return the change of the parameters over a short run of a copy of `net`."""
    rng = np.random.default_rng(1)
    images = [rng.standard_normal((60, 70)) for _ in range(3)]
    net = net.astype(net.dtype)
    before = to_numpy(net.flat())
    for _ in fit(net, (images, [x > 0 for x in images]), Recipe(epochs=3, optimizer="sgd", augment="rotate")):
        pass
    return to_numpy(net.flat()) - before


def repeatability(name: str, size: tuple[int, int]) -> Iterator[Check]:
    """Check that a step and a training run give the same bits when they are repeated."""
    net = Net.from_spec(name, rng=0).to("cupy")
    pair = Example(*map(net.xp.asarray, problem(net, size)))
    steps = []
    for _ in range(5):
        image_closure(net, pair, SoftmaxCrossEntropy())()
        steps.append(to_numpy(net.flat_grads()))
    yield Check("gradient, again (different bits)", name, "float32", different_bits(steps), 0)
    start = Net.from_spec("C5x5x8 MPF2x2 C3x3x8 MPF2x2 FC2", rng=0).to("cupy")
    yield Check(
        "training, again (different bits)", "small", "float32", different_bits([trained(start), trained(start)]), 0
    )


def out_of_memory(spec: str = "C3x3x16 MPF2x2 C3x3x16 FC2") -> Iterator[Check]:
    """Check that, out of memory, segmentation takes smaller tiles, then the CPU, and training ends in one sentence."""
    host = Net.from_spec(spec, rng=0)
    device, image = host.to("cupy"), np.random.default_rng(0).standard_normal((400, 400))
    wanted = host.segment(image)
    for words, room in (("smaller tiles", 48 << 20), ("the CPU", 1 << 16)):
        with limited(room), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            got = device.segment(image, tile=400)
        said = any("out of memory" in str(one.message) for one in told)
        error = distance(got, wanted) if said else np.nan
        yield Check(f"out of memory: on to {words}", spec, "float32", error, LIMITS["float32"])
    try:
        with limited(4 << 20):
            next(fit(device, ([image], [image > 0]), Recipe(epochs=1)))
        said = False
    except DataError as error:
        said = "crop" in str(error)
    yield Check("out of memory: training says so", spec, "float32", 0.0 if said else np.nan, 0)


class limited:
    """Limit the device's memory to `room` bytes more than is in use, inside the block."""

    def __init__(self, room: int) -> None:
        self.pool, self.room = sys.modules["cupy"].get_default_memory_pool(), room

    def __enter__(self) -> None:
        gc.collect()
        self.pool.free_all_blocks()
        self.pool.set_limit(size=self.pool.total_bytes() + self.room)

    def __exit__(self, *_: object) -> None:
        self.pool.set_limit(size=0)


def distance(got: Any, wanted: Any) -> float:
    """Return the norm of the difference, relative to the norm of the wanted array."""
    a, b = (to_numpy(array).astype(np.float64).ravel() for array in (got, wanted))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def different_bits(arrays: list[np.ndarray]) -> float:
    """Return the share of elements that are not the same in all arrays."""
    return float(np.mean([(array != arrays[0]).mean() for array in arrays]))
