"""An OME-Zarr image as a sequence of pages: the largest of its resolutions, through zarr and ome-zarr-models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.image_file import ImageFile, reading

MARKS = ("zarr.json", ".zgroup", ".zarray")  # one of them lies in every Zarr
OURS = "tinympcnn"  # the attribute that holds what `segment` says of its results


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a Zarr."""
    return any((path / mark).is_file() for mark in MARKS)


def libraries() -> tuple[Any, dict[int, Any]]:
    """Return the module zarr, and the models of images by the version of Zarr, or say what to install."""
    try:
        import zarr
        from ome_zarr_models.v04 import image as before
        from ome_zarr_models.v05 import image as now
    except ImportError:
        raise UsageError('OME-Zarr needs zarr and ome-zarr-models: pip install "tinympcnn[zarr]"') from None
    return zarr, {2: before, 3: now}


class ZarrFile(ImageFile):
    """An OME-Zarr image. Time, depth and any other axis count pages; the channels are those of a page.

    Examples
    --------
    ``open_image("volume.zarr").describe()`` may say "T=2, Z=30, Y=512, X=512, uint16".
    """

    opened_by_workers = True

    def __init__(self, path: Path) -> None:
        zarr, models = libraries()
        with reading(path):
            ome, format = _attributes(path, zarr)
            axes, place, scale = _multiscale(path, ome, models[format])
            self._array = zarr.open_group(path, mode="r")[place]
        shape, dtype = self._array.shape, np.dtype(self._array.dtype)
        if len(shape) != len(axes) or dtype.kind not in "uif":
            raise DataError(f"{path} promises the axes {_names(axes)} and holds {dtype} pixels of shape {shape}")
        self._letters = _letters(path, axes)
        size = dict(zip(self._letters, shape, strict=True))
        metadata: dict[str, Any] = {}
        for letter, axis, step in zip(self._letters, axes, scale, strict=True):
            if axis.type in ("space", "time") and step is not None:
                metadata |= {f"PhysicalSize{letter}": step, f"PhysicalSize{letter}Unit": axis.unit or ""}
        super().__init__(
            path,
            (size["Y"], size["X"], size.get("C", 1)),
            dtype.newbyteorder("="),
            {letter: size[letter] for letter in self._letters if letter not in "YXC"},
            metadata | ome.get(OURS, {}),
        )
        self.rows_at_once = (self._array.shards or self._array.chunks)[self._letters.index("Y")]

    def _read(self, index: int, start: int, stop: int) -> np.ndarray:
        """Read rows of all channels of a page, and bring them into order."""
        at = dict(zip(self.page_axes, np.unravel_index(index, self.page_sizes), strict=True))
        place = [slice(start, stop) if axis == "Y" else at.get(axis, slice(None)) for axis in self._letters]
        pixels = np.asarray(self._array[tuple(place)])
        letters = [axis for axis in self._letters if axis not in at]
        if "C" not in letters:
            return pixels[:, :, None]
        return pixels.transpose([letters.index(axis) for axis in "YXC"])


def _attributes(path: Path, zarr: Any) -> tuple[dict[str, Any], int]:
    """Return the attributes of OME-NGFF, with this library's, and the version of Zarr; refuse what is no image."""
    node = zarr.open(path, mode="r")
    every = dict(node.attrs)
    ome = every.get("ome", every)
    if isinstance(node, zarr.Group) and isinstance(ome, dict) and "multiscales" in ome:
        ours = every.get(OURS)
        return {**ome, OURS: ours if isinstance(ours, dict) else {}}, node.metadata.zarr_format
    groups = sorted(node.groups()) if isinstance(node, zarr.Group) else []
    inside = [name for name, group in groups if "multiscales" in str(dict(group.attrs))]
    hint = f"; name the image in it, such as {path / inside[0]}" if inside else ""
    raise DataError(f"{path} is a Zarr but no OME-Zarr image: it has no multiscales metadata{hint}")


def _multiscale(path: Path, ome: dict[str, Any], model: Any) -> tuple[list[Any], str, list[float | None]]:
    """Return the axes, where the largest array lies, and the size of its pixels along each axis, where it is known."""
    import pydantic

    try:
        told = {name: ome[name] for name in ("version", "multiscales") if name in ome}  # not how a viewer shows it
        attributes = model.ImageAttrs.model_validate(told)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        reason = " ".join(fault["msg"].removeprefix("Value error, ").split())[:200]
        where = ".".join(map(str, fault["loc"]))
        raise DataError(f"{path} is no valid OME-Zarr image: {reason} (in {where})") from None
    multiscale = attributes.multiscales[0]
    axes, first = list(multiscale.axes), multiscale.datasets[0]
    scale: list[float | None] = [1.0] * len(axes)
    for transform in [*first.coordinateTransformations, *(multiscale.coordinateTransformations or ())]:
        if transform.type == "scale":
            steps = getattr(transform, "scale", [None] * len(axes))  # or a path to numbers, which few write
            scale = [a * b if a is not None and b is not None else None for a, b in zip(scale, steps, strict=True)]
    return axes, first.path, scale


def _letters(path: Path, axes: list[Any]) -> str:
    """Return one letter for each axis, as for TIFF: C for channels, Y and X for the last two, others for pages."""
    if [str(axis.name).lower() for axis in axes[-2:]] != ["y", "x"]:
        raise DataError(f"{path} has the axes {_names(axes)}; the last two must be y and x")
    letters = ""
    for axis in axes[:-2]:
        channels = axis.type == "channel" or (axis.type is None and axis.name == "c")
        wanted = "C" if channels else str(axis.name)[:1].upper()
        taken = letters + "YX" + ("" if channels else "C")
        letters += next(letter for letter in wanted + "PVWRABDEFG" if letter.isalpha() and letter not in taken)
    return letters + "YX"


def _names(axes: list[Any]) -> str:
    return ", ".join(str(axis.name) for axis in axes)
