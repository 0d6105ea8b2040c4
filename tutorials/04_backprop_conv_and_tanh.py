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
# # 04 · Backpropagation through convolution and tanh
#
# ## What you will build
#
# ![Four matrices in which the kernel lies on the window of each output, and their sum, dx.](banners/04.png)
#
# The backward pass of `Conv` and of `Tanh`, derived from the chain rule, written in a few lines, and approved by
# `check_layer`; and a wrong backward pass with which a net learns all the same.
#
# ## What you need
#
# Tutorials 01 to 03, and from calculus the chain rule. About 45 minutes.
#
# **Behind** a layer always means nearer to the loss. So `dy` comes from behind; `dW`, `db` and `dx`, the derivatives of
# the loss with respect to `W`, `b` and `x`, are ours to compute.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_layers import grade_conv_backward, grade_logistic
from course.mistakes import Unturned
from course.style import show, source

from tinympcnn import Conv, FullyConnected, Net, SoftmaxCrossEntropy, Tanh
from tinympcnn.data import synthetic_membranes
from tinympcnn.gradcheck import check_layer
from tinympcnn.nn import reference
from tinympcnn.nn.optim import SGD

rng = np.random.default_rng(4)

# %% [markdown]
# ## Step 1: every output pixel sends its gradient back
#
# Take one map in, one map out, a kernel of $2 \times 2$:
#
# $$y_{qp} = b + \sum_{ij} W_{ij}\, x_{q+i,\,p+j}$$
#
# The loss $L$ sees $x$, $W$ and $b$ only through the $y_{qp}$. The chain rule adds up over all of them:
#
# $$\mathrm{d}W_{ij} = \sum_{qp} \mathrm{d}y_{qp}\, \frac{\partial y_{qp}}{\partial W_{ij}}
#   = \sum_{qp} \mathrm{d}y_{qp}\; x_{q+i,\,p+j}, \qquad \mathrm{d}b = \sum_{qp} \mathrm{d}y_{qp}$$
#
# By hand, with
#
# $$x = \begin{pmatrix} 1 & 0 & 2 \\ 3 & 1 & 0 \\ 0 & 2 & 1 \end{pmatrix}, \quad
#   W = \begin{pmatrix} 1 & 2 \\ 0 & -1 \end{pmatrix}, \quad
#   \mathrm{d}y = \begin{pmatrix} 1 & -1 \\ 2 & 3 \end{pmatrix}:$$
#
# tap $(0, 0)$ meets the upper left $2 \times 2$ pixels of $x$, so
# $\mathrm{d}W_{00} = 1 \cdot 1 - 1 \cdot 0 + 2 \cdot 3 + 3 \cdot 1 = 10$. Tap $(1, 1)$ meets the lower right ones:
# $\mathrm{d}W_{11} = 1 \cdot 1 - 1 \cdot 0 + 2 \cdot 2 + 3 \cdot 1 = 8$. And $\mathrm{d}b = 1 - 1 + 2 + 3 = 5$.

# %%
x = np.array([[1.0, 0, 2], [3, 1, 0], [0, 2, 1]])
W = np.array([[1.0, 2], [0, -1]])
dy = np.array([[1.0, -1], [2, 3]])

dW = np.zeros_like(W)
for q in range(2):
    for p in range(2):
        dW += dy[q, p] * x[q : q + 2, p : p + 2]  # the window that output (q, p) saw, times its dy
db = dy.sum()
print("dW =", dW.tolist(), " db =", db)
assert dW[0, 0] == 10 and dW[1, 1] == 8 and db == 5

# %% [markdown]
# ## Step 2: the gradient of the weights is a correlation
#
# Read the formula for $\mathrm{d}W_{ij}$ again. It slides $\mathrm{d}y$ over $x$ and sums the products: a convolution
# of $x$ **with the kernel** $\mathrm{d}y$. Nothing new has to be programmed. In the library's `reference.py`, where
# arrays are `(H, W, C)` and kernels `(kh, kw, in maps, out maps)`, both readings stand side by side: `conv_fwd`
# slides, `conv_grad` adds windows. (Its `delta` is our `dy`.)

# %%
source(reference.conv_grad)
by_windows, _ = reference.conv_grad(x[:, :, None], dy[:, :, None], W[:, :, None, None])
by_sliding = reference.conv_fwd(x[:, :, None], dy[:, :, None, None], np.zeros(1))
print("adding windows: ", by_windows[:, :, 0, 0].tolist())
print("sliding dy on x:", by_sliding[:, :, 0].tolist())
assert (by_windows[:, :, 0, 0] == dW).all() and (by_sliding[:, :, 0] == dW).all()

# %% [markdown]
# ## Step 3: the gradient of the input is a full correlation with the turned kernel
#
# Which outputs has pixel $x_{qp}$ entered? Through tap $(i, j)$ it went into output $(q-i,\, p-j)$, if there is one.
# Hence
#
# $$\mathrm{d}x_{qp} = \sum_{ij} \mathrm{d}y_{q-i,\,p-j}\; W_{ij}$$
#
# Note the minus signs. By hand, for the pixel in the middle, $(1, 1)$, which all four outputs have seen:
# $\mathrm{d}x_{11} = \mathrm{d}y_{11} W_{00} + \mathrm{d}y_{10} W_{01} + \mathrm{d}y_{01} W_{10} + \mathrm{d}y_{00}
# W_{11} = 3 \cdot 1 + 2 \cdot 2 + (-1) \cdot 0 + 1 \cdot (-1) = 6.$
#
# The same sum, seen from the outputs: each output pixel lays the kernel, times its `dy`, on its window.

# %% tags=["banner"]
dx = np.zeros_like(x)
for q in range(2):
    for p in range(2):
        dx[q : q + 2, p : p + 2] += dy[q, p] * W
print(dx)
assert dx[1, 1] == 6
show(figures.stamps(W, dy, dx))

# %% [markdown]
# Seen from the input pixel, the minus signs mean that the kernel runs backwards. Turn it by 180 degrees, put
# $k - 1$ rows and columns of zeros around $\mathrm{d}y$, and slide as always. A correlation in which the kernel may
# stick out of the map is called *full*.

# %%
turned = W[::-1, ::-1]
full = reference.conv_fwd(np.pad(dy, 1)[:, :, None], turned[:, :, None, None], np.zeros(1))[:, :, 0]
print(full)
assert (full == dx).all()
show(figures.full_correlation(dy, W, dx, at=(1, 1)))

# %% [markdown]
# With several maps, a tap is a matrix $W_{ij}$ of (in maps $\times$ out maps), a pixel is a vector, and products
# become $y_{qp} = b + \sum x_{q+i,p+j} W_{ij}$. Going back, $\mathrm{d}W_{ij}$ collects outer products and
# $\mathrm{d}x$ goes through $W_{ij}^{\mathsf T}$, from output maps to input maps. The shapes leave no other way. By
# hand: with one tap, $x = (1, 2)$ and $\mathrm{d}y = (3, 4, 5)$ give $\mathrm{d}W = \begin{pmatrix} 3 & 4 & 5 \\ 6 & 8
# & 10 \end{pmatrix}$.

# %%
conv = Conv(in_maps=2, out_maps=3, kernel=1)
conv.forward(np.array([1.0, 2.0]).reshape(1, 1, 1, 2))
conv.backward(np.array([3.0, 4.0, 5.0]).reshape(1, 1, 1, 3))
print(conv.grads["W"][0, 0])
assert (conv.grads["W"][0, 0] == np.outer([1, 2], [3, 4, 5])).all()

# %% [markdown]
# ## Step 4: a mistake worth remembering
#
# Suppose we forget to turn the kernel. The shapes fit, nothing raises. We train two small nets from the same weights,
# and only the second layer of one has the mistake. Does it show in the loss? Guess before you look. (The training loop
# is written in 05b. Here only its two curves matter.)

# %%
source(Unturned)
images, labels = synthetic_membranes(1, 64, rng)
x4 = ((images - images.mean()) / images.std())[..., None].astype(np.float32)
target = (labels[:, 4:-4, 4:-4] > 0).astype(int)  # the net's window is 9 x 9: no output in a border of 4
curves = {}
for name, Second in (("right backward pass", Conv), ("kernel not turned", Unturned)):
    layers = [Conv(1, 4, 5, rng=1), Tanh(), Second(4, 4, 5, rng=2), Tanh(), FullyConnected(4, 2, rng=3)]
    net, loss = Net(layers), SoftmaxCrossEntropy()

    def closure(grad=True, net=net, loss=loss):
        value = loss.forward(net.forward(x4), target)
        net.zero_grads()
        net.backward(loss.backward(), input_grad=False)
        return value

    optimizer = SGD(net, lr=0.05)
    curves[name] = [optimizer.step(closure) for _ in range(80)]
    print(f"{name:<20} loss {curves[name][0]:.3f} -> {curves[name][-1]:.3f}")
assert curves["kernel not turned"][-1] < 0.8 * curves["kernel not turned"][0]
show(figures.falling_losses(curves))
report = check_layer(Unturned(2, 3, (2, 3), rng=4))
print(report)
assert not report and "the taps are not flipped" in str(report)

# %% [markdown]
# The loss falls with the wrong gradient too. The layers behind the mistake still learn rightly, and the layer before it
# gets something roughly related to its gradient (the wrong net may even end lower, by luck). The check notices at once,
# and says what is wrong. So: first the check, then the training.
#
# ## Step 5: why a tanh, and what it lets through
#
# A convolution is *linear*: sums of products. Two in a row are sums of products of sums of products, which is again one
# convolution, with a larger kernel:
#
# $$ W_{rc} = \sum_{i+k=r,\;\, j+l=c} W^{(1)}_{ij}\; W^{(2)}_{kl} $$
#
# By hand, in one dimension: $(1, 2)$ and then $(1, -1)$ is $(1\cdot1,\; 1\cdot(-1) + 2\cdot1,\; 2\cdot(-1)) =
# (1, 1, -2)$. A hundred such layers could do no more than one. Something bent must stand between them, and ours is
# $y = \tanh x$: nearly $x$ for small numbers, and never beyond $\pm1$.

# %%
first, second = np.array([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]), np.array([[0.0, 1, 0], [1, 2, 1], [0, 1, 0]])
both = np.zeros((5, 5))
for i, j in np.ndindex(3, 3):
    both[i : i + 3, j : j + 3] += first[i, j] * second


def conv_by(image, kernel):
    return reference.conv_fwd(image[:, :, None], kernel[:, :, None, None], np.zeros(1))[:, :, 0]


image = rng.standard_normal((9, 10))
in_a_row, at_once = conv_by(conv_by(image, first), second), conv_by(image, both)
bent = conv_by(np.tanh(conv_by(image, first)), second)
print(f"two against one: {abs(in_a_row - at_once).max():.1e}   with a tanh between: {abs(bent - at_once).max():.1f}")
assert np.allclose(in_a_row, at_once) and abs(bent - at_once).max() > 1
assert np.convolve([1, 2], [1, -1]).tolist() == [1, 1, -2]
show(figures.two_in_one(first, second, both))

# %% [markdown]
# Going back, tanh needs its output only: $\mathrm{d}x = \mathrm{d}y\,(1 - y^2)$. By hand: where $y = 0.5$ the slope is
# $1 - 0.25 = 0.75$, so $\mathrm{d}y = 2$ becomes $\mathrm{d}x = 1.5$. Where $|y|$ is close to 1 hardly anything comes
# through. Such a number is called *saturated*: the layers before it learn hardly anything from it.

# %%
tanh = Tanh()
y = tanh.forward(np.full((1, 1, 1, 1), np.arctanh(0.5)))
dx_tanh = tanh.backward(np.full((1, 1, 1, 1), 2.0))
print(f"y = {y.item():.2f}  dx = {dx_tanh.item():.2f}")
assert np.isclose(dx_tanh.item(), 1.5)
show(figures.tanh_slopes([-1.2, np.arctanh(0.5), 2.2]))

# %% [markdown]
# ## Step 6: two layers in a row, and adding up
#
# In a net, the `dy` of a layer is the `dx` that the layer behind it has returned. Nothing else is handed on. Here is
# the chain of a convolution, a tanh and another convolution, of one number each, with the loss $L = s^2/2$, so that
# $\mathrm{d}s = s$. By hand, forward: $a = 0.5\cdot2 - 1 = 0$, $h = \tanh 0 = 0$, $s = 3\cdot0 + 1 = 1$. Backward:
#
# $$ \mathrm{d}s = 1, \quad \mathrm{d}h = 3\,\mathrm{d}s = 3, \quad \mathrm{d}a = (1 - h^2)\,\mathrm{d}h = 3, \quad
#    \mathrm{d}x = 0.5\,\mathrm{d}a = 1.5 , $$
#
# and on the way each convolution takes its own: $\mathrm{d}W = x\,\mathrm{d}a = 2 \cdot 3 = 6$ for the
# first, $h\,\mathrm{d}s = 0$ for the second.
#
# One rule remains. The same $W$ may be used several times before anybody looks at the gradient: for two images, for
# many fragments. The derivative of a sum is the sum of the derivatives, so **backward adds to `grads`, and never
# overwrites**. By hand: two passes with $\mathrm{d}W = 6$ leave $12$.

# %%
first, tanh, second = Conv(1, 1, 1), Tanh(), Conv(1, 1, 1)
for conv, weight, bias in ((first, 0.5, -1), (second, 3, 1)):
    conv.params["W"][...], conv.params["b"][...] = weight, bias
given = np.full((1, 1, 1, 1), 2.0)
a = first.forward(given)
h = tanh.forward(a)
s = second.forward(h)
dh = second.backward(s)  # ds = s
da = tanh.backward(dh)
back = first.backward(da)
print("forward:", [v.item() for v in (given, a, h, s)], "  backward:", [v.item() for v in (s, dh, da, back)])
assert (dh.item(), da.item(), back.item()) == (3, 3, 1.5)
assert first.grads["W"].item() == 6 and second.grads["W"].item() == 0
show(
    figures.chain(
        ["Conv\nW = 0.5\nb = \N{MINUS SIGN}1", "Tanh", "Conv\nW = 3\nb = 1"],
        ["x = 2", "a = 0", "h = 0", "s = 1"],
        ["dx = 1.5", "da = 3", "dh = 3", "ds = 1"],
        ["dW = 6, db = 3", "", "dW = 0, db = 1"],
    )
)

first.forward(given)
first.backward(da)
print("dW after two passes:", first.grads["W"].item())
assert first.grads["W"].item() == 12
print(check_layer(Conv(2, 3, (2, 3), rng=4)))
assert check_layer(Conv(2, 3, (2, 3), rng=4)) and check_layer(Tanh())

# %% [markdown]
# ## Check yourself
#
# 1. A kernel of $3 \times 3$ on a map of $10 \times 10$: how many products are summed in one element of `dW`?
#
#    <details><summary>Answer</summary>64: one for each of the 8 x 8 output pixels.</details>
#
# 2. A pixel in the corner of the input enters how many outputs, and one in the middle?
#
#    <details><summary>Answer</summary>The corner pixel one, through one tap; a pixel in the middle 9, through all
#    nine. That is why dx is smaller at the border.</details>
#
# 3. Why is the kernel turned for `dx` and not for `dW`?
#
#    <details><summary>Answer</summary>Input pixel (q, p) went through tap (i, j) into output (q - i, p - j): the sum
#    runs backwards. For dW, tap (i, j) pairs output (q, p) with pixel (q + i, p + j): forwards.</details>
#
# 4. What must `Conv` keep from its forward pass for the backward pass, and what must `Tanh` keep?
#
#    <details><summary>Answer</summary>Conv its input x (for dW), Tanh its output y.</details>
#
# 5. The loss of your net goes down. What does that say about its backward pass?
#
#    <details><summary>Answer</summary>Very little: see step 4. And a stack of convolutions without tanh can learn, too,
#    but no more than one convolution can.</details>

# %% [markdown]
# ## Exercises
#
# Solutions: `solutions/04.py`.
#
# **First exercise.** The logistic function $y = 1 / (1 + e^{-x})$. Express its derivative in $y$, as for tanh.
# `self.take_cache()` returns what `forward` has kept, and forgets it.
#
# **Second exercise.** Your own `Conv.backward`, all maps and fragments at once. `x[:, i : i + h, j : j + w]` are the
# pixels that tap `(i, j)` met, one for each output pixel; `np.tensordot(a, b, axes=([0, 1, 2], [0, 1, 2]))` sums over
# fragments, rows and columns and leaves the maps.


# %% tags=["exercise"]
class YourLogistic(Tanh):
    def forward(self, x, train=True):
        y = 1 / (1 + np.exp(-x))
        self.cache = y if train else None
        return y

    def backward(self, dy):
        y = self.take_cache()
        dx = ...  # your code
        return dx


grade_logistic(YourLogistic())


# %% tags=["exercise"]
class YourConv(Conv):
    def backward(self, dy):
        x, W = self.take_cache(), self.params["W"]
        (kh, kw), (h, w) = self.kernel, dy.shape[1:3]
        dx = np.zeros_like(x)
        for i in range(kh):
            for j in range(kw):
                met = x[:, i : i + h, j : j + w]
                self.grads["W"][i, j] += ...  # your code: from met and dy, (in maps, out maps)
                dx[:, i : i + h, j : j + w] += ...  # your code: from dy and W[i, j], (F, h, w, in maps)
        self.grads["b"] += ...  # your code
        return dx


grade_conv_backward(YourConv(2, 3, (2, 3), rng=4))

# %% [markdown]
# ## In practice
#
# The library computes the same three sums as products of large matrices (`tinympcnn/engine/correlation.py`). It skips
# the `dx` of the first layer, because nobody asks for the gradient of the image.
#
# ## Next
#
# Between the convolutions of our nets stand max-pooling layers. They have no weights, but they decide where gradients
# go: [05 · Pool and route](05_pool_and_route.ipynb).
