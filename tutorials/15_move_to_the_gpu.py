# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 15 · Appendix: move to the GPU
#
# A GPU has thousands of small arithmetic units and a memory of its own. CuPy gives it NumPy's interface. No other
# notebook needs this appendix.
#
# ## What you will build
#
# ![What a clock shows that does not wait for the device, and what one shows that does](banners/15.png)
#
# - A function that runs on either device, by asking its data.
# - A comparison of two backends, with a tolerance that you can justify.
# - A clock that waits for the device.

# %% [markdown]
# ## What you need
#
# Tutorial 11. About 25 minutes. **No GPU is needed.** What is marked [GPU] is skipped without one; the text says what
# the library measured on an NVIDIA H200 ([docs/gpu.md](../docs/gpu.md)). For your own, `pip install ".[cuda12]"` or
# `.[cuda13]` in the folder of the repository.

# %%
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_training import DeviceArray, grade_rms, grade_timing
from course.style import show, source

from tinympcnn import Net, SoftmaxCrossEntropy, Tanh
from tinympcnn.engine import backend
from tinympcnn.training.objective import Example, image_closure

rng = np.random.default_rng(15)

# %% [markdown]
# ## Step 1: is there one?
#
# `backend.load("auto")` returns the module to work with, and a sentence that says why. It does not stop at
# `import cupy`, which works on many machines without a working GPU: it compiles and runs one tiny program (a *kernel*)
# and reads the result back. Where this fails, asking for `"cupy"` by name raises an error that says what to do.

# %%
xp, why = backend.load("auto")
print("backend:", xp.__name__)
HAVE_GPU = xp is not np
if not HAVE_GPU:
    print("no GPU is used in this run")
    try:
        backend.load("cupy")
    except Exception as error:
        print(f"{type(error).__name__} when cupy is asked for by name")
assert why.startswith("cupy" if HAVE_GPU else "numpy")

# %% [markdown]
# ## Step 2: one code for both
#
# The library's rule: *creation asks the default, computation asks the data.* No layer names `numpy`. It calls
# `array_module(x)` and works with the module that answers, as `Tanh.backward` below and our own function do.
#
# **A mistake worth remembering:** naming `numpy` in the middle. With a NumPy array nobody notices. With a device array
# CuPy refuses to copy behind your back. The stand-in below refuses in the same way.

# %%
source(Tanh.backward)


def softplus(x):
    """log(1 + exp(x)), on the device where x is."""
    xp = backend.array_module(x)
    return xp.log1p(xp.exp(-abs(x))) + xp.maximum(x, 0)


values = np.array([-1000.0, 0.0, 1000.0])
print("softplus", softplus(values))
assert np.allclose(softplus(values), [0, np.log(2), 1000])


def careless_softplus(x):
    """The mistake: names numpy."""
    return np.log1p(np.exp(-abs(x))) + np.maximum(x, 0)


assert np.allclose(careless_softplus(values), softplus(values))  # no test on NumPy finds it
try:
    careless_softplus(DeviceArray(values))
    refused = False
except TypeError as error:
    refused = True
    print("TypeError:", str(error)[:100])
assert refused

# %% [markdown]
# A net moves as a whole: `net.to("cupy")` returns a converted *copy*. Images move with `cupy.asarray`, results come
# back with `backend.to_numpy`. `fit`, `net.segment` and the command line (`--backend cupy`) do this for you. If net and
# data live in different places, an error names both ways out.

# %%
net = Net.from_spec("C5x5x8 MPF2x2 C5x5x8 MPF2x2 C4x4x8 FC2", rng=15)
image = rng.standard_normal((1, 91, 91, 1)).astype(np.float32)
target = rng.integers(0, 2, (1, 64, 64))
if HAVE_GPU:  # [GPU]
    device_net = net.to("cupy")
    try:
        device_net.forward(image)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
else:
    device_net = net.to("numpy")
    print("[GPU] skipped: the error for a device net with a NumPy image")
device_net.set_flat(device_net.flat() * 0)
assert net.flat().any()  # the original has not changed

# %% [markdown]
# ## Step 3: what must not change
#
# The results, but not to the last bit: a GPU adds in another order, and floating-point sums depend on the order. How
# large a difference is normal? float32 numbers near 1 lie $\varepsilon = 2^{-23} \approx 1.2 \cdot 10^{-7}$ apart, and
# each operation rounds to one of them. A sum of $n$ terms in two different orders differs by about
# $\sqrt{n}\,\varepsilon$ of the typical size of the partial sums, if errors are random.
#
# By hand: $1 + 2^{-24} + 2^{-24}$. From the left, each sum $1 + 2^{-24}$ lies half way between two floats and rounds to
# $1$. From the right, $2^{-24} + 2^{-24} = 2^{-23}$ first, then $1 + 2^{-23}$, which is a float. The results differ by
# $\varepsilon$.
#
# So we measure how far float32 is from float64 on our net, and ask a device to be within $10^{-5}$ of NumPy. On an H200
# the scores of N3 on 512 x 512 pixels were $5.7 \cdot 10^{-7}$ of their norm away from NumPy's, and the gradient
# $2.4 \cdot 10^{-7}$.

# %%
tiny = np.float32(2.0**-24)
left, right = (np.float32(1) + tiny) + tiny, np.float32(1) + (tiny + tiny)
print("from the left", left, "  from the right", right, "  difference", right - left)
assert left == 1 and right - left == np.finfo(np.float32).eps


def loss_and_gradient(net, image, target):
    """Loss and gradient of a net on an image, back on the host in float64."""
    asarray = net.xp.asarray
    example = Example(asarray(image), asarray(target))
    value = image_closure(net, example, SoftmaxCrossEntropy())()
    return value, backend.to_numpy(net.flat_grads()).astype(np.float64)


def distance(a, b):
    """Norm of the difference, relative to that of b."""
    return np.linalg.norm(a - b) / np.linalg.norm(b)


exact_loss, exact = loss_and_gradient(net.astype(np.float64), image, target)
host_loss, host = loss_and_gradient(net, image, target)
again_loss, _ = loss_and_gradient(net, image, target)
gap = abs(host_loss - exact_loss) / exact_loss
print(f"float32 against float64: loss {gap:.1e}, gradient {distance(host, exact):.1e}")
assert again_loss == host_loss  # one backend repeats itself to the last bit
assert distance(host, exact) < 1e-5

if HAVE_GPU:  # [GPU]
    device_loss, device = loss_and_gradient(net.to("cupy"), image, target)
    gap = abs(device_loss - host_loss) / host_loss
    print(f"GPU against NumPy: loss {gap:.1e}, gradient {distance(device, host):.1e}")
    assert distance(device, host) < 1e-5
else:
    print("[GPU] skipped: what an H200 gave is said above")

# %% [markdown]
# ## Step 4: how to time
#
# A call on a GPU *queues* the work and returns at once. A clock that is read then has measured the queueing. An honest
# clock synchronises first: it waits until the queue is empty. Below, a thread that works through a queue plays the GPU.

# %% tags=["banner"]
queue = ThreadPoolExecutor(1)  # the "device": works through its queue in its own time
queue.submit(int).result()  # start its thread
begin = time.perf_counter()
log = []


def kernel(name):
    """Ten milliseconds of work on the device."""
    start = time.perf_counter()
    time.sleep(0.010)
    log.append((name, 1000 * (start - begin), 1000 * (time.perf_counter() - begin)))


jobs = [queue.submit(kernel, name) for name in ("conv", "tanh", "pool", "conv")]
without = 1000 * (time.perf_counter() - begin)
for job in jobs:  # synchronise
    job.result()
waited = 1000 * (time.perf_counter() - begin)
print(f"without waiting {without:.2f} ms, after waiting {waited:.0f} ms")
assert without < waited / 4 and waited > 39
bars = [("host", "queues", 0, max(without, 0.4)), *(("device", *entry) for entry in log)]
clocks = {"clock, no waiting": without, "clock, synchronised": waited}
show(figures.queue_timeline(bars, clocks))

# %% [markdown]
# Three rules follow. Warm up: the first call compiles kernels and allocates memory. Synchronise before you start and
# before you stop the clock. Repeat, and take the median.
#
# Timed in this way, a training step on an H200 takes 22.4 ms for N3 on 512 x 512 pixels, and 32.1 ms for N4 (two CPU
# cores: 1.38 s).


# %%
def synchronise():
    """Wait for the device; NumPy has nothing to wait for."""
    if HAVE_GPU:
        xp.cuda.get_current_stream().synchronize()


def seconds_of(work, repeats=5):
    """Median time of a call."""
    work()
    times = []
    for _ in range(repeats):
        synchronise()
        started = time.perf_counter()
        work()
        synchronise()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


for name in ("numpy", "cupy") if HAVE_GPU else ("numpy",):  # [GPU] for cupy
    there = net.to(name)
    moved = Example(there.xp.asarray(image), there.xp.asarray(target))
    spent = seconds_of(image_closure(there, moved, SoftmaxCrossEntropy()))
    print(f"{name}: {1000 * spent:.1f} ms for forward and backward on 64 x 64 windows")
if not HAVE_GPU:
    print("[GPU] skipped: what an H200 needs is said above")

# %% [markdown]
# ## Check yourself
#
# 1. Two backends differ by 1e-7 in the loss. Is that a bug? And 1e-2?
#
#    <details><summary>Answer</summary>1e-7 is float32 rounding in another order. 1e-2 is a bug.</details>
# 2. Your GPU does a forward pass in 0.1 ms, whatever the size of the image. What have you measured?
#
#    <details><summary>Answer</summary>How long it takes to queue the work. Synchronise before you stop the
#    clock.</details>
# 3. In this library the loss costs a synchronisation, and a layer none. Why?
#
#    <details><summary>Answer</summary>The loss becomes a Python number, for which the host must wait. A layer's result
#    stays on the device, where the next layer waits for it in the queue.</details>

# %% [markdown]
# ## Exercises
#
# The solutions are in `solutions/15.py`.
#
# **The root of the mean square** of an array, on either device. `array_module(x)` returns the module to use.


# %% tags=["exercise"]
def rms(x, array_module):
    value = ...  # your code
    return value


grade_rms(rms)

# %% [markdown]
# **An honest clock.** Return the median seconds of `repeats` calls of `work()`. `synchronise()` waits for the device,
# `clock()` returns the time in seconds. The first call of all is slow.


# %% tags=["exercise"]
def median_seconds(work, synchronise, clock, repeats):
    times = []
    # your code
    seconds = ...  # your code
    return seconds


grade_timing(median_seconds)

# %% [markdown]
# ## In practice
#
# - `tinympcnn train --backend auto`, and `segment` alike. If the device runs out of memory, `segment` goes on with
#   smaller tiles and, if need be, on the CPU, and says so.
# - A GPU wants much work per call. A step of the steel net, on 60 x 137, does a thousandth of N4's arithmetic and still
#   takes 5 to 9 ms on the H200: the card waits while Python queues some 180 kernels. `tinympcnn bench` measures on your
#   machine.
#
# ## Next
#
# [16 · Add your own layer](16_add_your_own_layer.ipynb): a layer that the library does not have.
