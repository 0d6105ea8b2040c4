"""``tinympcnn explore``: one HTML page that shows a small model at work on a piece of an image, number by number."""

from __future__ import annotations

import argparse
import re
from os import PathLike
from pathlib import Path

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.models import resolution
from tinympcnn.cli.words import say
from tinympcnn.data.downsample import downsample
from tinympcnn.engine.backend import Pair
from tinympcnn.errors import UsageError, counted
from tinympcnn.explore import default_crop, scene, write
from tinympcnn.io.images import open_image
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.reading import Reading
from tinympcnn.net import Net

EXAMPLES = """
  tinympcnn explore cells.npz cells.tif
  tinympcnn explore cells.npz cells.tif -o page.html --crop 40:58,50:71
"""

Place = str | PathLike[str]
Crop = tuple[slice, slice]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn explore``."""
    parser.add_argument(
        "model", type=arguments.path, metavar="MODEL.npz",
        help="The model to show, of a small net: C, FC, MPF, tanh, logistic and relu layers, with a few small pools.",
    )  # fmt: skip
    parser.add_argument("image", type=arguments.path, metavar="IMAGE", help="The image: a TIFF, PNG or JPEG file.")
    parser.add_argument(
        "-o", "--output", type=arguments.new_file, default="explorer.html", metavar="PAGE.html",
        help="The page to write, which any browser opens without a network. The default is %(default)s.",
    )  # fmt: skip
    parser.add_argument(
        "--crop", type=crop, metavar="R:R,C:C",
        help="The rows and columns of the image to show, such as 40:58,50:71: from the first number up to, but not "
        "with, the second. The default is a piece in the middle that gives about a dozen outputs along each side.",
    )  # fmt: skip
    parser.add_argument(
        "--page", type=arguments.ranged(int, 0), default=0, metavar="N",
        help="The page of a stack to show, counted from 0. The default is %(default)s.",
    )  # fmt: skip
    arguments.fields(parser, Reading, axes={"type": arguments.axes})
    arguments.force(parser, "Replace a page that exists.")


def run(options: argparse.Namespace) -> None:
    """Write the page that the options of ``tinympcnn explore`` ask for."""
    shown = explore_file(
        options.model,
        options.image,
        options.output,
        options.crop,
        page=options.page,
        axes=options.axes,
        force=options.force,
    )
    rows, columns = shown
    say(
        f"{options.output}: rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1} of "
        f"{options.image}; open it in a browser"
    )


def explore_file(
    model: Place,
    image: Place,
    output: Place,
    crop: Crop | None = None,
    *,
    page: int = 0,
    axes: str | None = None,
    force: bool = False,
) -> Crop:
    """Write the page of a model and a piece of an image file, and return the rows and columns that are shown.

    Parameters
    ----------
    model, image, output : path
        The model file, the image file and the page to write.
    crop : (slice, slice), optional
        The rows and columns to show, of the image as the model takes it: down-sampled if the model's images were.
    page : int
        The page of a stack, counted from 0.
    axes : str, optional
        The axes of the image, one letter each.
    force : bool
        Whether a page that exists is replaced.

    Raises
    ------
    UsageError
        If the net or the crop is too large to be shown, has a layer that can not be shown, or does not fit the image;
        also if the page exists already and `force` is not given.
    DataError
        If a file cannot be read or written.
    """
    net, file = Net.load(model).astype(np.float64), open_image(image, axes)
    check_outputs([output], [model, image], force)
    if page >= len(file):
        raise UsageError(f"{image} has {counted(len(file), 'page')}, counted from 0; there is no page {page}")
    if file.shape[2] != net.in_maps:
        raise UsageError(f"{image} has {counted(file.shape[2], 'channel')} and the model takes {net.in_maps}")
    pixels = downsample(file.page(page), resolution(net))
    rows, columns = crop or default_crop(net, (pixels.shape[0], pixels.shape[1]))
    _check_inside(rows, columns, (pixels.shape[0], pixels.shape[1]))
    title = f"{Path(model).stem} on {file.stem}"
    write(output, [scene(net, net.normalised(pixels[rows, columns]), title, f"{title}.")])
    return rows, columns


def crop(text: str) -> Crop:
    """Read rows and columns such as 40:58,50:71."""
    found = re.fullmatch(r"(\d{1,6}):(\d{1,6}),(\d{1,6}):(\d{1,6})", text)
    ends = [int(part) for part in found.groups()] if found else [0] * 4
    if ends[0] >= ends[1] or ends[2] >= ends[3]:
        raise argparse.ArgumentTypeError(f"expected rows and columns such as 40:58,50:71, not {text!r}")
    return slice(ends[0], ends[1]), slice(ends[2], ends[3])


def _check_inside(rows: slice, columns: slice, size: Pair) -> None:
    if rows.stop > size[0] or columns.stop > size[1]:
        raise UsageError(
            f"the crop {rows.start}:{rows.stop},{columns.start}:{columns.stop} reaches out of the image of "
            f"{size[0]}x{size[1]}; use 0:{size[0]},0:{size[1]} or a part of it"
        )
