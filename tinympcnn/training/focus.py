"""Crops drawn where they teach most: the classes in equal shares, and within a class where a first net is wrong.

Where objects are rare, nearly all pixels of an image are easy. The winner of the ICPR 2012 mitosis contest ran a first
net over the training images and drew background in proportion to its mistakes (Ciresan, Giusti, Gambardella,
Schmidhuber, MICCAI 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinympcnn.data import augment as augmented
from tinympcnn.data.augment import parse_kinds
from tinympcnn.data.borders import mirrored
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.inference.segment import segment
from tinympcnn.io import modelfile
from tinympcnn.nn.sequential import Sequential
from tinympcnn.training.dataset import WholeImages
from tinympcnn.training.objective import Example
from tinympcnn.training.recipe import Recipe


def mistakes(net: Sequential, image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how wrong a net is at each pixel of an image (H, W, C) with labels (H, W), array of float16, shape (H, W).

    That is 1 less the probability of the true class, and 0 where the label is -1.
    """
    probabilities = segment(net, image)
    true = np.take_along_axis(probabilities, np.maximum(labels, 0)[:, :, None], axis=2)[:, :, 0]
    return np.where(labels >= 0, 1 - true, 0).astype(np.float16)


class DrawnCrops(WholeImages):
    """Images with a class for each pixel, of which the net sees crops that are drawn at random.

    For each crop a class is drawn, all with the same chance, then a pixel of the class, then where in the crop the
    pixel lies.

    Parameters
    ----------
    net, images, targets, recipe
        As in `WholeImages`; the targets are classes, and the recipe must have the size of a crop.
    wrong : sequence of array, shape (H, W), optional
        How wrong a first net is at each pixel; see `mistakes`. Pixels of a class are drawn in proportion to it. By
        default all pixels of a class have the same chance.
    updates : int, optional
        The number of crops in an epoch; by default as many as would cover the images.

    Examples
    --------
    >>> from tinympcnn import Net
    >>> labels = np.zeros((50, 60), int)
    >>> labels[20, 30] = 1
    >>> data = DrawnCrops(Net.from_spec("C3x3x4 FC2", rng=0), [labels], [labels], Recipe(crop=10), updates=100)
    >>> sum(int(data.example(0, i).target.max()) for i in range(100)) > 30
    True
    """

    def __init__(
        self,
        net: Sequential,
        images: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        recipe: Recipe,
        wrong: Sequence[np.ndarray] | None = None,
        updates: int | None = None,
    ) -> None:
        super().__init__(net, images, targets, recipe)
        if recipe.crop is None or not self.has_classes:
            raise UsageError("crops are drawn from images with classes, and have a size: crop=64, or --crop 64")
        self.n_updates = len(self.updates) if updates is None else updates
        self.wrong = wrong
        # row_sums[k][i] are the chances of the rows of image i for class k, up to a factor
        self.row_sums = [
            [self._chances(i, k).sum(axis=1, dtype=np.float64) for i in range(len(self.targets))]
            for k in range(net.out_maps)
        ]
        self.classes = [k for k, rows in enumerate(self.row_sums) if sum(r.sum() for r in rows) > 0]
        if not self.classes:
            raise DataError("no pixel of the labels counts, so there is nothing to train on")

    def __len__(self) -> int:
        return self.n_updates

    def place(self, epoch: int, position: int) -> str:
        """Return the words that name the crop seen at update `position` of an epoch."""
        i, row, column = self._draw(np.random.default_rng([self.seed, epoch, position]))
        return f"image {i} around row {row}, column {column}"

    def example(self, epoch: int, position: int) -> Example:
        """Return the crop that the net sees at update `position` of an epoch."""
        rng = np.random.default_rng([self.seed, epoch, position])
        i, *pixel = self._draw(rng)
        image, target, (P, Q) = self.images[i], self.targets[i], self.net.window
        side = min(self.crop or 1, *target.shape)
        height, width = self.net.input_size((side, side))
        margin = max(P // 2, Q // 2, height - side - P // 2, width - side - Q // 2)
        if "rotate" in parse_kinds(self.augment):  # which keeps the inscribed square
            margin += math.ceil((side / 2 + margin) * (math.sqrt(2) - 1)) + 1
        places = [(n, at - int(rng.integers(side))) for n, at in zip(target.shape, pixel, strict=True)]
        starts = [(n, min(max(0, start), n - side)) for n, start in places]
        rows, columns = (mirrored(n, 2 * margin + 1)[start : start + side + 2 * margin] for n, start in starts)
        around = np.ix_(rows, columns)
        image, target = augmented(self.net.normalised(image[around]), target[around], self.augment, rng)
        top, left = ((n - side) // 2 for n in target.shape)
        seen = image[top - P // 2 :, left - Q // 2 :][:height, :width]
        xp = self.net.xp
        return Example(
            xp.asarray(np.ascontiguousarray(seen[None])),
            xp.asarray(np.ascontiguousarray(target[None, top : top + side, left : left + side])),
        )

    def _draw(self, rng: np.random.Generator) -> tuple[int, int, int]:
        """Return the image, the row and the column of a pixel."""
        k = self.classes[rng.integers(len(self.classes))]
        i = _drawn(np.array([rows.sum() for rows in self.row_sums[k]]), rng)
        row = _drawn(self.row_sums[k][i], rng)
        return i, row, _drawn(self._chances(i, k, slice(row, row + 1))[0], rng)

    def _chances(self, i: int, k: int, rows: slice = slice(None)) -> np.ndarray:
        """Return the chances of the pixels of image i to be drawn for class k, up to a factor."""
        own: np.ndarray = self.targets[i][rows] == k
        return own if self.wrong is None else own * self.wrong[i][rows].astype(np.float32)


def focused(
    net: Sequential, images: Sequence[np.ndarray], targets: Sequence[np.ndarray], recipe: Recipe
) -> WholeImages:
    """Return the data set whose crops are chosen as the recipe's `focus` says."""
    focus, wrong = recipe.focus, None
    if focus == "none":
        return WholeImages(net, images, targets, recipe)
    if focus != "classes":
        first = modelfile.load(focus, Sequential)
        if (first.in_maps, first.out_maps) != (net.in_maps, net.out_maps):
            raise UsageError(
                f"the first net {focus} has {counted(first.in_maps, 'map')} in and {first.out_maps} classes; the net "
                f"that is trained has {net.in_maps} and {net.out_maps}"
            )
        wrong = [mistakes(first, *pair) for pair in zip(images, targets, strict=True)]
    return DrawnCrops(net, images, targets, recipe, wrong)


def _drawn(chances: np.ndarray, rng: np.random.Generator) -> int:
    """Return an index drawn in proportion to its chance."""
    total = np.cumsum(chances, dtype=np.float64)
    return int(np.searchsorted(total, rng.random() * total[-1], side="right"))
