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
    radius : float or None
        The radius of the discs that stand for objects, in pixels of the images as they are in the files, where labels
        are points or numbered objects. None reads label images of classes.
    """

    axes: str | None = None
    threshold: float | None = None
    ignore: tuple[int, ...] = ()
    downsample: int = 1
    radius: float | None = None

    def __post_init__(self) -> None:
        if self.downsample < 1:
            raise UsageError(f"downsample must be at least 1, not {self.downsample}")
        if self.radius is not None and not 0 < self.radius < float("inf"):
            raise UsageError(f"the radius of objects must be a positive number of pixels, not {self.radius}")
