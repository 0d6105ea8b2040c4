"""The judges of the layers that a reader writes in tutorials 02, 04 and 05."""

from __future__ import annotations

import numpy as np

from course.grading import Verdict, grade
from tinympcnn import Conv, Layer, Logistic, MaxPool

# ------------------------------------------------------------------------------------- 02: convolve by hand


def grade_conv(layer: Conv) -> Verdict:
    """Judge the forward pass of a Conv."""

    def by(layer: Layer, x: np.ndarray, W: np.ndarray, bias: float = 1) -> np.ndarray:
        twin = Conv(W.shape[2], W.shape[3], W.shape[:2])
        twin.params = {"W": np.ascontiguousarray(W), "b": layer.params["b"] * np.float32(bias)}
        return twin.forward(np.ascontiguousarray(x))

    def only(layer: Layer, x: np.ndarray, i: int, j: int) -> np.ndarray:
        W = np.zeros_like(layer.params["W"])
        W[i, j] = layer.params["W"][i, j]
        return by(layer, x, W)

    mistakes = {
        "the kernel is turned by 180 degrees: tap (i, j) belongs to pixel (q+i, p+j)": (
            lambda layer, x: by(layer, x, layer.params["W"][::-1, ::-1])
        ),
        "the kernel's rows run backwards": lambda layer, x: by(layer, x, layer.params["W"][::-1]),
        "the kernel's columns run backwards": lambda layer, x: by(layer, x, layer.params["W"][:, ::-1]),
        "rows and columns of the kernel are swapped": (
            lambda layer, x: by(layer, x, layer.params["W"].swapaxes(0, 1).reshape(layer.params["W"].shape))
        ),
        "the bias is missing": lambda layer, x: by(layer, x, layer.params["W"], 0),
        "the bias is added once for each tap; it comes once for each output pixel": (
            lambda layer, x: by(layer, x, layer.params["W"], layer.params["W"].shape[0] * layer.params["W"].shape[1])
        ),
        "the bias is subtracted": lambda layer, x: by(layer, x, layer.params["W"], -1),
        "the first input map alone has a part in it": (
            lambda layer, x: by(layer, x[..., :1], layer.params["W"][:, :, :1])
        ),
        "the last tap alone counts: you assigned (=) where you must add (+=)": lambda layer, x: only(layer, x, -1, -1),
        "the first tap alone counts": lambda layer, x: only(layer, x, 0, 0),
        "this is the mean over the taps; a convolution is their sum": (
            lambda layer, x: by(layer, x, layer.params["W"] / np.float32(np.prod(layer.params["W"].shape[:2])))
        ),
    }
    return grade(layer, Conv(layer.in_maps, layer.out_maps, layer.kernel), mistakes=mistakes)


# ----------------------------------------------------------------------------- 04: convolution and tanh


def grade_logistic(layer: Layer) -> Verdict:
    """Judge the logistic function, forward and backward."""
    return grade(layer, Logistic())


def grade_conv_backward(layer: Conv) -> Verdict:
    """Judge the backward pass of a Conv."""
    hints = {
        "matmul": "going back, W[i, j] leads from its output maps to its input maps: W[i, j].T",
        "W[i, j]": "dy is (F, h, w, out maps) and W[i, j] is (in maps, out maps): which product leaves the input maps?",
        "tensordot": "dW[i, j] is (in maps, out maps): met comes first, and dy second",
        'grads["b"]': "db has one number for each output map: sum over fragments, rows and columns",
    }
    return grade(layer, Conv(layer.in_maps, layer.out_maps, layer.kernel), hints=hints)


# -------------------------------------------------------------------------------------- 05: max-pooling


def grade_pool(layer: Layer) -> Verdict:
    """Judge a MaxPool that has its windows as an axis of their own, also where pixels tie."""
    mistakes = {
        "this is the mean of the window, not its maximum": lambda layer, x: layer.windows(x).mean(axis=-1),
        "this is the smallest of the window": lambda layer, x: layer.windows(x).min(axis=-1),
        "this is the sum of the window": lambda layer, x: layer.windows(x).sum(axis=-1),
        "these are the codes of the winners, not their values": lambda layer, x: layer.windows(x).argmax(axis=-1),
        "the largest absolute value was taken": lambda layer, x: abs(layer.windows(x)).max(axis=-1),
        "this is the first pixel of each window": lambda layer, x: layer.windows(x)[..., 0],
    }
    hints = {
        "put_along_axis": "indices and values need the axis of the window, too: winners[..., None], dy[..., None]",
        "take_along_axis": "the indices need the axis of the window, too: winners[..., None]",
        "zero everywhere": "dy must be written into routed, at the winners",
    }
    return grade(layer, MaxPool(2), shape=(2, 5, 7, 3), mistakes=mistakes, hints=hints, ties=True)
