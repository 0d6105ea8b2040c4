"""From files to files: what the commands train, segment and evaluate do, as functions.

Everything is checked before the work begins, results are written whole or not at all, and what was read and chosen is
said through `echo`. Read next: ``cli.py``, which only parses and calls these.
"""

from __future__ import annotations

import csv
import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn import backend, checkpoint, data, metrics, segment, zoo
from tinympcnn.atomic import leftovers, replacing
from tinympcnn.errors import DataError, UsageError
from tinympcnn.net import Net
from tinympcnn.train import Record, fit
from tinympcnn.trainset import split_validation

Paths = Sequence[str | PathLike[str]]
Echo = Callable[[str], None]

DECISIVE = (
    "net", "epochs", "optimizer", "options", "balance", "augment", "crop", "val", "seed", "axes", "threshold",
    "data_sha256",
)  # fmt: skip
"""What decides the result of a run, by its name in the record: the same on the same machine gives the same bits."""


def train_files(
    images: Paths,
    labels: Paths,
    output: str | PathLike[str],
    *,
    net: str = "N3",
    epochs: int = 10,
    optimizer: str = "adam",
    options: dict[str, Any] | None = None,
    balance: bool = False,
    augment: str = "none",
    crop: int | None = None,
    val: float = 0.0,
    resume: bool = False,
    log: str | PathLike[str] | None = None,
    seed: int = 0,
    device: str = "numpy",
    axes: str | None = None,
    threshold: float | None = None,
    downsample: int = 1,
    minutes: float = 10,
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
    echo, report, progress : callable
        Told what was read and chosen; the record of every epoch; every update.

    Returns
    -------
    Net
        As trained, on the CPU.

    Other parameters are those of ``tinympcnn.train.fit``.
    """
    place = checkpoint_path(output)
    written = [Path(path) for path in (output, place, log) if path is not None]
    for path in written:
        check_writable(path)
    if len({path.resolve() for path in written}) < len(written):
        raise UsageError(f"the model, its checkpoint {place.name} and the log need three names")
    xp, why = backend.load(device)
    echo(f"backend: {why}")
    for path in [*data.expand(images, "images"), *data.expand(labels, "labels")]:
        if any(out.exists() and out.samefile(path) for out in written):
            raise UsageError(f"{path} is an input and will not be overwritten; name another output")
    pairs = data.downsample_pairs(data.read_pairs(images, labels, axes, threshold), downsample)
    for line in pairs.description:
        echo(line)
    model = zoo.build(net, pairs.images[0].shape[2], rng=seed)
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
        "val": val,
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
    if not resume and checkpoint.exists(place):
        echo(f"starting anew, which will replace {place}; --resume would go on from it")
    for left in [left for path in written for left in leftovers(path)]:
        echo(_leftover(left))

    def pick(which: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [pairs.images[i] for i in which], [pairs.labels[i] for i in which]

    epochs_of = fit(
        model, *pick(kept), epochs=epochs, optimizer=optimizer, options=options, balance=balance, augment=augment,
        crop=crop, validation=pick(held) if held else None, seed=seed, checkpoint=place, minutes=minutes,
        resume=resume, progress=progress,
    )  # fmt: skip
    if log is not None and records:  # the last row may be missing, or the log may be a new one
        write_log(log, records)
    for record in epochs_of:
        records.append(record)
        if log is not None:
            write_log(log, records)
        report(record)
    model = model.to("numpy")
    model.record = {**model.record, "log": records}
    model.save(output)
    echo(f"wrote {output}")
    return model


def _records_to_resume(place: Path, record: dict[str, Any], echo: Echo) -> list[Record]:
    """Return the log of the run to go on with; refuse a run that differs in what decides the result."""
    if not checkpoint.exists(place):
        echo(f"there is no checkpoint {place}: starting from the beginning")
        return []
    before, records = checkpoint.peek(place)
    for key in DECISIVE:
        if before.get(key) != record[key]:
            what = "other images or labels" if key == "data_sha256" else f"{key} {before.get(key)!r}"
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


def check_writable(path: str | PathLike[str]) -> None:
    """Raise DataError now if a file could not be written at `path` later, as far as can be known."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise DataError(f"cannot write {path}: there is no folder {folder}; make it first")
    if Path(path).is_dir():
        raise DataError(f"cannot write {path}: it is a folder; name a file in it")
    if not os.access(folder, os.W_OK):
        raise DataError(f"cannot write {path}: the folder {folder} is not writable")


def write_log(path: str | PathLike[str], records: Sequence[Record]) -> None:
    """Write the whole log, one row per epoch: no row is missing or double, also after a resumed run."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def segment_files(
    images: Paths,
    model: str | PathLike[str],
    output: str | PathLike[str],
    *,
    tile: int | None = None,
    memory: int | None = None,
    axes: str | None = None,
    force: bool = False,
    device: str = "numpy",
    echo: Echo = print,
) -> list[Path]:
    """Segment image files, page by page and band by band, into ``{name}_prob.tif`` and ``{name}_labels.tif``.

    Where the model was trained on down-sampled images, pages are down-sampled and the results have that size.

    Parameters
    ----------
    images : sequence of path
        Files and folders.
    model : path
        As `train_files` wrote it.
    output : path
        Folder, made if it does not exist.
    tile : int, optional
        Outputs per axis computed at a time; the result does not depend on it.
    memory : int, optional
        Bytes to keep to; by default half of what is free.
    axes : str, optional
        See ``tinympcnn.data.open_image``.
    force : bool
        Overwrite results that exist.

    Returns
    -------
    list of Path
        The files written.
    """
    xp, why = backend.load(device)
    echo(f"backend: {why}")
    net = Net.load(model).to("numpy" if xp is np else "cupy")
    files = [data.open_image(path, axes) for path in data.expand(images, "images")]
    for file in files:
        if file.shape[2] != net.in_maps:
            raise DataError(f"{file.path} has {file.shape[2]} channel(s) and the model takes {net.in_maps}")
    if double := {file.stem for file in files if sum(file.stem == other.stem for other in files) > 1}:
        raise UsageError(f"several images are named {min(double)!r}; their results would overwrite each other")
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    values = tuple(net.class_values or range(net.out_maps))
    factor = int(net.record.get("downsample") or 1)
    if factor > 1:
        echo(f"images are down-sampled by {factor}, as for training")
    kinds = (("prob", (net.out_maps,), np.dtype(np.float32)), ("labels", (), data.label_dtype(values)))
    writers = [  # made first: all refuse what exists already before the first image is read
        [
            data.PageWriter(
                folder / f"{file.stem}_{kind}.tif",
                len(file),
                (file.shape[0] // factor, file.shape[1] // factor, *more),
                dtype,
                values,
                file,
                force,
            )
            for kind, more, dtype in kinds
        ]
        for file in files
    ]
    for left in [left for pair in writers for writer in pair for left in leftovers(writer.path)]:
        echo(_leftover(left))
    budget = memory if memory is not None else free_memory() // 2
    page = max(file.shape[0] * file.shape[1] * file.shape[2] * file.dtype.itemsize for file in files)
    row = max(file.shape[1] for file in files) * (4 * net.out_maps + 16)  # of a band of results
    rows, columns = segment.tile_size(net, tile, min(max(budget - page, 1), segment.DEFAULT_MEMORY))
    peak = segment.tile_memory(net, max(rows, columns)) + page + rows * row
    echo(f"{len(files)} file(s), tiles of {rows}x{columns}, about {peak / 1e6:.0f} MB at the peak")
    if peak > budget:
        echo(f"this is more than the {budget / 1e6:.0f} MB asked for, and the least that is possible")
    for file, (prob, labels) in zip(files, writers, strict=True):
        with prob, labels:
            for pixels in file:
                image = segment.as_image(net, data.downsample(pixels, factor))
                for _, band in segment.segment_bands(net, image, max(rows, columns), echo=echo):
                    prob.write(band)
                    labels.write(np.asarray(values)[band.argmax(axis=-1)])
        echo(f"{file.describe()}: wrote {prob.path} and {labels.path}")
    return [writer.path for pair in writers for writer in pair]


def _leftover(path: Path) -> str:
    return f"{path} is left from a run that was killed, or belongs to one that runs now; remove it if none does"


def free_memory() -> int:
    """Return the bytes of memory that are free for this process, or 2 GB where that cannot be known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return 2 << 30


def evaluate_files(
    predictions: Paths,
    labels: Paths,
    *,
    positive: int | None = None,
    axes: str | None = None,
    threshold: float | None = None,
    membranes: bool = False,
) -> dict[str, Any]:
    """Compare predictions (``_prob.tif`` or ``_labels.tif``) with label images; see ``tinympcnn.metrics.evaluate``.

    Parameters
    ----------
    predictions, labels : sequence of path
        As many pages on either side, paired in order.
    positive : int, optional
        Label value of the class of F1, precision and recall; by default the largest.

    Returns
    -------
    dict
        The report, with the class values under "class_values".
    """
    opened = [data.read_prediction(path) for path in data.expand(predictions, "predictions")]
    truth, _ = data.read_images(labels, axes)
    pages = [(prediction, page) for prediction in opened for page in prediction.pages]
    if len(pages) != len(truth):
        raise DataError(f"{len(pages)} page(s) of predictions and {len(truth)} label image(s) do not pair up")
    if len({(prediction.kind, prediction.class_values) for prediction in opened}) > 1:
        raise DataError("the predictions are of different kinds or classes; evaluate them one kind at a time")
    flat = [page[:, :, 0] if threshold is None else np.where(page[:, :, 0] > threshold, 255, 0) for page in truth]
    values = opened[0].class_values or data.find_class_values([*flat, *(page[:, :, 0] for _, page in pages)])
    if positive is not None and positive not in values:
        raise UsageError(f"--positive {positive} is none of the classes {tuple(values)}")
    for (_, page), y in zip(pages, flat, strict=True):
        if page.shape[:2] != y.shape:
            raise DataError(
                f"a prediction of {page.shape[0]}x{page.shape[1]} meets labels of {y.shape[0]}x{y.shape[1]}"
            )
    wanted = values.index(positive) if positive is not None else len(values) - 1
    reports = []
    for group in _same_sizes([y.shape for y in flat]):
        y = np.stack([data.class_indices(flat[i], values) for i in group])
        p = [pages[i][1] for i in group]
        if opened[0].kind == "prob":
            prediction = np.stack(p) if len(values) > 2 else np.stack(p)[..., wanted]
        else:
            prediction = np.stack([data.class_indices(page[:, :, 0], values) for page in p])
        reports.append((prediction, y))
    prediction, y = reports[0] if len(reports) == 1 else _joined(reports)
    report = metrics.evaluate(prediction, y, positive=wanted, n_classes=len(values), membranes=membranes)
    return {**report, "class_values": list(values)}


def _same_sizes(shapes: list[tuple[int, ...]]) -> list[list[int]]:
    """Return the indices of the images of each size."""
    return [[i for i, shape in enumerate(shapes) if shape == size] for size in dict.fromkeys(shapes)]


def _joined(reports: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return images of several sizes as one long row of pixels: measures of pixels do not see the difference."""
    flat = [(p.reshape(-1, *p.shape[3:]), y.reshape(-1)) for p, y in reports]
    return np.concatenate([p for p, _ in flat])[None, None], np.concatenate([y for _, y in flat])[None, None]


def _digest(pairs: data.Pairs) -> str:
    """Return the SHA-256 of all pixels and labels, by which a record tells whether the data are the same."""
    digest = hashlib.sha256()
    for array in [*pairs.images, *pairs.labels]:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _version() -> str:
    from tinympcnn import __version__

    return __version__
