"""What a training run shows while it runs: a bar on a terminal, and one line for every epoch."""

from __future__ import annotations

import math
import sys
import time

from tinympcnn.training.checkpoint import Record

MEASURES = {"loss_val": "validation loss", "pixel_error": "pixel error", "error": "error"}
"""The words for what the log may say of the validation data."""


class Bar:
    """A progress bar on a terminal; one plain line for every epoch anywhere else."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.start = epochs, time.perf_counter()
        self.live = sys.stderr.isatty()

    def update(self, done: int, total: int) -> None:
        """Show how much of an epoch is done."""
        if self.live:
            seconds = time.perf_counter() - self.start
            bar = ("#" * (30 * done // total)).ljust(30, ".")
            print(f"\r[{bar}] {done}/{total} updates, {seconds:.0f} s ", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the bar away."""
        if self.live:
            print("\r" + " " * 70 + "\r", end="", file=sys.stderr, flush=True)

    def epoch(self, record: Record) -> None:
        """Print what the log says of an epoch."""
        self.clear()
        print(epoch_line(record, self.epochs), flush=True)


def epoch_line(record: Record, epochs: int) -> str:
    """Return what the log says of one of `epochs` epochs."""
    held = {words: record[name] for name, words in MEASURES.items() if name in record}
    measured = "".join(f"{words} {value:.4f}, " for words, value in held.items() if not math.isnan(value))
    return (
        f"epoch {record['epoch']}/{epochs}: loss {record['loss_train']:.4f}, {measured}{record['seconds']:.1f} s, "
        f"{record['patches_per_second']:,.0f} patches/s"
    )
