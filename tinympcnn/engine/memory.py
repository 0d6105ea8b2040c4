"""How much memory this process holds, and how much more it may take.

Read next: ``segment.py``, which chooses its tiles accordingly.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

UNKNOWN = 2 << 30  # bytes taken to be free where that cannot be known


def free_memory() -> int:
    """Return the bytes of memory that are free for this process, or 2 GB where that cannot be known."""
    return max(min(_limits(), default=UNKNOWN), 0)


def resident_memory() -> int:
    """Return the bytes of memory that this process holds now, or 0 where that cannot be known."""
    return _field("/proc/self/status", "VmRSS") or 0


def _limits() -> Iterator[int]:
    """Yield what each limit leaves: the machine's memory, the container's, and the shell's (``ulimit -v``)."""
    if (available := _field("/proc/meminfo", "MemAvailable")) is not None:
        yield available
    with suppress(OSError, ValueError):  # no cgroup v2, or no limit ("max")
        folder = Path("/sys/fs/cgroup")
        yield int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - (_field("/proc/self/status", "VmSize") or 0)


def _field(path: str, name: str) -> int | None:
    """Return the bytes that a file of Linux's /proc gives in kB under `name`; None on other systems."""
    try:
        lines = Path(path).read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))
    except (OSError, StopIteration, ValueError):
        return None
