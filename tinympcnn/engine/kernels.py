"""The GPU's own form of what only moves memory: one kernel where NumPy's functions would pass over memory many times.

Each kernel equals a few lines of NumPy, which stand in the layers and run on a CPU; the tests hold both together. The
kernels are CUDA C and are compiled on first use. `T` is float or double. A thread takes the numbers of one row of maps
in turn, `blockIdx.y` the rows, `blockIdx.z` the fragments.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Array, Pair, array_module
from tinympcnn.engine.workspace import contiguous

THREADS = 256  # of a block of the grid
MOST = 65535  # blocks along the second and third axis of a grid

ROWS = """
#define FOR_ROWS(fragment, fragments, row, rows, number, numbers) \\
    for (int fragment = blockIdx.z; fragment < (fragments); fragment += gridDim.z) \\
    for (int row = blockIdx.y; row < (rows); row += gridDim.y) \\
    for (int number = blockIdx.x * blockDim.x + threadIdx.x; number < (numbers); number += gridDim.x * blockDim.x)
typedef unsigned long long place;
"""

# y[f*kh*kw + r*kw + c, q, p] = max_ij x[f, r + kh*q + i, c + kw*p + j]; the first maximum wins, and a NaN stays
SPLIT_MAXIMA = """
extern "C" __global__ void split_maxima(const T* x, T* y, unsigned char* winners, int fragments, int H, int W, int C,
                                        int kh, int kw, int h, int w) {
    FOR_ROWS(z, fragments * kh * kw, q, h, n, w * C) {
        int f = z / (kh * kw), r = z / kw % kh, c = z % kw, p = n / C, m = n % C;
        const T* window = x + (((place)f * H + r + kh * q) * W + c + kw * p) * C + m;
        T best = window[0];
        int winner = 0;
        for (int i = 0; i < kh; i++)
            for (int j = 0; j < kw; j++) {
                T value = window[((place)i * W + j) * C];
                if (value > best) winner = i * kw + j;
                if (value > best || value != value) best = value;
            }
        y[((place)z * h + q) * w * C + n] = best;
        if (winners) winners[(((place)f * kh * h + kh * q + r) * kw * w + kw * p + c) * C + m] = winner;
    }
}
"""

# dx[f, s, t] = sum of dy over the windows (s-i, t-j) that the pixel won as their place (i, j)
ROUTE_BACK = """
extern "C" __global__ void route_back(const T* dy, const unsigned char* winners, T* dx, int fragments, int H, int W,
                                      int C, int kh, int kw, int h, int w) {
    FOR_ROWS(f, fragments, s, H, n, W * C) {
        int t = n / C, m = n % C;
        T total = 0;
        for (int i = 0; i < kh; i++)
            for (int j = 0; j < kw; j++) {
                int a = s - i, b = t - j;
                if (a < 0 || b < 0 || a >= kh * h || b >= kw * w) continue;
                if (winners[(((place)f * kh * h + a) * kw * w + b) * C + m] != i * kw + j) continue;
                int fragment = (f * kh + a % kh) * kw + b % kw;
                total += dy[(((place)fragment * h + a / kh) * w + b / kw) * C + m];
            }
        dx[((place)f * H + s) * W * C + n] = total;
    }
}
"""

SOURCES = {"split_maxima": SPLIT_MAXIMA, "route_back": ROUTE_BACK}


def source(name: str, dtype: np.dtype) -> str:
    """Return the CUDA C of a kernel for numbers of one type."""
    return f"#define T {'float' if dtype.itemsize == 4 else 'double'}\n{ROWS}{SOURCES[name]}"


def split_maxima(x: Array, k: Pair, y: Array, winners: Array | None) -> None:
    """Write to `y` (F, kh, kw, h, w, C) the maxima of the windows of `x` at all offsets, and who won to `winners`.

    `x` is (F, H, W, C). `winners` (F, kh*h, kw*w, C) gets the place ``i*kw + j`` of the first maximum of each window.
    """
    F, kh, kw, h, w, C = y.shape
    arguments = (contiguous(x), y, 0 if winners is None else winners, *map(np.int32, (*x.shape, *k, h, w)))
    _launch("split_maxima", x, (w * C, h, F * kh * kw), arguments)


def route_back(dy: Array, winners: Array, k: Pair, dx: Array) -> None:
    """Write to `dx` (F, H, W, C) the sum, over the windows that each pixel won, of their gradients `dy`.

    `dy` is (F*kh*kw, h, w, C), and `winners` is what `split_maxima` wrote.
    """
    (F, H, W, C), (h, w) = dx.shape, dy.shape[1:3]
    arguments = (contiguous(dy), winners, dx, *map(np.int32, (*dx.shape, *k, h, w)))
    _launch("route_back", dy, (W * C, H, F), arguments)


def elementwise(formula: str, *inputs: Array) -> Array:
    """Return the value of a formula of C in the letters `dy` and `y`, number by number, in one kernel.

    The inputs are dy and y, of one shape.
    """
    return _elementwise(array_module(*inputs), formula)(*inputs)  # type: ignore[no-any-return]


@cache
def _elementwise(xp: Any, formula: str) -> Any:
    return xp.ElementwiseKernel("T dy, T y", "T out", f"out = {formula}", "tinympcnn_elementwise")


@cache
def _kernel(xp: Any, name: str, dtype: np.dtype) -> Any:
    return xp.RawKernel(source(name, dtype), name)


def _launch(name: str, like: Array, extent: tuple[int, int, int], arguments: tuple[Any, ...]) -> None:
    """Run a kernel over (numbers of a row, rows, fragments)."""
    numbers, rows, fragments = extent
    grid = (-(-numbers // THREADS), min(rows, MOST), min(fragments, MOST))
    _kernel(array_module(like), name, like.dtype)(grid, (THREADS,), arguments)
