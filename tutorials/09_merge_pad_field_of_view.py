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
# Fragments are how the net works, not what anyone wants to see. This tutorial puts them back into one dense map, finds
# out how large a window an output sees, and makes every image size work, up to the last pixel at the border.

# %% [markdown]
# ## What you will build
#
# A merge for any list of pools, the field of view of any net, and the padding that lets every image through. At the
# end the image net gives, at every pixel of a picture, what the patch net gives on that pixel's window: shown, not
# told.

# %% [markdown]
# ## What you need
#
# Tutorial 08: offsets, fragments and their index. About 35 minutes.

# %%
import inspect

import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_fragments import grade_field_of_view, grade_merge, grade_padded_size
from course.style import show

from tinympcnn import MaxPoolFragment, Net, zoo
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
# **By hand**, with the map of tutorial 08: fragment 3 has offset $(1, 1)$; its value at $(q, p) = (0, 1)$ is $0.9$ and
# goes to row $1 + 2 \cdot 0 = 1$, column $1 + 2 \cdot 1 = 3$. One strided assignment puts a whole fragment in place:
# `m[r::kh, c::kw] = fragment`.

# %%
x = np.array(
    [
        [0.3, 0.6, 1.2, 0.1, 0.4],
        [0.2, 1.0, 0.5, 0.7, 0.0],
        [1.3, 0.4, 0.8, 0.2, 0.9],
        [0.1, 0.5, 0.3, 1.1, 0.6],
        [0.7, 0.0, 0.2, 0.4, 0.8],
    ]
)
storage = MaxPoolFragment(2).forward(x[None, :, :, None])
m = np.empty((4, 4))
for r in range(2):
    for c in range(2):
        m[r::2, c::2] = storage[r * 2 + c, :, :, 0]
print(m)
assert m[1, 3] == storage[3, 0, 1, 0] == 0.9
assert np.array_equal(m, reference.merge(list(storage), [(2, 2)])[0][:, :, 0])  # the reference
assert np.array_equal(m, fragments.merge(storage, [(2, 2)])[0, :, :, 0])  # the fast one

fig = figures.interleaving(storage[:, :, :, 0], m)
show(
    fig,
    alt="""Four fragments of 2 by 2, each with a shading of its own, and the dense map of 4
    by 4 they form: fragment 0 takes even rows and even columns, fragment 1 even rows and
    odd columns, fragment 2 odd rows and even columns, fragment 3 odd rows and odd columns.""",
)

# %% [markdown]
# ## Step 2: two pools, the last one first
#
# The second pool splits fragments of the first. Merging undoes that from the end: the fragments of the *last* pool
# interleave into maps, these into larger maps. For offsets $r_1$, $r_2$ of pools $k_1$, $k_2$, row $q$ lands in
#
# $$ \text{row} = r_1 + k_1\,(r_2 + k_2\,q), \qquad\text{with more pools}\quad r_1 + k_1(r_2 + k_2(r_3 + \dots)). $$
#
# **By hand**, $k_1 = 2$, $k_2 = 3$, $r_1 = 1$, $r_2 = 2$, $q = 1$: row $1 + 2\,(2 + 3 \cdot 1) = 11$. To see it, pool
# a map whose value is its row number. Two pools see $2 \cdot 3 = 6$ rows, so the maximum that starts at row $a$ is
# $a + 5$.

# %%
ramp = np.repeat(np.arange(17.0)[:, None], 17, axis=1)[None, :, :, None]
deep = MaxPoolFragment(3).forward(MaxPoolFragment(2).forward(ramp))
i = (1 * 2 + 0) * 9 + 2 * 3 + 0  # offsets (1, 0), then (2, 0)
print(f"{len(deep)} fragments; fragment {i}, q = 1, starts at row", deep[i, 1, 0, 0] - 5)
assert deep[i, 1, 0, 0] - 5 == 1 + 2 * (2 + 3 * 1) == 11

dense = fragments.merge(deep, [(2, 2), (3, 3)])[0, :, :, 0]
print("the first column of the dense map:", dense[:, 0] - 5)
assert np.array_equal(dense[:, 0] - 5, np.arange(12))
swapped = fragments.merge(deep, [(3, 3), (2, 2)])[0, :, :, 0]  # the pools in the wrong order
print("with the pools in the wrong order:", swapped[:, 0] - 5)
assert swapped.shape == dense.shape and not np.array_equal(swapped, dense)

# %% [markdown]
# The library does all pools in one go. The number of a fragment, read in the mixed base of the pools, *is* its list of
# offsets; so one `reshape` opens the storage into axes $(n, r_1, c_1, r_2, c_2, \dots, q, p, \text{map})$, one
# `transpose` brings them into the order $(n, q, \dots, r_2, r_1, p, \dots, c_2, c_1, \text{map})$, and one `reshape`
# closes them: rows count $r_1$ fastest and $q$ slowest, which is the formula above.

# %%
print(inspect.getsource(fragments._axes))
print(inspect.getsource(fragments.merge).split('"""')[2])
shuffled = rng.standard_normal((2 * 4 * 6, 3, 5, 2))  # two images, pools of 2 x 2 and 2 x 3
assert np.array_equal(
    fragments.merge(shuffled, [(2, 2), (2, 3)]), np.stack(reference.merge(list(shuffled), [(2, 2), (2, 3)]))
)

# %% [markdown]
# ## Step 3: the field of view
#
# How much of the image does one output see? Walk back from the output. If a layer has windows of $w$ rows that stand
# $s$ rows apart, then $P$ of its outputs in a row see
#
# $$ P' = (P - 1)\,s + w $$
#
# rows of its input: the first window, and $s$ more for each further one. A convolution has $s = 1$, a pool has
# $s = w = k$.
#
# The net below is written as a spec, in the paper's notation: `C3x3x3` is a convolution with kernels of 3 x 3 and 3
# output maps, `MPF2x2` a MaxPoolFragment layer, `FC2` a fully connected layer with 2 outputs. A tanh follows every C
# and FC but the last; it sees one value, so it adds nothing.
#
# **By hand**, from the end: FC $1 \to 1$; pool $(1 - 1) \cdot 2 + 2 = 2$; C2 $(2 - 1) \cdot 1 + 2 = 3$; pool
# $(3 - 1) \cdot 2 + 2 = 6$; C3 $(6 - 1) \cdot 1 + 3 = 8$. So $P = 8$. The experiment below asks the net itself:
# it changes one pixel after the other and looks whether output $(0, 0)$ notices.

# %%
net = Net.from_spec("C3x3x3 MPF2x2 C2x2x3 MPF2x2 FC2", rng=9).astype(np.float64)
P = 1
for layer in reversed(net.layers):
    P = (P - 1) * layer.step[0] + layer.window[0]
    print(f"{layer!r:<32} one output sees {P} x {P}")
assert (P, P) == net.field_of_view == (8, 8)

image = rng.standard_normal((1, 10, 13, 1))
before = net.forward(image)[0, 0, 0]
noticed = np.zeros((10, 13), bool)
for at in np.ndindex(10, 13):
    for change in (-5, 5):
        other = image.copy()
        other[0, at[0], at[1]] += change
        noticed[at] |= (net.forward(other)[0, 0, 0] != before).any()
rows, columns = np.flatnonzero(noticed.any(axis=1)), np.flatnonzero(noticed.any(axis=0))
print("output (0, 0) notices rows", rows, "and columns", columns)
assert rows.tolist() == columns.tolist() == list(range(8))

names = ["image", "after C3x3", "after MPF2x2", "after C2x2", "after MPF2x2"]
fig = figures.growing_view([8, 6, 3, 2, 1], names)
show(
    fig,
    alt="""Five squares that shrink from left to right: one output pixel depends on 2 by 2
    values before the last pool, on 3 by 3 before the second convolution, on 6 by 6 before
    the first pool and on 8 by 8 pixels of the image.""",
)

# %% [markdown]
# The same walk shows a slip in the paper. Its steel net is said to work on $31 \times 31$ windows. Forward from 31: C7
# leaves 25, and 25 rows do not pool by 2 without a remainder: 12. C5 leaves 8, the pool 4, and C5 does not fit into 4.
# Backward, its field of view is 34:

# %%
for name, make in {"steel": zoo.steel, "N3": zoo.n3, "N4": zoo.n4}.items():
    print(f"{name:<6} field of view {make().field_of_view}")
assert zoo.steel().field_of_view == (34, 34)

# %% [markdown]
# ## Step 4: pad at the bottom and right, and crop
#
# An image of $H$ rows has $n = H - P + 1$ windows. Every pool splits evenly if and only if $n$ is a multiple of $K$,
# the product of the pools. It must be one, since each pool interleaves $k$ fragments of one size. And that is enough.
# In front of a pool, one output sees a multiple of $k$ rows, $P_k = (P' - 1)\,k + k$ by step 3. A fragment there has
# $H_k = n_k + P_k - 1$ rows, where $n_k$ is $n$ divided by the pools before. If $k$ divides $n_k$, it divides
# $H_k + 1 = n_k + P_k$, which is the condition of tutorial 08.
#
# So the net pads the image at the bottom until $n$ is such a multiple, and on the right alike:
#
# $$ n' = K \lceil n / K \rceil, \qquad H' = n' + P - 1, $$
#
# and crops the output to $n$ rows. **By hand**, $H = 10$, $P = 8$, $K = 2 \cdot 2$: $n = 3$, $n' = 4$, $H' = 11$. For
# 13 columns: $n = 6$, $n' = 8$, so 15.
#
# This is *exact*, not an approximation: output $q$ sees rows $q$ to $q + P - 1$, so a kept one, $q \le n - 1 = H - P$,
# sees at most row $H - 1$. What is in the padding cannot matter. Let us put nonsense there:

# %%
n, K = (10 - P + 1, 13 - P + 1), net.split_step[0]  # the product of the pools
padded = [-(-outputs // K) * K + P - 1 for outputs in n]
print("outputs", n, "- pad 10 x 13 to", padded)
assert padded == [11, 15]
results = []
for filling in (0.0, 1e6, -7.0):
    big = np.full((1, *padded, 1), filling)
    big[:, :10, :13] = image
    results.append(net.forward(big))
kept, cropped = [y[:, : n[0], : n[1]] for y in results], [y[:, n[0] :] for y in results]
assert all(np.array_equal(y, net.forward(image)) for y in kept)
print("kept outputs depend on the padding:", any((y != kept[0]).any() for y in kept))
print("cropped outputs do:", any((y != cropped[0]).any() for y in cropped))
assert any((y != cropped[0]).any() for y in cropped)

fig = figures.padded_image((10, 13), 8, 4)
show(
    fig,
    alt="""Left: an image of 10 by 13, padded to 11 by 15; the padding is hatched. The
    window of the last kept output, (2,5), ends with the image's last row and column. The
    dashed window of output (0,6) reaches into the padding. Right: 4 by 8 outputs; the upper
    left 3 by 6 are kept, the others are marked cut.""",
)

# %% [markdown]
# ## Step 5: every pixel, and the proof
#
# So far an image of $H$ rows gives $H - P + 1$. A segmentation wants all $H$. As in the paper, the border is mirrored:
# $\lfloor P/2 \rfloor$ rows before and $P - 1 - \lfloor P/2 \rfloor$ after, $P - 1$ in all, so the window of pixel $u$
# is rows $u$ to $u + P - 1$ of the extended image. **By hand**, $P = 8$: 4 before and 3 after; the pixel itself lies
# at index 4 of its window.
#
# Now the test of everything above. The *patch net* has the same parameters and plain max-pooling. Run it on the window
# of every single pixel, and the image net once:

# %%
net = Net.from_spec("C5x5x6 MPF2x2 C5x5x6 MPF2x2 C3x3x6 FC2", rng=9).astype(np.float64)
(P, Q), picture = net.field_of_view, synthetic_membranes(1, (36, 44), rng)[0][0] / 255.0
extended = mirror(picture[:, :, None], (P, Q))
print(f"field of view {P} x {Q}: image {picture.shape}, extended to {extended.shape[:2]}")
assert extended.shape[:2] == (36 + P - 1, 44 + Q - 1)
scores = net.forward(extended[None], train=False)[0]

patch_net = net.as_patch()
by_patches = np.empty_like(scores)
for u in range(36):
    windows = np.stack([extended[u : u + P, v : v + Q] for v in range(44)])
    by_patches[u] = patch_net.forward(windows, train=False)[:, 0, 0]
agree = np.abs(scores - by_patches).max() < 1e-12
print(f"{scores[..., 0].size} pixels; image net and patch net agree to 1e-12 at every one of them: {agree}")
assert scores.shape[:2] == picture.shape and agree

fig = figures.mirrored_border(extended[:, :, 0], (P // 2, Q // 2), picture.shape, (P, Q), (3, 38))
show(
    fig,
    alt="""An image of membranes with a mirrored border around it, divided by a solid frame.
    A dashed frame of 24 by 24 is the window of pixel (3,38): it reaches over the upper and
    the right edge into the mirrored border. The dot in its middle is the pixel.""",
)

# %% [markdown]
# ## Step 6: a mistake worth remembering: the halo
#
# A large image is computed in tiles. A tile of $T \times T$ outputs needs $T + P - 1$ rows and columns of pixels:
# itself and a **halo** of $P - 1$. With $P = 24$ and $T = 32$ that is $55$. It is tempting to save some of it; "a few
# pixels at the rim of a window will not matter". Eight pixels less, the missing ones replaced by repeating the edge:

# %%
slice_ = synthetic_membranes(1, (96, 96), rng)[0][0] / 255.0
extended, T = mirror(slice_[:, :, None], (P, Q)), 32
whole = net.forward(extended[None], train=False)[0]


def tiled(short):
    scores = np.empty_like(whole)
    for u in range(0, 96, T):
        for v in range(0, 96, T):
            tile = extended[u : u + T + P - 1 - short, v : v + T + Q - 1 - short]
            tile = np.pad(tile, ((0, short), (0, short), (0, 0)), mode="edge")
            scores[u : u + T, v : v + T] = net.forward(tile[None], train=False)[0]
    return scores


for short in (0, 1, 8):
    changed = (np.abs(tiled(short) - whole).max(axis=-1) > 1e-12).mean()
    print(f"halo {P - 1 - short:>2} px: {changed:.0%} of the pixels have other scores")
    assert (changed == 0) == (short == 0)

print(f"a tile of {T} outputs needs {T + P - 1} pixels a side")
assert T + P - 1 == 55

error = np.abs(tiled(8) - whole).max(axis=-1)
fig = figures.grey_pictures([slice_, 1 - error / error.max()], ["image", "what 8 px less of halo changed"])
show(
    fig,
    alt="""Left: a slice of synthetic membranes. Right: where the scores changed, darker for
    more; dark bands run along the lower and right edges of all nine tiles, and the rest is
    white.""",
    colours=32,
)

# %% [markdown]
# ## Check yourself
#
# 1. Two images go through one 2 × 3 pool. Where does column $p = 2$ of fragment 7 go?
#
#    <details><summary>Answer</summary>7 = 1 · 6 + 1: image 1, offset (0, 1). So to column 1 + 3 · 2 = 7 of image 1's
#    dense map.</details>
#
# 2. Pools of 2 and 2, row offsets $r_1 = 0$, $r_2 = 1$. Where does row $q = 3$ go?
#
#    <details><summary>Answer</summary>0 + 2 · (1 + 2 · 3) = 14.</details>
#
# 3. A net has field of view 95 and pools 2, 2, 2, 2. To what size is an image of 512 rows padded?
#
#    <details><summary>Answer</summary>n = 512 − 95 + 1 = 418, the next multiple of 16 is 432, so 432 + 94 = 526
#    rows.</details>
#
# 4. Why is padding at the bottom and right exact, whatever is put there?
#
#    <details><summary>Answer</summary>An output that is kept has its whole window inside the image. Only outputs that
#    are cropped look at the padding.</details>
#
# 5. And why is mirroring the border *not* exact in this sense?
#
#    <details><summary>Answer</summary>Those pixels are seen by outputs that are kept. They are a decision about what
#    lies beyond the image, made alike in training and segmentation.</details>

# %% [markdown]
# ## Exercises
#
# Fill the blanks, run the cell, read the verdict. Solutions: `solutions/09.py`.


# %% tags=["exercise"]
def your_merge(storage, pools):
    """Interleave a storage (N*prod(kh*kw), h, w, C) into dense maps (N, H, W, C)."""
    dense = ...  # your code: for each pool, the strided assignment of Step 1
    return dense


grade_merge(your_merge)


# %% tags=["exercise"]
def your_field_of_view(layers):
    """Return how many rows one output sees; layers is a list of (window, step), from the image to the output."""
    P = ...  # your code
    return P


def your_padded_size(H, P, K):
    """Return to how many rows an image of H rows is padded: field of view P, product of the pools K."""
    padded = ...  # your code
    return padded


grade_field_of_view(your_field_of_view)
grade_padded_size(your_padded_size)

# %% [markdown]
# ## In practice
#
# All of this is one call: `net.forward` pads, runs, merges and crops; `net.segment` adds the mirrored border and tiles
# with the whole halo. `tinympcnn info SPEC --image HxW` prints every size before any arithmetic, from the rules in
# `tinympcnn/nn/geometry.py`.
#
# ## Next
#
# [10 · Backprop through fragments](10_backprop_through_fragments.ipynb) goes back: the gradient through fragments,
# the paper's own contribution.
