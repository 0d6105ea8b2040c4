"""What all tests share: the devices they run on, a seeded generator, the real data, and a line about the GPU."""

from __future__ import annotations

import functools
import gc
import itertools
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import fake_cupy
import numpy as np
import pytest
from helpers import PLAIN, TUTORIALS, pixels, tutorial, written
from hypothesis import HealthCheck, settings

from tinympcnn import Net, cli, engine
from tinympcnn.engine import backend
from tinympcnn.errors import UsageError
from tinympcnn.nn.layers import LAYERS, register_layer

# `make test` tries few examples of every property, and `make test-slow` many.
_calm = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
settings.register_profile("few", _calm, max_examples=25)
settings.register_profile("many", _calm, max_examples=250)
settings.load_profile("few")


def pytest_collection_finish():
    gc.collect()
    gc.freeze()  # what was collected stays to the end: later collections of garbage pass it over


class Device(NamedTuple):
    """Where a test runs. Move data there with `asarray` and back with `asnumpy`; compute with `xp`."""

    name: str  # numpy, fake or gpu
    xp: ModuleType

    @property
    def backend(self) -> str:
        """The name that ``net.to(...)`` and ``--backend`` take."""
        return "numpy" if self.name == "numpy" else "cupy"

    @property
    def on_host(self) -> bool:
        return self.name == "numpy"

    def asarray(self, array: Any, dtype: Any = None) -> Any:
        return self.xp.asarray(array, dtype)

    def asnumpy(self, array: Any) -> np.ndarray:
        return np.asarray(array) if self.on_host else self.xp.asnumpy(array)


@functools.cache
def _why_no_gpu() -> str:
    """Return why the real CuPy can not be used here; empty where it can."""
    try:
        backend.load("cupy")
    except UsageError as error:
        return f"{type(error.__cause__).__name__}: {str(error.__cause__).splitlines()[0]}"
    return ""


_used_gpu: set[str] = set()


@pytest.fixture(params=["numpy", "fake", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """Run the test on NumPy, on the fake device and, where there is one, on a GPU."""
    if request.param == "numpy":
        return Device("numpy", np)
    if request.param == "gpu":
        return request.getfixturevalue("gpu")
    return Device("fake", request.getfixturevalue("fake").cupy)


@pytest.fixture
def fake(monkeypatch):
    """Put the fake CuPy in the place of the real one; return fake_cupy, whose `counts` are reset."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy.cupy)
    monkeypatch.setattr(fake_cupy.counts, "max_bytes", None)
    fake_cupy.counts.reset()
    return fake_cupy


@pytest.fixture
def gpu():
    """Return the device of a real GPU, or skip the test and say why there is none."""
    if _why_no_gpu():
        pytest.skip(f"no GPU: {_why_no_gpu()}")
    import cupy

    _used_gpu.add(cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode())
    return Device("gpu", cupy)


@pytest.fixture
def real():
    """Return the real CuPy, which also imports without a GPU, or skip the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of optional libraries that are not needed here
        return pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)


@pytest.fixture
def real_array(real):
    """Return a function from a host array to one of the real CuPy's; without a GPU, one that no kernel may touch."""

    def over_host_memory(host: np.ndarray) -> Any:
        memory = real.cuda.memory.UnownedMemory(host.ctypes.data, host.nbytes, host, 0)
        return real.ndarray(host.shape, host.dtype, real.cuda.memory.MemoryPointer(memory, 0))

    return over_host_memory if _why_no_gpu() else real.asarray


@pytest.fixture
def register():
    """Register layers for one test; afterwards the register is as before."""
    before = dict(LAYERS)
    yield register_layer
    LAYERS.clear()
    LAYERS.update(before)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def threads():
    """Return a function that sets the number of threads for this test."""
    before = engine.get_threads()
    yield engine.set_threads
    engine.set_threads(before)


@pytest.fixture
def failing(monkeypatch):
    """Return a function that makes a forward pass fail ``when(call, images)`` says so; the first call is 1."""

    def fail(error, when):
        forward, calls = Net.forward, itertools.count(1)

        def passes(self, images, train=True, outputs=None):
            if when(next(calls), images):
                raise error
            return forward(self, images, train, outputs)

        monkeypatch.setattr(Net, "forward", passes)

    return fail


@pytest.fixture
def run(capsys):
    """Return a function that runs one command and returns exit code, output and complaint."""

    def call(*words):
        code = cli.main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Make a folder with images, labels, and a model trained on them by the command line."""
    folder, images = tmp_path_factory.mktemp("made"), pixels(3, 16, 18)
    written(folder / "images.tif", images, **PLAIN, metadata={"axes": "ZYX"})
    written(folder / "labels.tif", (images > 120).astype(np.uint8) * 255, **PLAIN, metadata={"axes": "ZYX"})
    files = ["-i", f"{folder}/images.tif", "-l", f"{folder}/labels.tif", "-o", f"{folder}/model.npz"]
    assert cli.main(["train", *files, "--net", "C3x3x3 MPF2x2 FC2", "--epochs", "1", "--backend", "numpy"]) == 0
    return folder


@pytest.fixture(scope="module")
def course_of():
    """Work where the notebooks run; return a function from the source of a tutorial to its exercises, made once."""
    before = Path.cwd()
    sys.path.insert(0, str(TUTORIALS))
    os.chdir(TUTORIALS)
    yield tutorial
    os.chdir(before)
    sys.path.remove(str(TUTORIALS))


@pytest.fixture(scope="session")
def data_root():
    """Return the folder of real images, or skip the test."""
    root = os.environ.get("TINYMPCNN_DATA", "")
    if not Path(root or "/nowhere").is_dir():
        pytest.skip("no real images: TINYMPCNN_DATA does not name a folder")
    return Path(root)


def pytest_terminal_summary(terminalreporter):
    if _used_gpu:
        terminalreporter.write_line(f"GPU code was executed on {', '.join(_used_gpu)}")
    else:
        reason = _why_no_gpu() or "there is a GPU, but no test that uses it was selected"
        terminalreporter.write_line(f"no GPU code was executed: {reason}")
