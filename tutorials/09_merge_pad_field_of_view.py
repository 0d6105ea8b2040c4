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
# # 09 · Merge, pad, field of view
#
# Fragments are how the net works. What you want is one answer for each pixel of an image of any size.
#
# ## What you will build
#
# ![Four fragments, and the dense map that they interleave into](banners/09.png)
#
# - A merge for any list of pools, and the field of view of any net: the window that one output sees.
# - The padding that lets every image through.
# - The proof in numbers: at every pixel the image net gives what the patch net gives on that pixel's window.

# %% [markdown]
# ## What you need
#
# Tutorial 08: offsets, fragments and their numbers. About 30 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.example import x
from course.grading_fragments import grade_field_of_view, grade_merge, grade_padded_size
from course.style import show, source

from tinympcnn import MaxPoolFragment, Net
from tinympcnn.data import mirror, synthetic_membranes
from tinympcnn.nn import fragments, reference

rng = np.random.default_rng(9)

# %% [markdown]
# ## Step 1: interleave
#
# Value $(q, p)$ of the fragment with offset $(r, c)$ is the maximum over the pooling window at row $r + k_h q$, column
# $c + k_w p$. In the **dense map** it stands exactly there:
#
# $$ m[\,r + k_h q,\; c + k_w p\,] = y[\,r k_w + c,\; q,\; p\,]. $$
#
# By hand, with the map of tutorial 08: fragment 3 has offset $(1, 1)$; its value at $(q, p) = (0, 1)$ is $0.9$ and goes
# to row $1 + 2 \cdot 0 = 1$, column $1 + 2 \cdot 1 = 3$. One strided assignment puts a whole fragment in place,
# `m[r::kh, c::kw] = fragment`. With several sources, every `kh * kw`-th fragment has the same offset, and one
# assignment places all of these.

# %% tags=["banner"]
sources = np.stack([x, -x])[..., None]  # two of them
storage = MaxPoolFragment(2).forward(sources)  # eight fragments
m = np.empty((2, 4, 4, 1))
for r in range(2):
    for c in range(2):
        m[:, r::2, c::2] = storage[r * 2 + c :: 4]
print(m[0, :, :, 0])
assert m[0, 1, 3, 0] == storage[3, 0, 1, 0] == 0.9
assert np.array_equal(m, np.stack(reference.merge(list(storage), [(2, 2)])))  # the reference
assert np.array_equal(m, fragments.merge(storage, [(2, 2)]))  # the fast one
show(figures.interleaving(storage[:4, :, :, 0], m[0, :, :, 0]))

# %% [markdown]
# ## Step 2: two pools, the last one first
#
# The second pool splits the fragments of the first. So undo the *last* pool first: its fragments interleave into maps,
# and these into larger maps. For offsets $r_1$, $r_2$ of pools $k_1$, $k_2$, row $q$ lands in
#
# $$ \text{row} = r_1 + k_1\,(r_2 + k_2\,q), \qquad\text{with more pools}\quad r_1 + k_1(r_2 + k_2(r_3 + \dots)). $$
#
# By hand, $k_1 = 2$, $k_2 = 3$, $r_1 = 1$, $r_2 = 2$, $q = 1$: row $1 + 2\,(2 + 3 \cdot 1) = 11$. To see it, pool a map
# whose values are its row numbers. Both pools together see $2 \cdot 3 = 6$ rows, so the maximum that starts at row $a$
# is $a + 5$.
#
# **A mistake worth remembering:** to undo the first pool first. The result has the right size and all the right
# numbers, in wrong places.

# %%
ramp = np.repeat(np.arange(17.0)[:, None], 17, axis=1)[None, :, :, None]
deep = MaxPoolFragment(3).forward(MaxPoolFragment(2).forward(ramp))
i = (1 * 2 + 0) * 9 + 2 * 3 + 0  # offsets (1, 0), then (2, 0)
print(f"{len(deep)} fragments; fragment {i}, q = 1, starts at row", deep[i, 1, 0, 0] - 5)
assert deep[i, 1, 0, 0] - 5 == 1 + 2 * (2 + 3 * 1) == 11

dense = fragments.merge(deep, [(2, 2), (3, 3)])[0, :, :, 0]
print("the first column of the dense map:", dense[:, 0] - 5)
assert np.array_equal(dense[:, 0] - 5, np.arange(12))
swapped = fragments.merge(deep, [(3, 3), (2, 2)])[0, :, :, 0]
print("with the pools in the wrong order:", swapped[:, 0] - 5)
assert swapped.shape == dense.shape and not np.array_equal(swapped, dense)
source(fragments.merge, fold=True)

# %% [markdown]
# ## Step 3: the field of view
#
# How much of the image does one output see? Walk back from the output. If a layer has windows of $w$ rows that stand
# $s$ rows apart, then $n$ neighbouring outputs see
#
# $$ (n - 1)\,s + w $$
#
# rows of its input: the first window, and $s$ more for each further one. A convolution has $s = 1$, a pool has
# $s = w = k$. At the image this gives the **field of view**: $v_h$ rows, and in the same way $v_w$ columns.
#
# In the spec below, `C3x3x3` is a convolution with kernels of 3 x 3 and 3 output maps, then a tanh; `MPF2x2` is a
# MaxPoolFragment layer, `FC2` a fully connected layer with 2 outputs. A tanh sees one value, so it widens nothing.
#
# By hand, from the end: FC $1$; pool $(1 - 1) \cdot 2 + 2 = 2$; C2 $(2 - 1) \cdot 1 + 2 = 3$; pool
# $(3 - 1) \cdot 2 + 2 = 6$; C3 $(6 - 1) \cdot 1 + 3 = 8$. So $v_h = 8$. The code also asks the net itself: it changes
# one pixel after the other and looks whether output $(0, 0)$ changes.

# %%
small = Net.from_spec("C3x3x3 MPF2x2 C2x2x3 MPF2x2 FC2", rng=9).astype(np.float64)
seen = 1
for layer in reversed(small.layers):
    seen = (seen - 1) * layer.step[0] + layer.window[0]
    print(f"{layer!r:<32} one output sees {seen} x {seen}")
assert (seen, seen) == small.field_of_view == (8, 8)

image = rng.standard_normal((1, 10, 13, 1))
before = small.forward(image)[0, 0, 0]
noticed = np.zeros((10, 13), bool)
for at in np.ndindex(10, 13):
    for change in (-5, 5):
        other = image.copy()
        other[0, at[0], at[1]] += change
        noticed[at] |= (small.forward(other)[0, 0, 0] != before).any()
rows, columns = np.flatnonzero(noticed.any(axis=1)), np.flatnonzero(noticed.any(axis=0))
print("output (0, 0) notices rows", rows, "and columns", columns)
assert rows.tolist() == columns.tolist() == list(range(8))

names = ["image", "after C3x3", "after MPF2x2", "after C2x2", "after MPF2x2"]
show(figures.growing_view([8, 6, 3, 2, 1], names))

# %% [markdown]
# ## Step 4: sizes, and the padding
#
# An image of $H$ rows has $n = H - v_h + 1$ windows. Which sizes pass through the net of Step 3, with $v_h = 8$? A pool
# of 2 splits evenly if the number of rows is odd (tutorial 08):
#
# | rows $H$ | windows $n$ | after C3 | after the pool, at offsets 0 and 1 | after C2 | after the pool | |
# |---|---|---|---|---|---|---|
# | 10 | 3 | 8 | 4 and 3 | | | uneven |
# | 11 | 4 | 9 | 4 and 4 | 3 | 1 and 1 | passes |
# | 12 | 5 | 10 | 5 and 4 | | | uneven |
# | 13 | 6 | 11 | 5 and 5 | 4 | 2 and 1 | uneven |
# | 14 | 7 | 12 | 6 and 5 | | | uneven |
# | 15 | 8 | 13 | 6 and 6 | 5 | 2 and 2 | passes |
#
# The sizes that pass have 4, 8, ... windows: multiples of $2 \cdot 2$. The first pool deals the windows out like cards:
# window $u$ goes to the offset $u \bmod k$ (tutorial 08, Step 1). All offsets get equally many exactly if $k$ divides
# $n$. Then each fragment has $n / k$ windows of the rest of the net, and the next pool deals these out in the same way.
# So **$n$ must be a multiple of the product $S$ of all pools.**
#
# If it is not, the net adds rows at the bottom and columns at the right, and crops the extra outputs:
#
# $$ n' = S \lceil n / S \rceil, \qquad H' = n' + v_h - 1. $$
#
# By hand, $H = 10$: $n = 3$, $n' = 4$, $H' = 4 + 7 = 11$. For 13 columns: $n = 6$, $n' = 8$, so 15.
#
# This is *exact*, whatever stands in the padding. Output $u$ sees rows $u$ to $u + v_h - 1$. A kept output has
# $u \le n - 1 = H - v_h$, so it sees no row beyond $H - 1$, the last of the image. The cropped outputs have no part in
# the loss, so on the way back they bring zero. The code puts nonsense into the padding:

# %%
vh, vw, S = 8, 8, 4
passing = []
for H in range(8, 24):
    rows = [H - 2]  # after C3; then one number for each fragment
    rows = [(n - r) // 2 - 1 for n in rows for r in (0, 1)]  # the pool, and C2
    rows = [(n - r) // 2 for n in rows for r in (0, 1)]
    if len(set(rows)) == 1:
        passing.append(H - vh + 1)
print("numbers of windows that pass:", passing)
assert passing == [4, 8, 12, 16]

windows = 10 - vh + 1, 13 - vw + 1
padded = [-(-n // S) * S + v - 1 for n, v in zip(windows, (vh, vw), strict=True)]
print("windows", windows, "- pad 10 x 13 to", padded)
assert padded == [11, 15]
results = []
for filling in (0.0, 1e6, -7.0):
    big = np.full((1, *padded, 1), filling)
    big[:, :10, :13] = image
    results.append(small.forward(big))
h, w = windows
kept, cropped = [y[:, :h, :w] for y in results], [y[:, h:] for y in results]
assert all(np.array_equal(y, small.forward(image)) for y in kept)
print("kept outputs depend on the padding:", any((y != kept[0]).any() for y in kept))
print("cropped outputs do:", any((y != cropped[0]).any() for y in cropped))
assert any((y != cropped[0]).any() for y in cropped)
show(figures.padded_image((10, 13), 8, 4))

# %% [markdown]
# ## Step 5: every pixel, and the proof
#
# So far $H$ rows give $H - v_h + 1$ outputs. A segmentation wants all $H$. As in the paper, the border is mirrored:
# $\lfloor v_h/2 \rfloor$ rows before and $v_h - 1 - \lfloor v_h/2 \rfloor$ after, $v_h - 1$ in all. Then the window of
# pixel $u$ is rows $u$ to $u + v_h - 1$ of the extended image. By hand, $v_h = 8$: 4 before and 3 after, and the pixel
# lies at index 4 of its window.
#
# Now the test. The *patch net* has the same parameters and plain max-pooling. It runs on the window of every single
# pixel, and the image net runs once:

# %%
net = Net.from_spec("C5x5x6 MPF2x2 C5x5x6 MPF2x2 C3x3x6 FC2", rng=9).astype(np.float64)
(vh, vw), picture = net.field_of_view, synthetic_membranes(1, (36, 44), rng=9)[0][0] / 255.0
extended = mirror(picture[:, :, None], (vh, vw))
print(f"field of view {vh} x {vw}: image {picture.shape}, extended to {extended.shape[:2]}")
assert extended.shape[:2] == (36 + vh - 1, 44 + vw - 1)
scores = net.forward(extended[None], train=False)[0]

patch_net = net.as_patch()
by_patches = np.empty_like(scores)
for u in range(36):
    windows = np.stack([extended[u : u + vh, v : v + vw] for v in range(44)])
    by_patches[u] = patch_net.forward(windows, train=False)[:, 0, 0]
gap = np.abs(scores - by_patches).max()
agree = "below 1e-12" if gap < 1e-12 else f"{gap:.0e}"
pixels = scores[..., 0].size
print(f"{pixels} pixels; largest difference between image net and patch net: {agree}")
assert scores.shape[:2] == picture.shape and gap < 1e-12
corner, pixel = (vh // 2, vw // 2), (3, 38)
show(figures.mirrored_border(extended[:, :, 0], corner, picture.shape, (vh, vw), pixel))

# %% [markdown]
# ## Check yourself
#
# 1. Two images go through one 2 x 3 pool. Where does column $p = 2$ of fragment 7 go?
#
#    <details><summary>Answer</summary>7 = 1 · 6 + 1: image 1, offset (0, 1). So to column 1 + 3 · 2 = 7 of image 1's
#    dense map.</details>
#
# 2. A net has field of view 95 and pools 2, 2, 2, 2. To what size is an image of 512 rows padded?
#
#    <details><summary>Answer</summary>n = 512 − 95 + 1 = 418, the next multiple of 16 is 432, so 432 + 94 = 526
#    rows.</details>
#
# 3. Padding at the bottom and right is exact, whatever is put there. Why is mirroring the border *not* exact?
#
#    <details><summary>Answer</summary>Outputs that are kept see the mirrored pixels. These are a decision about what
#    lies beyond the image, made alike in training and segmentation.</details>

# %% [markdown]
# ## Exercises
#
# Fill the blanks, run the cell, read the verdict. In the first, `storage` may hold several images. The solutions are in
# `solutions/09.py`.


# %% tags=["exercise"]
def your_merge(storage, pools):
    """Interleave a storage (N*prod(kh*kw), h, w, C) into dense maps (N, H, W, C)."""
    dense = ...  # your code: for each pool, the strided assignments of Step 1
    return dense


grade_merge(your_merge)


# %% tags=["exercise"]
def your_field_of_view(layers):
    """Return how many rows one output sees; layers lists (window, step) in order."""
    vh = ...  # your code
    return vh


def your_padded_size(H, vh, S):
    """Return the rows of an image of H rows, padded: field of view vh, product of pools S."""
    padded = ...  # your code
    return padded


grade_field_of_view(your_field_of_view)
grade_padded_size(your_padded_size)

# %% [markdown]
# ## In practice
#
# `net.forward` pads, runs, merges and crops. `net.segment` also mirrors the border, and takes a large image in tiles. A
# tile of $T \times T$ outputs needs $T + v_h - 1$ rows and $T + v_w - 1$ columns of pixels.
# `tinympcnn info SPEC --image HxW` prints every size before any arithmetic.
#
# Different grids pool the windows of neighbouring pixels. In the probability maps of a net that has not learnt enough
# this shows as fine combs and checkers. They are real, and no error of the drawing.
#
# ## Next
#
# [10 · Backprop through fragments](10_backprop_through_fragments.ipynb): the gradient through fragments, the paper's
# own contribution.
