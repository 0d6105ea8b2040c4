"""The nets of the paper and its family, ready to train; ``Net.from_spec("N3")`` makes the same nets by name.

N3 and N4 are the nets of Ciresan, Giusti, Gambardella and Schmidhuber (NIPS 2012) that won the ISBI 2012 challenge,
used in section 4.1 of the paper; the steel net is that of section 4.2. The nets of DanNet classify whole small images:
digits (CVPR 2012) and traffic signs (the winner of the contest of 2011); the small ones are ours, for two cores. The
mitosis nets found dividing cells in large images and won the contest of ICPR 2012. ``nn/spec.py`` holds all specs.
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


def dannet_digits(rng: int | np.random.Generator | None = None) -> Net:
    """Return the column for digits, a patch net on 29x29 pixels (Ciresan, Meier, Schmidhuber, CVPR 2012).

    Examples
    --------
    >>> dannet_digits().field_of_view, dannet_digits().n_params
    ((29, 29), 76040)
    """
    return Net.from_spec("dannet-digits", rng=rng)


def dannet_signs(rng: int | np.random.Generator | None = None) -> Net:
    """Return the column for traffic signs, a patch net on 48x48 RGB pixels (Ciresan et al., IJCNN 2011).

    Examples
    --------
    >>> dannet_signs().field_of_view, dannet_signs().n_params
    ((48, 48), 1543443)
    """
    return Net.from_spec("dannet-signs", rng=rng)


def mitosis1(rng: int | np.random.Generator | None = None) -> Net:
    """Return the first net for dividing cells in RGB images, as an image net (Ciresan et al., MICCAI 2013).

    Examples
    --------
    >>> mitosis1().field_of_view, mitosis1().n_params
    ((101, 101), 13630)
    """
    return Net.from_spec("mitosis1", rng=rng).as_image()


def mitosis2(rng: int | np.random.Generator | None = None) -> Net:
    """Return the second net for dividing cells in RGB images, as an image net (Ciresan et al., MICCAI 2013).

    Examples
    --------
    >>> mitosis2().field_of_view, mitosis2().n_params
    ((101, 101), 37230)
    """
    return Net.from_spec("mitosis2", rng=rng).as_image()
