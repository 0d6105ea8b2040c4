"""Nested nets against PyTorch: the same numbers, and the time and memory of a training step.

``python benchmarks/nested_twins.py check`` compares scores and all gradients of nets with random parameters in
float64. PyTorch runs the same layers: dilated convolutions in place of fragments, max_pool2d, nearest-neighbour
interpolation and cat. ``python benchmarks/nested_twins.py time`` measures a training step (forward, cross-entropy,
backward) of a U-Net, an a trous net and nets with MaxPoolFragment at 512x512, on as many threads as tinympcnn uses, and
the peak memory of every contender in a process of its own. ``time --size 64 --rounds 1`` tries the script.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pages
import torch
from contenders import OURS, Case, make
from memory import memory
from pytorch_twins import Twin

from tinympcnn import Net, engine

SPECS = {
    "U-Net": "C3x3x16 [ MP2x2 C3x3x32 [ MP2x2 C3x3x64 U2x2 ] C3x3x32 U2x2 ] C3x3x16 C1x1x2",
    "a trous": "C3x3x24 F2x2 C3x3x24 F2x2 C3x3x24 C3x3x24 C3x3x24 C1x1x2",
    "MPF": "C3x3x24 MPF2x2 C3x3x24 MPF2x2 C3x3x24 C3x3x24 C3x3x24 C1x1x2",
    "MPF with skips": "C3x3x16 [ MPF2x2 C3x3x32 [ MPF2x2 C3x3x64 ] C3x3x32 ] C3x3x16 C1x1x2",
    "rectangles": "C2x3x3 RELU [ MP2x3 C3x2x4 U2x3 ] [ F3x2 C2x2x2 [ MPF1x2 C2x1x3 ] ] C2x2x3 C1x2x2",
}
CONTENDERS = (OURS, "dilated default", "dilated channels_last")


def check() -> None:
    """Compare scores, gradients of the parameters and of the images; stop if one is further away than 1e-10."""
    for name, spec in SPECS.items():
        for seed in range(3):
            rng = np.random.default_rng(seed)
            net = Net.from_spec(spec, in_maps=2, rng=seed).astype("float64")
            net.set_flat(rng.standard_normal(net.n_params) / 3)
            images = rng.standard_normal((2, *net.input_size((7 + seed, 10)), 2))
            scores = net.forward(images)
            dscores = rng.standard_normal(scores.shape)
            net.zero_grads()
            dimages = net.backward(dscores)
            twin, x = Twin(net, "dilated", "default"), torch.tensor(images.transpose(0, 3, 1, 2)).requires_grad_()
            its = twin.forward(x)
            its.backward(torch.tensor(dscores.transpose(0, 3, 1, 2)))
            pairs = [
                (scores, its.detach().numpy().transpose(0, 2, 3, 1)),
                (dimages, x.grad.numpy().transpose(0, 2, 3, 1)),
                (net.flat_grads(), twin.grads()),
            ]
            far = [float(np.linalg.norm(mine - other) / np.linalg.norm(other)) for mine, other in pairs]
            print(f"{name}, seed {seed}: scores {far[0]:.1e}, dimages {far[1]:.1e}, gradients {far[2]:.1e}")
            if max(far) > 1e-10:
                sys.exit(f"{name} differs from PyTorch")


def measure(size: int, rounds: int, output: Path) -> None:
    """Measure the CPU and wall seconds of one training step (the median of some rounds) and the peak memory."""
    rows = []
    for name, spec in list(SPECS.items())[:4]:
        case = Case(spec, (size, size))
        steps = {who: make(case, who, "train") for who in CONTENDERS}
        times: dict[str, list[tuple[float, float]]] = {who: [] for who in steps}
        for number in range(rounds + 1):  # the first round only warms up
            for who, step in steps.items():
                wall, cpu = time.perf_counter(), time.process_time()
                step()
                if number:
                    times[who].append((time.process_time() - cpu, time.perf_counter() - wall))
        for who, found in times.items():
            cpu, wall = np.median(found, axis=0)
            rows.append({
                "net": name, "parameters": case.net.n_params, "contender": who, "threads": engine.get_threads(),
                "rows": size, "rounds": rounds, "cpu_s": f"{cpu:.3f}", "wall_s": f"{wall:.3f}",
                **{key: f"{mb:.0f}" for key, mb in memory(case, who, "train").items()},
            })  # fmt: skip
            print(*(f"{key} {value}" for key, value in rows[-1].items()), sep=", ", flush=True)
    pages.write(output, rows)


def main() -> None:
    """Run one of the commands above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("check").set_defaults(run=check)
    timing = commands.add_parser("time")
    timing.add_argument("--size", type=int, default=512, help="The rows and columns of the scores. The default is 512.")
    timing.add_argument("--rounds", type=int, default=5, help="The number of rounds. The default is 5.")
    timing.add_argument("-o", "--output", type=Path, default=Path("nested_twins.csv"), help="The CSV file to write.")
    timing.set_defaults(run=measure)
    options = vars(parser.parse_args())
    options.pop("run")(**options)


if __name__ == "__main__":
    main()
