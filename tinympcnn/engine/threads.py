"""The worker threads: a loop over blocks, and a sum over blocks that does not depend on who computes what."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any

from threadpoolctl import ThreadpoolController

from tinympcnn.engine import limits
from tinympcnn.engine.backend import Array, array_module, is_device_array
from tinympcnn.errors import UsageError

LANES = 8  # partial sums; fixed, so that the order of additions does not depend on the threads


def available_cores() -> int:
    """Return the cores this process may use: its affinity, within the limits of its control groups."""
    return min([limits.scheduled_cores(), *(max(1, round(quota)) for quota in limits.cpu_quota())])


def _threads_from_environment() -> int:
    text = os.environ.get("TINYMPCNN_THREADS") or str(available_cores())
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"TINYMPCNN_THREADS must be a positive integer, not {text!r}")
    return int(text)


class _Workers:
    """The worker threads and BLAS's own thread setting, made on first use."""

    def __init__(self) -> None:
        self.depth, self.lock = 0, threading.RLock()
        self.limits: Any = None

    def reset(self) -> None:
        """Forget all threads, as in a process just forked: threads do not survive a fork."""
        self.__dict__ = type(self)().__dict__

    @cached_property
    def threads(self) -> int:
        return _threads_from_environment()

    @cached_property
    def blas(self) -> ThreadpoolController:
        return ThreadpoolController()

    @cached_property
    def executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="tinympcnn")

    def start(self, work: Callable[[], None], helpers: int) -> list[Future[None]]:
        """Run `work` on `helpers` threads, or on as many as the system starts; then no more are asked for again."""
        futures: list[Future[None]] = []
        try:
            for _ in range(helpers):
                futures.append(self.executor.submit(work))
        except RuntimeError:  # "can't start new thread"
            self.threads = len(futures) + 1
        return futures


_workers = _Workers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.reset)


def get_threads() -> int:
    """Return the number of worker threads: TINYMPCNN_THREADS, or the cores available to this process."""
    return _workers.threads


def set_threads(n: int) -> None:
    """Use `n` worker threads from now on; results do not depend on it, to the last bit."""
    if n < 1:
        raise UsageError(f"threads must be at least 1, not {n}")
    with _workers.lock:
        if "executor" in vars(_workers):
            _workers.executor.shutdown()
            del _workers.executor
        _workers.threads = n


def libraries() -> list[dict[str, Any]]:
    """Return what threadpoolctl knows of the libraries with threads of their own, BLAS among them."""
    found: list[dict[str, Any]] = _workers.blas.info()
    return found


class single_threaded_blas:
    """Keep BLAS at one thread inside, because the blocks run in parallel. Nesting is allowed and costs little."""

    def __enter__(self) -> None:
        with _workers.lock:
            if _workers.depth == 0:
                _workers.limits = _workers.blas.limit(limits=1, user_api="blas")
            _workers.depth += 1

    def __exit__(self, *raised: object) -> None:
        with _workers.lock:
            _workers.depth -= 1
            if _workers.depth == 0:
                _workers.limits.restore_original_limits()


def run(task: Callable[[Any], None], items: Sequence[Any], like: Array | None = None) -> None:
    """Call ``task(item)`` for every item, on the worker threads; the calls must write to disjoint places.

    If `like` is on a GPU, the calls run one after the other on this thread: kernels queue up anyway, and every other
    thread would take a workspace of its own, on the default device instead of the chosen one. Where no thread can be
    started, as in a browser, this thread makes all calls too.
    """
    with single_threaded_blas():
        helpers = 0 if is_device_array(like) else min(get_threads(), len(items)) - 1
        if helpers < 1:
            for item in items:
                task(item)
            return
        ticket = itertools.count()  # next(ticket) is one step of the interpreter: no two threads draw the same number

        def work() -> None:
            while (i := next(ticket)) < len(items):
                task(items[i])

        futures = _workers.start(work, helpers)
        try:
            work()
        finally:
            for future in futures:
                future.result()


def accumulate(task: Callable[..., None], items: Sequence[Any], totals: Sequence[Array]) -> None:
    """Add up, in a fixed order, what ``task(item, *partials)`` adds to its partial sums, and add that to `totals`."""
    if is_device_array(totals[0]) or len(items) == 1:  # one lane, in the order of the items: no partial sums
        for item in items:
            task(item, *totals)
        return
    bounds = [len(items) * lane // LANES for lane in range(LANES + 1)]
    shares = [items[low:high] for low, high in itertools.pairwise(bounds) if low < high]
    xp = array_module(*totals)
    partials = [[xp.zeros_like(total) for total in totals] for _ in shares]

    def lane(number: int) -> None:
        for item in shares[number]:
            task(item, *partials[number])

    run(lane, range(len(shares)))
    for sums in partials:
        for total, partial in zip(totals, sums, strict=True):
            xp.add(total, partial, out=total)
