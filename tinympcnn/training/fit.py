"""The training loop: whole images in, one record per epoch out.

``fit`` is a generator: it yields after every epoch and can be left at any of them.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Array, out_of_memory_errors
from tinympcnn.errors import DataError, DivergenceError, UsageError
from tinympcnn.nn import optim
from tinympcnn.nn.losses import Loss
from tinympcnn.nn.optim import Optimizer
from tinympcnn.nn.sequential import Sequential
from tinympcnn.training.checkpoint import Checkpoint, Record, State
from tinympcnn.training.dataset import Dataset, WholeImages
from tinympcnn.training.focus import focused
from tinympcnn.training.objective import image_closure, set_closure, validate
from tinympcnn.training.recipe import Recipe, check_same
from tinympcnn.training.schedules import decay_factor, warmup_factor

Data = Dataset | tuple[Sequence[np.ndarray], Sequence[np.ndarray]]


def fit(
    net: Sequential,
    data: Data,
    recipe: Recipe,
    *,
    validation: Data | None = None,
    loss: Loss | None = None,
    checkpoint: Checkpoint | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Record]:
    """Train `net` in place, and yield one record per epoch.

    Parameters
    ----------
    net : Sequential
        The net, with one output for each class. Its record takes up the recipe.
    data : (images, targets) or Dataset
        The images (H, W) or (H, W, C), of any sizes and in any units: they are normalised by the set's mean and
        standard deviation, which the net keeps. The targets are class indices (H, W) from 0, or -1 for pixels that
        do not count; or, for regression, what the net's outputs should be, (H, W, K). See `WholeImages`.
    recipe : Recipe
        All that decides the result.
    validation : (images, targets) or Dataset, optional
        The data on which the net is evaluated after every epoch.
    loss : Loss, optional
        The default is the data set's: SoftmaxCrossEntropy for classes, MeanSquaredError for regression.
    checkpoint : Checkpoint, optional
        The file that keeps the run through interruptions.
    executor : concurrent.futures.Executor, optional
        The threads or processes that compute the images of the set for L-BFGS.
    progress : callable, optional
        A function that is called with (updates of this epoch done, updates of an epoch) after every update.

    Yields
    ------
    dict
        epoch, images (seen so far), loss_train (the mean over the epoch, before each update), loss_val and, for
        classes, pixel_error (on the validation data), step, evaluations (of the loss, so far), seconds (so far),
        patches_per_second, backend, dtype, seed. What was not measured is nan.

    Raises
    ------
    UsageError, DataError
        If something does not fit together, before any work is done.
    DivergenceError
        If a loss or gradient is not finite; the epoch, image and layer are named.

    Examples
    --------
    >>> from tinympcnn import Net
    >>> net, image = Net.from_spec("C3x3x4 MPF2x2 FC2", rng=0), np.random.default_rng(0).standard_normal((20, 20))
    >>> records = list(fit(net, ([image], [image > 0]), Recipe(epochs=30, options={"lr": 0.02})))
    >>> records[-1]["loss_train"] < records[0]["loss_train"]
    True
    """
    if recipe.keep == "best" and validation is None:
        raise UsageError("keep='best' asks for the lowest validation loss: give validation images (train: --val)")
    training_set = _dataset(net, data, recipe, "data")
    held_out = None if validation is None else _dataset(net, validation, recipe, "validation")
    loss = loss or training_set.loss(recipe.balance)
    optimizer = optim.build(recipe.optimizer, net, **recipe.options)
    run = _Run(net, training_set, recipe, held_out, loss, optimizer, checkpoint, executor)
    return run.epochs(progress or (lambda done, total: None))


def _dataset(net: Sequential, data: Data, recipe: Recipe, name: str) -> Dataset:
    if not isinstance(data, tuple | list) and hasattr(data, "everything"):
        return data
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise UsageError(f"{name} must be a pair such as (images, labels), or a Dataset, not {data!r:.60}")
    return (focused if name == "data" else WholeImages)(net, *data, recipe)


@dataclass
class _Run:
    """A run: what stays the same from the first update to the last, and the place in it."""

    net: Sequential
    data: Dataset
    recipe: Recipe
    validation: Dataset | None
    loss: Loss
    optimizer: Optimizer
    checkpoint: Checkpoint | None
    executor: Executor | None

    def __post_init__(self) -> None:
        net, plain, checkpoint = self.net, asdict(self.recipe), self.checkpoint
        self.state = State()
        if checkpoint is not None and checkpoint.resume and checkpoint.exists():
            check_same(checkpoint.peek()[0], plain, checkpoint.path)
            self.state = checkpoint.load(net, self.optimizer)
        net.record = {**net.record, **plain}
        self.over_set, self.pixels, self.updates = None, 0, len(self.data)
        if self.recipe.optimizer == "lbfgs":
            examples = list(self.data.everything())
            self.over_set, self.updates = set_closure(net, examples, self.loss, self.executor), 1
            self.pixels = sum(math.prod(one.target.shape[:3]) for one in examples)

    def epochs(self, progress: Callable[[int, int], None]) -> Iterator[Record]:
        """Train from the place where the run is, to its end."""
        state = self.state
        self._finish()  # a run may have been over before
        moment = None
        try:
            while state.epoch < self.recipe.epochs:
                clock = time.perf_counter() - state.seconds
                while state.position < self.updates:
                    moment = self._moment()
                    self._update()
                    state.seconds = time.perf_counter() - clock
                    progress(state.position, self.updates)
                    if self.checkpoint is not None and self.checkpoint.is_due():
                        self._save()
                moment = self._moment()
                self._close_epoch(clock)
                self._save()
                moment = None
                self._finish()
                yield dict(state.records[-1])
        except (KeyboardInterrupt, BrokenExecutor) as error:
            if moment is not None:
                theta, optimizer, self.state = moment
                self.net.set_flat(theta)
                self.optimizer.set_state(optimizer)
                self._save()
            if isinstance(error, KeyboardInterrupt):
                raise
            way_on = f"; the same run with --resume goes on from {self.checkpoint.path}" if self.checkpoint else ""
            raise DataError(f"a worker process was killed, perhaps for lack of memory{way_on}") from error

    def _update(self) -> None:
        """Make the update at the place where the run is, and move on."""
        state, recipe = self.state, self.recipe
        where = f"epoch {state.epoch + 1}, "
        where += "the whole set" if self.over_set else self.data.place(state.epoch, state.position)
        done = state.epoch + state.position / self.updates
        warm = warmup_factor(recipe.warmup, done + 1 / self.updates)
        self.optimizer.scale = decay_factor(recipe.decay, done, recipe.epochs) * warm
        try:
            if self.over_set:
                closure, pixels = self.over_set, self.pixels
            else:
                example = self.data.example(state.epoch, state.position)
                closure, pixels = image_closure(self.net, example, self.loss), math.prod(example.target.shape[:3])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of overflow and NaN; what follows says more
                value = self.optimizer.step(closure)
        except DivergenceError as error:
            raise DivergenceError(f"training stopped in {where}: {error}{_culprit(self.net)}") from None
        except out_of_memory_errors() as error:
            advice = "smaller images" if self.over_set else self.data.lighter
            raise DataError(f"out of memory in {where}: train on {advice}") from error
        if self.net.xp is np and (culprit := _culprit(self.net)):  # a GPU's next loss tells, without waiting here
            raise DivergenceError(f"training stopped in {where}: a gradient is not finite{culprit}")
        state.loss_sum += value
        state.patches += pixels
        state.position += 1

    def _close_epoch(self, clock: float) -> None:
        """Evaluate the net, add an epoch to the log, and move on to the next."""
        state, net = self.state, self.net
        lowest = min((record["loss_val"] for record in state.records), default=math.inf)
        examples = self.validation.everything() if self.validation is not None else ()
        measured = validate(net, examples, self.loss, self.data.measure)
        state.seconds = time.perf_counter() - clock
        state.images += self.data.n_images
        record: Record = {
            "epoch": state.epoch + 1,
            "images": state.images,
            "loss_train": state.loss_sum / state.position,
            **measured,
            "step": self.optimizer.last_step,
            "evaluations": self.optimizer.evaluations,
            "seconds": round(state.seconds, 3),
            "patches_per_second": round(state.patches / state.seconds, 1),
            "backend": net.xp.__name__,
            "dtype": net.dtype.name,
            "seed": self.recipe.seed,
        }
        state.records = [*state.records, record]
        state.epoch, state.position, state.loss_sum = state.epoch + 1, 0, 0.0
        if self.recipe.keep == "best" and record["loss_val"] < lowest:
            state.best = net.flat()

    def _finish(self) -> None:
        """Leave the net with its best parameters, if the run is over and they are wanted."""
        if self.state.epoch == self.recipe.epochs and self.state.best is not None:
            self.net.set_flat(self.state.best)

    def _moment(self) -> tuple[Array, dict[str, Any], State] | None:
        """Return the last moment at which net, optimiser and place belong together.

        An interrupt may come in the middle of an update. The moment before the update is then saved, and the update
        is made again when the run goes on. Optimisers replace their arrays and never change them, so no copy is needed.
        """
        return None if self.checkpoint is None else (self.net.flat(), self.optimizer.state(), copy.copy(self.state))

    def _save(self) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(self.net, self.optimizer, self.state)


def _culprit(net: Sequential) -> str:
    """Return a clause naming the first parameter or gradient that is not finite, or nothing."""
    xp = net.xp
    for name, param, grad in net.parameters():
        for what, array in (("parameter", param), ("gradient of", grad)):
            if not bool(xp.isfinite(array).all()):
                return f" ({what} {name}); a smaller learning rate may help"
    return ""
