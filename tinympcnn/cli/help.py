"""``tinympcnn help``: the help of a command, and how nets are written."""

from __future__ import annotations

import argparse

from tinympcnn.cli import entry
from tinympcnn.cli.words import say
from tinympcnn.errors import UsageError
from tinympcnn.nn.spec import NETS

EXAMPLES = """
  tinympcnn help nets
  tinympcnn help train
"""
NETS_TEXT = """A net is written as its layers, from the image to the classes, in one argument:

  'C7x7x8 MPF2x2 C5x5x8 MPF2x2 C5x5x8 FC100 FC2'

  C7x7x8     A convolution: windows of 7x7, 8 output maps. A tanh follows.
  MPF2x2     Max-pooling 2x2 on all fragments, so that every pixel is answered.
             MPF2 and MP2x2 mean the same layer.
  FC100      A fully connected layer with 100 outputs, at every pixel. A tanh
             follows. FC3x3x100 sees windows of 3x3 pixels.
  FC2        The last layer has one output for each class, and no tanh.
  RELU       Takes the place of the tanh behind the layer before it.
  LC33x33    Divides maps by their local contrast in windows of 33x33.
  F2x2       Fragments without a maximum: the layers behind it become a trous.
  U2x2       Doubles rows and columns. With a U in the net, MP is plain pooling.
  [ ... ]    The maps before the bracket are set beside those of the layers in
             it. With MP and U this is a U-Net:
             'C3x3x16 [ MP2x2 C3x3x32 U2x2 ] C3x3x16 C1x1x1'

Nets that classify whole small images may be written as in their papers:

  1x29x29-20C4-MP2-40C5-MP3-150N-10N

  1 channel and 29x29 pixels; 20 maps by 4x4 convolutions; pooling 2x2; ...;
  150 outputs; 10 classes.

'tinympcnn info SPEC --image 512x512' shows what a net sees and costs. These
nets have names:
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument of ``tinympcnn help``."""
    text = "What to explain. The default is all commands."
    parser.add_argument("topic", nargs="?", metavar="nets|COMMAND", help=text)


def run(options: argparse.Namespace) -> None:
    """Print the help of a command, or the notation of nets."""
    if options.topic == "nets":
        print(NETS_TEXT)
        say("\n".join(f"  {name:<21}{spec}" for name, spec in NETS.items()))
    elif options.topic not in (None, *entry.COMMANDS):
        raise UsageError(f"there is no help on {options.topic!r}; take nets, or one of {', '.join(entry.COMMANDS)}")
    else:
        words = [options.topic, "--help"] if options.topic else ["--help"]
        entry.parser_of(words).parse_args(words)
