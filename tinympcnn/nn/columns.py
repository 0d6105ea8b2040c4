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

from tinympcnn.engine.backend import Pair
from tinympcnn.errors import UsageError

_INPUT = re.compile(r"[0-9]{1,5}x[0-9]{1,5}x[0-9]{1,5}", re.IGNORECASE)
_WORD = re.compile(r"([0-9]{1,6})?(C|MP|N)(?:([0-9]{1,4})(?:x([0-9]{1,4}))?)?", re.IGNORECASE)
_SEARCH = 200  # how far from the given input the sizes that would divide are looked for

Word = tuple[str, str, int | None, Pair | None]
"""A word as it was written, C, MP or N, the number of maps, and the window; None for what the word leaves out."""


def translated(spec: str) -> tuple[int, list[str]] | None:
    """Return the number of input maps and the words of ``spec.py``, with MP for MaxPool, that mean the same net.

    None means that `spec` does not begin as this notation does. Where sizes do not divide, UsageError names the layer,
    what arrives there, and the nearest inputs that fit.

    Examples
    --------
    >>> translated("1x7x7-20C4-MP2-10N")
    (1, ['C4x4x20', 'MP2x2', 'FC2x2x10'])
    >>> translated("1x28x28-20C4-MP2-10N")
    Traceback (most recent call last):
        ...
    tinympcnn.errors.UsageError: at 'MP2' maps of 25 rows do not divide by 2; 27 or 29 rows of input would fit all
    """
    head, *texts = (part.strip() for part in spec.split("-"))
    if not texts or not _INPUT.fullmatch(head):
        return None
    in_maps, *size = (int(number) for number in head.lower().split("x"))
    if min(in_maps, *size) < 1:
        raise UsageError(f"a net in this notation begins with its input, as in '1x29x29-', not with {head[:40]!r}")
    words = [_read(text) for text in texts]
    if words[-1][1] != "N":
        raise UsageError(f"{spec[:100]!r} does not end in the classes; a net ends in N, such as '-10N' for ten of them")
    _check_sizes(words, (size[0], size[1]))
    found, maps = [], in_maps
    for text, kind, out, window in words:
        if kind == "MP" and out not in (None, maps):
            raise UsageError(f"{text!r} pools {maps} maps; write '{maps}MP...' or 'MP...'")
        kh, kw = window or size
        if kind == "MP":
            size = [size[0] // kh, size[1] // kw]
            found.append(f"MP{kh}x{kw}")
        else:
            size, maps = [size[0] - kh + 1, size[1] - kw + 1], out or maps
            found.append(f"{'FC' if kind == 'N' else 'C'}{kh}x{kw}x{maps}")
    return in_maps, found


def _read(text: str) -> Word:
    if match := _WORD.fullmatch(text):
        maps, kind, rows, columns = match.groups()
        window = (int(rows), int(columns or rows)) if rows else None
        fits = (window is None) == (kind.upper() == "N") and (maps or kind.upper() == "MP")
        if fits and int(maps or 1) > 0 and min(window or (1,)) > 0:
            return text, kind.upper(), int(maps) if maps else None, window
    raise UsageError(
        f"cannot read the word {text[:40]!r}; words look like 20C4, MP2 and 150N, as in "
        "'1x29x29-20C4-MP2-40C5-MP3-150N-10N'"
    )


def _check_sizes(words: Sequence[Word], size: Pair) -> None:
    """Raise UsageError if a layer does not divide, and look for the nearest inputs that every layer divides."""
    for axis, name in enumerate(("rows", "columns")):
        if problem := _misfit(words, size[axis], axis, name):
            below = (n for n in range(size[axis] - 1, max(0, size[axis] - _SEARCH), -1) if not _misfit(words, n, axis))
            above = (n for n in range(size[axis] + 1, size[axis] + _SEARCH) if not _misfit(words, n, axis))
            fit = " or ".join(str(n) for n in (next(below, None), next(above, None)) if n)
            raise UsageError(f"{problem}; {f'{fit} {name} of input would fit all' if fit else 'use other layers'}")


def _misfit(words: Sequence[Word], n: int, axis: int, name: str = "") -> str:
    """Return what does not fit along one axis of `n` pixels, or nothing."""
    for text, kind, _, window in words:
        k = window[axis] if window else n
        if k > n:
            return f"at {text!r} maps of {n} {name} are smaller than the window of {k}"
        if kind == "MP" and n % k:
            return f"at {text!r} maps of {n} {name} do not divide by {k}"
        n = n // k if kind == "MP" else n - k + 1
    return ""
