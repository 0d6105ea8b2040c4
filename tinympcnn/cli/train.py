"""From image files and label images to a model file, with a checkpoint beside it that survives any interruption.

Everything is checked before the work begins. Read next: ``tinympcnn/training/fit.py``, which does the work.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import multiprocessing
import platform
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn import engine
from tinympcnn.cli import arguments
from tinympcnn.cli.outputs import check_outputs
from tinympcnn.engine import backend
from tinympcnn.errors import UsageError
from tinympcnn.io.atomic import check_writable, replacing
from tinympcnn.io.images import expand
from tinympcnn.io.leftovers import remove_leftovers
from tinympcnn.io.pairs import Pairs, downsample_pairs, read_pairs
from tinympcnn.net import Net
from tinympcnn.nn.optim import OPTIMIZERS
from tinympcnn.training import checkpoint
from tinympcnn.training.dataset import split_validation
from tinympcnn.training.fit import DECAYS, KEEPS, Record, fit

Paths = Sequence[str | PathLike[str]]
Echo = Callable[[str], None]

DECISIVE = (
    "net", "epochs", "optimizer", "options", "balance", "augment", "crop", "decay", "warmup", "val", "keep", "seed",
    "axes", "threshold", "downsample", "data_sha256",
)  # fmt: skip
"""What decides the result of a run, by its name in the record: the same on the same machine gives the same bits."""

BEFORE = {"warmup": 0, "keep": "last"}
"""What runs did before it could be chosen."""

STATE_SIZE = 5  # parameters, the best, the arrays of an optimiser, the model: what a run writes, in sizes of its net


def train_files(
    images: Paths,
    labels: Paths,
    output: str | PathLike[str],
    *,
    net: str = "N3",
    epochs: int = 10,
    optimizer: str = "adam",
    options: dict[str, Any] | None = None,
    balance: bool | str = False,
    augment: str = "none",
    crop: int | None = None,
    decay: str = "cosine",
    warmup: float = 0,
    val: float = 0.0,
    keep: str = "last",
    resume: bool = False,
    log: str | PathLike[str] | None = None,
    seed: int = 0,
    device: str = "numpy",
    axes: str | None = None,
    threshold: float | None = None,
    downsample: int = 1,
    minutes: float = 10,
    processes: int = 1,
    echo: Echo = print,
    report: Callable[[Record], None] = lambda record: None,
    progress: Callable[[int, int], None] | None = None,
) -> Net:
    """Train a net on image files and write it to `output`.

    Parameters
    ----------
    images, labels : sequence of path
        Files and folders; see ``tinympcnn.data.read_pairs``.
    output : path
        The model file, written at the end. A checkpoint lies beside it (``checkpoint_path``).
    net : str
        N3, N4, steel or a spec.
    val : float
        Share of the images held out: the last pages of stacks, a random choice of single files.
    resume : bool
        Go on from the checkpoint of an earlier run with the same options.
    log : path, optional
        CSV file with one row per epoch.
    device : {"numpy", "cupy", "auto"}
        Where to compute.
    threshold, axes : optional
        See ``tinympcnn.data.read_pairs``.
    downsample : int
        Shrink images and labels by this factor; the model records it, and `segment_files` and `detect_files` follow.
    processes : int
        For L-BFGS on the CPU: spread the images over so many processes of one thread each, which do not wait for each
        other as threads do. No bit depends on it.
    echo, report, progress : callable
        Told what was read and chosen; the record of every epoch; every update.

    Returns
    -------
    Net
        As trained, on the CPU.

    Other parameters are those of ``tinympcnn.training.fit.fit``.
    """
    place = checkpoint_path(output)
    inputs = [*expand(images, "images"), *expand(labels, "labels")]
    written = check_outputs((output, place, log), inputs)
    xp, why = backend.load(device)
    if processes != 1 and (processes < 1 or optimizer != "lbfgs" or xp is not np):
        raise UsageError(f"{processes} processes: several are for --optimizer lbfgs on the CPU, which sums over images")
    echo(f"backend: {why}")
    pairs = downsample_pairs(read_pairs(images, labels, axes, threshold), downsample)
    for line in pairs.description:
        echo(line)
    model = Net.from_spec(net, pairs.images[0].shape[2], rng=seed)
    if model.out_maps != len(pairs.class_values):
        raise UsageError(
            f"the net has {model.out_maps} outputs and the labels have {len(pairs.class_values)} classes "
            f"{pairs.class_values}; end the spec in FC{len(pairs.class_values)}"
        )
    model = model.to("numpy" if xp is np else "cupy")
    stacks = all(name.endswith("]") for name in pairs.names)
    kept, held = split_validation(len(pairs.images), val, stacks, seed)
    model.class_values = pairs.class_values
    model.record = {
        "net": net,
        "epochs": epochs,
        "optimizer": optimizer,
        "options": options or {},
        "balance": balance,
        "augment": augment,
        "crop": crop,
        "decay": decay,
        "warmup": warmup,
        "val": val,
        "keep": keep,
        "seed": seed,
        "axes": axes,
        "threshold": threshold,
        "downsample": downsample,
        "data_sha256": _digest(pairs),
        "backend": xp.__name__,
        "dtype": model.dtype.name,
        "images": [pairs.names[i] for i in kept],
        "validation": [pairs.names[i] for i in held],
        "versions": {"tinympcnn": _version(), "numpy": np.__version__, "python": platform.python_version()},
    }
    choices = ", ".join(f"{key} {model.record[key]!r}" for key in DECISIVE if key != "data_sha256")
    echo(f"training on {len(kept)} image(s), validating on {len(held)}: {choices}")
    records = _records_to_resume(place, model.record, echo) if resume else []

    def pick(which: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [pairs.images[i] for i in which], [pairs.labels[i] for i in which]

    workers = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin) if processes > 1 else None
    epochs_of = fit(
        model, *pick(kept), epochs=epochs, optimizer=optimizer, options=options, balance=balance, augment=augment,
        crop=crop, decay=decay, warmup=warmup, validation=pick(held) if held else None, keep=keep, seed=seed,
        executor=workers, checkpoint=place, minutes=minutes, resume=resume, progress=progress,
    )  # fmt: skip
    if not resume and checkpoint.exists(place):
        echo(f"starting anew, which will replace {place}; --resume would go on from it")
    for line in [line for path in written for line in remove_leftovers(path)]:
        echo(line)
    check_writable(place, STATE_SIZE * model.n_params * model.dtype.itemsize)
    if log is not None and records:  # the last row may be missing, or the log may be a new one
        write_log(log, records)
    with workers or nullcontext():
        for record in epochs_of:
            records.append(record)
            if log is not None:
                write_log(log, records)
            report(record)
    model = model.to("numpy")
    final = min(records, key=lambda record: record["loss_val"]) if keep == "best" else records[-1]
    model.record = {**model.record, "kept": final["epoch"], "log": records}
    model.save(output)
    echo(f"wrote {output}" + (f", as it was after epoch {final['epoch']}" if final is not records[-1] else ""))
    return model


def _begin() -> None:
    """Make a process ready for one image at a time; Ctrl-C is for the process that asks for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    engine.set_threads(1)


def _records_to_resume(place: Path, record: dict[str, Any], echo: Echo) -> list[Record]:
    """Return the log of the run to go on with; refuse a run that differs in what decides the result."""
    if not checkpoint.exists(place):
        echo(f"there is no checkpoint {place}: starting from the beginning")
        return []
    before, records = checkpoint.peek(place)
    for key in DECISIVE:
        had = before.get(key, BEFORE.get(key))
        if had != record[key]:
            what = "other images or labels" if key == "data_sha256" else f"{key} {had!r}"
            raise UsageError(
                f"the run in {place} had {what}; resume with the options of that run, or start anew without --resume"
            )
    for key in ("backend", "versions"):
        if before.get(key) != record[key]:
            echo(f"{key} is now {record[key]}, and was {before.get(key)}: the last bits may differ")
    echo(f"going on from {place}, after {len(records)} epoch(s)")
    return records


def checkpoint_path(output: str | PathLike[str]) -> Path:
    """Return where the checkpoint of a model lies: ``cells.npz`` has ``cells.checkpoint.npz``."""
    return Path(output).with_suffix(".checkpoint.npz")


def write_log(path: str | PathLike[str], records: Sequence[Record]) -> None:
    """Write the whole log, one row per epoch: no row is missing or double, also after a resumed run."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def _digest(pairs: Pairs) -> str:
    """Return the SHA-256 of all pixels and labels, by which a record tells whether the data are the same."""
    digest = hashlib.sha256()
    for array in [*pairs.images, *pairs.labels]:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _version() -> str:
    from tinympcnn import __version__

    return __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn train``."""
    parser.add_argument("-i", "--images", nargs="+", required=True, help="TIFF, PNG or JPEG files, or folders")
    parser.add_argument("-l", "--labels", nargs="+", required=True, help="label images: one value for each class")
    parser.add_argument("-o", "--output", required=True, metavar="MODEL.npz", help="the model file to write")
    parser.add_argument("--net", default="N3", metavar="N3|N4|steel|SPEC", help="such as 'C5x5x8 MPF2x2 FC2' (N3)")
    parser.add_argument("--epochs", type=int, default=10, metavar="E", help="passes over the images (10)")
    parser.add_argument("--optimizer", choices=list(OPTIMIZERS), default="adam", help="(adam)")
    parser.add_argument("--lr", type=float, help="learning rate, or first step of armijo (each has its own default)")
    parser.add_argument("--on-failure", choices=("stop", "continue"), help="of armijo to find a step (stop)")
    parser.add_argument(
        "--balance", nargs="?", const=True, default=False, choices=("images",),
        help="let every class count as much as the others; images: and every image, for rare defects (adam, sgd)",
    )  # fmt: skip
    parser.add_argument("--decay", choices=DECAYS, default="cosine", help="of the rate of adam and sgd (cosine)")
    parser.add_argument("--warmup", type=float, default=0, metavar="E", help="epochs over which it first grows (0)")
    parser.add_argument("--augment", default="none", metavar="KINDS", help="such as flip or rotate+elastic+intensity")
    parser.add_argument("--crop", type=int, metavar="N", help="one update for every NxN crop (for every whole image)")
    parser.add_argument("--downsample", type=int, default=1, metavar="N", help="shrink images and labels by N (1)")
    parser.add_argument("--val", type=float, default=0.0, metavar="FRACTION", help="share of images held out (0)")
    parser.add_argument("--keep", choices=KEEPS, default="last", help="last epoch, or best by validation (last)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside MODEL.npz")
    parser.add_argument("--log", metavar="LOG.csv", help="one row for every epoch")
    parser.add_argument(
        "--seed", type=arguments.ranged(int, 0), default=0, metavar="S", help="of everything random (0)"
    )
    parser.add_argument("--minutes", type=float, default=10, help="longest time between two checkpoints (10)")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="of one thread each, for lbfgs (1)")
    arguments.reading(parser)
    arguments.machine(parser)


def run(options: argparse.Namespace) -> None:
    """Train as the options of ``tinympcnn train`` say; an interrupted run says how to go on."""
    bar = _Bar(options.epochs)
    try:
        train_files(
            options.images, options.labels, options.output, net=options.net, epochs=options.epochs,
            optimizer=options.optimizer, options=_optimizer_options(options), balance=options.balance,
            augment=options.augment, crop=options.crop, decay=options.decay, warmup=options.warmup,
            val=options.val, keep=options.keep, resume=options.resume, log=options.log, seed=options.seed,
            device=options.backend, axes=options.axes, threshold=options.threshold, downsample=options.downsample,
            minutes=options.minutes, processes=options.processes, report=bar.epoch, progress=bar.update,
        )  # fmt: skip
    except KeyboardInterrupt:
        place = checkpoint_path(options.output)
        raise KeyboardInterrupt(
            f"the same command with --resume goes on from {place}" if place.is_file() else ""
        ) from None
    finally:
        bar.clear()


def _optimizer_options(options: argparse.Namespace) -> dict[str, Any]:
    if options.lr is not None and options.optimizer == "lbfgs":
        raise UsageError("lbfgs finds its own steps and takes no --lr; leave it out")
    if options.on_failure is not None and options.optimizer != "armijo":
        raise UsageError(f"--on-failure belongs to --optimizer armijo; {options.optimizer} takes every step")
    chosen = {"lr": options.lr, "on_failure": options.on_failure}
    return {name: value for name, value in chosen.items() if value is not None}


class _Bar:
    """A progress bar on a terminal; one plain line for every epoch anywhere else."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.done, self.start = epochs, 0, time.perf_counter()
        self.live = sys.stderr.isatty()

    def update(self, done: int, total: int) -> None:
        if self.live:
            filled = 30 * done // total
            seconds = time.perf_counter() - self.start
            bar = "#" * filled + "." * (30 - filled)
            print(f"\r[{bar}] {done}/{total} images, {seconds:.0f} s ", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.live:
            print("\r" + " " * 70 + "\r", end="", file=sys.stderr, flush=True)

    def epoch(self, record: Record) -> None:
        self.clear()
        held = "" if record["loss_val"] != record["loss_val"] else (
            f", validation loss {record['loss_val']:.4f}, pixel error {record['pixel_error']:.4f}"
        )  # fmt: skip
        print(
            f"epoch {record['epoch']}/{self.epochs}: loss {record['loss_train']:.4f}{held}, "
            f"{record['seconds']:.1f} s, {record['patches_per_second']:,.0f} patches/s",
            flush=True,
        )
