"""What a job will write, checked before its work begins. Read next: ``training.py``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

from tinympcnn.errors import UsageError
from tinympcnn.io.atomic import check_writable

Paths = Sequence[str | PathLike[str]]


def check_outputs(outputs: Iterable[str | PathLike[str] | None], inputs: Paths) -> list[Path]:
    """Return the outputs that are asked for, or say which cannot be written, stands for two, or is an input.

    Parameters
    ----------
    outputs : iterable of path or None
    inputs : sequence of path
        Files, no folders.
    """
    written = [Path(path) for path in outputs if path is not None]
    for path in written:
        check_writable(path)
    if len({path.resolve() for path in written}) < len(written):
        raise UsageError(f"{', '.join(map(str, written))} need {len(written)} names")
    for path in map(Path, inputs):
        if any(path.exists() and out.exists() and out.samefile(path) for out in written):
            raise UsageError(f"{path} is an input and will not be overwritten; name another output")
    return written
