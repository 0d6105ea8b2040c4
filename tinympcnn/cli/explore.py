"""``tinympcnn explore``: one HTML page that shows a small model at work on a piece of an image, number by number."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from tinympcnn.cli import arguments
from tinympcnn.cli.models import AnyPath, check_channels, resolution
from tinympcnn.cli.words import say
from tinympcnn.data.downsample import downsample
from tinympcnn.errors import UsageError, counted
from tinympcnn.explore import default_crop, scene, write
from tinympcnn.inference.classify import prepared
from tinympcnn.io.classes import shrunk
from tinympcnn.io.images import open_image
from tinympcnn.io.outputs import check_outputs
from tinympcnn.net import Net

EXAMPLES = """
  tinympcnn explore cells.npz cells.tif
  tinympcnn explore cells.npz cells.tif -o page.html --crop 40:58,50:71
"""

Crop = tuple[slice, slice]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn explore``."""
    text = "The model to show, of a small net: C, FC, MPF, tanh, logistic and relu layers, with a few small pools."
    parser.add_argument("model", type=arguments.path, metavar="MODEL.npz", help=text)
    parser.add_argument("image", type=arguments.path, metavar="IMAGE", help="The image: a TIFF, PNG or JPEG file.")
    text = "The page to write, which any browser opens without a network. The default is %(default)s."
    arguments.output(parser, "PAGE.html", text, default="explorer.html")
    parser.add_argument(
        "--crop", type=crop, metavar="R:R,C:C",
        help="The rows and columns of the image to show, such as 40:58,50:71: from the first number up to, but not "
        "with, the second. The default is a piece in the middle that gives about a dozen outputs along each side.",
    )  # fmt: skip
    text = "The page of a stack to show, counted from 0. The default is %(default)s."
    parser.add_argument("--page", type=arguments.ranged(int, 0), default=0, metavar="N", help=text)
    arguments.reading(parser, "axes")
    arguments.force(parser, "Replace a page that exists.")


def run(options: argparse.Namespace) -> None:
    """Write the page that the options of ``tinympcnn explore`` ask for."""
    how = {"page": options.page, "axes": options.axes, "force": options.force}
    rows, columns = explore_file(options.model, options.image, options.output, options.crop, **how)
    say(
        f"{options.output}: rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1} of "
        f"{options.image}; open it in a browser"
    )


def explore_file(
    model: AnyPath,
    image: AnyPath,
    output: AnyPath,
    crop: Crop | None = None,
    *,
    page: int = 0,
    axes: str | None = None,
    force: bool = False,
) -> Crop:
    """Write the page of a model and a piece of an image file, and return the rows and columns that are shown.

    The `crop` holds rows and columns of the image as the model takes it, down-sampled if the model's images were. The
    `page` of a stack is counted from 0. A `UsageError` refuses a net or a crop that is too large to be shown, a layer
    that cannot be shown, an image that does not fit the net, and a page that exists already, unless `force` is given.
    """
    net, file = Net.load(model).astype(np.float64), open_image(image, axes)
    check_outputs([output], [model, image], force)
    if page >= len(file):
        raise UsageError(f"{image} has {counted(len(file), 'page')}, counted from 0; there is no page {page}")
    check_channels(image, file.shape[2], net.in_maps)
    if net.preprocessing is None:
        pixels = downsample(file.page(page), resolution(net))
    else:  # the net classifies whole images, and takes pixels from 0 to 1
        pixels = prepared(net, shrunk(file.page(page), resolution(net))[None])[0]
    height, width = pixels.shape[:2]
    rows, columns = crop or default_crop(net, (height, width))
    if rows.stop > height or columns.stop > width:
        raise UsageError(
            f"the crop {rows.start}:{rows.stop},{columns.start}:{columns.stop} reaches out of the image of "
            f"{height}x{width}; use 0:{height},0:{width} or a part of it"
        )
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
