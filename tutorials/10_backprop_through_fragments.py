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
# gradients through the paper's Figures 2 and 3 and reads its Algorithms 4, 1 and 2. It ends with the sentence that
# makes training on whole images possible: **the gradient of the image is the sum of the gradients of all its patches.**
#
# ## What you will build
#
# ![Deltas of four fragments, routed to their winners and added up](banners/10.png)
#
# The backward pass of MaxPoolFragment: by hand, by the paper, by the library, and your own, on top of your forward pass
# of 08. Your layer, put into a net, will pass the same two tests as the library's: `check_layer` against finite
# differences, and `check_contract` against the sum over patches.

# %% [markdown]
# ## What you need
#
# Gradient checks (03), routing gradients to winners (05), splitting and merging (08, 09). About 40 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.example import x
from course.grading_fragments import grade_fragment_layer, grade_sum
from course.style import show, source
from course.yours import yours

from tinympcnn import Conv, MaxPool, MaxPoolFragment, Net
from tinympcnn.gradcheck import check_contract
from tinympcnn.nn import reference
from tinympcnn.nn.fragments import merge

rng = np.random.default_rng(10)

# %% [markdown]
# ## Step 1: follow one gradient through four fragments
#
# The loss sends a number down to every pooled value: the *delta* $\delta_f[q, p]$ of fragment $f$ (what a layer calls
# `dy`). A maximum depends on its winner alone (05), so the whole delta goes to the winner's place in the source. If one
# place $(a, b)$ has won several times, the chain rule adds:
#
# $$ \mathrm{d}x[a, b] = \sum_{f}\;\sum_{q, p}\; \delta_f[q, p]\;
# \big[\,(a, b)\text{ won window }(q, p)\text{ of fragment } f\,\big]. $$
#
# By hand, with the map of tutorial 08 and the deltas $1, 2, \dots, 16$. The 1.0 at $(1, 1)$ won window $(0,0)$ of
# fragment 0 and window $(0,0)$ of fragment 3: it gets $1 + 13 = 14$. The 1.1 at $(3, 3)$ won window $(1,1)$ of **all
# four** fragments: $4 + 8 + 12 + 16 = 40$. The 0.3 at $(0, 0)$ never won, and gets nothing.

# %% tags=["banner"]
F_in = [x[:, :, None]]  # a storage of the reference: a list of fragments (H, W, C)
F_out, mpIDXS = reference.mpf_forward(F_in, (2, 2))
deltas = np.arange(1.0, 17).reshape(4, 2, 2, 1)
routed = [reference.mp_bkp(deltas[f], mpIDXS[f], F_in[0])[:, :, 0] for f in range(4)]
total = sum(routed)
print("(1,1) collects", [part[1, 1].item() for part in routed], "=", total[1, 1])
print("(3,3) collects", [part[3, 3].item() for part in routed], "=", total[3, 3])
assert (total[1, 1], total[3, 3], total[0, 0]) == (14, 40, 0)
assert total.sum() == deltas.sum()  # nothing is lost on the way
show(figures.split_backward(deltas[:, :, :, 0], routed, total, (3, 3)))

# %% [markdown]
# ## Step 2: one offset after the other
#
# Inside *one* fragment the windows do not overlap. So for one offset $(r, c)$ there is nothing new: it is a plain
# max-pooling of `x[:, r:, c:]`, and its way back is that of tutorial 05. Only *between* offsets do windows overlap, and
# there we add. Start `dx` at zero, and for each offset add what comes back into the slice from which the fragment was
# made:
#
# `dx[:, r:, c:] += (backward pass of the max-pooling of x[:, r:, c:])`
#
# By hand, place $(3, 3)$: offset $(0, 0)$ brings 4, $(0, 1)$ brings 8, $(1, 0)$ brings 12 and $(1, 1)$ brings 16.

# %%
storage = x[None, :, :, None]
dx = np.zeros(storage.shape)
for f in range(4):
    r, c = divmod(f, 2)
    pool = MaxPool(2)
    pool.forward(storage[:, r:, c:])
    dx[:, r:, c:] += pool.backward(deltas[f : f + 1])
    print(f"after offset {r, c}: place (3,3) has", dx[0, 3, 3, 0])
assert np.array_equal(dx[0, :, :, 0], total)

layer = MaxPoolFragment(2)
layer.forward(storage)
assert np.array_equal(layer.backward(deltas), dx)  # the library's layer does the same

# %% [markdown]
# The paper's Algorithm 4 says just that, fragment by fragment: add $\mathrm{MP\_bkp}(\delta_f, \mathrm{mpIDXS}_f)$ to
# the gradient of the source $s = \lfloor f / (k_h k_w) \rfloor$, which starts at zero. Here are its lines as
# `reference.py` has them; there, as in the paper, the fragment is `i`.
#
# <details><summary>If you have the paper beside you: Algorithm 4 cannot run as it is printed</summary>
#
# It loops over the output fragments $i$ *and* over the offsets $j$, and its line 4 reads
# `f_s = f_s + MP_bkp(f_s, mpIDXS_s)`. Three corrections make it run. There are *two* symbols: $\delta_i$ comes in, one
# for each output fragment; the sum for source $s$ has the size of the source. There is *one* loop, because an output
# fragment has one offset. And it is `mpIDXS_i`, the winners of the output fragment, not `mpIDXS_s`.
#
# </details>

# %%
source(reference.mpf_backward)
F_source = reference.mpf_backward(F_in, list(deltas), (2, 2), mpIDXS)
assert len(F_source) == 1 and np.array_equal(F_source[0][:, :, 0], total)

# %% [markdown]
# ## Step 3: a mistake worth remembering, and the fast way
#
# One would like to write `dx[rows, columns] += deltas` for all winners at once. **Do not.** NumPy reads, adds and
# writes back, so of several deltas for one place only the last one counts. (`np.add.at` is right, and slow.)
#
# The library needs no such scatter. Tutorial 08 computed the maximum $m$ at every position, and with it who won: the
# number $i\,k_w + j$ of the tap. Merge the deltas into a dense map $D$ of the same size. Then tap $(i, j)$ receives the
# deltas of those windows that it won, and these lie at a *shift*:
#
# $$ \mathrm{d}x[\,i : i + h_m,\; j : j + w_m\,] \mathrel{+}= D \cdot [\,\text{winner} = i\,k_w + j\,], $$
#
# with $h_m \times w_m$ the size of $D$: $k_h k_w$ additions of slices in which no place occurs twice. By hand, place
# $(3, 3)$ again: it is tap $(1,1)$ of the window at $(2,2)$, tap $(1,0)$ of that at $(2,3)$, tap $(0,1)$ of $(3,2)$ and
# tap $(0,0)$ of $(3,3)$, so four additions bring it $4$, $8$, $12$ and $16$.

# %%
places = np.concatenate([place.reshape(-1, 2) for place in mpIDXS])
trap = np.zeros((5, 5))
trap[places[:, 0], places[:, 1]] += deltas.ravel()
print("the mistake: place (3,3) has", trap[3, 3], "in place of", total[3, 3])
assert trap[3, 3] == 16  # the last one

taps = np.stack([x[i : i + 4, j : j + 4] for i in range(2) for j in range(2)])
winner, D = taps.argmax(axis=0), merge(deltas, [(2, 2)])[0, :, :, 0]
dx = np.zeros((5, 5))
for tap in range(4):
    i, j = divmod(tap, 2)
    dx[i : i + 4, j : j + 4] += D * (winner == tap)
assert np.array_equal(dx, total)
print("shifted additions and Algorithm 4 agree")
show(figures.shifted_additions(D, winner, (5, 5)))
source(MaxPoolFragment.backward, fold=True)

# %% [markdown]
# ## Step 4: a convolution behind fragments
#
# A convolution after the pooling layer sees four fragments. Forward (the paper's Algorithm 1), it does the same with
# each. Backward (Algorithm 2 and Figure 3), the gradient of its weights is the **sum** over the fragments, because the
# same weights served all of them (04: shared weights add up):
#
# $$\mathrm{d}W[i, j] = \sum_f \sum_{q,p} x_f[q + i, p + j]\;\delta_f[q, p].$$
#
# By hand: convolve the four fragments of $2 \times 2$ with a $2 \times 2$ kernel; each gives one output. With deltas
# $0.5, -1, 2, 1$ and the upper left values $1.0, 1.2, 1.3, 1.0$ of the fragments,
#
# $$ \mathrm{d}W[0, 0] = 0.5 \cdot 1.0 - 1 \cdot 1.2 + 2 \cdot 1.3 + 1 \cdot 1.0 = 2.9, \quad
# \mathrm{d}b = 0.5 - 1 + 2 + 1 = 2.5. $$

# %%
conv = Conv(1, 1, 2, rng=10)
F_delta = np.reshape([0.5, -1.0, 2.0, 1.0], (4, 1, 1, 1))
parts = [reference.conv_grad(F_out[f], F_delta[f], conv.params["W"])[0] for f in range(4)]

conv = Net([conv]).astype(np.float64).layers[0]
conv.forward(np.stack(F_out))
conv.backward(F_delta)  # the library's layer, on all fragments at once
dW, db = conv.grads["W"], conv.grads["b"]
print("dW[0, 0] =", round(dW[0, 0, 0, 0], 12), " db =", db[0])
assert np.isclose(dW[0, 0, 0, 0], 2.9) and np.isclose(db[0], 2.5)
assert np.allclose(sum(parts), dW, atol=1e-15)
show(figures.fragment_gradients([part[:, :, 0, 0] for part in parts], dW[:, :, 0, 0]))

# %% [markdown]
# ## Step 5: gradient = sum over all patches
#
# Every layer adds up: over fragments, over pixels, over windows. So the backward pass turns the gradients of the
# scores, one $\mathrm{d}s_{uv}$ for each window $(u, v)$, into
#
# $$ \mathrm{d}\theta = \sum_{u, v} \mathrm{d}\theta_{uv}, $$
#
# where $\mathrm{d}\theta_{uv}$ is what the patch net makes of window $(u, v)$ and its $\mathrm{d}s_{uv}$ alone. That
# holds **if** the image net computes what the patch net computes on each window (09), since derivatives of a sum are
# sums. As in 05b, the layers sum, always. If the loss is a *mean* over $N$ windows, the $1/N$ is in $\mathrm{d}s_{uv}$.
#
# By hand you have done it already: Step 1 is a net whose window is $2 \times 2$. Its 16 windows each send one number to
# their winner; $(3,3)$ wins 4 of the 16, and collects 40. Now a real net, one patch after the other. The curve shows
# how far the sum of the first patch gradients is from the image's gradient:

# %%
net = Net.from_spec("C3x3x3 MPF2x2 C2x2x3 MPF2x2 FC2", rng=rng).astype(np.float64)
(vh, vw), image = net.field_of_view, rng.standard_normal((1, 13, 15, 1))
scores = net.forward(image)
dscores = rng.standard_normal(scores.shape)
dimage = net.backward(dscores)  # one pass backward through all fragments
whole = net.flat_grads()

net.zero_grads()
patch_net = net.as_patch()  # shares parameters and gradients
dimage_sum, distances = np.zeros_like(image), []
for u, v in np.ndindex(scores.shape[1:3]):
    patch_net.forward(image[:, u : u + vh, v : v + vw])
    dpatch = patch_net.backward(dscores[:, u : u + 1, v : v + 1])
    dimage_sum[:, u : u + vh, v : v + vw] += dpatch
    distances.append(np.linalg.norm(patch_net.flat_grads() - whole) / np.linalg.norm(whole))
print(f"{len(distances)} patches of {vh} x {vw}, {net.n_params} parameters")
print(f"without the last patch: {distances[-2]:.2f}; with it, below 1e-12:", distances[-1] < 1e-12)
assert distances[-1] < 1e-12 < 1e-3 < min(distances[:-1])
assert np.allclose(dimage, dimage_sum, rtol=0, atol=1e-12)  # the gradient of the image itself, too
assert max(check_contract(net, image[0])) < 1e-12  # the same test, as the library offers it
show(figures.patches_summed(np.maximum(distances, 1e-16)))

# %% [markdown]
# ## Check yourself
#
# 1. A pixel of the source map can win at most how many windows of a $k \times k$ MaxPoolFragment layer?
#
#    <details><summary>Answer</summary>k · k: it lies in one window of each offset at most.</details>
#
# 2. Why may `dx[:, r:, c:] +=` be used for one offset, and not `dx[rows, columns] +=` for all winners?
#
#    <details><summary>Answer</summary>In a slice every place occurs once. In an index array a place that won twice
#    occurs twice, and all but one of its deltas are lost.</details>
#
# 3. A gradient check with dy = 1 everywhere passes although two fragments are exchanged on the way back. Why?
#
#    <details><summary>Answer</summary>Every fragment brings ones, so it does not matter which is taken for which (03,
#    Step 4). A random dy shows it.</details>
#
# 4. Someone divides the gradient by the number of fragments. Which test notices?
#
#    <details><summary>Answer</summary>Both: finite differences, because the factor is wrong, and the contract, because
#    the sum over patches has no such factor.</details>
#
# 5. A net pads its image and crops the outputs that see the padding. Which delta do the cropped outputs bring back?
#
#    <details><summary>Answer</summary>Zero. They belong to no window of the image, so they have no part in the loss;
#    any other delta would add patches that do not exist.</details>

# %% [markdown]
# ## Exercises
#
# First Algorithm 2 for the smallest convolution, 1 x 1. Then the layer: your forward pass comes from notebook 08, and
# you write `backward`. `self.take_cache()` returns the input `x` that your forward pass kept. The verdict looks three
# times: forward against the paper's Algorithm 3, backward by `check_layer` (and where pixels tie, since the first in
# reading order wins), and in a net with two pools by `check_contract`. The solutions are in `solutions/10.py`.


# %% tags=["exercise"]
def your_gradient(x, dy):
    """Return dW (C, M) of a 1 x 1 convolution, from x (F, H, W, C) and dy (F, H, W, M)."""
    fragments = zip(x, dy, strict=True)  # pairs of an input (H, W, C) and its delta (H, W, M)
    dW = ...  # your code: the sum over the fragments
    return dW


grade_sum(your_gradient)


# %% tags=["exercise"]
class YourMaxPoolFragment(yours("08", "YourMaxPoolFragment")):
    def backward(self, dy):
        x, (kh, kw) = self.take_cache(), self.k
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
# with the layer that you have just written.
