"""From image files and model files to files of probabilities and labels, page by page and band by band.

Read next: ``tinympcnn/inference/segment.py`` and ``tinympcnn/inference/postprocess.py``, which do the work.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from operator import itemgetter
from os import PathLike
from pathlib import Path

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.planning import plan_tiles
from tinympcnn.engine import backend
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference import segment
from tinympcnn.inference.average import agreed
from tinympcnn.inference.calibration import Calibration
from tinympcnn.inference.committee import Committee
from tinympcnn.inference.input_check import off_scale
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.images import expand, open_image
from tinympcnn.io.leftovers import remove_leftovers
from tinympcnn.io.page_rows import PageRows
from tinympcnn.io.predictions import label_dtype
from tinympcnn.io.tiff.writer import PageWriter, check_space
from tinympcnn.net import Net

Paths = Sequence[str | PathLike[str]]
Echo = Callable[[str], None]


def segment_files(
    images: Paths,
    model: str | PathLike[str] | Paths,
    output: str | PathLike[str],
    *,
    turns: bool = False,
    calibration: str | PathLike[str] | None = None,
    median: int = 0,
    tile: int | None = None,
    memory: int | None = None,
    axes: str | None = None,
    force: bool = False,
    device: str = "numpy",
    echo: Echo = print,
) -> list[Path]:
    """Segment image files, page by page and band by band, into ``{name}_prob.tif`` and ``{name}_labels.tif``.

    Where the models were trained on down-sampled images, pages are down-sampled and the results have that size.

    Parameters
    ----------
    images : sequence of path
        Files and folders.
    model : path or sequence of path
        As `train_files` wrote it. The probabilities of several are averaged.
    output : path
        Folder, made if it does not exist.
    turns : bool
        Average over the eight flips and quarter turns of each image.
    calibration : path, optional
        As `calibrate_files` wrote it; applied to the average.
    median : int
        Radius in pixels of the median filter that comes last; 0 for none.
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
    models = [model] if isinstance(model, str | PathLike) else list(model)
    committee, factor = load_committee(models, turns)
    committee = committee.to("numpy" if xp is np else "cupy")
    values = tuple(committee.class_values or range(committee.out_maps))
    post = Postprocess(_load_calibration(calibration, values), median)
    files = _open(images, axes, committee.in_maps, factor)
    writers = _writers(files, Path(output), values, factor, force)
    if factor > 1:
        echo(f"images are down-sampled by {factor}, as for training")
    if committee.size > 1:
        echo(f"mean of {len(committee.nets)} net(s), each on {len(committee.views)} view(s) of the image")
    for line in [line for pair in writers for writer in pair for line in remove_leftovers(writer.path)]:
        echo(line)
    size = plan_tiles(committee, factor, post, files, tile, memory, echo)
    class_values = np.array(values, label_dtype(values))
    for file, (prob, labels) in zip(files, writers, strict=True):
        with prob, labels:
            for index in range(len(file)):
                page = PageRows(file, index, factor)
                if index == 0 and (wrong := off_scale(committee.nets, _first_band(committee, page, size[0]))):
                    echo(f"warning: {file.path} has {wrong}")
                bands = segment.segment_bands(committee, page, size, echo=echo)
                for band in post(map(itemgetter(1), bands)):
                    prob.write(band)
                    labels.write(class_values[band.argmax(axis=-1)])
                    del band  # before the next one is made
        shrunk = f", of {file.shape[0] // factor}x{file.shape[1] // factor}" if factor > 1 else ""
        echo(f"{file.describe()}: wrote {prob.path} and {labels.path}{shrunk}")
    return [writer.path for pair in writers for writer in pair]


def _first_band(committee: Committee, page: PageRows, rows: int) -> np.ndarray:
    """Return the pixels that the first `rows` rows of outputs see, which the page keeps for them."""
    size = page.shape[:2]
    return page[committee.rows_seen(size, slice(0, min(rows, size[0])))]


def load_committee(models: Paths, turns: bool = False) -> tuple[Committee, int]:
    """Read models that will be averaged, and return also the factor by which all want their images down-sampled."""
    nets, names = [Net.load(path) for path in models], [str(path) for path in models]
    committee = Committee(nets, turns, names)
    return committee, agreed("down-sampling", [resolution(net) for net in nets], names)


def _load_calibration(path: str | PathLike[str] | None, values: tuple[int, ...]) -> Calibration | None:
    if path is None:
        return None
    calibration = Calibration.load(path)
    if calibration.class_values != values:
        raise DataError(f"{path} was fitted for the classes {calibration.class_values}, and the model's are {values}")
    return calibration


def _open(images: Paths, axes: str | None, channels: int, factor: int) -> list[ImageFile]:
    """Open all images, and check that the model takes them and that their results will have different names."""
    files = [open_image(path, axes) for path in expand(images, "images")]
    for file in files:
        if min(file.shape[:2]) < factor:
            raise DataError(f"{file.path} ({file.describe()}) is too small to be down-sampled by {factor}")
        if file.shape[2] != channels:
            raise DataError(f"{file.path} has {file.shape[2]} channel(s) and the model takes {channels}")
    if double := {file.stem for file in files if sum(file.stem == other.stem for other in files) > 1}:
        raise UsageError(f"several images are named {min(double)!r}; their results would overwrite each other")
    return files


def _writers(
    files: Sequence[ImageFile], folder: Path, values: tuple[int, ...], factor: int, force: bool
) -> list[list[PageWriter]]:
    """Make the writers of probabilities and labels: all refuse what exists already before an image is read."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    kinds = (("prob", (len(values),), np.dtype(np.float32)), ("labels", (), label_dtype(values)))
    writers = [
        [
            PageWriter(
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
    return writers


def resolution(net: Net) -> int:
    """Return the factor by which the images were down-sampled on which the net was trained: 1 for not at all."""
    factor = net.record.get("downsample", 1)
    if not isinstance(factor, int) or isinstance(factor, bool) or factor < 1:
        raise DataError(f"the model's record names the down-sampling {str(factor)[:40]!r}; it must be 1 or more")
    return factor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn segment``."""
    parser.add_argument("-i", "--images", nargs="+", required=True, help="TIFF, PNG or JPEG files, or folders")
    parser.add_argument(
        "-m", "--model", nargs="+", action="extend", required=True, metavar="MODEL.npz",
        help="as written by train; the probabilities of several are averaged",
    )  # fmt: skip
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="for {name}_prob.tif, {name}_labels.tif")
    parser.add_argument("--turns", action="store_true", help="average over the eight flips and quarter turns")
    parser.add_argument("--calibration", metavar="CAL.json", help="correct the average, as fitted by calibrate")
    parser.add_argument(
        "--median", type=int, default=0, metavar="R", help="then filter, radius R pixels (0: no filter)"
    )
    parser.add_argument(
        "--tile",
        type=arguments.ranged(int, 1, auto=True),
        default=None,
        metavar="auto|N",
        help="outputs at a time (auto)",
    )
    parser.add_argument(
        "--memory", type=arguments.memory, metavar="SIZE", help="such as 2G or 500M (half of what is free)"
    )
    parser.add_argument("--axes", help="axes of the images, such as ZYX or CYX, whatever the files say themselves")
    parser.add_argument("--force", action="store_true", help="overwrite results that exist")
    arguments.machine(parser)


def run(options: argparse.Namespace) -> None:
    """Segment as the options of ``tinympcnn segment`` say."""
    segment_files(
        options.images, options.model, options.output, turns=options.turns, calibration=options.calibration,
        median=options.median, tile=options.tile, memory=options.memory, axes=options.axes, force=options.force,
        device=options.backend,
    )  # fmt: skip
