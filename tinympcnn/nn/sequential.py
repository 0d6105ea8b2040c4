"""A net: layers in a row, run on whole images forward and backward.

The same parameters serve two nets, an image net with MaxPoolFragment layers and a patch net with MaxPool layers
(`as_image`, `as_patch`); that both give the same scores at every pixel, and the same gradient summed over all
patches, is the contract of this library. Read next: ``layers/``, then ``train.py``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from math import prod
from types import ModuleType
from typing import Any, Self

import numpy as np

from tinympcnn import engine
from tinympcnn.engine import backend
from tinympcnn.engine.backend import Array, Pair, Shape
from tinympcnn.errors import UsageError
from tinympcnn.nn import plan as planning
from tinympcnn.nn.fragments import merge, split
from tinympcnn.nn.layers import Conv, Layer


class Sequential:
    """Layers in a row.

    Parameters
    ----------
    layers : sequence of Layer
        In the order in which they are applied. MaxPoolFragment makes an image net, MaxPool a patch net.

    Attributes
    ----------
    layers : list of Layer
    field_of_view : (rows, columns)
        The window that one output pixel sees.
    stride : (rows, columns)
        Distance between neighbouring outputs in the image: (1, 1) for an image net.
    normalisation : (mean, std) or None
        One of each for every input map, from the training set; used by `segment` and `train`, not by `forward`.
    class_values : tuple of int or None
        The label image's value for each class.
    class_names : tuple of str or None
        The name of each class, for nets that classify whole images.
    preprocessing : dict or None
        What happens to an image before the net sees it, as ``tinympcnn.data.preprocessing`` writes and reads it.
    record : dict
        How the net was trained; anything JSON can hold.

    Examples
    --------
    >>> import numpy as np
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
        self.layers = list(layers)
        if not self.layers or not all(isinstance(layer, Layer) for layer in self.layers):
            raise UsageError(f"a net is made of one or more layers, not of {layers!r}")
        if len({id(layer) for layer in self.layers}) < len(self.layers):
            raise UsageError("the same layer object stands twice in the net; make one for each place")
        self.normalisation: tuple[np.ndarray, np.ndarray] | None = None
        self.class_values: tuple[int, ...] | None = None
        self.class_names: tuple[str, ...] | None = None
        self.preprocessing: dict[str, Any] | None = None
        self.record: dict[str, Any] = {}
        self._crop: tuple[Shape, Pair] | None = None
        if self.pools and self.stride != (1, 1):
            raise UsageError(
                "a net has either MaxPoolFragment layers (image net) or MaxPool layers (patch net), not both"
            )
        self.plan(planning.smallest_image(self.layers))  # layers that do not fit together raise here

    # ------------------------------------------------------------------------------------- geometry

    @property
    def field_of_view(self) -> Pair:
        """The window (rows, columns) of the image that one output pixel sees."""
        return planning.field_of_view(self.layers)

    @property
    def stride(self) -> Pair:
        """Distance (rows, columns) in the image between neighbouring outputs."""
        return planning.stride(self.layers)

    @property
    def pools(self) -> list[Pair]:
        """Pools (kh, kw) of the layers that make fragments, in order."""
        return planning.pools(self.layers)

    @property
    def split_step(self) -> Pair:
        """Product of the pools (rows, columns) that make fragments: dense outputs come in multiples of it."""
        return planning.split_step(self.layers)

    @property
    def in_maps(self) -> int:
        """Maps of the images this net takes."""
        return planning.in_maps(self.layers)

    @property
    def out_maps(self) -> int:
        """Scores per pixel: the number of classes."""
        return self.plan(planning.smallest_image(self.layers))[-1].shape[3]

    def plan(self, size: Pair, images: int = 1) -> list[planning.Row]:
        """Return, layer by layer, the storage that `images` images of `size` lead to; see ``plan.py``."""
        return planning.plan(self.layers, size, images)

    def __str__(self) -> str:
        return planning.table(self.layers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.layers!r})"

    # --------------------------------------------------------------------------- forward and backward

    def forward(self, images: Array, train: bool = True) -> Array:
        """Return the dense scores of `images`; with ``train=True`` keep what `backward` needs.

        Parameters
        ----------
        images : array, shape (N, H, W, C)
            Any size from the field of view (P, Q) up; converted to the parameters' dtype, not normalised.
        train : bool
            False saves the memory of a backward pass.

        Returns
        -------
        array, shape (N, H-P+1, W-Q+1, K)
            The scores before softmax of every window. A patch net, whose stride is larger, gives one for each stride.

        Raises
        ------
        UsageError
            If the images are smaller than the field of view, or have another number of maps than the net takes.
        DataError
            If the images are on the device and the net is not, or the other way round.
        """
        self._check_images(images)
        N, H, W, C = images.shape
        padded = planning.padded_size(self.layers, (H, W))
        x = images.astype(self.dtype, copy=False)
        if padded != (H, W):
            x = engine.empty((N, *padded, C), x)
            x[:, H:], x[:, :H, W:] = 0, 0
            x[:, :H, :W] = images
        with engine.single_threaded_blas():
            ours = False  # whether x may be overwritten: not the caller's image, nor what a layer keeps
            for layer in self.layers:
                in_place = {"out": x} if layer.pointwise and ours else {}
                x = layer.forward(x, train, **in_place)
                ours = not layer.keeps_output
        if not self.pools:
            self._crop = (x.shape, x.shape[1:3]) if train else None
            return x
        n, m = H - self.field_of_view[0] + 1, W - self.field_of_view[1] + 1
        self._crop = (x.shape, (n, m)) if train else None
        return merge(x, self.pools)[:, :n, :m]

    def backward(self, dscores: Array, input_grad: bool = True) -> Array | None:
        """Add to the gradients of all parameters, and return the gradient of the images.

        Parameters
        ----------
        dscores : array, shape of the scores that the last ``forward(images, train=True)`` returned
            Gradient of the loss with respect to the scores.
        input_grad : bool
            False skips the gradient of the images and returns None.

        Returns
        -------
        array, shape (N, H, W, C), or None
        """
        if self._crop is None:
            raise RuntimeError("Sequential.backward needs a forward(images, train=True) before it")
        shape, (n, m) = self._crop
        rows, columns = shape[1] * self.split_step[0], shape[2] * self.split_step[1]
        N = shape[0] // prod(self.split_step)
        if dscores.shape != (N, n, m, shape[3]):
            raise UsageError(f"dscores has shape {dscores.shape}; the scores had {(N, n, m, shape[3])}")
        self._crop = None
        backend.array_module(dscores, *(param for _, param, _ in self.parameters()))
        dy = dscores.astype(self.dtype, copy=False)
        ours = False  # whether dy may be overwritten: not before it is another array than the caller's
        if (rows, columns) != (n, m):  # the outputs that were cropped have no part in the loss
            dy, ours = engine.empty((N, rows, columns, shape[3]), dy), True
            dy[:, n:], dy[:, :n, m:] = 0, 0
            dy[:, :n, :m] = dscores
        dy = split(dy, self.pools) if self.pools else dy
        first = next((i for i, layer in enumerate(self.layers) if layer.params), len(self.layers))
        with engine.single_threaded_blas():
            for i, layer in reversed(list(enumerate(self.layers))):
                if i < first and not input_grad:
                    layer.cache = None
                elif i == first and not input_grad and isinstance(layer, Conv):
                    layer.backward(dy, input_grad=False)
                else:
                    in_place = {"out": dy} if layer.pointwise and ours else {}
                    dy, ours = layer.backward(dy, **in_place), True
        P, Q = self.field_of_view
        return dy[:, : n + P - 1, : m + Q - 1] if input_grad and self.pools else dy if input_grad else None

    def _check_images(self, images: Array) -> None:
        backend.array_module(images, *(param for _, param, _ in self.parameters()))
        if getattr(images, "ndim", None) != 4:
            raise UsageError(
                f"images must be an array (N, H, W, C), not {getattr(images, 'shape', type(images).__name__)}; "
                "one grey image is image[None, :, :, None]"
            )
        if images.shape[3] != self.in_maps:
            raise UsageError(f"the net takes images with {self.in_maps} map(s), not {images.shape[3]}")

    def normalised(self, image: np.ndarray) -> np.ndarray:
        """Return `image` (..., C) with the kept mean and standard deviation taken out, in the net's dtype."""
        if self.normalisation is None:
            return image.astype(self.dtype)
        mean, std = self.normalisation
        centred = np.subtract(image, mean, dtype=np.float64)
        centred /= std
        return centred.astype(self.dtype, copy=False)

    # ------------------------------------------------------------------------------------ parameters

    def parameters(self) -> Iterator[tuple[str, Array, Array]]:
        """Yield (name, parameter, gradient) in layer order, with names such as ``"0.Conv.W"``."""
        for i, layer in enumerate(self.layers):
            for name, param in layer.params.items():
                yield f"{i}.{type(layer).__name__}.{name}", param, layer.grads[name]

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return sum(param.size for _, param, _ in self.parameters())

    @property
    def dtype(self) -> np.dtype:
        """The type of the parameters, in which the net computes."""
        return next((param.dtype for _, param, _ in self.parameters()), np.dtype(np.float32))

    @property
    def xp(self) -> ModuleType:
        """The array module (numpy or cupy) of the parameters."""
        return backend.array_module(*(param for _, param, _ in self.parameters()))

    def flat(self) -> Array:
        """Return a copy of all parameters as one vector, in the order of `parameters`."""
        return self.xp.concatenate([param.ravel() for _, param, _ in self.parameters()])

    def flat_grads(self) -> Array:
        """Return a copy of all gradients as one vector, in the order of `parameters`."""
        return self.xp.concatenate([grad.ravel() for _, _, grad in self.parameters()])

    def set_flat(self, v: Array) -> None:
        """Set all parameters, in place, from a vector such as `flat` returns."""
        self._fill(v, [param for _, param, _ in self.parameters()])

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

    # --------------------------------------------------------------------------- views, copies, files

    def as_patch(self) -> Self:
        """Return the patch net (MaxPool) with these very parameters and gradients: shared, not copied.

        It maps patches (N, P, Q, C) of the size of the field of view to scores (N, 1, 1, K).
        """
        return self._view("patch_twin")

    def as_image(self) -> Self:
        """Return the image net (MaxPoolFragment) with these very parameters and gradients: shared, not copied."""
        return self._view("image_twin")

    def shadow(self) -> Self:
        """Return this net with the same parameters, shared, and gradients and caches of its own: for a worker."""
        layers = [copy.copy(layer) for layer in self.layers]
        for layer in layers:
            layer.cache = None
            layer.grads = {name: grad * 0 for name, grad in layer.grads.items()}
        return self._with(layers)

    def _view(self, twin: str) -> Self:
        layers: list[Layer] = []
        for layer in self.layers:
            other = getattr(layer, twin)
            layers.append(copy.copy(layer) if other is None else other(layer.k))  # type: ignore[attr-defined]
            layers[-1].cache = None
        return self._with(layers)

    def _with(self, layers: list[Layer]) -> Self:
        net = type(self)(layers)
        net.copy_about(self)
        return net

    def copy_about(self, other: Sequential) -> None:
        """Take over what another net knows of its images and its training: all but layers and parameters."""
        for name in ("normalisation", "class_values", "class_names", "preprocessing", "record"):
            setattr(self, name, getattr(other, name))

    def _converted(self, convert: Any) -> Self:
        layers = []
        for layer in self.layers:
            twin = copy.copy(layer)
            twin.cache = None
            twin.params = {name: convert(param) for name, param in layer.params.items()}
            twin.grads = {name: convert(grad) for name, grad in layer.grads.items()}
            layers.append(twin)
        return self._with(layers)

    def to(self, name: str) -> Self:
        """Return a copy of the net on another backend, ``"numpy"`` or ``"cupy"``; this one stays as it is."""
        xp, _ = backend.load(name)
        if xp is np:
            return self._converted(lambda array: backend.to_numpy(array).copy())
        return self._converted(lambda array: xp.array(array))

    def astype(self, dtype: Any) -> Self:
        """Return a copy of the net that computes in `dtype`, float32 or float64; this one stays as it is."""
        if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise UsageError(f"a net computes in float32 or float64, not in {np.dtype(dtype)}")
        return self._converted(lambda array: array.astype(dtype))
