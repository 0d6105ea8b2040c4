"""Pixels that no net can use are refused before any arithmetic."""

import numpy as np

from tinympcnn.errors import DataError


def check_finite(pixels: np.ndarray, what: str) -> None:
    """Raise DataError if `pixels` hold NaN or infinite numbers; `what` names them in the message."""
    if pixels.dtype.kind == "f":
        bad = pixels.size - np.count_nonzero(np.isfinite(pixels))
        if bad:
            raise DataError(f"{what} has {bad} pixels that are NaN or infinite; replace them first")
