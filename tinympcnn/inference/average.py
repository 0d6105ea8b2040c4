"""Averaging what several members say: of nets, of columns, of views of an image. It knows nothing of images or tiles.

The winner of the ISBI 2012 challenge averaged four nets (Ciresan, Giusti, Gambardella, Schmidhuber, NIPS 2012). The
mean of several opinions is better than each opinion, as far as their mistakes differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinympcnn.errors import DataError


def average(opinions: Iterable[np.ndarray]) -> np.ndarray:
    """Return the mean of arrays of one shape, summed in their order: the last bit depends on nothing else."""
    opinions = iter(opinions)
    total, n = next(opinions), 1
    for opinion in opinions:
        total, n = total + opinion, n + 1
    return total / n


def agreed(what: str, values: Sequence[Any], names: Sequence[str]) -> Any:
    """Return the value that all members have, or raise a DataError that names two members whose values differ."""
    for value, name in zip(values, names, strict=True):
        if value != values[0]:
            shown = (str(getattr(v, "__name__", v)) for v in (values[0], value))
            raise DataError(
                f"the {what} of {names[0]} is {next(shown)} and that of {name} is {next(shown)}; "
                "they cannot work together"
            )
    return values[0]
