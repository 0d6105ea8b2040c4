"""The fake device: it permits what CuPy permits and refuses what CuPy refuses.

Those refusals that CuPy can decide without a GPU are put to the real one too, wherever it is installed; the others
were read in the source of CuPy 14.
"""

import copy
import gc
import warnings

import numpy as np
import pytest

HOST = np.arange(6, dtype=np.float32).reshape(2, 3)
REFUSALS = {  # a: device array, h: host array, xp: module. The error, and whether the real CuPy can be asked
    "np.asarray(a)": (TypeError, "Implicit conversion", True),
    "np.array([a])": (TypeError, "Implicit conversion", True),
    "a.__array__()": (TypeError, "Implicit conversion", True),
    "np.ascontiguousarray(a)": (TypeError, "Implicit conversion", True),
    "h.__setitem__(..., a)": (TypeError, "Implicit conversion", True),
    "h[a]": (TypeError, "Implicit conversion", True),
    "h.dot(a.T)": (TypeError, "", True),
    "np.testing.assert_allclose(a, h)": (TypeError, "", True),
    "xp.matmul(a, h.T)": (TypeError, "numpy.ndarray", True),
    "h @ a.T": (TypeError, "numpy.ndarray", True),
    "a.T @ h": (TypeError, "numpy.ndarray", True),
    "a.T.dot(h)": (TypeError, "numpy.ndarray", True),
    "xp.stack([a, h])": (TypeError, "numpy.ndarray", True),
    "a.__setitem__(..., h)": (ValueError, "cannot be used for fill", True),
    "a.__setitem__(0, [1, 2, 3])": (ValueError, "cannot be used for fill", True),
    "a.item()": (ValueError, "size 1", True),
    "bool(a)": (ValueError, "ambiguous", True),
    "hash(a)": (TypeError, "unhashable", True),
    "range(3)[a[0, 0]]": (TypeError, "", True),
    "round(a[0, 0])": (TypeError, "", True),
    "a + h": (TypeError, "Unsupported type <class 'numpy.ndarray'>", False),
    "h + a": (TypeError, "Unsupported type <class 'numpy.ndarray'>", False),
    "a * np.array(2.0)": (TypeError, "Unsupported type <class 'numpy.ndarray'>", False),
    "a == h": (TypeError, "Unsupported type <class 'numpy.ndarray'>", False),
    "h.__iadd__(a)": (TypeError, "", False),
    "a.__iadd__(h)": (TypeError, "Unsupported type <class 'numpy.ndarray'>", False),
    "xp.add(a, h)": (TypeError, "Unsupported type <class 'numpy.ndarray'>", False),
    "xp.add(a, [1, 2, 3])": (TypeError, "Unsupported type <class 'list'>", False),
    "xp.add(a, a, out=h)": (TypeError, "Unsupported type <class 'numpy.ndarray'>", False),
    "xp.where(a > 0, a, h)": (TypeError, "Unsupported type <class 'numpy.ndarray'>", False),
    "xp.tanh(a, where=a > 0)": (TypeError, "Wrong arguments", False),
    "a.sum(where=a > 0)": (TypeError, "", False),
    "xp.add(a, a, out=a.view('int32'))": (TypeError, "same_kind", False),
    "xp.nanmedian(a)": (AttributeError, "", False),  # exists, but is in no list here: then nor may the package use it
    "np.sqrt(a)": (TypeError, "use xp.sqrt", False),  # the real one would answer
    "np.sum(a)": (TypeError, "use xp.sum", False),  # the real one would answer
    "xp.tanh(h)": (TypeError, "Unsupported type", False),
    "xp.sum(h)": (TypeError, "Unsupported type", False),  # the real one would answer
}


def _refused(expression, error, match, xp, a):
    with pytest.raises(error, match=match or None), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns that CuPy's __array__ takes no copy=
        eval(expression, {"np": np, "xp": xp, "a": a, "h": HOST.copy()})


@pytest.mark.parametrize("expression", REFUSALS)
def test_refuses(fake, expression):
    error, match, _ = REFUSALS[expression]
    _refused(expression, error, match, fake.cupy, fake.cupy.asarray(HOST))


def test_the_real_one_refuses_the_same(real, real_array):
    for expression, (error, match, askable) in REFUSALS.items():
        if askable:
            _refused(expression, error, match, real, real_array(HOST))


PERMITTED = """
    2 * a + 1 - a / 2.0
    np.float32(2) * a
    a * np.float32(2)
    1 - a**2
    -abs(a)
    a.T
    a[:, ::-1]
    a[None, ..., 0]
    a[1, 2]
    a[np.array([1, 0])]
    a[[1, 0]]
    a[a > 2]
    a.reshape(3, -1)
    a.reshape(-1)
    a.transpose([1, 0])
    a.view("uint8")
    (a > 2).view("uint8")
    a.astype("float64")
    a.sum()
    a.sum(axis=(0, 1), keepdims=True, dtype="float64")
    a.max(axis=-1, keepdims=True)
    a.argmax(axis=1)
    (a > 1) & (a < 4) | ~(a != 3)
    xp.add(a, 1)
    xp.subtract(1, a)
    xp.multiply(a, a > 2)
    xp.matmul(a, a.T)
    a @ a.T
    xp.where(a > 2, a, 0)
    xp.concatenate([a.ravel(), a[0]])
    xp.stack([a.sum(), a.max()])
    xp.take(a, xp.asarray([1, 0]), axis=0)
    xp.lib.stride_tricks.as_strided(a, (2, 2, 2), (12, 4, 4))
    xp.linalg.norm(a)
    xp.zeros((2, 3), "int32")
    xp.full((2,), 7.0)
    xp.ones_like(a)
    xp.arange(1, 7, 2)
"""


@pytest.mark.parametrize("expression", PERMITTED.strip().splitlines())
def test_permits_and_computes_what_numpy_does(fake, expression):
    results = [eval(expression.strip(), {"np": np, "xp": xp, "a": xp.asarray(HOST)}) for xp in (np, fake.cupy)]
    assert type(results[1]) is fake.cupy.ndarray  # also a single number
    assert results[1].dtype == results[0].dtype
    np.testing.assert_array_equal(results[1].get(), results[0])


def test_views_share_memory_and_copies_do_not(fake):
    xp = fake.cupy
    a = xp.zeros((2, 3))
    a[0, 1:] = 5
    a.T[0] += 1
    a.reshape(-1)[3:] *= 2
    xp.add(a[1], 3, out=a[1])
    xp.lib.stride_tricks.as_strided(a, (1,), (8,))[...] = 9
    copy.deepcopy(a)[...] = a.copy()[...] = xp.array(a)[...] = 77
    np.testing.assert_array_equal(a.get(), [[9, 5, 5], [5, 3, 3]])
    a.get()[...] = 77
    assert float(a.max()) == 9
    assert xp.asarray(a) is a
    assert a.astype("float64", copy=False) is a


def test_fresh_memory_is_poison(fake):
    assert np.isnan(fake.cupy.empty((2, 2)).get()).all()
    assert np.isnan(fake.cupy.empty((2, 2), "float32").get()).all()
    assert (fake.cupy.empty(3, "uint8").get() == 0xAB).all()


def test_counts_kernels_synchronisations_and_copies(fake):
    xp, counts = fake.cupy, fake.counts

    def costs(work):
        counts.reset()
        work()
        return counts.launches, counts.synchronisations, counts.uploads

    a = xp.asarray(HOST)
    assert costs(lambda: xp.asarray(HOST)) == (0, 0, 1)
    assert costs(lambda: a.T[0].reshape(-1)) == (0, 0, 0)
    assert costs(lambda: a.T.reshape(-1)) == (1, 0, 0)  # must copy
    assert costs(lambda: a * 2 + 1) == (2, 0, 0)
    assert costs(lambda: xp.add(a, a, out=a)) == (1, 0, 0)
    assert costs(lambda: a[:0] * 2) == (0, 0, 0)  # nothing to do
    assert costs(lambda: a.__setitem__(..., 0)) == (1, 0, 0)
    assert costs(lambda: float(a.sum())) == (1, 1, 0)
    assert costs(lambda: bool((a > 0).any())) == (2, 1, 0)
    assert costs(lambda: xp.asnumpy(a)) == (0, 1, 0)
    assert costs(lambda: a[a > 1]) == (2, 1, 0)  # how long the result is, only the device knows
    assert costs(lambda: a[np.array([0])]) == (1, 0, 1)


def test_memory_is_counted_and_can_run_out(fake):
    xp, counts = fake.cupy, fake.counts
    gc.collect()
    before = counts.live_bytes
    a = xp.zeros(1000)
    b = a[::2]
    assert counts.live_bytes - before == 8000
    del a
    assert counts.live_bytes - before == 8000  # the view holds it
    del b
    assert counts.live_bytes == before
    counts.max_bytes = before + 10_000
    a = xp.ones(1000)
    with pytest.raises(MemoryError, match="Out of memory"):
        a + 1
    with pytest.raises(xp.cuda.memory.OutOfMemoryError):
        xp.empty(1000)
    a += 1  # in place needs none


def test_a_numpy_scalar_that_cupy_13_and_14_would_promote_differently_is_refused(fake):
    cupy = fake.cupy
    x = cupy.ones(3, "float32")
    for ours in (lambda: np.float64(2) * x, lambda: x + np.float64(2), lambda: cupy.maximum(x, np.float64(0))):
        with pytest.raises(TypeError, match="CuPy 13"):
            ours()
    for same in (np.float32(2) * x, 2.0 * x, x + 1, cupy.ones(3, "uint8") * np.uint8(7)):
        assert same.dtype in ("float32", "uint8")
