"""The notation of the papers on image classification: ``1x29x29-20C4-MP2-40C5-MP3-150N-10N``.

The first word is the input: maps, rows, columns. ``20C4`` is a convolution with 20 maps and 4x4 filters, ``MP2`` (or
``20MP2``, which repeats the number of maps) a max-pooling of 2x2 windows, and ``150N`` a fully connected layer of 150
units, which sees all that is left of the input. Tanh follows every C and N but the last. The field of view of such a
net is the whole input. Sources: Ciresan, Meier, Masci, Gambardella, Schmidhuber, IJCAI 2011 and IJCNN 2011; Ciresan,
Meier, Schmidhuber, CVPR 2012.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinympcnn.engine.backend import Pair
from tinympcnn.errors import UsageError
from tinympcnn.nn.layers import Conv, FullyConnected, Layer, MaxPool, Tanh

_INPUT = re.compile(r"([0-9]{1,5})x([0-9]{1,5})x([0-9]{1,5})", re.IGNORECASE)
_WORD = re.compile(r"(?P<maps>[0-9]{1,6})?(?P<kind>C|MP|N)(?P<rows>[0-9]{1,4})?(?:x(?P<columns>[0-9]{1,4}))?", re.I)
_NOT_MORE = 10**8  # weights in one net: more of them are a typing error
_SEARCH = 200  # how far from the given input the sizes that would divide are looked for


class _Word(NamedTuple):
    """One word behind the input: `text` as it was written, and what it asks for."""

    text: str
    kind: str
    maps: int | None
    window: Pair | None


def is_column(spec: str) -> bool:
    """Tell whether `spec` begins, up to its first hyphen, as this notation does.

    Examples
    --------
    >>> is_column("1x29x29-20C4-MP2-10N"), is_column("C4x4x20 MPF2x2 FC10")
    (True, False)
    """
    head, hyphen, _ = spec.strip().partition("-")
    return bool(hyphen and _INPUT.fullmatch(head.strip()))


def parse_column(spec: str, rng: int | np.random.Generator | None = None) -> list[Layer]:
    """Return the layers of a patch net whose field of view is the input that `spec` begins with.

    Parameters
    ----------
    spec : str
        The net in the notation above.
    rng : int or numpy.random.Generator, optional
        The seed of the initial weights.

    Raises
    ------
    UsageError
        If a word can not be read, or if the sizes do not divide: the message names the layer, what arrives there, and
        the nearest inputs that every layer divides.

    Examples
    --------
    >>> parse_column("1x7x7-20C4-MP2-10N", rng=0)
    [Conv(1, 20, (4, 4)), Tanh(), MaxPool((2, 2)), FullyConnected(20, 10, (2, 2))]
    >>> parse_column("1x28x28-20C4-MP2-10N")
    Traceback (most recent call last):
        ...
    tinympcnn.errors.UsageError: at 'MP2' maps of 25 rows do not divide by 2; 27 or 29 rows of input would fit all
    """
    head, *rest = (part.strip() for part in spec.strip().split("-"))
    match = _INPUT.fullmatch(head)
    if match is None or min(sizes := [int(number) for number in match.groups()]) < 1:
        raise UsageError(f"a net in this notation begins with its input, as in '1x29x29-', not with {head[:40]!r}")
    words = [_read(text) for text in rest]
    if not words or words[-1].kind != "N":
        raise UsageError(f"{spec[:100]!r} does not end in the classes; a net ends in N, such as '-10N' for ten of them")
    _check_sizes(words, (sizes[1], sizes[2]))
    return _layers(words, sizes[0], (sizes[1], sizes[2]), np.random.default_rng(rng))


def _layers(words: Sequence[_Word], maps: int, size: Pair, rng: np.random.Generator) -> list[Layer]:
    """Make the layers of words whose sizes have been checked."""
    layers: list[Layer] = []
    weights = 0
    for word in words:
        window = size if word.window is None else word.window
        if word.kind == "MP":
            if word.maps not in (None, maps):
                raise UsageError(f"{word.text!r} pools {maps} maps; write '{maps}MP...' or 'MP...'")
            layers.append(MaxPool(window))
            size = size[0] // window[0], size[1] // window[1]
            continue
        out = word.maps or 0
        weights += window[0] * window[1] * maps * out
        if weights > _NOT_MORE:
            raise UsageError(f"with {word.text!r} the net would have {weights:,} weights; use smaller layers")
        layers += [(Conv if word.kind == "C" else FullyConnected)(maps, out, window, rng), Tanh()]
        maps, size = out, (size[0] - window[0] + 1, size[1] - window[1] + 1)
    return layers[:-1]


def _read(text: str) -> _Word:
    match = _WORD.fullmatch(text)
    if match:
        kind, maps, rows = match["kind"].upper(), match["maps"], match["rows"]
        window = (int(rows), int(match["columns"] or rows)) if rows else None
        fits = not match["columns"] or rows
        fits = fits and (window is None) == (kind == "N") and (kind == "MP" or maps)
        if fits and int(maps or 1) > 0 and min(window or (1,)) > 0:
            return _Word(text, kind, int(maps) if maps else None, window)
    raise UsageError(
        f"cannot read the word {text[:40]!r}; words look like 20C4, MP2 and 150N, as in "
        "'1x29x29-20C4-MP2-40C5-MP3-150N-10N'"
    )


def _check_sizes(words: Sequence[_Word], size: Pair) -> None:
    """Raise UsageError if a layer does not divide, and look for the nearest inputs that every layer divides."""
    for axis, name in enumerate(("rows", "columns")):
        if problem := _misfit(words, size[axis], axis, name):
            below = (n for n in range(size[axis] - 1, max(0, size[axis] - _SEARCH), -1) if not _misfit(words, n, axis))
            above = (n for n in range(size[axis] + 1, size[axis] + _SEARCH) if not _misfit(words, n, axis))
            fit = " or ".join(str(n) for n in (next(below, None), next(above, None)) if n)
            way = f"{fit} {name} of input would fit all" if fit else "use other layers"
            raise UsageError(f"{problem}; {way}")


def _misfit(words: Sequence[_Word], n: int, axis: int, name: str = "") -> str:
    """Return what does not fit along one axis of `n` pixels, or nothing."""
    for word in words:
        k = n if word.window is None else word.window[axis]
        if k > n:
            return f"at {word.text!r} maps of {n} {name} are smaller than the window of {k}"
        if word.kind == "MP" and n % k:
            return f"at {word.text!r} maps of {n} {name} do not divide by {k}"
        n = n // k if word.kind == "MP" else n - k + 1
    return ""
