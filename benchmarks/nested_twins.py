"""Nested nets against PyTorch: the same numbers, and the time of a training step.

``python benchmarks/nested_twins.py check`` compares scores and all gradients of nets with random parameters in
float64. PyTorch runs the same layers: dilated convolutions in place of fragments, max_pool2d, nearest-neighbour
interpolation and cat. ``python benchmarks/nested_twins.py time`` measures a training step of a U-Net, an a trous net
and nets with MaxPoolFragment at 512x512, on as many threads as tinympcnn uses.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from tinympcnn import Conv, Fragment, Layer, MaxPool, MaxPoolFragment, Net, Relu, Skip, Tanh, Upsample, engine

SPECS = {
    "U-Net": "C3x3x16 [ MP2x2 C3x3x32 [ MP2x2 C3x3x64 U2x2 ] C3x3x32 U2x2 ] C3x3x16 C1x1x2",
    "a trous": "C3x3x24 F2x2 C3x3x24 F2x2 C3x3x24 C3x3x24 C3x3x24 C1x1x2",
    "MPF": "C3x3x24 MPF2x2 C3x3x24 MPF2x2 C3x3x24 C3x3x24 C3x3x24 C1x1x2",
    "MPF with skips": "C3x3x16 [ MPF2x2 C3x3x32 [ MPF2x2 C3x3x64 ] C3x3x32 ] C3x3x16 C1x1x2",
    "rectangles": "C2x3x3 RELU [ MP2x3 C3x2x4 U2x3 ] [ F3x2 C2x2x2 [ MPF1x2 C2x1x3 ] ] C2x2x3 C1x2x2",
}
FORMATS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}


class Twin:
    """A net of tinympcnn, computed by PyTorch on dense maps."""

    def __init__(self, net: Net, memory_format: str) -> None:
        self.net, self.format = net, FORMATS[memory_format]
        self.params = [self._param(param) for _, param, _ in net.parameters()]

    def _param(self, param: np.ndarray) -> torch.Tensor:
        if param.ndim == 1:
            return torch.tensor(param).requires_grad_()
        return torch.tensor(param.transpose(3, 2, 0, 1)).contiguous(memory_format=self.format).requires_grad_()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the dense scores (N, K, n, m) of `images` (N, C, H, W)."""
        return self._row(self.net.layers, images.contiguous(memory_format=self.format), iter(self.params), (1, 1))

    def _row(
        self, layers: Sequence[Layer], x: torch.Tensor, params: Iterator[torch.Tensor], rate: tuple[int, int]
    ) -> torch.Tensor:
        for layer in layers:
            if isinstance(layer, Conv):
                x = F.conv2d(x, next(params), next(params), dilation=rate)
            elif isinstance(layer, Tanh | Relu):
                x = x.tanh() if isinstance(layer, Tanh) else x.relu()
            elif isinstance(layer, MaxPool):
                assert rate == (1, 1)
                x = F.max_pool2d(x, layer.k)
            elif isinstance(layer, Upsample):
                x = F.interpolate(x, scale_factor=layer.k, mode="nearest")
            elif isinstance(layer, MaxPoolFragment | Fragment):
                if isinstance(layer, MaxPoolFragment):
                    x = F.max_pool2d(x, layer.k, stride=1, dilation=rate)
                rate = rate[0] * layer.k[0], rate[1] * layer.k[1]
            elif isinstance(layer, Skip):
                inner = self._row(layer.layers, x, params, rate)
                (h, w), (top, left) = inner.shape[2:], (n // 2 * r for n, r in zip(layer.window, rate, strict=True))
                x = torch.cat([x[:, :, top : top + h, left : left + w], inner], dim=1)
            else:
                raise TypeError(f"no twin for {layer!r}")
        return x

    def grads(self) -> np.ndarray:
        """Return all gradients as one vector, in the order of ``net.flat_grads()``."""
        arrays = [param.grad.numpy() for param in self.params]
        return np.concatenate([(a.transpose(2, 3, 1, 0) if a.ndim == 4 else a).ravel() for a in arrays])


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
            twin, x = Twin(net, "default"), torch.tensor(images.transpose(0, 3, 1, 2)).requires_grad_()
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


def measure(size: int = 512, rounds: int = 5) -> None:
    """Print the CPU and wall seconds of one training step, the median of some rounds."""
    torch.set_num_threads(engine.get_threads())
    for name, spec in list(SPECS.items())[:4]:
        net, rng = Net.from_spec(spec, rng=0), np.random.default_rng(0)
        images = rng.standard_normal((1, *net.input_size((size, size)), 1), np.float32)
        dscores = rng.standard_normal(net.forward(images).shape, np.float32)

        def mine(net: Net = net, images: np.ndarray = images, dscores: np.ndarray = dscores) -> None:
            net.forward(images)
            net.backward(dscores, input_grad=False)

        steps: dict[str, Callable[[], None]] = {"tinympcnn": mine}
        for memory_format in FORMATS:
            twin, x = Twin(net, memory_format), torch.tensor(images.transpose(0, 3, 1, 2))
            dy = torch.tensor(dscores.transpose(0, 3, 1, 2)).contiguous(memory_format=FORMATS[memory_format])

            def its(twin: Twin = twin, x: torch.Tensor = x, dy: torch.Tensor = dy) -> None:
                for param in twin.params:
                    param.grad = None
                twin.forward(x).backward(dy)

            steps[f"PyTorch, {memory_format}"] = its
        times: dict[str, list[tuple[float, float]]] = {who: [] for who in steps}
        for _ in range(rounds):
            for who, step in steps.items():
                wall, cpu = time.perf_counter(), time.process_time()
                step()
                times[who].append((time.process_time() - cpu, time.perf_counter() - wall))
        for who, found in times.items():
            cpu, wall = np.median(found, axis=0)
            print(f"{name}, {net.n_params} parameters, {who}: {cpu:.2f} CPU s, {wall:.2f} s", flush=True)


if __name__ == "__main__":
    {"check": check, "time": measure}[sys.argv[1]]()
