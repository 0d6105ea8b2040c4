"""Pixels that no net can use: they are refused before any arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinympcnn.errors import DataError

NO_DATA = (-9999.0, -99999.0, -32767.0, -32768.0, *np.finfo(np.float32).min * np.array([1.0, -1.0]))
"""The usual values of pixels that were not measured, in height maps for instance."""


def check_finite(pixels: np.ndarray, what: str, no_data: float | None = None, ignored: Sequence[int] = ()) -> None:
    """Raise DataError if pixels are NaN or infinite, or if their value says that there is no data.

    A value says so if it is one of `NO_DATA` or the file's own `no_data`, and lies farther from all other pixels than
    these lie from each other. Unsigned types have no such value, and values that are `ignored` do no harm. `what` names
    the pixels in the message.

    Examples
    --------
    >>> check_finite(np.array([0.3, 0.5, -9999.0]), "height.tif")
    Traceback (most recent call last):
        ...
    tinympcnn.errors.DataError: height.tif has 1 pixels of -9999, which look like "no data"; replace them first
    """
    if pixels.dtype.kind not in "biuf":
        raise DataError(f"{what} has pixels of type {pixels.dtype}, and a net takes real numbers; convert them first")
    if pixels.dtype.kind == "f" and (bad := pixels.size - np.count_nonzero(np.isfinite(pixels))):
        raise DataError(f"{what} has {bad} pixels that are NaN or infinite; replace them first")
    if pixels.size and pixels.dtype.kind in "if":
        values = NO_DATA if no_data is None else (*NO_DATA, no_data)
        for extreme in (pixels.min(), pixels.max()):
            if extreme not in ignored and any(math.isclose(extreme, value, rel_tol=1e-6) for value in values):
                others = pixels[pixels != extreme].astype(np.float64)
                if others.size == 0 or min(abs(others - extreme)) > np.ptp(others):
                    count = pixels.size - others.size
                    raise DataError(
                        f'{what} has {count} pixels of {extreme:g}, which look like "no data"; replace them first'
                    )
