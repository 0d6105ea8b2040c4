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
# # 05 · Pool, and route gradients to winners
#
# ## What you will build
#
# ![A map with its winners marked, the maxima, the gradient that comes in, and where it goes.](banners/05.png)
#
# Your own `MaxPool`, which sends the gradient to the winner of each window; and a wrong layer that passes the check.
#
# ## What you need
#
# Tutorials 03 and 04. About 30 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_layers import grade_pool
from course.style import show, source

from tinympcnn import Conv, Layer, MaxPool, Net
from tinympcnn.data import synthetic_membranes
from tinympcnn.gradcheck import check_layer
from tinympcnn.nn import reference

rng = np.random.default_rng(5)

# %% [markdown]
# ## Step 1: why pool, and the largest of each window
#
# To tell what a pixel is, a net must see far. Two convolutions of 5 see $5 + 4 = 9$ pixels along an axis, and each
# further one adds 4. Behind a pool of 2, a kernel of 5 spans 10 pixels of the map before the pool. Pooled maps are also
# smaller, so the layers behind work less. The largest answer of a window says that something is there, but not where:
# that is the price. By hand, from one output back to the image: a kernel of 3 sees 3 pixels, a pool of 2 makes them 6,
# and another kernel of 3 makes them 8; without the pool they would be 5.
#
# A pool of size $k \times k$ lays a grid of windows on the map, without overlap:
#
# $$y_{qp} = \max_{0 \le i, j < k}\; x_{kq+i,\; kp+j}$$
#
# A map of $H$ rows holds $\lfloor H / k \rfloor$ windows. **Rows and columns that fill no window are dropped.** By
# hand, with $k = 2$ and five columns:
#
# $$x = \begin{pmatrix} 3 & 1 & 4 & 1 & 5 \\ 9 & 2 & 6 & 5 & 3 \\ 5 & 8 & 9 & 7 & 9 \\ 3 & 2 & 3 & 8 & 4 \end{pmatrix}
#   \quad\Rightarrow\quad y = \begin{pmatrix} 9 & 6 \\ 8 & 9 \end{pmatrix}$$
#
# The last column is in no window.

# %%
x = np.array([[3.0, 1, 4, 1, 5], [9, 2, 6, 5, 3], [5, 8, 9, 7, 9], [3, 2, 3, 8, 4]])
y = np.zeros((4 // 2, 5 // 2))
for q in range(2):
    for p in range(2):
        y[q, p] = x[2 * q : 2 * q + 2, 2 * p : 2 * p + 2].max()
print(y)
assert (y == [[9, 6], [8, 9]]).all()
assert (MaxPool(2).forward(x[None, :, :, None])[0, :, :, 0] == y).all()
assert Net([Conv(1, 1, 3), MaxPool(2), Conv(1, 1, 3)]).field_of_view == (8, 8)
show(figures.field_of_view_by_pools(["conv 3", "conv 3"], ["conv 3", "pool 2", "conv 3"]))

# %% [markdown]
# ## Step 2: who has won
#
# The backward pass must know where each maximum stood. Number the places of a window in reading order,
# `code = i * k + j`; `argmax` gives the winner's code, and `divmod(code, k)` its row and column. By hand: the 9 of the
# first window stands at $i = 1,\, j = 0$, so its code is $1 \cdot 2 + 0 = 2$.
#
# **Ties.** If several pixels are equal, the first in reading order wins. Another rule would do as well, but a CPU and a
# GPU must choose the same pixel.

# %%
winners = np.zeros((2, 2), int)
for q in range(2):
    for p in range(2):
        winners[q, p] = x[2 * q : 2 * q + 2, 2 * p : 2 * p + 2].argmax()
print("codes:", winners.tolist(), " code 2 is (row, column)", divmod(2, 2))
print("of four equal pixels number", np.full((2, 2), 7.0).argmax(), "wins")
assert winners[0, 0] == 2 and np.full((2, 2), 7.0).argmax() == 0

# %% [markdown]
# ## Step 3: the gradient goes to the winner
#
# Move a pixel that has lost by a little: the maximum stays as it is. Move the winner: the maximum moves along. So
#
# $$\frac{\partial y_{qp}}{\partial x_{kq+i,\,kp+j}} = \begin{cases} 1 & \text{if } (i, j) \text{ is the winner} \\
#   0 & \text{else} \end{cases}$$
#
# and the backward pass starts from zeros and writes each `dy` to the place of its winner. By hand, with
# $\mathrm{d}y = \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}$: the 1 goes to row 1, column 0, where the 9 stands, the 2
# to row 1, column 2, and so on.

# %% tags=["banner"]
dy = np.array([[1.0, 2], [3, 4]])
dx = np.zeros_like(x)
for q in range(2):
    for p in range(2):
        i, j = divmod(int(winners[q, p]), 2)
        dx[2 * q + i, 2 * p + j] = dy[q, p]
print(dx)
assert [dx[1, 0], dx[1, 2], dx[2, 1], dx[2, 2]] == [1, 2, 3, 4] and dx.sum() == dy.sum()
show(figures.pooled_and_routed(x, y, dy, dx, (2, 2), winners))

# %% [markdown]
# Nothing is lost on the way: the sum of `dx` is the sum of `dy`. The library's `reference.py` has the same loop: `f` is
# our `x`, `delta` our `dy`, and `idx` holds the row and the column of each winner.

# %%
pool = MaxPool(2)
pool.forward(x[None, :, :, None])
assert (pool.backward(dy[None, :, :, None])[0, :, :, 0] == dx).all()
maxima, places = reference.mp_fwd(x[:, :, None], (2, 2))
assert (reference.mp_bkp(dy[:, :, None], places, x[:, :, None])[:, :, 0] == dx).all()
print("layer, reference and our loops agree")
source(reference.mp_bkp)

# %% [markdown]
# ## Step 4: a mistake worth remembering
#
# "The gradient goes to the pixels that equal the maximum" reads well, and `x == y` is easy to write. By hand: in a
# window of four equal pixels all four receive `dy`, so `4 * dy` arrives. Will the check see it?


# %%
class ToEquals(MaxPool):
    def forward(self, x, train=True):
        y = super().forward(x, train)
        if train:
            self.cache = x, y
        return y

    def backward(self, dy):
        (x, y), k = self.take_cache(), self.k[0]
        dx, grid = np.zeros_like(x), np.s_[:, : k * dy.shape[1], : k * dy.shape[2]]
        larger = [np.repeat(np.repeat(array, k, axis=1), k, axis=2) for array in (y, dy)]
        dx[grid] = (x[grid] == larger[0]) * larger[1]
        return dx


assert check_layer(ToEquals(2))  # it passes
image = np.minimum(synthetic_membranes(1, 64, rng)[0], 165)  # overexposed
image = image.astype(np.float64)[..., None]
wrong, right = ToEquals(2), MaxPool(2)
received = {}
for name, pool in (("wrong", wrong), ("right", right)):
    received[name] = pool.backward(np.ones_like(pool.forward(image)))
sums = {name: int(dx.sum()) for name, dx in received.items()}
print(f"sent: {32 * 32}, received by the first winners: {sums['right']}", end=", ")
print("by all that are equal:", sums["wrong"])
assert sums["right"] == 32 * 32 and sums["wrong"] > 1.5 * 32 * 32

# %%
arrays = [array[0, :, :, 0] for array in (image, received["wrong"], received["right"])]
show(figures.route_to_equals(*arrays), colours=48)

# %% [markdown]
# **The check passes, and the layer is wrong.** The check takes distinct values, on which both rules are the same. In
# images with clipped pixels, and behind a saturated tanh, values are equal. So test the sum, too: what was sent must
# arrive once.

# %% [markdown]
# ## Check yourself
#
# 1. A map of 7 x 9 goes through a pool of 2 x 3. What is left, and what is dropped?
#
#    <details><summary>Answer</summary>3 x 3 maxima; the last row is dropped.</details>
#
# 2. How many parameters does `MaxPool` have, and what does it keep for the backward pass?
#
#    <details><summary>Answer</summary>None. It keeps the shape of x and the code of each winner.</details>
#
# 3. What share of `dx` can be different from zero behind a pool of 2 x 2?
#
#    <details><summary>Answer</summary>At most a quarter: one pixel of each window.</details>
# %% [markdown]
# ## Exercises
#
# Solutions: `solutions/05.py`.
#
# Your own `MaxPool`. `windows` has the shape `(F, h, w, C, k * k)`: the `k * k` values of each window in reading order.
# (`reshape` cuts rows and columns into windows and places in them, `(F, h, k, w, k, C)`, and `transpose` brings the
# places to the end; `backward` goes the same way back.) `np.take_along_axis` and `np.put_along_axis` read and write at
# the places that `argmax` found. `window` and `step` tell a net how far the layer sees. You are judged where pixels
# tie, too.


# %% tags=["exercise"]
class YourMaxPool(Layer):
    def __init__(self, k):
        super().__init__()
        self.k = k
        self.window = self.step = (k, k)

    def windows(self, x):
        F, H, W, C = x.shape
        k, h, w = self.k, H // self.k, W // self.k
        grid = x[:, : k * h, : k * w].reshape(F, h, k, w, k, C)
        return grid.transpose(0, 1, 3, 5, 2, 4).reshape(F, h, w, C, k * k)

    def forward(self, x, train=True):
        windows = self.windows(x)
        y = ...  # your code: (F, h, w, C)
        winners = ...  # your code: (F, h, w, C), the code of the first maximum
        self.cache = (x.shape, winners) if train else None
        return y

    def backward(self, dy):
        (F, H, W, C), winners = self.take_cache()
        k, (h, w) = self.k, dy.shape[1:3]
        routed = np.zeros((F, h, w, C, k * k), dy.dtype)
        ...  # your code: write dy into routed, at the winners
        dx = np.zeros((F, H, W, C), dy.dtype)
        grid = routed.reshape(F, h, w, C, k, k).transpose(0, 1, 4, 2, 5, 3)
        dx[:, : k * h, : k * w] = grid.reshape(F, k * h, k * w, C)
        return dx


grade_pool(YourMaxPool(2))

# %% [markdown]
# ## In practice
#
# `window_max` in `tinympcnn/nn/layers/pool.py` compares one place of all windows after the other.
#
# ## Next
#
# Put the layers in a row, and let them learn: [05b · A net by hand](05b_a_net_by_hand.ipynb).
