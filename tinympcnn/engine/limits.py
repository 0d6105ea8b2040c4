"""How much memory and how many cores this process may take, and how much memory it holds.

Linux nests control groups, which limit a container or a batch job, and each level may have limits of its own. Slurm and
systemd set the limits below the root, Docker at the root that the process sees, so every level from the process up to
the root counts, in version 1 and 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # all control groups; the names of this process's own
MEMORY = (  # the files of the limit and of the use, and the name in memory.stat of what the kernel can drop
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def resident_memory() -> int:
    """Return the bytes of memory that this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def available_memory() -> int:
    """Return the bytes that the machine, the control groups and the shell's ``ulimit -v`` leave to this process."""
    import psutil

    left = [psutil.virtual_memory().available, *memory_left()]
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            left.append(limit - psutil.Process().memory_info().vms)
    return max(int(min(left)), 0)


def memory_left() -> Iterator[int]:
    """Yield the bytes that each control group leaves to this process, if it has a limit."""
    for folder in _groups("memory"):
        for limit, use, droppable in MEMORY:
            with suppress(OSError, ValueError):  # the other version, or no limit ("max")
                left = int((folder / limit).read_bytes()) - int((folder / use).read_bytes())
                with suppress(OSError, ValueError):
                    words = (folder / "memory.stat").read_text(encoding="ascii").split()
                    left += int(words[words.index(droppable) + 1])
                yield left


def scheduled_cores() -> int:
    """Return the number of cores on which the system may run this process; macOS ties no process to cores."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    if os.name == "nt":
        import psutil

        return len(psutil.Process().cpu_affinity())
    return os.cpu_count() or 1


def cpu_quota() -> Iterator[float]:
    """Yield the number of cores that each control group allows, if it has a limit."""
    for folder in _groups("cpu"):
        for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with suppress(OSError, ValueError):
                quota, period = map(int, b" ".join((folder / file).read_bytes() for file in files).split())
                if quota > 0:
                    yield quota / period


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups of this process, from its own up to the root."""
    with suppress(OSError):
        for line in os.fsdecode(OWN.read_bytes()).splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "" or controller in controllers.split(","):
                top = ROOT / controllers
                own = top / path.lstrip("/")
                yield own
                yield from (folder for folder in own.parents if folder.is_relative_to(top))
