"""``tinympcnn calibrate``: from files of probabilities and label images to a calibration that segment applies.

The images should be ones that no net was trained on. On its own training images a net looks surer than it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from tinympcnn.cli import arguments, compare
from tinympcnn.cli.models import AnyPath, Echo, Paths
from tinympcnn.cli.words import say
from tinympcnn.errors import DataError, counted
from tinympcnn.inference.calibration import Calibration, fit_calibration
from tinympcnn.io.images import expand
from tinympcnn.io.outputs import check_outputs
from tinympcnn.io.reading import Reading

LEAST_RISE = 0.05  # a calibration that rises by less from p = 0 to 1 says nothing

EXAMPLES = """
  tinympcnn calibrate -p held/*_prob.tif -l held-labels/ -o calibration.json
  tinympcnn calibrate -p held/*_prob.tif -l held-labels/ --invert -o cal.json

'tinympcnn segment --calibration calibration.json' applies the result.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tinympcnn calibrate``."""
    files = parser.add_argument_group("data")
    text = "The predictions: _prob.tif files of two classes, of images on which no model was trained."
    compare.add_arguments(files, text)
    text = "The file to write, for the option --calibration of segment."
    arguments.output(files, "CAL.json", text, required=True)
    arguments.force(files)


def run(options: argparse.Namespace) -> None:
    """Fit and write the calibration."""
    paths = options.predictions, options.labels, options.output
    calibrate_files(*paths, **compare.how(options), force=options.force)


def calibrate_files(
    predictions: Paths,
    labels: Paths,
    output: AnyPath,
    *,
    reading: Reading = Reading(),
    mapping: Mapping[int, int] | None = None,
    invert: bool = False,
    force: bool = False,
    echo: Echo = say,
) -> Calibration:
    """Fit a calibration on ``_prob.tif`` files of two classes and their label images, and write it to `output` (JSON).

    `read_compared` says how the labels are read. A `DataError` refuses probabilities that do not rise with the labels.
    """
    check_outputs([output], [*expand(predictions, "predictions"), *expand(labels, "labels")], force)
    kind, values, pages, truth = compare.read_compared(predictions, labels, reading, mapping, invert)
    if kind != "prob" or len(values) != 2:
        raise DataError(f"a calibration is fitted on _prob.tif of two classes, not on {kind} of {len(values)}")
    examples = ((page[y >= 0, 1], y[y >= 0] == 1) for page, y in zip(pages, truth, strict=True))  # -1 does not count
    fit = fit_calibration(examples, values)
    rise = sum(fit.calibration.coefficients[1:])  # from p = 0 to p = 1
    if rise < LEAST_RISE:
        found = f"the best rising polynomial is constant (it rises by {rise:.3f} from p = 0 to 1)"
        raise DataError(f"{found}: are the labels inverted? (--invert)")
    fit.calibration.save(output, pixels=fit.pixels, mean_square_before=fit.before, mean_square_after=fit.after)
    terms = " ".join(f"{c:+.4f} p^{k}" for k, c in enumerate(fit.calibration.coefficients))
    echo(f"{counted(len(pages), 'page')}: p({values[1]}) becomes {terms}")
    echo(f"mean square of probability minus truth: {fit.before:.5f}, and {fit.after:.5f} calibrated")
    echo(f"wrote {output}")
    return fit.calibration
