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
# # 01 · Arrays and axes
#
# ## What you will build
#
# ![A slice of tissue, the same after transpose, and nine small garbled pictures after reshape.](banners/01.png)
#
# You will know where each number of an image lies in memory, which slices cost nothing, what a wrong `reshape` does to
# a picture, and how exact a float32 is.
#
# ## What you need
#
# NumPy: indexing, slices, shapes. About 25 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_basics import grade_crop, grade_maps_last, grade_place
from course.style import INK, show

from tinympcnn import Conv
from tinympcnn.data import synthetic_membranes

rng = np.random.default_rng(1)

# %% [markdown]
# ## Step 1: four axes, and one place in memory
#
# Every array that goes through a net is a **storage** with four axes, `(F, H, W, C)`: fragments, rows, columns, maps. A
# *map* is one value for each pixel: grey images have one map, colour images three. A *fragment* is a stack of maps; for
# now, it is one image of a batch. Memory is one long row of places. With maps last, the number $x_{f,q,p,c}$ lies at
# place
#
# $$ \big((f\,H + q)\,W + p\big)\,C + c . $$
#
# By hand, for the shape $(2, 3, 4, 2)$ and the index $(1, 2, 0, 1)$:
# $((1\cdot3 + 2)\cdot4 + 0)\cdot2 + 1 = 20\cdot2 + 1 = 41$.
#
# <details><summary>The letters of the course, to come back to</summary>
#
# | letter | meaning |
# |---|---|
# | $f, q, p, c$ of $(F, H, W, C)$ | fragment, row, column, map; how many there are of each |
# | `x`, `y`; `dx`, `dy` | what goes into a layer and comes out; how the loss $L$ changes with it |
# | `W`, `b` | weights and bias of a layer; in a shape, `W` is the width |
# | `theta`, `g`; `lr` | parameters and their gradient; the learning rate |
# | `kh`, `kw`; `i`, `j` | rows and columns of a kernel or pool; a place (tap) in it |
# | `vh`, `vw` | rows and columns of the net's field of view |
# | `(r, c)` | the offset of a fragment (08) |
# | `C`, `M` | maps in, maps out |
# | `K`, `t`, `s` | number of classes, the right class, scores |
# | `N` | how many pixels or windows are counted |
#
# </details>

# %%
F, H, W, C = 2, 3, 4, 2
x = np.arange(F * H * W * C).reshape(F, H, W, C)  # each number is its own place
place = ((1 * H + 2) * W + 0) * C + 1
print("by the formula:", place, "  in the array:", x[1, 2, 0, 1])
assert x[1, 2, 0, 1] == place == 41

# %% [markdown]
# ## Step 2: strides
#
# The **strides** of an array say how many bytes one step along each axis takes. By the formula above, with 4 bytes for
# a float32, they are
#
# $$ 4\,(H\,W\,C,\; W\,C,\; C,\; 1) . $$
#
# By hand, for $(2, 3, 4, 2)$: $4\cdot(24, 8, 2, 1) = (96, 32, 8, 4)$.

# %%
y = x.astype(np.float32)
print("strides:", y.strides)
assert y.strides == (96, 32, 8, 4)

# %% [markdown]
# A slice moves no number. It is a **view**, with another start and other strides. The paper that this library follows
# (see `README.md`) writes `f(r:end, c:end)` for a map without its first $r$ rows and $c$ columns: `x[:, r:, c:]`. Every
# second pixel from there on is `x[:, r::2, c::2]`. By hand: the view `y[:, 1::2, 1::2]` takes two rows or two columns
# at each step, so its strides are $(96, 2\cdot32, 2\cdot8, 4) = (96, 64, 16, 4)$.

# %%
view = y[:, 1::2, 1::2]
shared = np.shares_memory(view, y)
print("shape", view.shape, " strides", view.strides, " shares memory:", shared)
assert view.strides == (96, 64, 16, 4)

view[...] = -1  # writes into y itself
print("pixel (1, 1) of y is now", y[0, 1, 1])
assert (y[0, 1, 1] == -1).all()

marked = {(q, p): INK[1] for q in range(1, H, 2) for p in range(1, W, 2)}
show(
    figures.matrix(x[0, :, :, 0], marked, "places of map 0 of fragment 0"),
    alt="A matrix of three rows and four columns with the places of map 0 in memory: 0, 2, 4, "
    "6 in the first row, 8 to 14 in the second, 16 to 22 in the third. The two pixels of the "
    "view, at places 10 and 14, are hatched.",
)

# %% [markdown]
# Whoever writes into a view writes into the original. The library's layers never write into their input.
#
# ## Step 3: why maps come last
#
# A convolution (tutorial 02) reads windows of `kh` rows and `kw` columns with all their maps, and long runs of
# neighbours in memory are read fastest. With maps last, each row of a window is **one run** of $k_w\,C$ numbers; with
# maps first it is $C$ runs of $k_w$. By hand, for $k_w = 2$ and $C = 3$ (maps a, b, c): one run of 6 numbers, against 3
# runs of 2.

# %%
W = 4  # one row of four pixels with three maps
last = [f"{p}{c}" for p in range(W) for c in "abc"]
first = [f"{p}{c}" for c in "abc" for p in range(W)]
window = {f"{p}{c}" for p in (1, 2) for c in "abc"}  # pixels 1 and 2
titles = ("maps last: the window is one run", "maps first: the window is three runs")
framed = {
    title: [i for i, name in enumerate(order) if name in window]
    for title, order in zip(titles, (last, first), strict=True)
}
runs = [1 + int((np.diff(places) > 1).sum()) for places in framed.values()]
print("runs of neighbours in memory:", runs)
assert runs == [1, 3]

show(
    figures.memory(
        dict(zip(titles, (last, first), strict=True)),
        dict(zip("abc", INK, strict=False)),
        framed,
    )
)

# %% [markdown]
# A convolution's weights, its *kernel*, have the axes `(kh, kw, in_maps, out_maps)`. The view `W.reshape(-1, out_maps)`
# is the matrix that a window is multiplied with. By hand: a $3\times3$ kernel from 2 maps to 5 is a matrix of
# $3\cdot3\cdot2 = 18$ rows and 5 columns.

# %%
weights = Conv(2, 5, 3, rng=rng).params["W"]
matrix = weights.reshape(-1, 5)
print(weights.shape, "->", matrix.shape, " shares memory:", np.shares_memory(weights, matrix))
assert matrix.shape == (18, 5) and np.shares_memory(weights, matrix)

# %% [markdown]
# ## Step 4: a mistake worth remembering: reshape is not transpose
#
# Some files hold the maps first: `(C, H, W)`. To move the axis, **transpose**. A `reshape` to `(H, W, C)` gives the
# same shape and raises no error, but it cuts the same run of numbers into other pieces. By hand: two maps of two
# pixels, $(a_0, a_1)$ and $(b_0, b_1)$, lie in memory as $a_0, a_1, b_0, b_1$. The pixels should be $(a_0, b_0)$ and
# $(a_1, b_1)$; reshape makes $(a_0, a_1)$ and $(b_0, b_1)$.

# %% tags=["banner"]
two_maps = np.array([["a0", "a1"], ["b0", "b1"]])
print("transpose:", two_maps.transpose(1, 0).tolist())
print("reshape:  ", two_maps.reshape(2, 2).tolist())
assert two_maps.T.tolist() == [["a0", "b0"], ["a1", "b1"]]

tissue, _ = synthetic_membranes(3, 96, rng)  # three slices, as if three maps of one image
right, wrong = tissue.transpose(1, 2, 0), tissue.reshape(96, 96, 3)
print("both have the shape", right.shape, wrong.shape)
assert (right[..., 1] == tissue[1]).all() and not (wrong[..., 1] == tissue[1]).all()

show(
    figures.pictures(
        {
            "map 1 of the file": tissue[1],
            "after transpose": right[..., 1],
            "after reshape": wrong[..., 1],
        }
    ),
    alt="Three pictures. The first is a slice of tissue with dark membranes. The second, after "
    "transpose, is the same. The third, after reshape, is garbage: nine small pictures in "
    "three rows of three, each of the three slices three times side by side.",
    colours=48,
)

# %% [markdown]
# ## Step 5: how exact is a float32, and what is a uint8?
#
# Nets compute in float32, in half the memory of float64 and at twice the speed. A float32 has 24 binary digits, so
# neighbours near $x$ differ by
#
# $$ 2^{\lfloor \log_2 |x| \rfloor - 23} . $$
#
# By hand: near $1$ that is $2^{-23} \approx 1.2\cdot10^{-7}$, and near $2^{24} = 16\,777\,216$ it is $2$, so adding $1$
# there changes nothing. Gradient checks (tutorial 03) subtract almost equal numbers and need float64.
#
# Images are often uint8, whole numbers from 0 to 255: $10 - 20$ wraps around to $246$. Convert first, then subtract.

# %%
big = np.float32(2**24)
print("next to 1:", np.spacing(np.float32(1)))
print("next to 2**24:", np.spacing(big), "  2**24 + 1 =", big + np.float32(1))
assert np.spacing(np.float32(1)) == 2.0**-23 and big + np.float32(1) == big

dark, bright = np.array([10], np.uint8), np.array([20], np.uint8)
print("uint8:", dark - bright, "  float32:", dark.astype(np.float32) - bright)
assert (dark - bright)[0] == 246

# %% [markdown]
# ## Check yourself
#
# 1. What do the four letters of `(F, H, W, C)` mean?
#
#    <details><summary>Answer</summary>Fragments (for now: images), rows, columns, maps.</details>
# 2. Which index runs fastest in memory?
#
#    <details><summary>Answer</summary>The last: the map.</details>
# 3. What does `x[:, 1:, 1:]` copy?
#
#    <details><summary>Answer</summary>Nothing. It is a view with another start.</details>

# %% [markdown]
# ## Exercises
#
# Solutions: `solutions/01.py`.


# %% tags=["exercise"]
def place_of(index, shape):
    """Return the place in memory of the number at `index` of a storage of `shape`."""
    (f, q, p, c), (F, H, W, C) = index, shape
    return ...  # your code


grade_place(place_of)


# %% tags=["exercise"]
def from_offset(x, r, c):
    """Return the paper's f(r:end, c:end) for all fragments and maps of `x`, without a copy."""
    return ...  # your code


grade_crop(from_offset)


# %% tags=["exercise"]
def as_storage(stack):
    """Turn maps (C, H, W) into a storage (1, H, W, C) of one fragment."""
    return ...  # your code


grade_maps_last(as_storage)

# %% [markdown]
# ## In practice
#
# The library's readers turn files of any axis order into `(H, W, C)`. PyTorch keeps `(N, C, H, W)`, and offers maps
# last as `channels_last`.
#
# ## Next
#
# [02 · Convolve by hand](02_convolve_by_hand.ipynb): the operation for which these axes were chosen.
