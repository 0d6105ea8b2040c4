"""The nets of the paper and its family, ready to train.

N3 and N4 are the nets of Ciresan, Giusti, Gambardella and Schmidhuber (NIPS 2012) that won the ISBI 2012 challenge,
used in section 4.1 of the paper; the steel net is that of section 4.2. The nets of DanNet classify whole small images:
digits (CVPR 2012, with 150 units) and traffic signs (the winner of the contest of 2011); the small ones are ours, for
two cores. The mitosis nets won the contest of ICPR 2012.
"""

from __future__ import annotations

import numpy as np

from tinympcnn.errors import UsageError
from tinympcnn.net import Net
from tinympcnn.nn.spec import is_name

N3 = "C3x3x48 MPF3x3 C4x4x48 MPF2x2 C4x4x48 MPF2x2 FC3x3x100 FC2"
N4 = "C4x4x48 MPF2x2 C5x5x48 MPF2x2 C4x4x48 MPF2x2 C4x4x48 MPF2x2 FC3x3x200 FC2"
STEEL = "C7x7x8 MPF2x2 C5x5x8 MPF2x2 C5x5x8 FC100 FC2"
ZOO = {
    "n3": N3,
    "n4": N4,
    "steel": STEEL,
    "dannet-digits": "1x29x29-20C4-MP2-40C5-MP3-150N-10N",
    "dannet-digits-small": "1x29x29-10C4-MP2-20C5-MP3-50N-10N",
    "dannet-signs": "3x48x48-100C7-MP2-150C4-150MP2-250C4-250MP2-300N-43N",
    "dannet-signs-small": "3x32x32-16C5-MP2-32C3-MP2-64C3-MP2-100N-43N",
    "mitosis1": "3x101x101-16C2-MP2-16C3-MP2-16C3-MP2-16C2-MP2-16C2-MP2-100N-2N",
    "mitosis2": "3x101x101-16C4-MP2-16C4-MP2-16C4-MP2-16C3-MP2-100N-2N",
}


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


def build(name_or_spec: str, in_maps: int = 1, rng: int | np.random.Generator | None = None) -> Net:
    """Return a net of the zoo by its name (any case), or a net made from a spec.

    A net that is written in the notation with hyphens says itself how many maps it takes, whatever `in_maps` is.

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
    if is_name(text) and text.lower() not in ZOO:
        raise UsageError(
            f"unknown net {text[:60]!r}: use N3, N4, steel, dannet-digits, another name in zoo.ZOO, or a spec such as "
            "'C5x5x8 MPF2x2 C3x3x8 FC2'"
        )
    return Net.from_spec(ZOO.get(text.lower(), text), in_maps, rng)
