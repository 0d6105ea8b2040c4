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
    radius: float | None = (
        None  # of the discs around points, in pixels of the files; None reads label images of classes
    )

    def __post_init__(self) -> None:
        if self.downsample < 1:
            raise UsageError(f"downsample must be at least 1, not {self.downsample}")
        if self.radius is not None and not 0 < self.radius < float("inf"):
            raise UsageError(f"the radius of objects must be a positive number of pixels, not {self.radius}")
