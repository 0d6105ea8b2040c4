"""Temporary files of runs that were killed: found by their names, told from those in use by a lock, and removed.

A lock is given up by the system when its process ends, however it ends. Nothing that has another name is touched.
"""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: leftovers are named there, and not removed
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".tinympcnn.tmp"


def prefix(path: Path) -> str:
    """Return how the names of the temporary files for `path` begin; eight random characters and `SUFFIX` follow."""
    return f".{path.name}."


def take_lock(handle: int) -> bool:
    """Lock an open file for as long as it is open, and tell whether that worked; False, too, where there are no locks.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, open(file.name) as again:
    ...     take_lock(file.fileno()), take_lock(again.fileno())
    (True, False)
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, AttributeError):
        return False
    return True


def remove_leftovers(path: str | PathLike[str]) -> list[str]:
    """Remove the temporary files that killed runs left beside `path`, and say so, in one sentence for each.

    Those that a run is writing now, and those that cannot be removed, are named and stay.
    """
    path = Path(path)
    ours = re.compile(re.escape(prefix(path)) + r"\w{8}" + re.escape(SUFFIX))
    return [_remove(p) for p in sorted(path.parent.iterdir()) if ours.fullmatch(p.name)]


def _remove(left: Path) -> str:
    try:
        handle = os.open(left, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            if take_lock(handle):
                left.unlink()
                return f"removed {left}, left by a run that was killed"
        finally:
            os.close(handle)
    except OSError:  # gone already, or another user's
        pass
    return f"{left} belongs to a run that is writing now, or was left by one that was killed; remove it if none is"
