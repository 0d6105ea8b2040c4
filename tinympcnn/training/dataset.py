"""The data set: what a training loop asks of it, and the data set of whole images.

Update i of epoch e is a function of (seed, e, i) alone. So a run can be resumed anywhere without a random state, and
the same seed gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from tinympcnn.data import augment as augmented
from tinympcnn.data.augment import augmented_size, parse_kinds
from tinympcnn.data.checks import check_finite
from tinympcnn.engine.backend import Pair, to_numpy
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.nn.losses import Loss, MeanSquaredError, SoftmaxCrossEntropy, balanced_weights
from tinympcnn.nn.sequential import Sequential
from tinympcnn.training.objective import Example, example
from tinympcnn.training.recipe import Recipe


class Dataset(Protocol):
    """What ``fit`` asks of a data set.

    `measure` is the log's name for the share of wrong answers on validation data: of the targets from 0 up, those that
    are not the class with the highest score. None leaves this share out, as where targets are no classes.
    """

    n_images: int  # that the net sees in an epoch
    measure: str | None
    lighter: str  # what would take less memory, as the message of an error says it

    def __len__(self) -> int:
        """Return the number of updates in one epoch."""

    def example(self, epoch: int, position: int) -> Example:
        """Return what the net sees at update `position` of an epoch."""

    def place(self, epoch: int, position: int) -> str:
        """Return the words by which an error names update `position` of an epoch, such as "image 3"."""

    def everything(self) -> Iterator[Example]:
        """Yield the whole set, always in the same order and without augmentation."""

    def loss(self, balance: str) -> Loss:
        """Return the loss that is minimised where none is given; `balance` is the recipe's."""


class WholeImages:
    """Whole images with a class, or a vector, for each pixel; which part of them the net sees at which update.

    The images are (H, W) or (H, W, C), of any sizes; a net without a normalisation gets theirs. Integer targets (H, W)
    are classes from 0, or -1 for pixels that do not count. Targets (H, W, K) are what the net's K outputs should be.
    Augmentation moves the targets with their image; "intensity" leaves them as they are.

    Examples
    --------
    >>> from tinympcnn import Net
    >>> net = Net.from_spec("C3x3x4 FC2", rng=0)
    >>> data = WholeImages(net, [np.eye(40)], [np.eye(40, dtype=int)], Recipe(crop=30))
    >>> len(data), data.example(0, 0).image.shape, data.example(0, 0).target.shape
    (4, (1, 22, 22, 1), (1, 20, 20))
    """

    lighter = "smaller crops, such as --crop 128 (fit: crop=128)"

    def __init__(
        self, net: Sequential, images: Sequence[np.ndarray], targets: Sequence[np.ndarray], recipe: Recipe
    ) -> None:
        if net.stride != (1, 1):
            raise UsageError("whole-image training needs an image net: use net.as_image()")
        self.net, self.augment, self.crop, self.seed = net, recipe.augment, recipe.crop, recipe.seed
        self.images, self.targets = _checked(net, images, targets)
        self.n_images = len(self.images)
        self.has_classes = self.targets[0].ndim == 2
        self.measure = "pixel_error" if self.has_classes else None
        if self.has_classes and max(y.max() for y in self.targets) < 0:
            raise DataError("no pixel of the labels counts (all are -1), so there is nothing to train on or validate")
        if net.normalisation is None:
            net.normalisation = mean_and_std(self.images)
        grids = [self._grid(augmented_size(_size(y), self.augment)) for y in self.targets]
        self.updates = [(i, crop) for i, grid in enumerate(grids) for crop in range(math.prod(grid))]

    def __len__(self) -> int:
        return len(self.updates)

    def place(self, epoch: int, position: int) -> str:
        """Return the words that name the image seen at update `position` of an epoch."""
        return f"image {self._update(epoch, position)[0]}"

    def example(self, epoch: int, position: int) -> Example:
        """Return what the net sees at update `position` of an epoch: a crop, or a whole image."""
        i, n = self._update(epoch, position)
        rng = np.random.default_rng([self.seed, epoch, position])
        return self._crop(example(self.net, *self._augmented(self.images[i], self.targets[i], rng)), n)

    def everything(self) -> Iterator[Example]:
        """Yield all images as they are, in crops if the recipe has crops."""
        for image, target in zip(self.images, self.targets, strict=True):
            whole = example(self.net, image, target)
            for n in range(math.prod(self._grid(_size(target)))):
                yield self._crop(whole, n)

    def loss(self, balance: str) -> Loss:
        """Return cross-entropy, balanced as the recipe says, for classes; the mean squared error for other targets."""
        if self.has_classes:
            counts = [np.bincount(y[y >= 0], minlength=self.net.out_maps) for y in self.targets]
            return cross_entropy(np.sum(counts, axis=0), balance)
        if balance != "none":
            raise UsageError("only classes can be balanced, and these targets are none: use balance='none'")
        return MeanSquaredError()

    def _update(self, epoch: int, position: int) -> tuple[int, int]:
        """Return the image and the number of the crop at update `position` of an epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.updates))
        return self.updates[int(order[position])]

    def _augmented(
        self, image: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.has_classes:
            return augmented(image, target, self.augment, rng)
        kinds, blank = parse_kinds(self.augment), np.zeros(_size(target), int)
        both = np.concatenate([image, target], axis=-1)  # both are moved the same way, and sampled the same way
        both, blank = augmented(both, blank, "+".join(sorted(kinds - {"intensity"})) or "none", rng)
        image, target = np.split(both, [image.shape[-1]], axis=-1)
        return augmented(image, blank, "intensity" if "intensity" in kinds else "none", rng)[0], target

    def _crop(self, whole: Example, n: int) -> Example:
        """Return crop n of an image, with its true surroundings. Crops share no target and leave none out."""
        if self.crop is None:
            return whole
        grid, (H, W) = self.net.grid, whole.target.shape[1:3]
        units, parts = (-(-H // grid[0]), -(-W // grid[1])), self._grid((H, W))
        r, c = divmod(n, parts[1])
        top, left = grid[0] * (units[0] * r // parts[0]), grid[1] * (units[1] * c // parts[1])
        bottom = min(H, grid[0] * (units[0] * (r + 1) // parts[0]))
        right = min(W, grid[1] * (units[1] * (c + 1) // parts[1]))
        rows, columns = self.net.input_size((bottom - top, right - left))
        image = whole.image[:, top : top + rows, left : left + columns]
        return Example(self.net.xp.ascontiguousarray(image), whole.target[:, top:bottom, left:right])

    def _grid(self, size: Pair) -> Pair:
        """Return the rows and columns of the grid of crops of an image of `size`; crops begin where the net allows."""
        units = [(-(-n // g), max(1, (self.crop or n) // g)) for n, g in zip(size, self.net.grid, strict=True)]
        rows, columns = (-(-n // most) for n, most in units)
        return rows, columns


def _size(target: np.ndarray) -> Pair:
    rows, columns = target.shape[:2]
    return rows, columns


def _checked(
    net: Sequential, images: Sequence[Any], targets: Sequence[Any]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return images as (H, W, C), and targets as integers (H, W) or as (H, W, K); or say what does not fit."""
    if len(images) != len(targets) or not len(images):
        raise DataError(
            f"{counted(len(images), 'image')} and {counted(len(targets), 'label image')} do not make a training set"
        )
    whole = [image[:, :, None] if image.ndim == 2 else image for image in map(to_numpy, images)]
    wanted = [to_numpy(y) for y in targets]
    vectors = wanted[0].ndim == 3
    for i, (image, y) in enumerate(zip(whole, wanted, strict=True)):
        if image.ndim != 3 or image.shape[2] != net.in_maps:
            raise DataError(f"image {i} has shape {image.shape}; the net takes (H, W, {net.in_maps})")
        check_finite(image, f"image {i}")
        size = (*image.shape[:2], net.out_maps) if vectors else image.shape[:2]
        if y.shape != size or y.dtype.kind not in ("biuf" if vectors else "biu") or not y.size:
            kind = "numbers" if vectors else "integers"
            raise DataError(
                f"target {i} is {y.dtype}{y.shape}; a net with {net.out_maps} outputs needs {kind} {size} for image {i}"
            )
        if vectors:
            check_finite(y, f"target {i}")
        elif y.min() < -1 or y.max() >= net.out_maps:
            raise DataError(
                f"labels {i} reach from {y.min()} to {y.max()}; a net with {net.out_maps} outputs takes classes "
                f"0 to {net.out_maps - 1}, and -1 for pixels that do not count"
            )
    return whole, [y.astype(np.int64) if y.dtype.kind in "bu" and y.ndim == 2 else y for y in wanted]  # -1 must fit


def cross_entropy(counts: np.ndarray, balance: str) -> Loss:
    """Return cross-entropy, balanced as a recipe says, for classes that occur so many times."""
    weights = None if balance == "none" else balanced_weights(counts)
    return SoftmaxCrossEntropy(weights, over="weights" if balance == "images" else "pixels")


def mean_and_std(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and standard deviation of every map over all pixels of a set, in float64; for a std of 0, 1."""
    n = sum(image.shape[0] * image.shape[1] for image in images)
    mean = sum(image.sum(axis=(0, 1), dtype=np.float64) for image in images) / n
    variance = sum(((image - mean) ** 2).sum(axis=(0, 1), dtype=np.float64) for image in images) / n
    return mean, np.where(variance > (1e-12 * mean) ** 2, np.sqrt(variance), 1.0)  # less is rounding


def split_validation(n: int, fraction: float, in_order: bool, seed: int = 0) -> tuple[list[int], list[int]]:
    """Return the indices of the images to train on and of those held out: none, or a share of at least one image.

    With `in_order` the last images are held out, as neighbouring slices of a stack resemble each other; else the choice
    is random.

    Examples
    --------
    >>> split_validation(5, 0.4, in_order=True)
    ([0, 1, 2], [3, 4])
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"the validation fraction must be at least 0 and below 1, not {fraction}")
    held = 0 if fraction == 0 else max(1, round(n * fraction))
    if held >= n:
        raise UsageError(f"holding out {held} of {counted(n, 'image')} leaves none to train on; use more images")
    order = np.arange(n) if in_order else np.random.default_rng([seed, n]).permutation(n)
    return sorted(order[: n - held].tolist()), sorted(order[n - held :].tolist())
