"""Images and labels: reading, pairing, writing, borders, augmentation, and synthetic data.

What a training run needs lies in `images.py`, `pairs.py` and `augment.py`, what segmentation needs in
`borders.py` and `output.py`; `membranes.py` and `strip.py` draw data to try it all on. Read next:
`images.py`.
"""

from tinympcnn.data.augment import augment, parse_kinds
from tinympcnn.data.borders import mirror
from tinympcnn.data.downsample import downsample, downsample_labels, downsample_pairs
from tinympcnn.data.image_file import ImageFile
from tinympcnn.data.images import expand, open_image, page_names, read_images
from tinympcnn.data.labels import class_indices, class_shares, find_class_values, map_values
from tinympcnn.data.membranes import synthetic_membranes
from tinympcnn.data.output import (
    Prediction,
    label_dtype,
    read_prediction,
    write_labels,
    write_probabilities,
)
from tinympcnn.data.page_rows import PageRows
from tinympcnn.data.page_writer import PageWriter
from tinympcnn.data.pairs import Pairs, read_labels, read_masks, read_pairs
from tinympcnn.data.strip import synthetic_strip
from tinympcnn.data.turns import dihedral, dihedral_inverse

__all__ = [
    "ImageFile",
    "PageRows",
    "PageWriter",
    "Pairs",
    "Prediction",
    "augment",
    "class_indices",
    "class_shares",
    "dihedral",
    "dihedral_inverse",
    "downsample",
    "downsample_labels",
    "downsample_pairs",
    "expand",
    "find_class_values",
    "label_dtype",
    "map_values",
    "mirror",
    "open_image",
    "page_names",
    "parse_kinds",
    "read_images",
    "read_labels",
    "read_masks",
    "read_pairs",
    "read_prediction",
    "synthetic_membranes",
    "synthetic_strip",
    "write_labels",
    "write_probabilities",
]
