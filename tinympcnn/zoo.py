"""The nets of the paper and its family, ready to train.

N3 and N4 are the nets of Ciresan, Giusti, Gambardella and Schmidhuber (NIPS 2012) that won the ISBI 2012 challenge,
used in section 4.1 of the paper; the steel net is that of section 4.2.
"""

from __future__ import annotations

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.net import Net
from tinympcnn.nn.spec import is_name

N3 = "C3x3x48 MPF3x3 C4x4x48 MPF2x2 C4x4x48 MPF2x2 FC3x3x100 FC2"
N4 = "C4x4x48 MPF2x2 C5x5x48 MPF2x2 C4x4x48 MPF2x2 C4x4x48 MPF2x2 FC3x3x200 FC2"
STEEL = "C7x7x8 MPF2x2 C5x5x8 MPF2x2 C5x5x8 FC100 FC2"


def n3(in_maps: int = 1, rng: int | np.random.Generator | None = None) -> Net:
    """Return N3, field of view 65: as in ZNN's N3.spec (the NIPS 2012 paper prints only N4).

    Examples
    --------
    >>> n3().field_of_view, n3().n_params
    ((65, 65), 117806)
    """
    return Net.from_spec(N3, in_maps, rng)


def n4(in_maps: int = 1, rng: int | np.random.Generator | None = None) -> Net:
    """Return N4, field of view 95 (Ciresan et al., NIPS 2012, table 1).

    Examples
    --------
    >>> n4().field_of_view, n4().n_params
    ((95, 95), 219290)
    """
    return Net.from_spec(N4, in_maps, rng)


def steel(in_maps: int = 1, rng: int | np.random.Generator | None = None) -> Net:
    """Return the steel net of section 4.2. Its field of view is 34: the paper's 31x31 does not fit its layers.

    Examples
    --------
    >>> steel().field_of_view
    (34, 34)
    """
    return Net.from_spec(STEEL, in_maps, rng)


ZOO = {"n3": n3, "n4": n4, "steel": steel}


def build(name_or_spec: str, in_maps: int = 1, rng: int | np.random.Generator | None = None) -> Net:
    """Return a net of the zoo by name (N3, N4, steel; any case), or one made from a spec.

    Raises
    ------
    UsageError
        If the text is neither.

    Examples
    --------
    >>> build("N4").n_params, build("C3x3x2 FC2").n_params
    (219290, 26)
    """
    text = name_or_spec.strip()
    if text.lower() in ZOO:
        return ZOO[text.lower()](in_maps, rng)
    if is_name(text):
        raise UsageError(f"unknown net {text[:60]!r}: use N3, N4, steel, or a spec such as 'C5x5x8 MPF2x2 C3x3x8 FC2'")
    return Net.from_spec(text, in_maps, rng)
