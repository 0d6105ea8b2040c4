"""Memory for arrays, kept from step to step: fresh pages cost more time than the arithmetic on them."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Array, array_module, is_device_array

WORD = np.dtype(np.complex128)  # the largest item that CUDA moves at once, 16 bytes


class _Lease:
    """Memory on loan to one array and its views; it returns to the free list when the last of them is gone."""

    def __init__(self, raw: np.ndarray, nbytes: int) -> None:
        self.raw = raw
        self.__array_interface__ = {**raw[:nbytes].__array_interface__, "shape": (nbytes,)}

    def __del__(self) -> None:
        _workspace.give_back(self.raw)


class _Workspace:
    """A caching allocator like CuPy's: fresh memory costs a page fault for every page, kept memory costs none."""

    SMALLEST = 1 << 17  # bytes of an array; for smaller arrays NumPy's own cache is as good
    SLACK = 48 << 20  # bytes that may lie idle beyond the peak: blocks of other sizes take turns in them

    def __init__(self) -> None:
        self.free: dict[int, list[np.ndarray]] = {}
        self.free_bytes = self.leased_bytes = self.most_leased = 0
        self.lock = threading.RLock()  # reentrant: the garbage collector may return a lease while one is taken

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < self.SMALLEST:
            return np.empty(shape, dtype)
        grain = 1 << nbytes.bit_length() - 4
        size = -(-nbytes // grain) * grain
        with self.lock:
            room = self.most_leased + self.SLACK - self.leased_bytes - self.free_bytes
            most = size * 4 // 3 if size <= room else math.inf  # waste some of a piece rather than let it go
            fitting = size if size in self.free else min((kept for kept in self.free if size < kept <= most), default=0)
            raw = self._pop(fitting) if fitting else None
            self.leased_bytes += raw.size if raw is not None else size
            self.most_leased = max(self.most_leased, self.leased_bytes)
            if raw is None:
                self.shrink_to(self.most_leased - self.leased_bytes + self.SLACK)
        if raw is None:
            raw = np.empty(size, np.uint8)
        return np.asarray(_Lease(raw, nbytes)).view(dtype).reshape(shape)

    def give_back(self, raw: np.ndarray) -> None:
        with self.lock:
            self.leased_bytes -= raw.size
            self.free_bytes += raw.size
            self.free.setdefault(raw.size, []).append(raw)

    def shrink_to(self, nbytes: int) -> None:
        """Free memory until at most `nbytes` lie idle: the smallest piece that is enough, or else the largest."""
        while (excess := self.free_bytes - nbytes) > 0:
            self._pop(min((size for size in self.free if size >= excess), default=max(self.free)))

    def _pop(self, size: int) -> np.ndarray:
        raw = self.free[size].pop()
        if not self.free[size]:
            del self.free[size]
        self.free_bytes -= size
        return raw


_workspace = _Workspace()


def empty(shape: tuple[int, ...], like: Array, dtype: Any = None) -> Array:
    """Return an uninitialised array of `shape`, of the type and on the device of `like`, from kept memory."""
    dtype = like.dtype if dtype is None else np.dtype(dtype)
    if is_device_array(like):
        on_device: Array = array_module(like).empty(shape, dtype)
        return on_device
    return _workspace.take(tuple(shape), dtype)


def copy(x: Array, into: Array) -> None:
    """Copy `x` (..., C) to `into`; maps that lie side by side are moved as larger items.

    NumPy moves all the maps of a pixel at once, in half the time; a GPU thread moves a WORD, in a quarter of the time.
    """
    if x.dtype == into.dtype and x.strides[-1] == into.strides[-1] == x.dtype.itemsize:
        if not is_device_array(x):
            size = x.shape[-1] * x.dtype.itemsize
            x, into = x.view(f"V{size}"), into.view(f"V{size}")
        elif _in_words(x) and _in_words(into):
            x, into = x.view(WORD), into.view(WORD)
    into[...] = x


def _in_words(x: Array) -> bool:
    """Return whether every pixel of an array on a GPU begins and ends at a multiple of the size of WORD."""
    address: Any = x.data  # of CuPy: a pointer, not NumPy's buffer
    places = (address.ptr, x.shape[-1] * x.dtype.itemsize, *x.strides[:-1])
    return all(place % WORD.itemsize == 0 for place in places)


def contiguous(x: Array) -> Array:
    """Return `x` if its numbers follow each other in memory, or else a copy in kept memory."""
    if x.flags.c_contiguous:
        return x
    y = empty(x.shape, x)
    copy(x, y)
    return y


def release_memory() -> None:
    """Give the memory that is kept for the next step back to the operating system."""
    with _workspace.lock:
        _workspace.shrink_to(0)
        _workspace.most_leased = _workspace.leased_bytes
