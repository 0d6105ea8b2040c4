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
        The axes of the images, such as ZYX or CYX. The default is to take the axes that each file declares.
    threshold : float or None
        Replace label pixels above this value by 255 and all others by 0. The default is to keep the values.
    ignore : tuple of int
        Leave out the pixels that have this label value. Repeat the option for several values. The value -1 is left
        out by default, but train refuses it unless --ignore=-1 names it.
    downsample : int
        The factor by which images and labels are shrunk.
    radius : float or None
        The radius in pixels of the discs that stand for objects. --labels then gives the places of the objects. The
        default is to read label images of classes.
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
