"""Arrays in, arrays out: borders, augmentation, labels, down-sampling, and synthetic data.

Users look here for the functions on files as well (`tinympcnn.data.open_image`). These live in ``tinympcnn.io``, one
floor up, so that importing arrays imports no reader of files; the name is looked up when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tinympcnn.data.augment import augment, parse_kinds
from tinympcnn.data.borders import mirror
from tinympcnn.data.dihedral import dihedral, dihedral_inverse
from tinympcnn.data.downsample import downsample, downsample_labels
from tinympcnn.data.labels import class_indices, class_shares, find_class_values, map_values
from tinympcnn.data.synthetic.digits import synthetic_digits
from tinympcnn.data.synthetic.membranes import synthetic_membranes
from tinympcnn.data.synthetic.mitoses import synthetic_mitoses
from tinympcnn.data.synthetic.signs import synthetic_signs
from tinympcnn.data.synthetic.strip import synthetic_strip

__all__ = [
    "augment", "class_indices", "class_shares", "dihedral", "dihedral_inverse", "downsample", "downsample_labels",
    "find_class_values", "map_values", "mirror", "parse_kinds", "synthetic_digits",
    "synthetic_membranes", "synthetic_mitoses", "synthetic_signs", "synthetic_strip",
]  # fmt: skip

_FILES = {
    "open_image": "images", "read_images": "images", "read_pairs": "pairs", "read_prediction": "predictions",
    "write_labels": "predictions", "write_probabilities": "predictions",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tinympcnn.io.{_FILES[name]}"), name)
