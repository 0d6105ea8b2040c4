"""Who computes the pieces of a command: this process, or the workers of a cluster that ``--cluster`` names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tinympcnn.cli import arguments
from tinympcnn.engine.workers import Crew
from tinympcnn.errors import UsageError
from tinympcnn.nn.sequential import Sequential


def add_argument(parser: argparse._ActionsContainer, what: str) -> None:
    """Add ``--cluster``, which spreads `what`."""
    parser.add_argument(
        "--cluster", type=arguments.path, metavar="local|ADDRESS",
        help=f"Spread {what} over the workers of a Dask cluster, such as tcp://HOST:8786 or its scheduler file. local "
        "starts a worker for each core of this machine. The default is to compute in this process. This needs dask.",
    )  # fmt: skip


def backend_for(cluster: str | None, device: str) -> str:
    """Return the backend to load: the workers of a cluster compute with NumPy."""
    if cluster is not None and device == "cupy":
        raise UsageError("the workers of a cluster compute with NumPy; leave out --backend cupy or --cluster")
    return device if cluster is None else "numpy"


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
    with clusters.joined(cluster, nets, folders) as crew:
        yield crew
