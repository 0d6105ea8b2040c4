"""Files that are written whole or not at all: a temporary file beside the target, fsync, then a rename.

The temporary file is locked for as long as its process lives, so that those of killed runs can be told from those of
runs that are writing now, and removed (``leftovers.py``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from tinympcnn.errors import DataError
from tinympcnn.io.leftovers import SUFFIX, prefix, take_lock

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, no quota, more than ``ulimit -f``


@contextlib.contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; when the block ends well it takes the place of `path`.

    When the block raises, or the process dies, `path` is as it was. The mode of an existing file is kept.

    Raises
    ------
    DataError
        If the folder does not exist or cannot be written, the file is a folder or read-only, or the disk is full.
    """
    path = Path(path)
    with _temporary(path) as (temporary, handle):
        try:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            if os.name == "nt":  # where open files cannot be renamed
                os.close(handle)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except OSError as error:
            raise _cannot(path, error) from error


def check_writable(path: str | PathLike[str], nbytes: int = 0) -> None:
    """Raise DataError now if `nbytes` could not be written at `path` later, as far as can be known; leave no file.

    The bytes are set aside for a moment where the system can do that, so a full disk and a quota are noticed too.
    """
    path = Path(path)
    with _temporary(path) as (_, handle):
        try:
            if nbytes and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, nbytes)
        except OSError as error:
            if error.errno in FULL:  # other errors: this file system cannot set bytes aside
                raise _cannot(path, error) from error


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[tuple[Path, int]]:
    """Make a locked temporary file beside `path`, with its handle, and remove it if it still has its name."""
    try:
        _check_place(path)
        handle, name = tempfile.mkstemp(prefix=prefix(path), suffix=SUFFIX, dir=path.parent)
    except OSError as error:
        raise _cannot(path, error) from error
    try:
        take_lock(handle)
        yield Path(name), handle
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)
        with contextlib.suppress(OSError):
            Path(name).unlink(missing_ok=True)


def _check_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise DataError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise DataError(f"cannot write {path}: it is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise DataError(f"cannot write {path}: it is not an ordinary file")
    if path.exists() and not (path.stat().st_mode & 0o222 and os.access(path, os.W_OK)):
        raise DataError(f"cannot write {path}: it is read-only; make it writable, or name another file")


def _cannot(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot write {path}: {error.strerror or error}")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where folders can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
