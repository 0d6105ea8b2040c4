"""Fill the tables of result pages from CSV files, and read and write such files as lists of rows.

The numbers of a column stand at the right with equal digits; a column of errors or of shares is written in per cent.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tinympcnn.cli.results import write_table as write
from tinympcnn.io.atomic import replacing

__all__ = ["Table", "chosen", "even", "fill", "markdown", "read", "write"]

Table = list[list[str]]
"""The lines of a table, its heads first."""
NUMBER = re.compile(r"-?\d+(\.\d+)?")
AT_THE_RIGHT = re.compile(r"\[?-?[\d,]+(\.\d+)?(\]\(.*\))?")  # a number, or a link that is a number
MIXED = "value"  # the head of a column whose rows have units of their own


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def chosen(rows: list[dict[str, str]], heads: Mapping[str, str], digits: int | None = None) -> Table:
    """Return a table of some columns of rows: `heads` gives each a head, in per cent if the head ends in "(%)".

    With `digits`, numbers with a decimal point are rounded to so many digits behind it, two less in per cent.
    """

    def cell(value: str, head: str) -> str:
        if not re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", value):
            return value
        behind = digits if digits is not None else len(value.split(".")[1])
        return f"{100 * float(value):.{max(behind - 2, 0)}f}" if head.endswith("(%)") else f"{float(value):.{behind}f}"

    return [list(heads.values()), *([cell(row.get(key, ""), head) for key, head in heads.items()] for row in rows)]


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    columns = [even(list(column)) for column in zip(*table, strict=True)]
    right = [any(column[1:]) and all(AT_THE_RIGHT.fullmatch(x) for x in column[1:] if x) for column in columns]
    header, *body = zip(*columns, strict=True)
    lines = [header, ["---:" if r else "---" for r in right], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def even(column: list[str]) -> list[str]:
    """Return a column, its head first, whose numbers have equal digits behind the point, and commas."""
    numbers = [x for x in column[1:] if x]
    if column[0] == MIXED or not all(NUMBER.fullmatch(x) for x in numbers):
        return column
    behind = max((len(x.partition(".")[2]) for x in numbers), default=0)
    return [column[0], *(f"{float(x):,.{behind}f}" if x else "" for x in column[1:])]


def fill(page: Path, kinds: dict[str, Callable[[list[str]], Table]]) -> None:
    """Fill the tables of a page, which lie between ``<!-- KIND: NAMES -->`` and ``<!-- end -->``."""

    def filled(match: re.Match[str]) -> str:
        return f"<!-- {match[1]}: {match[2]} -->\n{markdown(kinds[match[1]](match[2].split()))}<!-- end -->"

    pattern = rf"<!-- ({'|'.join(kinds)}): (.*?) -->\n.*?<!-- end -->"
    text = re.sub(pattern, filled, page.read_text(), flags=re.DOTALL)
    with replacing(page) as temporary:
        temporary.write_text(text)
