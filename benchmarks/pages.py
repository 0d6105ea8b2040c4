"""Fill the tables of result pages from CSV files, and read and write such files as lists of rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinympcnn.io.atomic import replacing

Table = list[list[str]]


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def fill(page: Path, kinds: dict[str, Callable[[list[str]], Table]]) -> None:
    """Fill the tables of a page, which lie between ``<!-- KIND: NAMES -->`` and ``<!-- end -->``, header first."""

    def filled(match: re.Match[str]) -> str:
        header, *body = kinds[match[1]](match[2].split())
        lines = [header, ["---"] * len(header), *body]
        return (
            f"<!-- {match[1]}: {match[2]} -->\n" + "".join(f"| {' | '.join(row)} |\n" for row in lines) + "<!-- end -->"
        )

    pattern = rf"<!-- ({'|'.join(kinds)}): (.*?) -->\n.*?<!-- end -->"
    text = re.sub(pattern, filled, page.read_text(), flags=re.DOTALL)
    with replacing(page) as temporary:
        temporary.write_text(text)
