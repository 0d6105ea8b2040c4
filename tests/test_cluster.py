"""More than one machine: executors of every kind, and a real cluster of two processes, change no bit."""

import copyreg
import json
import logging
import os
import pickle
import signal
import sys
import time
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest
from helpers import PLAIN, pixels, refused, written

from tinympcnn import Committee, DataError, Net, Recipe, UsageError, __version__, fit
from tinympcnn.cli.models import Machine
from tinympcnn.cli.segment import segment_files
from tinympcnn.engine.workers import Crew, drawn_ahead, result_of
from tinympcnn.inference.bands import Bands
from tinympcnn.inference.classify import classify
from tinympcnn.inference.views import as_members
from tinympcnn.io.images import open_image
from tinympcnn.training.runs import fit_each

# ---------------------------------------------------------------------------------------------- any executor


class Late(Executor):
    """An executor that computes nothing before it is asked for a result, and then the last call first."""

    def __init__(self):
        self.calls, self.most = [], 0

    def submit(self, call, /, *arguments):
        executor = self

        class Lazy(Future):
            def result(self, timeout=None):
                executor.compute()
                return super().result(0)

        future = Lazy()
        self.calls.append((future, call, arguments))
        self.most = max(self.most, len(self.calls))
        return future

    def compute(self):
        while self.calls:
            future, call, arguments = self.calls.pop()
            if not future.cancelled():
                try:
                    future.set_result(call(*pickle.loads(pickle.dumps(arguments))))
                except Exception as error:
                    future.set_exception(error)


@pytest.fixture
def net():
    net = Net.from_spec("C3x3x4 MPF2x2 C2x2x4 FC2", rng=0)
    net.normalisation = np.array([100.0]), np.array([50.0])
    return net


@pytest.mark.parametrize("turns", [False, True])
def test_an_executor_changes_no_bit_of_a_segmentation(turns, net, rng):
    image, members = rng.integers(0, 255, (150, 60), dtype=np.uint8), Committee([net, net.replica()], turns)
    whole = members.segment(image)
    late = Late()
    assert (members.segment(image, tile=32, executor=late) == whole).all() and late.most > 3
    with ThreadPoolExecutor(3) as executor:
        assert (members.segment(image, tile=32, executor=executor) == whole).all()


def test_no_more_bands_are_under_way_than_were_asked_for_and_they_come_in_order(net, rng):
    pages, late = [rng.normal(size=(h, 40, 1)) for h in (100, 10, 70)], Late()
    bands = Bands(as_members(net), 32, crew=Crew(late, ahead=2))(pages)
    found = [(band.number, band.rows.start, band.take()) for band in bands]
    assert late.most == 3 and [place[:2] for place in found] == sorted(place[:2] for place in found)
    for number, page in enumerate(pages):
        mine = [band for other, _, band in found if other == number]
        assert (np.concatenate(mine) == net.segment(page)).all()


def test_bands_that_nobody_takes_are_cancelled(net, rng):
    late = Late()
    bands = Bands(as_members(net), 32, crew=Crew(late, ahead=3))([rng.normal(size=(200, 40, 1))])
    next(bands)
    first, *others = [future for future, *_ in late.calls]
    bands.close()
    assert not first.cancelled() and len(others) == 3 and all(future.cancelled() for future in others)


def test_a_worker_out_of_memory_makes_the_tiles_smaller_and_changes_no_bit(net, rng, failing):
    image, said = rng.normal(size=(300, 60, 1)), []
    whole = net.segment(image)
    failing(MemoryError, lambda call, images: images.shape[1] > 50)
    bands = Bands(as_members(net), 128, crew=Crew(Late(), ahead=5), echo=said.append)([image])
    assert (np.concatenate([band.take() for band in bands]) == whole).all()
    assert len(said) == 1  # and not once for each band that was under way


def test_the_columns_of_a_committee_are_pieces(rng):
    nets = [Net.from_spec("1x9x9-4C4-MP2-3N", rng=seed) for seed in (0, 1)]
    images, late = rng.random((600, 12, 12, 1), np.float32), Late()
    assert (classify(nets, images, crew=Crew(late, ahead=9)) == classify(nets, images)).all()
    assert late.most == 6


def test_runs_of_several_seeds_are_pieces(rng):
    images, late = [rng.normal(size=(30, 20)) for _ in range(2)], Late()
    nets = [Net.from_spec("C3x3x4 MPF2x2 FC2", rng=seed) for seed in range(3)]
    before = [net.flat() for net in nets]
    recipes = [Recipe(epochs=2, seed=seed, augment="rotate", options={"lr": 0.01}) for seed in range(3)]
    sets = (images, [image > 0 for image in images])
    one, two = (list(fit_each(nets, sets, recipes, executor=executor)) for executor in (None, late))
    assert late.most == 3 and all((net.flat() == old).all() for net, old in zip(nets, before, strict=True))
    for seed, (net, other) in enumerate(zip(one, two, strict=True)):
        alone = Net.from_spec("C3x3x4 MPF2x2 FC2", rng=seed)
        log = list(fit(alone, sets, recipes[seed]))
        assert (net.flat() == alone.flat()).all() and (other.flat() == alone.flat()).all()
        assert [record["loss_train"] for record in net.record["log"]] == [record["loss_train"] for record in log]
    with pytest.raises(UsageError, match="each net needs a recipe: here are 3 nets and 1 recipe"):
        fit_each(nets, sets, recipes[:1])


def test_what_is_drawn_ahead_comes_in_order_whatever_its_number():
    for ahead in (0, 1, 3, 99):
        futures = []
        for n in range(7):
            futures.append(Future())
            futures[-1].set_result(n)
        assert [future.result() for future in drawn_ahead(futures, ahead)] == list(range(7))


def test_workers_that_are_gone_are_one_error_whatever_lost_them():
    class KilledWorker(Exception):
        __module__ = "distributed.scheduler"

    for error, expected in ((KilledWorker("x died 4 times"), BrokenExecutor), (CancelledError(), BrokenExecutor),
                            (DataError("no"), DataError), (MemoryError(), MemoryError)):  # fmt: skip
        future = Future()
        future.set_exception(error)
        with pytest.raises(expected):
            result_of(future)


# ------------------------------------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nowhere", "'nowhere' names no cluster; expected local, an address such as tcp://HOST:8786, or a file"),
        ("tcp://:8786", "names no cluster"),
        ("tcp://127.0.0.1:99999", "does not answer"),
        ("tcp://no.such.machine.invalid:8786", "does not answer: there is no machine no.such.machine.invalid"),
        ("tcp://127.0.0.1:9", "does not answer within 1 s; is its scheduler up?"),
        ("gone.json", "gone.json is no scheduler file"),
        ("text.json", "text.json is no scheduler file"),
    ],
)
def test_a_cluster_that_does_not_answer_is_one_sentence(address, words, made, tmp_path, monkeypatch, run):
    clusters = pytest.importorskip("tinympcnn.cli.cluster", reason="dask is not installed", exc_type=ImportError)
    monkeypatch.setattr(clusters, "PATIENCE", 1)
    (tmp_path / "text.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    call = ["segment", "-i", made / "images.tif", "-m", made / "model.npz", "-o", "out", "--cluster", address]
    refused(run(*call), 2, words)
    assert not any((tmp_path / "out").iterdir())


def test_a_missing_extra_is_named(made, tmp_path, monkeypatch, run):
    for name in ("distributed", "tinympcnn.cli.cluster"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("tinympcnn.cli.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    call = ["segment", "-i", made / "images.tif", "-m", made / "model.npz", "-o", tmp_path / "out"]
    refused(run(*call, "--cluster", "local"), 2, '--cluster needs dask: pip install "tinympcnn[dask]"')


def test_what_a_cluster_cannot_do_is_said_before_any_work(made, tmp_path, run):
    files = ["-i", made / "images.tif"]
    call = ["segment", *files, "-m", made / "model.npz", "-o", tmp_path / "out", "--cluster", "local"]
    refused(run(*call, "--backend", "cupy"), 2, "leave out --backend cupy or --cluster")
    call = ["train", *files, "-l", made / "labels.tif", "-o", tmp_path / "n.npz", "--cluster", "local", "--net", "FC2"]
    refused(run(*call), 2, "a cluster is for --optimizer lbfgs")
    refused(run(*call, "--optimizer", "lbfgs", "--processes", "2"), 2, "takes the place of --processes")


# -------------------------------------------------------------------------------------------- a real cluster


@pytest.fixture(scope="module")
def cluster():
    """Start a scheduler and two workers, each of them a process; return a client."""
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    quiet = {"silence_logs": logging.CRITICAL, "dashboard_address": "127.0.0.1:0"}
    here = distributed.LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", **quiet)
    with here, distributed.Client(here) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture
def address(cluster):
    return cluster.scheduler.address


def dies_at(call):
    """Make this process kill itself in its `call`th computation of a tile, or of a gradient; it runs on a worker."""
    from tinympcnn.nn.sequential import Sequential

    calls, forward = [], Sequential.forward

    def dying(self, images, train=True, outputs=None):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(self, images, train, outputs)

    Sequential.forward = dying


def pids(client):
    client.wait_for_workers(2, timeout=60)
    return client.run(os.getpid)


def kill_one_in(client, call):
    """Prepare one worker to die; return a function that tells whether it died."""
    before = pids(client)
    client.run(dies_at, call, workers=[next(iter(before))])

    def died():
        deadline = time.monotonic() + 60
        while len(after := client.run(os.getpid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)  # the nanny starts another
        return len(set(after.values()) & set(before.values())) == 1

    return died


@pytest.fixture
def volume(tmp_path):
    """Make a folder with a stack, the same as OME-Zarr, and a model of some size."""
    stack = pixels(12, 90, 70)
    written(tmp_path / "v.tif", stack, **PLAIN, metadata={"axes": "ZYX"})
    net = Net.from_spec("C5x5x32 MPF2x2 C5x5x64 FC2", rng=0)
    net.class_values = 0, 255
    net.save(tmp_path / "m.npz")
    return tmp_path


@pytest.mark.slow
def test_a_worker_killed_in_mid_run_changes_no_bit_of_the_results(volume, cluster, address, run):
    call = ["segment", "-i", volume / "v.tif", "-m", volume / "m.npz", "--median", "2", "--tile", "40", "-o"]
    assert run(*call, volume / "one")[0] == 0
    died = kill_one_in(cluster, 4)
    answer = run(*call, volume / "two", "--cluster", address)
    assert answer[0] == 0 and "Traceback" not in answer[2], answer
    assert died()
    for name in ("v_prob.tif", "v_labels.tif"):
        assert (volume / "two" / name).read_bytes() == (volume / "one" / name).read_bytes()


@pytest.mark.slow
def test_a_worker_killed_in_mid_run_changes_no_chunk_of_a_zarr(volume, cluster, address, run):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    call = ["segment", "-m", volume / "m.npz", "--tile", "40", "-o"]
    assert run(*call, volume / "one.zarr", "-i", volume / "v.tif")[0] == 0
    (volume / "one.zarr").rename(volume / "v.zarr")  # and now read by the workers: the probabilities as an image
    net = Net.from_spec("C5x5x8 MPF2x2 FC2", 2, rng=0)
    net.save(volume / "n.npz")
    call = ["segment", "-i", volume / "v.zarr", "-m", volume / "n.npz", "--tile", "40", "-o"]
    assert run(*call, volume / "one.zarr")[0] == 0
    died = kill_one_in(cluster, 4)
    answer = run(*call, volume / "two.zarr", "--cluster", address)
    assert answer[0] == 0, answer
    assert died()
    for place in ("0", "labels/classes/0"):
        one, two = (zarr.open_array(volume / name / place, mode="r")[...] for name in ("one.zarr", "two.zarr"))
        assert (one == two).all() and one.shape == two.shape
    assert open_image(volume / "two.zarr").describe() == open_image(volume / "one.zarr").describe()


@pytest.mark.slow
def test_a_worker_killed_in_mid_run_changes_no_bit_of_a_training(cluster, address, tmp_path, run):
    images = pixels(6, 260, 270)
    written(tmp_path / "i.tif", images, **PLAIN, metadata={"axes": "ZYX"})
    written(tmp_path / "l.tif", (images > 99).astype(np.uint8), **PLAIN, metadata={"axes": "ZYX"})
    call = ["train", "-i", tmp_path / "i.tif", "-l", tmp_path / "l.tif", "--net", "C3x3x4 MPF2x2 FC2", "--epochs", "4"]
    call += ["--optimizer", "lbfgs", "-o"]
    assert run(*call, tmp_path / "one.npz", "--backend", "numpy")[0] == 0
    died = kill_one_in(cluster, 7)
    answer = run(*call, tmp_path / "two.npz", "--cluster", address)
    assert answer[0] == 0, answer
    assert died()
    one, two = (Net.load(tmp_path / name) for name in ("one.npz", "two.npz"))
    assert (one.flat() == two.flat()).all()


@pytest.mark.slow
def test_nets_travel_once_and_pieces_carry_their_names(volume, cluster, address, monkeypatch, run):
    from distributed.cfexecutor import ClientExecutor

    sizes, submit = [], ClientExecutor.submit

    def weighed(self, call, *arguments, **options):
        sizes.append(len(pickle.dumps((call, arguments))))
        return submit(self, call, *arguments, **options)

    monkeypatch.setattr(ClientExecutor, "submit", weighed)
    pids(cluster)
    call = ["segment", "-i", volume / "v.tif", "-m", volume / "m.npz", "-o", volume / "out", "--cluster", address]
    assert run(*call)[0] == 0
    net = len(pickle.dumps(Net.load(volume / "m.npz")))
    assert len(sizes) >= 12 and max(sizes) < 90 * 70 + 2000 < net / 20
    assert Net not in copyreg.dispatch_table
    assert cluster.run(lambda: len(sys.modules["tinympcnn.cli.cluster"]._kept)) == dict.fromkeys(pids(cluster), 0)


@pytest.mark.slow
def test_locate_and_classify_on_a_cluster(cluster, address, tmp_path, rng, run):
    pids(cluster)
    for i in range(3):
        written(tmp_path / f"{i}.tif", pixels(60, 50, seed=i))
    net = Net.from_spec("C5x5x4 MPF2x2 FC2", rng=0)
    net.record["radius"] = 3
    net.save(tmp_path / "m.npz")
    call = [
        "locate",
        "-i",
        *(tmp_path / f"{i}.tif" for i in range(3)),
        "-m",
        tmp_path / "m.npz",
        "--score",
        "0.4",
        "-o",
    ]
    assert run(*call, tmp_path / "one.csv", "--backend", "numpy")[0] == 0
    assert run(*call, tmp_path / "two.csv", "--cluster", address)[0] == 0
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert len((tmp_path / "one.csv").read_text().splitlines()) > 3
    for seed in (0, 1):
        net = Net.from_spec("1x9x9-4C4-MP2-3N", rng=seed)
        net.class_names, net.preprocessing = ("a", "b", "c"), {"kind": "none"}
        net.save(tmp_path / f"{seed}.npz")
    images = [tmp_path / f"{i}.tif" for i in range(3)]
    call = ["classify", "-i", *images, "-m", tmp_path / "0.npz", tmp_path / "1.npz"]
    assert run(*call, "--backend", "numpy", "--csv", tmp_path / "a.csv")[0] == 0
    assert run(*call, "--cluster", address, "--csv", tmp_path / "b.csv")[0] == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def hide(yes):
    """Hide the library from this process, a worker, or show it again."""
    found = [name for name in sys.modules if name.split(".")[0].strip("-") == "tinympcnn"]
    for name in found:
        if yes and name == "tinympcnn":
            sys.modules["-tinympcnn"], sys.modules["tinympcnn"] = sys.modules["tinympcnn"], None
        elif not yes and name == "-tinympcnn":
            sys.modules["tinympcnn"] = sys.modules.pop("-tinympcnn")


def name_version(version):
    sys.modules["tinympcnn"].__version__ = version


@pytest.mark.slow
def test_a_worker_without_the_library_or_with_another_one_is_named(volume, cluster, address, run):
    worker = next(iter(pids(cluster)))
    cluster.run(__import__, "tinympcnn")
    call = ["segment", "-i", volume / "v.tif", "-m", volume / "m.npz", "-o", volume / "out", "--cluster", address]
    cluster.run(hide, True, workers=[worker])
    refused(run(*call), 2, f"the worker {worker} of the cluster {address} lacks tinympcnn; install {__version__} there")
    cluster.run(hide, False, workers=[worker])
    cluster.run(name_version, "9.9", workers=[worker])
    refused(run(*call), 2, f"the worker {worker} of the cluster {address} has tinympcnn 9.9; install {__version__}")
    cluster.run(name_version, __version__, workers=[worker])
    assert not any((volume / "out").iterdir())
    (volume / "scheduler.json").write_text(json.dumps({"address": address}))
    assert run(*call[:-1], volume / "scheduler.json")[0] == 0


@pytest.mark.slow
def test_a_damaged_image_among_others_is_named_and_the_rest_is_done(volume, cluster, address, run):
    pids(cluster)
    bad = pixels(3, 90, 70, dtype=np.float32)
    bad[1, 2, 3] = np.nan
    written(volume / "bad.tif", bad, **PLAIN, metadata={"axes": "ZYX"})
    written(volume / "z.tif", pixels(90, 70))
    images = [volume / name for name in ("bad.tif", "v.tif", "z.tif")]
    call = ["segment", "-i", *images, "-m", volume / "m.npz", "-o", volume / "out", "--cluster", address]
    refused(run(*call), 1, "1 of 3 images were left out: ")
    assert sorted(path.name for path in (volume / "out").iterdir()) == [
        "v_labels.tif", "v_prob.tif", "z_labels.tif", "z_prob.tif",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_scheduler_without_workers_and_one_that_ends_are_one_sentence(volume, monkeypatch, run):
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    from tinympcnn.cli import cluster as clusters

    quiet = {"silence_logs": logging.CRITICAL, "dashboard_address": "127.0.0.1:0"}
    call = ["segment", "-i", volume / "v.tif", "-m", volume / "m.npz", "-o", volume / "out", "--tile", "40"]
    with distributed.LocalCluster(n_workers=0, host="127.0.0.1", **quiet) as empty:
        monkeypatch.setattr(clusters, "PATIENCE", 2)
        refused(run(*call, "--cluster", empty.scheduler_address), 2, "answers but has no workers; start some first")
    here = distributed.LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", **quiet)
    monkeypatch.setattr(clusters, "PATIENCE", 60)

    def end(line):
        if line.startswith("1 file,"):
            here.close()

    machine = Machine(tile=40, cluster=here.scheduler_address)
    with here, pytest.raises(DataError, match=r"the cluster .* was lost, .*: its scheduler or its workers are gone"):
        segment_files([volume / "v.tif"], volume / "m.npz", volume / "out", machine=machine, echo=end)
    assert not any((volume / "out").iterdir())


@pytest.mark.slow
def test_local_is_a_cluster_of_this_machine(volume, threads, run):
    threads(2)
    call = ["segment", "-i", volume / "v.tif", "-m", volume / "m.npz", "-o"]
    assert run(*call, volume / "one", "--backend", "numpy")[0] == 0
    code, said, complaint = run(*call, volume / "two", "--cluster", "local", "--memory", "2G")
    assert code == 0 and complaint == "" and "MB for each of the 2 bands that workers compute" in " ".join(said.split())
    assert (volume / "two" / "v_prob.tif").read_bytes() == (volume / "one" / "v_prob.tif").read_bytes()


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_is_for_this_process_and_not_for_the_workers_of_local():
    clusters = pytest.importorskip("tinympcnn.cli.cluster", reason="dask is not installed", exc_type=ImportError)
    with clusters.joined("local") as crew:
        assert crew.executor.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN


@pytest.mark.slow
def test_the_executor_of_a_client_serves_the_library_as_it_is(cluster, net, rng):
    pids(cluster)
    image = rng.integers(0, 255, (150, 60), dtype=np.uint8)
    found = net.segment(image, tile=32, executor=cluster.get_executor(pure=False))
    assert (found == net.segment(image)).all()
