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
# # 02 · Convolve by hand
#
# ## What you will build
#
# ![An image with a framed window, a kernel, and the output pixel that they give.](banners/02.png)
#
# The forward pass of the convolutional layer, from input to output, four times: by hand, with two loops, as one product
# of matrices, and by the library's `Conv`.
#
# ## What you need
#
# Tutorial 01, and the product of two matrices. About 35 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_basics import grade_output_size
from course.grading_layers import grade_conv
from course.style import show, source
from scipy.signal import convolve2d

from tinympcnn import Conv
from tinympcnn.engine import columns
from tinympcnn.nn import reference
from tinympcnn.nn.geometry import correlated

rng = np.random.default_rng(2)

# %% [markdown]
# ## Step 1: one output pixel
#
# Why convolve? A membrane looks the same wherever it lies, and its neighbourhood tells what a pixel is. So look at a
# small window, in the same way at every place: the answers then move as the image moves. This also saves weights. A
# weight for each pair of $64 \times 64$ pixels and $60 \times 60$ outputs makes $4096 \cdot 3600$, 14.7 million; a
# convolution with windows of $5 \times 5$ has 25 and a bias.
#
# A convolutional layer lays the **kernel** `W` over a window of the image `x`, multiplies each weight with the pixel
# under it, and adds up the products and the **bias** `b`. In row $q$ and column $p$, the output is
#
# $$ y_{q,p} = b + \sum_{i}\sum_{j} x_{q+i,\;p+j}\; W_{i,j} . $$
#
# A place $(i, j)$ of the kernel is called a **tap**. By hand, with the kernel below at $q=0$, $p=1$ and $b = 1$: the
# rows of the window are $(2, 0, 1)$, $(3, 1, 0)$ and $(1, 2, 2)$, so
#
# $$ y_{0,1} = 1 + (1\cdot 2 + 0\cdot 0 - 1\cdot 1) + (2\cdot 3 + 0\cdot 1 - 2\cdot 0)
#    + (1\cdot 1 + 0\cdot 2 - 1\cdot 2) = 1 + 1 + 6 - 1 = 7 . $$

# %%
x = np.array([[1, 2, 0, 1, 3], [0, 3, 1, 0, 2], [2, 1, 2, 2, 1], [1, 0, 3, 1, 0]], float)
W = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], float)
b = 1.0

window = x[0:3, 1:4]


def correlate(image, kernel):
    """Slide a kernel over an image of one map; step 4 explains the axes of `conv_fwd`."""
    return reference.conv_fwd(image[:, :, None], kernel[:, :, None, None], np.zeros(1))[:, :, 0]


print("products:\n", window * W)
print("y[0, 1] =", b + (window * W).sum())
assert b + (window * W).sum() == 7

# %% [markdown]
# Two loops slide the window over all positions.

# %% tags=["banner"]
y = np.array([[b + (x[q : q + 3, p : p + 3] * W).sum() for p in range(3)] for q in range(2)])
print(y)
assert y[0, 1] == 7 and y.shape == (2, 3)

show(figures.sliding_window(x, W, y, (0, 1)))

stroke = np.zeros((14, 14))
stroke[3:6, 2] = 1
scenes = [stroke, np.roll(stroke, (5, 8), axis=(0, 1))]
answers = [correlate(scene, np.ones((3, 1))) for scene in scenes]
print("largest answers at", *(divmod(int(answer.argmax()), 14) for answer in answers))
# The image moves, and the answers move along.
assert np.array_equal(np.roll(answers[0], (5, 8), axis=(0, 1)), answers[1])
show(figures.moved(scenes, answers))

# %% [markdown]
# ## Step 2: the size that is left
#
# A kernel of $k$ rows fits into $H$ rows at the positions $q = 0, \dots, H-k$. So
#
# $$ H_{\text{out}} = H - k + 1 , $$
#
# and the same holds for columns. By hand: $H = 7$ and $k = 3$ leave the five positions $0, 1, 2, 3, 4$.

# %%
print("7 rows, kernel of 3:", len([q for q in range(7) if q + 3 <= 7]), "positions")
print("9 x 8 pixels, kernel of 3 x 3:", correlated((9, 8), (3, 3), "Conv"))
assert correlated((7, 7), (3, 3), "Conv") == (5, 5)
assert correlated((9, 8), (3, 3), "Conv") == (7, 6)

show(figures.positions(7, 3))

# %% [markdown]
# ## Step 3: a mistake worth remembering: which way does the kernel lie?
#
# In mathematics a *convolution* turns the kernel by 180 degrees first:
#
# $$ (x * W)_{q,p} = \sum_{i,j} x_{q+i,\;p+j}\; W_{k_h-1-i,\;k_w-1-j} . $$
#
# Without turning, as above, it is a *cross-correlation*. The paper, the field and this library say convolution all the
# same. A net learns turned weights just as well; the difference matters where two programs meet.
#
# By hand, in one dimension: $x = (0, 1, 0)$ and $W = (5, 7)$. Without turning,
# $y = (0\cdot5 + 1\cdot7,\; 1\cdot5 + 0\cdot7) = (7, 5)$; turned, it is $(5, 7)$. The image below holds an L and a
# turned L. The kernel, an L, should answer most at the unturned one.

# %%
pulse, kernel = np.array([[0.0, 1, 0]]), np.array([[5.0, 7]])
unturned = correlate(pulse, kernel)
turned = convolve2d(pulse, kernel, mode="valid")
print("cross-correlation:", unturned, " convolution with a turned kernel:", turned)
assert unturned.tolist() == [[7, 5]] and turned.tolist() == [[5, 7]]

corner = np.array([[1, -1, -1], [1, -1, -1], [1, 1, 1]], float)
scene = np.zeros((14, 14))
scene[9:12, 2:5] = corner > 0
scene[2:5, 9:12] = corner[::-1, ::-1] > 0
right = correlate(scene, corner)
wrong = convolve2d(scene, corner, mode="valid")
best_right, best_wrong = divmod(int(right.argmax()), 12), divmod(int(wrong.argmax()), 12)
print("largest answer of the cross-correlation at", best_right, end=" ")
print("and of the turned kernel at", best_wrong)
assert best_right == (9, 2) and best_wrong == (2, 9)

show(figures.responses(scene, right, wrong))

# %% [markdown]
# ## Step 4: many maps in, many maps out
#
# From $C$ maps in to $M$ maps out, each tap holds a matrix of $C \times M$ weights, and the product of two numbers
# becomes the product of a vector with a matrix:
#
# $$ y_{q,p} = b + \sum_{i,j} x_{q+i,\;p+j}\, W_{i,j}, \qquad
#    x_{q,p} \in \mathbb{R}^{C},\; W_{i,j} \in \mathbb{R}^{C\times M},\; b \in \mathbb{R}^{M} . $$
#
# By hand, with two taps, $C = 2$, $M = 2$ and $b = 0$: the pixel $(1, 2)$ and the matrix with rows $(3, 0)$ and
# $(1, -1)$ give $(1\cdot3 + 2\cdot1,\; 1\cdot0 - 2\cdot1) = (5, -2)$. The next pixel, $(0, 1)$, and the next tap, with
# rows $(1, 1)$ and $(2, 0)$, give $(2, 0)$. Together they give $(7, -2)$.
#
# Here is the whole operation in the library's `reference.py`, for one fragment. The window gets a fourth axis of length
# 1 (`None`), which is spread over the $M$ output maps. The sum over the first three axes then is the sum over taps of
# vector times matrix. (`f` is our `x`, `rate` is 1 here, and `array_module` is NumPy, or CuPy on a GPU.)

# %%
taps = [
    (np.array([1.0, 2]), np.array([[3.0, 0], [1, -1]])),  # a pixel, and the matrix of its tap
    (np.array([0.0, 1]), np.array([[1.0, 1], [2, 0]])),
]
products = [pixel @ tap for pixel, tap in taps]
print("pixel @ tap:", *products, "  their sum:", sum(products))
assert products[0].tolist() == [5, -2] and sum(products).tolist() == [7, -2]

show(figures.many_maps(taps, sum(products)))
source(reference.conv_fwd)

# %% [markdown]
# ## Step 5: columns, and one product of matrices
#
# Loops are slow in Python, but all sums can be written as **one** matrix product. Lay the window of each output pixel
# out as one row of $k_h\,k_w\,C$ numbers. All rows together are the matrix of **columns** (the name comes from texts
# that lay windows upright). Weights of shape `(kh, kw, C, M)`, read in the same order, are a matrix of $k_h\,k_w\,C$
# rows. Then
#
# $$ Y = \operatorname{columns}(x)\; W + b . $$
#
# By hand, for a $2\times 2$ kernel on an image with the rows $0, 1, 2$ and $3, 4, 5$: the two windows make the rows
# $(0, 1, 3, 4)$ and $(1, 2, 4, 5)$.

# %%
small = np.arange(6.0).reshape(1, 2, 3, 1)
cols = columns(small, (2, 2))
print(cols)
assert cols.tolist() == [[0, 1, 3, 4], [1, 2, 4, 5]]

weights = np.array([1.0, 10, 100, 1000])
print("columns @ W =", cols @ weights)
assert (cols @ weights).tolist() == [4310, 5421]

show(figures.columns_of(small[0, :, :, 0], cols, 1))

# %% [markdown]
# ## Step 6: the library's Conv
#
# `Conv(in_maps, out_maps, kernel)` does this for every fragment of a storage. With random weights and several
# fragments, the loops, the matrix product and the layer agree.

# %%
conv = Conv(3, 4, (2, 5), rng=rng)
conv.params["b"][...] = rng.standard_normal(4)
storage = rng.standard_normal((2, 6, 9, 3)).astype(np.float32)

weights, bias = conv.params["W"], conv.params["b"]
by_loops = np.stack([reference.conv_fwd(f, weights, bias) for f in storage])
by_columns = columns(storage, (2, 5)) @ weights.reshape(-1, 4) + bias
by_layer = conv.forward(storage)
print("shapes:", by_loops.shape, by_columns.shape, by_layer.shape)
differences = abs(by_layer - by_loops).max(), abs(by_layer.reshape(-1, 4) - by_columns).max()
print("largest difference:", *differences)
assert np.allclose(by_layer, by_loops, atol=1e-5)
assert np.allclose(by_layer.reshape(-1, 4), by_columns, atol=1e-5)

# %% [markdown]
# ## Check yourself
#
# 1. What size does a $5\times 5$ kernel leave of a $31\times 31$ image?
#
#    <details><summary>Answer</summary>27 x 27: on each axis 31 - 5 + 1.</details>
# 2. Which shape do the weights of a layer with 3 input maps, 8 output maps and a 7 x 5 kernel have?
#
#    <details><summary>Answer</summary>(7, 5, 3, 8): rows, columns, input maps, output maps.</details>
# 3. How many biases does a convolutional layer have?
#
#    <details><summary>Answer</summary>One for each output map, whatever the size of the image.</details>

# %% [markdown]
# ## Exercises
#
# In the second, `train` says whether a backward pass will follow, and `self.cache` keeps what that pass needs.
# Solutions: `solutions/02.py`.


# %% tags=["exercise"]
def output_size(H, k):
    """Return how many positions a kernel of k rows has in H rows."""
    return ...  # your code


grade_output_size(output_size)


# %% tags=["exercise"]
class YourConv(Conv):
    """The layer, with a forward pass of your own; its backward pass is the library's."""

    def forward(self, x, train=True):
        self.cache = x if train else None
        W, b = self.params["W"], self.params["b"]  # (kh, kw, C, M) and (M,)
        (kh, kw), (F, H, width, C) = self.kernel, x.shape
        y = ...  # your code: columns, or loops into np.zeros(..., x.dtype)
        return y


grade_conv(YourConv(2, 3, (2, 3), rng=0))

# %% [markdown]
# ## In practice
#
# The matrix of columns is $k_h k_w$ times as large as the image. So the library builds the matrix for a block of rows
# at a time, and spreads the blocks over threads: `correlate` in `tinympcnn/engine/correlation.py`.
#
# ## Next
#
# The tool that tells whether a backward pass is right: [03 · Check a gradient](03_check_a_gradient.ipynb).
