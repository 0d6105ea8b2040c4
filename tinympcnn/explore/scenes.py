"""A scene: a small net and an image as the data of the page, or one sentence that says why they can not be shown."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Pair
from tinympcnn.errors import UsageError, counted
from tinympcnn.nn.layers import Conv, FullyConnected, Layer, Logistic, MaxPoolFragment, Relu, Tanh
from tinympcnn.nn.sequential import Sequential

SHOWN = (Conv, FullyConnected, MaxPoolFragment, Tanh, Logistic, Relu)
"""The layers that the page can show; a patch net's MaxPool is shown as MaxPoolFragment."""
MOST_FRAGMENTS = 64
MOST_PIXELS = 64 * 64
MOST_MULTIPLICATIONS = 20_000_000  # of one forward pass: JavaScript takes a tenth of a second
MOST_PARAMETERS = 20_000
SMALL_NET = "'C3x3x3 MPF2x2 C2x2x3 MPF2x2 FC2'"
OUTPUTS = 13  # along an axis of the default crop: few enough to be told apart, and no multiple of usual pools


def scene(net: Sequential, image: np.ndarray, title: str, says: str = "") -> dict[str, Any]:
    """Return what the page needs to show `net` at work on `image`.

    Parameters
    ----------
    net : Sequential
        A small net of C, FC, MPF (or MP), tanh, logistic and relu layers, an image net or a patch net.
    image : array, shape (H, W) or (H, W, C)
        The image as the net takes it: cropped, and normalised if the net was trained on normalised images.
    title : str
        The name of the scene, a few words.
    says : str
        What the scene shows, one or two sentences.

    Returns
    -------
    dict
        The scene, of types that JSON has. UsageError says why a net or an image can not be shown, and what could.

    Examples
    --------
    >>> net = Sequential([Conv(1, 2, 3, rng=0), Tanh(), MaxPoolFragment(2), FullyConnected(2, 2, rng=0)])
    >>> shown = scene(net, np.zeros((9, 8)), "an empty image")
    >>> shown["image"]["H"], [layer["kind"] for layer in shown["layers"]]
    (9, ['Conv', 'Tanh', 'MaxPoolFragment', 'FullyConnected'])
    """
    image = np.asarray(image, np.float64)
    image = image[:, :, None] if image.ndim == 2 else image
    net = net.as_image()
    _check_layers(net)
    _check_sizes(net, image)
    H, W, C = image.shape
    return {
        "title": title,
        "says": says,
        "image": {"F": 1, "H": H, "W": W, "C": C, "data": image.ravel().tolist()},
        "layers": [_layer(layer) for layer in net.layers],
        "classes": list(net.class_names or [f"class {value}" for value in net.class_values or ()]),
    }


def default_crop(net: Sequential, size: Pair) -> tuple[slice, slice]:
    """Return the rows and columns in the middle of an image of `size` that give about a dozen outputs along each axis.

    Examples
    --------
    >>> default_crop(Sequential([Conv(1, 1, 3)]), (100, 9))
    (slice(42, 57, None), slice(0, 9, None))
    """
    lengths = [min(n, view - 1 + OUTPUTS) for n, view in zip(size, net.field_of_view, strict=True)]
    starts = [(n - length) // 2 for n, length in zip(size, lengths, strict=True)]
    rows, columns = (slice(start, start + length) for start, length in zip(starts, lengths, strict=True))
    return rows, columns


def _layer(layer: Layer) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": type(layer).__name__}
    if isinstance(layer, Conv):
        W, b = (np.asarray(layer.params[name], np.float64).ravel().tolist() for name in ("W", "b"))
        return {**data, "kernel": layer.kernel, "W": W, "b": b}
    return {**data, "k": layer.k} if isinstance(layer, MaxPoolFragment) else data


def _check_layers(net: Sequential) -> None:
    """Raise UsageError unless the page can show every layer and every fragment."""
    other = next((type(layer).__name__ for layer in net.layers if type(layer) not in SHOWN), None)
    if other:
        raise UsageError(
            f"the explorer can not show the layer {other}; it shows nets of C, FC, MPF, tanh, logistic and relu, such "
            f"as {SMALL_NET}"
        )
    if net.preprocessing not in (None, {"kind": "none"}):
        raise UsageError(
            "the explorer can not show what the net's preprocessing does to images; use a net that is trained without"
        )
    fragments = prod(net.split_step)
    if fragments > MOST_FRAGMENTS or net.n_params > MOST_PARAMETERS:
        raise UsageError(
            f"the net makes {fragments} fragments and has {net.n_params:,} parameters, and the explorer shows up to "
            f"{MOST_FRAGMENTS} fragments and {MOST_PARAMETERS:,} parameters; train a smaller net, such as {SMALL_NET}"
        )


def _check_sizes(net: Sequential, image: np.ndarray) -> None:
    """Raise UsageError unless the net takes the image, and both are small enough."""
    if image.ndim != 3 or image.shape[2] != net.in_maps:
        raise UsageError(f"the net takes images with {counted(net.in_maps, 'map')}, not an array {image.shape}")
    H, W = image.shape[:2]
    padded = net.padded_size((H, W))
    work = sum(row.flop for row in net.plan((H, W))) // 2
    if prod(padded) > MOST_PIXELS or work > MOST_MULTIPLICATIONS:
        P, Q = net.field_of_view
        raise UsageError(
            f"the crop of {H}x{W} makes {prod(padded):,} pixels with its padding and {work:,} multiplications, and the "
            f"explorer shows up to {MOST_PIXELS:,} and {MOST_MULTIPLICATIONS:,}; use a smaller crop, from {P}x{Q} up"
        )
