"""Independent pieces of work on any executor: this thread, which is the default, threads, processes, or a cluster.

A piece depends on nothing but its own arguments, so the executor decides where and when a piece is computed, and not
one bit of the result. Results are taken in the order of the pieces.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from tinympcnn.engine.threads import set_threads
from tinympcnn.errors import UsageError


class Serial(Executor):
    """The executor that computes every call at once, on the thread that asks."""

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Return the call's result, or what the call raised, as a future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(call(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(frozen=True)
class Crew:
    """Who computes the pieces of a job.

    Attributes
    ----------
    executor : concurrent.futures.Executor
        The executor that computes the pieces. The default computes on the thread that asks.
    ahead : int
        The number of pieces that are under way, or done and not yet taken, beside the one that is waited for. It
        bounds the memory of a job; twice the number of workers keeps all of them busy.
    memory : int or None
        The bytes of memory that one piece may take on a worker of another process; None if this process computes.
    """

    executor: Executor = field(default_factory=Serial)
    ahead: int = 0
    memory: int | None = None


class Cancellable(Protocol):
    """What can be given up, such as a future."""

    def cancel(self) -> Any:
        """Give it up."""


Piece = TypeVar("Piece", bound=Cancellable)


def drawn_ahead(pieces: Iterable[Piece], ahead: int) -> Iterator[Piece]:
    """Yield pieces in their order, when `ahead` more have been drawn; those that nobody takes are cancelled.

    Examples
    --------
    >>> serial = Serial()
    >>> futures = (serial.submit(pow, n, 2) for n in range(5))
    >>> [future.result() for future in drawn_ahead(futures, ahead=3)]
    [0, 1, 4, 9, 16]
    """
    waiting: deque[Piece] = deque()
    try:
        for piece in pieces:
            waiting.append(piece)
            del piece
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for left in waiting:
            left.cancel()


def result_of(future: Future[Any]) -> Any:
    """Return the result of a call. Workers that are lost for good are a BrokenExecutor, whichever library lost them."""
    try:
        return future.result()
    except CancelledError:
        raise BrokenExecutor("its scheduler or its workers are gone") from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] == "distributed":  # Dask's own errors, such as KilledWorker
            raise BrokenExecutor(str(error)) from error
        raise


@contextmanager
def worker_processes(n: int) -> Iterator[Executor | None]:
    """Yield an executor with `n` processes of one thread, or None if one process, this one, is enough."""
    if n == 1:
        yield None
        return
    with ProcessPoolExecutor(n, multiprocessing.get_context("spawn"), _begin) as executor:
        try:
            executor.submit(os.getpid).result()
        except BrokenProcessPool:
            raise UsageError(
                "the worker processes do not start; in a script, train under 'if __name__ == \"__main__\":', "
                "because each process reads the script again"
            ) from None
        yield executor


def _begin() -> None:
    """Make a process ready for one piece at a time; Ctrl-C is for the process that asks for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
