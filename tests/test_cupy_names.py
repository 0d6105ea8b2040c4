"""Every name the package takes from ``xp`` exists in CuPy, with the keywords it is called with.

The names are held against NumPy and the fake device and, where the real CuPy is installed (its wheel also imports
without a GPU), both they and the fake device against that. Which methods are called on arrays the source does not
tell; but all of it runs on the fake device, which has the methods in its lists only, and these are checked.
"""

import ast
import inspect
import re
from typing import NamedTuple

import fake_cupy
import numpy as np
import pytest
from helpers import syntax

ROOTS = {"xp": "", "cupy": "", "cuda": "cuda."}  # variables that hold the array module or a part of it


class Use(NamedTuple):
    """A dotted name taken from the array module, and the keywords of the call if it is called there."""

    name: str
    keywords: tuple[str, ...]
    where: str


def prefix(node):
    """Return which part of the array module an expression is, or None; xp, net.xp, array_module(x) are all of it."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr="xp" as name):
            return ROOTS.get(name)
        case ast.Call(func=ast.Name(id="array_module") | ast.Attribute(attr="array_module")):
            return ""
        case ast.Subscript(slice=ast.Constant(value="cupy")):  # sys.modules["cupy"]
            return ""
    return None


def uses(nodes, where=""):
    """Yield the names that the nodes of a tree take from the array module, the longest of ``xp.a.b.c`` only."""
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            names, root = [node.attr], node.value
            while isinstance(root, ast.Attribute) and prefix(root) is None:
                names, root = [root.attr, *names], root.value
            if prefix(root) is not None:
                call = calls.get(id(node))
                keywords = tuple(k.arg for k in call.keywords if k.arg) if call else ()
                yield Use(prefix(root) + ".".join(names), keywords, f"{where}:{node.lineno}")


USES = [use for path, nodes in syntax().items() for use in uses(nodes, path)]
NAMES = sorted({use.name for use in USES if not use.name.startswith("__")})


def find(module, dotted):
    for name in dotted.split("."):
        module = getattr(module, name)
    return module


def keywords_of(function):
    """Return the keywords that one of CuPy's functions or methods takes, or None where nobody can tell."""
    if type(function).__name__ == "ufunc":
        return {"out", "dtype", "casting"}
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # compiled: the signature is the first line of the documentation
        text = re.match(r"[\w.]+\((.*)\)", (function.__doc__ or "").partition("\n")[0])
        return text and {part.split("=")[0].split()[-1] for part in text[1].split(", ")}
    return None if any(p.kind is p.VAR_KEYWORD for p in parameters) else {p.name for p in parameters}


def test_the_walker_sees_what_it_should():
    source = """
def f(net, x):
    xp = array_module(x)
    xp.lib.stride_tricks.as_strided(x, (1,))
    y = net.xp.add(x, 1, out=x) + backend.array_module(x).zeros_like(x).sum(axis=0)
    return sys.modules["cupy"].asnumpy(y), xp.float32, np.sqrt, xp
"""
    found = {(use.name, use.keywords) for use in uses(list(ast.walk(ast.parse(source))))}
    names = {("lib.stride_tricks.as_strided", ()), ("add", ("out",)), ("asnumpy", ()), ("float32", ())}
    assert found == names | {("zeros_like", ())}
    assert {"lib.stride_tricks.as_strided", "matmul", "tanh", "maximum", "cuda.memory.OutOfMemoryError"} <= set(NAMES)
    assert any(use.name == "matmul" and use.keywords == ("out",) for use in USES)


@pytest.mark.parametrize("name", NAMES)
def test_numpy_and_the_fake_device_have_it(name):
    assert find(fake_cupy.cupy, name) is not None
    if not name.startswith(("asnumpy", "cuda.", "ndarray", "RawKernel", "ElementwiseKernel")):
        assert find(np, name) is not None


def test_the_real_cupy_has_every_name_with_its_keywords(real):
    for use in USES:
        if use.name in NAMES:
            function = find(real, use.name)  # AttributeError: it has not
            known = keywords_of(function) if use.keywords else None
            assert known is None or set(use.keywords) <= known, use


def test_the_fake_has_nothing_that_the_real_cupy_has_not(real):
    functions = fake_cupy.UFUNCS | fake_cupy.REDUCTIONS | fake_cupy.FUNCTIONS | fake_cupy.VIEWS
    methods = fake_cupy.METHODS | fake_cupy.VIEW_METHODS
    for owner, table in ((real, functions), (real.ndarray, methods)):
        for name, keywords in table.items():
            known = keywords_of(getattr(owner, name))
            assert known is None or set(keywords.split()) <= known, (name, known)
    for name in vars(fake_cupy.cupy):
        assert name.startswith("__") or hasattr(real, name), name
    for name in vars(fake_cupy.ndarray):
        assert name in ("_host", "__slots__", "__module__", "__weakref__") or hasattr(real.ndarray, name), name
    for owner in ("lib.stride_tricks", "linalg", "cuda", "cuda.runtime", "cuda.memory"):
        for name in vars(find(fake_cupy.cupy, owner)):
            assert hasattr(find(real, owner), name), (owner, name)


def test_the_real_cupy_is_what_the_code_relies_on(real):
    """Facts that show without a GPU."""
    assert issubclass(real.cuda.memory.OutOfMemoryError, MemoryError)
    assert real.uint8 is np.uint8 and real.float32 is np.float32
    assert not issubclass(real.ndarray, np.ndarray)
    for name in ("add", "multiply", "subtract", "tanh", "maximum"):  # float32 arithmetic stays in float32
        assert any(types.endswith("->f") for types in getattr(real, name).types), name
    assert "ff->?" in real.greater.types and "BB->B" in real.multiply.types  # winners: bool seen as uint8


VIEWS = {  # as the layers take them, of x, float32 (2, 6, 8, 3), W, float32 (3, 2, 4, 5), and won, bool (2, 6, 8, 3)
    "windows, overlapping": lambda lib, x, W, won: lib.stride_tricks.as_strided(
        x, (2, 4, 7, 3, 6), (x.strides[0], x.strides[1], x.strides[2], x.strides[1], x.strides[3])
    ),
    "columns of 1x1": lambda lib, x, W, won: x.reshape(-1, 3),
    "the turned kernel": lambda lib, x, W, won: W[::-1, ::-1].transpose(0, 1, 3, 2),
    "the matrix of a kernel": lambda lib, x, W, won: W.reshape(-1, 5).T,
    "a tap": lambda lib, x, W, won: x[:, 1 : 1 + 2 * 2 : 2, 1 : 1 + 3 * 2 : 3][:, :2, :2],
    "rows of a block": lambda lib, x, W, won: x[slice(0, 2), slice(1, 4)],
    "winners": lambda lib, x, W, won: won.view("uint8"),
    "fragments": lambda lib, x, W, won: x.reshape(2, 2, 3, 2, 4, 3)[:, 1, :, 0],
    "axes, as a list": lambda lib, x, W, won: x.transpose([3, 0, 2, 1]),
    "a block of a flat view": lambda lib, x, W, won: x.reshape(1, -1, 1, 1)[:, 7:50],
    "a border": lambda lib, x, W, won: x[:, 6:],
    "an index": lambda lib, x, W, won: x[..., None][1, -1],
    "pixels in words": lambda lib, x, W, won: W.reshape(3, 2, 5, 4)[1:, :, 1:4].view("complex128"),
    "windows in words": lambda lib, x, W, won: lib.stride_tricks.as_strided(
        x.reshape(2, 6, 6, 4), (2, 4, 5, 3, 8), (576, 96, 16, 96, 4)
    ).view("complex128"),
    "its own type": lambda lib, x, W, won: x.astype(np.dtype("float32"), copy=False),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_the_same_in_the_real_cupy(real, real_array, name):
    hosts = np.zeros((2, 6, 8, 3), np.float32), np.zeros((3, 2, 4, 5), np.float32), np.zeros((2, 6, 8, 3), bool)
    wanted, got = VIEWS[name](np.lib, *hosts), VIEWS[name](real.lib, *map(real_array, hosts))
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    if wanted.size:  # CuPy's axes of length 1 and empty views may have other strides: nothing is ever read with them
        assert [s for s, n in zip(got.strides, got.shape, strict=True) if n > 1] == [
            s for s, n in zip(wanted.strides, wanted.shape, strict=True) if n > 1
        ]
