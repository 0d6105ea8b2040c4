"""The engine: blocks cover, sums keep their order, memory on loan is never lent twice, errors come through."""

import gc
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from tinympcnn import UsageError, engine
from tinympcnn.engine.matmul import FIXED_ROWS, HELD, Rows, any_rows, multiply, product, product_rows, sum_parts

# ------------------------------------------------------------------------------------------------------ threads


@pytest.mark.parametrize("n", [1, 2, 3])
def test_run_calls_the_task_once_for_each_item(n, threads):
    threads(n)
    seen = []
    engine.run(seen.append, range(100))
    assert sorted(seen) == list(range(100))
    engine.run(seen.append, [])


@pytest.mark.parametrize("n", [1, 3])
def test_an_error_in_a_task_comes_through_and_the_workers_live_on(n, threads):
    threads(n)

    def task(i):
        if i == 7:
            raise ZeroDivisionError("seven")

    with pytest.raises(ZeroDivisionError, match="seven"):
        engine.run(task, range(20))
    seen = []
    engine.run(seen.append, range(20))
    assert len(seen) == 20


def test_a_task_may_run_tasks(threads):
    threads(2)
    seen = []
    engine.run(lambda i: engine.run(lambda j: seen.append((i, j)), range(4)), range(4))
    assert sorted(seen) == [(i, j) for i in range(4) for j in range(4)]


@pytest.mark.parametrize("items", [0, 1, 5, 8, 100])
def test_sums_do_not_depend_on_threads_and_are_added_to_what_is_there(items, threads):
    values = np.random.default_rng(0).standard_normal((items, 3)).astype(np.float32)

    def task(i, total, count):
        total += values[i]
        count += 1

    results = []
    for n in (1, 2, 3):
        threads(n)
        total, count = np.full(3, 10, np.float32), np.zeros(1)
        engine.accumulate(task, range(items), (total, count))
        assert count == items
        results.append(total)
    assert all((total == results[0]).all() for total in results)
    assert np.allclose(results[0], 10 + values.sum(axis=0), atol=1e-5)


def in_new_process(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"from tinympcnn import engine\n{code}"],
        env={**os.environ, "PYTHONPATH": os.getcwd(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_threads_come_from_the_environment():
    code = "print(engine.get_threads())"
    assert in_new_process(code, TINYMPCNN_THREADS="3") == "3"
    assert in_new_process(code, TINYMPCNN_THREADS="") == str(engine.available_cores())


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_threads_that_make_no_sense_raise(text, monkeypatch):
    monkeypatch.setenv("TINYMPCNN_THREADS", text)
    with pytest.raises(UsageError, match=f"TINYMPCNN_THREADS must be a positive integer, not '{text}'"):
        engine.threads._threads_from_environment()


def test_fewer_than_one_thread_raises():
    with pytest.raises(UsageError, match="at least 1"):
        engine.set_threads(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_workers_of_its_own():
    code = """
import os, warnings, signal
import numpy as np
engine.set_threads(2)
engine.run(lambda i: None, range(10))
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads
pid = os.fork()
if pid == 0:
    signal.alarm(20)  # a deadlock must not hang the test
    seen = []
    engine.run(seen.append, range(10))
    engine.set_threads(3)
    engine.run(seen.append, range(10))
    os._exit(len(seen))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert in_new_process(code, TINYMPCNN_THREADS="2") == "20"


def test_where_no_thread_can_be_started_this_one_does_all_the_work(threads, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    threads(3)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(2):
        seen = []
        engine.run(seen.append, range(20))
        assert seen == list(range(20))
    assert engine.get_threads() == 1  # nothing is tried again


def test_a_net_runs_as_in_a_browser_without_threads_and_without_psutil():
    code = """
import sys, threading
def refuse(self):
    raise RuntimeError("can't start new thread")
threading.Thread.start, sys.modules["psutil"] = refuse, None
import numpy as np
from tinympcnn import Net
from tinympcnn.gradcheck import check_net
net = Net.from_spec("C3x3x4 MPF2x2 C3x3x4 FC2", rng=0)
assert check_net(net)
print(net.segment(np.eye(40, 41, dtype=np.float32)).shape)
"""
    assert in_new_process(code, TINYMPCNN_THREADS="4") == "(40, 41, 2)"


def test_as_many_threads_as_can_be_started_share_the_work(threads, monkeypatch):
    start, left = threading.Thread.start, [None]

    def first_only(self):
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        start(self)

    threads(5)
    monkeypatch.setattr(threading.Thread, "start", first_only)
    barrier, seen = threading.Barrier(2, timeout=20), []

    def task(i):
        barrier.wait()  # two threads are at work
        seen.append(i)

    engine.run(task, range(20))
    assert sorted(seen) == list(range(20)) and engine.get_threads() == 2


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_blas_runs_on_one_thread_inside_and_as_before_outside():
    before = blas_threads()
    with engine.single_threaded_blas():
        assert set(blas_threads()) <= {1}
        with pytest.raises(ValueError), engine.single_threaded_blas():
            raise ValueError
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before


# ------------------------------------------------------------------------------------------------------- blocks


@given(*[st.integers(1, 40), st.integers(1, 60), st.integers(1, 60)], *[st.integers(1, 300)] * 3)
def test_blocks_cover_a_storage_once(fragments, rows, columns, kh, strip, maps):
    x = np.zeros(1)
    for blocks in (
        engine.window_blocks((fragments, rows, columns), kh, strip, maps, x),
        engine.cache_blocks(fragments, rows, columns * strip * maps, x),
    ):
        seen = np.zeros((fragments, rows), int)
        for f, q in blocks:
            seen[f, q] += 1
            assert 0 <= f.start < f.stop <= fragments and 0 <= q.start < q.stop <= rows
        assert (seen == 1).all()


def test_blocks_stay_near_their_limit():
    x = np.zeros(1)
    for f, q in engine.window_blocks((16, 120, 120), 5, 240, 48, x):
        strips = (f.stop - f.start) * (q.stop - q.start + 4) * 120
        assert strips * (240 + 48) * 8 <= engine.STRIP_BYTES
    for f, q in engine.cache_blocks(16, 120, 5760, x):
        assert (f.stop - f.start) * (q.stop - q.start) * 5760 <= engine.blocks.CACHE_ITEMS


def test_blocks_put_narrow_fragments_side_by_side_until_products_are_full():
    blocks = engine.window_blocks((256, 32, 32), 3, 144, 200, np.zeros(1, np.float32))
    rows = product_rows(432, 200, np.dtype("f4"))
    for f, _ in blocks[:-4]:
        products, size = rows.shared(filled := (f.stop - f.start) * 32)
        assert filled / (products * size) > 0.9


def test_cutting_takes_no_time():
    x, start = np.zeros(1), time.perf_counter()
    for _ in range(100):
        assert len(engine.cache_blocks(1, 3 * engine.blocks.CACHE_ITEMS, 1, x)) == 3
    assert time.perf_counter() - start < 1  # a search through all sizes of a block took 5


# ----------------------------------------------------------------------------------------------------- products


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_row_period_divides_and_holds(dtype):
    period = engine.row_period(np.dtype(dtype))
    assert FIXED_ROWS % period == 0
    assert all(engine.pitch(n, np.zeros(1, dtype)) == -(-n // period) * period for n in range(1, 60))
    rng = np.random.default_rng(1)
    for K, maps in ((100, 37), (1200, 48), (7, 3)):
        row, W = rng.standard_normal(K).astype(dtype), rng.standard_normal((K, maps)).astype(dtype)
        y = np.empty((1007, maps), dtype)
        product(np.tile(row, (len(y), 1)), W, y)
        assert all((y[i::period] == y[i]).all() for i in range(period))


@given(st.integers(1, 3000), st.integers(1, 300), st.sampled_from([np.float32, np.float64]), st.data())
def test_a_row_has_the_same_bits_in_products_of_all_numbers_of_rows(K, maps, dtype, data):
    rng = np.random.default_rng(0)
    a, W = rng.standard_normal((1000, K)).astype(dtype), rng.standard_normal((K, maps)).astype(dtype)
    period = engine.row_period(np.dtype(dtype))
    start = period * data.draw(st.integers(0, 900 // period))
    n = data.draw(st.integers(1, 1000 - start))
    whole, part = np.empty((1000, maps), dtype), np.empty((n, maps), dtype)
    with engine.single_threaded_blas():
        product(a, W, whole)
        product(a[start : start + n], W, part)
    assert (part == whole[start : start + n]).all()
    np.testing.assert_allclose(whole, a @ W, atol=1e-4 * K**0.5)


@given(st.integers(1, 3000), st.integers(1, 300), st.integers(1, 5000))
def test_products_have_room_for_all_windows_and_for_few_more(K, maps, n):
    for rows in (Rows(24, 768), Rows(192, 192), product_rows(K, maps, np.dtype("f4"))):
        products, size = rows.shared(n)
        assert size % rows.step == 0 and size <= rows.most
        assert n <= products * size < n + products * rows.step


def test_a_blas_that_rounds_by_the_number_of_rows_gets_products_of_one_number(monkeypatch):
    def rounds_otherwise(a, b, out=None):
        y = multiply(a, b, out)
        return y if a.shape[-2] % 48 else np.nextafter(y, 0)

    assert any_rows(np.dtype("f4"))  # OpenBLAS
    monkeypatch.setattr(engine.matmul, "multiply", rounds_otherwise)
    for measured in (any_rows, product_rows):
        monkeypatch.setattr(engine.matmul, measured.__name__, measured.__wrapped__)
    assert engine.matmul.product_rows(3000, 300, np.dtype("f4")) == Rows(FIXED_ROWS, FIXED_ROWS)
    assert "of 192 rows, as this BLAS rounds" in engine.describe_products()


# ------------------------------------------------------------------------------------------------------ windows


@given(*[st.integers(1, 4)] * 2, *[st.integers(1, 9)] * 4, *[st.integers(0, 3)])
def test_windows_in_strips_give_what_columns_give(kh, kw, F, h, w, C, gap):
    rng = np.random.default_rng(kh)
    x, W = rng.standard_normal((F, h + kh - 1, w + kw - 1, C)), rng.standard_normal((kh * kw * C, 5))
    cols = engine.columns(x, (kh, kw))
    y = engine.window_products(x, W, (kh, kw), w + gap, np.empty((F, h, w, 5)))
    np.testing.assert_allclose(y, (cols @ W).reshape(F, h, w, 5), atol=1e-12)
    dW, db = engine.window_gradients(x, y, (kh, kw))
    np.testing.assert_allclose(dW.reshape(W.shape), cols.T @ y.reshape(-1, 5), atol=1e-10)
    np.testing.assert_allclose(db, y.sum(axis=(0, 1, 2)), atol=1e-11)


@pytest.mark.parametrize(("kh", "K", "maps"), [(7, 7, 8), (1, 100, 2), (1, 8, 100), (5, 40, 8), (1, 1, 1)])
def test_sums_over_many_windows_are_cut_into_parts_that_other_threads_need_not_wait_for(kh, K, maps, rng):
    for n in (1, 2, 501, 5657):
        parts = sum_parts(kh, K, maps, n)
        assert parts == n or parts * kh * K * maps > HELD
        x, dy = rng.standard_normal((1, kh, n + K - 1, 1)), rng.standard_normal((1, 1, n, maps))
        dW, _ = engine.window_gradients(x, dy, (kh, K))
        np.testing.assert_allclose(dW.reshape(-1, maps), engine.columns(x, (kh, K)).T @ dy[0, 0], atol=1e-10)


# ---------------------------------------------------------------------------------------------------- workspace

LARGE = (1 << 18,)  # bytes: enough to come from the workspace
like = np.zeros(1, np.uint8)


@pytest.fixture
def workspace():
    gc.collect()
    engine.release_memory()
    yield engine.workspace._workspace
    gc.collect()
    engine.release_memory()


def test_arrays_have_the_type_and_shape_asked_for():
    for shape in ((3, 4), (200, 300), (0, 5), ()):
        for dtype in (np.float32, np.float64, np.uint8):
            y = engine.empty(shape, np.zeros(1, dtype))
            assert y.shape == shape and y.dtype == dtype and y.flags.c_contiguous and y.flags.writeable
            assert y.ctypes.data % y.dtype.alignment == 0
    assert engine.empty((300, 300), np.zeros(1), "uint8").dtype == np.uint8


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("maps", [1, 3, 4, 8])
@pytest.mark.parametrize("first", [0, 1, 4])
def test_a_copy_has_the_same_bits_wherever_the_maps_begin(device, rng, dtype, maps, first):
    bits = rng.integers(0, 256, (3, 5, 12 * np.dtype(dtype).itemsize), dtype=np.uint8)  # NaNs with a payload among them
    x = device.xp.asarray(bits.view(dtype))[1:, ::2, first : first + maps]
    into = device.xp.zeros((3, 6, 16), dtype)[:2, 1:4, 4 : 4 + maps]
    engine.copy(x, into)
    wanted = np.ascontiguousarray(bits.view(dtype)[1:, ::2, first : first + maps])
    assert (device.asnumpy(into).copy().view(np.uint8) == wanted.view(np.uint8)).all()


def test_live_arrays_never_share_memory(workspace):
    arrays = [engine.empty(LARGE, like) for _ in range(20)]
    for i, array in enumerate(arrays):
        array[...] = i
    del arrays[::2]
    arrays += [engine.empty(LARGE, like) for _ in range(15)]
    for i, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:i])
    assert [int(array[0]) for array in arrays[:10]] == list(range(1, 20, 2))


def test_a_view_keeps_its_memory_on_loan(workspace):
    view = engine.empty(LARGE, like).reshape(2, -1)[1:, ::3]
    view[...] = 7
    others = [engine.empty(LARGE, like) for _ in range(3)]
    for other in others:
        other[...] = 0
    assert (view == 7).all()
    assert workspace.leased_bytes == 4 << 18


def test_memory_returns_and_is_used_again(workspace):
    first = engine.empty(LARGE, like)
    place = first.ctypes.data
    del first
    assert (workspace.leased_bytes, workspace.free_bytes) == (0, 1 << 18)
    again = engine.empty((LARGE[0] // 8,), like, np.float64)
    assert again.ctypes.data == place and workspace.free_bytes == 0
    del again
    engine.release_memory()
    assert workspace.free_bytes == 0 and not workspace.free


def test_kept_memory_adds_no_more_than_the_slack_to_the_peak(workspace, monkeypatch):
    monkeypatch.setattr(type(workspace), "SLACK", 1 << 20)
    for size in (1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 17):
        engine.empty((size,), like)
        assert workspace.leased_bytes + workspace.free_bytes <= workspace.most_leased + workspace.SLACK


def test_blocks_of_several_sizes_take_turns_in_kept_memory(workspace):
    sizes = [1 << 18, 3 << 17, 5 << 17]
    for size in sizes:
        engine.empty((size,), like)
    idle = workspace.free_bytes
    for _ in range(3):
        for size in sizes:
            engine.empty((size - 100,), like)
    assert workspace.free_bytes == idle  # nothing was let go, nothing was fetched anew


def test_many_threads_get_memory_of_their_own(workspace):
    wrong = []

    def work(number):
        for _ in range(300):
            mine = engine.empty(LARGE, like)
            mine[::1000] = number
            if (mine[::1000] != number).any():
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong and workspace.leased_bytes == 0
