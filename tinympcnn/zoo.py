"""The nets of the paper and its family, ready to train; ``Net.from_spec("N3")`` makes the same nets by name.

N3 and N4 are the nets of Ciresan, Giusti, Gambardella and Schmidhuber (NIPS 2012) that won the ISBI 2012 challenge,
used in section 4.1 of the paper; the steel net is that of section 4.2. ``nn/spec.py`` holds their specs.
"""

from __future__ import annotations

import numpy as np

from tinympcnn.net import Net


def n3(in_maps: int = 1, rng: int | np.random.Generator | None = None) -> Net:
    """Return N3, field of view 65: as in ZNN's N3.spec (the NIPS 2012 paper prints only N4).

    Examples
    --------
    >>> n3().field_of_view, n3().n_params
    ((65, 65), 117806)
    """
    return Net.from_spec("N3", in_maps, rng)


def n4(in_maps: int = 1, rng: int | np.random.Generator | None = None) -> Net:
    """Return N4, field of view 95 (Ciresan et al., NIPS 2012, table 1).

    Examples
    --------
    >>> n4().field_of_view, n4().n_params
    ((95, 95), 219290)
    """
    return Net.from_spec("N4", in_maps, rng)


def steel(in_maps: int = 1, rng: int | np.random.Generator | None = None) -> Net:
    """Return the steel net of section 4.2. Its field of view is 34: the paper's 31x31 does not fit its layers.

    Examples
    --------
    >>> steel().field_of_view
    (34, 34)
    """
    return Net.from_spec("steel", in_maps, rng)
