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
# # 12 · Step sizes
#
# The gradient says which way is down. It does not say how far to go.
#
# ## What you will build
#
# ![Paths of optimisers over the level lines of a narrow valley](banners/12.png)
#
# - A net with two parameters, whose loss surface fits into one picture, and four ways down its valley: plain descent,
#   momentum, Adam and the Armijo rule.
# - The largest step that does not diverge, by hand.
# - The step that the Armijo rule accepts, by hand and in code. The paper trains its membrane nets by it (section 4.1).

# %% [markdown]
# ## What you need
#
# Tutorials 03 (gradients), 05b (descent, momentum and Adam by hand) and 11 (one image, one gradient). Second
# derivatives as a matrix, and eigenvalues. About 35 minutes.
#
# Five letters have another meaning here: $r$ is a residual, $v$ a velocity, $H$ the second derivatives, $c$ a fraction,
# and $t$ a target in Step 1 and a step length in Step 4.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_training import grade_backtracking
from course.style import show, source
from course.valley import line_net, surface, walk

from tinympcnn import Net, SoftmaxCrossEntropy
from tinympcnn.data import synthetic_membranes
from tinympcnn.nn.optim import SGD, Adam, ArmijoSGD
from tinympcnn.training.objective import example, image_closure

rng = np.random.default_rng(12)

# %% [markdown]
# ## Step 1: a net with two parameters
#
# One fully connected layer with one map in and one map out has a weight $w$ and a bias $b$. Give it an "image" of four
# pixels $x = 0, 1, 2, 3$ and the targets $t = 1, 3, 5, 7$, which $w = 2, b = 1$ meets exactly. With the mean squared
# error over the $N = 4$ pixels and the residuals $r = w x + b - t$:
#
# $$L(w, b) = \frac{1}{2N} \sum r^2, \qquad
# g = \left( \frac{1}{N} \sum x\, r, \; \frac{1}{N} \sum r \right).$$
#
# By hand at $(0, 0)$: $r = -1, -3, -5, -7$. So $L = (1 + 9 + 25 + 49) / 8 = 10.5$, and
# $g = \left( \frac{-0 - 3 - 10 - 21}{4}, \frac{-16}{4} \right) = (-8.5, -4)$.
#
# The net comes with a closure, as in 05b. `closure(grad=False)` returns the loss alone, which is cheaper.

# %%
net, closure = line_net([0, 1, 2, 3], [1, 3, 5, 7])
net.set_flat(np.array([0.0, 0.0]))
loss = closure()
g = net.flat_grads()
print("loss", loss, "  gradient", g)
assert loss == 10.5 and np.allclose(g, [-8.5, -4])

w, b = np.linspace(-0.6, 4.2, 161), np.linspace(-1.0, 4.0, 161)
L = surface(net, closure, w, b)
show(figures.loss_surface(w, b, L, (0, 0), g, (2, 1)), colours=64)

# %% [markdown]
# ## Step 2: a fixed step, and momentum
#
# Momentum, from 05b, is $v \leftarrow \mu v - \eta g$ and $\theta \leftarrow \theta + v$. By hand with $\eta = 0.1$,
# $\mu = 0.9$ from $(0, 0)$: the first step is $v = -0.1 \cdot (-8.5, -4) = (0.85, 0.4)$. There the gradient is
# $(-4.925, -2.325)$. The second step is $v = 0.9 \cdot (0.85, 0.4) + 0.1 \cdot (4.925, 2.325) = (1.2575, 0.5925)$, to
# $(2.1075, 0.9925)$.

# %%
net.set_flat(np.array([0.0, 0.0]))
momentum = SGD(net, lr=0.1, momentum=0.9)
for step in (1, 2):
    momentum.step(closure)
    print("after step", step, net.flat())
assert np.allclose(net.flat(), [2.1075, 0.9925])

# %% [markdown]
# How large may $\eta$ be? On a quadratic the gradient changes by $H\,\mathrm{d}\theta$, where $H$ is the matrix of
# second derivatives. Along an eigenvector of $H$ with eigenvalue $\lambda$, one plain step multiplies the distance to
# the lowest point by $1 - \eta\lambda$. It shrinks only if $|1 - \eta\lambda| < 1$, that is if
#
# $$\eta < \frac{2}{\lambda_{\max}}.$$
#
# By hand: $H = \begin{pmatrix} \overline{x^2} & \overline{x} \\ \overline{x} & 1 \end{pmatrix}$, which is
# $\begin{pmatrix} 3.5 & 1.5 \\ 1.5 & 1 \end{pmatrix}$, so $\lambda = 2.25 \pm \sqrt{2.25^2 - 1.25} = 4.203$ and $0.297$
# (bars are means). The limit is $2 / 4.203 = 0.476$.
#
# **A mistake worth remembering:** $\eta = 0.5$, which is 5 % too much. Each step multiplies the distance across the
# valley by $1 - 0.5 \cdot 4.203 = -1.10$: to the other side, and 10 % further out. From here on all drawn paths start
# at $(0, 3)$, off the line across the valley.

# %%
H = np.array([[3.5, 1.5], [1.5, 1.0]])
limit = 2 / np.linalg.eigvalsh(H).max()
print("eigenvalues", np.linalg.eigvalsh(H).round(3), "  largest stable step", limit.round(3))
runs = {}
for lr in (0.05, 0.4, 0.5):
    runs[f"step {lr}"] = walk(lambda net, lr=lr: SGD(net, lr, momentum=0), 14, net, closure)
for name, (_, losses, _) in runs.items():
    print(f"{name}: loss {losses[0]} -> {losses[-1]:.3g}")
assert limit.round(3) == 0.476
assert runs["step 0.4"][1][-1] < 0.2 < 10 < runs["step 0.5"][1][-1]
show(
    figures.paths_on_surface(w, b, L, {name: run[0] for name, run in runs.items()}),
    alt="""Three paths on the same valley, a panel each. Step 0.05 creeps along the valley
    and has not arrived after 14 steps. Step 0.4 jumps from side to side in ever smaller
    jumps, and comes near the lowest point. Step 0.5 jumps from side to side in ever larger
    jumps and leaves the picture.""",
    colours=64,
)

# %% [markdown]
# ## Step 3: Adam, a step for each parameter
#
# A valley is hard because it is steep in one direction and flat in another, and $\eta$ must suit both. Adam (Kingma and
# Ba 2015), from 05b, divides each parameter's step by the usual size of its own gradient. By hand, the first step from
# $(0, 0)$ with $\eta = 0.1$: each parameter moves by $\eta$, however steep it is, to $(0.1, 0.1)$.

# %%
net.set_flat(np.array([0.0, 0.0]))
Adam(net, lr=0.1).step(closure)
print("after the first step of Adam", net.flat().round(6))
assert np.allclose(net.flat(), [0.1, 0.1])

# %% [markdown]
# ## Step 4: the Armijo rule
#
# Nobody knows $\lambda_{\max}$ of a real net, and it changes on the way. The Armijo rule asks the loss itself. A step
# $t$ along $-g$ promises, by the gradient, a decrease of $t\,|g|^2$. It is accepted if a fraction $c$ of that comes:
#
# $$L(\theta - t g) \le L(\theta) - c\, t\, |g|^2,$$
#
# and otherwise $t$ is shrunk and tried again. By hand from $(0, 0)$ with $c = 10^{-4}$, halving from $t = 1$:
# $|g|^2 = 8.5^2 + 4^2 = 88.25$ and $g^T H g = 370.875$. On a quadratic
# $L(\theta - t g) = L - t |g|^2 + \frac{t^2}{2} g^T H g$:
#
# | $t$ | loss after the step | at most | |
# |---|---|---|---|
# | 1 | $10.5 - 88.25 + 185.4 = 107.7$ | 10.49 | refused |
# | 0.5 | $10.5 - 44.13 + 46.36 = 12.73$ | 10.50 | refused |
# | 0.25 | $10.5 - 22.06 + 11.59 = 0.027$ | 10.50 | accepted |
#
# The next search begins at the accepted step times `grow`, a little above 1. If steps could only shrink, one steep
# place would make all later steps short.

# %%
trials = []


def watched(grad=True):
    """The closure, with a note of every trial."""
    value = closure(grad=grad)
    if not grad:
        trials.append((float((net.flat() @ -g) / (g @ g)), value))
    return value


trials.clear()
net.set_flat(np.array([0.0, 0.0]))
armijo = ArmijoSGD(net, lr=1.0, grow=1.0)  # as in the table
armijo.step(watched)
print("trials (step, loss):", [(t, round(value, 3)) for t, value in trials])
assert [t for t, _ in trials] == [1.0, 0.5, 0.25] and armijo.last_step == 0.25
assert np.allclose([value for _, value in trials], [107.6875, 12.734375, 0.02734375])

t = np.linspace(0, 0.62, 100)
along = 10.5 - t * (g @ g) + t**2 / 2 * (g @ H @ g)
show(figures.armijo_condition(t, along, float(g @ g), (0.3, 1e-4), trials), colours=64)
source(ArmijoSGD.step, fold=True)

# %% [markdown]
# ## Step 5: four ways down one valley
#
# The start is $(0, 3)$ for all. "Evaluations" counts calls of the closure.

# %% tags=["banner"]
makers = {
    "SGD, 0.4": lambda net: SGD(net, lr=0.4, momentum=0),
    "momentum 0.8": lambda net: SGD(net, lr=0.1, momentum=0.8),
    "Adam, 0.3": lambda net: Adam(net, lr=0.3),
    "Armijo": lambda net: ArmijoSGD(net, lr=0.1),
}
ways = {name: walk(make, 20, net, closure) for name, make in makers.items()}
for name, (_, losses, optimizer) in ways.items():
    steps, evaluations = len(losses) - 1, optimizer.evaluations
    print(f"{name:<13} {steps:>2} steps, {evaluations:>2} evaluations, loss {losses[-1]:.1e}")
assert all(losses[-1] < 0.1 for _, losses, _ in ways.values())
show(
    figures.paths_on_surface(w, b, L, {name: way[0] for name, way in ways.items()}),
    alt="""Four ways over the same valley from the same start. SGD with step 0.4 zigzags
    across it on the way down. Momentum runs down in a curve, overshoots the lowest point
    and swings back. Adam leaves in a straight diagonal line and turns in a wide curve.
    Armijo zigzags less, with steps of changing length.""",
    colours=64,
)

# %% [markdown]
# And on a real net, with 650 parameters and the same start for all. What counts is work, not steps: a trial of the
# Armijo rule costs a forward pass, an evaluation with its gradient about three.
#
# Do not read a ranking of optimisers from the figure. The order depends on the rates: the last two lines of the output
# are Adam and momentum at other rates, and end below all three curves. Armijo gave a fair curve without a search for a
# rate.

# %%
images, labels = synthetic_membranes(1, 48, rng=12)
start = Net.from_spec("C4x4x6 MPF2x2 C3x3x6 MPF2x2 FC2x2x8 FC2", rng=12)
start.normalisation = np.array([images.mean()]), np.array([images.std()])
pair = example(start, images[0, :, :, None], (labels[0] > 0).astype(int))


def learn(make, budget=240):
    """Train a copy of `start`; return (work in forward passes, loss) of every step."""
    net = start.astype(np.float32)
    work, points = 0, []
    inner = image_closure(net, pair, SoftmaxCrossEntropy())

    def counting(grad=True):
        nonlocal work
        work += 3 if grad else 1
        return inner(grad=grad)

    optimizer = make(net)
    while work < budget:
        loss = optimizer.step(counting)
        points.append((work, loss))
    return np.array(points).T


real = {
    "SGD, 0.2, momentum 0.9": learn(lambda net: SGD(net, lr=0.2)),
    "Adam, 0.01": learn(lambda net: Adam(net, lr=0.01)),
    "Armijo": learn(lambda net: ArmijoSGD(net, lr=0.5)),
}
others = {
    "Adam, 0.05": learn(lambda net: Adam(net, lr=0.05)),
    "SGD, 0.8, momentum 0.9": learn(lambda net: SGD(net, lr=0.8)),
}
for name, (work, losses) in (real | others).items():
    print(f"{name:<23} {len(work):>3} steps, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
assert all(losses[-1] < 0.6 * losses[0] for _, losses in real.values())
ends, other_ends = ([losses[-1] for _, losses in some.values()] for some in (real, others))
assert max(other_ends) < min(ends)
show(
    figures.loss_curves([("work, in forward passes", real)], log=True),
    alt="""Loss against work for SGD with momentum, Adam and Armijo on one image. All fall fast
    from about 0.7 to 0.4. Armijo is lowest for most of the way; momentum overtakes it near 195
    passes, and Adam stays above both.""",
    colours=64,
)

# %% [markdown]
# ## Check yourself
#
# 1. The rate 0.4 zigzags, 0.05 creeps. Which eigenvalue is to blame for each?
#
#    <details><summary>Answer</summary>The large one for the zigzag: 1 - 0.4 · 4.2 = -0.68. The small one for the
#    creeping: 1 - 0.05 · 0.3 = 0.985, so a step along the valley takes off 1.5 %.</details>
# 2. What does the Armijo rule compare, and what does a trial cost?
#
#    <details><summary>Answer</summary>The loss after the step with the loss before, less a fraction c of the decrease
#    that the gradient promises, c t |g|². A trial needs the loss only: a forward pass.</details>
# 3. Momentum overshoots the lowest point. Plain descent with the same rate does not. Why?
#
#    <details><summary>Answer</summary>The gradient is zero there, but the velocity is not: it takes a few steps against
#    it to turn.</details>

# %% [markdown]
# ## Exercises
#
# **Backtracking.** Return the first of `t`, `t * shrink`, `t * shrink**2`, ... that satisfies the Armijo rule.
# `loss_at(theta)` is the loss; `g` is the gradient at `theta`. The solution is in `solutions/12.py`.


# %% tags=["exercise"]
def backtracking(loss_at, theta, g, t, c, shrink):
    accepted = ...  # your code
    return accepted


grade_backtracking(backtracking)

# %% [markdown]
# ## In practice
#
# - `tinympcnn train --optimizer` takes `adam` (the default), `sgd`, `armijo` or `lbfgs`; so does
#   `Recipe(optimizer=...)`.
# - SGD, Adam and Armijo update after every image. A step that is safe for one image may be a bad one for the next. The
#   paper uses Armijo's rule in this way; why it works is not said.
# - `fit` raises `DivergenceError` as soon as a loss or a gradient is not finite, and says where.
#
# ## Next
#
# [13 · Membranes](13_membranes.ipynb): from TIFF files to scores. Or first [12b · L-BFGS](12b_lbfgs.ipynb), which you
# may skip: what could be learnt from the last ten gradients.
