"""Keep the log of a run that was interrupted and goes on: every row is there once, with all its measurements."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from tinympcnn import Checkpoint

Rows = list[dict[str, Any]]


def rows_before(name: str) -> tuple[Rows, Rows]:
    """Return the rows that NAME.csv holds, and those that only NAME.checkpoint.npz has: one, of a run killed between.

    The checkpoint counts, as the run goes on from it; the log adds the validation losses, of which it does not know.
    """
    checkpoint = Checkpoint(f"{name}.checkpoint.npz")
    if not checkpoint.exists():
        return [], []
    records = checkpoint.peek()[1]
    logged = []
    if Path(f"{name}.csv").exists():
        with open(f"{name}.csv", newline="") as file:
            logged = list(csv.DictReader(file))[: len(records)]
    rows = [{**record, "loss_val": float(row["loss_val"])} for record, row in zip(records, logged, strict=False)]
    rows += records[len(rows) : -1]  # of a log that was removed
    return rows, records[len(rows) :]
