"""Processes that compute the images of a set for L-BFGS: one thread each, and they do not outlive their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from tinympcnn import engine
from tinympcnn.errors import UsageError


@contextmanager
def worker_processes(n: int) -> Iterator[Executor | None]:
    """Yield an executor with `n` processes, or None if one process, this one, is enough."""
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
    """Make a process ready for one image at a time; Ctrl-C is for the process that asks for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    engine.set_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
