"""CUDA C run on the host: a kernel is compiled by the C++ compiler, and its grid is run through by four loops."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

SHIM = """
struct Three { int x, y, z; };
static Three blockIdx, threadIdx, blockDim, gridDim;
#define __global__
#define __restrict__
"""
LOOPS = """
extern "C" void run_%(name)s(int gx, int gy, int gz, int threads, %(parameters)s) {
    gridDim = {gx, gy, gz}; blockDim = {threads, 1, 1};
    for (blockIdx.z = 0; blockIdx.z < gz; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < gy; blockIdx.y++)
    for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++)
    for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++)
        %(name)s(%(arguments)s);
}
"""


@cache
def compiled(source: str, name: str) -> Callable[..., None]:
    """Return the kernel as a function of the host, which takes the grid and then the kernel's own arguments."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler is here to run the GPU's kernels on the host")
    parameters = source[source.index(f"{name}(") :].split("(", 1)[1].split(")", 1)[0]
    arguments = ", ".join(word.split()[-1].lstrip("*") for word in parameters.split(","))
    text = SHIM + source + LOOPS % {"name": name, "parameters": parameters, "arguments": arguments}
    folder = Path(tempfile.mkdtemp())
    (folder / "kernel.cpp").write_text(text)
    command = [compiler, "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-Wno-unknown-pragmas"]
    subprocess.run([*command, "-o", folder / "kernel.so", folder / "kernel.cpp"], check=True)
    function: Callable[..., None] = getattr(ctypes.CDLL(str(folder / "kernel.so")), f"run_{name}")
    return function


def run(source: str, name: str, grid: tuple[int, int, int], threads: int, arguments: tuple) -> None:
    """Run a kernel on arrays of the host and NumPy's numbers; a 0 stands for no array."""
    converted: list[ctypes.c_void_p | ctypes.c_int] = []
    for value in arguments:
        if isinstance(value, np.ndarray):
            assert value.flags.c_contiguous
            converted.append(value.ctypes.data_as(ctypes.c_void_p))
        elif isinstance(value, np.int32):
            converted.append(ctypes.c_int(int(value)))
        else:
            assert value == 0
            converted.append(ctypes.c_void_p())
    compiled(source, name)(*map(ctypes.c_int, (*grid, threads)), *converted)
