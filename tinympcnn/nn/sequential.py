"""Layers in a row, run on whole images forward and backward.

The same parameters serve two nets, an image net with MaxPoolFragment layers and a patch net with MaxPool layers
(`as_image`, `as_patch`). Both give the same scores at every pixel, and the gradient of the image net is the sum of the
gradients over all patches: that is the contract of this library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, Self

import numpy as np

from tinympcnn import engine
from tinympcnn.engine import backend
from tinympcnn.engine.backend import Array, Pair
from tinympcnn.errors import UsageError, counted
from tinympcnn.nn import plan as planning
from tinympcnn.nn.layers import Layer
from tinympcnn.nn.layers.chain import Chain
from tinympcnn.nn.layers.row import every


class Sequential(Chain):
    """Layers in the order in which they are applied. MaxPoolFragment makes an image net, MaxPool a patch net.

    Attributes
    ----------
    normalisation : (mean, std) or None
        The mean and the standard deviation of every input map over the training set. Training and `segment` use them;
        `forward` does not.
    class_values : tuple of int or None
        The value of each class in label images.
    class_names : tuple of str or None
        The name of each class, for nets that classify whole images.
    preprocessing : dict or None
        What happens to an image before the net sees it, as ``tinympcnn.data.preprocessing`` writes and reads it.
    record : dict
        The record of the training; anything JSON can hold.

    Examples
    --------
    >>> from tinympcnn.nn.layers import Conv, FullyConnected, MaxPoolFragment, Tanh
    >>> net = Sequential([Conv(1, 4, 3, rng=0), Tanh(), MaxPoolFragment(2), FullyConnected(4, 2, 2, rng=1)])
    >>> net.field_of_view, net.n_params
    ((6, 6), 74)
    >>> image = np.random.default_rng(0).standard_normal((1, 9, 8, 1)).astype(np.float32)
    >>> dense = net.forward(image)
    >>> dense.shape
    (1, 4, 3, 2)
    >>> patch = net.as_patch().forward(image[:, 2:8, 1:7])
    >>> bool(np.allclose(dense[0, 2, 1], patch[0, 0, 0], atol=1e-6))
    True
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        if strange := [type(layer) for layer in every(self.layers) if not hasattr(layer, "params")]:
            raise UsageError(f"{strange[0].__name__} has no params: begin its __init__ with super().__init__()")
        everywhere = [id(layer) for layer in every(self.layers)]
        if len(set(everywhere)) < len(everywhere):
            raise UsageError("the same layer object stands twice in the net; make one for each place")
        self.normalisation: tuple[np.ndarray, np.ndarray] | None = None
        self.class_values: tuple[int, ...] | None = None
        self.class_names: tuple[str, ...] | None = None
        self.preprocessing: dict[str, Any] | None = None
        self.record: dict[str, Any] = {}
        if self.pools and self.stride != (1, 1):
            raise UsageError(
                "a net has either MaxPoolFragment layers (image net) or MaxPool layers (patch net), not both"
            )
        self.plan(self.smallest_image)  # layers that do not fit together raise here
        dtype = self.dtype
        for name, param in ((name, param) for layer in self.layers for name, param in layer.params.items()):
            if param.dtype != dtype or dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
                raise UsageError(
                    f"parameter {name} is {param.dtype}, and another is {dtype}: give all one type, as in "
                    "np.ones(3, np.float32)"
                )

    def input_size(self, outputs: Pair) -> Pair:
        """Return the smallest size of an image for `outputs` (rows, columns) or, where sizes must divide, more."""
        return self.fitted_size((outputs[0] + self.window[0] - 1, outputs[1] + self.window[1] - 1))

    @property
    def in_maps(self) -> int:
        """The number of maps of the images that the net takes."""
        return super().in_maps or 1

    @property
    def out_maps(self) -> int:
        """The number of scores of a pixel, which is the number of classes."""
        return self.plan(self.smallest_image)[-1].shape[3]

    def plan(self, size: Pair, images: int = 1) -> list[planning.Row]:
        """Return, layer by layer, the storage that `images` images of `size` lead to; see ``nn/plan.py``."""
        return list(planning.plan(self, (images, *size, self.in_maps)))

    def __str__(self) -> str:
        return planning.table(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.layers!r})"

    def forward(self, images: Array, train: bool = True, outputs: Pair | None = None) -> Array:
        """Return the dense scores of `images`; with ``train=True`` keep what `backward` needs.

        Parameters
        ----------
        images : array, shape (N, H, W, C)
            The images, of any size from the field of view (P, Q) up; if the net has Upsample, of a size that divides
            in its pools, see `input_size`. They are converted to the dtype of the parameters, and not normalised.
        train : bool
            Whether `backward` will follow; False saves its memory.
        outputs : (rows, columns), optional
            The number of scores to keep, from the top left; by default all.

        Returns
        -------
        array, shape (N, H-P+1, W-Q+1, K)
            The scores before softmax of every window. A patch net, whose stride is larger, gives one for each stride.
            UsageError or DataError says what of the images does not fit the net: size, maps or device.
        """
        backend.array_module(images, *self._arrays())
        if getattr(images, "ndim", None) != 4 or not len(images):
            raise UsageError(
                f"images must be an array (N, H, W, C), N >= 1, not {getattr(images, 'shape', type(images).__name__)}; "
                "one grey image is image[None, :, :, None]"
            )
        if images.shape[3] != self.in_maps:
            raise UsageError(f"the net takes images with {counted(self.in_maps, 'map')}, not {images.shape[3]}")
        with engine.single_threaded_blas():
            return super().forward(images.astype(self.dtype, copy=False), train, outputs)

    def backward(self, dscores: Array, input_grad: bool = True) -> Array | None:
        """Add to the gradients of all parameters; return the gradient of the images, (N, H, W, C), or None.

        `dscores` is the gradient of the loss with respect to the scores that the last ``forward(images, train=True)``
        returned. With ``input_grad=False`` the gradient of the images is not computed.
        """
        backend.array_module(dscores, *self._arrays())
        with engine.single_threaded_blas():
            return super().backward(dscores.astype(self.dtype, copy=False), input_grad)

    def normalised(self, image: np.ndarray) -> np.ndarray:
        """Return `image` (..., C) less the mean, divided by the standard deviation, in the dtype of the net."""
        if self.normalisation is None:
            return image.astype(self.dtype)
        mean, std = self.normalisation
        centred: np.ndarray = np.subtract(image, mean, dtype=np.float64)
        centred /= std
        return centred.astype(self.dtype, copy=False)

    def parameters(self) -> Iterator[tuple[str, Array, Array]]:
        """Yield (name, parameter, gradient) in layer order, with names such as ``"0.Conv.W"``."""
        for i, layer in enumerate(self.layers):
            grads = layer.grads  # a Skip gathers them from its inner layers
            for name, param in layer.params.items():
                yield f"{i}.{type(layer).__name__}.{name}", param, grads[name]

    def _arrays(self) -> list[Array]:
        return [param for _, param, _ in self.parameters()]

    @property
    def n_params(self) -> int:
        """The number of parameters."""
        return sum(param.size for param in self._arrays())

    @property
    def dtype(self) -> np.dtype:
        """The type of the parameters, in which the net computes."""
        return next((param.dtype for _, param, _ in self.parameters()), np.dtype(np.float32))

    @property
    def xp(self) -> ModuleType:
        """The array module (numpy or cupy) of the parameters."""
        return backend.array_module(*self._arrays())

    def flat(self) -> Array:
        """Return a copy of all parameters as one vector, in the order of `parameters`."""
        v: Array = self.xp.concatenate([param.ravel() for param in self._arrays()])
        return v

    def flat_grads(self) -> Array:
        """Return a copy of all gradients as one vector, in the order of `parameters`."""
        v: Array = self.xp.concatenate([grad.ravel() for _, _, grad in self.parameters()])
        return v

    def set_flat(self, v: Array) -> None:
        """Set all parameters, in place, from a vector such as `flat` returns."""
        self._fill(v, self._arrays())

    def set_flat_grads(self, v: Array) -> None:
        """Set all gradients, in place, from a vector such as `flat_grads` returns."""
        self._fill(v, [grad for _, _, grad in self.parameters()])

    def _fill(self, v: Array, arrays: list[Array]) -> None:
        if v.shape != (self.n_params,):
            raise UsageError(f"the vector has shape {v.shape}; this net has {self.n_params} parameters")
        backend.array_module(v, *arrays)
        start = 0
        for array in arrays:
            array[...] = v[start : start + array.size].reshape(array.shape)
            start += array.size

    def zero_grads(self) -> None:
        """Set all gradients to zero."""
        for _, _, grad in self.parameters():
            grad[...] = 0

    def as_patch(self) -> Self:
        """Return the patch net (MaxPool) with these very parameters and gradients: shared, not copied.

        It maps patches (N, P, Q, C) of the size of the field of view to scores (N, 1, 1, K). A net with Upsample has
        none, and raises UsageError.
        """
        if self.comes_up:
            raise UsageError(
                "a net with Upsample has no patch net, because what an output sees depends on its place in the pools"
            )
        return self._with([layer.as_patch().copied() for layer in self.layers])

    def as_image(self) -> Self:
        """Return the image net (MaxPoolFragment) with these very parameters and gradients: shared, not copied.

        A net with Upsample is an image net.
        """
        layers = self.layers if self.stride == (1, 1) else [layer.as_image() for layer in self.layers]
        return self._with([layer.copied() for layer in layers])

    def replica(self) -> Self:
        """Return a net for another worker: its parameters are these, shared; its gradients and caches are its own."""
        return self._with([layer.copied(grad=lambda array: array * 0) for layer in self.layers])

    def to(self, name: str) -> Self:
        """Return a copy of the net on another backend, ``"numpy"`` or ``"cupy"``; this one stays as it is."""
        xp, _ = backend.load(name)
        return self._converted(xp.array if xp is not np else lambda array: backend.to_numpy(array).copy())

    def astype(self, dtype: Any) -> Self:
        """Return a copy of the net that computes in `dtype`, float32 or float64; this one stays as it is."""
        if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise UsageError(f"a net computes in float32 or float64, not in {np.dtype(dtype)}")
        return self._converted(lambda array: array.astype(dtype))

    def _converted(self, convert: Callable[[Array], Array]) -> Self:
        return self._with([layer.copied(convert, convert) for layer in self.layers])

    def _with(self, layers: list[Layer]) -> Self:
        net = type(self)(layers)
        for name in ("normalisation", "class_values", "class_names", "preprocessing", "record"):
            setattr(net, name, getattr(self, name))
        return net
