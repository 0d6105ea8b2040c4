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
# # 08 · Split into fragments
#
# A convolution over the whole image serves all windows at once. Max-pooling does not, because every window puts its own
# grid of pooling windows on the image. This tutorial builds the layer that pools for all of them: **MaxPoolFragment**.
#
# ## What you will build
#
# ![An image, a pooled map of a trained net, and its four fragments](banners/08.png)
#
# - The forward pass of MaxPoolFragment: the paper's, the library's and your own.
# - The way back from any number in any fragment to its window of the image.

# %% [markdown]
# ## What you need
#
# Tutorials 05 (max-pooling) and 07 (the waste of sliding windows). About 35 minutes. In the paper this is section 3.2.

# %%
import numpy as np
from course import MODELS, figures  # not found? start Jupyter with `make tutorials`
from course.example import x
from course.grading_fragments import grade_fragment_index, grade_split
from course.style import show, source

from tinympcnn import Layer, MaxPool, MaxPoolFragment, Net
from tinympcnn.data import synthetic_membranes
from tinympcnn.errors import UsageError
from tinympcnn.nn import reference
from tinympcnn.nn.fragments import merge
from tinympcnn.nn.geometry import fragmented, pair

rng = np.random.default_rng(8)

# %% [markdown]
# ## Step 1: which windows does this pooled value belong to?
#
# Pool a whole image once, 2 by 2. This gives the pooled values of a quarter of all windows: those that start at an even
# row and an even column. A window that starts one row lower needs a grid of pooling windows that starts one row lower.
# Four grids serve all windows. Each grid gives a small map, a **fragment**: the whole picture at half the size. Here
# are the four fragments of a map that tutorial 00's net computes.

# %% tags=["banner"]
net = Net.load(MODELS / "first_net.npz")
picture = synthetic_membranes(1, (97, 97), rng=8)[0][0]
conv, tanh, pool = net.layers[:3]
maps = tanh.forward(conv.forward(net.normalised(picture[None, :, :, None])))
four = pool.forward(maps)
print("maps", maps.shape, " fragments", four.shape)
assert len(four) == 4
assert all((four[i] != four[j]).any() for i in range(4) for j in range(i))
dense = merge(four, [(2, 2)])[0, :, :, 1]
show(figures.real_fragments(picture, dense, four[..., 1]), colours=128)

# %% [markdown]
# Take windows of $4\times4$ pixels and a pool of $k = 2$: each window has $2\times2$ pooled values. A map of $7\times7$
# has $4\times4$ windows. The window that starts at row $u$, column $v$ puts its pooling grid there. Its pooled value
# $(q, p)$ is the maximum over the $k\times k$ pixels whose upper left corner is
#
# $$ (a, b) = (u + kq,\; v + kp), \qquad q, p \in \{0, 1\}. $$
#
# Read backwards: the maximum at $(a, b)$ belongs to the windows with $u = a - kq$ and $v = b - kp$.
#
# By hand, $(a, b) = (2, 3)$: $u \in \{2, 0\}$ and $v \in \{3, 1\}$. So four windows share this maximum, $(0,1)$,
# $(0,3)$, $(2,1)$ and $(2,3)$, and no other window needs it. All four have $u$ even and $v$ odd, as $a$ is even and $b$
# odd: $(u \bmod k, v \bmod k) = (a \bmod k, b \bmod k)$.

# %%
k, window, size = 2, 4, 7
starts = [(u, v) for u in range(size - window + 1) for v in range(size - window + 1)]
asks = {(u, v): {(u + k * q, v + k * p) for q in range(2) for p in range(2)} for u, v in starts}
owners = [start for start in starts if (2, 3) in asks[start]]
asked, different = sum(map(len, asks.values())), len(set.union(*asks.values()))
print("the maximum at (2, 3) belongs to the windows", owners)
print(f"maxima asked for, window by window: {asked}; different ones: {different}")
assert owners == [(0, 1), (0, 3), (2, 1), (2, 3)]
for (u, v), places in asks.items():
    assert all((u % k, v % k) == (a % k, b % k) for a, b in places)

show(figures.windows_of_a_pool(size, window, k, (2, 3)))

# %% [markdown]
# ## Step 2: pool once for each offset
#
# So the windows fall into $k\cdot k$ groups, one for each **offset** $(r, c)$ with $0 \le r, c < k$. No two groups
# share a pooling window. All windows of a group lie on *one* pooling grid, which starts at $(r, c)$. One plain
# max-pooling of the map without its first $r$ rows and $c$ columns serves them all. Its result is fragment $(r, c)$.
# For a pool of $k_h \times k_w$, with $(i, j)$ running over the pooling window:
#
# $$ y^{(r,c)}[q, p] = \max_{i, j}\; x[\,r + k_h q + i,\; c + k_w p + j\,]. $$
#
# By hand, on the map $x$ of the figure below ($5 \times 5$, $k = 2$): fragment $(0,0)$ starts with
# $\max(0.3, 0.6, 0.2, 1.0) = 1.0$, and fragment $(1,1)$ with $\max(1.0, 0.5, 0.4, 0.8) = 1.0$. Two different pooling
# windows, and the **same pixel** wins both: the 1.0 at $(1,1)$.

# %%
storage = x[None, :, :, None]  # (F, H, W, C)
offsets = [(r, c) for r in range(2) for c in range(2)]
pooled = {(r, c): MaxPool(2).forward(storage[:, r:, c:])[0, :, :, 0] for r, c in offsets}
for offset, fragment in pooled.items():
    print("offset", offset, "gives", fragment.tolist())
assert pooled[0, 0][0, 0] == pooled[1, 1][0, 0] == x[1, 1] == 1.0

_, places = reference.mpf_forward([storage[0]], (2, 2))
show(figures.split_forward(x, list(pooled.values()), [place[:, :, 0] for place in places]))

# %% [markdown]
# ## Step 3: Algorithm 3, line by line
#
# The paper states this as Algorithm 3. `reference.py` holds it literally, on a Python list of fragments. `P` is the
# pool, `a` and `b` are the maxima and their places, and `j` numbers the offsets. `mpIDXS` keeps the places of the
# winners, where tutorial 10 sends gradients. One line needs care: a winner is found in the *cropped* map `f[r:, c:]`,
# and its place in `f` is $r$ rows and $c$ columns further.
#
# By hand: in fragment $(1,1)$ the first winner is at $(0, 0)$ of `x[1:, 1:]`. Its place in `x` is
# $(0,0) + (1,1) = (1,1)$.

# %%
source(reference.mpf_forward)
F_out, mpIDXS = reference.mpf_forward([storage[0]], (2, 2))
cropped = reference.mp_fwd(storage[0, 1:, 1:], (2, 2))[1][0, 0, 0]
print("first winner of fragment (1,1): in x[1:, 1:]", cropped, " in x", mpIDXS[3][0, 0, 0])
assert mpIDXS[3][0, 0, 0].tolist() == [1, 1] == mpIDXS[0][0, 0, 0].tolist()

fast = MaxPoolFragment(2).forward(storage)
axes = "(fragments, rows, columns, maps)"
print("the library's layer returns one array,", fast.shape, "=", axes)
assert np.array_equal(fast, np.stack(F_out))  # the fast layer is Algorithm 3
assert all(np.array_equal(fast[r * 2 + c, :, :, 0], pooled[r, c]) for r, c in offsets)

# %% [markdown]
# ## Step 4: all offsets at once
#
# In all grids together, exactly one pooling window starts at each position. So compute the maximum at *every* position:
#
# $$ m[a, b] = \max_{i, j}\; x[a + i,\; b + j], \qquad\text{then}\qquad y^{(r,c)} = m[r::k_h,\; c::k_w]. $$
#
# The library does it this way: it takes the maximum of $k_h k_w$ shifted views of the map, without a loop over windows.
# By hand: $m[1, 1] = \max(1.0, 0.5, 0.4, 0.8) = 1.0$, and $m[1::2, 1::2]$ starts there.

# %%
m = np.maximum.reduce([x[i : i + 4, j : j + 4] for i in range(2) for j in range(2)])
print(m)
assert m[1, 1] == 1.0
for r, c in offsets:
    assert np.array_equal(m[r::2, c::2], pooled[r, c])

# %% [markdown]
# ## Step 5: the number of a fragment, and two layers
#
# A storage is one array, so its fragments have numbers. At offset $(r, c)$, input fragment $f$ (the *source*) becomes
# fragment
#
# $$ i = f\,k_h k_w + r\,k_w + c, \qquad\text{and back:}\qquad f = \lfloor i / (k_h k_w) \rfloor,\quad
# (r, c) = \mathrm{divmod}(i \bmod k_h k_w,\; k_w). $$
#
# By hand, $k = 2$: $f = 3$ at $(1, 0)$ becomes $3 \cdot 4 + 1 \cdot 2 + 0 = 14$. Back: $14 = 3 \cdot 4 + 2$ and
# $2 = 1 \cdot 2 + 0$. The number tells all offsets, so nothing else has to travel with the data.
#
# Two layers give $4 \cdot 4 = 16$ fragments. A $7 \times 7$ map becomes $3 \times 3$ and then $1 \times 1$, so each
# fragment holds one value, the maximum over $4\times4$ pixels of the map. One row in the second layer's input is two
# rows of the map. With row offsets $r_1, r_2$ the $4\times4$ pixels start at row $r_1 + 2 r_2$, and columns alike. By
# hand, fragment $14 = 3 \cdot 4 + 2$ has the offsets $(1,1)$ and $(1,0)$, so its pixels start at row
# $1 + 2 \cdot 1 = 3$ and column $1 + 2 \cdot 0 = 1$.

# %%
assert (3 * 4 + 1 * 2 + 0, 14 // 4, divmod(14 % 4, 2)) == (14, 3, (1, 0))
big = rng.permutation(49).reshape(1, 7, 7, 1)
sixteen = MaxPoolFragment(2).forward(MaxPoolFragment(2).forward(big))
print("two layers:", big.shape, "->", sixteen.shape)
for i in range(16):
    (r1, c1), (r2, c2) = divmod(i // 4, 2), divmod(i % 4, 2)
    row, column = r1 + 2 * r2, c1 + 2 * c2
    assert sixteen[i, 0, 0, 0] == big[0, row : row + 4, column : column + 4, 0].max()
below = big[0, 3:7, 1:5, 0].max()
print("fragment 14:", sixteen[14].item(), end=" ")
print(" the maximum over 4 x 4 from row 3, column 1:", below)

show(figures.fragment_index_map([2, 2]))

# %% [markdown]
# **A mistake worth remembering.** Let the splitting count offsets by columns, as Matlab does, and the merging by rows.
# All numbers and all shapes are right, and no error is raised: only a picture shows it. Here a pool of 4 x 4 splits an
# inverted slice of synthetic membranes, and `fragments.merge` (tutorial 09 builds it) puts it back together.

# %%
dark = 255 - picture[None, :95, :95, None].astype(np.float32)
right = MaxPoolFragment(4).forward(dark)
by_columns = right[[r * 4 + c for c in range(4) for r in range(4)]]
good, bad = (merge(split, [(4, 4)])[0, :, :, 0] for split in (right, by_columns))
same = np.array_equal(np.sort(good, None), np.sort(bad, None))
print("same numbers, if one sorts them:", same)
print(f"pixels in the wrong place: {(good != bad).mean():.0%}")
assert same and (good != bad).mean() > 0.4

titles = ["split and merged by rows", "split by columns, merged by rows"]
show(
    figures.grey_pictures([good, bad], titles),
    alt="""Two pictures of the same bright membranes on dark cells. Left: smooth outlines.
    Right: the same picture with every block of 4 by 4 pixels turned over, so that all
    outlines are torn into a saw-toothed mosaic.""",
    colours=32,
)

# %% [markdown]
# ## Step 6: sizes that do not divide
#
# Fragment $(r, c)$ has $\lfloor (H - r) / k_h \rfloor$ rows. By hand, $H = 6$, $k = 2$: $\lfloor 6/2 \rfloor = 3$ rows
# at offset 0, and $\lfloor 5/2 \rfloor = 2$ at offset 1, where one row is dropped. That is right: a pooling window that
# sticks out of the map belongs to no window of the net.
#
# All fragments have one size exactly if $(H + 1) \bmod k_h = 0$, and columns alike. One array needs one size, so the
# library's layer refuses other sizes and says which would do. A `Net` pads its image to a size that fits (tutorial 09).

# %%
unequal, _ = reference.mpf_forward([rng.standard_normal((6, 7, 1))], (2, 2))
print("6 x 7, pool 2 x 2: fragments of", [f.shape[:2] for f in unequal])
assert [len(f) for f in unequal] == [3, 3, 2, 2]
try:
    MaxPoolFragment(2).forward(np.zeros((1, 6, 7, 1)))
except UsageError as error:
    print("UsageError:", error)
for H in range(3, 30):
    for k in (2, 3):
        assert (len({(H - r) // k for r in range(k)}) == 1) == ((H + 1) % k == 0)

# %% [markdown]
# ## Check yourself
#
# 1. Why can all windows share one convolution, but not one max-pooling?
#
#    <details><summary>Answer</summary>A convolution does the same at every position. A pooling grid has an origin:
#    windows at $(u, v)$ and $(u+1, v)$ put it in different places.</details>
#
# 2. A net has pools of 2 x 2 and 3 x 3. How many fragments come out for 5 images?
#
#    <details><summary>Answer</summary>$5 \cdot 4 \cdot 9 = 180$.</details>
#
# 3. Two fragments hold the value 1.0 from the same pixel. Is one of them redundant?
#
#    <details><summary>Answer</summary>No. They are pooled values of different windows that happen to have the same
#    winner.</details>

# %% [markdown]
# ## Exercises
#
# Fill the blanks (`...  # your code`), run the cell, read the verdict. `fragmented((H, W), k, name)` gives the common
# size of the fragments, or raises the error of Step 6. Save the notebook when it passes: tutorial 10 adds the backward
# pass to your layer. The solutions are in `solutions/08.py`.


# %% tags=["exercise"]
def fragment_index(f, r, c, k):
    """Return the number of source f's fragment at offset (r, c); the pool is k = (kh, kw)."""
    i = ...  # your code
    return i


grade_fragment_index(fragment_index)


# %% tags=["exercise"]
class YourMaxPoolFragment(Layer):
    splits = True  # one fragment for each offset: a Net reads this

    def __init__(self, k):
        super().__init__()
        self.k = self.window = self.step = pair(k, "k")

    def as_patch(self):
        return MaxPool(self.k)  # the layer for this one's place in a patch net

    def output_shape(self, shape):
        F, size, C = shape[0], shape[1:3], shape[3]
        h, w = fragmented(size, self.k, "YourMaxPoolFragment")
        fragments = ...  # your code: how many there are
        return fragments, h, w, C

    def forward(self, x, train=True):
        self.cache = x if train else None  # the backward pass, in tutorial 10, will want it
        y = ...  # your code: an array of self.output_shape(x.shape), for any number of sources
        return y


grade_split(YourMaxPoolFragment((2, 3)))

# %% [markdown]
# ## In practice
#
# `tinympcnn/nn/layers/pool.py` is the whole layer. It keeps one byte per position: the number $i\,k_w + j$ of the
# winner within its window.
#
# ## Next
#
# [09 · Merge, pad, field of view](09_merge_pad_field_of_view.ipynb) puts fragments back together, for images of any
# size.
