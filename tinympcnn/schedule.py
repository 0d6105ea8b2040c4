"""How the loops of Algorithms 1 and 2 are run: which blocks, on which threads, in which memory.

The layers say what is computed for a block of fragments and rows; this file alone decides how storages are cut.
On a CPU a block is small enough for its columns to stay in cache, worker threads take blocks in turn, and BLAS
runs single-threaded inside each. On a GPU a block is as much of the storage as the workspace allows, and there
are no threads. Three rules make results independent of the number of threads and of how an image is tiled:

1. A matrix product has GEMM_ROWS rows, the last ones zero-padded, because BLAS may round a row differently in
   products of other sizes. (Only a storage smaller than that is multiplied as it is.)
2. Some BLAS kernels round a row differently depending on its place in the product, with a period. `row_period`
   measures that period, and every row of a map starts at a multiple of it.
3. Sums over blocks run in a fixed number of lanes, each in block order, and the lanes are added in order.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from tinympcnn.backend import Array, array_module, is_device_array
from tinympcnn.errors import UsageError

GEMM_ROWS = 384  # a multiple of 12, 16 and 24, the register blocks of common kernels
COLUMN_BYTES = 8 << 20  # columns of one block on a CPU
DEVICE_BYTES = 512 << 20  # columns of one block on a GPU
CACHE_ITEMS = 1 << 16  # array elements of one block in pooling and pointwise layers: a few fit the L2 cache
LANES = 8  # partial sums; fixed, so that the order of additions does not depend on the threads

Block = tuple[slice, slice]  # of fragments, of rows


# ----------------------------------------------------------------------------------------------- threads


def available_cores() -> int:
    """Return the cores this process may use: its affinity, within the limit of its cgroup."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup v2, or no limit ("max")
        pass
    return cores


def _threads_from_environment() -> int:
    text = os.environ.get("TINYMPCNN_THREADS", "")
    if not text:
        return available_cores()
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"TINYMPCNN_THREADS must be a positive integer, not {text!r}")
    return int(text)


class _Workers:
    """The worker threads and BLAS's own thread setting, made on first use."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew, as in a process just forked: threads do not survive a fork."""
        self.threads: int | None = None
        self.pool: ThreadPoolExecutor | None = None
        self.depth = 0
        self.lock = threading.RLock()
        self.controller: ThreadpoolController | None = None
        self.limits: Any = None

    def count(self) -> int:
        if self.threads is None:
            self.threads = _threads_from_environment()
        return self.threads

    def executor(self) -> ThreadPoolExecutor:
        if self.pool is None:
            self.pool = ThreadPoolExecutor(self.count(), thread_name_prefix="tinympcnn")
        return self.pool


_workers = _Workers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.reset)


def get_threads() -> int:
    """Return the number of worker threads: TINYMPCNN_THREADS, or the cores available to this process."""
    return _workers.count()


def set_threads(n: int) -> None:
    """Use `n` worker threads from now on; results do not depend on it, to the last bit."""
    if n < 1:
        raise UsageError(f"threads must be at least 1, not {n}")
    with _workers.lock:
        if _workers.pool is not None:
            _workers.pool.shutdown()
        _workers.threads, _workers.pool = n, None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS at one thread inside: the blocks are what runs in parallel. May be nested, costs little then."""
    with _workers.lock:
        if _workers.depth == 0:
            if _workers.controller is None:
                _workers.controller = ThreadpoolController()
            _workers.limits = _workers.controller.limit(limits=1, user_api="blas")
        _workers.depth += 1
    try:
        yield
    finally:
        with _workers.lock:
            _workers.depth -= 1
            if _workers.depth == 0:
                _workers.limits.restore_original_limits()


def run(task: Callable[[Any], None], items: Sequence[Any], like: Array = None) -> None:
    """Call ``task(item)`` for every item, on the worker threads; the calls must write to disjoint places.

    Where `like` is on a GPU, one after the other on this thread: kernels queue up anyway, and every other thread would
    take a workspace of its own, on the default device instead of the chosen one.
    """
    with single_threaded_blas():
        helpers = 0 if is_device_array(like) else min(get_threads(), len(items)) - 1
        if helpers < 1:
            for item in items:
                task(item)
            return
        ticket = itertools.count()  # next() on it is one step of the interpreter: no two threads draw the same

        def work() -> None:
            while (i := next(ticket)) < len(items):
                task(items[i])

        futures = [_workers.executor().submit(work) for _ in range(helpers)]
        try:
            work()
        finally:
            for future in futures:
                future.result()


def accumulate(task: Callable[..., None], items: Sequence[Any], totals: Sequence[Array]) -> None:
    """Add to `totals` what ``task(item, *partials)`` adds to its partial sums, over all items, in a fixed order."""
    n = len(items)
    bounds = [n * lane // LANES for lane in range(LANES + 1)] if not is_device_array(totals[0]) else [0, n]
    lanes = [(low, high) for low, high in itertools.pairwise(bounds) if low < high]
    xp = array_module(*totals)
    partials = [[xp.zeros_like(total) for total in totals] for _ in lanes]

    def lane(number: int) -> None:
        for item in items[slice(*lanes[number])]:
            task(item, *partials[number])

    run(lane, range(len(lanes)))
    for sums in partials:
        for total, partial in zip(totals, sums, strict=True):
            xp.add(total, partial, out=total)


# ------------------------------------------------------------------------------------------------ blocks


def gemm_blocks(fragments: int, rows: int, columns: int, column_bytes: int, like: Array) -> list[Block]:
    """Cut an output storage into blocks of whole fragments, or of whole rows, for a product over their columns.

    Parameters
    ----------
    fragments, rows, columns : int
        Size of the output storage.
    column_bytes : int
        Bytes that the columns of one output pixel take.
    like : array
        Where the work will be done.
    """
    total = fragments * rows * columns
    if is_device_array(like):
        pixels = max(1, DEVICE_BYTES // column_bytes)
    else:
        pixels = min(max(COLUMN_BYTES // column_bytes, GEMM_ROWS), max(GEMM_ROWS, total // LANES))
    return _cut(fragments, rows, columns, pixels, 1 if is_device_array(like) else GEMM_ROWS)


def cache_blocks(fragments: int, rows: int, row_items: int, like: Array) -> list[Block]:
    """Cut a storage into blocks whose arrays stay in the cache of one core (one block on a GPU)."""
    if is_device_array(like):
        return [(slice(0, fragments), slice(0, rows))]
    return _cut(fragments, rows, row_items, CACHE_ITEMS, 1)


def _cut(fragments: int, rows: int, row_size: int, limit: int, multiple: int) -> list[Block]:
    """Cut into blocks of at most about `limit` items, so that little is padded when each is filled to `multiple`."""

    def cheapest(item: int, n: int) -> tuple[int, int]:
        """Return the items computed, padding and a little for each block included, and the step, over n things."""
        most = max(1, min(n, limit // item))

        def cost(step: int) -> int:
            blocks, rest = divmod(n, step)
            padded = blocks * -(-step * item // multiple) - (-rest * item // multiple)
            return padded * multiple + (blocks + (rest > 0)) * multiple // 16

        return min((cost(step), step) for step in range((most + 1) // 2, most + 1))

    by_rows, row_step = cheapest(row_size, rows)
    if rows * row_size <= limit:
        by_fragments, step = cheapest(rows * row_size, fragments)
        if by_fragments <= fragments * by_rows:
            return [(slice(f, min(f + step, fragments)), slice(0, rows)) for f in range(0, fragments, step)]
    spans = [slice(q, min(q + row_step, rows)) for q in range(0, rows, row_step)]
    return [(slice(f, f + 1), span) for f in range(fragments) for span in spans]


# ---------------------------------------------------------------------------------------------- products


@cache
def row_period(dtype: np.dtype) -> int:
    """Return the period with which BLAS's rounding of a row depends on the row's place in a product.

    Measured: a product of GEMM_ROWS identical rows, which gives identical rows where the place does not matter.
    """
    rng = np.random.default_rng(0)
    with single_threaded_blas():
        for maps in (63, 48, 200):  # together they visit every register block: 16, 8, 4, 2, 1 and the rest
            y = np.tile(rng.standard_normal(61), (GEMM_ROWS, 1)).astype(dtype)
            y = y @ rng.standard_normal((61, maps)).astype(dtype)
            for period in (1, 2, 4, 8, 12, 16, 24, 48):
                if (y.reshape(-1, period, maps) == y[:period]).all():
                    break
            if period > 1:
                return period
    return 1


def pitch(columns: int, like: Array) -> int:
    """Return the distance at which rows of `columns` pixels follow each other in a product."""
    if is_device_array(like):
        return columns
    period = row_period(like.dtype)
    return -(-columns // period) * period


def product(a: Array, W: Array, total: int) -> Array:
    """Return ``a @ W`` in products of exactly GEMM_ROWS rows, unless the storage has fewer pixels in `total`."""
    n, maps = len(a), W.shape[1]
    y = empty((n, maps), a)
    xp = array_module(a, W)
    if is_device_array(a) or total < GEMM_ROWS:
        return xp.matmul(a, W, out=y)
    full = n - n % GEMM_ROWS
    if full:
        xp.matmul(a[:full].reshape(-1, GEMM_ROWS, a.shape[1]), W, out=y[:full].reshape(-1, GEMM_ROWS, maps))
    if full < n:
        tail = empty((GEMM_ROWS, a.shape[1]), a)
        tail[: n - full], tail[n - full :] = a[full:], 0
        y[full:] = xp.matmul(tail, W)[: n - full]
    return y


# --------------------------------------------------------------------------------------------- workspace


class _Lease:
    """Memory on loan to one array and its views; when the last of them is gone it returns to the free list."""

    def __init__(self, raw: np.ndarray, nbytes: int) -> None:
        self.raw = raw
        self.__array_interface__ = {**raw[:nbytes].__array_interface__, "shape": (nbytes,)}

    def __del__(self) -> None:
        _workspace.give_back(self.raw)


class _Workspace:
    """A caching allocator like CuPy's: fresh memory costs a page fault for every page, kept memory nothing."""

    SMALLEST = 1 << 15  # bytes; below this NumPy's own cache is as good
    GRAIN = 1 << 12

    def __init__(self) -> None:
        self.free: dict[int, list[np.ndarray]] = {}
        self.free_bytes = self.leased_bytes = self.most_leased = 0
        self.lock = threading.RLock()  # reentrant: the garbage collector may return a lease while one is taken

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if nbytes < self.SMALLEST:
            return np.empty(shape, dtype)
        size = -(-nbytes // self.GRAIN) * self.GRAIN
        with self.lock:
            kept = self.free.get(size)
            raw = kept.pop() if kept else None
            if raw is not None:
                self.free_bytes -= size
            else:
                self.shrink_to(max(0, self.most_leased - self.leased_bytes - size))
            self.leased_bytes += size
            self.most_leased = max(self.most_leased, self.leased_bytes)
        if raw is None:
            raw = np.empty(size, np.uint8)
        return np.asarray(_Lease(raw, nbytes)).view(dtype).reshape(shape)

    def give_back(self, raw: np.ndarray) -> None:
        with self.lock:
            self.leased_bytes -= raw.size
            self.free_bytes += raw.size
            self.free.setdefault(raw.size, []).append(raw)

    def shrink_to(self, nbytes: int) -> None:
        """Let the oldest sizes go until at most `nbytes` lie idle: kept memory never adds to the peak."""
        for size in list(self.free):
            while self.free_bytes > nbytes and self.free[size]:
                self.free[size].pop()
                self.free_bytes -= size
            if not self.free[size]:
                del self.free[size]


_workspace = _Workspace()


def empty(shape: tuple[int, ...], like: Array, dtype: Any = None) -> Array:
    """Return an uninitialised array of `shape`, of the type and on the device of `like`, from kept memory."""
    dtype = np.dtype(like.dtype if dtype is None else dtype)
    if is_device_array(like):
        return array_module(like).empty(shape, dtype)
    return _workspace.take(tuple(shape), dtype)


def free_memory() -> None:
    """Hand memory kept for the next step back to the operating system."""
    with _workspace.lock:
        _workspace.shrink_to(0)
        _workspace.most_leased = _workspace.leased_bytes
