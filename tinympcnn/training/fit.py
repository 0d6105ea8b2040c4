"""Training: whole images in, one record per epoch out.

``fit`` is a generator: it yields after every epoch and can be left at any of them. Read next: ``trainset.py`` (what is
seen when), ``objective.py`` (what is minimised), ``optim`` (how), ``checkpoint.py`` (what survives).
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Array, out_of_memory_errors, to_numpy
from tinympcnn.errors import DataError, DivergenceError, UsageError
from tinympcnn.nn import optim
from tinympcnn.nn.losses import SoftmaxCrossEntropy, balanced_weights
from tinympcnn.nn.optim import Closure, Optimizer
from tinympcnn.nn.sequential import Sequential
from tinympcnn.training import checkpoint as checkpoints
from tinympcnn.training.dataset import TrainingSet, checked
from tinympcnn.training.objective import Example, example, image_closure, predict, set_closure

DECAYS = ("none", "linear", "cosine")
KEEPS = ("last", "best")
Record = dict[str, Any]


def fit(
    net: Sequential,
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    *,
    epochs: int,
    optimizer: str | Optimizer = "adam",
    options: dict[str, Any] | None = None,
    loss: Any = None,
    balance: bool | str = False,
    augment: str = "none",
    crop: int | None = None,
    decay: str = "cosine",
    warmup: float = 0,
    validation: tuple[Sequence[np.ndarray], Sequence[np.ndarray]] | None = None,
    keep: str = "last",
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
    net : Sequential
        With one output for each class.
    images : sequence of array (H, W) or (H, W, C)
        Of any sizes, in any units: they are normalised by the set's mean and standard deviation, which the net keeps.
    labels : sequence of int array (H, W)
        Class indices from 0, or -1 for pixels that do not count; of booleans False is 0 and True 1.
    epochs : int
        Passes over the images.
    optimizer : {"adam", "sgd", "armijo", "lbfgs"} or Optimizer
        Over this net.
    options : dict, optional
        Arguments for the optimizer named, such as ``{"lr": 0.01}``.
    loss : optional
        By default SoftmaxCrossEntropy, with `balanced_weights` if `balance`, over weights if that is "images".
    balance : bool or "images"
        Weigh the classes so that each counts as much as the others. With "images" each update is a mean over weights:
        for classes so rare that the few images with them would otherwise make far larger updates than all the others.
    augment : str
        What is done to every image each time it is seen: "none", or some of "flip", "rotate" (which includes "flip"),
        "elastic" and "intensity" with a + between them; see ``tinympcnn.data.augment``.
    crop : int, optional
        Cut images into crops of at most this size, each with its true surroundings, and make one update for each:
        more updates in a pass, and less memory. By default one update for every whole image, as in the paper.
    decay : {"none", "linear", "cosine"}
        How the learning rate of adam and sgd falls to zero over the run: evenly, or along half a cosine.
    warmup : float
        Epochs over which that rate first grows from zero, evenly. Adam takes its largest steps at the start, when it
        has seen the fewest gradients; where a class is rare they can end on a plateau, "none of it anywhere".
    validation : (images, labels), optional
        Evaluated after every epoch.
    keep : {"last", "best"}
        The parameters that the net is left with: those of the last epoch or, from the last record on, those of the
        epoch with the lowest loss on the validation images.
    seed : int
        Of the order of the images and the augmentation.
    executor : concurrent.futures.Executor, optional
        Where L-BFGS computes the images of the set.
    checkpoint : path, optional
        File that is rewritten after every epoch, every `minutes` minutes, and when Ctrl-C ends the run.
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
    >>> from tinympcnn import Net
    >>> rng = np.random.default_rng(0)
    >>> image = rng.standard_normal((20, 20))
    >>> net = Net.from_spec("C3x3x4 MPF2x2 FC2", rng=0)
    >>> records = list(fit(net, [image], [(image > 0).astype(int)], epochs=30, options={"lr": 0.02}))
    >>> records[-1]["loss_train"] < records[0]["loss_train"]
    True
    """
    if epochs < 1:
        raise UsageError(f"epochs must be at least 1, not {epochs}")
    if not minutes >= 0:
        raise UsageError(f"minutes must be 0 or more, not {minutes}")
    if balance not in (False, True, "images"):
        raise UsageError(f"balance must be False, True or 'images', not {balance!r}")
    if decay not in DECAYS:
        raise UsageError(f"decay must be one of {', '.join(DECAYS)}, not {decay!r}")
    if not 0 <= warmup <= epochs:
        raise UsageError(f"warmup must be from 0 to the number of epochs, {epochs}, not {warmup}")
    if net.stride != (1, 1):
        raise UsageError("whole-image training needs an image net: use net.as_image()")
    if validation is not None and not (isinstance(validation, tuple | list) and len(validation) == 2):
        raise UsageError("validation is a pair of what is held out, such as (images[-2:], labels[-2:])")
    if keep not in KEEPS:
        raise UsageError(f"keep must be one of {', '.join(KEEPS)}, not {keep!r}")
    if keep == "best" and validation is None:
        raise UsageError("keep='best' asks for the lowest validation loss: give validation images (train: --val)")
    data = TrainingSet(net, images, labels, augment, crop, seed)
    held = [example(net, *pair) for pair in zip(*checked(net, *validation), strict=True)] if validation else []
    if loss is None:
        over = "weights" if balance == "images" else "pixels"
        loss = SoftmaxCrossEntropy(balanced_weights(data.counts()) if balance else None, over=over)
    if isinstance(optimizer, str):
        optimizer = optim.build(optimizer, net, **(options or {}))
    whole_set = isinstance(optimizer, optim.LBFGS)
    if whole_set and balance == "images":
        raise UsageError("L-BFGS sums over all images, so they are balanced already: use balance=True (--balance)")
    if whole_set and (augment != "none" or crop is not None):
        raise UsageError("L-BFGS sums over the same whole images in every epoch: leave out augment and crop")
    state = checkpoints.State(seed=seed)
    if resume and checkpoint is not None and checkpoints.exists(checkpoint):
        state = checkpoints.load(checkpoint, net, optimizer)
        if state.seed != seed:
            raise UsageError(f"{checkpoint} was written by a run with seed {state.seed}, not {seed}: resume with that")
        if state.records and (state.best is not None) != (keep == "best"):
            raise UsageError(
                f"{checkpoint} was written by a run that did not keep the {keep} epoch: resume as it began"
            )
    closure = set_closure(net, data.everything(), loss, executor) if whole_set else None
    run = _Run(net, data, held, optimizer, loss, epochs, decay, warmup, keep, closure)
    return _epochs(run, state, _Keeper(run, checkpoint, minutes), progress)


def decayed(decay: str, progress: float) -> float:
    """Return the factor on the learning rate when the share `progress` of the run is done; no state is needed.

    Examples
    --------
    >>> [round(decayed(name, 0.25), 3) for name in DECAYS]
    [1.0, 0.75, 0.854]
    """
    if decay == "linear":
        return 1 - progress
    return (1 + math.cos(math.pi * progress)) / 2 if decay == "cosine" else 1.0


def warmed(warmup: float, epochs: float) -> float:
    """Return the factor on the learning rate after so many epochs, parts of one included.

    Examples
    --------
    >>> [warmed(2, epochs) for epochs in (0.5, 1, 2, 3)]
    [0.25, 0.5, 1.0, 1.0]
    """
    return min(1.0, epochs / warmup) if warmup else 1.0


@dataclass
class _Run:
    """What stays the same from the first update to the last."""

    net: Sequential
    data: TrainingSet
    held: list[Example]
    optimizer: Optimizer
    loss: Any
    epochs: int
    decay: str
    warmup: float
    keep: str
    over_set: Closure | None  # of an optimiser that sums over the whole set

    @property
    def updates(self) -> int:
        """Updates in one epoch."""
        return 1 if self.over_set else len(self.data)

    def update(self, state: checkpoints.State) -> None:
        """Make the update at the place `state`, and move the place on."""
        where = f"epoch {state.epoch + 1}, "
        if self.over_set:
            closure, pixels = self.over_set, sum(y.size for y in self.data.labels)
            where += "the whole set"
        else:
            pair = self.data.example(state.epoch, state.position)
            closure, pixels = image_closure(self.net, pair, self.loss), pair.target.size
            where += f"image {self.data.image_of(state.epoch, state.position)}"
        done = state.epoch + state.position / self.updates
        self.optimizer.scale = decayed(self.decay, done / self.epochs) * warmed(self.warmup, done + 1 / self.updates)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of overflow and NaN; what follows says more
                value = self.optimizer.step(closure)
        except DivergenceError as error:
            raise DivergenceError(f"training stopped in {where}: {error}{_culprit(self.net)}") from None
        except out_of_memory_errors() as error:
            advice = "smaller images" if self.over_set else "smaller crops, such as --crop 128 (fit: crop=128)"
            raise DataError(f"out of memory in {where}: train on {advice}") from error
        if self.net.xp is np and (culprit := _culprit(self.net)):  # a GPU's next loss tells, without waiting here
            raise DivergenceError(f"training stopped in {where}: a gradient is not finite{culprit}")
        state.loss_sum += value
        state.patches += pixels
        state.position += 1


class _Keeper:
    """Keeps the last moment at which net, optimiser and place belong together, and writes it when it is time.

    An interrupt may come in the middle of an update. What the update had before it is then written, and the update
    is made again when the run goes on.
    """

    def __init__(self, run: _Run, path: str | PathLike[str] | None, minutes: float) -> None:
        self.run, self.path, self.minutes = run, path, minutes
        self.saved = time.perf_counter()
        self.moment: tuple[Array, dict[str, Any], checkpoints.State] | None = None

    def remember(self, state: checkpoints.State) -> None:
        """Note how things stand; optimisers replace their arrays and never change them, so no copy is needed."""
        if self.path is not None:
            self.moment = self.run.net.flat(), self.run.optimizer.state(), copy.copy(state)

    def write(self, state: checkpoints.State) -> None:
        """Write the checkpoint."""
        if self.path is not None:
            checkpoints.save(self.path, self.run.net, self.run.optimizer, state)
            self.remember(state)
        self.saved = time.perf_counter()

    def write_if_time(self, state: checkpoints.State) -> None:
        """Write the checkpoint if the last one is `minutes` old."""
        if time.perf_counter() - self.saved > 60 * self.minutes:
            self.write(state)

    def rescue(self) -> None:
        """Write the moment remembered."""
        if self.moment is not None:
            theta, optimizer, state = self.moment
            self.run.net.set_flat(theta)
            self.run.optimizer.set_state(optimizer)
            self.write(state)


def _epochs(
    run: _Run, state: checkpoints.State, keeper: _Keeper, progress: Callable[[int, int], None] | None
) -> Iterator[Record]:
    _finish(run, state)  # a run may have been over before
    try:
        while state.epoch < run.epochs:
            start = time.perf_counter()
            earlier = state.seconds
            while state.position < run.updates:
                keeper.remember(state)
                run.update(state)
                state.seconds = earlier + time.perf_counter() - start
                if progress:
                    progress(state.position, run.updates)
                keeper.write_if_time(state)
            validated = evaluate(run.net, run.held, run.loss)
            state.seconds = earlier + time.perf_counter() - start
            state.images += len(run.data.images)
            state.records = [*state.records, _record(run.net, run.optimizer, state, validated)]
            state.epoch, state.position, state.loss_sum = state.epoch + 1, 0, 0.0
            lowest = min((record["loss_val"] for record in state.records[:-1]), default=math.inf)
            if run.keep == "best" and validated[0] < lowest:
                state.best = run.net.flat()
            keeper.write(state)
            _finish(run, state)
            yield dict(state.records[-1])
    except KeyboardInterrupt:
        keeper.rescue()
        raise


def _finish(run: _Run, state: checkpoints.State) -> None:
    """Leave the net with its best parameters, if the run is over and they are wanted."""
    if state.epoch == run.epochs and state.best is not None:
        run.net.set_flat(state.best)


def _record(net: Sequential, optimizer: Optimizer, state: checkpoints.State, validated: tuple[float, float]) -> Record:
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


def evaluate(net: Sequential, examples: Sequence[Example], loss: Any) -> tuple[float, float]:
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


def _culprit(net: Sequential) -> str:
    """Return a clause naming the first parameter or gradient that is not finite, or nothing."""
    for name, param, grad in net.parameters():
        for what, array in (("parameter", param), ("gradient of", grad)):
            if not bool(net.xp.isfinite(array).all()):
                return f" ({what} {name}); a smaller learning rate may help"
    return ""
