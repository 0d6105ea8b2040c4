"""backend.py: which array module is chosen and why, and what happens where host and device meet."""

import ast
import subprocess
import sys

import numpy as np
import pytest
from helpers import PACKAGE, syntax

from tinympcnn import Conv, DataError, MeanSquaredError, Net, SoftmaxCrossEntropy, Tanh, UsageError
from tinympcnn.cli import info
from tinympcnn.engine import backend


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # makes `import cupy` fail


def test_numpy_is_numpy(no_cupy):
    assert backend.load("numpy") == (np, "numpy, as asked")


def test_without_cupy_auto_says_so_in_words_that_are_no_error(no_cupy):
    assert backend.load("auto") == (np, "numpy (CuPy is not installed)")


def test_a_cupy_that_lacks_something_is_named_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "cupy.py").write_text("import cupy_backends_that_nobody_has")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    module, line = backend.load("auto")
    assert module is np
    assert line.startswith("numpy, because CuPy does not work here (ModuleNotFoundError: No module named 'cupy_back")
    assert "\n" not in line


def test_cupy_asked_for_and_absent_is_an_error_with_a_way_out(no_cupy):
    with pytest.raises(UsageError, match=r"ModuleNotFoundError.*cuda12.*numpy backend"):
        backend.load("cupy")


def test_unknown_names_are_told_the_known_ones():
    with pytest.raises(UsageError, match="'torch': choose one of auto, numpy, cupy"):
        backend.load("torch")


def test_a_cupy_that_imports_but_runs_no_kernel_is_not_believed(fake, monkeypatch):
    def no_driver(n):
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient\nand more lines")

    monkeypatch.setattr(fake.cupy, "arange", no_driver)
    module, line = backend.load("auto")
    assert module is np
    assert line.endswith("(RuntimeError: cudaErrorInsufficientDriver: CUDA driver version is insufficient)")
    monkeypatch.setattr(fake.cupy, "arange", lambda n: fake.cupy.zeros(n))
    assert "a test kernel gave a wrong result" in backend.load("auto")[1]


def test_a_working_cupy_is_taken(fake):
    assert backend.load("auto") == (fake.cupy, "cupy, because a test kernel ran")
    assert backend.load("cupy") == (fake.cupy, "cupy, as asked")


def test_the_card_in_one_line_with_its_tf32(fake, monkeypatch):
    assert info.card(fake.cupy).startswith("no GPU, a fake, 1024 GiB, compute capability 00, CuPy 0 (fake) on CUDA 0.0")
    for value, word in (("0", "off"), ("1", "on")):
        monkeypatch.setenv("CUPY_TF32", value)
        assert info.card(fake.cupy).endswith(f"TF32 {word} (CUPY_TF32)")


def test_info_shows_the_card_and_its_switches_where_there_is_one(fake, monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "1")
    assert info.system().splitlines()[-1] == f"GPU: {info.card(fake.cupy)}"
    assert "CUPY_TF32=1" in info.system()
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "GPU:" not in info.system()


def test_array_module_asks_the_data(device):
    a = device.asarray([1.0, 2])
    assert backend.array_module(a, a) is device.xp
    assert backend.is_device_array(a) is not device.on_host
    np.testing.assert_array_equal(backend.to_numpy(a), [1, 2])


def test_without_cupy_nothing_is_a_device_array(no_cupy):
    assert not backend.is_device_array(np.zeros(3))
    assert backend.out_of_memory_errors() == (MemoryError,)


def test_a_device_out_of_memory_is_known_as_that(fake):
    fake.counts.max_bytes = fake.counts.live_bytes
    with pytest.raises(backend.out_of_memory_errors()):
        fake.cupy.zeros(10)


HOST = np.ones((1, 4, 4, 1), np.float32)


MIXTURES = {
    "a layer's input and weights": lambda xp: Conv(1, 2, 3).forward(xp.asarray(HOST)),
    "a layer's gradient and cache": lambda xp: backward_of(Tanh(), xp.asarray(HOST), HOST),
    "a net on the host, images on the device": lambda xp: Net([Conv(1, 2, 3)]).forward(xp.asarray(HOST)),
    "a net on the device, images on the host": lambda xp: Net([Conv(1, 2, 3)]).to("cupy").forward(HOST),
    "a net's scores and gradient": lambda xp: backward_of(Net([Conv(1, 1, 1)]).to("cupy"), xp.asarray(HOST), HOST),
    "scores and labels": lambda xp: SoftmaxCrossEntropy().forward(xp.asarray(HOST), np.zeros((1, 4, 4), int)),
    "scores and target": lambda xp: MeanSquaredError().forward(HOST, xp.asarray(HOST)),
    "a net's parameters and a vector": lambda xp: Net([Conv(1, 1, 1)]).to("cupy").set_flat(np.ones(2)),
    "a net's gradients and a vector": lambda xp: Net([Conv(1, 1, 1)]).set_flat_grads(xp.ones(2)),
}


def backward_of(layer, x, dy):
    layer.forward(x)
    layer.backward(dy)


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
def test_mixing_host_and_device_raises_with_the_way_out(fake, mixture):
    with pytest.raises(DataError, match=r"mixed.*net\.to\('cupy'\).*cupy\.asnumpy"):
        mixture(fake.cupy)


@pytest.mark.slow
def test_importing_the_package_never_imports_cupy(tmp_path):
    (tmp_path / "cupy.py").write_text("raise SystemExit('cupy was imported')")
    names = [f"tinympcnn.{path.removesuffix('.py').replace('/', '.')}" for path in syntax()]
    imports = "\n".join(f"import {name}" for name in names if not name.endswith("__main__"))
    paths = [str(tmp_path), str(PACKAGE.parent)]
    code = f"import sys; sys.path[:0] = {paths}\n{imports}\nassert 'cupy' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_backend_is_the_only_file_that_names_cupy():
    def names(nodes):
        for node in nodes:
            match node:
                case ast.Import(names=aliases):
                    yield from (alias.name for alias in aliases)
                case ast.ImportFrom(module=str(module)):
                    yield module
                case ast.Name(id=name):
                    yield name

    named = {path for path, nodes in syntax().items() if "cupy" in {name.split(".")[0] for name in names(nodes)}}
    assert named == {"engine/backend.py"}
