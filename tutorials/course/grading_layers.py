"""The judges of the layers that a reader writes in tutorials 02, 04 and 05."""

from __future__ import annotations

import numpy as np

from course.grading import Gradient, Verdict, grade
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
        "the maps of W come first where those of the columns come last: W.reshape(-1, M) keeps the order": (
            lambda layer, x: by(layer, x, layer.params["W"].transpose(2, 0, 1, 3).reshape(layer.params["W"].shape))
        ),
        "the columns hold the maps first; a window is read rows, columns, maps, as W is": (
            lambda layer, x: by(
                layer,
                x,
                layer.params["W"].reshape(-1, *layer.kernel, layer.params["W"].shape[3]).transpose(1, 2, 0, 3),
            )
        ),
        "the maps came out first; y is (F, rows, columns, maps)": (
            lambda layer, x: by(layer, x, layer.params["W"]).transpose(0, 3, 1, 2)
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
    gradients: dict[str, tuple[str, Gradient]] = {
        "1 - y**2 is the slope of tanh; this is another function": (
            "x",
            lambda layer, x, dy: dy * (1 - layer.forward(x) ** 2),
        )
    }
    return grade(layer, Logistic(), gradients=gradients)


def grade_conv_backward(layer: Conv) -> Verdict:
    """Judge the backward pass of a Conv."""

    def by_turned(layer: Layer, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        W = layer.params["W"][::-1, ::-1]
        twin = Conv(W.shape[2], W.shape[3], W.shape[:2])
        twin.params = {"W": np.ascontiguousarray(W), "b": layer.params["b"]}
        twin.forward(x)
        return twin.backward(dy)

    gradients: dict[str, tuple[str, Gradient]] = {
        "you turned the kernel, but this loop spreads dy: the shift by (i, j) turns it already; use W[i, j]": (
            "x",
            by_turned,
        ),
        "dy is summed over the output maps, too; each map has a bias of its own": (
            "b",
            lambda layer, x, dy: np.full_like(layer.params["b"], dy.sum()),
        ),
    }
    axes = "sum met times dy over fragments, rows and columns, axes=([0, 1, 2], [0, 1, 2])"
    hints = {
        r'line \d+: .*grads\["W"\].*tensordot\(dy': "dW[i, j] is (in maps, out maps): met comes first, and dy second",
        r'line \d+: .*grads\["W"\]': f"dW[i, j] is (in maps, out maps): {axes}",
        r"line \d+: .*dx\[.*dy @ W": "going back, W[i, j] leads from its output maps to its input maps: W[i, j].T",
        r"line \d+: .*dx\[": (
            "dy is (F, h, w, out maps) and W[i, j] is (in maps, out maps): which product leaves the input maps?"
        ),
        r'line \d+: .*grads\["b"\]': "db has one number for each output map: sum over fragments, rows and columns",
    }
    like = Conv(layer.in_maps, layer.out_maps, layer.kernel)
    return grade(layer, like, gradients=gradients, hints=hints)


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
