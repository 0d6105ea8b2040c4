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
# # 10 · Backprop through fragments
#
# Forward, one pixel may win in several fragments. Backward, it collects from all of them. This tutorial follows single
# gradients through the paper's Figures 2 and 3, reads its Algorithms 4, 1 and 2 line by line (3 was in 08), and ends
# with the sentence that makes training on whole images possible: **the gradient of the image is the sum of the
# gradients of all its patches.**

# %% [markdown]
# ## What you will build
#
# The backward pass of MaxPoolFragment: by hand, by the paper, by the library, and your own. Your layer, put into a
# net, will pass the same two tests as the library's: `check_layer` against finite differences, and `check_contract`
# against the sum over patches.

# %% [markdown]
# ## What you need
#
# Routing gradients to winners (05), splitting and merging (08, 09), and gradient checks (03). About 50 minutes.

# %%
import inspect

import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_fragments import grade_fragment_layer, grade_sum
from course.style import show

from tinympcnn import Conv, Layer, MaxPool, MaxPoolFragment, Net
from tinympcnn.gradcheck import check_contract, check_layer
from tinympcnn.nn import reference
from tinympcnn.nn.fragments import merge
from tinympcnn.nn.geometry import fragmented, pair

rng = np.random.default_rng(10)

# %% [markdown]
# ## Step 1: follow one gradient through four fragments
#
# The loss sends a number down to every pooled value: the *delta* $\delta_i[q, p]$ of fragment $i$. A maximum depends
# on its winner alone (05), so the whole delta goes to the winner's place in the source. If one place $(a, b)$ has won
# several times, the chain rule adds:
#
# $$ \mathrm{d}x[a, b] = \sum_{i}\;\sum_{q, p}\; \delta_i[q, p]\;
# \big[\,(a, b)\text{ won window }(q, p)\text{ of fragment } i\,\big]. $$
#
# **By hand**, with the map of tutorial 08 and the deltas $1, 2, \dots, 16$. The 1.0 at $(1, 1)$ won window $(0,0)$ of
# fragment 0 and window $(0,0)$ of fragment 3: it gets $1 + 13 = 14$. The 1.1 at $(3, 3)$ won window $(1,1)$ of **all
# four** fragments: $4 + 8 + 12 + 16 = 40$. The 0.3 at $(0, 0)$ never won, and gets nothing.

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
F_in = [x[:, :, None]]  # a storage of the reference: a list of fragments (H, W, C)
F_out, mpIDXS = reference.mpf_forward(F_in, (2, 2))
deltas = np.arange(1.0, 17).reshape(4, 2, 2, 1)
routed = [reference.mp_bkp(deltas[i], mpIDXS[i], F_in[0])[:, :, 0] for i in range(4)]
total = sum(routed)
print("(1,1) collects", [part[1, 1].item() for part in routed], "=", total[1, 1])
print("(3,3) collects", [part[3, 3].item() for part in routed], "=", total[3, 3])
assert (total[1, 1], total[3, 3], total[0, 0]) == (14, 40, 0)
assert total.sum() == deltas.sum()  # nothing is lost on the way

fig = figures.split_backward(deltas[:, :, :, 0], routed, total, (3, 3))
show(
    fig,
    alt="""Top: the deltas of the four fragments, 1 to 4, 5 to 8, 9 to 12 and 13 to 16.
    Middle: where each fragment sends them in the 5 by 5 source map, empty elsewhere.
    Bottom: the sum of the four maps. Arrows follow the lower right delta of every fragment,
    4, 8, 12 and 16, to place (3,3) and on into the sum, where 40 stands.""",
)

# %% [markdown]
# ## Step 2: Algorithm 4, as printed and as meant
#
# The paper's Algorithm 4, its lines numbered:
#
# 1. `for i = 1 to F_out.nFragments()`
# 2. `for j = 1 to size(P,1) * size(P,2)`
# 3. `s = findSourceFragment(i, j)`
# 4. `f_s = f_s + MP_bkp(f_s, mpIDXS_s)`, where every $f_s$ stands for $f^\delta_s$
#
# Let us do exactly that. Line 4 has **one symbol for two things**: the delta that comes in, and the gradient that is
# summed up. So there are two ways to read it; try both.


# %%
def as_printed(f_delta):
    for i in range(len(F_out)):  # line 1
        for _j in range(2 * 2):  # line 2
            s = i // (2 * 2)  # line 3
            f_delta[s] = f_delta[s] + reference.mp_bkp(f_delta[s], mpIDXS[s], F_in[s])  # line 4
    return f_delta


failures = []
readings = {"the incoming deltas": list(deltas), "the sums, from zero": [np.zeros((5, 5, 1))]}
for reading, start in readings.items():
    try:
        as_printed(start)
    except (ValueError, IndexError) as error:
        failures.append(reading)
        print(f"f_s is {reading}: {type(error).__name__}: {error}")
assert len(failures) == 2

# %% [markdown]
# It cannot run. Three corrections, and it does:
#
# - **Two symbols.** $\delta_i$ comes in, one for each *output* fragment, here 2 × 2. The sum for source $s$ starts at
#   zero and has the size of the *source*, here 5 × 5.
# - **One loop.** Each output fragment has one offset, so the loop over $j$ has nothing to do: 4 fragments are 4
#   passes, not 16.
# - **`mpIDXS_i`, not `mpIDXS_s`.** Every output fragment has its own winners; there are 4 lists of them here, and only
#   one $s$.
#
# What remains, for each output fragment $i$: add $\mathrm{MP\_bkp}(\delta_i, \mathrm{mpIDXS}_i)$ to source
# $s = \lfloor i / (k_h k_w) \rfloor$. **By hand**: fragments 0 to 3 all have $s = 0$, so four maps are added, those of
# the figure above.

# %%
print(inspect.getsource(reference.mpf_backward).split('"""')[2])
F_source = reference.mpf_backward(F_in, list(deltas), (2, 2), mpIDXS)
print(F_source[0][:, :, 0])
assert len(F_source) == 1 and np.array_equal(F_source[0][:, :, 0], total)

# %% [markdown]
# ## Step 3: the fast way, and a trap in `+=`
#
# One would like to write `dx[rows, columns] += deltas` for all winners at once. **Do not.** NumPy reads, adds and
# writes back, so of several deltas for one place only the last one counts (and CuPy promises not even that).
# `np.add.at` is right, and slow.
#
# The library needs no such scatter. Tutorial 08 computed the maximum $m$ at every position, and with it who won: the
# code $i\,k_w + j$ of the tap. Merge the deltas into a dense map $D$ of the same size. Then a tap $(i, j)$ receives
# the deltas of those windows that it won, and these lie at a *shift*:
#
# $$ \mathrm{d}x[\,i : i + h_m,\; j : j + w_m\,] \mathrel{+}= D \cdot [\,\text{winner} = i\,k_w + j\,], $$
#
# with $h_m \times w_m$ the size of $D$: $k_h k_w$ additions of slices in which no place occurs twice. **By hand**,
# place $(3, 3)$ again: it is tap $(1,1)$ of the window at $(2,2)$, tap $(1,0)$ of that at $(2,3)$, tap $(0,1)$ of
# $(3,2)$ and tap $(0,0)$ of $(3,3)$, so four additions bring it $4$, $8$, $12$ and $16$.

# %%
places = np.concatenate([place.reshape(-1, 2) for place in mpIDXS])
trap = np.zeros((5, 5))
trap[places[:, 0], places[:, 1]] += deltas.ravel()
print("the trap: place (3,3) has", trap[3, 3], "in place of", total[3, 3])
assert trap[3, 3] == 16  # the last one

taps = np.stack([x[i : i + 4, j : j + 4] for i in range(2) for j in range(2)])
winner, D = taps.argmax(axis=0), merge(deltas, [(2, 2)])[0, :, :, 0]
dx = np.zeros((5, 5))
for code in range(4):
    i, j = divmod(code, 2)
    dx[i : i + 4, j : j + 4] += D * (winner == code)
assert np.array_equal(dx, total)

layer = MaxPoolFragment(2)
layer.forward(x[None, :, :, None])
assert np.array_equal(layer.backward(deltas)[0, :, :, 0], total)  # the library's layer is Algorithm 4
print("shifted additions, the library's layer and Algorithm 4 agree")

fig = figures.shifted_additions(D, winner, (5, 5))
show(
    fig,
    alt="""Four maps of 5 by 5, one for each tap of the pooling window. A frame shows the
    slice of 4 by 4 that is added to, shifted by the tap; in it stand the deltas of the
    windows that this tap has won, shaded by the offset of their fragment. Place (3,3) holds
    16, 12, 8 and 4.""",
)

# %% [markdown]
# In the library the same lines work on blocks of rows; find the comments that name Algorithm 4:

# %%
print(inspect.getsource(MaxPoolFragment.backward))

# %% [markdown]
# ## Step 4: Algorithms 1 and 2, and Figure 3
#
# A convolution after the pooling layer sees four fragments. Algorithm 1 says: do the same with each. Nothing is wrong
# with it. Algorithm 2 says: the gradient of the weights is the **sum** over the fragments (Figure 3). Its line reads
# `g = g + l.grad(f_delta_i)`, but a gradient of weights needs the layer's *input* too,
# $\mathrm{d}W[i, j] = \sum_{q,p} f[q + i, p + j]\,\delta[q, p]$; and it is a sum, not a mean: every fragment holds
# other windows of the same image, and each window has a vote.
#
# **By hand**: convolve the four fragments of 2 × 2 with a 2 × 2 kernel; each gives one output. With deltas
# $0.5, -1, 2, 1$ and the upper left values $1.0, 1.2, 1.3, 1.0$ of the fragments,
#
# $$ \mathrm{d}W[0, 0] = 0.5 \cdot 1.0 - 1 \cdot 1.2 + 2 \cdot 1.3 + 1 \cdot 1.0 = 2.9, \quad
# \mathrm{d}b = 0.5 - 1 + 2 + 1 = 2.5. $$

# %%
print(inspect.getsource(reference.forward))
print(inspect.getsource(reference.gradient))

conv = Conv(1, 1, 2)
conv.params = {"W": rng.standard_normal((2, 2, 1, 1)), "b": np.zeros(1)}
conv.grads = {name: np.zeros_like(value) for name, value in conv.params.items()}


def grad(f, delta):
    return reference.conv_grad(f, delta, conv.params["W"])  # (dW, db) of one fragment


F_delta = [np.full((1, 1, 1), delta) for delta in (0.5, -1.0, 2.0, 1.0)]
dW, db = reference.gradient(grad, F_out, F_delta)
parts = [grad(f, delta)[0][:, :, 0, 0] for f, delta in zip(F_out, F_delta, strict=True)]
print("dW[0, 0] =", round(dW[0, 0, 0, 0], 12), " db =", db[0])
assert np.isclose(dW[0, 0, 0, 0], 2.9) and np.isclose(db[0], 2.5)

conv.forward(np.stack(F_out))
conv.backward(np.stack(F_delta))  # the library's layer, on all fragments at once
assert np.allclose(conv.grads["W"], dW, atol=1e-15) and np.allclose(conv.grads["b"], db)

fig = figures.fragment_gradients(parts, dW[:, :, 0, 0])
show(
    fig,
    alt="""Five matrices of 2 by 2 in a row: the gradients of the weights from fragments 0
    to 3, plus signs between them, an equals sign, and their sum dW with 2.90 in its upper
    left corner.""",
)

# %% [markdown]
# ## Step 5: gradient = sum over all patches
#
# The loss of an image is a sum over its windows, $L = \sum_w L_w$, and a derivative is linear. So whatever the route,
#
# $$ \frac{\partial L}{\partial \theta} = \sum_w \frac{\partial L_w}{\partial \theta}, $$
#
# **if** the image net computes what the patch net computes on each window. **By hand** you have done it already: Step
# 1 is a net whose window is 2 × 2. Its 16 windows each send one number to their winner; $(3,3)$ wins 4 of the 16, and
# collects 40.
#
# Now a real net, and the sum done literally, one patch after the other. The curve shows how far the sum of the first
# $n$ patch gradients is from the image's gradient:

# %%
net = Net.from_spec("C3x3x3 MPF2x2 C2x2x3 MPF2x2 FC2", rng=rng).astype(np.float64)
(P, Q), image = net.field_of_view, rng.standard_normal((1, 13, 15, 1))
scores = net.forward(image)
dscores = rng.standard_normal(scores.shape)
dimage = net.backward(dscores)  # one pass backward through all fragments
whole = net.flat_grads()

net.zero_grads()
patch_net, dimage_sum, distances = net.as_patch(), np.zeros_like(image), []  # shares parameters and gradients
for u, v in np.ndindex(scores.shape[1:3]):
    patch_net.forward(image[:, u : u + P, v : v + Q])
    dimage_sum[:, u : u + P, v : v + Q] += patch_net.backward(dscores[:, u : u + 1, v : v + 1])
    distances.append(np.linalg.norm(patch_net.flat_grads() - whole) / np.linalg.norm(whole))
print(f"{len(distances)} patches of {P} x {Q}, {net.n_params} parameters")
print("all patches but the last:", f"{distances[-2]:.2f};", "all of them, below 1e-12:", distances[-1] < 1e-12)
assert distances[-1] < 1e-12 < 1e-3 < min(distances[:-1])
assert np.allclose(dimage, dimage_sum, rtol=0, atol=1e-12)  # the gradient of the image itself, too
assert max(check_contract(net, image[0])) < 1e-12  # the same test, as the library offers it

fig = figures.patches_summed(np.maximum(distances, 1e-16))
show(
    fig,
    alt="""A curve on a logarithmic axis: the distance between the sum of the first n patch
    gradients and the image's gradient. It stays above 0.1 while patches are added, and falls
    to rounding error with the very last one.""",
)

# %% [markdown]
# ## Step 6: a mistake worth remembering: the gradient check with ones
#
# Tutorial 03 made this mistake before you knew what a fragment is; now you can see why it passes. Exchange fragments 1
# and 2 on the way back, as a mix of counting by rows and by columns would. Then check the gradient as many do, with an
# upstream gradient of ones. Every fragment brings ones, so exchanging them changes
# nothing: the check passes. **By hand**, place $(0, 2)$ won in fragments 0 and 1. With ones it gets $1 + 1 = 2$,
# whichever is taken for which. With the deltas of Step 1 it must get $2 + 5 = 7$, and the exchanged one gives
# $2 + 9 = 11$.


# %%
class Exchanged(MaxPoolFragment):
    def backward(self, dy):
        order = np.arange(len(dy)).reshape(-1, 2, 2).swapaxes(1, 2).ravel()  # 0, 2, 1, 3, 4, 6, ...
        return super().backward(dy[order])


def slopes(layer, x, dy, h=1e-6):
    direction = rng.standard_normal(x.shape)
    numeric = ((layer.forward(x + h * direction) - layer.forward(x - h * direction)) * dy).sum() / (2 * h)
    layer.forward(x)
    return (layer.backward(dy) * direction).sum(), numeric


small = rng.permutation(2 * 7 * 9).reshape(2, 7, 9, 1) / 10
for name, dy in {"ones": np.ones((8, 3, 4, 1)), "random": rng.standard_normal((8, 3, 4, 1))}.items():
    analytic, numeric = slopes(Exchanged(2), small, dy)
    agree = np.isclose(analytic, numeric, rtol=1e-6)
    print(f"{name:>6}: backward {analytic:+.4f}, differences {numeric:+.4f}: {'agree' if agree else 'DIFFER'}")
    assert agree == (name == "ones")
layer = Exchanged(2)
layer.forward(x[None, :, :, None])
assert (total[0, 2], layer.backward(deltas)[0, 0, 2, 0]) == (7, 11)
report = check_layer(Exchanged(2))
print(report.checks[0].message)
assert "order of the fragments is swapped" in report.checks[0].message and check_layer(MaxPoolFragment(2)).ok

# %% [markdown]
# ## Check yourself
#
# 1. A pixel of the source map can win at most how many windows of a $k \times k$ MaxPoolFragment layer?
#
#    <details><summary>Answer</summary>k · k: it lies in one window of each offset at most.</details>
#
# 2. What does findSourceFragment need to know?
#
#    <details><summary>Answer</summary>The number i of the output fragment and the size of the pool: s = i // (kh ·
#    kw).</details>
#
# 3. Why does the library's backward pass never assign through an index array?
#
#    <details><summary>Answer</summary>It adds to shifted slices, one for each tap; within a slice every place occurs
#    once. With an index array, duplicates would lose all but one delta.</details>
#
# 4. Someone divides the gradient by the number of fragments. Which test notices?
#
#    <details><summary>Answer</summary>Both: finite differences, because the factor is wrong, and the contract, because
#    the sum over patches has no such factor.</details>
#
# 5. Why must outputs that were cropped bring a delta of zero?
#
#    <details><summary>Answer</summary>They belong to no window of the image, so they have no part in the loss; any
#    other delta would add patches that do not exist.</details>

# %% [markdown]
# ## Exercises
#
# First Algorithm 2 for the smallest convolution, 1 × 1. Then the layer: put in the forward pass you wrote in 08, let
# it leave in `self.cache` what you need, and write `backward`. It is judged three times: forward against the paper's
# Algorithm 3, backward by `check_layer` (and where pixels tie, since the first in reading order wins), and in a net
# with two pools by `check_contract`. Solutions: `solutions/10.py`.


# %% tags=["exercise"]
def your_gradient(x, dy):
    """Return dW (C, M) of a 1 x 1 convolution: input storage x (F, H, W, C), deltas dy (F, H, W, M)."""
    fragments = zip(x, dy, strict=True)  # pairs of an input (H, W, C) and its delta (H, W, M): Alg. 2, line 1
    dW = ...  # your code: Alg. 2, line 2
    return dW


grade_sum(your_gradient)


# %% tags=["exercise"]
class YourMaxPoolFragment(Layer):
    splits = True

    def __init__(self, k):
        super().__init__()
        self.k = self.window = self.step = pair(k, "k")

    def as_patch(self):
        return MaxPool(self.k)

    def output_shape(self, shape):
        F, size, C = shape[0], shape[1:3], shape[3]
        h, w = fragmented(size, self.k, "YourMaxPoolFragment")
        return F * self.k[0] * self.k[1], h, w, C

    def forward(self, x, train=True):
        y = ...  # your code, from tutorial 08; and self.cache = what backward needs
        return y

    def backward(self, dy):
        cache = self.take_cache()
        dx = ...  # your code
        return dx


grade_fragment_layer(YourMaxPoolFragment((2, 3)))

# %% [markdown]
# ## In practice
#
# `reference.py` and `layers/pool.py` stand side by side in `tinympcnn/nn`, and the tests hold one against the
# other on many sizes, with rectangular pools and ties. `check_contract(net, image)` works with any net, so run it once
# on yours; it takes as many patches as the image has windows, so keep the image small.
#
# ## Next
#
# [11 · Train on whole images](11_train_on_whole_images.ipynb): the gradient of all windows at the price of one pass,
# and what that makes of the learning curve of 06.
