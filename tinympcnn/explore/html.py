"""The page of the fragment explorer, put together from its sources: one file, with nothing to load."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinympcnn.io.atomic import AnyPath, replacing

SOURCES = Path(__file__).with_name("sources")
NAMES = "twin geometry model steps theme panel words algorithms deltas looks speech hands app"
SCRIPTS = tuple(f"{name}.js" for name in NAMES.split())
"""The scripts in the order in which they run; each uses those before it."""


def page(scenes: Sequence[dict[str, Any]]) -> str:
    """Return the page that shows `scenes`, such as ``explore.scene`` returns; the first is shown first.

    Examples
    --------
    >>> import numpy as np
    >>> from tinympcnn import MaxPoolFragment, Sequential
    >>> from tinympcnn.explore import scene
    >>> text = page([scene(Sequential([MaxPoolFragment(2)]), np.eye(5), "one pool")])
    >>> "one pool" in text, "://" in text
    (True, False)
    """
    parts = {
        "style": _source("page.css"),
        "data": json.dumps(list(scenes), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        "script": "\n".join(map(_source, SCRIPTS)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _source("page.html"))


def write(path: AnyPath, scenes: Sequence[dict[str, Any]]) -> None:
    """Write the page that shows `scenes`, whole or not at all."""
    text = page(scenes)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _source(name: str) -> str:
    return (SOURCES / name).read_text(encoding="utf-8")
