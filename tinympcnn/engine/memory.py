"""How much memory this process holds, and how much more it may take."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tinympcnn.engine import limits


def available_memory() -> int:
    """Return the bytes that this process may still take: the least that any limit leaves."""
    return max(min(_limits()), 0)


def resident_memory() -> int:
    """Return the bytes of memory that this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def _limits() -> Iterator[int]:
    """Yield what each limit leaves: the machine's memory, the control groups, and the shell's ``ulimit -v``."""
    import psutil

    yield psutil.virtual_memory().available
    yield from limits.memory_left()
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - psutil.Process().memory_info().vms
