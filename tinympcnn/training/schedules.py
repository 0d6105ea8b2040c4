"""Learning-rate schedules: the factor on the learning rate, as a function of the epochs that are done.

A schedule has no state, so a run can be resumed anywhere.
"""

from __future__ import annotations

import math

from tinympcnn.errors import UsageError

DECAYS = ("none", "linear", "cosine")


def decay_factor(decay: str, done: float, epochs: int) -> float:
    """Return the factor on the learning rate by which a run of `epochs` epochs has decayed after `done` of them.

    "linear" and "cosine" fall to zero over the run. A number such as "0.993" multiplies the rate after every epoch; in
    "0.993:0.03" it does so down to the floor 0.03, as in the papers on classification.

    Examples
    --------
    >>> [round(decay_factor(name, done=2.5, epochs=10), 3) for name in (*DECAYS, "0.5", "0.5:0.3")]
    [1.0, 0.75, 0.854, 0.25, 0.3]
    """
    if decay == "none":
        return 1.0
    if decay == "linear":
        return 1 - done / epochs
    if decay == "cosine":
        return (1 + math.cos(math.pi * (done / epochs))) / 2
    factor, floor = _factor_and_floor(decay)
    return max(factor ** math.floor(done), floor)


def warmup_factor(warmup: float, done: float) -> float:
    """Return the factor on the learning rate that grows evenly from zero to one over the first `warmup` epochs."""
    return min(1.0, done / warmup) if warmup else 1.0


def is_endless(decay: str) -> bool:
    """Tell whether the schedule does not depend on the number of epochs, so that a run can go on for more of them."""
    return decay not in ("linear", "cosine")


def check_decay(decay: str) -> None:
    """Raise UsageError if there is no such schedule."""
    try:
        factor, floor = (1.0, 0.0) if decay in DECAYS else _factor_and_floor(decay)
        known = 0 < factor <= 1 and 0 <= floor <= 1
    except ValueError:
        known = False
    if not known:
        raise UsageError(
            f"decay must be one of {', '.join(DECAYS)}, or a factor for each epoch, not {decay!r}; a floor follows the "
            "factor, as in 0.993:0.03"
        )


def _factor_and_floor(decay: str) -> tuple[float, float]:
    factor, colon, floor = str(decay).partition(":")
    return float(factor), float(floor) if colon else 0.0
