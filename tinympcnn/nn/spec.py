"""The paper's notation for nets: ``C7x7x8 MPF2x2 C5x5x8 MPF2x2 C5x5x8 FC100 FC2``.

``CkxkxM`` is a convolution with M output maps, ``MPFkxk`` a MaxPoolFragment (``MPkxk`` means the same layer, ``MPF2``
is short for ``MPF2x2``), ``FCM`` a fully connected layer on single pixels and ``FCwxwxM`` one over a w x w window.
Tanh follows every C and FC but the last, as in the paper. ``LCkxk`` is not in the paper: it appends the local contrast
of its maps in a k x k window. Every registered layer brings its own words, a layer of yours too.
"""

from __future__ import annotations

import re
from math import prod

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.nn.geometry import count
from tinympcnn.nn.layers import LAYERS, Layer, Tanh

NETS = {
    "N3": "C3x3x48 MPF3x3 C4x4x48 MPF2x2 C4x4x48 MPF2x2 FC3x3x100 FC2",
    "N4": "C4x4x48 MPF2x2 C5x5x48 MPF2x2 C4x4x48 MPF2x2 C4x4x48 MPF2x2 FC3x3x200 FC2",
    "steel": "C7x7x8 MPF2x2 C5x5x8 MPF2x2 C5x5x8 FC100 FC2",
}
"""The nets that have a name; ``zoo.py`` tells where they come from."""

EXAMPLE = "'C5x5x8 MPF2x2 C3x3x8 FC2'"
_WORD = re.compile(r"(?P<letters>[A-Za-z]+)(?P<sizes>[0-9]{1,6}(?:x[0-9]{1,6})*)?", re.IGNORECASE)
_MOST_WEIGHTS = 10**8  # weights of a whole net; a net with more is likelier a typing error than a purpose


def parse(spec: str, in_maps: int = 1, rng: int | np.random.Generator | None = None) -> list[Layer]:
    """Return the layers that `spec` describes.

    Parameters
    ----------
    spec : str
        Words in the notation above, separated by spaces, or the name of a net: N3, N4 or steel, in any case.
    in_maps : int
        The number of maps of the images: 1 for grey, 3 for RGB.
    rng : int or numpy.random.Generator, optional
        The seed of the initial weights.

    Raises
    ------
    UsageError
        If a word does not parse; the message shows the word and what would be one.

    Examples
    --------
    >>> parse("C3x3x4 MPF2x2 FC2", rng=0)
    [Conv(1, 4, (3, 3)), Tanh(), MaxPoolFragment((2, 2)), FullyConnected(4, 2, (1, 1))]
    >>> len(parse("N4"))
    15
    """
    named = {name.lower(): text for name, text in NETS.items()}
    spec = named.get(spec.strip().lower(), spec)
    kinds = words()
    if re.fullmatch(r"[^\s\d]+[0-9]*", spec.strip()) and _letters(spec.strip()) not in kinds:
        raise UsageError(f"unknown net {spec.strip()[:60]!r}: use {', '.join(NETS)}, or a spec such as {EXAMPLE}")
    rng = np.random.default_rng(rng)
    maps, weights = count(in_maps, "in_maps"), 0
    layers: list[Layer] = []
    for word in spec.split():
        kind, sizes = _read(word, spec, kinds)
        try:
            arguments = kind.from_word(sizes, maps, rng)
        except ValueError:
            raise _unreadable(word, spec, kinds) from None
        weights += sum(map(prod, kind.param_shapes(arguments).values()))
        if weights > _MOST_WEIGHTS:
            raise UsageError(f"with {word!r} the net would have {weights:,} weights; use smaller layers")
        layers.append(kind(**arguments))
        maps = layers[-1].out_maps or maps
    if not any(layer.tanh_follows for layer in layers):
        raise UsageError(f"the spec {_short(spec)!r} has no C or FC layer; a net looks like {EXAMPLE}")
    last = max(i for i, layer in enumerate(layers) if layer.tanh_follows)
    followed = ([layer, Tanh()] if layer.tanh_follows and i != last else [layer] for i, layer in enumerate(layers))
    return [layer for some in followed for layer in some]


def words() -> dict[str, type[Layer]]:
    """Return the registered layers by the letters with which a spec means them; subclasses do not inherit them.

    Examples
    --------
    >>> words()["MPF"].__name__
    'MaxPoolFragment'
    """
    return {letters: cls for cls in LAYERS.values() for letters in vars(cls).get("letters", ())}


def _letters(word: str) -> str:
    match = _WORD.fullmatch(word)
    return match["letters"].upper() if match else ""


def _read(word: str, spec: str, kinds: dict[str, type[Layer]]) -> tuple[type[Layer], tuple[int, ...]]:
    """Return the layer and the sizes of one word."""
    match = _WORD.fullmatch(word)
    sizes = tuple(int(n) for n in re.split("[xX]", match["sizes"])) if match and match["sizes"] else ()
    if _letters(word) not in kinds or 0 in sizes:
        raise _unreadable(word, spec, kinds)
    return kinds[_letters(word)], sizes


def _unreadable(word: str, spec: str, kinds: dict[str, type[Layer]]) -> UsageError:
    forms = ", ".join(cls.form or cls.letters[0] for cls in dict.fromkeys(kinds.values()))
    return UsageError(
        f"cannot read {word[:40]!r} in the spec {_short(spec)!r}: words are {forms}, with positive sizes, as in "
        f"{EXAMPLE}"
    )


def _short(spec: str) -> str:
    return spec if len(spec) <= 100 else spec[:100] + " ..."
