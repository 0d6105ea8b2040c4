"""A Dask cluster as a crew: joined, checked, and given the nets once, so that pieces carry their names alone.

The executor is that of distributed's own client. A piece whose worker dies is computed again by another worker.
"""

from __future__ import annotations

import copyreg
import json
import logging
import os
import pkgutil
import re
import socket
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, WorkerPlugin

from tinympcnn import __version__, engine
from tinympcnn.cli.versions import versions
from tinympcnn.engine.workers import Crew
from tinympcnn.errors import Notice, UsageError
from tinympcnn.inference.tiling import DEFAULT_MEMORY
from tinympcnn.net import Net
from tinympcnn.nn.sequential import Sequential

PATIENCE = 10  # seconds for a cluster to answer, and for its first worker to be there


@contextmanager
def joined(name: str, nets: Sequence[Sequential] = (), folders: Sequence[Path] = ()) -> Iterator[Crew]:
    """Join a cluster, give its workers the nets, and yield the crew; `folders` must be seen by every worker.

    The `name` is "local" for a worker on each core of this machine, the address of a scheduler, or its scheduler file.
    Each worker is sent the nets once, workers that join later too. A `UsageError` refuses a cluster that does not
    answer or has no workers, and a worker that lacks this library or a folder. If the workers are lost while they
    compute, and no others take their place, that is a `BrokenExecutor`.
    """
    with _connected(name) as client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UsageError(f"the cluster {name} answers but has no workers; start some first") from None
        _check(client, name, folders)
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        shares = [one["memory_limit"] // one["nthreads"] // 2 for one in workers if one["memory_limit"]]
        ahead = 2 * sum(one["nthreads"] for one in workers)
        with _sent_ahead(client, nets):
            yield Crew(client.get_executor(pure=False), ahead, min([DEFAULT_MEMORY, *shares]))


@contextmanager
def _connected(name: str) -> Iterator[Client]:
    """Yield a client of the cluster; a cluster of this machine ends with it."""
    with warnings.catch_warnings(), _silent_logs():
        warnings.filterwarnings("ignore", "Sending large graph")  # pixels are what the graph is made of
        warnings.filterwarnings("ignore", r"(?s).*Mismatched versions")  # `_check` says what matters
        if name == "local":
            n = engine.get_threads()
            place = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
            place["preload"] = ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"]  # Ctrl-C is for us alone
            with LocalCluster(n_workers=n, threads_per_worker=1, **place) as cluster, Client(cluster) as client:
                yield client
            return
        address = _address(name)
        try:
            client = Client(address, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise UsageError(f"the cluster {name} does not answer within {PATIENCE} s; is its scheduler up?") from error
        with client:
            yield client


@contextmanager
def _silent_logs() -> Iterator[None]:
    """Leave it to this module to say in one sentence what distributed would log on many lines."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _address(name: str) -> str:
    """Return the address of a scheduler, from its scheduler file too, if such a machine exists."""
    address = name
    if name.endswith(".json"):
        try:
            address = json.loads(Path(name).read_text(encoding="utf-8"))["address"]
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(f"{name} is no scheduler file; dask scheduler --scheduler-file writes one") from None
    found = re.fullmatch(r"(?:(?:tcp|tls|ws|wss)://)?(\[[^\]]+\]|[^:/\s]+):(\d+)/?", address)
    if not found:
        raise UsageError(f"{name!r} names no cluster; expected local, an address such as tcp://HOST:8786, or a file")
    try:
        socket.getaddrinfo(found[1].strip("[]"), int(found[2]))
    except (OSError, OverflowError):
        raise UsageError(f"the cluster {name} does not answer: there is no machine {found[1]}") from None
    return address


def _check(client: Client, name: str, folders: Sequence[Path]) -> None:
    """Refuse workers that cannot do the work, and warn of those whose last bits may differ."""
    ask, *answer = pkgutil.resolve_name, "tinympcnn:__version__"
    for worker, found in client.run(ask, *answer, on_error="return").items():
        if found != __version__:
            what = "lacks tinympcnn" if isinstance(found, BaseException) else f"has tinympcnn {found}"
            raise UsageError(f"the worker {worker} of the cluster {name} {what}; install {__version__} there, as here")
    try:
        client.run_on_scheduler(ask, *answer)
    except ImportError:
        raise UsageError(f"the scheduler of the cluster {name} lacks tinympcnn; install it there too") from None
    for folder in map(os.path.abspath, folders):
        for worker, seen in client.run(os.path.exists, folder).items():
            if not seen:
                raise UsageError(f"the worker {worker} does not see {folder}; use a folder that all machines share")
    here = versions()
    for worker, there in client.run(versions).items():
        for kind in ("numpy", "blas"):
            if not set(there[kind].split(", ")) & set(here[kind].split(", ")):
                text = f"the worker {worker} computes with {kind} {there[kind]}, and this machine has {here[kind]}"
                warnings.warn(f"{text}: the last bits may differ", Notice, stacklevel=2)
                return


class _Nets(WorkerPlugin):  # type: ignore[misc]  # distributed has no types
    """Nets that each worker keeps under their names; the scheduler hands the plugin to workers that join later too."""

    def __init__(self, nets: dict[str, Sequential]) -> None:
        self.nets = nets

    def setup(self, worker: Any) -> None:
        """Keep the nets, on a worker that begins; each of its threads computes a piece of its own."""
        engine.set_threads(1)
        _kept.update(self.nets)

    def teardown(self, worker: Any) -> None:
        """Let the nets go, at the end of the job."""
        for name in self.nets:
            _kept.pop(name, None)


_kept: dict[str, Sequential] = {}


@dataclass(frozen=True)
class _Named:
    """A net in the scheduler, which hands pieces on and has no nets."""

    name: str

    def __reduce__(self) -> Any:
        return _net, (self.name,)


def _net(name: str) -> Sequential | _Named:
    return _kept.get(name) or _Named(name)


@contextmanager
def _sent_ahead(client: Client, nets: Sequence[Sequential]) -> Iterator[None]:
    """Send the nets to all workers; inside, a net is pickled as its name."""
    job = f"tinympcnn-{uuid.uuid4().hex}"
    names = {id(net): f"{job}-{i}" for i, net in enumerate(nets)}
    client.register_plugin(_Nets({names[id(net)]: net for net in nets}), name=job)

    def reduced(net: Sequential) -> Any:
        return (_net, (names[id(net)],)) if id(net) in names else net.__reduce_ex__(4)

    for kind in (Net, Sequential):
        copyreg.pickle(kind, reduced)
    try:
        yield
    finally:
        for kind in (Net, Sequential):
            copyreg.dispatch_table.pop(kind)
        if client.status == "running":
            client.unregister_worker_plugin(job)
