"""A trained net as one .npz file: architecture, parameters, normalisation, class values, training record.

Nothing in a model file is ever executed (``allow_pickle=False``, the description is JSON), and everything in it is
checked before it is used: version, names, shapes, types, sizes against the file, finite values.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.engine.backend import to_numpy
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.atomic import AnyPath, replacing
from tinympcnn.nn.layers import Layer, describe, layer_class, rebuild
from tinympcnn.nn.sequential import Sequential

AnyNet = TypeVar("AnyNet", bound=Sequential)
VERSION = 1
STATE = "state"  # the entry that a checkpoint has and a model has not; see ``checkpoint.py``
_ABOUT = "about"  # the entry that holds the JSON description
_MOST_JSON = 1 << 24  # bytes


def save(net: Sequential, path: AnyPath) -> None:
    """Write `net` to an .npz file, whole or not at all. A layer that is not registered is a `UsageError`."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        write_arrays(file, to_arrays(net))


def write_arrays(file: BinaryIO, arrays: dict[str, Any]) -> None:
    """Write named arrays as an uncompressed .npz: what `read_arrays` reads."""
    np.savez(file, **arrays)  # without allow_pickle, which NumPy before 2.2 takes for an array


def to_arrays(net: Sequential) -> dict[str, Any]:
    """Return what a model file holds, as named arrays."""
    about = {
        "format": "tinympcnn",
        "version": VERSION,
        "layers": [describe(layer) for layer in net.layers],
        "dtype": net.dtype.name,
        "normalisation": None if net.normalisation is None else [list(map(float, part)) for part in net.normalisation],
        "class_values": net.class_values,
        "class_names": net.class_names,
        "preprocessing": net.preprocessing,
        "record": net.record,
    }
    return {_ABOUT: as_json(about), **{name: to_numpy(param) for name, param, _ in net.parameters()}}


def as_json(value: Any) -> np.ndarray:
    """Return what JSON makes of `value`, as bytes; numbers and arrays of NumPy count as Python's."""
    try:
        return np.frombuffer(json.dumps(value, default=lambda array: array.tolist()).encode(), np.uint8)
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"a model file holds numbers, text, lists and dicts, and a record has more: {error}") from None


def load(path: AnyPath, make: Callable[[list[Layer]], AnyNet]) -> AnyNet:
    """Read a net that `save` wrote; `make` makes a net of layers.

    A file that is missing, truncated, of another version, or does not fit together is a `DataError`.
    """
    arrays = read_arrays(Path(path))
    if STATE in arrays:
        model = str(path).replace(".checkpoint", "")
        raise DataError(f"{path} is a checkpoint, for 'train --resume'; the end of the run writes the model, {model}")
    return from_arrays(arrays, str(path), make)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file, none of which can be larger than the file itself."""
    if not path.is_file():
        raise DataError(f"there is no model file {path}; train one with 'tinympcnn train'")
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it holds compressed entries")
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("its entries claim to be larger than the file")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if strange := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
            raise ValueError(f"entry {strange[0]!r} is no array")
        return arrays
    except Exception as error:  # zipfile and numpy raise a dozen types on damaged files; each means the same here
        raise DataError(f"{path} is not a whole tinympcnn model file ({_in_short(error)})") from error


def from_arrays(arrays: dict[str, np.ndarray], where: str, make: Callable[[list[Layer]], AnyNet]) -> AnyNet:
    """Return the net that `to_arrays` described; `where` names the file in error messages."""
    about = read_about(arrays, where)
    try:
        layers = _layers(about["layers"], arrays)
        net = make(layers).astype(about["dtype"])
        expected = {name: param for name, param, _ in net.parameters()}
        for name, param in expected.items():
            value = arrays[name]
            if value.shape != param.shape or value.dtype != param.dtype:
                raise ValueError(f"{name} is {value.dtype}{value.shape} instead of {param.dtype}{param.shape}")
            if not np.isfinite(value).all():
                raise ValueError(f"{name} has NaN or infinite values")
            param[...] = value
        if extra := set(arrays) - set(expected) - {_ABOUT}:
            raise ValueError(f"it holds the unknown entry {min(extra)!r}")
        _take_over(net, about)
        return net
    except KeyError as error:
        raise DataError(f"the model {where} has no {error}") from error
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"the model {where} does not fit together: {_in_short(error)}") from error


def _take_over(net: Sequential, about: dict[str, Any]) -> None:
    """Give the net what the description knows of its images, classes and training."""
    if about["normalisation"] is not None:
        mean, std = (np.asarray(part, np.float64) for part in about["normalisation"])
        if mean.shape != (net.in_maps,) or std.shape != mean.shape or not (np.isfinite(mean) & (std > 0)).all():
            raise ValueError("its normalisation does not fit the net")
        net.normalisation = mean, std
    if about["class_values"] is not None:
        net.class_values = tuple(int(np.int64(value)) for value in about["class_values"])
        if len(set(net.class_values)) != net.out_maps:
            raise ValueError(f"it names {len(set(net.class_values))} classes for {net.out_maps} outputs")
    if about.get("class_names") is not None:
        net.class_names = tuple(map(str, about["class_names"]))
        if len(set(net.class_names)) != net.out_maps:
            raise ValueError(f"it has {len(set(net.class_names))} class names for {net.out_maps} outputs")
    if about.get("preprocessing") is not None:
        net.preprocessing = Preprocessing(**about["preprocessing"]).config()
    net.record = about["record"]


def read_about(arrays: dict[str, np.ndarray], where: str) -> dict[str, Any]:
    """Return the description of a model file of this version."""
    text = arrays.get(_ABOUT)
    try:
        if text is None or text.dtype != np.uint8 or text.size > _MOST_JSON:
            raise ValueError
        about: dict[str, Any] = json.loads(text.tobytes())
        if about["format"] != "tinympcnn":
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DataError(f"{where} is not a tinympcnn model file; 'tinympcnn train' writes them") from None
    if about.get("version") != VERSION:
        raise DataError(
            f"the model {where} has version {about.get('version')!r}, and this tinympcnn reads version {VERSION}; "
            "use the tinympcnn that wrote it, or train anew"
        )
    if not isinstance(about.get("record"), dict):
        raise DataError(f"the model {where} has no record of its training")
    return about


def _layers(described: Any, arrays: dict[str, np.ndarray]) -> list[Layer]:
    """Make the layers described, after a look at the arrays: a description cannot ask for more than the file has."""
    layers = []
    for i, (name, config) in enumerate(described):
        for param, shape in layer_class(name).param_shapes(config).items():
            if (found := arrays[f"{i}.{name}.{param}"].shape) != shape:
                raise ValueError(f"{i}.{name}.{param} has shape {found}, and the layer is described as {config}")
        layers.append(rebuild(name, config))
    return layers


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
