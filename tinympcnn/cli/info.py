"""``tinympcnn info`` says what this machine is, and what a net will cost on it before anything is computed."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from math import prod
from pathlib import Path
from types import ModuleType

import numpy as np
from threadpoolctl import threadpool_info

import tinympcnn
from tinympcnn import engine
from tinympcnn.cli import arguments
from tinympcnn.cli.words import say
from tinympcnn.engine import backend
from tinympcnn.engine.backend import Pair
from tinympcnn.errors import UsageError, counted
from tinympcnn.inference.tiling import tile_memory, tile_size
from tinympcnn.net import Net
from tinympcnn.nn.plan import block_bytes, every, table

OVERRIDES = ("OPENBLAS_", "MKL_", "BLIS_", "GOTO_", "OMP_", "VECLIB_", "NPY_", "CUPY_", "TINYMPCNN_")

EXAMPLES = """
  tinympcnn info
  tinympcnn info N4 --image 512x512

'tinympcnn help nets' explains how nets are written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn info``."""
    text = "The net to describe: a model file, a name or a spec. The default is to describe this machine."
    parser.add_argument("what", nargs="?", metavar="MODEL.npz|NAME|SPEC", help=text)
    text = "Add sizes, operations and memory for images of H rows and W columns. The default is the net alone."
    parser.add_argument("--image", type=arguments.size, metavar="HxW", help=text)
    text = "The number of channels of the images, for a name or a spec. The default is 1."
    parser.add_argument("--in-maps", type=int, default=1, metavar="N", help=text)


def run(options: argparse.Namespace) -> None:
    """Print what is asked for."""
    if options.what is None and options.image is not None:
        raise UsageError("--image belongs to a net, as in 'tinympcnn info N4 --image 512x512'")
    say(system() if options.what is None else describe_named(options.what, options.image, options.in_maps))


def system() -> str:
    """Return what decides the speed on this machine: versions, BLAS, vector units, overrides, threads, GPU."""
    xp, why = backend.load("auto")
    set_here = [f"{name}={os.environ[name]}" for name in sorted(os.environ) if name.startswith(OVERRIDES)]
    lines = [
        f"tinympcnn {tinympcnn.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {version('scipy')}",
        *(f"BLAS: {line}" for line in blas()),
        f"products: {engine.describe_products()}",
        f"CPU: {cpu()}, {counted(engine.available_cores(), 'core')} available",
        f"vector units: {', '.join(vector_units()) or 'not known'}",
        f"environment: {', '.join(set_here) or 'nothing that overrides BLAS or threads'}",
        f"threads in use: {engine.get_threads()}, BLAS at one thread in each",
        f"backend: {why}",
        *([] if xp is np else [f"GPU: {card(xp)}"]),
    ]
    return "\n".join(lines)


def card(xp: ModuleType) -> str:
    """Return one line about the GPU in use, and whether CuPy, `xp`, rounds products to TF32: 10 of 23 bits."""
    device, runtime = xp.cuda.Device(), xp.cuda.runtime
    properties = runtime.getDeviceProperties(device.id)
    cuda, driver = (f"{v // 1000}.{v % 1000 // 10}" for v in (runtime.runtimeGetVersion(), runtime.driverGetVersion()))
    return (
        f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB, compute capability "
        f"{device.compute_capability}, CuPy {xp.__version__} on CUDA {cuda}, driver for CUDA {driver}, "
        f"TF32 {'off' if os.environ.get('CUPY_TF32', '0') == '0' else 'on'} (CUPY_TF32)"
    )


def blas() -> list[str]:
    """Return one line for every BLAS that is loaded, and who brought it: NumPy and SciPy may bring one each."""
    lines = [
        f"{info['internal_api']} {info['version']}, kernel {info.get('architecture', 'not known')}, "
        f"{counted(info['num_threads'], 'thread')}, {info.get('threading_layer', 'threads not known')}"
        + "".join(f" (of {name})" for name in ("NumPy", "SciPy") if f"{name.lower()}.libs" in info["filepath"])
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]
    return lines or [f"{np.show_config(mode='dicts')['Build Dependencies']['blas']['name']}"]


def cpu() -> str:
    """Return the name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or not x86
        return platform.processor() or platform.machine()


def vector_units() -> list[str]:
    """Return the groups of vector instructions for which NumPy has code and which this CPU has."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return [*extensions.get("baseline", []), *extensions.get("found", [])]


def describe_named(what: str, size: Pair | None = None, in_maps: int = 1) -> str:
    """Return `describe` of a model file, with its record, of a net of the zoo or of a spec, whichever `what` is."""
    net = Net.load(what) if what.endswith(".npz") or os.path.isfile(what) else Net.from_spec(what, in_maps)
    return "\n".join([describe(net, size), *(_training_lines(net) if net.record else [])])


def _training_lines(net: Net) -> list[str]:
    """Return what a net remembers of its training: classes, normalisation, and all that decided the result."""
    lines = ["", f"classes: {', '.join(str(value) for value in net.class_values or range(net.out_maps))}"]
    if net.normalisation is not None:
        mean, std = ([f"{value:.6g}" for value in part] for part in net.normalisation)
        lines.append(f"images are normalised by mean {', '.join(mean)} and standard deviation {', '.join(std)}")
    record = {**net.record}
    log = record.pop("log", None)
    lines += [f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in record.items()]
    if isinstance(log, list) and log and isinstance(log[-1], dict):
        lines.append("after training: " + ", ".join(f"{name} {value}" for name, value in log[-1].items()))
    return lines


def describe(net: Net, size: Pair | None = None) -> str:
    """Return what a net sees and its table and, for an image that is not mirrored yet, operations and memory."""
    net = net.as_image()
    sees = f"Each answer looks at {'x'.join(map(str, net.field_of_view))} pixels"
    if size is None:
        return f"{sees}.\n\n{net}"
    mirrored, image = net.input_size(size), f"an image of {size[0]}x{size[1]}"
    forward, training = flop_forward(net, mirrored), flop_training(net, mirrored)
    rows, columns = map(min, tile_size(net, None, largest=size), size)
    told = (
        "there is no patch net: what an answer looks at depends on its place in the pools"
        if net.grid != (1, 1)
        else f"patch by patch, {image} takes {patch_ratio(net, size):.0f} times as many operations"
    )
    lines = [
        f"{sees}; {told}.\n\n{table(net, mirrored)}\n",
        f"{image}, mirrored at the borders to {mirrored[0]}x{mirrored[1]}, takes",
        f"  to train     {training / 1e9:.3g} GFLOP a step, {training_bytes(net, mirrored) / 1e6:,.0f} MB",
        f"  to segment   {forward / 1e9:.3g} GFLOP, {tile_memory(net, (rows, columns), size) / 1e6:,.0f} MB at most, "
        f"in tiles of {rows}x{columns}",
    ]
    return "\n".join(lines)


def flop_forward(net: Net, size: Pair) -> int:
    """Return the operations of one forward pass over an image of `size`, as `forward` takes it."""
    return sum(row.flop for row in net.plan(size))


def flop_training(net: Net, size: Pair) -> int:
    """Return the operations of forward and backward: three times forward, less the gradient of the image.

    The first layer with parameters passes no gradient on, and the layers before it run forward only.
    """
    rows = net.plan(size)
    first = next(i for i, row in enumerate(rows) if row.n_params)
    return sum(row.flop * (1 if i < first else 2 if i == first else 3) for i, row in enumerate(rows))


def patch_ratio(net: Net, size: Pair) -> float:
    """Return how many times the operations of one pass over an image patch by patch takes, for `size` outputs.

    The padding to whole fragments counts as work of the image net: without it the steel net's ratio of 82 would be 83.
    """
    P, Q = net.field_of_view
    patches = prod(size) * flop_forward(net.as_patch(), (P, Q))
    return patches / flop_forward(net, (size[0] + P - 1, size[1] + Q - 1))


def training_bytes(net: Net, size: Pair) -> int:
    """Return about how many bytes a training step on an image of `size` takes at its peak.

    Every layer keeps what its backward pass needs: its input, its output (often the next layer's input) or neither, and
    a few bytes besides. Going back, the gradients of a layer's output and input come on top.
    """
    item = net.dtype.itemsize
    rows = [row for _, row in every(net.plan(size))]
    kept, peak, before = prod(size) * net.in_maps * item, 0, 0
    for i, row in enumerate(rows):
        out = prod(row.shape)
        needed = row.layer.keeps == "y" or (i + 1 < len(rows) and rows[i + 1].layer.keeps == "x")
        kept += row.layer.kept_bytes(row.shape) + (out * item if needed else 0)
        peak, before = max(peak, kept + (before + out) * item), out
    return peak + block_bytes(net.plan(size), item)
