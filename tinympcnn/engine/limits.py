"""The limits that control groups set: how much memory and how many cores a container or a batch job leaves.

Linux nests control groups, and each level may have limits of its own. Slurm and systemd set the limits below the root,
Docker at the root that the process sees, so every level from the process up to the root counts, in version 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""The folder of all control groups, and the file that names those of this process."""

MEMORY = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""The files of the limit and of the use, and the name in memory.stat of what the kernel can drop, by version."""


def memory_left() -> Iterator[int]:
    """Yield the bytes that each control group leaves to this process, if it has a limit."""
    for folder in _groups("memory"):
        for limit, use, droppable in MEMORY:
            with suppress(OSError, ValueError):  # the other version, or no limit ("max")
                left = int((folder / limit).read_text()) - int((folder / use).read_text())
                yield left + _line(folder / "memory.stat", droppable)


def cpu_quota() -> Iterator[float]:
    """Yield the number of cores that each control group allows, if it has a limit."""
    for folder in _groups("cpu"):
        with suppress(OSError, ValueError):
            quota, period = map(int, (folder / "cpu.max").read_text().split())
            yield quota / period
        with suppress(OSError, ValueError):
            quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
            if quota > 0:
                yield quota / period


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups of this process, from its own up to the root."""
    with suppress(OSError):
        for line in OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "" or controller in controllers.split(","):
                top = ROOT / controllers
                own = top / path.lstrip("/")
                yield own
                yield from (folder for folder in own.parents if folder.is_relative_to(top))


def _line(path: Path, name: str) -> int:
    """Return the number after `name` in a file of names and numbers; 0 if there is none."""
    with suppress(OSError, ValueError):
        words = path.read_text().split()
        return int(words[words.index(name) + 1])
    return 0
