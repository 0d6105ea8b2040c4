"""From image files and a model file to files of probabilities and labels, page by page and band by band.

Read next: ``tinympcnn/segment.py``, which does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from tinympcnn import backend, data, segment
from tinympcnn.data.page_writer import check_space
from tinympcnn.errors import DataError, UsageError
from tinympcnn.leftovers import remove_leftovers
from tinympcnn.memory import free_memory, resident_memory
from tinympcnn.net import Net

Paths = Sequence[str | PathLike[str]]
Echo = Callable[[str], None]


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
    factor = resolution(net)
    if factor > 1:
        echo(f"images are down-sampled by {factor}, as for training")
    for file in files:
        if min(file.shape[:2]) < factor:
            raise DataError(f"{file.path} ({file.describe()}) is too small to be down-sampled by {factor}")
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
    class_values = np.array(values, data.label_dtype(values))
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
    check_space(folder, [writer for pair in writers for writer in pair])
    for line in [line for pair in writers for writer in pair for line in remove_leftovers(writer.path)]:
        echo(line)
    taken = resident_memory()
    budget = memory if memory is not None else taken + free_memory() // 2
    fixed, row = (max(part) for part in zip(*(_page_memory(net, file, factor) for file in files), strict=True))
    largest = max(file.shape[0] for file in files) // factor, max(file.shape[1] for file in files) // factor
    room = max(min(budget - taken - fixed, segment.DEFAULT_MEMORY), 1)
    rows, columns = size = segment.tile_size(net, tile, room, largest, row)
    peak = taken + fixed + rows * row + segment.tile_memory(net, (min(rows, largest[0]), min(columns, largest[1])))
    echo(f"{len(files)} file(s), tiles of {rows}x{columns}, at most {peak / 1e6:.0f} MB at the peak")
    if peak > budget:
        advice = "the least that is possible" if tile is None else "a smaller --tile takes less"
        echo(f"this is more than the {budget / 1e6:.0f} MB asked for; {advice}")
    for file, (prob, labels) in zip(files, writers, strict=True):
        with prob, labels:
            for index in range(len(file)):
                for _, band in segment.segment_bands(net, data.PageRows(file, index, factor), size, echo=echo):
                    prob.write(band)
                    labels.write(class_values[band.argmax(axis=-1)])
                    del band  # before the next one is made
        echo(f"{file.describe()}: wrote {prob.path} and {labels.path}")
    return [writer.path for pair in writers for writer in pair]


def resolution(net: Net) -> int:
    """Return the factor by which the images were down-sampled on which the net was trained: 1 for not at all."""
    factor = net.record.get("downsample", 1)
    if not isinstance(factor, int) or isinstance(factor, bool) or factor < 1:
        raise DataError(f"the model's record names the down-sampling {str(factor)[:40]!r}; it must be 1 or more")
    return factor


def _page_memory(net: Net, file: data.ImageFile, factor: int) -> tuple[int, int]:
    """Return the bytes that reading a page and writing its results take besides tiles: at least, and for each row."""
    height, width, maps = file.shape
    row, halo = width * maps * file.dtype.itemsize, net.field_of_view[0] - 1
    shrunk = width // factor * maps * 4 if factor > 1 else 0
    result = width // factor * (4 * net.out_maps + 17)  # the probabilities, the classes found, their values
    if file.rows_at_once == height:  # decoded whole, and perhaps brought into order
        return 2 * height * row + halo * shrunk, shrunk + result
    return 2 * (halo * factor + 2 * file.rows_at_once) * row + halo * shrunk, 2 * factor * row + shrunk + result
