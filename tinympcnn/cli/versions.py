"""What decides the last bits of a result besides the input: the libraries and the kernels that compute."""

from __future__ import annotations

import platform

import numpy as np
from threadpoolctl import threadpool_info

from tinympcnn import __version__


def versions() -> dict[str, str]:
    """Return what else decides the last bits: the libraries and the kernels of BLAS, but not the number of threads."""
    loaded = [one for one in threadpool_info() if one["user_api"] == "blas"]
    blas = {f"{one['internal_api']} {one['version']} {one.get('architecture', '')}".strip() for one in loaded}
    python = platform.python_version()
    return {"tinympcnn": __version__, "numpy": np.__version__, "python": python, "blas": ", ".join(sorted(blas))}
