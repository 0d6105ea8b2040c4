"""Arrays in, arrays out: borders, augmentation, labels, down-sampling, and synthetic data."""

from __future__ import annotations

from tinympcnn.data.augment import augment, parse_kinds
from tinympcnn.data.borders import mirror
from tinympcnn.data.dihedral import dihedral, dihedral_inverse
from tinympcnn.data.downsample import downsample, downsample_labels
from tinympcnn.data.labels import class_indices, class_shares, find_class_values, map_values
from tinympcnn.data.synthetic import synthetic_membranes, synthetic_strip

__all__ = [
    "augment",
    "class_indices",
    "class_shares",
    "dihedral",
    "dihedral_inverse",
    "downsample",
    "downsample_labels",
    "find_class_values",
    "map_values",
    "mirror",
    "parse_kinds",
    "synthetic_membranes",
    "synthetic_strip",
]
