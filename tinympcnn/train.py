"""Training: whole images in, one record per epoch out.

``fit`` is a generator: it yields after every epoch and can be left at any of them. What is random about example i of
epoch e is drawn from (seed, e, i) alone, so a run needs no random state to be resumed, and the same seed gives the
same bits. Read next: ``objective.py`` (what is minimised), ``optim`` (how), ``checkpoint.py`` (what survives).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from tinympcnn import checkpoint as checkpoints
from tinympcnn import optim
from tinympcnn.backend import to_numpy
from tinympcnn.data import augment as augmented
from tinympcnn.data.image_file import check_finite
from tinympcnn.errors import DataError, DivergenceError, UsageError
from tinympcnn.losses import SoftmaxCrossEntropy, balanced_weights
from tinympcnn.net import Net
from tinympcnn.objective import Example, example, image_closure, predict, set_closure
from tinympcnn.optim import Optimizer

AUGMENTATIONS = ("none", "flip", "rotate")
DECAYS = ("none", "cosine")
Record = dict[str, Any]


def fit(
    net: Net,
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    *,
    epochs: int,
    optimizer: str | Optimizer = "adam",
    options: dict[str, Any] | None = None,
    loss: Any = None,
    balance: bool = False,
    augment: str = "none",
    decay: str = "cosine",
    validation: tuple[Sequence[np.ndarray], Sequence[np.ndarray]] | None = None,
    seed: int = 0,
    executor: Executor | None = None,
    checkpoint: str | PathLike[str] | None = None,
    minutes: float = 10,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Record]:
    """Train `net` in place, one update per image (L-BFGS: one per epoch, over all images), one record per epoch.

    Parameters
    ----------
    net : Net
        With one output for each class.
    images : sequence of array (H, W) or (H, W, C)
        Of any sizes, in any units: they are normalised by the set's mean and standard deviation, which the net keeps.
    labels : sequence of int array (H, W)
        Class indices from 0, or -1 for pixels that do not count.
    epochs : int
        Passes over the images.
    optimizer : {"adam", "sgd", "armijo", "lbfgs"} or Optimizer
        Over this net.
    options : dict, optional
        Arguments for the optimizer named, such as ``{"lr": 0.01}``.
    loss : optional
        By default SoftmaxCrossEntropy, with `balanced_weights` if `balance`.
    balance : bool
        Weigh the classes so that each counts as much as the others.
    augment : {"none", "flip", "rotate"}
        What is done to every image each time it is seen; "rotate" includes "flip".
    decay : {"none", "cosine"}
        "cosine" lowers the learning rate of adam and sgd to zero along half a cosine over the run.
    validation : (images, labels), optional
        Evaluated after every epoch.
    seed : int
        Of the order of the images and the augmentation.
    executor : concurrent.futures.Executor, optional
        Where L-BFGS computes the images of the set.
    checkpoint : path, optional
        File that is rewritten after every epoch and every `minutes` minutes.
    minutes : float
        Longest time between two checkpoints.
    resume : bool
        Continue from `checkpoint`, if it exists.
    progress : callable, optional
        Called with (images of this epoch done, images of an epoch) after every update.

    Yields
    ------
    dict
        epoch, images (seen so far), loss_train (mean over the epoch, before each update), loss_val, pixel_error (on
        the validation images), step, evaluations (loss evaluations so far), seconds (so far), patches_per_second,
        backend, dtype, seed. What was not measured is nan.

    Raises
    ------
    UsageError, DataError
        If something does not fit together, before any work is done.
    DivergenceError
        If a loss or gradient is not finite; the epoch, image and layer are named.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = rng.standard_normal((20, 20))
    >>> net = Net.from_spec("C3x3x4 MPF2x2 FC2", rng=0)
    >>> records = list(fit(net, [image], [(image > 0).astype(int)], epochs=30, options={"lr": 0.02}))
    >>> records[-1]["loss_train"] < records[0]["loss_train"]
    True
    """
    images, labels, validation = _checked(net, images, labels, validation, epochs, augment, decay)
    if net.normalisation is None:
        net.normalisation = mean_and_std(images)
    counts = np.sum([np.bincount(y[y >= 0].ravel(), minlength=net.out_maps) for y in labels], axis=0)
    if loss is None:
        loss = SoftmaxCrossEntropy(balanced_weights(counts) if balance else None)
    if isinstance(optimizer, str):
        optimizer = optim.build(optimizer, net, **(options or {}))
    whole_set = isinstance(optimizer, optim.LBFGS)
    if whole_set and augment != "none":
        raise UsageError("L-BFGS needs the same images in every epoch: use augment='none', or another optimizer")
    state = checkpoints.State(seed=seed)
    if resume and checkpoint is not None and checkpoints.exists(checkpoint):
        state = checkpoints.load(checkpoint, net, optimizer)
    held = [example(net, *pair) for pair in zip(*validation, strict=True)] if validation else []
    fixed = [example(net, *pair) for pair in zip(images, labels, strict=True)] if augment == "none" else []
    run = _Run(net, images, labels, fixed, held, optimizer, loss, epochs, augment, decay, whole_set, executor)
    return _epochs(run, state, checkpoint, minutes, progress)


@dataclass
class _Run:
    """What stays the same from the first update to the last."""

    net: Net
    images: Sequence[np.ndarray]
    labels: Sequence[np.ndarray]
    fixed: list[Example]  # the images as the net takes them, where augmentation does not change them
    held: list[Example]
    optimizer: Optimizer
    loss: Any
    epochs: int
    augment: str
    decay: str
    whole_set: bool
    executor: Executor | None

    @property
    def updates(self) -> int:
        """Updates in one epoch."""
        return 1 if self.whole_set else len(self.images)

    def update(self, state: checkpoints.State, order: np.ndarray) -> None:
        """Make the update at the place `state`, and move the place on."""
        net, i = self.net, order[state.position]
        where = f"epoch {state.epoch + 1}, " + ("the whole set" if self.whole_set else f"image {i}")
        if self.whole_set:
            seen, closure = self.fixed, set_closure(net, self.fixed, self.loss, self.executor)
        else:
            rng = np.random.default_rng([state.seed, state.epoch, state.position])
            changed = augmented(self.images[i], self.labels[i], self.augment, rng) if not self.fixed else None
            pair = self.fixed[i] if changed is None else example(net, *changed)
            seen, closure = [pair], image_closure(net, pair, self.loss)
        progress = (state.epoch + state.position / self.updates) / self.epochs
        self.optimizer.scale = (1 + math.cos(math.pi * progress)) / 2 if self.decay == "cosine" else 1.0
        try:
            value = self.optimizer.step(closure)
        except DivergenceError as error:
            raise DivergenceError(f"training stopped in {where}: {error}{_culprit(net)}") from None
        if net.xp is np and (culprit := _culprit(net)):  # on a GPU the next loss tells, without waiting here
            raise DivergenceError(f"training stopped in {where}: a gradient is not finite{culprit}")
        state.loss_sum += value
        state.images += len(seen)
        state.patches += sum(pair.target.size for pair in seen)
        state.position += 1


def _epochs(
    run: _Run,
    state: checkpoints.State,
    checkpoint: str | PathLike[str] | None,
    minutes: float,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Record]:
    saved = tick = time.perf_counter()

    def keep() -> None:
        nonlocal saved
        if checkpoint is not None:
            checkpoints.save(checkpoint, run.net, run.optimizer, state)
        saved = time.perf_counter()

    def count_seconds() -> None:
        nonlocal tick
        now = time.perf_counter()
        state.seconds, tick = state.seconds + now - tick, now

    while state.epoch < run.epochs:
        order = np.random.default_rng([state.seed, state.epoch]).permutation(len(run.images))
        while state.position < run.updates:
            run.update(state, order)
            count_seconds()
            if progress:
                progress(state.position, run.updates)
            if time.perf_counter() - saved > 60 * minutes:
                keep()
        validated = evaluate(run.net, run.held, run.loss)
        count_seconds()
        state.records.append(_record(run.net, run.optimizer, state, validated))
        state.epoch, state.position, state.loss_sum = state.epoch + 1, 0, 0.0
        keep()
        yield dict(state.records[-1])
        tick = time.perf_counter()  # what the caller does between two records is not training


def _record(net: Net, optimizer: Optimizer, state: checkpoints.State, validated: tuple[float, float]) -> Record:
    return {
        "epoch": state.epoch + 1,
        "images": state.images,
        "loss_train": state.loss_sum / state.position,
        "loss_val": validated[0],
        "pixel_error": validated[1],
        "step": optimizer.last_step,
        "evaluations": optimizer.evaluations,
        "seconds": round(state.seconds, 3),
        "patches_per_second": round(state.patches / state.seconds, 1),
        "backend": net.xp.__name__,
        "dtype": net.dtype.name,
        "seed": state.seed,
    }


def evaluate(net: Net, examples: Sequence[Example], loss: Any) -> tuple[float, float]:
    """Return the mean loss and the pixel error of the net over all counted pixels of some examples; nan for none."""
    if not examples:
        return math.nan, math.nan
    value = set_closure(net, examples, loss)(grad=False)
    wrong = counted = 0
    for pair in examples:
        target = to_numpy(pair.target)[0]
        wrong += int(((predict(net, pair) != target) & (target >= 0)).sum())
        counted += int((target >= 0).sum())
    return value, wrong / max(counted, 1)


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
        raise UsageError(
            f"holding out {held} of {n} image(s) leaves none to train on; use more images or no validation"
        )
    order = np.arange(n) if in_order else np.random.default_rng([seed, n]).permutation(n)
    return sorted(order[: n - held].tolist()), sorted(order[n - held :].tolist())


def _checked(net: Net, images: Any, labels: Any, validation: Any, epochs: int, augment: str, decay: str) -> Any:
    """Return images as (H, W, C) and labels as integers, or say what does not fit."""
    if epochs < 1:
        raise UsageError(f"epochs must be at least 1, not {epochs}")
    for value, allowed, name in ((augment, AUGMENTATIONS, "augment"), (decay, DECAYS, "decay")):
        if value not in allowed:
            raise UsageError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    if net.stride != (1, 1):
        raise UsageError("whole-image training needs an image net: use net.as_image()")
    sets = [(images, labels)] + ([validation] if validation is not None and len(validation[0]) else [])
    checked = []
    for some_images, some_labels in sets:
        if len(some_images) != len(some_labels) or not len(some_images):
            raise DataError(
                f"{len(some_images)} image(s) and {len(some_labels)} label image(s) do not make a training set"
            )
        three = [image[:, :, None] if image.ndim == 2 else image for image in map(np.asarray, some_images)]
        flat = [np.asarray(y) for y in some_labels]
        for i, (image, y) in enumerate(zip(three, flat, strict=True)):
            if image.ndim != 3 or image.shape[2] != net.in_maps:
                raise DataError(f"image {i} has shape {image.shape}; the net takes (H, W, {net.in_maps})")
            if y.shape != image.shape[:2] or y.dtype.kind not in "iu":
                raise DataError(f"labels {i} are {y.dtype}{y.shape}; image {i} needs integers {image.shape[:2]}")
            if y.min(initial=0) < -1 or y.max(initial=0) >= net.out_maps:
                raise DataError(
                    f"labels {i} reach from {y.min()} to {y.max()}; a net with {net.out_maps} outputs takes classes "
                    f"0 to {net.out_maps - 1}, and -1 for pixels that do not count"
                )
            check_finite(image, f"image {i}")
        checked.append((three, [y.astype(np.int64) for y in flat]))
    return *checked[0], checked[1] if len(checked) > 1 else None


def _culprit(net: Net) -> str:
    """Return a clause naming the first parameter or gradient that is not finite, or nothing."""
    for name, param, grad in net.parameters():
        for what, array in (("parameter", param), ("gradient of", grad)):
            if not bool(net.xp.isfinite(array).all()):
                return f" ({what} {name}); a smaller learning rate may help"
    return ""
