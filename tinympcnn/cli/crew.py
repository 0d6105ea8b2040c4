"""Who computes the pieces of a command: this process, or the workers of a cluster that ``--cluster`` names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path

from tinympcnn.engine import backend
from tinympcnn.engine.workers import Crew
from tinympcnn.errors import DataError, UsageError
from tinympcnn.nn.sequential import Sequential


def load_backend(device: str, cluster: str | None) -> tuple[str, str]:
    """Return the array module to compute with, numpy or cupy, and why: the workers of a cluster compute with NumPy."""
    if cluster is not None and device == "cupy":
        raise UsageError("the workers of a cluster compute with NumPy; leave out --backend cupy or --cluster")
    xp, why = backend.load(device if cluster is None else "numpy")
    return xp.__name__, why


@contextmanager
def crew_for(cluster: str | None, nets: Sequence[Sequential] = (), folders: Sequence[Path] = ()) -> Iterator[Crew]:
    """Yield who computes with these nets; the workers must see the `folders`."""
    if cluster is None:
        yield Crew()
        return
    try:
        from tinympcnn.cli import cluster as clusters
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        raise UsageError('--cluster needs dask: pip install "tinympcnn[dask]"') from None
    with clusters.joined(cluster, nets, folders) as crew, loss_named(cluster):
        yield crew


@contextmanager
def loss_named(cluster: str | None) -> Iterator[None]:
    """Say in one sentence that all workers were lost, which is a `BrokenExecutor`."""
    try:
        yield
    except BrokenExecutor as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"the cluster {cluster} was lost, perhaps for lack of memory: {reason}") from error
