"""The folder of a model that DeepImageJ, ilastik and QuPath read: bioimage.io's rdf.yaml beside the ONNX file.

The test tensors are an image and what this library gives for it, so every program can tell whether it gives the same.
The package bioimageio.spec knows the format, writes it and checks it.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Pair
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.atomic import replacing
from tinympcnn.io.onnx.graph import OPSET

FILES = ("model.onnx", "test-input.npy", "test-output.npy", "README.md", "rdf.yaml")
"""What the folder holds; the last file is written last and makes the folder a model."""
ENOUGH = 128  # pixels, for an image to test with
PAPER = (
    "Masci, Giusti, Ciresan, Fricout, Schmidhuber: A Fast Learning Algorithm for Image Segmentation with Max-Pooling "
    "Convolutional Networks. ICIP 2013."
)
DOI = "10.48550/arXiv.1302.1690"


def library() -> ModuleType:
    """Return the package bioimageio.spec, or say what to install."""
    try:
        from bioimageio import spec
    except ImportError:
        raise UsageError('--bioimageio needs bioimageio.spec: pip install "tinympcnn[bioimageio]"') from None
    return spec


def write_folder(folder: Path, model: Any, image: np.ndarray, result: np.ndarray) -> None:
    """Write an ONNX model, as ``model.py`` makes it, as a folder that bioimage.io describes.

    The folder exists; files that `FILES` names are replaced. The `image` to test with, array, shape (1, C, H, W), has
    the type of the model's input, and `result`, (1, K, h, w) or (1, K), is what the library gives for the image.
    """
    spec = library()
    with spec.ValidationContext(root=folder, perform_io_checks=False, log_warnings=False):
        description = spec.build_description(_described(folder.resolve().name, model, image, result))
        if isinstance(description, spec.InvalidDescr):
            error = description.validation_summary.errors[0]
            raise DataError(f"bioimageio.spec refuses {'.'.join(map(str, error.loc))} of the model: {error.msg}")
        with replacing(folder / "model.onnx") as temporary:
            temporary.write_bytes(model.SerializeToString())
        for name, array in (("test-input.npy", image), ("test-output.npy", result)):
            with replacing(folder / name) as temporary, open(temporary, "wb") as file:
                np.save(file, array)
        with replacing(folder / "README.md") as temporary:
            temporary.write_text(page(model), encoding="utf-8", errors="backslashreplace")
        with replacing(folder / "rdf.yaml") as temporary:
            spec.save_bioimageio_yaml_only(description, temporary)


def page(model: Any) -> str:
    """Return the text that goes with a model: what goes in, what comes out, how it was trained, how to check it."""
    about = metadata(model)
    rows, columns = about["field_of_view"]
    plain = [{k: v for k, v in record.items() if not isinstance(v, list)} for record in about["records"]]  # without log
    lines = [
        "# A max-pooling convolutional network of tinympcnn",
        f"One pixel of the output sees a window of {rows}x{columns} pixels. The graph normalises the pixels and "
        "mirrors the borders of the image itself: give it raw pixels, on the scale of the training images.",
        "## Classes" if model.graph.output[0].name == "probabilities" else "## Output",
        ", ".join(_outputs(model)),
        "## Training",
        *(f"```json\n{json.dumps(record, indent=1)}\n```" for record in plain),
        "## Validation",
        "`test-output.npy` is what tinympcnn gives for `test-input.npy`. For labelled images, compare with "
        "`tinympcnn evaluate`.",
        f"## Reference\n\n{PAPER} https://doi.org/{DOI}",
    ]
    return "\n\n".join(lines) + "\n"


def _outputs(model: Any) -> list[str]:
    """Return a name for each map of the output."""
    about = metadata(model)
    n = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    if model.graph.output[0].name != "probabilities":
        return [f"map {k}" for k in range(n)]
    return [str(name) for name in about["class_names"] or about["class_values"] or range(n)]


def example_size(model: Any) -> Pair:
    """Return a size for an image to test with, of which a good part is far from the borders."""
    rows, columns = ((least - (least - ENOUGH) // step * step) for least, step in _sizes(metadata(model)))
    return rows, columns


def metadata(model: Any) -> dict[str, Any]:
    """Return the metadata of an ONNX model by name."""
    return {one.key: json.loads(one.value) for one in model.metadata_props}


def _sizes(about: dict[str, Any]) -> list[tuple[int, int]]:
    """Return the least size of an image, with a pixel far from borders, and the step of sizes: rows, then columns."""
    steps = [k * about["downsample"] for k in about["grid"]]
    least = [(2 * halo + 1) * about["downsample"] for halo in about["halo"]]
    return [(-(-n // step) * step, step) for n, step in zip(least, steps, strict=True)]


def _described(name: str, model: Any, image: np.ndarray, result: np.ndarray) -> dict[str, Any]:
    """Return the content of rdf.yaml for a model of this name."""
    about = metadata(model)
    spec, source, target = library(), model.graph.input[0].name, model.graph.output[0].name
    channels = {"type": "channel", "channel_names": _outputs(model)}
    inputs = [{"type": "batch"}, {"type": "channel", "channel_names": [f"channel{i}" for i in range(image.shape[1])]}]
    outputs: list[dict[str, Any]] = [{"type": "batch"}, channels]
    for axis, halo, (least, step) in zip("yx", about["halo"], _sizes(about), strict=True):
        inputs.append({"type": "space", "id": axis, "size": {"min": least, "step": step}})
        size = {"tensor_id": source, "axis_id": axis}
        if result.ndim == 4:
            inner = {"halo": halo} if halo else {}
            outputs.append({"type": "space", "id": axis, "size": size, "scale": float(about["downsample"]), **inner})
    return {
        "format_version": spec.ModelDescr.implemented_format_version,
        "type": "model",
        "name": re.sub(r"[^\w+\- ()]", "_", f"tinympcnn {name}", flags=re.ASCII)[:60],
        "description": "A max-pooling convolutional network. Raw pixels go in, and the borders are mirrored inside.",
        "documentation": {"source": FILES[3]},
        "cite": [{"text": PAPER, "doi": DOI}],
        "tags": ["tinympcnn", "2d", "image-classification" if result.ndim == 2 else "semantic-segmentation"],
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [
            {"id": source, "axes": inputs, "data": {"type": str(image.dtype)}, "test_tensor": {"source": FILES[1]}}
        ],
        "outputs": [{"id": target, "axes": outputs, "data": {"type": "float32"}, "test_tensor": {"source": FILES[2]}}],
        "weights": {"onnx": {"source": FILES[0], "opset_version": OPSET}},
    }
