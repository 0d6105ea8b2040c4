"""Files that are written whole or not at all: a temporary file in the same folder, fsync, then a rename.

A run that is killed leaves its temporary file, which the next run that writes the same file removes. A run that is
still writing keeps its own: by a lock, and on Windows because a file that is open cannot be removed there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tinympcnn.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

AnyPath = str | os.PathLike[str]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # no space, no quota, more than ``ulimit -f``, a bad disk
WAITS = (0.05, 0.2, 0.5, 1.0) if os.name == "nt" else ()  # seconds until a scanner of new files lets go of a file


@contextlib.contextmanager
def replacing(path: AnyPath) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; at the end of the block it takes the place of `path`.

    If the block raises, or the process dies, `path` is as it was. The mode of an existing file is kept, and a link is
    followed. File systems may refuse chmod and fsync. A place that cannot be written is a `DataError`.
    """
    with _temporary(path) as (target, lock):
        yield Path(lock.name)
        umask = os.umask(0)
        os.umask(umask)
        _try(os.chmod, lock.name, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~umask)
        with open(lock.name, "rb+") as file:
            _try(_sync, file.fileno())
        lock.close()  # Windows renames no open files
        _replace(lock.name, target)
        _sync_folder(target.parent)


def check_writable(path: AnyPath, nbytes: int = 0) -> None:
    """Raise DataError now if `nbytes` could not be written at `path` later, as far as can be known; leave no file.

    The bytes are set aside for a moment if the system can do that, so a full disk and a quota are noticed too.
    """
    with _temporary(path) as (_, lock):
        if nbytes and hasattr(os, "posix_fallocate"):
            _try(os.posix_fallocate, lock.fileno(), 0, nbytes)


@contextlib.contextmanager
def _temporary(path: AnyPath) -> Iterator[tuple[Path, BinaryIO]]:
    """Make a locked temporary file beside the target of `path`; yield the target and the file; remove the file."""
    target = Path(os.path.realpath(path))
    with contextlib.ExitStack() as exits:
        try:
            _check_place(target, path)
            prefix = f".tinympcnn-{zlib.crc32(os.fsencode(target.name)):08x}-"  # short, however long the name is
            for left in (target.parent / name for name in os.listdir(target.parent) if name.startswith(prefix)):
                _remove_if_left(left)
            handle, name = tempfile.mkstemp(".tmp", prefix, target.parent)
            exits.callback(Path(name).unlink, missing_ok=True)
            os.close(handle)
            lock = exits.enter_context(open(name, "rb+"))
            with contextlib.suppress(OSError):
                _lock(lock)
            yield target, lock
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def _check_place(target: Path, path: AnyPath) -> None:
    if not target.parent.is_dir():
        raise DataError(f"cannot write {path}: there is no folder {target.parent}; make it first")
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(target).st_mode  # raises for a name that is too long
        if stat.S_ISDIR(mode):
            raise DataError(f"cannot write {path}: it is a folder; name a file in it")
        if not stat.S_ISREG(mode):
            raise DataError(f"cannot write {path}: it is not an ordinary file")
        if not (mode & 0o222 and os.access(target, os.W_OK)):
            raise DataError(f"cannot write {path}: it is read-only; make it writable, or name another file")


def _try(call: Callable[..., Any], *arguments: Any) -> None:
    """Call what some file systems refuse; raise only if the disk is full."""
    try:
        call(*arguments)
    except OSError as error:
        if error.errno in FULL:
            raise


def _lock(file: BinaryIO) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_if_left(temporary: Path) -> None:
    """Remove a temporary file, unless a run is writing it: then it is locked, or on Windows cannot be removed."""
    with contextlib.suppress(OSError):
        if fcntl is None:
            temporary.unlink()
        else:
            with open(temporary, "rb+") as file:
                _lock(file)
                temporary.unlink()


def _replace(source: str, target: Path) -> None:
    """Rename a file. Windows refuses that while another program has the target open, as a virus scanner may briefly."""
    for seconds in WAITS:
        with contextlib.suppress(PermissionError):
            os.replace(source, target)
            return
        time.sleep(seconds)
    os.replace(source, target)


def _sync(handle: int) -> None:
    """Bring a file to the disk; fsync of macOS brings it only to the cache of the disk."""
    if hasattr(fcntl, "F_FULLFSYNC"):
        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    else:
        os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where folders can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
