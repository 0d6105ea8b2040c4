"""The contenders of the benchmark: each makes a training step and a segmentation with the same net and images."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs from a checkout, installed or not
from tinympcnn import Net, SoftmaxCrossEntropy, engine
from tinympcnn.cli import info
from tinympcnn.data.borders import mirrored
from tinympcnn.nn.losses import softmax
from tinympcnn.training.objective import Example, image_closure

OURS = "tinympcnn"
TWINS = ("fragments default", "fragments channels_last", "dilated default", "dilated channels_last")
COMPILED = tuple(f"compiled {twin}" for twin in TWINS[2:])  # the fastest formulations, by torch.compile
ENGINES = ("ONNX Runtime", "OpenVINO")  # on the net exported as a dilated graph
PATCHES = ("patch by patch", "patches of 512")
AVX2 = {  # what holds NumPy, PyTorch, torch.compile, oneDNN, OpenVINO and MKL to AVX2; ONNX Runtime has no such setting
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OV_CPU_MAX_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
SAMPLE = {"patch by patch": 32, "patches of 512": 512}  # patches measured; the time is scaled to the whole image


class Case:
    """A net, images with mirrored borders, and labels; the same numbers in every process.

    Parameters
    ----------
    name : str
        The name of a net (N3, N4, steel, ...) or its layers.
    size : (rows, columns)
        The size of the images and, as their borders are mirrored, of the outputs.
    images : int
        The number of images that one step takes.
    """

    def __init__(self, name: str, size: tuple[int, int], images: int = 1, dtype: str = "float32") -> None:
        self.name, self.size, self.n = name, size, images
        self.net = Net.from_spec(name, rng=0).as_image().astype(dtype)
        self.raw = np.random.default_rng(0).standard_normal((images, *size, self.net.in_maps), np.dtype(dtype))
        self.outputs = images * prod(size)

    @cached_property
    def images(self) -> np.ndarray:
        """The images (N, H, W, C) with mirrored borders, as a training step and PyTorch take them."""
        (rows, columns), (H, W) = self.net.input_size(self.size), self.size
        return np.ascontiguousarray(self.raw[:, mirrored(H, rows - H + 1)][:, :, mirrored(W, columns - W + 1)])

    @cached_property
    def labels(self) -> np.ndarray:
        """Random labels (N, H, W) of two classes."""
        return np.random.default_rng(1).integers(0, 2, (self.n, *self.size))

    def flop(self, work: str, contender: str = OURS) -> int:
        """Return the operations that `work` takes for an image, or, patch by patch, for all patches."""
        image_net = contender not in PATCHES
        net = self.net if image_net else self.net.as_patch()
        size = net.field_of_view
        if image_net:
            size = self.size[0] + size[0] - 1, self.size[1] + size[1] - 1
        one = (info.flop_training if work == "train" else info.flop_forward)(net, size)
        return one * (self.n if image_net else self.outputs)


def make(case: Case, contender: str, work: str) -> Callable[[], object]:
    """Return the function that does "train" or "segment" once (PATCHES only on a sample of SAMPLE patches)."""
    if contender in PATCHES:
        return _patches(case, contender, work)
    if contender == OURS:
        if work == "segment":
            return lambda: [case.net.segment(image) for image in case.raw]
        return _step(case.net, case.images, case.labels)
    if contender in ENGINES:
        run, raw = _engine(case, contender), np.ascontiguousarray(case.raw.transpose(0, 3, 1, 2))
        return lambda: [run(raw[i : i + 1]) for i in range(case.n)]
    import torch
    from pytorch_twins import Twin

    torch.set_num_threads(engine.get_threads())
    formulation, memory_format = contender.split()[-2:]
    twin, images = Twin(case.net, formulation, memory_format), torch.tensor(case.images.transpose(0, 3, 1, 2))
    if work == "segment":
        segment = twin.compiled() if contender in COMPILED else twin.segment
        return lambda: [segment(images[i : i + 1]) for i in range(case.n)]
    labels = torch.tensor(case.labels)
    return lambda: twin.step(images, labels)


def _engine(case: Case, contender: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that gives the probabilities (1, K, H, W) of raw pixels (1, C, H, W) in float32."""
    from tinympcnn.io.onnx.model import to_onnx

    model, threads = to_onnx([case.net]).SerializeToString(), engine.get_threads()
    if contender == "ONNX Runtime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        for axis, n in zip("NHW", (1, *case.size), strict=True):
            options.add_free_dimension_override_by_name(axis, n)
        session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda image: session.run(None, {"image": image})[0]
    import openvino

    core = openvino.Core()
    graph = core.read_model(model)
    graph.reshape([1, case.net.in_maps, *case.size])
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    network = core.compile_model(graph, "CPU", settings)
    return lambda image: network(image)[0]


def _step(net: Net, images: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    return image_closure(net, Example(images, labels), SoftmaxCrossEntropy())


def _patches(case: Case, contender: str, work: str) -> Callable[[], object]:
    net, sample = case.net.as_patch(), SAMPLE[contender]
    batch = 1 if contender == PATCHES[0] else sample
    windows = np.lib.stride_tricks.sliding_window_view(case.images[0], net.field_of_view, axis=(0, 1))
    flat = np.random.default_rng(0).integers(0, prod(case.size), sample)
    patches = windows[flat // case.size[1], flat % case.size[1]].transpose(0, 2, 3, 1)
    labels = case.labels[0].ravel()[flat].reshape(-1, 1, 1)
    batches = [slice(i, i + batch) for i in range(0, sample, batch)]
    if work == "segment":
        return lambda: [softmax(net.forward(patches[i], train=False)) for i in batches]
    steps = [_step(net, patches[i], labels[i]) for i in batches]
    return lambda: [step() for step in steps]


def check(name: str, size: tuple[int, int] = (37, 29), echo: Callable[[str], object] = print) -> None:
    """Compare scores, loss and gradients of all image contenders, on two images, in float64 and float32.

    In float32 a maximum may fall on another of two nearly equal values, and then a gradient takes another way: that,
    and not rounding alone, is what its tolerance of 1e-3 leaves room for; float64 has to agree to 1e-10.

    Raises
    ------
    SystemExit
        If they differ: then they do not compute the same, and a comparison of their times means nothing.
    """
    import torch
    from pytorch_twins import Twin

    for dtype, scores_within, grads_within in (("float64", 1e-10, 1e-10), ("float32", 1e-4, 1e-3)):
        case = Case(name, size, images=2, dtype=dtype)
        scores = case.net.forward(case.images, train=False)
        value = _step(case.net, case.images, case.labels)()
        grads = case.net.flat_grads()
        worst = [0.0, 0.0, 0.0]
        for contender in TWINS:
            twin, images = Twin(case.net, *contender.split()), torch.tensor(case.images.transpose(0, 3, 1, 2))
            theirs = twin.forward(images).detach().numpy().transpose(0, 2, 3, 1)
            off = abs(twin.step(images, torch.tensor(case.labels)) - value) / value
            found = _distance(theirs, scores), _distance(twin.grads(), grads), off
            worst = [max(pair) for pair in zip(worst, found, strict=True)]
            if found[0] > scores_within or found[1] > grads_within or off > scores_within:
                raise SystemExit(f"{name}, {dtype}: {contender} differs (scores, gradients, loss): {found}")
        echo(f"{name}, {dtype}: scores agree to {worst[0]:.1e}, gradients to {worst[1]:.1e}, loss to {worst[2]:.1e}")


def inference(case: Case, contender: str, echo: Callable[[str], object] = print) -> Callable[[], object] | None:
    """Return the segmentation by a contender of COMPILED or ENGINES, or say why it is left out and return None.

    Its probabilities have to be those of ``net.segment``: with other numbers its time means nothing.
    """
    if contender == "ONNX Runtime" and limited() and "X86_V4" in info.vector_units():
        echo(f"{contender} is left out: it has no setting that limits it to AVX2")
        return None
    try:
        task = make(case, contender, "segment")
        found: Any = task()
    except (ImportError, RuntimeError) as error:  # torch.compile without a C++ compiler raises a RuntimeError
        echo(f"{contender} is left out: {str(error).splitlines()[0]}")
        return None
    ours = np.stack([case.net.segment(image) for image in case.raw])
    theirs = np.concatenate([np.asarray(p) for p in found]).transpose(0, 2, 3, 1)
    off = float(np.abs(theirs - ours).max())
    if not off < 1e-4:
        echo(f"{case.name}: {contender} is left out: its probabilities differ by {off:.1e}")
        return None
    echo(f"{case.name}: the probabilities of {contender} agree to {off:.1e}")
    return task


def limited() -> bool:
    """Return whether the environment of this process holds the contenders to AVX2."""
    return all(os.environ.get(name) == value for name, value in AVX2.items())


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
