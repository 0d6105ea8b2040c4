"""The files that a command will write, checked before its work begins."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tinympcnn.errors import UsageError
from tinympcnn.io.atomic import AnyPath, check_writable
from tinympcnn.io.names import name_on_disk


def check_outputs(outputs: Iterable[AnyPath | None], inputs: Iterable[AnyPath] = (), force: bool = False) -> list[Path]:
    """Return the outputs that are asked for (those that are not None), if nothing of the user's would be lost.

    A `UsageError` refuses an output that has no name, is an input, is named twice, or exists and `force` is not given;
    a `DataError` one that cannot be written.
    """
    written = [Path(path) for path in outputs if path is not None]
    read = {identity_of(path) for path in map(Path, inputs)}
    seen: set[tuple[int, int] | Path] = set()
    for path in written:
        if not path.name:
            raise UsageError(f"an output needs the name of a file, and {str(path)!r} is none")
        identity = identity_of(path)
        if identity in read:
            raise UsageError(f"{path} is an input and will not be overwritten; name another output")
        if identity in seen:
            raise UsageError(f"two outputs have the name {path}; name them differently")
        check_writable(path)
        if path.exists() and not force:
            raise UsageError(f"{path} exists already; remove it, or replace it with --force")
        seen.add(identity)
    return written


def identity_of(path: Path) -> tuple[int, int] | Path:
    """Return what tells whether two names, through links or in another case, are those of one file."""
    try:
        stat = path.stat()
        if stat.st_ino:  # 0 where a file system of Windows has no such numbers
            return stat.st_dev, stat.st_ino
    except OSError:
        pass
    there = Path(os.path.realpath(path))  # which a loop of links does not stop
    return there.with_name(name_on_disk(there.name))
