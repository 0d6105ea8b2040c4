"""A reader's code is run: what it returns, or in words why there is nothing to judge.

A blank is told from a forgotten `return`, an exception comes with the reader's own line, and a loop without an end is
ended after `SECONDS`.
"""

from __future__ import annotations

import dis
import linecache
import sys
import sysconfig
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import tinympcnn

BLANK = "still blank"
SECONDS = 10.0  # what a call may take; right answers take a small part of one
OTHERS = tuple(
    str(Path(path).resolve())
    for path in (
        Path(tinympcnn.__file__).parent,
        Path(np.__file__).parent,
        Path(__file__).parent,
        sysconfig.get_path("stdlib"),
    )
)
"""The folders of code that is not the reader's."""


class Endless(Exception):
    """A reader's code took too long."""


def is_blank(value: Any) -> bool:
    """Return whether an answer is still the blank of the exercise."""
    return value is None or value is ... or (isinstance(value, tuple) and any(is_blank(part) for part in value))


def attempt(name: str, function: Callable[..., Any], *args: Any) -> tuple[Any, str | None]:
    """Return (what a reader's function returns, None), or (None, words) if it is blank, raises or does not end."""
    try:
        with limited(), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # the verdict speaks of nan, too
            value = function(*args)
    except Endless:
        return None, f"{name} did not end within {SECONDS:g} seconds: does its loop ever stop?"
    except Exception as error:  # a reader's code may raise anything
        if isinstance(error, TypeError) and any(word in str(error) for word in ("ellipsis", "dtype('O')")):
            return None, f"{name} is {BLANK}: it computes with ..."
        return None, f"{name} raised {type(error).__name__}: {error}{place(error)}"
    if value is None and not is_trivial(function):
        return None, f"{name} returns None: a return is missing, or one way through it ends without a return"
    return (None, f"{name} is {BLANK}: it returns {value}") if is_blank(value) else (value, None)


def place(error: BaseException) -> str:
    """Return the line of the reader's code in which an exception was raised, in brackets, or nothing."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        line = linecache.getline(frame.filename, frame.lineno or 0).strip()
        if not str(Path(frame.filename).resolve()).startswith(OTHERS) and line:
            return f" (line {frame.lineno}: {line})"
    return ""


def is_trivial(function: Any) -> bool:
    """Return whether a function has no statement that does anything, as an exercise whose blank stands alone."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    nothing = {"RESUME", "RETURN_CONST", "LOAD_CONST", "RETURN_VALUE", "NOP"}
    return code is None or all(step.opname in nothing for step in dis.get_instructions(code))


@contextmanager
def limited() -> Iterator[None]:
    """Raise Endless in code that is still running after `SECONDS`; it looks at every step of the reader's."""
    end, before = time.monotonic() + SECONDS, sys.gettrace()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename.startswith(OTHERS):
            return None
        frame.f_trace_opcodes = True  # a loop of one line alone would not be seen
        if event == "opcode" and time.monotonic() > end:
            raise Endless
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
