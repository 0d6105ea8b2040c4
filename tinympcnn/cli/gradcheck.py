"""``tinympcnn gradcheck`` checks the gradients of a net, and that its image net gives what its patch net gives."""

from __future__ import annotations

import argparse

import numpy as np

from tinympcnn import gradcheck
from tinympcnn.errors import DataError
from tinympcnn.net import Net

DEFAULT = "C3x3x3 MPF2x2 C2x2x4 MPF3x2 FC2x2x5 FC2"
TOLERANCE = 1e-12  # the largest relative distance of the two nets, in float64

EXAMPLES = """
  tinympcnn gradcheck
  tinympcnn gradcheck 'C5x5x4 MPF2x2 FC2'

'tinympcnn help nets' explains how nets are written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument of ``tinympcnn gradcheck``."""
    text = "The net to check, by its name or its spec. The default is '%(default)s'."
    parser.add_argument("spec", nargs="?", default=DEFAULT, metavar="NAME|SPEC", help=text)


def run(options: argparse.Namespace) -> None:
    """Print what the checks found."""
    net = Net.from_spec(options.spec, rng=0)
    report = gradcheck.check_net(net)
    print(report)
    if not report:
        raise DataError("the gradients are wrong")
    if net.grid == (1, 1):  # a net with Upsample has no patch net
        P, Q = net.field_of_view
        image = np.random.default_rng(0).standard_normal((P + 2, Q + 3, net.in_maps))
        scores, gradient = gradcheck.check_contract(net, image)
        print(f"  image net and patch net differ by {scores:.0e} in the scores and by {gradient:.0e} in the gradient")
        if not max(scores, gradient) < TOLERANCE:
            raise DataError("the image net does not give what the patch net gives")
