"""Ensembles: average several nets, and each net over flips and quarter turns (test-time augmentation)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinympcnn.engine.backend import Array
from tinympcnn.errors import UsageError
from tinympcnn.inference.segment import segment
from tinympcnn.inference.views import Members


class Committee(Members):
    """Nets whose probabilities are averaged, each over some views of the image.

    Parameters
    ----------
    nets : sequence of Sequential
        The nets have the same maps in, the same classes, and are on the same backend; their fields of view may differ.
    turns : bool
        Whether each net sees the eight flips and quarter turns of an image, or the image alone. The result is that of
        turning the image, segmenting it, turning the result back and taking the mean, to the last bit.
    names : sequence of str, optional
        The names by which errors call the nets.

    Attributes
    ----------
    nets, views : sequences
        The image nets, and what `tinympcnn.data.dihedral` does to the image for each, in the order of the sum.
    in_maps, out_maps, class_values, xp
        What the nets have in common, as in `Net`.

    Examples
    --------
    >>> from tinympcnn import Net
    >>> nets = [Net.from_spec(spec, rng=0) for spec in ("C3x3x4 MPF2x2 C2x2x4 FC2", "C5x5x4 FC2")]
    >>> image = np.random.default_rng(0).random((9, 7))
    >>> mean = sum(net.segment(image) for net in nets) / 2
    >>> bool(np.allclose(Committee(nets).segment(image), mean))
    True
    """

    def segment(self, image: Array, **options: Any) -> np.ndarray:
        """Return the class probabilities (H, W, K) of one image; see ``tinympcnn.inference.segment.segment``."""
        if "turns" in options:
            raise UsageError("a committee is told of turns when it is made: Committee(nets, turns=True).segment(image)")
        return segment(self, image, **options)
