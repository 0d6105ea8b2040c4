"""Checks of gradients against central differences: of a layer, a whole net or a loss, yours or the library's.

All checks run in float64, along a random direction for every tensor, under a RANDOM upstream gradient, because an
upstream gradient of ones cannot tell a wrong order of fragments (``differences.py``). The report says in words what is
wrong (``diagnosis.py``). Inputs are a shuffled range, so that no two values are close; if the winner of a max layer
changes nevertheless, the function has a kink and no derivative there, and the report says so. `check_contract` holds
a net against the promise of section 3.2 of the paper: an image net gives what its patch net gives, at every pixel,
and its gradient is the sum of the patches' gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinympcnn.engine.backend import Array, array_module
from tinympcnn.gradcheck.differences import Check, Differences, distance
from tinympcnn.nn.layers import Layer
from tinympcnn.nn.layers.row import LayerRow
from tinympcnn.nn.losses import Loss
from tinympcnn.nn.sequential import Sequential

Rng = int | np.random.Generator | None


@dataclass(frozen=True)
class Report:
    """The checks of one layer, net or loss. A report is true if all checks are ok; print it to read it."""

    subject: str
    checks: list[Check]

    @property
    def ok(self) -> bool:
        """True if every check is ok."""
        return all(check.ok for check in self.checks)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join([self.subject, *(f"  {check}" for check in self.checks)])

    def raise_if_wrong(self) -> Report:
        """Raise AssertionError, with the report as its message, unless every check is ok."""
        if not self.ok:
            raise AssertionError(str(self))
        return self


def check_layer(layer: Layer, x: Array | None = None, shape: Sequence[int] | None = None, rng: Rng = 0) -> Report:
    """Check the gradients of a layer's input and parameters. The layer itself stays as it is.

    The input `x` (F, H, W, C) is by default a shuffled range of the given shape, or of a small one with H != W that
    suits the layer. Parameters that are all zero get random values in the copy that is checked: a zero hides mistakes.

    Examples
    --------
    >>> from tinympcnn import MaxPoolFragment, Tanh
    >>> check_layer(MaxPoolFragment((2, 3))).ok
    True
    >>> class Careless(Tanh):
    ...     def backward(self, dy):
    ...         return dy * (1 - self.take_cache())
    >>> print(check_layer(Careless()).checks[0].message)
    the gradient of x: the factor (1 + y) is missing
    """
    rng = np.random.default_rng(rng)
    twin = layer.copied(lambda array: array.astype(np.float64), lambda array: array.astype(np.float64))
    _fill_zeros(twin.params, rng)
    if x is None:
        rows, columns = (n * twin.step[i] + twin.window[i] - 1 for i, n in enumerate((3, 4)))
        rows, columns = LayerRow([twin]).fitted_size((rows, columns))
        host = _distinct(tuple(shape or (3, rows, columns, twin.in_maps or 3)), rng)
        x = array_module(*twin.params.values()).asarray(host)
    x = x.astype(np.float64)
    return Report(repr(layer), Differences(twin.forward, twin.backward, {"": twin}, "x", x, None, rng).checks())


def check_net(
    net: Sequential, images: Array | None = None, target: Array | None = None, loss: Loss | None = None, rng: Rng = 0
) -> Report:
    """Check the gradients of all parameters of a net, and of its images. The net itself stays as it is.

    The images (N, H, W, C) are by default two small ones with H != W. With a target and a loss, the upstream gradient
    is that of the loss, which is checked too (the line "scores").

    Examples
    --------
    >>> from tinympcnn import Net
    >>> check_net(Net.from_spec("C3x3x2 MPF2x2 FC2", rng=0)).ok
    True
    """
    rng = np.random.default_rng(rng)
    twin = net.astype(np.float64)
    for layer in twin.layers:
        _fill_zeros(layer.params, rng)
    if images is None:
        images = twin.xp.asarray(_distinct((2, *twin.input_size((3, 4)), twin.in_maps), rng))
    x, dscores, checks = images.astype(np.float64), None, []
    if loss is not None and target is not None:
        scores = twin.forward(x, train=False)
        checks = check_loss(loss, scores, target, rng).checks
        loss.forward(scores, target)
        dscores = loss.backward()
    layers = {f"{i}.{type(layer).__name__}.": layer for i, layer in enumerate(twin.layers)}
    checks += Differences(twin.forward, twin.backward, layers, "images", x, dscores, rng).checks()
    return Report(repr(net), checks)


def check_loss(loss: Loss, scores: Array, target: Array, rng: Rng = 0) -> Report:
    """Check the gradient of a loss: ``forward(scores, target) -> float``, ``backward() -> dscores``.

    Examples
    --------
    >>> from tinympcnn import MeanSquaredError, Net
    >>> check_loss(MeanSquaredError(), np.eye(3)[None, None], np.ones((1, 1, 3, 3))).ok
    True
    """
    one = array_module(scores, target).ones((1, 1, 1, 1))
    x, rng = scores.astype(np.float64), np.random.default_rng(rng)
    passes = (lambda x: loss.forward(x, target) * one), (lambda dy: loss.backward() * dy)
    return Report(type(loss).__name__, Differences(*passes, {}, "scores", x, one, rng, x.size**0.5).checks())


class Contract(NamedTuple):
    """The distances between an image net and its patch net, relative to the norm: of scores, and of gradients."""

    scores: float
    gradient: float


def check_contract(net: Sequential, image: Array, rng: Rng = 0) -> Contract:
    """Compare a net on an image (H, W, C) with its patch net on every window of that image, in float64.

    Both distances should be below 1e-12. The gradient is that of a random linear function of the scores.

    Examples
    --------
    >>> from tinympcnn import Net
    >>> net = Net.from_spec("C3x3x2 MPF2x2 FC2", rng=0)
    >>> max(check_contract(net, np.random.default_rng(0).standard_normal((7, 8, 1)))) < 1e-12
    True
    """
    twin = net.astype(np.float64)
    whole, patch, xp = twin.as_image(), twin.as_patch(), twin.xp
    image, (P, Q) = image.astype(np.float64), twin.field_of_view
    scores = whole.forward(image[None])
    dscores = xp.asarray(np.random.default_rng(rng).standard_normal(scores.shape))
    twin.zero_grads()
    whole.backward(dscores)
    gradient = twin.flat_grads()
    twin.zero_grads()
    patch_scores = xp.zeros_like(scores[0])
    for q in range(scores.shape[1]):  # one row of windows at a time
        windows = xp.stack([image[q : q + P, p : p + Q] for p in range(scores.shape[2])])
        patch_scores[q] = patch.forward(windows)[:, 0, 0]
        patch.backward(dscores[0, q][:, None, None])
    return Contract(distance(scores[0], patch_scores), distance(gradient, twin.flat_grads()))


def _fill_zeros(params: dict[str, Array], rng: np.random.Generator) -> None:
    for param in params.values():
        if not param.any():
            param[...] = array_module(param).asarray(rng.standard_normal(param.shape))


def _distinct(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return a shuffled range between -2 and 2: no two values are close."""
    return rng.permutation(np.linspace(-2, 2, int(np.prod(shape)))).reshape(shape)
