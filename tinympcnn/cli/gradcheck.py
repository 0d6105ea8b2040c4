"""``tinympcnn gradcheck`` checks the gradients of a net and the contract of the library."""

from __future__ import annotations

import argparse

from tinympcnn import gradcheck
from tinympcnn.errors import DataError
from tinympcnn.net import Net

EXAMPLE = """example:
  tinympcnn gradcheck 'C5x5x4 MPF2x2 FC2'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument of ``tinympcnn gradcheck``."""
    parser.add_argument(
        "spec", nargs="?", default="C3x3x3 MPF2x2 C2x2x4 MPF3x2 FC2x2x5 FC2", metavar="N3|N4|steel|SPEC",
        help="The net to check, by its name or its spec. The default is '%(default)s'.",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Print the report of the check."""
    report = gradcheck.check_net(Net.from_spec(options.spec, rng=0))
    print(report)
    if not report:
        raise DataError("the gradients are wrong")
