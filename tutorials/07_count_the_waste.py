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
# # 07 · Count the waste of sliding windows
#
# ## What you will build
#
# ![Bars for six layers: window by window the first one works 6100 times as much as shared.](banners/07.png)
#
# In tutorial 06 the net looked at a window for every pixel, and neighbouring windows share nearly all pixels. You count
# how often the same work is done, and see what windows can share and what they can not.

# %% [markdown]
# ## What you need
#
# Tutorials 04 to 06. About 25 minutes.

# %%
import time

import numpy as np
from course import MODELS, figures  # not found? start Jupyter with `make tutorials`
from course.grading_patches import grade_alignments, grade_operations
from course.style import show

from tinympcnn import Conv, MaxPool, Net, zoo
from tinympcnn.data import mirror, synthetic_membranes

rng = np.random.default_rng(7)

# %% [markdown]
# ## Step 1: how many windows hold a pixel
#
# An axis of $H$ pixels holds $H - v_h + 1$ windows of $v_h$ pixels. A pixel far from both ends is in $v_h$ of them, and
# in the plane in $v_h v_w$. By hand, with $H = 6$ and windows of 4: they start at 0, 1 and 2, and the pixels 0 to 5 are
# in $1, 2, 3, 3, 2, 1$ of them. The net of tutorial 00, with windows of $28 \times 28$, looks at each pixel
# $28^2 = 784$ times.


# %%
def windows_of(size, window):
    """Return how many windows hold each pixel along one axis."""
    counts = np.zeros(size, int)
    for start in range(size - window + 1):
        counts[start : start + window] += 1
    return counts


net = Net.load(MODELS / "first_net.npz")
(vh, vw), (H, W) = net.field_of_view, (128, 128)
# Of an image mirrored at its border:
counts = np.outer(windows_of(H + vh - 1, vh), windows_of(W + vw - 1, vw))
print("one axis:", windows_of(6, 4), " windows:", H * W, " most for one pixel:", counts.max())
assert windows_of(6, 4).tolist() == [1, 2, 3, 3, 2, 1]
assert counts.max() == 784 and counts.sum() == H * W * vh * vw
show(figures.overlap(5, 4, [(0, 0), (0, 1), (1, 0), (1, 1)]))

# %% [markdown]
# ## Step 2: count the operations
#
# A convolution spends one multiplication and one addition for each output pixel, output map, tap and input map:
#
# $$\text{operations} = 2 \cdot h \cdot w \cdot M_{out} \cdot k_h \cdot k_w \cdot M_{in}$$
#
# By hand, for the first layer of the paper's steel net, `C7x7x8` on a window of $34 \times 34$:
# $h = w = 34 - 7 + 1 = 28$, so $2 \cdot 28 \cdot 28 \cdot 8 \cdot 7 \cdot 7 \cdot 1 = 614\,656$. An image of
# $60 \times 140$ pixels has 8,400 windows: 5.16 thousand million operations. On the whole mirrored image (*shared*
# below), $93 \times 173$, the layer has $87 \times 167$ output pixels: $2 \cdot 87 \cdot 167 \cdot 8 \cdot 49 = 11.4$
# million.

# %%
first = Conv(1, 8, 7)
one_window, whole = first.flop((1, 34, 34, 1)), first.flop((1, 93, 173, 1))
print(f"one window {one_window:,}; all windows {8400 * one_window:,}; whole image {whole:,}")
print(f"ratio {8400 * one_window / whole:.0f}")
assert one_window == 614_656 and whole == 2 * 87 * 167 * 8 * 49


def count(net, size):
    """Return (name, operations by windows, operations on the whole image) by convolution."""
    (vh, vw), (H, W) = net.field_of_view, size
    windows = net.as_patch().plan((vh, vw))
    image = net.as_image().plan((H + vh - 1, W + vw - 1))
    rows = zip(net.layers, windows, image, strict=True)
    return [(f"{type(a).__name__}", H * W * b.flop, c.flop) for a, b, c in rows if c.flop]


ratios = {}
for name, size in (("steel", (60, 140)), ("n3", (512, 512)), ("n4", (512, 512))):
    work = count(Net.from_spec(name), size)
    by_window, shared = sum(row[1] for row in work), sum(row[2] for row in work)
    ratios[name] = by_window / shared
    print(f"{name:<6}{size!s:<12}{by_window:.3g} by windows, {shared:.3g} shared", end=": ")
    print(f"{ratios[name]:.1f} times")
assert 83 <= ratios["steel"] < 84 and 475 <= ratios["n4"] < 476

# %% tags=["banner"]
work = count(zoo.n4(), (512, 512))
names = [f"C{i + 1}" if kind == "Conv" else f"FC{i + 1}" for i, (kind, *_) in enumerate(work)]
show(figures.operation_counts(names, [row[1] for row in work], [row[2] for row in work]))

# %% [markdown]
# The early layers waste most: their windows overlap nearly completely. The last ones waste nothing: they have one
# output per window.
#
# ## Step 3: convolution can be shared
#
# A convolution does the same sum at every place, whatever window the place belongs to. So the map of a window **is** a
# part of the map of the image:
#
# $$\mathrm{conv}(\text{image}[q : q + v]) = \mathrm{conv}(\text{image})[q : q + v - k + 1]$$
#
# By hand, in one dimension with the kernel $(1, -1)$: the image $(3, 1, 4, 1, 5)$ gives $(2, -3, 3, -4)$; its window
# from pixel 1 on, $(1, 4, 1, 5)$, gives $(-3, 3, -4)$, the last three of the same numbers.

# %%
conv = Conv(1, 1, (1, 2))
conv.params["W"][...] = np.array([1, -1]).reshape(1, 2, 1, 1)
row = np.array([3.0, 1, 4, 1, 5]).reshape(1, 1, 5, 1)
print("image: ", conv.forward(row).ravel(), " window:", conv.forward(row[:, :, 1:]).ravel())
assert (conv.forward(row)[:, :, 1:] == conv.forward(row[:, :, 1:])).all()

# %% [markdown]
# ## Step 4: max-pooling can not, and a mistake worth remembering
#
# Pooling lays a grid on the map, and the grid starts **where the window starts**. By hand, with a pool of 2 and the map
# $(3, 1, 4, 1, 5, 9, 2, 6)$: window 0 pairs $(3, 1)(4, 1)(5, 9)$ and gets $3, 4, 9$. Window 1, one pixel further, pairs
# $(1, 4)(1, 5)(9, 2)$ and gets $4, 5, 9$. It shares no pair with window 0. But window 2 pairs $(4, 1)(5, 9)(2, 6)$ and
# shares two.

# %%
row = np.array([3.0, 1, 4, 1, 5, 9, 2, 6])
pool = MaxPool((1, 2))
parts = [row[start : start + 6].reshape(1, 1, 6, 1) for start in range(3)]
pooled = [pool.forward(part).ravel() for part in parts]
for start, values in enumerate(pooled):
    print(f"window {start}: {values}")
assert pooled[0].tolist() == [3, 4, 9] and pooled[1].tolist() == [4, 5, 9]
assert (pooled[2][:2] == pooled[0][1:]).all()  # every second window has the same grid
show(figures.alignments(row, 6, pooled[:2]))

# %% [markdown]
# The mistake is to run the patch net on the whole image all the same. Every pool then keeps one grid only. Two pools of
# 2 leave one answer for every $2 \cdot 2 = 4$ rows and columns, one pixel in 16. Repeat each answer 4 x 4 times to fill
# the picture:

# %%
images, labels = synthetic_membranes(1, 64, rng)
wide = mirror(net.normalised(images[0][..., None]), (vh, vw))[None]
dense = net.forward(wide, train=False)[0].argmax(axis=-1)  # every window, see tutorial 08
patch_net = net.as_patch()
coarse = patch_net.forward(wide, train=False)[0].argmax(axis=-1)
blocky = coarse.repeat(4, axis=0).repeat(4, axis=1)[:64, :64]
truth = labels[0] > 0
print("answers:", coarse.shape, "in place of", dense.shape)
errors = [(found != truth).mean() for found in (dense, blocky)]
print(f"error: every pixel {errors[0]:.1%}, blocky {errors[1]:.1%}")
assert (coarse == dense[::4, ::4]).all() and errors[1] > errors[0]
show(figures.blocks(images[0], truth, dense, blocky), colours=64)

# %% [markdown]
# These answers are **right** (the assertion says so), but they are one of 16. The others need the other grids: 2 x 2
# alignments at each pool, 16 for both. This is the number of *fragments* to come.
#
# ## Step 5: by the clock
#
# A small call costs time beyond its operations. Here are windows per second, with one window per call, in batches of
# 64, and by the *image net*, `net` on the whole image.

# %%
corners = rng.integers(0, 64, (512, 2))
patches = np.stack([wide[0, q : q + vh, p : p + vw] for q, p in corners])


def per_second(run, n, repeat=3):
    """Return windows per second, the best of a few runs."""
    best = np.inf
    for _ in range(repeat + 1):  # the first one warms up
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return n / best


def in_batches(size, n):
    """Classify n windows, so many per call."""
    for i in range(0, n, size):
        patch_net.forward(patches[i : i + size], train=False)


speed = {
    "one window per call": per_second(lambda: in_batches(1, 64), 64),
    "batches of 64": per_second(lambda: in_batches(64, 512), 512),
    "image net": per_second(lambda: net.forward(wide, train=False), 64 * 64),
}
for name, value in speed.items():
    print(f"{name:<20}{value:>10,.0f} windows per second")
work = count(net, (64, 64))
print(f"ratio of operations: {sum(row[1] for row in work) / sum(row[2] for row in work):.0f}")
print(f"ratio of times, against batches: {speed['image net'] / speed['batches of 64']:.0f}")
assert speed["image net"] > 3 * speed["batches of 64"]
show(figures.timings(list(speed), list(speed.values())))

# %% [markdown]
# ## Check yourself
#
# 1. Batches make better use of the machine. Do they reduce the number of operations?
#
#    <details><summary>Answer</summary>No. Each window is still computed on its own.</details>
#
# 2. Windows 0 and 3, a pool of 3: can they share pooled values?
#
#    <details><summary>Answer</summary>Yes: their grids are shifted by a multiple of the pool.</details>
#
# 3. A net with pools 2, 2 and 3: how many alignments are there in all, rows and columns together?
#
#    <details><summary>Answer</summary>12 per axis, 144 in the plane.</details>

# %% [markdown]
# ## Exercises
#
# Solutions: `solutions/07.py`.
#
# `operations` are those of one convolution with a kernel of k x k on n x n pixels; `alignments` is the number of
# different pooling grids (in the plane) of a net with square pools, given as a list such as `[2, 2]`.


# %% tags=["exercise"]
def operations(n, k, in_maps, out_maps):
    return ...  # your code


def alignments(pools):
    return ...  # your code


grade_operations(operations)
grade_alignments(alignments)

# %% [markdown]
# ## In practice
#
# The paper's speed-up of 1500 is a ratio of the times of two programs in Matlab; the operations differ 83-fold. Ask of
# every speed-up what was divided by what.
#
# ## Next
#
# All alignments, each computed once: [08 · Split into fragments](08_split_into_fragments.ipynb).
