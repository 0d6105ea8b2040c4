"""Probabilities and labels as OME-Zarr (OME-NGFF 0.5), written band by band by whoever computes the bands.

The image is the probabilities, with a channel for each class; below ``labels/classes`` lie the labels. A band is one
shard, one file, of each array, so no two processes ever write one file, and a band that is written twice is the same.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.image_file import ImageFile
from tinympcnn.io.predictions import label_dtype, most_probable
from tinympcnn.io.zarr.reader import OURS, is_zarr, libraries

CHUNK = 1 << 18  # pixels that a viewer reads together
UNITS = {
    "µm": "micrometer", "um": "micrometer", "micron": "micrometer", "microns": "micrometer", "nm": "nanometer",
    "mm": "millimeter", "cm": "centimeter", "m": "meter", "s": "second", "sec": "second", "ms": "millisecond",
}  # fmt: skip
TAGGED = {2: "inch", 3: "centimeter"}  # the units of TIFF's resolution
LABELS = "labels/classes"


def check_zarr(path: Path, inputs: Iterable[Path], force: bool) -> None:
    """Raise UsageError or DataError if a Zarr cannot be written at `path`, or would take the place of what is kept."""
    libraries()
    place = path.resolve()
    for read in inputs:
        if place in (read.resolve(), *read.resolve().parents):
            raise UsageError(f"{path} holds the input {read} and will not be overwritten; name another output")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already; remove it, or replace it with --force")
    if path.exists() and not is_zarr(path):
        raise UsageError(f"{path} exists and is no Zarr, so it is not replaced; name another output")
    for inside in sorted(path.glob("*")):
        if inside.is_file() and inside.name != "zarr.json" and inside.name[0] != ".":
            raise UsageError(f"{path} holds {inside.name}, which is no part of a Zarr; move it, or name another output")
    if not place.parent.is_dir():
        raise DataError(f"cannot write {path}: there is no folder {place.parent}; make it first")


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that takes its place at the end of the block, unless the block raises."""
    place = path.resolve()
    try:
        around = Path(tempfile.mkdtemp(".tmp", ".tinympcnn-", place.parent))
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        new = around / "new"
        new.mkdir()
        yield new
    except BaseException:
        shutil.rmtree(around, ignore_errors=True)
        raise
    if place.exists():
        place.rename(around / "old")
    new.rename(place)
    shutil.rmtree(around)


@dataclass(frozen=True)
class ZarrStore:
    """Writes the bands of an image into its Zarr; any process may, at any time, in any order."""

    path: Path
    pages: tuple[str, tuple[int, ...]]  # the letters and the sizes of the axes that count pages
    axes: str  # of the labels, as they are stored
    class_values: tuple[int, ...]

    def __call__(self, number: int, rows: slice, band: np.ndarray) -> None:
        """Write rows (h, W, K) of page `number`, and the value of the most probable class of each pixel."""
        zarr, _ = libraries()
        at: dict[str, Any] = dict(zip(self.pages[0], np.unravel_index(number, self.pages[1]), strict=True))
        at |= {"Y": rows, "X": slice(None)}
        channel = _with_classes(self.axes).index("C")
        place: list[Any] = [at[axis] for axis in self.axes]
        try:
            labels = zarr.open_array(self.path / LABELS / "0", mode="r+")
            labels[tuple(place)] = most_probable(band, self.class_values)
            place.insert(channel, slice(None))
            zarr.open_array(self.path / "0", mode="r+")[tuple(place)] = band.transpose(2, 0, 1)
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror or error}") from error


def made_store(path: Path, like: ImageFile, class_values: tuple[int, ...], factor: int, height: int) -> ZarrStore:
    """Lay out the Zarr of an image's results in an empty folder, in bands of `height` rows, and return its store.

    Axes, units and the sizes of pixels are those of the image `like`, whose pages may be down-sampled by `factor`.
    """
    zarr, models = libraries()
    size = dict(zip(like.page_axes, like.page_sizes, strict=True))
    size |= {"Y": like.shape[0] // factor, "X": like.shape[1] // factor, "C": len(class_values)}
    order = {"T": 0, "Z": 2}  # time first, then others, then depth
    axes = "".join(sorted(like.page_axes, key=lambda axis: order.get(axis, 1))) + "YX"
    ours = {"class_values": [int(value) for value in class_values]}
    kinds: list[tuple[str, str, Any, dict[str, Any]]] = [
        ("", _with_classes(axes), np.float32, {OURS: {**ours, "content": "probabilities"}}),
        (LABELS, axes, label_dtype(class_values), {OURS: {**ours, "content": "labels"}}),
    ]
    root = zarr.open_group(path, mode="w", zarr_format=3)
    for place, letters, dtype, attributes in kinds:
        ome: dict[str, Any] = {"version": "0.5", "multiscales": [_multiscale(letters, like, factor)]}
        if place == LABELS:
            shown = [{"label-value": int(value)} for value in class_values]
            ome["image-label"] = {"version": "0.5", "properties": shown, "source": {"image": "../../"}}
        group = root.require_group(place) if place else root
        group.attrs.update({"ome": ome, **attributes})
        columns = min(size["X"], max(32, CHUNK // height))
        chunk = {**dict.fromkeys(letters, 1), "Y": height, "X": columns}
        shard = {**chunk, "C": len(class_values), "X": -(-size["X"] // columns) * columns}
        group.create_array(
            "0",
            shape=tuple(size[axis] for axis in letters),
            dtype=dtype,
            chunks=tuple(chunk[axis] for axis in letters),
            shards=tuple(shard[axis] for axis in letters),
            dimension_names=[axis.lower() for axis in letters],
        )
    root["labels"].attrs["ome"] = {"version": "0.5", "labels": ["classes"]}
    try:
        models[3].Image.from_zarr(root)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        text = f"the axes {like.axes} of {like.path} do not fit into an OME-Zarr ({reason}); write TIFF, to a folder"
        raise DataError(text) from None
    return ZarrStore(path, (like.page_axes, like.page_sizes), axes, tuple(class_values))


def _with_classes(axes: str) -> str:
    """Return the axes of the probabilities: those of the labels, and the classes where OME-NGFF has the channels."""
    return axes.replace("T", "TC", 1) if "T" in axes else "C" + axes


def _multiscale(letters: str, like: ImageFile, factor: int) -> dict[str, Any]:
    kinds = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
    axes, scale = [], []
    for letter in letters:
        step, unit = _step(letter, like)
        if not 0 < step < math.inf:  # some programs write 0 or NaN for "not known", and JSON has no NaN
            step, unit = 1.0, None
        axis = {"name": letter.lower(), "type": kinds.get(letter), "unit": unit}
        axes.append({key: value for key, value in axis.items() if value})
        scale.append(step * (factor if letter in "YX" else 1))
    transforms = [{"type": "scale", "scale": scale}]
    return {"name": like.stem, "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}


def _step(letter: str, like: ImageFile) -> tuple[float, str | None]:
    """Return the size of a pixel along an axis and its unit, as OME, ImageJ or TIFF tell it; else 1 and no unit."""
    told = like.metadata
    try:
        if (size := told.get(f"PhysicalSize{letter}")) is not None:
            named = str(told.get(f"PhysicalSize{letter}Unit", "µm"))
            return float(size), UNITS.get(named, named)
        unit = told.get("unit")
        if letter == "Z" and "spacing" in told:
            return float(told["spacing"]), UNITS.get(str(unit))
        if letter == "T" and "finterval" in told:
            return float(told["finterval"]), "second"
        if letter in "YX" and "resolution" in told and (unit or told.get("resolutionunit") in TAGGED):
            size = 1 / told["resolution"]["XY".index(letter)]
            return size, UNITS.get(str(unit)) if unit else TAGGED[told["resolutionunit"]]
    except (TypeError, ValueError):
        pass
    return 1.0, None
