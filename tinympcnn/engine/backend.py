"""NumPy or CuPy: the only file that names CuPy.

Creation asks the default, computation asks the data: a layer calls ``array_module`` on the arrays that it gets and
works with the module that answers, so one code path serves both devices. Importing this file never imports CuPy; only
asking for CuPy does.
"""

from __future__ import annotations

import sys
import warnings
from types import ModuleType

import numpy as np

from tinympcnn.errors import DataError, UsageError

Array = np.ndarray  # on the host or on a GPU: a cupy.ndarray passes for one, with the same interface
Pair = tuple[int, int]  # (rows, columns)
Shape = tuple[int, int, int, int]  # (F, H, W, C)
BACKENDS = ("auto", "numpy", "cupy")


def is_device_array(array: object) -> bool:
    """Tell whether `array` lives on a GPU, without importing CuPy: before that import no such array exists."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, getattr(cupy, "ndarray", ()))  # () where an import of CuPy broke off


def array_module(*arrays: object) -> ModuleType:
    """Return ``numpy`` or ``cupy``, the module that all `arrays` belong to; arrays of both are a DataError."""
    if "cupy" not in sys.modules or not any(on_device := [is_device_array(array) for array in arrays]):
        return np
    if not all(on_device):
        raise DataError(
            "NumPy and CuPy arrays were mixed: move the net with net.to('cupy') or net.to('numpy') and the data "
            "with cupy.asarray(x) or cupy.asnumpy(x), so that both live in one place"
        )
    return sys.modules["cupy"]


def load(name: str) -> tuple[ModuleType, str]:
    """Return the array module called `name` and one line that says what was chosen and why.

    The names are numpy, cupy, and auto: CuPy where it imports and one tiny kernel really runs, NumPy otherwise. An
    unknown name, or CuPy asked for by name where it does not work, is a UsageError.
    """
    if name == "numpy":
        return np, "numpy, as asked"
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}: choose one of {', '.join(BACKENDS)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy warns of optional libraries that are not needed here
            import cupy

            if int(cupy.asnumpy(cupy.arange(3) + 1)[2]) != 3:  # one tiny kernel, compiled, run and read back
                raise RuntimeError("a test kernel gave a wrong result")
    except Exception as error:  # ImportError, a missing driver, no kernel for this card, ... all mean: no GPU
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        if name == "cupy":
            raise UsageError(
                f"the cupy backend does not work here ({reason}): install tinympcnn[cuda12] or [cuda13] on a "
                "machine with an NVIDIA GPU, or use the numpy backend"
            ) from error
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return np, "numpy (CuPy is not installed)"
        return np, f"numpy, because CuPy does not work here ({reason})"
    return cupy, "cupy, as asked" if name == "cupy" else "cupy, because a test kernel ran"


def to_numpy(array: Array) -> np.ndarray:
    """Return `array` on the host, copied if it was on a GPU. Masked elements are a DataError: no mask has an effect."""
    if np.ma.is_masked(array):
        raise DataError("an array has masked elements, which would count: fill them first, those of labels with -1")
    return sys.modules["cupy"].asnumpy(array) if is_device_array(array) else np.asarray(array)


def out_of_memory_errors() -> tuple[type[BaseException], ...]:
    """Return the exception types that mean "the device (or the host) has no room for this"."""
    cuda = getattr(sys.modules.get("cupy"), "cuda", None)
    return (MemoryError,) if cuda is None else (MemoryError, cuda.memory.OutOfMemoryError)
