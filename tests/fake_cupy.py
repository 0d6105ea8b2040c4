"""A GPU made of nothing: the module `cupy` in here, put in CuPy's place, behaves as CuPy does towards the host.

Its arrays wrap NumPy arrays but are none. They refuse what CuPy's refuse: to become a NumPy array unasked, or to meet
one in an operator, a function or an assignment. Only the names, methods and keywords listed here exist, and
test_cupy_names.py holds the lists against the real CuPy. `counts` says what a GPU would have had to do: kernels,
synchronisations, copies from the host, memory. Fresh memory is full of NaN, so that reading before writing shows.

Stricter than CuPy on purpose: NumPy's functions take no device arrays (CuPy would answer for them), functions of this
module take no host arrays (some of CuPy's would), and no NumPy scalar widens an array: ``np.float64(2) * x`` with x in
float32 is float64 in CuPy 14, as in NumPy 2, and float32 in CuPy 13, as in NumPy 1. Python numbers never do. What it
cannot show: rounding (a GPU adds in another order), time, and whatever goes wrong inside CuPy's kernels. The library's
own kernels are compiled for the host, and run.
"""

from __future__ import annotations

import re
import threading
import time
import weakref
from operator import attrgetter
from types import ModuleType, SimpleNamespace
from typing import Any

import host_kernels
import numpy as np


def _table(text):
    """Return {name: its keywords} from lines of "keywords: names"."""
    lines = (line.split(":") for line in text.strip().splitlines())
    return {name: keywords.strip() for keywords, names in lines for name in names.split()}


def _pairs(text):
    """Return {operator: function} from words "operator:function"."""
    return dict(pair.split(":") for pair in text.split())


UFUNCS = _table("""
    out dtype casting: abs absolute add bitwise_and bitwise_or bitwise_xor ceil cos divide equal exp expm1 floor
    out dtype casting: floor_divide greater greater_equal hypot invert isfinite isinf isnan less less_equal log log1p
    out dtype casting: logical_and logical_not logical_or maximum minimum multiply negative not_equal positive power
    out dtype casting: remainder rint sign sin sqrt square subtract tanh true_divide
""")
REDUCTIONS = _table("""
    axis dtype out keepdims: sum prod mean
    axis out keepdims: max min argmax argmin all any
""")
FUNCTIONS = _table("""
    out: matmul dot
    axis out: take concatenate stack
    axis: flip roll repeat sort argsort
    axes: tensordot
    mode constant_values: pad
    minlength: bincount
    : vdot where take_along_axis clip tile
""")
VIEWS = _table("""
    axis: squeeze
    axes: transpose
    order: ravel
    dtype: ascontiguousarray
    : reshape expand_dims moveaxis swapaxes broadcast_to rot90
""")
METHODS = REDUCTIONS | _table("""
    order: copy
    axis out: take
    out: dot
""")
VIEW_METHODS = _table("""
    order: reshape ravel
    axis: squeeze
    : transpose swapaxes view
""")
OPERATORS = _pairs("""
    add:add sub:subtract mul:multiply truediv:true_divide floordiv:floor_divide mod:remainder pow:power
    matmul:matmul and:bitwise_and or:bitwise_or xor:bitwise_xor
""")
COMPARISONS_AND_SIGNS = _pairs("""
    lt:less le:less_equal gt:greater ge:greater_equal eq:equal ne:not_equal
    neg:negative pos:positive abs:absolute invert:invert
""")
CONSTANTS = ["bool_", "dtype", "finfo", "float32", "float64", "inf", "int32", "int64", "nan", "newaxis", "pi", "uint8"]


class OutOfMemoryError(MemoryError):
    """Stands for ``cupy.cuda.memory.OutOfMemoryError``, a MemoryError too."""


class Counts:
    """What the device was asked to do since `reset`; `max_bytes` bounds its memory."""

    def __init__(self):
        self.known = set()  # ids of the live allocations
        self.live_bytes = 0
        self.max_bytes = None
        self.reset()

    def reset(self):
        self.launches = self.synchronisations = self.uploads = 0
        self.peak_bytes = self.live_bytes
        self.threads = set()  # that launched kernels

    def launch(self, n=1):
        self.launches += n
        self.threads.add(threading.get_ident())

    def allocated(self, host):
        """Enter the memory behind `host`, unless it is known already."""
        while getattr(host, "base", None) is not None:
            host = host.base
        if isinstance(host, np.ndarray) and id(host) not in self.known:
            if self.max_bytes is not None and self.live_bytes + host.nbytes > self.max_bytes:
                raise OutOfMemoryError(f"Out of memory allocating {host.nbytes:,} bytes (of {self.max_bytes:,}).")
            self.known.add(id(host))
            self.live_bytes += host.nbytes
            self.peak_bytes = max(self.peak_bytes, self.live_bytes)
            weakref.finalize(host, self.freed, id(host), host.nbytes)

    def freed(self, number, nbytes):
        self.known.discard(number)
        self.live_bytes -= nbytes


counts = Counts()


# ------------------------------------------------------------------- across the border: wrap and unwrap


def _wrap(value):
    """Return `value`, a result of NumPy's, as a device array; also a single number, as CuPy does."""
    array = object.__new__(ndarray)
    array._host = np.asarray(value)
    counts.allocated(array._host)
    return array


def _unwrap(value):
    """Return what NumPy needs in the place of `value`; refuse host arrays."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {np.ndarray}")
    return type(value)(map(_unwrap, value)) if isinstance(value, tuple | list) else value


def _operand(value):
    """Unwrap an operand of an elementwise kernel: arrays and numbers, but no sequences."""
    if isinstance(value, tuple | list):
        raise TypeError(f"Unsupported type {type(value)}")
    return _unwrap(value)


def _function(function, keywords, unwrap=_unwrap, view=False):
    """Return a function of NumPy's as one of the device's, which takes only these `keywords`.

    A call is one kernel, unless there is nothing to compute, or the result is a `view` of an argument.
    """
    name, allowed = function.__name__, set(keywords.split())

    def call(*args, **kwargs):
        if not set(kwargs) <= allowed:
            raise TypeError(f"Wrong arguments {set(kwargs) - allowed}: {name} takes {keywords or 'none'}")
        out = kwargs.get("out")
        if out is not None and not isinstance(out, ndarray):
            raise TypeError(f"Unsupported type {type(out)}")
        hosts = [unwrap(arg) for arg in args]
        if unwrap is _operand and any(isinstance(host, np.generic) for host in hosts):
            weak = [host.item() if isinstance(host, np.generic) else host for host in hosts]
            if np.result_type(*hosts) != np.result_type(*weak):
                raise TypeError(f"{name}: a NumPy scalar decides the type in CuPy 14 and not in CuPy 13; use a number")
        result = function(*hosts, **{key: _unwrap(value) for key, value in kwargs.items()})
        if np.size(result) and not (view and np.may_share_memory(result, hosts[0])):
            counts.launch()
        return _wrap(result) if out is None else out

    return call


# ------------------------------------------------------------------------------- the array and its methods


class ndarray:
    """Stands for ``cupy.ndarray``."""

    __slots__ = ("__weakref__", "_host")
    __hash__ = None  # type: ignore[assignment]

    def __array__(self, *args, **kwargs):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_function__(self, function, *_):
        raise TypeError(f"numpy.{function.__name__} was called with a device array: use xp.{function.__name__}")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        """Answer for ``np.float32(2) * array``, which reaches us this way, and for nothing else."""
        if kwargs or not any(isinstance(value, np.generic) for value in inputs):
            for value in inputs:
                _unwrap(value)  # the error that CuPy gives where there is a host array
            raise TypeError(f"numpy.{ufunc.__name__} was called with a device array: use xp.{ufunc.__name__}")
        return getattr(cupy, ufunc.__name__)(*inputs)

    @property
    def T(self):
        return self.transpose()

    @property
    def data(self):
        return SimpleNamespace(ptr=self._host.ctypes.data)

    def astype(self, dtype, order="K", copy=True):
        if not copy and self.dtype == dtype:
            return self
        return _function(np.ndarray.astype, "order")(self, dtype, order=order)

    def fill(self, value):
        self[...] = value

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        key = _index(key)
        if any(isinstance(part, np.ndarray) for part in key):
            counts.launch()
            counts.synchronisations += any(getattr(part, "dtype", None) == "bool" for part in key)  # how many?
        elif ... not in key:
            key = (*key, ...)  # a single element is an array without axes, not a number
        return _wrap(self._host[key])

    def __setitem__(self, key, value):
        if not isinstance(value, ndarray) and np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        key = _index(key)
        counts.launch(int(np.size(self._host[key]) > 0))
        self._host[key] = _unwrap(value) if isinstance(value, ndarray) else value

    # ---- the ways to the host, each of which waits for the device

    def get(self):
        counts.synchronisations += 1
        return self._host.copy()

    def item(self):
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def __bool__(self):
        if self.size > 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous")
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __repr__(self):
        return repr(self.get())


def _index(key):
    """Return an index as NumPy takes it, a tuple; index arrays and lists on the host are uploaded, as CuPy does."""
    parts = key if isinstance(key, tuple) else (key,)
    counts.uploads += sum(isinstance(part, np.ndarray | list) for part in parts)
    return tuple(np.asarray(p) if isinstance(p, list) else p._host if isinstance(p, ndarray) else p for p in parts)


for _name in ("shape", "dtype", "size", "ndim", "nbytes", "itemsize", "strides", "flags"):
    setattr(ndarray, _name, property(attrgetter(f"_host.{_name}")))
for _name, _keywords in METHODS.items():
    setattr(ndarray, _name, _function(getattr(np.ndarray, _name), _keywords))
for _name, _keywords in VIEW_METHODS.items():
    setattr(ndarray, _name, _function(getattr(np.ndarray, _name), _keywords, view=True))


# ---------------------------------------------------------------------------------------------- the module

cupy: Any = ModuleType("cupy")
cupy.ndarray = ndarray
cupy.__version__ = "0 (fake)"
for _name in CONSTANTS:
    setattr(cupy, _name, getattr(np, _name))  # CuPy's own are these too
for _name, _keywords in (UFUNCS | REDUCTIONS).items():
    setattr(cupy, _name, _function(getattr(np, _name), _keywords, _operand))
for _name, _keywords in FUNCTIONS.items():
    setattr(cupy, _name, _function(getattr(np, _name), _keywords))
for _name, _keywords in VIEWS.items():
    setattr(cupy, _name, _function(getattr(np, _name), _keywords, view=True))

for _name, _keywords in OPERATORS.items():
    setattr(ndarray, f"__{_name}__", lambda a, b, name=_keywords: getattr(cupy, name)(a, b))
    setattr(ndarray, f"__r{_name}__", lambda a, b, name=_keywords: getattr(cupy, name)(b, a))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", lambda a, b, name=_keywords: getattr(cupy, name)(a, b, out=a))
for _name, _keywords in COMPARISONS_AND_SIGNS.items():
    setattr(ndarray, f"__{_name}__", lambda *arrays, name=_keywords: getattr(cupy, name)(*arrays))


def _array(value, dtype=None):
    counts.uploads += not isinstance(value, ndarray)
    counts.launch(int(isinstance(value, ndarray)))
    return _wrap(np.array(_unwrap(value) if isinstance(value, ndarray) else value, dtype))


def _asarray(value, dtype=None):
    same = isinstance(value, ndarray) and (dtype is None or value.dtype == dtype)
    return value if same else _array(value, dtype)


def _empty(shape, dtype=float):
    array = _wrap(np.empty(shape, dtype))
    array._host[...] = np.nan if array.dtype.kind == "f" else np.array(0xAB).astype(array.dtype)
    return array


def _full(shape, value, dtype=None):
    array = _empty(shape, np.result_type(value) if dtype is None else dtype)
    array[...] = value
    return array


def _arange(*args, dtype=None):
    counts.launch()
    return _wrap(np.arange(*args, dtype=dtype))


def _synchronise():
    counts.synchronisations += 1


cupy.array, cupy.asarray, cupy.empty, cupy.full, cupy.arange = _array, _asarray, _empty, _full, _arange
cupy.zeros = lambda shape, dtype=float: _full(shape, 0, dtype)
cupy.ones = lambda shape, dtype=float: _full(shape, 1, dtype)
cupy.empty_like = lambda a, dtype=None: _empty(a.shape, dtype or a.dtype)
cupy.zeros_like = lambda a, dtype=None: _full(a.shape, 0, dtype or a.dtype)
cupy.ones_like = lambda a, dtype=None: _full(a.shape, 1, dtype or a.dtype)


class RawKernel:
    """A kernel in CUDA C, which the host's C++ compiler compiles and the host runs."""

    def __init__(self, code, name):
        self.code, self.name = code, name

    def __call__(self, grid, block, args):
        counts.launch()
        host_kernels.run(self.code, self.name, grid, block[0], tuple(map(_unwrap, args)))


class ElementwiseKernel:
    """A formula that means the same in C and in Python, applied to every number."""

    def __init__(self, in_params, out_params, operation, name):
        self.names, self.formula = re.findall(r"T (\w+)", in_params), operation.removeprefix("out = ")

    def __call__(self, *arrays):
        counts.launch()
        hosts = dict(zip(self.names, map(_operand, arrays), strict=True))
        return _wrap(eval(self.formula, hosts).astype(arrays[0].dtype))


cupy.RawKernel, cupy.ElementwiseKernel = RawKernel, ElementwiseKernel
cupy.asnumpy = lambda a: a.get() if isinstance(a, ndarray) else np.asarray(a)
cupy.linalg = SimpleNamespace(norm=_function(np.linalg.norm, "ord axis keepdims"))
_as_strided = _function(np.lib.stride_tricks.as_strided, "", view=True)
cupy.lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))


class _Event:
    """A mark in the queue of kernels; its time is the host's."""

    def record(self):
        self.time = time.perf_counter()

    def synchronize(self):
        _synchronise()


def _set_limit(size=None):
    counts.max_bytes = size or None  # 0 is no limit


cupy.get_default_memory_pool = lambda: SimpleNamespace(
    free_all_blocks=lambda: None,
    used_bytes=lambda: counts.live_bytes,
    total_bytes=lambda: counts.live_bytes,
    set_limit=_set_limit,
)
cupy.cuda = SimpleNamespace(
    memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    Device=lambda device=0: SimpleNamespace(id=device, synchronize=_synchronise, compute_capability="00"),
    Event=_Event,
    get_elapsed_time=lambda start, stop: 1e3 * (stop.time - start.time),
    Stream=SimpleNamespace(null=SimpleNamespace(synchronize=_synchronise)),
    runtime=SimpleNamespace(
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda device: {"name": b"no GPU, a fake", "totalGlobalMem": counts.max_bytes or 1 << 40},
        deviceSynchronize=_synchronise,
        runtimeGetVersion=lambda: 0,
        driverGetVersion=lambda: 0,
    ),
)
