"""From files of probabilities and label images to a calibration that `segment_files` applies.

The slices should be ones that no net was trained on, or the nets look surer than they are. Read next:
``tinympcnn/inference/calibration.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from os import PathLike

from tinympcnn.cli import arguments
from tinympcnn.cli.compare import Paths, read_compared
from tinympcnn.cli.outputs import check_outputs
from tinympcnn.errors import DataError
from tinympcnn.inference.calibration import Calibration, fit_calibration
from tinympcnn.io.images import expand

_LEAST_RISE = 0.05


def calibrate_files(
    predictions: Paths,
    labels: Paths,
    output: str | PathLike[str],
    *,
    axes: str | None = None,
    threshold: float | None = None,
    mapping: Mapping[int, int] | None = None,
    invert: bool = False,
    downsample: int = 1,
    echo: Callable[[str], None] = print,
) -> Calibration:
    """Fit a calibration on probabilities of held-out images and write it to `output`.

    Parameters
    ----------
    predictions : sequence of path
        ``_prob.tif`` files of two classes.
    labels : sequence of path
        As many pages, paired in order.
    output : path
        The JSON file.
    axes, threshold, mapping, invert, downsample : optional
        See ``tinympcnn.cli.compare.read_compared``.

    Raises
    ------
    UsageError
        If the output is an input.
    DataError
        If these are not probabilities of two classes, do not fit the labels, or do not rise with them.
    """
    check_outputs([output], [*expand(predictions, "predictions"), *expand(labels, "labels")])
    kind, values, pages, truth = read_compared(predictions, labels, axes, threshold, mapping, invert, downsample)
    if kind != "prob" or len(values) != 2:
        raise DataError(
            f"a calibration is fitted on the probabilities of two classes (_prob.tif), not on {kind} of {len(values)}"
        )
    fit = fit_calibration(((page[..., 1], y == 1) for page, y in zip(pages, truth, strict=True)), values)
    if fit.calibration.rise < _LEAST_RISE:
        raise DataError(
            f"the best rising polynomial is constant (it rises by {fit.calibration.rise:.3f} from p = 0 to 1): are the "
            "labels inverted? (--invert)"
        )
    fit.calibration.save(output, pixels=fit.pixels, mean_square_before=fit.before, mean_square_after=fit.after)
    terms = " ".join(f"{c:+.4f} p^{k}" for k, c in enumerate(fit.calibration.coefficients))
    echo(f"{len(pages)} page(s): p({values[1]}) becomes {terms}")
    echo(f"mean square of probability minus truth: {fit.before:.5f}, and {fit.after:.5f} calibrated")
    echo(f"wrote {output}")
    return fit.calibration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn calibrate``."""
    parser.add_argument("-p", "--predictions", nargs="+", required=True, help="_prob.tif files, of held-out images")
    parser.add_argument("-l", "--labels", nargs="+", required=True, help="label images")
    parser.add_argument("-o", "--output", required=True, metavar="CAL.json", help="for segment --calibration")
    arguments.relabelling(parser)
    arguments.reading(parser)


def run(options: argparse.Namespace) -> None:
    """Fit and write the calibration."""
    calibrate_files(
        options.predictions, options.labels, options.output, axes=options.axes, threshold=options.threshold,
        mapping=options.map, invert=options.invert, downsample=options.downsample,
    )  # fmt: skip
