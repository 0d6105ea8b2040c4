"""What every layer is: parameters, their gradients, and a hand-derived forward and backward pass.

To write a layer of your own, derive from ``Layer``, fill `params` and `grads`, and implement `forward`, `backward`
and, if it changes sizes, `output_shape`; then let ``tinympcnn.gradcheck.check_layer`` tell you whether it is right.
"""

from __future__ import annotations

from typing import Any

from tinympcnn.engine.backend import Array, Pair, Shape
from tinympcnn.errors import UsageError


class Layer:
    """A function from an input storage (F, H, W, C) to an output storage, and its derivative.

    Attributes
    ----------
    params, grads : dict of str to array
        Parameters and the gradients accumulated so far; the same keys and shapes, W before b.
    cache : object
        What `backward` needs of the last ``forward(x, train=True)``; None when there is nothing.
    window, step : (rows, columns)
        What one output sees of the input, and how far apart in the input neighbours of a fragment look.
    in_maps : int or None
        Number of maps it takes; None for any.
    splits : bool
        The layer makes one fragment for each offset (r, c) with r, c < step: what MaxPoolFragment does.
    patch_twin, image_twin : type, optional
        The layer that takes this one's place in a patch net and in an image net, made as ``twin(layer.k)``.
    pointwise : bool
        Each output depends on one input only: `forward` and `backward` accept ``out=``, which may be their input.
    keeps_output : bool
        `cache` holds the array that `forward` returned, so nobody may overwrite that array.
    """

    window: Pair = (1, 1)
    step: Pair = (1, 1)
    in_maps: int | None = None
    splits = False
    patch_twin: Any = None
    image_twin: Any = None
    pointwise = False
    keeps_output = False

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.cache: Any = None

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the output storage; with ``train=True`` leave in `cache` what `backward` needs."""
        raise TypeError(f"{type(self).__name__} defines no forward pass")

    def backward(self, dy: Array) -> Array:
        """Return the gradient of the input, given that of the output; ADD those of the parameters to `grads`."""
        raise TypeError(f"{type(self).__name__} defines no backward pass")

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the output storage for an input storage of `shape`, or raise UsageError."""
        return shape

    def flop(self, shape: Shape) -> int:
        """Return the multiplications and additions of one forward pass on an input storage of `shape`."""
        return 0

    def config(self) -> dict[str, Any]:
        """Return the arguments that make a layer like this one; empty for a layer without arguments."""
        return {}

    def take_cache(self) -> Any:
        """Return what the forward pass left, and forget it: one backward pass for each forward pass."""
        if self.cache is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a forward(x, train=True) before it")
        cache, self.cache = self.cache, None
        return cache

    def check_maps(self, C: int) -> None:
        """Raise UsageError unless the layer takes `C` maps."""
        if self.in_maps not in (None, C):
            raise UsageError(f"{self!r} takes {self.in_maps} input maps and got {C}")

    def check_dy(self, dy: Array, shape: tuple[int, ...]) -> None:
        """Raise UsageError unless `dy` has the `shape` of the output: broadcasting would make something of it."""
        if dy.shape != shape:
            raise UsageError(f"{self!r}: dy has shape {dy.shape}; the output had {shape}")
