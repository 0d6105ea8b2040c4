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
# The backward passes of `Conv` and `Tanh`, and a wrong one with which a net learns all the same.
#
# ## What you need
#
# Tutorials 01 to 03, and the chain rule. About 45 minutes.
#
# **Behind** a layer means nearer to the loss. So `dy` comes from behind, and we compute `dW`, `db` and `dx`, the
# derivatives of the loss with respect to `W`, `b` and `x`.

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
# One map in, one map out:
#
# $$y_{qp} = b + \sum_{ij} W_{ij}\, x_{q+i,\,p+j}$$
#
# The loss $L$ sees $x$, $W$ and $b$ only through the $y_{qp}$. The chain rule adds up over all outputs:
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
# $\mathrm{d}W_{00} = 1 \cdot 1 - 1 \cdot 0 + 2 \cdot 3 + 3 \cdot 1 = 10$. And $\mathrm{d}b = 1 - 1 + 2 + 3 = 5$.

# %%
x = np.array([[1.0, 0, 2], [3, 1, 0], [0, 2, 1]])
W = np.array([[1.0, 2], [0, -1]])
dy = np.array([[1.0, -1], [2, 3]])

dW = np.zeros_like(W)
for q in range(2):
    for p in range(2):
        dW += dy[q, p] * x[q : q + 2, p : p + 2]  # the window of output (q, p), times its dy
db = dy.sum()
print("dW =", dW.tolist(), " db =", db)
assert dW[0, 0] == 10 and dW[1, 1] == 8 and db == 5

# %% [markdown]
# ## Step 2: the gradient of the weights is a correlation
#
# The formula for `dW` slides `dy` over `x` and sums the products: a convolution of `x` **with the kernel** `dy`. In the
# library's `reference.py`, `conv_grad` adds windows as above (its `delta` is our `dy`), and `conv_fwd` slides.

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
# Which outputs has pixel $x_{qp}$ entered? Through tap $(i, j)$ it went into output $(q-i,\, p-j)$, if there is one. So
#
# $$\mathrm{d}x_{qp} = \sum_{ij} \mathrm{d}y_{q-i,\,p-j}\; W_{ij}$$
#
# By hand, for the pixel in the middle, $(1, 1)$, which all four outputs have seen:
# $\mathrm{d}x_{11} = \mathrm{d}y_{11} W_{00} + \mathrm{d}y_{10} W_{01} + \mathrm{d}y_{01} W_{10} + \mathrm{d}y_{00}
# W_{11} = 3 \cdot 1 + 2 \cdot 2 + (-1) \cdot 0 + 1 \cdot (-1) = 6.$
#
# Seen from the outputs, each lays the kernel, times its `dy`, on its window.

# %% tags=["banner"]
dx = np.zeros_like(x)
for q in range(2):
    for p in range(2):
        dx[q : q + 2, p : p + 2] += dy[q, p] * W
print(dx)
assert dx[1, 1] == 6
show(figures.stamps(W, dy, dx))

# %% [markdown]
# Seen from the input pixel, the minus signs mean that the kernel runs backwards. Turn it by 180 degrees, put $k - 1$
# rows and columns of zeros around `dy`, and slide as always. A correlation in which the kernel may stick out of the map
# is called *full*.

# %%
turned = W[::-1, ::-1]
padded = np.pad(dy, 1)[:, :, None]
full = reference.conv_fwd(padded, turned[:, :, None, None], np.zeros(1))[:, :, 0]
print(full)
assert (full == dx).all()
show(figures.full_correlation(dy, W, dx, at=(1, 1)))

# %% [markdown]
# With several maps, a pixel is a vector, and a tap a matrix $W_{ij}$ (in maps $\times$ out maps). On the way back, `dW`
# collects outer products, and `dy` goes through $W_{ij}^{\mathsf T}$, from output maps to input maps; the shapes leave
# no other way. By hand: with one tap, $x = (1, 2)$ and $\mathrm{d}y = (3, 4, 5)$ give
# $\mathrm{d}W = \begin{pmatrix} 3 & 4 & 5 \\ 6 & 8 & 10 \end{pmatrix}$.

# %%
conv = Conv(in_maps=2, out_maps=3, kernel=1)
conv.forward(np.array([1.0, 2.0]).reshape(1, 1, 1, 2))
conv.backward(np.array([3.0, 4.0, 5.0]).reshape(1, 1, 1, 3))
print(conv.grads["W"][0, 0])
assert (conv.grads["W"][0, 0] == np.outer([1, 2], [3, 4, 5])).all()

# %% [markdown]
# ## Step 4: a mistake worth remembering
#
# Suppose we forget to turn the kernel. Nothing raises an error. We train two small nets from the same weights; only the
# second convolution of one has the mistake. Does the loss show it? Guess before you look. (You write the training loop
# in 05b; here only the curves matter.)

# %%
source(Unturned)
images, labels = synthetic_membranes(1, 64, rng)
x4 = ((images - images.mean()) / images.std())[..., None].astype(np.float32)
target = (labels[:, 4:-4, 4:-4] > 0).astype(int)  # windows of 9 x 9: no output in a border of 4
curves = {}
for name, Second in (("right backward pass", Conv), ("kernel not turned", Unturned)):
    convolutions = [Conv(1, 4, 5, rng=1), Tanh(), Second(4, 4, 5, rng=2), Tanh()]
    net, loss = Net([*convolutions, FullyConnected(4, 2, rng=3)]), SoftmaxCrossEntropy()

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
# The loss falls with the wrong gradient too, and may end even lower, by luck. The layers behind the mistake still learn
# rightly, and the layer before it gets something related to its gradient. The check notices the mistake at once: check
# first, then train.
#
# ## Step 5: why a tanh, and what it lets through
#
# A convolution is *linear*: it only sums weighted inputs. So two convolutions in a row are again one, with a larger
# kernel:
#
# $$ W_{rc} = \sum_{i+k=r,\;\, j+l=c} W^{(1)}_{ij}\; W^{(2)}_{kl} $$
#
# By hand, in one dimension: $(1, 2)$ and then $(1, -1)$ is
# $(1\cdot1,\; 1\cdot(-1) + 2\cdot1,\; 2\cdot(-1)) = (1, 1, -2)$. A hundred such layers could do no more than one.
# Something bent must stand between them: ours is $y = \tanh x$, nearly $x$ for small numbers, and never beyond $\pm1$.

# %%
first = np.array([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]])
second = np.array([[0.0, 1, 0], [1, 2, 1], [0, 1, 0]])
both = np.zeros((5, 5))
for i, j in np.ndindex(3, 3):
    both[i : i + 3, j : j + 3] += first[i, j] * second


def conv_by(image, kernel):
    return reference.conv_fwd(image[:, :, None], kernel[:, :, None, None], np.zeros(1))[:, :, 0]


image = rng.standard_normal((9, 10))
in_a_row, at_once = conv_by(conv_by(image, first), second), conv_by(image, both)
bent = conv_by(np.tanh(conv_by(image, first)), second)
print(f"two against one: {abs(in_a_row - at_once).max():.1e}", end="   ")
print(f"with a tanh between: {abs(bent - at_once).max():.1f}")
assert np.allclose(in_a_row, at_once) and abs(bent - at_once).max() > 1
assert np.convolve([1, 2], [1, -1]).tolist() == [1, 1, -2]
show(figures.two_in_one(first, second, both))

# %% [markdown]
# Going back, tanh needs its output only: $\mathrm{d}x = \mathrm{d}y\,(1 - y^2)$. By hand: where $y = 0.5$ the slope is
# $1 - 0.25 = 0.75$, so $\mathrm{d}y = 2$ becomes $\mathrm{d}x = 1.5$. Where $|y|$ is close to 1, the tanh is
# *saturated*: hardly anything comes through to the layers before it.

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
# In a net, the `dy` of a layer is the `dx` that the layer behind it has returned. Nothing else is handed on. Take a
# convolution, a tanh and another convolution, of one number each, and the loss $L = s^2/2$, so that $\mathrm{d}s = s$.
# By hand, forward from $x = 2$, by $W x + b$: $a = 0.5\cdot2 - 1 = 0$, $h = \tanh 0 = 0$, $s = 3\cdot0 + 1 = 1$.
# Backward:
#
# $$ \mathrm{d}s = 1, \quad \mathrm{d}h = 3\,\mathrm{d}s = 3, \quad \mathrm{d}a = (1 - h^2)\,\mathrm{d}h = 3, \quad
#    \mathrm{d}x = 0.5\,\mathrm{d}a = 1.5 , $$
#
# and on the way each convolution takes its own: $\mathrm{d}W = x\,\mathrm{d}a = 2 \cdot 3 = 6$ for the first,
# $h\,\mathrm{d}s = 0$ for the second.
#
# One rule remains. Two images, or many fragments, use the same $W$ before anybody looks at the gradient. The derivative
# of a sum is the sum of the derivatives, so **backward adds to `grads`, and never overwrites**. By hand: two passes
# with $\mathrm{d}W = 6$ leave $12$.

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
print("forward:", [v.item() for v in (given, a, h, s)], end="   ")
print("backward:", [v.item() for v in (s, dh, da, back)])
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
# 1. With a $3 \times 3$ kernel, a pixel in the corner of the input enters how many outputs, and one in the middle?
#
#    <details><summary>Answer</summary>The corner pixel one, a pixel in the middle 9. That is why dx is smaller at the
#    border.</details>
#
# 2. Why is the kernel turned for `dx` and not for `dW`?
#
#    <details><summary>Answer</summary>Input pixel (q, p) went through tap (i, j) into output (q - i, p - j): the sum
#    runs backwards. For dW, tap (i, j) pairs output (q, p) with pixel (q + i, p + j): forwards.</details>
#
# 3. The loss of your net goes down. What does that say about its backward pass?
#
#    <details><summary>Answer</summary>Very little: see step 4.</details>

# %% [markdown]
# ## Exercises
#
# Solutions: `solutions/04.py`.
#
# **First**, the logistic function $y = 1 / (1 + e^{-x})$. Express its derivative in $y$, as for tanh.
# `self.take_cache()` returns what `forward` has kept, and forgets it.
#
# **Second**, your own `Conv.backward`, for all maps and fragments at once. `x[:, i : i + h, j : j + w]` are the pixels
# that tap `(i, j)` met, one for each output pixel; `np.tensordot(a, b, axes=([0, 1, 2], [0, 1, 2]))` sums over
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
                self.grads["W"][i, j] += ...  # your code: met, dy; (in maps, out maps)
                dx[:, i : i + h, j : j + w] += ...  # your code: dy, W[i, j]; (F, h, w, in maps)
        self.grads["b"] += ...  # your code
        return dx


grade_conv_backward(YourConv(2, 3, (2, 3), rng=4))

# %% [markdown]
# ## In practice
#
# The library computes the same sums as products of large matrices (`tinympcnn/engine/correlation.py`). It skips the
# `dx` of the first layer, because nobody asks for the gradient of the image.
#
# ## Next
#
# Max-pooling layers have no weights, but they decide where gradients go:
# [05 · Pool and route](05_pool_and_route.ipynb).
