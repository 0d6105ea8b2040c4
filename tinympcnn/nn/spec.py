"""The paper's notation for nets: ``C7x7x8 MPF2x2 C5x5x8 MPF2x2 C5x5x8 FC100 FC2``.

``CkxkxM`` is a convolution with M output maps, ``MPFkxk`` a MaxPoolFragment (``MPkxk`` means the same layer, ``MPF2``
is short for ``MPF2x2``), ``FCM`` a fully connected layer on single pixels and ``FCwxwxM`` one over a w x w window.
Tanh follows every C and FC but the last, as in the paper. One word is ours: ``LCkxk`` sets the local contrast of its
maps in a k x k window beside them. A net for whole small images may also be written as in the papers on
classification, ``1x29x29-20C4-MP2-40C5-MP3-150N-10N``; see ``columns.py``.
"""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.nn.columns import is_column, parse_column
from tinympcnn.nn.geometry import count
from tinympcnn.nn.layers import Conv, FullyConnected, Layer, LocalContrast, MaxPoolFragment, Tanh
from tinympcnn.nn.layers.contrast import FLOOR

_WORD = re.compile(r"(?P<kind>C|MPF?|FC|LC)(?P<sizes>[0-9]{1,6}(?:x[0-9]{1,6})*)", re.IGNORECASE)
_SIZES = {"C": (3,), "MP": (1, 2), "MPF": (1, 2), "FC": (1, 3), "LC": (1, 2)}
_MOST_WEIGHTS = 10**8  # of the whole net: beyond it a typing error is likelier than a purpose


def parse(spec: str, in_maps: int = 1, rng: int | np.random.Generator | None = None) -> list[Layer]:
    """Return the layers that `spec` describes.

    Parameters
    ----------
    spec : str
        Words in the notation above, separated by spaces.
    in_maps : int
        Maps of the images: 1 for grey, 3 for RGB.
    rng : int or numpy.random.Generator, optional
        Seeds the initial weights.

    Raises
    ------
    UsageError
        If a word does not parse; the message shows the word and what would be one.

    Examples
    --------
    >>> parse("C3x3x4 MPF2x2 FC2", rng=0)
    [Conv(1, 4, (3, 3)), Tanh(), MaxPoolFragment((2, 2)), FullyConnected(4, 2, (1, 1))]
    """
    if is_column(spec):
        return parse_column(spec, rng)
    if is_name(spec):
        raise UsageError(
            f"cannot read the spec {spec[:60]!r}: one looks like 'C5x5x8 MPF2x2 C3x3x8 FC2', and zoo.build('N3') makes "
            "a net by its name"
        )
    rng = np.random.default_rng(rng)
    maps, weights = count(in_maps, "in_maps"), 0
    layers: list[Layer] = []
    for word in spec.split():
        kind, sizes = _read(word, spec)
        if kind in ("C", "FC"):
            kernel = (sizes[0], sizes[1]) if len(sizes) == 3 else (1, 1)
            out = sizes[-1]
            weights += kernel[0] * kernel[1] * maps * out
            if weights > _MOST_WEIGHTS:
                raise UsageError(f"with {word!r} the net would have {weights:,} weights; use smaller layers")
            layers += [(Conv if kind == "C" else FullyConnected)(maps, out, kernel, rng), Tanh()]
            maps = out
        elif kind == "LC":
            layers.append(LocalContrast(maps, (sizes[0], sizes[-1])))
            maps *= 2
        else:
            layers.append(MaxPoolFragment((sizes[0], sizes[-1])))
    if not any(isinstance(layer, Conv) for layer in layers):
        raise UsageError(f"the spec {spec!r} has no C or FC layer; a net looks like 'C5x5x8 MPF2x2 C3x3x8 FC2'")
    last = max(i for i, layer in enumerate(layers) if isinstance(layer, Tanh))
    return layers[:last] + layers[last + 1 :]


def is_name(text: str) -> bool:
    """Tell whether a text is one word of letters and perhaps a number, and no layer: meant as the name of a net.

    Examples
    --------
    >>> [is_name(text) for text in ("N5", "unet", "FC2", "C3x3", "FC2 N5", "")]
    [True, True, False, False, False, False]
    """
    word = text.strip()
    return bool(re.fullmatch(r"[^\s\d]+[0-9]*", word)) and not _WORD.fullmatch(word)


def _read(word: str, spec: str) -> tuple[str, tuple[int, ...]]:
    match = _WORD.fullmatch(word)
    kind = match["kind"].upper() if match else ""
    sizes = tuple(int(n) for n in re.split("[xX]", match["sizes"])) if match else ()
    if not match or len(sizes) not in _SIZES[kind] or min(sizes) < 1:
        shown = spec if len(spec) <= 100 else spec[:100] + " ..."
        raise UsageError(
            f"cannot read {word[:40]!r} in the spec {shown!r}: words are CkxkxM, MPFkxk, FCM, FCwxwxM or LCkxk "
            "with positive sizes, as in 'C5x5x8 MPF2x2 C3x3x8 FC100 FC2'"
        )
    return kind, sizes


def unparse(layers: list[Layer]) -> str | None:
    """Return the spec of `layers`, or None if the notation cannot say it.

    Examples
    --------
    >>> unparse(parse("C3x3x4 MP2 FC5x4x6 FC2"))
    'C3x3x4 MPF2x2 FC5x4x6 FC2'
    """
    words, weighted = [], [layer for layer in layers if isinstance(layer, Conv)]
    for layer, after in pairwise([*layers, None]):
        if type(layer) in (Conv, FullyConnected):
            assert isinstance(layer, Conv)
            if (type(after) is Tanh) != (layer is not weighted[-1]):
                return None
            kind = "C" if type(layer) is Conv else "FC"
            window = "" if kind == "FC" and layer.kernel == (1, 1) else f"{layer.kernel[0]}x{layer.kernel[1]}x"
            words.append(f"{kind}{window}{layer.out_maps}")
        elif type(layer) is MaxPoolFragment:
            words.append(f"MPF{layer.k[0]}x{layer.k[1]}")
        elif type(layer) is LocalContrast and layer.floor == FLOOR:
            words.append(f"LC{layer.window[0]}x{layer.window[1]}")
        elif type(layer) is not Tanh:
            return None
    return " ".join(words)
