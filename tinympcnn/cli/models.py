"""The models that a command averages, and the calibration of their average."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from tinympcnn.errors import DataError
from tinympcnn.inference.average import agreed
from tinympcnn.inference.calibration import Calibration
from tinympcnn.inference.committee import Committee
from tinympcnn.net import Net

Paths = Sequence[str | PathLike[str]]


def load_committee(models: Paths, turns: bool = False) -> tuple[Committee, int]:
    """Read models that will be averaged, and return also the factor by which all want their images down-sampled."""
    nets, names = [Net.load(path) for path in models], [str(path) for path in models]
    return Committee(nets, turns, names), agreed("down-sampling", [resolution(net) for net in nets], names)


def load_calibration(path: str | PathLike[str] | None, values: tuple[int, ...]) -> Calibration | None:
    """Read a calibration if there is one, and check that it was fitted for these classes."""
    if path is None:
        return None
    calibration = Calibration.load(path)
    if calibration.class_values != values:
        raise DataError(f"{path} was fitted for the classes {calibration.class_values}, and the model's are {values}")
    return calibration


def resolution(net: Net) -> int:
    """Return the factor by which the images were down-sampled on which the net was trained: 1 for not at all."""
    factor = net.record.get("downsample", 1)
    if not isinstance(factor, int) or isinstance(factor, bool) or factor < 1:
        raise DataError(f"the model's record names the down-sampling {str(factor)[:40]!r}; it must be 1 or more")
    return factor
