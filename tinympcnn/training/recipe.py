"""The recipe: all that decides the result of a training run, beside the net and the data.

The same recipe gives the same bits on the same machine. A net that was trained carries its recipe in its record, and
a run that is resumed must have the recipe that it began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.data.augment import parse_kinds
from tinympcnn.errors import UsageError
from tinympcnn.nn.geometry import count
from tinympcnn.nn.optim import OPTIMIZERS
from tinympcnn.training.schedules import check_decay, is_endless

BALANCES = ("none", "classes", "images")
KEEPS = ("last", "best")
OTHERS = {"data_sha256": "other images or labels", "init_sha256": "another --init", "focus_sha256": "another --focus"}
STEADY = ("armijo", "lbfgs")  # the optimisers that find their steps themselves, whatever the schedule


@dataclass(frozen=True)
class Recipe:
    """All that decides the result of a training run, beside the net and the data.

    Attributes
    ----------
    epochs : int
        The number of passes over the images.
    optimizer : {"adam", "sgd", "armijo", "lbfgs"}
        The optimiser. "lbfgs" makes one update in an epoch, over all images; the others make one for each image.
    options : dict
        The arguments of the optimiser, such as ``{"lr": 0.01}``.
    balance : {"none", "classes", "images"}
        How classes are weighed. "classes" lets each class count as much as the others. "images" also makes each update
        a mean over weights: for classes so rare that the few images with them would otherwise make far larger updates.
    augment : str
        The changes that are made to an image each time the net sees it: "none", or some of "flip", "rotate" (which
        includes "flip"), "elastic" and "intensity" with a + between them.
    crop : int or None
        The largest number of rows and columns of a crop. Images are cut into crops, each with its true surroundings,
        and each crop makes one update: more updates in a pass, and less memory. By default, as in the paper, each
        whole image makes one update.
    focus : str
        The choice of crops. "none" cuts each image into a grid. "classes" draws them so that each class has the same
        share of the crops, for rare objects. The path of a first net's model draws, within each class, in proportion
        to the mistakes of the first net.
    decay : str
        The learning-rate schedule of adam and sgd: "none", "linear" or "cosine", which fall to zero over the run, or
        a factor for each epoch such as "0.993" (down to a floor: "0.993:0.03").
    warmup : float
        The number of epochs over which the learning rate grows from zero. Adam's first steps are large and noisy; with
        a rare class they can drive the net to predict that class nowhere, and warm-up prevents this.
    keep : {"last", "best"}
        The epoch whose parameters the net is left with: the last one, or the one with the lowest validation loss.
    seed : int
        The seed of everything random: first parameters, order of the images, augmentation.

    Examples
    --------
    >>> Recipe(epochs=3, options={"lr": 0.02}).decay
    'cosine'
    """

    epochs: int = 10
    optimizer: str = "adam"
    options: dict[str, Any] = field(default_factory=dict)
    balance: str = "none"
    augment: str = "none"
    crop: int | None = None
    focus: str = "none"
    decay: str = "cosine"
    warmup: float = 0
    keep: str = "last"
    seed: int = 0

    def __post_init__(self) -> None:
        count(self.epochs, "epochs")
        for name, choices in (("optimizer", tuple(OPTIMIZERS)), ("balance", BALANCES), ("keep", KEEPS)):
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        parse_kinds(self.augment)
        if self.focus != "none" and self.crop is None:
            raise UsageError("a focus draws crops, which need a size: give crop=64 (train: --crop 64) as well")
        if self.crop is not None:
            count(self.crop, "crop")
        check_decay(self.decay)
        if not 0 <= self.warmup <= self.epochs:
            raise UsageError(f"warmup must be from 0 to the number of epochs, {self.epochs}, not {self.warmup}")
        if not (isinstance(self.seed, int | np.integer) and 0 <= self.seed < 2**63):
            raise UsageError(f"the seed must be from 0 to 2**63 - 1, an integer, not {self.seed!r}")
        if self.optimizer == "lbfgs" and self.balance == "images":
            raise UsageError("L-BFGS sums over all images, so they are balanced already: balance the classes instead")
        if self.optimizer == "lbfgs" and (self.augment != "none" or self.crop is not None):
            raise UsageError("L-BFGS sums over the same whole images in every epoch: leave out augment and crop")


def check_same(before: Mapping[str, Any], now: Mapping[str, Any], place: Path) -> None:
    """Raise UsageError if a run that is resumed differs in a choice from the run that wrote the checkpoint `place`.

    `before` and `now` are records. A run may go on for more epochs than it was begun with, if its learning rate did
    not depend on their number.
    """
    for name, value in now.items():
        had = before.get(name)
        if had == value:
            continue
        if name == "epochs" and isinstance(had, int) and had < value:
            if now["optimizer"] in STEADY or is_endless(now["decay"]):
                continue
            raise UsageError(
                f"the run in {place} had epochs {had}, over which the learning rate falls to zero; start another run "
                f"from its model with --init, or train with --decay none to go on for more epochs"
            )
        what = OTHERS.get(name, f"{name} {had!r}")
        raise UsageError(
            f"the run in {place} had {what}; resume with the options of that run, or start anew without --resume"
        )
