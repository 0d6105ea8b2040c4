"""How image and label files are read: one choice, made once, used by every command and recorded in the model."""

from __future__ import annotations

from dataclasses import dataclass

from tinympcnn.errors import UsageError


@dataclass(frozen=True)
class Reading:
    """How image and label files are read.

    Attributes
    ----------
    axes : str or None
        The axes of TIFF files that do not tell theirs, such as "ZYX".
    threshold : float or None
        Label pixels above this value become 255, all others 0. None keeps the values of the label files.
    ignore : tuple of int
        Label values whose pixels do not count. The value -1 never counts.
    downsample : int
        The factor by which images and labels are shrunk.
    """

    axes: str | None = None
    threshold: float | None = None
    ignore: tuple[int, ...] = ()
    downsample: int = 1

    def __post_init__(self) -> None:
        if self.downsample < 1:
            raise UsageError(f"downsample must be at least 1, not {self.downsample}")
