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
# Forward, one pixel may win in several fragments. Backward, it collects from all of them. This makes training on whole
# images possible, because **the gradient of the image is the sum of the gradients of all its patches.**
#
# ## What you will build
#
# ![Deltas of four fragments, routed to their winners and added up](banners/10.png)
#
# The backward pass of MaxPoolFragment: by hand, the paper's, the library's and your own. Yours will pass the library's
# two tests: `check_layer` against finite differences, and `check_contract` against the sum over patches.

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
# The *delta* $\delta_f[q, p]$ says how the loss changes with the pooled value $(q, p)$ of fragment $f$: what a layer
# calls `dy`. A maximum depends on its winner alone (05), so the whole delta goes to the winner's place in the source.
# If one place $(a, b)$ has won several times, the chain rule adds:
#
# $$ \mathrm{d}x[a, b] = \sum_{f}\;\sum_{q, p}\; \delta_f[q, p]\;
# \big[\,(a, b)\text{ won window }(q, p)\text{ of fragment } f\,\big]. $$
#
# A bracket with a statement is 1 if the statement is true, and 0 if not. By hand, with the map of tutorial 08 and the
# deltas $1, 2, \dots, 16$: the 1.0 at $(1, 1)$ won window $(0,0)$ of fragment 0 and window $(0,0)$ of fragment 3, and
# gets $1 + 13 = 14$. The 1.1 at $(3, 3)$ won window $(1,1)$ of **all four** fragments: $4 + 8 + 12 + 16 = 40$. The 0.3
# at $(0, 0)$ never won, and gets nothing.

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
# One offset $(r, c)$ alone is nothing new: its fragment is a plain max-pooling of `x[:, r:, c:]`, and its way back is
# that of tutorial 05. Only windows of *different* offsets overlap, and there we add. Start `dx` at zero, and for each
# offset add what comes back into the slice from which the fragment was made:
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
# The paper's Algorithm 4 says just that, fragment by fragment: send each delta to the winners (`mp_bkp`), and add the
# result to the gradient of the fragment's source, which starts at zero. In `reference.py`, as in the paper, the
# fragment is `i` and its source $s = \lfloor i / (k_h k_w) \rfloor$.

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
# The library needs neither. It computes the maximum at every position (08, Step 4) and keeps the winner: the number
# $i\,k_w + j$ of its tap. Merge the deltas into a dense map $D$, of size $h_m \times w_m$. Then tap $(i, j)$ receives
# the deltas of the windows that it won, and these lie at a *shift*:
#
# $$ \mathrm{d}x[\,i : i + h_m,\; j : j + w_m\,] \mathrel{+}= D \cdot [\,\text{winner} = i\,k_w + j\,]. $$
#
# These are $k_h k_w$ additions of slices, and in a slice no place occurs twice. By hand, place $(3, 3)$ again: it is
# tap $(1,1)$ of the window at $(2,2)$, tap $(1,0)$ of that at $(2,3)$, tap $(0,1)$ of $(3,2)$ and tap $(0,0)$ of
# $(3,3)$, so four additions bring it $4$, $8$, $12$ and $16$.

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
# A convolution after the pooling layer does the same with each of the four fragments (the paper's Algorithm 1).
# Backward (Algorithm 2 and Figure 3), the gradient of its weights is the **sum** over the fragments, because the same
# weights served all of them (04):
#
# $$\mathrm{d}W[i, j] = \sum_f \sum_{q,p} x_f[q + i, p + j]\;\delta_f[q, p].$$
#
# By hand: a $2 \times 2$ kernel gives one output for each of the four fragments of $2 \times 2$. With deltas
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
# The loss depends on the parameters $\theta$ through the scores. The image net computes for each window $(u, v)$ the
# score $s_{uv}$ that the patch net computes (09). So the chain rule gives a sum over windows:
#
# $$ \mathrm{d}\theta = \sum_{u, v} \mathrm{d}s_{uv}\,\frac{\partial s_{uv}}{\partial \theta}
# = \sum_{u, v} \mathrm{d}\theta_{uv}, $$
#
# where $\mathrm{d}\theta_{uv}$ is what the patch net brings back from window $(u, v)$ and its $\mathrm{d}s_{uv}$ alone.
# As in 05b, layers only add. If the loss is a *mean* over $N$ windows, the $1/N$ is in $\mathrm{d}s_{uv}$.
#
# Step 1 is such a sum by hand, for pixels in place of $\theta$: of 16 windows of $2 \times 2$ the place $(3,3)$ wins 4,
# and collects 40. Now a real net, one patch after the other. The curve shows how far the sum over the first patches is
# from the image's gradient:

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
*_, almost, last = distances
print(f"without the last patch: {almost:.2f}; with it, below 1e-12:", last < 1e-12)
assert last < 1e-12 < 1e-3 < min(distances[:-1])
assert np.allclose(dimage, dimage_sum, rtol=0, atol=1e-12)  # the image's own gradient, too
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
# 3. A net pads its image and crops the outputs that see the padding. Which delta do the cropped outputs bring back?
#
#    <details><summary>Answer</summary>Zero. They belong to no window of the image; any other delta would add patches
#    that do not exist.</details>

# %% [markdown]
# ## Exercises
#
# First Algorithm 2 for the smallest convolution, 1 x 1. Then the layer: your forward pass comes from notebook 08, and
# you write `backward`. `self.take_cache()` returns the input `x` that your forward pass kept. Where pixels tie, the
# first in reading order wins. The solutions are in `solutions/10.py`.


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
# Run `check_contract(net, image)` once on each net of yours. It takes as many patches as the image has windows, so keep
# the image small.
#
# ## Next
#
# [11 · Train on whole images](11_train_on_whole_images.ipynb): the gradient of all windows at the price of one pass,
# with the layer that you have just written.
