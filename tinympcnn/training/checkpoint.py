"""Everything a run needs to go on with the same bits: parameters, the best so far, optimiser, place in the run, log.

A checkpoint is an .npz file like a model's, written whole or not at all. There is no random state in it, because
``train.py`` draws whatever is random from the seed and the place in the run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.engine.backend import to_numpy
from tinympcnn.errors import DataError
from tinympcnn.io import modelfile
from tinympcnn.io.atomic import replacing
from tinympcnn.io.modelfile import STATE
from tinympcnn.nn.optim import Optimizer
from tinympcnn.nn.sequential import Sequential

_OPTIMIZER = "optimizer."  # prefix of the optimiser's arrays
_BEST = "best"


@dataclass
class State:
    """The place in a run, and its log so far."""

    seed: int = 0
    epoch: int = 0
    position: int = 0
    images: int = 0
    patches: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    records: list[dict[str, Any]] = field(default_factory=list)
    best: Any = None  # the parameters with the lowest validation loss so far, where they are wanted

    def plain(self) -> dict[str, Any]:
        """Return all but the array, by name."""
        return {key: value for key, value in vars(self).items() if key != "best"}


def exists(path: str | PathLike[str]) -> bool:
    """Tell whether there is a checkpoint to go on from."""
    return Path(path).is_file()


def save(path: str | PathLike[str], net: Sequential, optimizer: Optimizer, state: State) -> None:
    """Write a checkpoint; one that is there already stays whole until the new one is."""
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
    about = {"optimizer": type(optimizer).__name__, "numbers": numbers, "state": state.plain()}
    if state.best is not None:
        arrays[_BEST] = to_numpy(state.best)
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        modelfile.write_arrays(file, modelfile.to_arrays(net) | arrays | {STATE: text})


def load(path: str | PathLike[str], net: Sequential, optimizer: Optimizer) -> State:
    """Put `net` and `optimizer` where the checkpoint left them, and return the place in the run.

    Raises
    ------
    DataError
        If the file is damaged, or was written by a run with another net or optimizer.
    """
    arrays, about = _read(path)
    own = {name[len(_OPTIMIZER) :]: arrays.pop(name) for name in list(arrays) if name.startswith(_OPTIMIZER)}
    best = arrays.pop(_BEST, None)
    saved = modelfile.from_arrays(arrays, str(path), type(net))
    if about["optimizer"] != type(optimizer).__name__ or repr(saved) != repr(net):
        raise DataError(
            f"the checkpoint {path} was written by a run with another net or optimizer ({about['optimizer']}); "
            "resume with the options of that run, or remove the file to start from the beginning"
        )
    vectors = own if best is None else {**own, _BEST: best}
    if set(own) | set(about["numbers"]) != set(optimizer.state()) or not all(map(_fits(net), vectors.items())):
        raise _damaged(path)
    xp = net.xp
    net.set_flat(xp.asarray(saved.flat()))
    net.copy_about(saved)
    restored = {name: xp.asarray(value) for name, value in own.items() if name != "pairs"}
    if "pairs" in own:
        restored["pairs"] = [(xp.asarray(s), xp.asarray(y)) for s, y in own["pairs"]]
    optimizer.set_state(about["numbers"] | restored)
    return State(**about["state"], best=None if best is None else xp.asarray(best))


def peek(path: str | PathLike[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the record of the net in a checkpoint, and the log so far: one record for each epoch from the first on."""
    arrays, about = _read(path)
    return modelfile.read_about(arrays, str(path))["record"], about["state"]["records"]


def _read(path: str | PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a checkpoint and, checked, what is written beside them."""
    arrays = modelfile.read_arrays(Path(path))
    try:
        about = json.loads(arrays.pop(STATE).tobytes())  # place, log and the optimiser's numbers
        state, numbers, name = about["state"], about["numbers"], about["optimizer"]
        if not isinstance(name, str) or not all(value is None or _is_number(value) for value in numbers.values()):
            raise ValueError
        for key, usual in State().plain().items():
            if not (_is_number(state[key]) and state[key] >= 0 if key != "records" else isinstance(state[key], list)):
                raise ValueError
            if isinstance(usual, int) and not isinstance(state[key], int):
                raise ValueError
        if len(state) != len(State().plain()) or not all(isinstance(record, dict) for record in state["records"]):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _damaged(path) from error
    return arrays, about


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _fits(net: Sequential) -> Callable[[tuple[str, np.ndarray]], bool]:
    """Return a function that tells whether an array, given as (name, array), has a place in a run of `net`."""

    def fits(item: tuple[str, np.ndarray]) -> bool:
        name, array = item
        shape = (len(array), 2, net.n_params) if name == "pairs" and array.ndim else (net.n_params,)
        return array.shape == shape and array.dtype.kind == "f" and bool(np.isfinite(array).all())

    return fits


def _damaged(path: str | PathLike[str]) -> DataError:
    return DataError(f"{path} is not a whole tinympcnn checkpoint; remove it to start from the beginning")
