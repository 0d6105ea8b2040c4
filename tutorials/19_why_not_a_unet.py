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
# # 19 · Why not a U-Net?
#
# Max-pooling forgets where things are. Fragments give the place back by keeping every offset. Two other answers are
# more common: convolutions with gaps and no pooling (*a trous*), and nets that pool, come up again, and fetch the lost
# detail through skip connections (U-Nets; Ronneberger, Fischer, Brox 2015).
#
# ## What you will build
#
# ![A net drawn as a U: down by pools, up by repeating pixels, skips across](banners/19.png)
#
# - A layer that splits maps without a maximum. Convolutions behind it *are* convolutions with gaps.
# - The backward pass of a skip connection, and the sizes inside a U-Net.
# - The three answers on one job, and what one of them only seems to do.

# %% [markdown]
# ## What you need
#
# Tutorials 08 to 11 (fragments, and training on whole images). About 40 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_nested import grade_alignment, grade_fragment, grade_rows_after, grade_skip
from course.style import show, source

from tinympcnn import Conv, Fragment, Layer, MaxPoolFragment, Net, Recipe, Skip, UsageError, fit
from tinympcnn.data import synthetic_membranes
from tinympcnn.nn import reference
from tinympcnn.nn.fragments import merge
from tinympcnn.nn.geometry import pair

rng = np.random.default_rng(19)

# %% [markdown]
# ## Step 1: split without a maximum
#
# `MaxPoolFragment` takes the maximum over the window at *every* position, and then deals the positions out to the
# fragments. `Fragment` only deals out. With $f$ the number of a source fragment,
#
# $$y[f\,k_h k_w + r\,k_w + c,\; q,\; p] = x[f,\; k_h q + r,\; k_w p + c].$$
#
# Each pixel goes to one place, and its gradient comes back from that place.
#
# By hand, on $4 \times 4$ pixels numbered from 0 in reading order, with $k = 2$: offset $(0, 1)$ has the rows 0, 2 and
# the columns 1, 3. Fragment 1 is $1, 3$ over $9, 11$.

# %%
x = np.arange(16.0).reshape(1, 4, 4, 1)
layer = Fragment(2)
y = layer.forward(x)
print("fragment 1:", y[1, :, :, 0].tolist())
assert y[1, :, :, 0].tolist() == [[1, 3], [9, 11]]
assert np.array_equal(layer.backward(y), x)  # the way back is the merge of tutorial 09

noise = rng.standard_normal((1, 9, 11, 2))
taps = [noise[:, i : 8 + i, j : 10 + j] for i in range(2) for j in range(2)]
everywhere = np.maximum.reduce(taps)
assert np.array_equal(MaxPoolFragment(2).forward(noise), Fragment(2).forward(everywhere))
print("MaxPoolFragment is a maximum at every position, then Fragment")
show(figures.split_only(x[0, :, :, 0]))

# %% [markdown]
# ## Step 2: convolutions behind the splits have gaps
#
# Neighbours in a fragment lie $k$ pixels apart in the map. A convolution of the fragments therefore takes pixels that
# lie $k$ apart: it is a convolution with gaps (*dilated*, or *a trous*, "with holes") of rate $k$. Behind a second
# `Fragment(2)` (`F2x2` in a spec) the rate is 4.
#
# By hand, on the row $1, 2, 3, 4, 5, 6$ with the kernel $(1, 10)$: the fragments are $1, 3, 5$ and $2, 4, 6$. Convolved
# they are $31, 53$ and $42, 64$, and merged $31, 42, 53, 64$. Directly, with a gap: $1 + 10 \cdot 3 = 31$,
# $2 + 10 \cdot 4 = 42$.
#
# In the picture, black lines are those of the middle pixel. Three layers with kernels of 3 see 15 pixels in a row, and
# without gaps 7.

# %%
conv = Conv(1, 1, (1, 2))
conv.params["W"][0, :, 0, 0] = 1, 10
row = np.arange(1.0, 7).reshape(1, 1, 6, 1)
split = Fragment((1, 2)).forward(row)
by_fragments = merge(conv.forward(split), [(1, 2)]).ravel()
directly = row[0, 0, :4, 0] + 10 * row[0, 0, 2:, 0]
print("by fragments", by_fragments, " with a gap", directly)
assert by_fragments.tolist() == directly.tolist() == [31, 42, 53, 64]

net = Net.from_spec("C3x3x2 F2x2 C3x3x3 F2x2 C3x3x1", rng=rng).astype(np.float64)
image = rng.standard_normal((1, 26, 30, 1))
maps, rate = image[0], 1
for layer in net.layers:
    if layer.params:
        maps = reference.conv_fwd(maps, layer.params["W"], layer.params["b"], rate)
    elif isinstance(layer, Fragment):
        rate *= 2
    else:
        maps = layer.forward(maps)
gap = abs(net.forward(image)[0] - maps).max()
print(f"rates 1, 2, 4, field of view {net.field_of_view}")
print("largest difference to convolutions with literal gaps below 1e-12:", gap < 1e-12)
assert gap < 1e-12 and net.field_of_view == (15, 15)
show(figures.gaps(rates=[1, 2, 4], n=17))

# %% [markdown]
# ## Step 3: down, up, and past it
#
# `MaxPool` makes maps small, so the layers behind it are cheap and see far. `Upsample` comes up again: it repeats each
# pixel. What the pool forgot does not come back. So a **skip** lays the maps from before the pool beside those that
# came up, and the next convolution can use both:
#
# $$y = \big(\mathrm{crop}(x),\; \mathrm{inner}(x)\big), \qquad
# \mathrm{d}x = \mathrm{inner.backward}(\mathrm{d}y_{\text{inner}}) + \mathrm{uncrop}(\mathrm{d}y_{\text{crop}}).$$
#
# The convolutions inside leave a smaller map, so $x$ is cropped to its middle. $x$ goes two ways, so two gradients come
# back, and they add.
#
# By hand: $x$ has the numbers 1 to 9, and the inner layer is a convolution of $3 \times 3$ ones, without a bias. The
# crop is $5$ and the inner map is $45$. With $\mathrm{d}y = (2, 3)$, the inner layer sends $3$ to all nine pixels, and
# the crop sends $2$ more to the middle: $5$.

# %%
ones = Conv(1, 1, 3)
ones.params["W"][...] = 1
skip = Skip([ones])
nine = np.arange(1.0, 10).reshape(1, 3, 3, 1)
y = skip.forward(nine)
dy = np.array([2.0, 3.0]).reshape(1, 1, 1, 2)
dx = skip.backward(dy)[0, :, :, 0]
print("y =", y.ravel(), "\ndx =\n", dx)
assert y.ravel().tolist() == [5, 45]
assert dx[1, 1] == 5 and dx.sum() == 9 * 3 + 2
show(figures.skip_both_ways(nine[0, :, :, 0], y[0], dy[0], dx))
source(Skip.forward, Skip.backward, fold=True)

# %% [markdown]
# ## Step 4: a U-Net is skips inside each other
#
# In a spec, brackets are a skip, `U` an Upsample. The U of the picture at the top, read from left to right:
#
#     C3x3x6 [ MP2x2 C3x3x8 [ MP2x2 C3x3x8 C3x3x8 U2x2 ] C3x3x6 U2x2 ] C3x3x6 C1x1x1
#
# By hand, from 30 rows: C 28, pool 14, C 12, pool 6, C 4, C 2, repeat 4. The inner skip crops its 12 to 4. C 2, repeat
# 4. The outer skip crops its 28 to 4. C 2. So 2 of 30 rows come out.
#
# The table says "field of view 34x34", the widest view of any output; output $(0, 0)$ sees 30 rows. So tutorial 09's
# $n = H - v_h + 1$ does not hold here; $n = H - 28$ does.
#
# Not every size divides. Behind a C3, the first pool wants an even number; half of it, less 2, must be even, too. The
# net takes 30, 34, 38, ... rows. Unlike with fragments (tutorial 09), padding would change outputs that are kept. So
# the library refuses other sizes, and `net.predict` and `net.segment` mirror the border up to a size that fits.

# %% tags=["banner"]
UNET = "C3x3x6 [ MP2x2 C3x3x8 [ MP2x2 C3x3x8 C3x3x8 U2x2 ] C3x3x6 U2x2 ] C3x3x6 C1x1x1"
net = Net.from_spec(UNET, rng=rng)
print(net)
sizes = {H: net.forward(np.zeros((1, H, H, 1)), train=False).shape[1] for H in (30, 34, 38)}
print("rows in and out:", sizes)
assert sizes == {30: 2, 34: 6, 38: 10}
try:
    net.forward(np.zeros((1, 32, 32, 1)))
except UsageError as error:
    print("UsageError:", error)
show(figures.u_shape(rows=[28, 12, 2], up=[4, 4], last=[2, 2]))

# %% [markdown]
# ## Step 5: one job, four nets, and what a skip copies
#
# The job is to give back the image that comes in (an *autoencoder*). Four nets of about as many weights learn it from
# eight small images. "Plain" pools and comes up, without skips.

# %%
SPECS = {
    "plain": "C3x3x8 MP2x2 C3x3x8 MP2x2 C3x3x8 C3x3x8 U2x2 C3x3x8 U2x2 C3x3x8 C1x1x1",
    "fragments": "C3x3x8 MPF2x2 C3x3x8 MPF2x2 C3x3x8 C3x3x8 C3x3x8 C3x3x8 C1x1x1",
    "a trous": "C3x3x8 F2x2 C3x3x8 F2x2 C3x3x8 C3x3x8 C3x3x8 C3x3x8 C1x1x1",
    "U-Net": UNET,
}
images = synthetic_membranes(9, 64, rng=19)[0][..., None] / 255
train, test = list(images[:8]), images[8]


def error(net):
    """Mean squared error of the image that the net gives back; it has not seen the image."""
    return float(np.mean((net.predict(test)[:, :, :1] - test) ** 2))


nets = {}
for name, spec in SPECS.items():
    nets[name] = Net.from_spec(spec, rng=0)
    list(fit(nets[name], (train, train), Recipe(epochs=20, options={"lr": 0.01}, seed=0)))
    work = sum(line.flop for line in nets[name].plan(nets[name].input_size((512, 512)))) / 1e9
    weights, wrong = nets[name].n_params, error(nets[name])
    print(f"{name:<9} {weights:,} weights, {work:.2f} GFLOP for 512x512, error {wrong:.5f}")
errors = {name: error(net) for name, net in nets.items()}
assert errors["U-Net"] < errors["a trous"] < min(errors["plain"], errors["fragments"])

names = ["plain", "fragments", "a trous", "U-Net"]
show(
    figures.picture_grid(
        [test[:, :, 0], *(nets[name].predict(test)[:, :, 0] for name in names)],
        ["the image", *(f"{name}: {errors[name]:.4f}" for name in names)],
        columns=5,
        limits=[(0, 1)] * 5,
    ),
    alt="""An image of membranes, and what four nets make of it. Of plain pooling come blurred
    membranes, of fragments a nearly even grey with a few shadows, of the a trous net sharper
    membranes, and the U-Net's picture can hardly be told from the image.""",
    colours=48,
)

# %% [markdown]
# Plain and fragments lose the same thing, the three smaller values of each window. Which of them is ahead after 20
# passes is chance of the seed. The a trous net loses nothing, and takes three times the operations of plain.
#
# **A mistake worth remembering:** to conclude that the U-Net has *understood* the image best. Its outer skip hands the
# first convolution's maps to the last one, and three convolutions in a row can copy. Do the layers inside matter at
# all? Put the *mean* of each inner map in its place, so that they say nothing of the image.


# %%
class Muted(Skip):
    """A skip whose inner maps are replaced by their means."""

    def forward(self, x, train=True):
        y = super().forward(x, train)
        inner = y[..., x.shape[3] :]
        inner[...] = inner.mean(axis=(0, 1, 2))
        return y


unet = nets["U-Net"]
muted = Net([Muted(layer.layers) if layer.layers else layer for layer in unet.layers])
muted.normalisation = unet.normalisation
print(f"plain net           {errors['plain']:.5f}")
print(f"U-Net               {errors['U-Net']:.5f}")
print(f"inner layers muted  {error(muted):.5f}")
skips = [layer for layer in unet.layers if layer.layers]
inside = sum(array.size for skip in skips for array in skip.params.values())
print(f"{inside:,} of its {unet.n_params:,} weights are inside the skip")
assert error(muted) < 1.05 * errors["U-Net"] < errors["plain"]

# %% [markdown]
# ## Step 6: move the image by one pixel
#
# A net of fragments gives every pixel the answer of its window. Move the image by one pixel, and the answers move by
# one pixel. In a net that comes up again an answer depends on where the pixel falls in the grid of the pools. Only
# moves by a multiple of the pools inside one another, $2 \cdot 2 = 4$, leave the answers as they are: that number is
# the net's **alignment**. (A `U` undoes its pool: `MP2x2 U2x2 MP2x2 U2x2` has the alignment 2.) So a U-Net has no patch
# net, and its tiles must begin at multiples of 4 (`net.segment` sees to that).

# %%
large = synthetic_membranes(1, 120, rng=20)[0][..., None] / 255
for name in ("fragments", "plain", "U-Net"):
    net = nets[name].astype(np.float64)
    view, changed = net.normalised(large), {}
    for move in (1, 2, 3, 4):
        there = net.forward(view[:, :90, :90], train=False)
        moved = net.forward(view[:, :90, move : 90 + move], train=False)
        changed[move] = float(abs(there[:, :, move:] - moved[:, :, :-move]).max())
    words = ", ".join(f"{move}: {gap:.1e}" for move, gap in changed.items())
    print(f"{name:<9} largest change of an answer, by pixels: {words}")
    assert changed[4] < 1e-12 and (changed[1] < 1e-12) == (name == "fragments")
assert nets["U-Net"].alignment == (4, 4)
try:
    nets["U-Net"].as_patch()
except UsageError as refused:
    print("UsageError:", refused)

# %% [markdown]
# ## Check yourself
#
# 1. Behind `F2x2` and `F3x3`, which rate has a convolution?
#
#    <details><summary>Answer</summary>2 · 3 = 6: neighbours in a fragment lie 6 pixels apart in the image.</details>
#
# 2. A U-Net reconstructs images nearly without error. What have its inner layers learnt?
#
#    <details><summary>Answer</summary>The error does not tell. The outer skip can copy; mute the inner layers and
#    look.</details>
#
# 3. Two tiles of an image go through a U-Net with three pools of 2. Where may the second one begin?
#
#    <details><summary>Answer</summary>At a multiple of 2 · 2 · 2 = 8 pixels from the first.</details>

# %% [markdown]
# ## Exercises
#
# The solutions are in `solutions/19.py`.
#
# **The layer that only splits.** `x` (F, H, W, C) has sizes that divide; fragments are numbered as in Step 1.


# %% tags=["exercise"]
class YourFragment(Layer):
    splits = True

    def __init__(self, k):
        super().__init__()
        self.k = self.step = pair(k, "k")

    def forward(self, x, train=True):
        self.cache = x.shape if train else None
        y = ...  # your code
        return y

    def backward(self, dy):
        shape = self.take_cache()
        dx = ...  # your code
        return dx


grade_fragment(YourFragment((2, 3)))

# %% [markdown]
# **A skip's way back.** `self.inner.backward(d)` returns the gradient of the input through the inner layers. The crop
# left out `self.window[0] // 2` rows at the top and `self.window[1] // 2` columns at the left.


# %% tags=["exercise"]
class YourSkip(Skip):
    def backward(self, dy):
        C, _ = self.take_cache()  # the first C maps of dy belong to the crop
        dx = ...  # your code
        return dx


grade_skip(YourSkip)

# %% [markdown]
# **Sizes.** `layers` is a list of `("C", k)`, `("MP", k)` and `("U", k)`; a list inside the list is a skip, as in
# `[("C", 3), [("MP", 2), ("C", 3), ("U", 2)], ("C", 3)]`. How many rows come out for `H` rows (0 if a pool leaves rows
# over)? And by how many pixels must an image move so that its answers move with it (Step 6)?


# %% tags=["exercise"]
def rows_after(layers, H):
    rows = ...  # your code
    return rows


def alignment(layers):
    pixels = ...  # your code
    return pixels


grade_rows_after(rows_after)
grade_alignment(alignment)

# %% [markdown]
# ## In practice
#
# So which one? From [docs/results/architectures.md](../docs/results/architectures.md), on real nuclei (5,600 weights,
# one seed, 15 passes over 8 images), mean squared errors, times $10^{-4}$, as an autoencoder and as a denoiser:
#
# | net | autoencoder | noise, sigma 0.1 | noise, sigma 0.2 | CPU seconds a pass |
# |---|---|---|---|---|
# | plain | 3.46 | 6.41 | 9.81 | 2.1 |
# | a trous | 2.51 | 6.08 | 9.61 | 3.7 |
# | fragments | 3.49 | 6.39 | 9.86 | 4.1 |
# | U-Net | 1.06 | 7.14 | 8.51 | 2.0 |
# | U-Net, inner branch zero | 2.91 | 7.75 | 47.2 | |
# | fragments with skips | 1.04 | 7.07 | 8.34 | 4.2 |
#
# - **Skips decide.** Where copying is the job they win by far. With weak noise they are the worst: they have learnt to
#   copy, noise included. At sigma 0.2 copying does not pay; the inner layers do the work, and skips win again. (Zeros
#   also shift the next layer, so their row overstates what the inner layers are worth.)
# - **Fragments and skips go together.** `[ MPF2x2 ... ]` merges its fragments inside the brackets. Such a net has the
#   detail of skips and is exact at every pixel.
# - **A U-Net takes half of the time**, because its inner maps are small. Fragments have as many pixels in every layer
#   as the image.
# - **Only nets without U are exact at every pixel**, for any size and any tiles.
# - **For labels of pixels, the job of this course, fragments and convolutions with gaps win in equal time.** With
#   219,000 weights and half an hour of one core, the a trous net has the lowest F1 errors on real membranes and on
#   nuclei, N4 follows, and the U-Net is last. The U-Net answers six times as fast.
#
# `fit(net, (images, targets), recipe)` with images as targets trains such nets; `tinympcnn predict` writes their
# images.
#
# ## Next
#
# There is none. `tinympcnn/nn/reference.py` has the paper's four algorithms on one page; read it once more.
