"""Files that are written whole or not at all: a temporary file beside the target, fsync, then a rename."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from tinympcnn.errors import DataError


@contextlib.contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; when the block ends well it takes the place of `path`.

    When the block raises, or the process dies, `path` is as it was. The mode of an existing file is kept.

    Raises
    ------
    DataError
        If the folder does not exist or cannot be written, or the disk is full.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise DataError(f"cannot write {path}: it is a folder; name a file in it")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise DataError(f"cannot write in {path.parent}: {error.strerror or error}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def leftovers(path: str | PathLike[str]) -> list[Path]:
    """Return the temporary files that runs killed while writing `path` left beside it, and runs now writing it use."""
    path = Path(path)
    return sorted(p for p in path.parent.iterdir() if p.name.startswith(f".{path.name}.") and p.suffix == ".tmp")


def leftover_line(path: Path) -> str:
    """Say what to do about one of the `leftovers`."""
    return f"{path} is left from a run that was killed, or belongs to one that runs now; remove it if none does"


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where folders can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
