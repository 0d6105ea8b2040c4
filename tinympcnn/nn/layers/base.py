"""The agreement that every layer keeps, and the register in which layers are found by name.

A layer of your own takes one class: derive it from `Layer`, fill `params` and `grads`, and write `forward`, `backward`
and, where sizes change, `output_shape`, `window` and `step`. ``tinympcnn.gradcheck.check_layer`` says whether the
gradients are right. With ``@register_layer`` above the class, model files and specs know the layer too.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import numpy as np

from tinympcnn.engine.backend import Array, Pair, Shape
from tinympcnn.errors import UsageError
from tinympcnn.nn.geometry import Sizes, pair

Convert = Callable[[Array], Array]
Shapes = dict[str, tuple[int, ...]]


class Layer:
    """A function from an input storage (F, H, W, C) to an output storage, and its derivative.

    Attributes
    ----------
    params, grads : dict of str to array
        The parameters and the gradients accumulated so far, with the same keys and shapes; W comes before b.
    cache : object
        What `backward` needs of the last ``forward(x, train=True)``; None when there is nothing.
    window, step : (rows, columns)
        The part of the input that one output sees, and the distance in the input between neighbouring outputs.
    in_maps, out_maps : int or None
        The number of maps that come in and go out; None for any number, and for the number that comes in.
    up : (rows, columns)
        The factors by which the layer enlarges maps.
    splits : bool
        True if the layer makes one fragment for each offset (r, c) with r, c < step, as MaxPoolFragment does.
    keeps : {"x", "y", ""}
        The storage that `backward` needs: the input, the output or neither. Estimates of memory read it.
    letters, form : tuple of str, and str
        The capitals with which a word of a spec means this layer, ``("MPF", "MP")``, and its form, "MPFkxk".
    layers : sequence of Layer
        The layers inside the layer; for most layers there are none.
    tanh_follows : bool
        True if a spec puts Tanh behind the layer, unless the layer is the last of its kind.
    """

    window: Pair = (1, 1)
    step: Pair = (1, 1)
    up: Pair = (1, 1)
    in_maps: int | None = None
    out_maps: int | None = None
    splits = False
    keeps = "x"
    letters: tuple[str, ...] = ()
    form = ""
    layers: Sequence[Layer] = ()
    tanh_follows = False

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.cache: Any = None

    def __init_subclass__(cls) -> None:
        """Let a layer with a backward pass of its own use it as the first layer of a net too."""
        super().__init_subclass__()
        if "backward" in vars(cls) and "backward_params" not in vars(cls):
            cls.backward_params = Layer.backward_params  # type: ignore[method-assign]

    def __repr__(self) -> str:
        values = ("..." if value is ... else repr(value) for value in self.config().values())
        return f"{type(self).__name__}({', '.join(values)})"

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the output storage; with ``train=True`` leave in `cache` what `backward` needs."""
        raise TypeError(f"{type(self).__name__} defines no forward pass")

    def backward(self, dy: Array) -> Array:
        """Return the gradient of the input, given that of the output; ADD those of the parameters to `grads`."""
        raise TypeError(f"{type(self).__name__} defines no backward pass")

    def backward_params(self, dy: Array) -> None:
        """Add the gradients of the parameters only: the first layer of a net need not pass anything on."""
        self.backward(dy)

    @property
    def pools(self) -> list[Pair]:
        """The pools (kh, kw) at whose offsets the layer splits its input into fragments, in order."""
        return [self.step] if self.splits else []

    def length_after(self, n: int, axis: int) -> int:
        """Return the number of outputs along an axis for `n` inputs that divide evenly."""
        w, s = self.window[axis], self.step[axis]
        return (n - w + (1 if self.splits else s)) // s * self.up[axis]

    def sizes_before(self, sizes: Sizes, axis: int) -> Sizes:
        """Return the sizes of the input along an axis that give the output one of `sizes`, with nothing left over."""
        w, s = self.window[axis], self.step[axis]
        return Sizes(sizes.first * s + w - (1 if self.splits else s), sizes.period * s)

    def seen(self, first: np.ndarray, last: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last input along an axis that the outputs from `first` to `last` see."""
        return first * self.step[axis], last * self.step[axis] + self.window[axis] - 1

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the output storage for an input storage of `shape`, or raise UsageError."""
        return shape

    def flop(self, shape: Shape) -> int:
        """Return the multiplications and additions of one forward pass on an input storage of `shape`."""
        return 0

    def kept_bytes(self, shape: Shape) -> int:
        """Return the bytes that `backward` needs besides input and output, for an output storage of `shape`."""
        return 0

    def block_bytes(self, shape: Shape, itemsize: int) -> int:
        """Return the bytes that one thread needs besides input and output; layers inside count for themselves."""
        return 0

    def as_patch(self) -> Layer:
        """Return the layer for this one's place in a patch net: this layer, unless it makes fragments."""
        return self

    def as_image(self) -> Layer:
        """Return the layer for this one's place in an image net: this layer, unless fragments belong there."""
        return self

    def copied(self, param: Convert = lambda array: array, grad: Convert = lambda array: array) -> Self:
        """Return a copy with an empty cache, whose parameters and gradients two functions make; by default shared."""
        twin = copy.copy(self)
        twin.cache = None
        twin.params = {name: param(array) for name, array in self.params.items()}
        twin.grads = {name: grad(array) for name, array in self.grads.items()}
        for old, new in ((self.params, twin.params), (self.grads, twin.grads)):
            places = {id(array): name for name, array in old.items()}
            for attribute, value in vars(self).items():  # such as self.W, where a layer names a parameter twice
                if id(value) in places:
                    setattr(twin, attribute, new[places[id(value)]])
        return twin

    def config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, from the attributes of these names, for a model file."""
        names = [name for name in inspect.signature(type(self)).parameters if name != "rng"]
        return {name: getattr(self, name, ...) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the layer whose `config` is given."""
        return cls(**config)

    @classmethod
    def param_shapes(cls, config: dict[str, Any]) -> Shapes:
        """Return the shapes of the parameters of a layer before the layer is made, as far as they are known then."""
        return {}

    @classmethod
    def from_word(cls, sizes: tuple[int, ...], in_maps: int, rng: np.random.Generator) -> dict[str, Any]:
        """Return the constructor's arguments for a word such as C3x2x8; raise ValueError if its `sizes` do not fit."""
        if sizes:
            raise ValueError("the word takes no sizes")
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
        """Raise UsageError unless `dy` has the `shape` of the output: broadcasting would hide the mistake."""
        if dy.shape != shape:
            raise UsageError(f"{self!r}: dy has shape {dy.shape}; the output had {shape}")


class KLayer(Layer):
    """A layer of one argument `k`, an int or (rows, columns): Fkxk in a spec, or Fk for a square."""

    def __init__(self, k: int | Sequence[int]) -> None:
        super().__init__()
        self.k = pair(k, "k")

    @classmethod
    def from_word(cls, sizes: tuple[int, ...], in_maps: int, rng: np.random.Generator) -> dict[str, Any]:
        """Return the argument `k`."""
        kh, kw = sizes if len(sizes) > 1 else sizes * 2
        return {"k": (kh, kw)}


LAYERS: dict[str, type[Layer]] = {}
"""The registered layers by the name of their class."""

AnyLayer = TypeVar("AnyLayer", bound=type[Layer])


def register_layer(cls: AnyLayer) -> AnyLayer:
    """Make a layer known by the name of its class, so that model files can hold it and specs can name it.

    Use it as a decorator. A class of the same name that is defined again, as in a notebook cell run twice, replaces
    the earlier one; UsageError is raised if the library or another module has a layer of that name.

    Examples
    --------
    >>> @register_layer
    ... class Doubled(Layer):
    ...     letters = ("TWICE",)
    ...     def forward(self, x, train=True):
    ...         return 2 * x
    ...     def backward(self, dy):
    ...         return 2 * dy
    >>> from tinympcnn import Net
    >>> Net.from_spec("TWICE FC2", rng=0).layers[0]
    Doubled()
    """
    known = LAYERS.get(cls.__name__, cls)
    if known.__module__ != cls.__module__:
        raise UsageError(f"{known.__module__} has a layer {cls.__name__} already; give yours another name")
    LAYERS[cls.__name__] = cls
    return cls


def describe(layer: Layer) -> tuple[str, dict[str, Any]]:
    """Return what `rebuild` makes the layer of again, but for its parameters: its name and its `config`."""
    name, config = type(layer).__name__, layer.config()
    if name not in LAYERS or LAYERS[name].__module__ != type(layer).__module__:
        raise UsageError(f"the layer {name} is not registered: write @register_layer above its class")
    if missing := [argument for argument, value in config.items() if value is ...]:
        raise UsageError(f"{name} has no attribute {missing[0]!r}: keep the argument, or define {name}.config")
    return name, config


def layer_class(name: str) -> type[Layer]:
    """Return the registered layer called `name`, or say how a layer of that name becomes known."""
    if name not in LAYERS:
        raise UsageError(
            f"unknown layer {str(name)[:40]!r}: first run the code that defines it, with @register_layer on the class"
        )
    return LAYERS[name]


def rebuild(name: str, config: dict[str, Any]) -> Layer:
    """Return the layer that `describe` described, with new parameters."""
    return layer_class(name).from_config(config)
