"""Checkpoints: everything that a run needs to go on with the same bits, in a file that survives any interruption.

A checkpoint is an .npz file like a model's, written whole or not at all: the parameters, the best parameters so far,
the state of the optimiser, the place in the run, and the log. There is no random state in it, because a data set
draws whatever is random from the seed and the place in the run.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Array, to_numpy
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io import modelfile
from tinympcnn.io.atomic import AnyPath, replacing
from tinympcnn.io.modelfile import STATE
from tinympcnn.nn.optim import Optimizer
from tinympcnn.nn.sequential import Sequential

Record = dict[str, Any]
"""What the log says of one epoch, by name."""

_OPTIMIZER = "optimizer."  # the prefix of the names of the optimiser's arrays
_BEST = "best"


@dataclass
class State:
    """The place in a run, and its log so far."""

    epoch: int = 0
    position: int = 0
    images: int = 0
    patches: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    records: list[Record] = field(default_factory=list)
    best: Array | None = None  # the parameters with the lowest validation loss so far, where they are wanted


class Checkpoint:
    """The file that a run is saved in, and from which it can be resumed.

    Parameters
    ----------
    path : path
        The file. It is rewritten after every epoch, and when Ctrl-C ends the run.
    minutes : float
        The longest time between two checkpoints, in minutes.
    resume : bool
        Whether the run goes on from the file, if the file exists.
    """

    def __init__(self, path: AnyPath, minutes: float = 10, resume: bool = False) -> None:
        if not minutes >= 0:
            raise UsageError(f"minutes must be 0 or more, not {minutes}")
        self.path, self.minutes, self.resume = Path(path), minutes, resume
        self.saved = time.perf_counter()

    def exists(self) -> bool:
        """Tell whether there is a checkpoint to go on from."""
        return self.path.is_file()

    def is_due(self) -> bool:
        """Tell whether the last checkpoint is `minutes` old."""
        return time.perf_counter() - self.saved > 60 * self.minutes

    def save(self, net: Sequential, optimizer: Optimizer, state: State) -> None:
        """Write the file. One that is there already stays whole until the new one is."""
        numbers: dict[str, Any] = {}
        arrays: dict[str, np.ndarray] = {}
        for name, value in optimizer.state().items():
            if name == "pairs":  # L-BFGS's history, as one array (pairs, 2, parameters)
                rows = [np.stack([to_numpy(s), to_numpy(y)]) for s, y in value]
                arrays[_OPTIMIZER + name] = np.stack(rows) if rows else np.empty((0, 2, net.n_params))
            elif value is None or isinstance(value, int | float):
                numbers[name] = value
            else:
                arrays[_OPTIMIZER + name] = to_numpy(value)
        if state.best is not None:
            arrays[_BEST] = to_numpy(state.best)
        place = {name: value for name, value in vars(state).items() if name != _BEST}
        arrays[STATE] = modelfile.as_json({"numbers": numbers, "state": place})
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            modelfile.write_arrays(file, modelfile.to_arrays(net) | arrays)
        self.saved = time.perf_counter()

    def load(self, net: Sequential, optimizer: Optimizer) -> State:
        """Put `net` and `optimizer` where the checkpoint left them, and return the place in the run."""
        arrays, about = self._read()
        own = {name: arrays.pop(name) for name in list(arrays) if name.startswith(_OPTIMIZER) or name == _BEST}
        saved = modelfile.from_arrays(arrays, str(self.path), type(net))
        own = {name.removeprefix(_OPTIMIZER): net.xp.asarray(array) for name, array in own.items()}
        best, state = own.pop(_BEST, None), own | about["numbers"]
        if repr(saved) != repr(net) or set(state) != set(optimizer.state()):
            raise DataError(
                f"the checkpoint {self.path} was written by a run with another net or optimizer; "
                "resume with the options of that run, or remove the file to start from the beginning"
            )
        if "pairs" in state:
            state["pairs"] = list(state["pairs"])
        net.set_flat(net.xp.asarray(saved.flat()))
        net.normalisation, net.class_values = saved.normalisation, saved.class_values
        optimizer.set_state(state)
        return State(**about["state"], best=best)

    def peek(self) -> tuple[dict[str, Any], list[Record]]:
        """Return the record of the net in the checkpoint, and the log so far: one record for each epoch."""
        arrays, about = self._read()
        return modelfile.read_about(arrays, str(self.path))["record"], about["state"]["records"]

    def _read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays of the file, whose checksums hold, and the numbers that are written beside them."""
        arrays = modelfile.read_arrays(self.path)
        if STATE not in arrays:
            raise DataError(f"{self.path} is not a tinympcnn checkpoint; remove it to start from the beginning")
        return arrays, json.loads(arrays.pop(STATE).tobytes())
