"""A training run from beginning to end: its outputs, its checkpoint, its log, its record, and the model file.

What is trained, and on what, is the affair of the command that calls `train`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.cli import charts
from tinympcnn.cli.models import AnyPath, Echo, crew_for, load_backend
from tinympcnn.cli.pictures import check_pictures, grey
from tinympcnn.cli.results import write_table
from tinympcnn.cli.versions import versions
from tinympcnn.cli.words import say
from tinympcnn.engine.workers import worker_processes
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.io.atomic import check_writable
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.reading import Reading
from tinympcnn.net import Net
from tinympcnn.training.checkpoint import Checkpoint, Record
from tinympcnn.training.fit import Data, fit
from tinympcnn.training.recipe import Recipe, check_same

WATCHED = 256  # rows and columns, at most, of the image that --watch draws
STATE_SIZE = 5  # parameters, the best, the arrays of an optimiser, the model: what a run writes, in sizes of its net
MOST_PROCESSES = 61 if os.name == "nt" else 2**31  # more are more than Windows can wait for


@dataclass(frozen=True)
class Session:
    """How a training run is carried out."""

    device: str = "numpy"
    """The library that computes."""
    processes: int = 1
    """The number of processes, of one thread each, over which lbfgs spreads the images on a CPU. No bit of the result
    depends on it."""
    cluster: str | None = None
    """Spread the images of lbfgs over the workers of a Dask cluster, such as tcp://HOST:8786, or the file of its
    scheduler. local starts a worker for each core of this machine. The default is to compute in this process. This
    needs dask."""
    minutes: float = 10
    """The longest time between two checkpoints, in minutes."""
    resume: bool = False
    """Go on from the checkpoint beside MODEL.npz, if there is one. A finished run can go on for more epochs if its
    learning rate does not depend on their number, as with --decay none."""
    force: bool = False
    """Replace the model, the checkpoint, the log and the picture of an earlier run. Inputs are never replaced. The
    default is to keep what an earlier run wrote under a number, such as cells.1.npz."""
    log: AnyPath | None = None
    """Write a row for every epoch to this file, which plot draws. The default is to write none."""
    watch: AnyPath | None = None
    """Draw the curves, and a validation image with the answer to it, anew after every epoch. The default is to draw
    nothing. This needs matplotlib."""
    echo: Echo = say
    """It is told what was read and chosen."""
    begin: Callable[[Sequence[Record]], None] = lambda records: None
    """It is told the log of a run that goes on, as training begins."""
    report: Callable[[Record], None] = lambda record: None
    """It is told how every epoch went."""
    progress: Callable[[int, int], None] | None = None
    """It is told the updates done and to do in an epoch, after every update."""


@dataclass(frozen=True)
class Job:
    """What a training run makes, and of what. The model records all of it."""

    output: AnyPath  # the model file, written at the end; a checkpoint lies beside it
    choices: dict[str, Any]  # all that decides the result beside the recipe; a run that is resumed must have the same
    about: dict[str, Any]  # what decides nothing: the names of the images, and of those for the validation


def check_session(session: Session, output: AnyPath, inputs: Sequence[Path], recipe: Recipe) -> None:
    """Raise an error if an output cannot be written or holds what would be lost, or if the session makes no sense."""
    check_outputs((output, checkpoint_path(output), session.log, session.watch), inputs, force=True)
    check_pictures(session.watch)
    device, why = load_backend(session.device, session.cluster)
    if session.cluster is not None and (session.processes != 1 or recipe.optimizer != "lbfgs"):
        raise UsageError(
            "a cluster is for --optimizer lbfgs, which sums over images, and takes the place of --processes"
        )
    if session.processes != 1 and (session.processes < 1 or recipe.optimizer != "lbfgs" or device != "numpy"):
        raise UsageError(
            f"{session.processes} processes: several are for --optimizer lbfgs on the CPU, which sums over images"
        )
    session.echo(f"backend: {why}")
    if session.processes > MOST_PROCESSES:
        raise UsageError(f"{session.processes} processes: on Windows, Python starts at most {MOST_PROCESSES}")


def train(net: Net, data: Data, recipe: Recipe, *, validation: Data | None = None, job: Job, session: Session) -> Net:
    """Train a copy of a net, or go on with its training, write it to the job's output, and return it, on the CPU."""
    echo, (device, _) = session.echo, load_backend(session.device, session.cluster)
    net = net.to(device)
    choices = json.loads(json.dumps({**asdict(recipe), **job.choices}))  # as they are saved
    n, held_out = (len(job.about[which]) for which in ("images", "validation"))
    echo(f"training on {counted(n, 'image')}, validating on {held_out}: {_chosen(choices)}")
    net.record = {**choices, "backend": device, "dtype": net.dtype.name, **job.about, "versions": versions()}
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
        show = partial(_show, session, records, net, data if validation is None else validation, set())
        show()  # the last row may be missing, or the log may be a new one
        session.begin(records)
        for record in epochs:
            records.append(record)
            show()
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
    others = [Path(path) for path in (session.log, session.watch) if path is not None]
    for n in count(1):
        aside = model.with_name(f"{model.name.removesuffix('.npz')}.{n}.npz")
        names = {path: path.with_suffix(f".{n}{path.suffix}") for path in others}
        names |= {model: aside, place: checkpoint_path(aside)}
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


def digest(names: object, arrays: Iterable[np.ndarray]) -> str:
    """Return the SHA-256 of names and arrays, by which a record tells if the data are the same."""
    found = hashlib.sha256(repr(names).encode())
    for array in arrays:
        found.update(repr((array.shape, array.dtype.str)).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _show(session: Session, records: Sequence[Record], net: Net, data: Data, said: set[str]) -> None:
    """Write the log and the picture that are wanted. Where they cannot be written training goes on, and they wait."""
    try:
        if session.log is not None and records:
            write_table(session.log, records)  # whole: no row is missing or double, also after a resumed run
        if session.watch is not None and records:
            charts.draw_watch(session.watch, records, _watched(net, data))
    except DataError as error:
        if str(error) not in said:
            session.echo(f"warning: {error}; training goes on, and writes the file when it can")
        said.add(str(error))


def _watched(net: Net, data: Data) -> dict[str, np.ndarray]:
    """Return the middle of an image, the truth and the net's answer; nothing for images with one class each."""
    if not isinstance(data, tuple):
        return {}
    image, truth = (arrays[0] for arrays in data)
    rows, columns = (slice(max(0, n - WATCHED) // 2, (n + WATCHED) // 2) for n in image.shape[:2])
    p = net.segment(image[rows, columns])
    last = f"probability of {net.class_values[-1] if net.class_values else p.shape[2] - 1}"
    shown = (255 * grey(image[rows, columns].mean(axis=2, dtype=np.float64))).astype(np.uint8)
    true = truth[rows, columns].astype(np.int64)
    return {"image": shown, "truth": true, last: p[:, :, -1], "answer": p.argmax(axis=2)}


def _records_to_resume(
    checkpoint: Checkpoint, choices: dict[str, Any], record: dict[str, Any], echo: Echo
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
    echo(f"going on from {checkpoint.path}, after {counted(len(records), 'epoch')}")
    return records


def _chosen(choices: dict[str, Any]) -> str:
    """Return the choices that differ from their defaults, and the net."""
    usual = {**asdict(Recipe()), **asdict(Reading()), "epochs": None, "val": 0.0, "options": choices["options"]}
    said = {"net": None, **choices, **choices["options"]}
    unsaid = {name for name in said if name.endswith("sha256") or said[name] in (usual.get(name), None, "none", [])}
    return ", ".join(f"{name} {value}" for name, value in said.items() if name not in unsaid)
