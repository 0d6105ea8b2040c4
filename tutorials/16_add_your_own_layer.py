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
# # 16 · Add your own layer
#
# Write a layer that the library does not have: average pooling, for patches and for whole images. It has to pass the
# same checks as the library's own layers.
#
# ## What you will build
#
# ![Averages of four windows, and gradients that go back to all of their pixels](banners/16.png)
#
# - `AveragePool`, for patches, and `AveragePoolFragment`, for whole images.
# - A net that uses them and keeps the contract: image net equals patch net.
# - A word for the layer in specs, and a model file that holds it.
# - As exercises: a rectifier, and a rectifier with a learned parameter.

# %% [markdown]
# ## What you need
#
# Tutorials 03 (gradient checks), 05 (pooling), 08 to 10 (fragments). About 40 minutes.

# %%
import tempfile
from pathlib import Path

import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_training import grade_prelu, grade_relu
from course.style import show, source

from tinympcnn import (
    Conv,
    FullyConnected,
    Layer,
    Net,
    SoftmaxCrossEntropy,
    Tanh,
    register_layer,
)
from tinympcnn.engine.backend import array_module
from tinympcnn.gradcheck import check_contract, check_layer, check_net
from tinympcnn.nn.fragments import merge, split
from tinympcnn.nn.geometry import fragmented, pair, pooled

rng = np.random.default_rng(16)

# %% [markdown]
# ## Step 1: what a layer owes the rest
#
# The whole agreement is the class `Layer` (unfold it). `forward` and `backward` are a must. A layer that changes sizes
# also says so in `output_shape`, `window` and `step`, because `Net` plans all sizes before it computes.

# %%
source(Layer, fold=True)

# %% [markdown]
# ## Step 2: average pooling on patches
#
# One output is the mean over a $k_h \times k_w$ window, and the windows do not overlap:
#
# $$y[f, q, p] = \frac{1}{k_h k_w} \sum_{i, j} x[f, k_h q + i, k_w p + j], \qquad
# \mathrm{d}x[f, k_h q + i, k_w p + j] = \frac{\mathrm{d}y[f, q, p]}{k_h k_w}.$$
#
# The second follows from the first: $x$ enters exactly one $y$, with the factor $1 / (k_h k_w)$. All pixels of the
# window get the same share.
#
# By hand, $k = 2$: the patch $\begin{pmatrix} 1 & 2 \\ 3 & 6 \end{pmatrix}$ has the mean $12 / 4 = 3$. An upstream
# gradient of $8$ sends $8 / 4 = 2$ to each of the four.


# %%
@register_layer  # Step 6: model files may hold the layer
class AveragePool(Layer):
    """The mean of every kh x kw window; rows and columns that fill no window are dropped."""

    def __init__(self, k):
        super().__init__()
        self.k = self.window = self.step = pair(k, "k")

    def as_image(self):
        """Return the layer of an image net, from Step 3."""
        return AveragePoolFragment(self.k)

    def output_shape(self, shape):
        """Return (F, H // kh, W // kw, C)."""
        F, H, W, C = shape
        return (F, *pooled((H, W), self.k, "AveragePool"), C)

    def forward(self, x, train=True):
        """Return the means."""
        (F, h, w, C), (kh, kw) = self.output_shape(x.shape), self.k
        self.cache = x.shape if train else None
        return x[:, : h * kh, : w * kw].reshape(F, h, kh, w, kw, C).mean(axis=(2, 4))

    def backward(self, dy):
        """Return dx: every pixel of a window gets the same share."""
        shape, (kh, kw) = self.take_cache(), self.k
        self.check_dy(dy, self.output_shape(shape))
        dx = array_module(dy).zeros(shape, dy.dtype)
        share = dy / (kh * kw)
        for i in range(kh):
            for j in range(kw):
                dx[:, i : kh * dy.shape[1] : kh, j : kw * dy.shape[2] : kw] = share
        return dx


pool = AveragePool(2)
y = pool.forward(np.array([[1.0, 2.0], [3.0, 6.0]]).reshape(1, 2, 2, 1))
dx = pool.backward(np.full((1, 1, 1, 1), 8.0))
print("y =", y.item(), "\ndx =\n", dx[0, :, :, 0])
assert y.item() == 3 and (dx == 2).all()
for k in (2, 3, (2, 3)):
    print(check_layer(AveragePool(k)).raise_if_wrong())

# %% [markdown]
# ## Step 3: average pooling on fragments
#
# For a whole image we need the windows of *every* offset $(r, c)$. Each offset is a fragment of its own, in the
# library's order:
#
# $$y[f k_h k_w + r k_w + c, \, q, p] = \frac{1}{k_h k_w} \sum_{i, j} x[f, \, r + k_h q + i, \, c + k_w p + j].$$
#
# Take the mean $m$ over the window at every position; fragment $(r, c)$ is `m[:, r::kh, c::kw]`, and `split` returns
# all of them. On the way back, `merge` puts the gradients of all fragments into one dense map $\delta$, zero outside,
# in which $\delta[f, u, v]$ belongs to the window whose first pixel is $(u, v)$. A pixel of $x$ now lies in several
# windows, so their shares *add up*:
#
# $$\mathrm{d}x[f, u, v] = \frac{1}{k_h k_w} \sum_{i, j} \delta[f, u - i, v - j].$$
#
# By hand: $x = \begin{pmatrix} 1 & 2 & 3 \\ 4 & 5 & 6 \\ 7 & 8 & 9 \end{pmatrix}$ with $k = 2$ has four windows, with
# the means $3, 4, 6, 7$: four fragments of one pixel. Let the upstream gradients be $4, 8, 12, 16$. The centre lies in
# all four windows and gets $(4 + 8 + 12 + 16) / 4 = 10$. The upper left corner lies in one and gets $4 / 4 = 1$. The
# upper middle lies in two and gets $(4 + 8) / 4 = 3$.


# %% tags=["banner"]
@register_layer
class AveragePoolFragment(Layer):
    """The means at all offsets: fragment f at offset (r, c) has number f*kh*kw + r*kw + c."""

    splits = True  # Net merges what comes out, and pads images so that it splits
    letters, form = ("APF",), "APFk"  # Step 6: the word for the layer in a spec

    def __init__(self, k):
        super().__init__()
        self.k = self.window = self.step = pair(k, "k")

    def as_patch(self):
        """Return the layer of a patch net."""
        return AveragePool(self.k)

    @classmethod
    def from_word(cls, sizes, in_maps, rng):
        """Return the argument that a word of a spec means, such as APF2 with the sizes (2,)."""
        (k,) = sizes
        return {"k": k}

    def output_shape(self, shape):
        """Return (F*kh*kw, (H+1)//kh - 1, (W+1)//kw - 1, C)."""
        (F, H, W, C), (kh, kw) = shape, self.k
        return (F * kh * kw, *fragmented((H, W), self.k, "AveragePoolFragment"), C)

    def forward(self, x, train=True):
        """Return the storage of all fragments."""
        self.output_shape(x.shape)  # raises for sizes that do not split
        kh, kw = self.k
        rows, columns = x.shape[1] - kh + 1, x.shape[2] - kw + 1
        taps = [x[:, i : i + rows, j : j + columns] for i in range(kh) for j in range(kw)]
        self.cache = x.shape if train else None
        return split(sum(taps) / (kh * kw), [self.k])

    def backward(self, dy):
        """Return the gradient of the source storage."""
        shape, (kh, kw) = self.take_cache(), self.k
        self.check_dy(dy, self.output_shape(shape))
        share = merge(dy, [self.k]) / (kh * kw)
        dx = array_module(dy).zeros(shape, dy.dtype)
        for i in range(kh):
            for j in range(kw):
                dx[:, i : i + share.shape[1], j : j + share.shape[2]] += share
        return dx


pool = AveragePoolFragment(2)
x = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)
y = pool.forward(x)
dy = np.array([4.0, 8.0, 12.0, 16.0]).reshape(4, 1, 1, 1)
dx = pool.backward(dy)
print("fragments", y.ravel(), "\ndx =\n", dx[0, :, :, 0])
assert y.ravel().tolist() == [3, 4, 6, 7]
assert dx[0, 1, 1, 0] == 10 and dx[0, 0, 0, 0] == 1 and dx[0, 0, 1, 0] == 3
show(figures.average_both_ways(x[0, :, :, 0], y.ravel(), dy.ravel(), dx[0, :, :, 0]))

# %% [markdown]
# ## Step 4: the battery
#
# First the gradients, for several pools. Then a second opinion that shares no code with ours: `Conv` with all weights
# $1 / (k_h k_w)$ must give the same dense map.

# %%
for k in (2, 3, (2, 3), (3, 1)):
    print(check_layer(AveragePoolFragment(k)).raise_if_wrong())

constant = Conv(1, 1, 2)
constant.params["W"][...] = 0.25
image = rng.standard_normal((2, 7, 9, 1)).astype(np.float32)
dense = merge(AveragePoolFragment(2).forward(image), [(2, 2)])
gap = abs(dense - constant.forward(image)).max()
print("largest difference to a convolution:", gap)
assert gap < 1e-6

# %% [markdown]
# Then the contract (section 3.2 of the paper), in a net with two of our layers, on an image with $H \neq W$.
# `check_net` does for all parameters of a net what `check_layer` does for one layer.


# %%
def small_net(pooling):
    """A net with two pooling layers, field of view 15 x 15."""
    first = [Conv(1, 4, 4, rng=16), Tanh(), pooling(2)]
    second = [Conv(4, 5, 3, rng=17), Tanh(), pooling(2)]
    return Net([*first, *second, FullyConnected(5, 2, 2, rng=18)])


net = small_net(AveragePoolFragment)
print(net)
contract = check_contract(net, rng.standard_normal((17, 20, 1)))
print(contract)
assert max(contract) < 1e-12
check_net(net).raise_if_wrong()
assert isinstance(net.as_patch().layers[2], AveragePool)
print("contract kept; all gradients of the net are right")

# %% [markdown]
# ## Step 5: a mistake that only the contract sees
#
# **A mistake worth remembering:** numbering the offsets by columns, $f k_h k_w + c k_h + r$, in `forward` and in
# `backward` alike. `check_layer` compares the backward pass with the layer's own forward pass, and these two agree. But
# `Net` merges fragments by rows, so pixels at the offsets $(0, 1)$ and $(1, 0)$ change places.


# %%
class ByColumns(AveragePoolFragment):
    """Numbers its fragments in the wrong order, both ways."""

    def _swap(self, storage):
        kh, kw = self.k
        parts = storage.reshape(-1, kh, kw, *storage.shape[1:])
        return parts.swapaxes(1, 2).reshape(storage.shape)

    def forward(self, x, train=True):
        """Return the fragments in the wrong order."""
        return self._swap(super().forward(x, train))

    def backward(self, dy):
        """Take them in the wrong order, too."""
        return super().backward(self._swap(dy))


print(check_layer(ByColumns(2)))
wrong = small_net(ByColumns)
print(check_contract(wrong, rng.standard_normal((17, 20, 1))))
assert check_layer(ByColumns(2)).ok
assert check_contract(wrong, rng.standard_normal((17, 20, 1))).scores > 0.01

stripes = np.sin(np.add.outer(np.arange(40) / 3, np.arange(64) / 5)).astype(np.float32)
kinds = AveragePoolFragment, ByColumns
plain = [small_net(kind).forward(stripes[None, :, :, None])[0, :, :, 1] for kind in kinds]
show(
    figures.picture_grid(
        [stripes, *plain],
        ["the image", "fragments by rows", "fragments by columns"],
    ),
    alt="""Three pictures: slanted smooth waves; the scores of the right net, which are
    smooth waves too; and the scores of the net with the wrong order, in which the same
    waves are torn into a checkerboard of misplaced pixels.""",
)

# %% [markdown]
# Each of our checks sees what the others cannot. A case by hand sees a wrong forward formula, `check_layer` a backward
# pass that does not belong to its forward pass, and `check_contract` a layer that does not fit the rest.
#
# The new layer trains like any other:

# %%
target = (stripes[7:-7, 7:-7] > 0).astype(int)[None]
learner, loss = small_net(AveragePoolFragment), SoftmaxCrossEntropy()
losses = []
for _ in range(40):
    losses.append(loss.forward(learner.forward(stripes[None, :, :, None]), target))
    learner.zero_grads()
    learner.backward(loss.backward(), input_grad=False)
    learner.set_flat(learner.flat() - 0.5 * learner.flat_grads())
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
assert losses[-1] < 0.5 * losses[0]

# %% [markdown]
# ## Step 6: a word in specs, and a model file
#
# The library knows its layers by name, from a register, and `@register_layer` enters a class there. A model file holds
# the name of a layer, the arguments of its constructor and its parameters, and no code. So whoever loads the file must
# first run the code that defines the layer, and the layer must keep each argument as an attribute of the same name,
# like `k` here.
#
# Two more lines give the layer a word in specs: `letters` says how the word begins, and `from_word` makes the
# constructor's arguments from the sizes behind the letters.

# %%
spec_net = Net.from_spec("C4x4x4 APF2 C3x3x5 APF2 FC2x2x2", rng=16)
print(spec_net)
assert [type(layer) for layer in spec_net.layers] == [type(layer) for layer in net.layers]

with tempfile.TemporaryDirectory() as folder:
    learner.save(Path(folder) / "average.npz")
    loaded = Net.load(Path(folder) / "average.npz")
same = loaded.forward(stripes[None, :, :, None]) == learner.forward(stripes[None, :, :, None])
print("the same scores from the file:", bool(same.all()))
assert same.all()

# %% [markdown]
# ## Check yourself
#
# 1. Which three attributes tell `Net` how large the field of view is, and that the layer makes fragments?
#
#    <details><summary>Answer</summary><code>window</code>, <code>step</code> and <code>splits</code>.</details>
# 2. In which fragment does the window at row 5, column 2 lie, for one source fragment and k = (2, 3)?
#
#    <details><summary>Answer</summary>Its offset is (5 mod 2, 2 mod 3) = (1, 2), so its index is 1 * 3 + 2 =
#    5.</details>
# 3. Why does `AveragePoolFragment.backward` add where `AveragePool.backward` assigns?
#
#    <details><summary>Answer</summary>Windows of one offset do not overlap, windows of different offsets do: a pixel
#    gets a share from each window that holds it.</details>

# %% [markdown]
# ## Exercises
#
# The solutions are in `solutions/16.py`.
#
# **A rectifier.** $y = \max(x, 0)$, and $\mathrm{d}x = \mathrm{d}y$ where $x > 0$, else $0$. Keep in `self.cache` what
# `backward` needs, and nothing with `train=False`; `self.take_cache()` returns it and forgets it.


# %% tags=["exercise"]
class ReLU(Layer):
    def forward(self, x, train=True):
        self.cache = ...  # your code
        y = ...  # your code
        return y

    def backward(self, dy):
        dx = ...  # your code
        return dx


grade_relu(ReLU())

# %% [markdown]
# **A rectifier with a learned slope** (PReLU; He, Zhang, Ren and Sun, ICCV 2015). Every map $c$ has a parameter $a_c$:
# $y = x$ where $x > 0$, else $a_c x$. Derive $\mathrm{d}x$ and $\mathrm{d}a_c$; the latter is a sum over all fragments,
# rows and columns of that map.


# %% tags=["exercise"]
class PReLU(Layer):
    def __init__(self, in_maps):
        super().__init__()
        self.in_maps = in_maps
        self.params = {"a": np.full(in_maps, 0.25, np.float32)}
        self.grads = {"a": np.zeros(in_maps, np.float32)}

    def forward(self, x, train=True):
        self.cache = x if train else None
        y = ...  # your code
        return y

    def backward(self, dy):
        x = self.take_cache()
        self.grads["a"] += ...  # your code
        dx = ...  # your code
        return dx


grade_prelu(PReLU)

# %% [markdown]
# ## In practice
#
# - `MaxPoolFragment` works in blocks, on worker threads, with memory that is kept from step to step
#   (`tinympcnn/engine`). Right first, fast later.
# - A function of one number is shorter: derive from `Activation`, as `Tanh` does, and write its value and its slope
#   (`tinympcnn/nn/layers/activation.py`).
# - Ask the data for the module, `array_module(x)`, and use nothing that only NumPy has. Then the layer runs on a GPU,
#   too.
#
# ## Next
#
# [17 · DanNet](17_dannet.ipynb) turns back to single images: the same nets as classifiers, and committees of them.
