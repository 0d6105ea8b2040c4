"""Whole images with one class each, as a net is trained on them: prepared once, distorted anew each time, in batches.

Update i of epoch e is a function of (seed, e, i) alone, as in ``dataset.py``, so that a run can go on anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinympcnn.data.checks import check_finite
from tinympcnn.data.distort import Distortion
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference.classify import as_input, prepared
from tinympcnn.nn.losses import Loss
from tinympcnn.nn.sequential import Sequential
from tinympcnn.training.dataset import cross_entropy, mean_and_std
from tinympcnn.training.objective import Example


class ClassifiedImages:
    """Images and classes, and which of them the net sees at which update.

    Parameters
    ----------
    net : Sequential
        The patch net that will be trained. Its preprocessing is applied here, once; its normalisation is set from the
        prepared images if it has none.
    images : array, shape (N, H, W, C)
        The images as they were read. The net's field of view decides their size.
    classes : array of int, shape (N,)
        The classes, from 0.
    distortion : Distortion
        How far each image is distorted each time it is seen.
    batch : int
        The number of images of one update; the last update of an epoch may have fewer.
    seed : int
        The seed of the order and of the distortions.

    Examples
    --------
    >>> from tinympcnn import Net
    >>> net = Net.from_spec("1x9x9-4C4-MP2-3N", rng=0)
    >>> data = ClassifiedImages(net, np.eye(28)[None, :, :, None].repeat(5, axis=0), np.arange(5) % 3, batch=2)
    >>> len(data), data.example(0, 0).image.shape, data.example(0, 2).target.shape
    (3, (2, 9, 9, 1), (1, 1, 1))
    """

    measure: str | None = "error"
    lighter = "smaller batches, such as --batch 8"

    def __init__(
        self,
        net: Sequential,
        images: np.ndarray,
        classes: np.ndarray,
        distortion: Distortion | None = None,
        batch: int = 32,
        seed: int = 0,
    ) -> None:
        if batch < 1:
            raise UsageError(f"a batch has at least one image, not {batch}")
        _check(net, images, classes)
        self.net, self.distortion, self.batch, self.seed = net, distortion or Distortion(), batch, seed
        self.images, self.classes = prepared(net, images), np.asarray(classes, np.int64)
        self.n_images = len(self.images)
        if net.normalisation is None:
            net.normalisation = mean_and_std(list(self.images))

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch)

    def example(self, epoch: int, position: int) -> Example:
        """Return the images, distorted, and the classes of update `position` of an epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.images))
        some = order[self.batch * position : self.batch * (position + 1)]
        return self._example(some, self.distortion, np.random.default_rng([self.seed, epoch, position]))

    def place(self, epoch: int, position: int) -> str:
        """Return the words that name update `position` of an epoch."""
        return f"batch {position}"

    def everything(self) -> Iterator[Example]:
        """Yield all images in batches, in their order and as they are."""
        for i in range(0, len(self.images), self.batch):
            yield self._example(np.arange(i, min(i + self.batch, len(self.images))), Distortion())

    def loss(self, balance: str) -> Loss:
        """Return cross-entropy, balanced as the recipe says."""
        return cross_entropy(self.counts(), balance)

    def counts(self) -> np.ndarray:
        """Return the number of images of each class."""
        return np.bincount(self.classes, minlength=self.net.out_maps)

    def _example(self, which: np.ndarray, distortion: Distortion, rng: np.random.Generator | None = None) -> Example:
        x, y = as_input(self.net, self.images[which], distortion, rng), self.classes[which]
        return Example(self.net.xp.asarray(x), self.net.xp.asarray(y[:, None, None]))


def split_stratified(classes: np.ndarray, fraction: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return which images to train on and which to hold out: the same share of each class, at random within a class.

    The fraction that is held out lies in [0, 1); at least one image of each class stays in training. A share of classes
    none of which has two images is a `UsageError`.

    Examples
    --------
    >>> kept, held = split_stratified(np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0.25)
    >>> len(kept), np.array([0, 0, 0, 0, 1, 1, 1, 1])[held].tolist()
    (6, [0, 1])
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"the validation fraction must be at least 0 and below 1, not {fraction}")
    classes = np.asarray(classes)
    held: list[int] = []
    if fraction:
        for k in np.unique(classes):
            own = np.flatnonzero(classes == k)
            n = min(max(1, round(len(own) * fraction)), len(own) - 1)
            held += np.random.default_rng([seed, int(k)]).permutation(own)[:n].tolist()
        if not held:
            raise UsageError("no class has two images, so none can be held out; use more images, or no validation")
    return np.setdiff1d(np.arange(len(classes)), held), np.sort(np.array(held, int))


def _check(net: Sequential, images: np.ndarray, classes: np.ndarray) -> None:
    """Say what does not fit together, if anything."""
    images, classes = np.asarray(images), np.asarray(classes)
    if images.ndim != 4 or not images.size or images.shape[3] != net.in_maps:
        raise DataError(f"the images have shape {images.shape}; this net trains on (N, H, W, {net.in_maps})")
    if classes.shape != images.shape[:1] or classes.dtype.kind not in "iu":
        raise DataError(f"the classes are {classes.dtype}{classes.shape}; {len(images)} images need one integer each")
    if classes.min() < 0 or classes.max() >= net.out_maps:
        raise DataError(
            f"the classes reach from {classes.min()} to {classes.max()}; the net has {net.out_maps} outputs"
        )
    check_finite(images, "the images")
