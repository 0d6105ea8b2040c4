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
# # 05b · A net by hand
#
# ## What you will build
#
# ![Two loss curves: on the windows a net trains on it falls to zero, on others it turns and rises.](banners/05b.png)
#
# A loss and its gradient; a net as a list of layers, with every gradient checked; gradient descent, momentum and Adam;
# and three checks that take seconds and save days.
#
# ## What you need
#
# Tutorials 03 to 05, and the derivatives of $\exp$ and $\log$. About 50 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_net import grade_adam, grade_net, grade_score_gradient, grade_train_step
from course.mistakes import Unturned
from course.style import show, source
from course.yours import yours

from tinympcnn import Conv, FullyConnected, Net, SoftmaxCrossEntropy, Tanh
from tinympcnn.data import synthetic_membranes
from tinympcnn.gradcheck import check_loss
from tinympcnn.nn.losses import softmax
from tinympcnn.nn.optim import SGD

rng = np.random.default_rng(5)

# %% [markdown]
# ## Step 1: the end of the chain is a loss
#
# The last layer gives a score $s_k$ for each of $K$ classes, and softmax makes probabilities $p_k$ of the scores
# (tutorial 00). If $t$ is the right class, the **cross-entropy** is $L = -\log p_t$: zero if the net is sure and right,
# large if it is sure and wrong. Insert softmax and differentiate:
#
# $$L = -s_t + \log \sum_{k'} e^{s_{k'}}, \qquad
#   \mathrm{d}s_k = \frac{\partial L}{\partial s_k} = \frac{e^{s_k}}{\sum_{k'} e^{s_{k'}}} - [k = t] = p_k - [k = t]$$
#
# $[k = t]$ is 1 for the right class and 0 else: the *one-hot* vector of $t$. By hand, with the scores $(0, 0, \ln 2)$,
# whose probabilities are $(0.25, 0.25, 0.5)$, and $t = 0$: $L = \ln 4 \approx 1.386$ and
# $\mathrm{d}s = (-0.75,\; 0.25,\; 0.5)$. A step against the gradient raises the right score and lowers the others.
#
# **Sum or mean?** The loss of $N$ pixels or windows is the *mean* over them. The division by $N$ stands here and
# nowhere else: $\mathrm{d}s = (p - \text{onehot}) / N$. The layers only add up (tutorial 04), so the gradient of the
# mean arrives in `grads`.

# %%
loss, s = SoftmaxCrossEntropy(), np.array([0, 0, np.log(2)])
value = loss.forward(s.reshape(1, 1, 1, 3), np.array([[[0]]]))
ds = loss.backward().ravel()
print(f"L = {value:.3f}  ds = {ds.round(3)}")
assert np.isclose(value, np.log(4)) and np.allclose(ds, [-0.75, 0.25, 0.5])
scores = rng.standard_normal((2, 3, 4, 5))
assert check_loss(SoftmaxCrossEntropy(), scores, rng.integers(0, 5, (2, 3, 4)))
show(figures.score_gradients(softmax(s), 0))

# %% [markdown]
# ## Step 2: forward through a list, and back
#
# The chain of tutorial 04, for any number of layers, from the input $y_0$ to the scores:
#
# $$y_{l+1} = \mathrm{layer}_l(y_l), \qquad \mathrm{d}y_l = \mathrm{layer}_l.\mathrm{backward}(\mathrm{d}y_{l+1}) .$$
#
# That is all of back-propagation. Here are 24 windows of 16 x 16 pixels, the classes of their centre pixels, and six
# layers, with your own convolution and pooling. By hand, the sizes on the way: $16 - 5 + 1 = 12$, pooled $6$,
# $6 - 3 + 1 = 4$. The fully connected layer is a convolution whose kernel is as large as what is left of the window,
# here $4 \times 4$, so that each of its outputs sees every number.

# %%
images, label_images = synthetic_membranes(2, 128, rng)
grey = (images - images[0].mean()) / images[0].std()


def windows(image, n):
    """Return n random windows (n, 16, 16, 1), and the classes of their centres (n, 1, 1)."""
    r, c = rng.integers(0, 128 - 16 + 1, (2, n))
    cut = np.stack([grey[image][q : q + 16, p : p + 16] for q, p in zip(r, c, strict=True)])
    return cut[..., None], (label_images[image][r + 8, c + 8] > 0).astype(int).reshape(n, 1, 1)


YourConv, YourMaxPool = yours("04", "YourConv"), yours("05", "YourMaxPool")


def new_layers(Second=YourConv):
    """Return the six layers with first weights drawn anew, always the same, in float64."""
    layers = [
        YourConv(1, 6, 5, rng=1),
        Tanh(),
        YourMaxPool(2),
        Second(6, 8, 3, rng=2),
        Tanh(),
        FullyConnected(8, 2, 4, rng=3),
    ]
    return Net(layers).astype(np.float64).layers  # the library's net only changes the type here


x, target = windows(0, 24)
layers = new_layers()

ys = [x]
for layer in layers:
    ys.append(layer.forward(ys[-1]))
value = loss.forward(ys[-1], target)
ds = loss.backward()

dys = [ds]
for layer in reversed(layers):
    dys.insert(0, layer.backward(dys[0]))

print("loss", round(value, 3), " gradient of the image:", dys[0].shape)
assert [y.shape[1] for y in ys] == [16, 12, 12, 6, 4, 4, 1]
assert [dy.shape for dy in dys] == [y.shape for y in ys]
show(figures.net_chain(layers, ys))

# %% [markdown]
# Each of these gradients can be measured as in tutorial 03: move $y_l$ a little along a random direction `u`, send it
# through the *rest* of the net, and see how the loss changes. `cmp` goes from the loss to the image. The first layer
# whose result is wrong has received a right gradient and returned a wrong one.


# %%
def cmp(layers, ys, dys, h=1e-5):
    """Compare all gradients with measured ones; name the first wrong layer, or return None."""
    for at in reversed(range(len(ys))):
        u = rng.standard_normal(ys[at].shape)
        values = []
        for y in (ys[at] + h * u, ys[at] - h * u):
            for layer in layers[at:]:
                y = layer.forward(y, train=False)
            values.append(loss.forward(y, target))
        mine, measured = (dys[at] * u).sum(), (values[0] - values[1]) / (2 * h)
        right = abs(mine - measured) < 1e-4 * max(abs(mine), abs(measured))
        name = "the loss" if at == len(layers) else f"layer {at}, {type(layers[at]).__name__}"
        print(f"{name:<24} by backward {mine:+.7f}   measured {measured:+.7f}", end="   ")
        print("ok" if right else "WRONG")
        if not right:
            return name
    return None


assert cmp(layers, ys, dys) is None

# %% [markdown]
# And with a kernel that is not turned, the mistake of tutorial 04, in one layer:

# %%
bad, wrong_dys = new_layers(Unturned), [ds]
for layer, y in zip(bad, ys, strict=False):  # the same weights, so the same numbers on the way
    layer.forward(y)
for layer in reversed(bad):
    wrong_dys.insert(0, layer.backward(wrong_dys[0]))
assert cmp(bad, ys, wrong_dys) == "layer 3, Unturned"

# %% [markdown]
# ## Step 3: the first weights
#
# Why random? If all weights are 0, all maps are 0 and each layer returns $\mathrm{d}x = 0$: only the last bias learns.
# If all weights are equal, all maps of a layer are equal, get equal gradients, and stay equal for ever: eight maps do
# the work of one.
#
# How large? One output is a sum of $n = k_h k_w C$ products. If the inputs have the variance 1 and the weights the
# variance $\sigma^2$, all independent, the sum has the variance
#
# $$ n\,\sigma^2 , \qquad\text{which stays 1 for}\quad \sigma = 1/\sqrt{n} . $$
#
# By hand: a $3 \times 3$ kernel over 16 maps adds up $n = 144$ products, so $\sigma = 1/12$. (Each tanh still takes a
# little off.) With $\sigma$ three times too small, six layers make the numbers $3^6 = 729$ times smaller. With $\sigma$
# three times too large, every tanh is saturated, and its slope $1 - y^2$ lets little gradient through. (The library
# draws uniform numbers between $\pm 1/\sqrt n$.)

# %%
spread, passed = {}, {}
for factor in (3, 1, 1 / 3):
    y, spread[factor] = rng.standard_normal((1, 32, 32, 16)), [1.0]
    for _ in range(6):
        conv = Conv(16, 16, 3)
        W = conv.params["W"]
        W[...] = rng.standard_normal(W.shape) * factor / np.sqrt(3 * 3 * 16)
        y = np.tanh(conv.forward(y))
        spread[factor].append(float(y.std()))
    passed[factor] = float((1 - y**2).mean())
    print(f"{factor:.2g}/sqrt(n): behind six layers {spread[factor][-1]:.4f}", end=", ")
    print(f"mean slope of tanh {passed[factor]:.2f}")
assert spread[1 / 3][-1] < 3**-5 < 0.2 < spread[1][-1] and passed[3] < 0.4 < passed[1]
names = {3: "3 / sqrt(n): saturated", 1: "1 / sqrt(n)", 1 / 3: "1 / (3 sqrt(n)): fades"}
show(
    figures.first_weights(
        {names[factor]: values for factor, values in spread.items()},
        {names[factor]: value for factor, value in passed.items()},
    )
)

zero = new_layers()
for layer in zero:
    for W in layer.params.values():
        W[...] = 0
y = x
for layer in zero:
    y = layer.forward(y)
loss.forward(y, target)
dy = loss.backward()
for layer in reversed(zero):
    dy = layer.backward(dy)
learning = [grad for layer in zero for grad in layer.grads.values() if grad.any()]
assert len(learning) == 1 and learning[0] is zero[-1].grads["b"]  # the last bias alone

# %% [markdown]
# ## Step 4: gradient descent, and a mistake worth remembering
#
# The gradient $g$ points to where the loss grows. So walk a little the other way:
#
# $$ \theta \leftarrow \theta - \eta\, g . $$
#
# $\theta$ is a parameter, $\eta$ the **learning rate**, `lr` in the code. By hand, for $L = 2\theta^2$ with
# $g = 4\theta$, from $\theta = 1$: a rate of $0.1$ leads to $1 - 0.4 = 0.6$, and then to $0.36$. A rate of $0.6$ leads
# to $1 - 2.4 = -1.4$ and on to $1.96$: uphill.
#
# The mistake: layers *add* to `grads`. Whoever does not set the gradients back to zero steps along the sum of all
# gradients so far. On the parabola, with the rate $0.1$: the sums are $4$, then $4 + 2.4 = 6.4$, and $\theta$ goes
# $1,\; 0.6,\; -0.04$, through the valley and up the other side, for ever. In the net below, the loss falls all the
# same, even faster than with the right steps.


# %%
def train(layers, steps, rule, forget=True):
    """Take some steps by a rule on the 24 windows; return the loss before each of them."""
    params = [(layer.params[key], layer.grads[key]) for layer in layers for key in layer.params]
    state, losses = [0 * theta for theta, _ in params], []
    for _ in range(steps):
        y = x
        for layer in layers:
            y = layer.forward(y)
        losses.append(loss.forward(y, target))
        dy = loss.backward()
        for layer in reversed(layers):
            dy = layer.backward(dy)
        for i, (theta, g) in enumerate(params):
            state[i] = rule(theta, g, state[i])
            if forget:
                g[...] = 0
    return losses


def plain(theta, g, _, lr=0.03):
    theta -= lr * g  # in place: theta is the layer's own array


def walk(lr, steps, forget=True):
    """Return the places of gradient descent on 2 theta**2."""
    theta, g, path = 1.0, 0.0, [1.0]
    for _ in range(steps):
        g = 4 * theta if forget else g + 4 * theta
        theta -= lr * g
        path.append(theta)
    return path


paths = {
    "plain": walk(0.1, 5),
    "plain, rate 0.6": walk(0.6, 2),
    "gradients kept": walk(0.1, 9, forget=False),
}
assert np.allclose(paths["plain"][:3], [1, 0.6, 0.36])
assert np.allclose(paths["plain, rate 0.6"], [1, -1.4, 1.96])
assert np.isclose(paths["gradients kept"][2], -0.04)
assert max(np.abs(paths["gradients kept"][5:])) > 0.9

curves = {
    "plain": train(new_layers(), 60, plain),
    "gradients kept": train(new_layers(), 60, plain, forget=False),
}
for name, values in curves.items():
    print(f"{name:<15} loss {values[0]:.3f}", end=", ")
    print(f"{values[10]:.3f} after 10 steps, {values[-1]:.3f} after 60")
assert curves["plain"][-1] < 0.5 * curves["plain"][0]

# %% [markdown]
# ## Step 5: momentum, and Adam
#
# **Momentum** repeats a share $\mu$ of the last step, like a ball that rolls on. Where gradients agree, steps grow to
# $1/(1 - \mu)$ times the plain one; where they point to and fro, they cancel.
#
# $$ v \leftarrow \mu\,v - \eta\,g, \qquad \theta \leftarrow \theta + v . $$
#
# **Adam** keeps running means of the gradient, $m$, and of its square, $v$, for each parameter, and divides $m$ by the
# root of $v$. In step number $z = 1, 2, \dots$ (`step` in the code):
#
# $$ m \leftarrow b_1 m + (1 - b_1)\,g, \qquad v \leftarrow b_2 v + (1 - b_2)\,g^2, \qquad
#    \theta \leftarrow \theta - \eta\,\frac{m / (1 - b_1^z)}{\sqrt{v / (1 - b_2^z)} + \varepsilon} $$
#
# Both means start at zero and are too small at first; the divisors $1 - b^z$ mend that. ($\varepsilon = 10^{-8}$
# prevents a division by zero.) By hand, with $b_1 = 0.9$, $b_2 = 0.999$ and a first gradient of $4$: $m = 0.4$ and
# $v = 0.016$, mended $4$ and $16$, so the step is $\eta \cdot 4 / \sqrt{16} = \eta$. However large its gradient, every
# parameter moves by $\eta$ in the first step: each has a rate of its own.
#
# The library's `SGD` and `Adam` hold a net, and `step(closure)` takes one such step: `closure` returns the loss and
# leaves the gradient in the net. (With `grad=False` some optimisers ask for the loss alone, see tutorial 12.)


# %%
def momentum(theta, g, v, lr=0.03, mu=0.9):
    v = mu * v - lr * g
    theta += v
    return v


m, v, step, lr = 0.1 * 4, 0.001 * 16, 1, 0.003
first = lr * (m / (1 - 0.9**step)) / np.sqrt(v / (1 - 0.999**step))
print("first step of Adam, with lr = 0.003:", first)
assert np.isclose(first, 0.003)

mine = new_layers()
curves["momentum"] = train(mine, 60, momentum)

net = Net(new_layers())


def closure(grad=True):
    value = loss.forward(net.forward(x), target)
    if grad:
        net.zero_grads()
        net.backward(loss.backward())
    return value


optimizer = SGD(net, lr=0.03, momentum=0.9)
theirs = [optimizer.step(closure) for _ in range(60)]
print(
    "largest difference between our losses and those of the library:",
    np.abs(np.subtract(theirs, curves["momentum"])).max(),
)
assert np.allclose(theirs, curves["momentum"])
show(figures.descent(curves, paths))
source(SGD.step)

# %% [markdown]
# ## Step 6: three checks before any long training
#
# 1. **The first loss is $\ln K$.** A new net gives all classes about the probability $1/K$, and $-\ln(1/K) = \ln K$. By
#    hand: $\ln 2 = 0.693$ for two classes. Another number means that scores are far too large, or that labels are not
#    what you think.
# 2. **A few windows can be learnt by heart.** A net that cannot bring the loss of 24 windows to zero will not learn
#    24,000.
# 3. **Hold windows out, and draw both curves.** The loss on the 24 windows goes to zero; on others it turns and
#    *rises*. The net has learnt these windows, noise and all, and not what membranes look like: it **overfits**. More
#    data helps, as does stopping at the turn.

# %% tags=["banner"]
held_x, held_target = windows(1, 500)
layers, trained, held = new_layers(), [], []
for _ in range(100):
    y = held_x
    for layer in layers:
        y = layer.forward(y, train=False)
    held.append(loss.forward(y, held_target))
    trained += train(layers, 1, lambda theta, g, v: plain(theta, g, v, lr=0.2))
show(figures.by_heart(trained, held, np.log(2)))
print(f"first loss {trained[0]:.3f}; by heart {trained[-1]:.3f}", end="; ")
print(f"others {min(held):.3f} at best, {held[-1]:.3f} now")
assert abs(trained[0] - np.log(2)) < 0.1
assert trained[-1] < 0.05 and held[-1] > min(held) + 0.05

# %% [markdown]
# ## Check yourself
#
# 1. `cmp` says that layer 3 is wrong and layer 4 is not. Where is the mistake?
#
#    <details><summary>Answer</summary>In the backward pass of layer 3.</details>
#
# 2. Why must two maps of one layer not start with the same weights?
#
#    <details><summary>Answer</summary>They would get the same gradients and stay the same.</details>
#
# 3. A new net with ten classes has a first loss of 9. Is that fine?
#
#    <details><summary>Answer</summary>No: ln 10 is 2.3. Probably the first scores are far too large.</details>

# %% [markdown]
# ## Exercises
#
# Solutions: `solutions/05b.py`.
#
# **First**, the gradient of the cross-entropy, mean over pixels, for `scores` (n, K) and classes `target` (n,).
# **Second**, a net: forward and backward through a list of layers. Tutorials 06 and 11 train with *your* net and Adam.
#
# **Third**, one step of plain gradient descent for every parameter of every layer. It returns the loss before the step.
# **Fourth**, Adam, for one array: return the new `theta`, `m` and `v`, and leave those that came in as they are.


# %% tags=["exercise"]
def score_gradient(scores, target):
    p = softmax(scores)
    onehot = np.eye(scores.shape[1])[target]
    return ...  # your code


grade_score_gradient(score_gradient)


# %% tags=["exercise"]
class YourNet:
    def __init__(self, layers):
        self.layers = layers

    def forward(self, x, train=True):
        """Return the scores; every layer gets `train`."""
        ...  # your code

    def backward(self, dy):
        """Return the gradient of the input."""
        ...  # your code


grade_net(YourNet)


# %% tags=["exercise"]
def train_step(net, loss, x, target, lr):
    value = loss.forward(net.forward(x), target)
    # theta and its gradient are layer.params[name], layer.grads[name]
    ...  # your code: back through the net, then the step
    return value


grade_train_step(train_step)


# %% tags=["exercise"]
def adam(theta, g, m, v, step, lr, b1=0.9, b2=0.999):
    ...  # your code: three lines, with eps = 1e-8; step is 1 the first time
    return theta, m, v


grade_adam(adam)

# %% [markdown]
# ## In practice
#
# `Sequential` in `tinympcnn/nn/sequential.py` has your two loops. An optimiser sees all parameters as one long vector:
# `net.flat()`, `net.flat_grads()`.
#
# ## Next
#
# More windows, and a segmented image: [06 · Train on patches](06_train_on_patches.ipynb).
