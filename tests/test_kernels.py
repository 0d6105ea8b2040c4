"""The kernels of the GPU: they compile for all cards, and on the host they give what the layers' NumPy lines give."""

import ctypes
from pathlib import Path

import fake_cupy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn.engine import kernels
from tinympcnn.nn.layers import Logistic, MaxPoolFragment, Relu, Tanh

BETWEEN = [pytest.param(card, marks=pytest.mark.slow) for card in ("sm_75", "sm_80", "sm_86", "sm_89")]
CARDS = ["sm_70", *BETWEEN, "sm_90"]


@given(st.tuples(*[st.integers(1, 3)] * 6), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_pooling_to_the_last_bit(fake, sizes, dtype, ties):
    F, h, w, C, kh, kw = sizes
    rng = np.random.default_rng(0)
    x = rng.standard_normal((F, kh * (h + 1) - 1, kw * (w + 1) - 1, C)).astype(dtype)
    x = np.round(x) if ties else x
    host, device = MaxPoolFragment((kh, kw)), MaxPoolFragment((kh, kw))
    y = host.forward(x)
    on_device = device.forward(fake.cupy.asarray(x))
    np.testing.assert_array_equal(on_device.get(), y)
    np.testing.assert_array_equal(device.forward(fake.cupy.asarray(x), train=False).get(), y)
    dy = rng.standard_normal(y.shape).astype(dtype)
    device.forward(fake.cupy.asarray(x))
    np.testing.assert_array_equal(device.cache[1].get(), host.cache[1])  # the winners
    np.testing.assert_array_equal(device.backward(fake.cupy.asarray(dy)).get(), host.backward(dy))


def test_a_nan_comes_through(fake):
    for place in range(9):
        x = np.arange(9.0).reshape(1, 3, 3, 1)
        x.flat[place] = np.nan
        wanted = MaxPoolFragment(2).forward(x)
        np.testing.assert_array_equal(MaxPoolFragment(2).forward(fake.cupy.asarray(x)).get(), wanted)


@pytest.mark.parametrize("kind", [Tanh, Logistic, Relu])
def test_derivatives(fake, kind, rng):
    x, dy = rng.standard_normal((2, 1, 3, 4, 2))
    host, device = kind(), kind()
    host.forward(x)
    device.forward(fake.cupy.asarray(x))
    fake.counts.reset()
    np.testing.assert_allclose(device.backward(fake.cupy.asarray(dy)).get(), host.backward(dy), rtol=1e-14, atol=1e-16)
    assert fake.counts.launches == 1


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("name", kernels.SOURCES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nvidia_s_compiler_takes_the_kernels(name, dtype, card):
    nvrtc = pytest.importorskip(
        "nvidia.cuda_nvrtc", reason="the compiler comes with pip install nvidia-cuda-nvrtc-cu12"
    )
    library = next(Path(nvrtc.__path__[0]).glob("lib/libnvrtc.so*"))
    compiler, program = ctypes.CDLL(str(library)), ctypes.c_void_p()
    code = kernels.source(name, np.dtype(dtype)).encode()
    assert compiler.nvrtcCreateProgram(ctypes.byref(program), code, b"kernel.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * 1)(f"--gpu-architecture={card}".encode())
    failed = compiler.nvrtcCompileProgram(program, 1, options)
    size = ctypes.c_size_t()
    compiler.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    compiler.nvrtcGetProgramLog(program, log)
    assert failed == 0, log.value.decode()


def test_large_storages_fit_the_grid(monkeypatch):
    launched = {}
    monkeypatch.setattr(kernels, "_kernel", lambda xp, name, dtype: lambda *call: launched.update({name: call}))
    dy = fake_cupy.cupy.zeros((4, 1, 1, 1))
    kernels._launch("route_back", dy, (1000, 70_000, 262_144), ())
    assert launched["route_back"][0] == (4, 65535, 65535)
