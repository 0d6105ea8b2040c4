"""An ONNX graph that grows by one operator at a time.

The arithmetic of tensors appends operators. Numbers and arrays among the inputs become constants: whole numbers int64,
others float32. Equal constants are stored once, so nets that run on several views of an image keep one copy of their
weights.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from tinympcnn.errors import UsageError

OPSET, IR = 13, 7  # read by onnxruntime from version 1.6 (2020) on
FLOAT, INT64 = 1, 7  # what ONNX calls these types


def library() -> ModuleType:
    """Return the package onnx, or say what to install."""
    try:
        import onnx
    except ImportError:
        raise UsageError('an export needs onnx: pip install "tinympcnn[onnx]"') from None
    return onnx


class Tensor:
    """What an operator gives, by its name."""

    __array_ufunc__ = None  # so that an array on the left leaves the arithmetic to the tensor

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Any) -> Tensor:
        return self.graph.add("Add", self, other)

    def __sub__(self, other: Any) -> Tensor:
        return self.graph.add("Sub", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return self.graph.add("Sub", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return self.graph.add("Mul", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return self.graph.add("Mul", other, self)

    def __truediv__(self, other: Any) -> Tensor:  # of whole numbers without the rest, as ONNX divides
        return self.graph.add("Div", self, other)

    def __mod__(self, other: Any) -> Tensor:
        return self.graph.add("Mod", self, other)

    def __abs__(self) -> Tensor:
        return self.graph.add("Abs", self)


class Graph:
    """Operators in the order in which they run, and the constants they read.

    Examples
    --------
    >>> graph = Graph()
    >>> ((Tensor(graph, "image") - 0.5) * 2.0).name
    'Mul_1'
    >>> len(graph.operators), len(graph.constants)
    (2, 2)
    """

    def __init__(self) -> None:
        self.operators: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], tuple[str, np.ndarray]] = {}

    def add(self, kind: str, *inputs: Any, output: str = "", unread: int = 0, **attributes: Any) -> Tensor:
        """Append the operator `kind` of ONNX, and return its output; None is no input, `unread` counts more outputs."""
        output = output or f"{kind}_{len(self.operators)}"
        names = [self._name(one) for one in inputs]
        self.operators.append((kind, names, [output, *(f"{output}_{i}" for i in range(unread))], attributes))
        return Tensor(self, output)

    def _name(self, value: Any) -> str:
        """Return the name of a tensor, or that of a constant."""
        if value is None or isinstance(value, Tensor):
            return value.name if value else ""
        value = np.asarray(value)
        value = np.ascontiguousarray(value, np.int64 if value.dtype.kind in "iu" else np.float32).reshape(value.shape)
        key = value.dtype.str, value.shape, value.tobytes()
        name, _ = self.constants.setdefault(key, (f"constant_{len(self.constants)}", value))
        return name

    def length(self, x: Tensor, axis: int) -> Tensor:
        """Return the number of elements of a tensor along an axis, as a scalar."""
        return self.add("Gather", self.add("Shape", x), axis)

    def crop(self, x: Tensor, before: tuple[int, int], after: tuple[int, int]) -> Tensor:
        """Return images (N, C, H, W) without so many rows and columns before and after."""
        ends = [-n if n else np.iinfo(np.int64).max for n in after]
        return self.add("Slice", x, [*before], ends, [2, 3])

    def proto(self, inputs: list[Any], outputs: list[Any]) -> Any:
        """Return the graph as ONNX writes it."""
        onnx = library()
        nodes = [
            onnx.helper.make_node(kind, names, outputs, outputs[0], **attributes)
            for kind, names, outputs, attributes in self.operators
        ]
        constants = [onnx.numpy_helper.from_array(value, name) for name, value in self.constants.values()]
        return onnx.helper.make_graph(nodes, "tinympcnn", inputs, outputs, constants)
