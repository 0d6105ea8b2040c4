"""The models that a command averages, the machines that compute, and the calibration of the average."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from tinympcnn.cli.words import say
from tinympcnn.engine import backend
from tinympcnn.engine.workers import Crew
from tinympcnn.errors import DataError, UsageError, counted
from tinympcnn.inference.average import agreed
from tinympcnn.inference.calibration import Calibration
from tinympcnn.inference.committee import Committee
from tinympcnn.io.atomic import AnyPath as AnyPath
from tinympcnn.net import Net
from tinympcnn.nn.sequential import Sequential

Paths = Sequence[AnyPath]
Echo = Callable[[str], None]


@dataclass(frozen=True)
class Machine:
    """Where to compute, and in which pieces. Only the last bits of the result depend on the device."""

    device: str = "numpy"
    """The library that computes."""
    tile: int | None = None
    """Compute tiles of NxN pixels. The result does not depend on it. auto, the default, fits --memory."""
    memory: int | None = None
    """Keep to this much memory, such as 2G or 500M. The default is half of what is free."""
    cluster: str | None = None
    """Spread the work over the workers of a Dask cluster, such as tcp://HOST:8786, or the file of its scheduler. local
    starts a worker for each core of this machine. The default is to compute in this process. This needs dask."""


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


def load_committee(
    models: AnyPath | Paths, turns: bool = False, machine: Machine = Machine(), echo: Echo = say
) -> tuple[Committee, int]:
    """Read models that will be averaged, and return also the factor by which all want their images down-sampled."""
    device, why = load_backend(machine.device, machine.cluster)
    echo(f"backend: {why}")
    nets, names, factor = load_nets([models] if isinstance(models, str | PathLike) else models)
    return Committee(nets, turns, names).to(device), factor


def load_nets(models: Paths) -> tuple[list[Net], list[str], int]:
    """Read nets; return them, the names by which errors call them, and the factor by which all shrink their images."""
    names = [str(path) for path in models]
    nets = [Net.load(name) for name in names]
    return nets, names, agreed("down-sampling", [resolution(net) for net in nets], names)


def load_calibration(path: AnyPath | None, values: tuple[int, ...]) -> Calibration | None:
    """Read a calibration if there is one, and check that it was fitted for these classes."""
    if path is None:
        return None
    calibration = Calibration.load(path)
    if calibration.class_values != values:
        raise DataError(f"{path} was fitted for the classes {calibration.class_values}, and the model's are {values}")
    return calibration


def resolution(net: Net) -> int:
    """Return the factor by which the images were down-sampled on which the net was trained: 1 for not at all."""
    factor = net.record.get("downsample", 1)
    if not isinstance(factor, int) or isinstance(factor, bool) or factor < 1:
        raise DataError(f"the model's record names the down-sampling {str(factor)[:40]!r}; it must be 1 or more")
    return factor


def check_channels(name: object, channels: int, wanted: int) -> None:
    """Refuse an image with another number of channels than the models take."""
    if channels != wanted:
        raise DataError(f"{name} has {counted(channels, 'channel')} and the model takes {wanted}")
