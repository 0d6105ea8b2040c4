"""How image and label files are read: one choice, made once, used by every command and recorded in the model."""

from __future__ import annotations

from dataclasses import dataclass

from tinympcnn.errors import UsageError


@dataclass(frozen=True)
class Reading:
    """How image and label files are read."""

    axes: str | None = None  # the axes of TIFF files that do not tell theirs, such as "ZYX"
    threshold: float | None = None  # label pixels above this value become 255, all others 0; None keeps the values
    ignore: tuple[int, ...] = ()  # the label values whose pixels do not count; -1 never counts
    downsample: int = 1  # the factor by which images and labels are shrunk

    def __post_init__(self) -> None:
        if self.downsample < 1:
            raise UsageError(f"downsample must be at least 1, not {self.downsample}")
