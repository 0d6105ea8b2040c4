"""The net that users meet: layers in a row that come from a spec or a model file, and segment whole images."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinympcnn.inference.committee import Committee
from tinympcnn.inference.segment import predict
from tinympcnn.io import modelfile
from tinympcnn.io.atomic import AnyPath
from tinympcnn.nn.sequential import Sequential
from tinympcnn.nn.spec import parse


class Net(Sequential):
    """`Sequential` that is made from a spec, written to a file, and run on images in the units of the training set.

    Examples
    --------
    >>> net = Net.from_spec("C3x3x4 MPF2x2 C2x2x4 FC2", rng=0)
    >>> net.field_of_view, net.n_params
    ((6, 6), 118)
    >>> net.segment(np.zeros((9, 8))).shape
    (9, 8, 2)
    """

    @classmethod
    def from_spec(cls, spec: str, in_maps: int = 1, rng: int | np.random.Generator | None = None) -> Self:
        """Make a net from the paper's notation, such as ``"C7x7x8 MPF2x2 FC2"``, or by its name; see ``nn/spec.py``."""
        return cls(parse(spec, in_maps, rng))

    def segment(self, image: np.ndarray, turns: bool = False, **options: Any) -> np.ndarray:
        """Return the class probabilities (H, W, K) of one image; see ``inference/segment.py``.

        `turns` averages over the eight flips and quarter turns of the image; see ``inference/committee.py``.
        """
        return Committee([self], turns).segment(image, **options)

    def predict(self, image: np.ndarray, **options: Any) -> np.ndarray:
        """Return the image (H, W, K) that a net trained on target images predicts; see ``inference/segment.py``."""
        return predict(self, image, **options)

    def save(self, path: AnyPath) -> None:
        """Write the net to an .npz file, whole or not at all; see ``io/modelfile.py``."""
        modelfile.save(self, path)

    @classmethod
    def load(cls, path: AnyPath) -> Self:
        """Read a net that `save` wrote; anything in the file that does not fit together is a DataError."""
        return modelfile.load(path, cls)
