"""A training run from beginning to end: its outputs, its checkpoint, its log, its record, and the model file.

What is trained, and on what, is the affair of the command that calls `train`.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.cli.crew import backend_for, crew_for
from tinympcnn.cli.versions import versions
from tinympcnn.engine import backend
from tinympcnn.engine.workers import worker_processes
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.atomic import check_writable, replacing
from tinympcnn.io.outputs import check_outputs
from tinympcnn.net import Net
from tinympcnn.training.checkpoint import Checkpoint, Record
from tinympcnn.training.fit import Data, fit
from tinympcnn.training.recipe import Recipe, check_same

AnyPath = str | PathLike[str]

STATE_SIZE = 5  # parameters, the best, the arrays of an optimiser, the model: what a run writes, in sizes of its net


@dataclass(frozen=True)
class Session:
    """How a training run is carried out."""

    device: str = "numpy"  # or "cupy" or "auto"
    processes: int = 1  # of one thread each, over which L-BFGS spreads the images on a CPU; no bit depends on them
    cluster: str | None = None  # "local" or the address of a Dask cluster, over which L-BFGS spreads the images instead
    minutes: float = 10  # between two checkpoints
    resume: bool = False
    force: bool = False  # replace a model, a log and a checkpoint that exist
    log: AnyPath | None = None  # the CSV file that gets one row per epoch
    echo: Callable[[str], None] = print  # is told what was read and chosen
    report: Callable[[Record], None] = lambda record: None  # is told how every epoch went
    progress: Callable[[int, int], None] | None = None  # is told the updates done and to do, after every update


@dataclass(frozen=True)
class Job:
    """What a training run makes, and of what. The model records all of it."""

    output: AnyPath  # the model file, written at the end; a checkpoint lies beside it
    choices: dict[str, Any]  # all that decides the result beside the recipe; a run that is resumed must have the same
    about: dict[str, Any] = field(default_factory=dict)  # what decides nothing, such as the names of the images


def check_session(session: Session, output: AnyPath, inputs: Sequence[Path], recipe: Recipe) -> None:
    """Raise an error if an output cannot be written or holds what would be lost, or if the session makes no sense."""
    check_outputs((output, checkpoint_path(output), session.log), inputs, force=True)
    xp, why = backend.load(backend_for(session.cluster, session.device))
    if session.cluster is not None and (session.processes != 1 or recipe.optimizer != "lbfgs"):
        raise UsageError(
            "a cluster is for --optimizer lbfgs, which sums over images, and takes the place of --processes"
        )
    if session.processes != 1 and (session.processes < 1 or recipe.optimizer != "lbfgs" or xp is not np):
        raise UsageError(
            f"{session.processes} processes: several are for --optimizer lbfgs on the CPU, which sums over images"
        )
    session.echo(f"backend: {why}")


def train(net: Net, data: Data, recipe: Recipe, *, validation: Data | None = None, job: Job, session: Session) -> Net:
    """Train a copy of a net, or go on with its training, write it to the job's output, and return it, on the CPU."""
    echo, xp = session.echo, backend.load(backend_for(session.cluster, session.device))[0]
    net = net.to("numpy" if xp is np else "cupy")
    choices = json.loads(json.dumps({**asdict(recipe), **job.choices}))  # as they are saved
    echo(", ".join(f"{name} {value!r}" for name, value in choices.items() if not name.endswith("sha256")))
    net.record = {**choices, "backend": xp.__name__, "dtype": net.dtype.name, **job.about, "versions": versions()}
    checkpoint = Checkpoint(checkpoint_path(job.output), session.minutes, session.resume)
    records = _records_to_resume(checkpoint, choices, net.record, echo) if session.resume else []
    with crew_for(session.cluster) as crew, worker_processes(session.processes) as processes:
        executor = processes if session.cluster is None else crew.executor
        epochs = fit(
            net, data, recipe, validation=validation, checkpoint=checkpoint,
            executor=executor, progress=session.progress,
        )  # fmt: skip
        _set_aside(session, job.output)
        check_writable(checkpoint.path, STATE_SIZE * net.n_params * net.dtype.itemsize)
        said: set[str] = set()
        _log(session, records, said)  # the last row may be missing, or the log may be a new one
        for record in epochs:
            records.append(record)
            _log(session, records, said)
            session.report(record)
    net = net.to("numpy")
    kept = min(records, key=lambda record: record["loss_val"]) if recipe.keep == "best" else records[-1]
    net.record = {**net.record, "kept": kept["epoch"], "log": records}
    net.save(job.output)
    echo(f"wrote {job.output}" + (f", as it was after epoch {kept['epoch']}" if kept is not records[-1] else ""))
    return net


def _set_aside(session: Session, output: AnyPath) -> None:
    """Keep what an earlier run left under the names of this one, as cells.1.npz and so on; --force replaces it."""
    model, place = Path(output), checkpoint_path(output)
    if session.force or (session.resume and place.exists()):
        return
    log = [] if session.log is None else [Path(session.log)]
    for n in count(1):
        aside = model.with_name(f"{model.name.removesuffix('.npz')}.{n}.npz")
        names = {
            model: aside,
            place: checkpoint_path(aside),
            **{path: path.with_suffix(f".{n}{path.suffix}") for path in log},
        }
        if not any(path.exists() for path in names.values()):
            break
    for path, kept in names.items():
        if path.exists():
            shutil.move(path.resolve(), kept)  # a link stays, and the new file is written through it
            session.echo(f"{path} exists: what it holds is kept as {kept}")


def checkpoint_path(output: AnyPath) -> Path:
    """Return where the checkpoint of a model lies.

    Examples
    --------
    >>> checkpoint_path("lr0.01.npz").name, checkpoint_path("lr0.01").name
    ('lr0.01.checkpoint.npz', 'lr0.01.checkpoint.npz')
    """
    path = Path(output)
    return path.with_name(path.name.removesuffix(".npz") + ".checkpoint.npz")


def write_log(path: AnyPath, records: Sequence[Record]) -> None:
    """Write the whole log, one row per epoch: no row is missing or double, also after a resumed run."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def _log(session: Session, records: Sequence[Record], said: set[str]) -> None:
    """Write the log, if one is wanted. Where it cannot be written training goes on, and the next epoch tries again."""
    try:
        if session.log is not None and records:
            write_log(session.log, records)
    except DataError as error:
        if str(error) not in said:
            session.echo(f"warning: {error}; training goes on, and writes the log when it can")
        said.add(str(error))


def _records_to_resume(
    checkpoint: Checkpoint, choices: dict[str, Any], record: dict[str, Any], echo: Callable[[str], None]
) -> list[Record]:
    """Return the log of the run to go on with; refuse a run that differs in what decides the result."""
    if not checkpoint.exists():
        echo(f"there is no checkpoint {checkpoint.path}: starting from the beginning")
        return []
    before, records = checkpoint.peek()
    check_same(before, choices, checkpoint.path)
    for key in ("backend", "versions"):
        if before.get(key) != record[key]:
            echo(f"{key} is now {record[key]}, and was {before.get(key)}: the last bits may differ")
    echo(f"going on from {checkpoint.path}, after {len(records)} epoch(s)")
    return records
