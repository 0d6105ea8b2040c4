"""What a training run shows while it runs: a bar with the time left on a terminal, and a row for every epoch."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Sequence

from tinympcnn.cli.models import Echo
from tinympcnn.cli.words import duration, say, sparkline
from tinympcnn.training.checkpoint import Record

MEASURES = {"loss_train": "loss", "loss_val": "validation", "pixel_error": "pixel error", "error": "error"}
"""The words for what the log may say of an epoch."""
BAR = 20


class Progress:
    """The bar and the rows of a run of so many epochs; a curve grows to the right of the rows.

    >>> progress = Progress(2)
    >>> progress.begin([])
    >>> progress.epoch({"epoch": 1, "loss_train": 0.7, "loss_val": math.nan, "seconds": 3.0})
     epoch    loss      left
       1/2  0.7000       3 s  ▁
    """

    def __init__(self, epochs: int, echo: Echo = say) -> None:
        self.epochs, self.echo, self.records = epochs, echo, list[Record]()
        self.live, self.first = sys.stderr.isatty(), 0
        self.start = time.perf_counter()

    def begin(self, records: Sequence[Record]) -> None:
        """Take up the log of a run that goes on, as training begins."""
        self.records, self.first, self.start = [*records], len(records), time.perf_counter()

    def update(self, done: int, total: int) -> None:
        """Show how much of an epoch is done, and how much time is left."""
        if self.live:
            epochs = len(self.records) + done / total
            left = (time.perf_counter() - self.start) * (self.epochs - epochs) / (epochs - self.first)
            bar = ("#" * (BAR * done // total)).ljust(BAR, ".")
            text = f"epoch {len(self.records) + 1}/{self.epochs} [{bar}] {done}/{total} updates, {duration(left)} left"
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]:<{width}}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the bar away."""
        if self.live:
            print("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", end="", file=sys.stderr, flush=True)

    def epoch(self, record: Record) -> None:
        """Print what the log says of an epoch, under a heading if it is the first row."""
        self.clear()
        measured = {
            words: record[name] for name, words in MEASURES.items() if not math.isnan(record.get(name, math.nan))
        }
        widths = {words: max(len(words), 6) + 2 for words in measured}
        if len(self.records) == self.first:
            self.echo(" epoch" + "".join(f"{words:>{widths[words]}}" for words in measured) + f"{'left':>10}")
        self.records.append(record)
        left = duration(record["seconds"] / record["epoch"] * (self.epochs - record["epoch"]))
        numbers = "".join(f"{value:>{widths[words]}.4f}" for words, value in measured.items())
        curve = sparkline([one["loss_train"] for one in self.records])
        place = f"{record['epoch']}/{self.epochs}"
        self.echo(f"{place:>6}{numbers}{left:>10}  {curve}".rstrip())

    def end(self) -> None:
        """Say how long the run took, how fast it was, and how the loss fell."""
        first, last = self.records[0], self.records[-1]
        took = f"{duration(last['seconds'])} at {last['patches_per_second']:,.0f} patches/s"
        curve = sparkline([one["loss_train"] for one in self.records], 40)
        self.echo(f"{took}; loss {first['loss_train']:.4f} {curve} {last['loss_train']:.4f}")
