"""What a net is trained on: checked images and labels, in a new order in every epoch, augmented and cut into crops.

Update i of epoch e is a function of (seed, e, i) alone. So a run can be resumed anywhere without a random state, and
the same seed gives the same bits. Read next: ``train.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinympcnn.data import augment as augmented
from tinympcnn.data.augment import augmented_size, parse_kinds
from tinympcnn.data.checks import check_finite
from tinympcnn.engine.backend import Pair
from tinympcnn.errors import DataError, UsageError
from tinympcnn.nn.sequential import Sequential
from tinympcnn.training.objective import Example, example


class TrainingSet:
    """Images and labels, and which part of them the net sees at which update.

    Parameters
    ----------
    net : Sequential
        Which will be trained; its normalisation is set from the images if it has none.
    images : sequence of array (H, W) or (H, W, C)
    labels : sequence of int array (H, W)
        Class indices, or -1 for pixels that do not count.
    augment : str
        What is done to an image each time it is seen, such as "flip" or "rotate+elastic"; see
        ``tinympcnn.data.augment``.
    crop : int, optional
        Images are cut into a grid of crops of at most this many rows and columns, and each crop is one update. The
        crops of an image share no label and together hold all of them; each has its true surroundings around it.
    seed : int
        Of the order and the augmentation.

    Examples
    --------
    >>> from tinympcnn import Net
    >>> net = Net.from_spec("C3x3x4 FC2", rng=0)
    >>> data = TrainingSet(net, [np.eye(40)], [np.eye(40, dtype=int)], crop=30)
    >>> len(data), data.example(0, 0).image.shape, data.example(0, 0).target.shape
    (4, (1, 22, 22, 1), (1, 20, 20))
    """

    def __init__(
        self,
        net: Sequential,
        images: Sequence[np.ndarray],
        labels: Sequence[np.ndarray],
        augment: str = "none",
        crop: int | None = None,
        seed: int = 0,
    ) -> None:
        parse_kinds(augment)
        if crop is not None and crop < 1:
            raise UsageError(f"a crop must be at least 1 pixel, not {crop}")
        self.net, self.augment, self.seed = net, augment, seed
        self.images, self.labels = checked(net, images, labels)
        if net.normalisation is None:
            net.normalisation = mean_and_std(self.images)
        self.crop = crop
        self.updates = [  # (image, number of the crop in its grid)
            (i, n)
            for i, y in enumerate(self.labels)
            for n in range(math.prod(self._grid(augmented_size(y.shape, augment))))
        ]

    def _grid(self, size: Pair) -> Pair:
        """Return the rows and columns of the grid of crops of an image of `size`; none is larger than asked for."""
        return -(-size[0] // (self.crop or size[0])), -(-size[1] // (self.crop or size[1]))

    def __len__(self) -> int:
        """Return the number of updates in one epoch."""
        return len(self.updates)

    def image_of(self, epoch: int, position: int) -> int:
        """Return the index of the image seen at update `position` of an epoch."""
        return self.updates[self._order(epoch)[position]][0]

    def example(self, epoch: int, position: int) -> Example:
        """Return what the net sees at update `position` of an epoch."""
        i, n = self.updates[self._order(epoch)[position]]
        rng = np.random.default_rng([self.seed, epoch, position])
        whole = example(self.net, *augmented(self.images[i], self.labels[i], self.augment, rng))
        if self.crop is None:
            return whole
        (H, W), (P, Q) = whole.target.shape[1:], self.net.field_of_view
        rows, columns = self._grid((H, W))
        r, c = divmod(n, columns)
        top, bottom, left, right = H * r // rows, H * (r + 1) // rows, W * c // columns, W * (c + 1) // columns
        image = whole.image[:, top : bottom + P - 1, left : right + Q - 1]
        return Example(self.net.xp.ascontiguousarray(image), whole.target[:, top:bottom, left:right])

    def everything(self) -> list[Example]:
        """Return all images, whole and as they are: what a sum over the set runs over."""
        return [example(self.net, *pair) for pair in zip(self.images, self.labels, strict=True)]

    def counts(self) -> np.ndarray:
        """Return the number of pixels of each class."""
        K = self.net.out_maps
        return np.sum([np.bincount(y[y >= 0].ravel(), minlength=K) for y in self.labels], axis=0)

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.updates))


def checked(net: Sequential, images: Sequence[Any], labels: Sequence[Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return images as (H, W, C) and labels as integers, or say what does not fit."""
    if len(images) != len(labels) or not len(images):
        raise DataError(f"{len(images)} image(s) and {len(labels)} label image(s) do not make a training set")
    whole = [image[:, :, None] if image.ndim == 2 else image for image in map(np.asarray, images)]
    classes = [np.asarray(y) for y in labels]
    for i, (image, y) in enumerate(zip(whole, classes, strict=True)):
        if image.ndim != 3 or image.shape[2] != net.in_maps:
            raise DataError(f"image {i} has shape {image.shape}; the net takes (H, W, {net.in_maps})")
        if y.shape != image.shape[:2] or y.dtype.kind not in "biu" or not y.size:
            raise DataError(f"labels {i} are {y.dtype}{y.shape}; image {i} needs integers {image.shape[:2]}")
        if y.min() < -1 or y.max() >= net.out_maps:
            raise DataError(
                f"labels {i} reach from {y.min()} to {y.max()}; a net with {net.out_maps} outputs takes classes "
                f"0 to {net.out_maps - 1}, and -1 for pixels that do not count"
            )
        check_finite(image, f"image {i}")
    return whole, [y.astype(np.int64) for y in classes]


def mean_and_std(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and standard deviation of every map over all pixels of a set, in float64.

    Examples
    --------
    >>> mean, std = mean_and_std([np.array([[[0.0], [4.0]]])])
    >>> float(mean[0]), float(std[0])
    (2.0, 2.0)
    """
    n = sum(image.shape[0] * image.shape[1] for image in images)
    mean = sum(image.sum(axis=(0, 1), dtype=np.float64) for image in images) / n
    variance = sum(((image - mean) ** 2).sum(axis=(0, 1)) for image in images) / n
    return mean, np.where(variance > 0, np.sqrt(variance), 1.0)


def split_validation(n: int, fraction: float, in_order: bool, seed: int = 0) -> tuple[list[int], list[int]]:
    """Return the indices of the images to train on and those held out.

    Parameters
    ----------
    n : int
        Number of images.
    fraction : float
        Share held out, in [0, 1): at least one image, unless it is 0.
    in_order : bool
        Hold out the last ones, as neighbouring slices of a stack resemble each other; else a random choice.
    seed : int
        Of the choice.

    Examples
    --------
    >>> split_validation(5, 0.4, in_order=True)
    ([0, 1, 2], [3, 4])
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"the validation fraction must be at least 0 and below 1, not {fraction}")
    held = 0 if fraction == 0 else max(1, round(n * fraction))
    if held >= n:
        raise UsageError(f"holding out {held} of {n} image(s) leaves none to train on; use more images")
    order = np.arange(n) if in_order else np.random.default_rng([seed, n]).permutation(n)
    return sorted(order[: n - held].tolist()), sorted(order[n - held :].tolist())
