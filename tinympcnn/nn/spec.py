"""The paper's notation for nets: ``C7x7x8 MPF2x2 C5x5x8 MPF2x2 C5x5x8 FC100 FC2``.

``CkxkxM`` is a convolution with M output maps, ``MPFkxk`` a MaxPoolFragment (``MPkxk`` means the same layer, ``MPF2``
is short for ``MPF2x2``), ``FCM`` a fully connected layer on single pixels and ``FCwxwxM`` one over a w x w window.
Tanh follows every C and FC but the last, as in the paper. ``LCkxk`` is not in the paper: it appends the local contrast
of its maps in a k x k window. Every registered layer brings its own words, a layer of yours too. A net for
whole small images may also be written as in the papers on classification; see ``columns.py``.

``[ ... ]`` is a Skip around the layers within, ``Ukxk`` is Upsample, ``Fkxk`` is Fragment, and ``RELU`` behind a layer
takes the place of its Tanh. In a spec with a U, MP is MaxPool, which Upsample undoes. A U-Net is
``C3x3x16 [ MP2x2 C3x3x32 [ MP2x2 C3x3x64 U2x2 ] C3x3x32 U2x2 ] C3x3x16 C1x1x1``.
"""

from __future__ import annotations

import re
from math import prod

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.nn.columns import translated
from tinympcnn.nn.geometry import count
from tinympcnn.nn.layers import LAYERS, Activation, Layer, MaxPool, Skip, Tanh, Upsample
from tinympcnn.nn.layers.skip import DEEPEST

NETS = {
    "N3": "C3x3x48 MPF3x3 C4x4x48 MPF2x2 C4x4x48 MPF2x2 FC3x3x100 FC2",
    "N4": "C4x4x48 MPF2x2 C5x5x48 MPF2x2 C4x4x48 MPF2x2 C4x4x48 MPF2x2 FC3x3x200 FC2",
    "steel": "C7x7x8 MPF2x2 C5x5x8 MPF2x2 C5x5x8 FC100 FC2",
    "dannet-digits": "1x29x29-20C4-MP2-40C5-MP3-150N-10N",
    "dannet-digits-small": "1x29x29-10C4-MP2-20C5-MP3-50N-10N",
    "dannet-signs": "3x48x48-100C7-MP2-150C4-150MP2-250C4-250MP2-300N-43N",
    "dannet-signs-small": "3x32x32-16C5-MP2-32C3-MP2-64C3-MP2-100N-43N",
    "mitosis1": "3x101x101-16C2-MP2-16C3-MP2-16C3-MP2-16C2-MP2-16C2-MP2-100N-2N",
    "mitosis2": "3x101x101-16C4-MP2-16C4-MP2-16C4-MP2-16C3-MP2-100N-2N",
}
"""The nets that have a name; ``zoo.py`` tells where they come from."""

EXAMPLE = "'C5x5x8 MPF2x2 C3x3x8 FC2'"
_WORD = re.compile(r"(?P<letters>[A-Za-z]+)(?P<sizes>[0-9]{1,6}(?:x[0-9]{1,6})*)?", re.IGNORECASE)
_MOST_WEIGHTS = 10**8  # weights of a whole net; a net with more is likelier a typing error than a purpose


def parse(spec: str, in_maps: int = 1, rng: int | np.random.Generator | None = None) -> list[Layer]:
    """Return the layers that `spec` describes, or raise a UsageError that shows the word that can not be read.

    Parameters
    ----------
    spec : str
        Words in the notation above, separated by spaces, or the name of a net in `NETS`, in any case.
    in_maps : int
        The number of maps of the images: 1 for grey, 3 for RGB. The notation of ``columns.py`` tells it itself.
    rng : int or numpy.random.Generator, optional
        The seed of the initial weights.

    Examples
    --------
    >>> parse("C3x3x4 MPF2x2 FC2", rng=0)
    [Conv(1, 4, (3, 3)), Tanh(), MaxPoolFragment((2, 2)), FullyConnected(4, 2, (1, 1))]
    >>> len(parse("N4"))
    15
    """
    named = {name.lower(): text for name, text in NETS.items()}
    spec = named.get(spec.strip().lower(), spec)
    column = translated(spec)
    in_maps, tokens = column or (in_maps, re.findall(r"[][]|[^][\s]+", spec))
    kinds = {letters: cls for cls in LAYERS.values() for letters in vars(cls).get("letters", ())}  # not inherited ones
    if column or any(kinds.get(_letters(token)) is Upsample for token in tokens):
        kinds["MP"] = MaxPool
    if re.fullmatch(r"[^][\s\d]+[0-9]*", spec.strip()) and _letters(spec.strip()) not in kinds:
        raise UsageError(f"unknown net {spec.strip()[:60]!r}: use {', '.join(NETS)}, or a spec such as {EXAMPLE}")
    reader = _Reader(spec, tokens, kinds, np.random.default_rng(rng))
    layers, _ = reader.row(count(in_maps, "in_maps"))
    if reader.place < len(tokens):
        raise UsageError(f"the spec {_short(spec)!r} closes more brackets than it opens: remove a ']'")
    return layers


class _Reader:
    """The reading of one spec, word by word; `kinds` holds the layers by their letters."""

    def __init__(self, spec: str, tokens: list[str], kinds: dict[str, type[Layer]], rng: np.random.Generator) -> None:
        self.spec, self.tokens, self.kinds, self.rng = spec, tokens, kinds, rng
        self.place, self.weights = 0, 0
        followed = [i for i, token in enumerate(tokens) if token not in "[]" and self._split(token)[0].tanh_follows]
        if not followed:
            raise UsageError(f"the spec {_short(spec)!r} has no C or FC layer; a net looks like {EXAMPLE}")
        self.last = followed[-1]

    def row(self, maps: int, depth: int = 0) -> tuple[list[Layer], int]:
        """Read up to the end or to a closing bracket; return the layers and the number of maps that go out."""
        if depth > DEEPEST:
            raise UsageError(f"the spec {_short(self.spec)!r} nests more than {DEEPEST} brackets")
        layers: list[Layer] = []
        while self.place < len(self.tokens) and (token := self.tokens[self.place]) != "]":
            self.place += 1
            if token == "[":
                inner, more = self.row(maps, depth + 1)
                if self.place == len(self.tokens):
                    raise UsageError(f"the spec {_short(self.spec)!r} opens a bracket and does not close it: add a ']'")
                if not inner:
                    raise UsageError(f"the spec {_short(self.spec)!r} has empty brackets; put layers between them")
                self.place += 1
                layers.append(Skip(inner))
                maps += more
            else:
                layers += (read := self._read(token, maps))
                maps = read[0].out_maps or maps
        return layers, maps

    def _read(self, word: str, maps: int) -> list[Layer]:
        kind, sizes = self._split(word)
        try:
            arguments = kind.from_word(sizes, maps, self.rng)
        except ValueError:
            raise self._unreadable(word) from None
        self.weights += sum(map(prod, kind.param_shapes(arguments).values()))
        if self.weights > _MOST_WEIGHTS:
            raise UsageError(f"with {word!r} the net would have {self.weights:,} weights; use smaller layers")
        after = self.kinds.get(_letters("".join(self.tokens[self.place : self.place + 1])), Layer)
        tanh = kind.tanh_follows and self.place - 1 != self.last and not issubclass(after, Activation)
        return [kind(**arguments), *([Tanh()] if tanh else [])]

    def _split(self, word: str) -> tuple[type[Layer], tuple[int, ...]]:
        match = _WORD.fullmatch(word)
        sizes = tuple(int(n) for n in re.split("[xX]", match["sizes"])) if match and match["sizes"] else ()
        if _letters(word) not in self.kinds or 0 in sizes:
            raise self._unreadable(word)
        return self.kinds[_letters(word)], sizes

    def _unreadable(self, word: str) -> UsageError:
        forms = ", ".join(cls.form or cls.letters[0] for cls in dict.fromkeys(self.kinds.values()) if cls.letters)
        return UsageError(
            f"cannot read {word[:40]!r} in the spec {_short(self.spec)!r}: words are {forms}, with positive sizes, as "
            f"in {EXAMPLE}, and [ ] around the layers of a skip"
        )


def _letters(word: str) -> str:
    match = _WORD.fullmatch(word)
    return match["letters"].upper() if match else ""


def _short(spec: str) -> str:
    return spec if len(spec) <= 100 else spec[:100] + " ..."
