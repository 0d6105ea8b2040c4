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
# The gradient says which way is down. It does not say how far to go. Here are four answers (plain descent, momentum,
# the Armijo rule, L-BFGS), all on one loss surface that you can see whole.

# %% [markdown]
# ## What you will build
#
# - A net with two parameters, so that its loss surface fits into one picture.
# - The step that the Armijo rule accepts, found by hand in three trials.
# - The two loops of L-BFGS, by hand, for one pair of vectors.
# - The two algorithms in code, as exercises: backtracking, and the two-loop recursion.
#
# The paper trains its membrane nets by gradient descent "safeguarded by the Armijo rule" (section 4.1) and its steel
# net with L-BFGS (section 4.2). After this tutorial you know what both mean.

# %% [markdown]
# ## What you need
#
# Tutorials 03 (gradients) and 11 (one image, one gradient). Calculus: the gradient and the second derivative of a
# quadratic; and the eigenvalues of a 2 x 2 matrix. About 50 minutes.

# %%
import inspect

import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_training import grade_backtracking, grade_two_loops
from course.style import show

from tinympcnn import FullyConnected, MeanSquaredError, Net, SoftmaxCrossEntropy
from tinympcnn.data import synthetic_membranes
from tinympcnn.nn.optim import LBFGS, SGD, ArmijoSGD
from tinympcnn.training.objective import Example, example, image_closure

rng = np.random.default_rng(12)

# %% [markdown]
# ## Step 1: a net with two parameters
#
# One fully connected layer with one input map and one output map has a weight $w$ and a bias $b$. Give it an
# "image" of four pixels $x = 0, 1, 2, 3$ and the targets $t = 1, 3, 5, 7$, which $w = 2, b = 1$ meets exactly. With
# the library's mean squared error and the residuals $r = w x + b - t$:
#
# $$L(w, b) = \frac{1}{2M} \sum r^2, \qquad
# g = \left( \frac{1}{M} \sum x\, r, \; \frac{1}{M} \sum r \right).$$
#
# By hand at $(0, 0)$: $r = -1, -3, -5, -7$. So $L = (1 + 9 + 25 + 49) / 8 = 10.5$, and
# $g = \left( \frac{-0 - 3 - 10 - 21}{4}, \frac{-16}{4} \right) = (-8.5, -4)$.


# %%
def line_net(x, t):
    """A net with two parameters in float64, and the closure that optimisers take."""
    net = Net([FullyConnected(1, 1, rng=0)]).astype(np.float64)
    pair = Example(np.reshape(x, (1, 1, -1, 1)).astype(float), np.reshape(t, (1, 1, -1, 1)).astype(float))
    return net, image_closure(net, pair, MeanSquaredError())


net, closure = line_net([0, 1, 2, 3], [1, 3, 5, 7])
net.set_flat(np.array([0.0, 0.0]))
loss = closure()
g = net.flat_grads()
print("loss", loss, "  gradient", g)
assert loss == 10.5 and np.allclose(g, [-8.5, -4])


def surface(net, closure, w, b):
    """The loss at every (w, b) of a grid, rows b, columns w."""
    L = np.empty((len(b), len(w)))
    for i, j in np.ndindex(L.shape):
        net.set_flat(np.array([w[j], b[i]]))
        L[i, j] = closure(grad=False)
    return L


w, b = np.linspace(-0.6, 4.2, 41), np.linspace(-1.0, 4.0, 41)
L = surface(net, closure, w, b)
show(
    figures.loss_surface(w, b, L, (0, 0), g, (2, 1)),
    alt="""Level lines of the loss over w and b: a long narrow valley that falls slowly
    from upper left to lower right. From the start at (0, 0) the downhill direction points
    to the right and slightly up, across the valley. The lowest point is at (2, 1).""",
    colours=64,
)

# %% [markdown]
# ## Step 2: a fixed step, and momentum
#
# The size of the step is set by the learning rate $\eta$. With the momentum $\mu$ each step also keeps a share of the
# one before it, as a heavy ball keeps rolling: turns to and fro cancel, and what points the same way adds up. `SGD`
# does
#
# $$v \leftarrow \mu v - \eta g, \qquad \theta \leftarrow \theta + v.$$
#
# By hand with $\eta = 0.1$, $\mu = 0.9$ from $(0, 0)$: the first step is $v = -0.1 \cdot (-8.5, -4) = (0.85, 0.4)$. At
# $(0.85, 0.4)$ the residuals are $-0.6, -1.75, -2.9, -4.05$ and the gradient is $(-4.925, -2.325)$. The second step is
# $v = 0.9 \cdot (0.85, 0.4) + 0.1 \cdot (4.925, 2.325) = (1.2575, 0.5925)$, which leads to $(2.1075, 0.9925)$.

# %%
net.set_flat(np.array([0.0, 0.0]))
momentum = SGD(net, lr=0.1, momentum=0.9)
for step in (1, 2):
    momentum.step(closure)
    print("after step", step, net.flat())
assert np.allclose(net.flat(), [2.1075, 0.9925])
print(inspect.getsource(SGD.step))

# %% [markdown]
# How large may $\eta$ be? On a quadratic the gradient changes by $H\,\mathrm{d}\theta$, where $H$ is the matrix of
# second derivatives. Along an eigenvector of $H$ with eigenvalue $\lambda$, one plain step multiplies the distance to
# the lowest point by $1 - \eta\lambda$. It shrinks only if $|1 - \eta\lambda| < 1$, that is if
#
# $$\eta < \frac{2}{\lambda_{\max}}.$$
#
# By hand: $H = \begin{pmatrix} \overline{x^2} & \overline{x} \\ \overline{x} & 1 \end{pmatrix} =
# \begin{pmatrix} 3.5 & 1.5 \\ 1.5 & 1 \end{pmatrix}$, so $\lambda = 2.25 \pm \sqrt{2.25^2 - 1.25} = 4.203$ and $0.297$.
# The limit is $2 / 4.203 = 0.476$.
#
# **A mistake worth remembering:** we take $\eta = 0.5$, which is 5 % too much. Each step multiplies the distance
# across the valley by $1 - 0.5 \cdot 4.203 = -1.10$: to the other side, and 10 % further out.

# %%
H = np.array([[3.5, 1.5], [1.5, 1.0]])
limit = 2 / np.linalg.eigvalsh(H).max()
print("eigenvalues", np.linalg.eigvalsh(H).round(3), "  largest stable step", limit.round(3))


def walk(make, steps, net=net, closure=closure, start=(0.0, 3.0)):
    """Points and losses of an optimiser, from a start."""
    net.set_flat(np.array(start))
    optimizer = make(net)
    points, losses = [net.flat()], [closure(grad=False)]
    for _ in range(steps):
        optimizer.step(closure)
        points.append(net.flat())
        losses.append(closure(grad=False))
    return np.array(points), np.array(losses), optimizer


runs = {f"step {lr}": walk(lambda net, lr=lr: SGD(net, lr, momentum=0), 14) for lr in (0.05, 0.4, 0.5)}
for name, (_, losses, _) in runs.items():
    print(f"{name}: loss {losses[0]} -> {losses[-1]:.3g}")
assert limit.round(3) == 0.476 and runs["step 0.4"][1][-1] < 0.2 < 10 < runs["step 0.5"][1][-1]
show(
    figures.paths_on_surface(w, b, L, {name: run[0] for name, run in runs.items()}),
    alt="""Three paths on the same valley, a panel each. Step 0.05 creeps along the valley
    and has not arrived after 14 steps. Step 0.4 jumps from side to side in ever smaller
    jumps, and comes near the lowest point. Step 0.5 jumps from side to side in ever larger
    jumps and leaves the picture.""",
    colours=64,
)

# %% [markdown]
# ## Step 3: the Armijo rule
#
# Nobody knows $\lambda_{\max}$ of a real net, and it changes on the way. The Armijo rule asks the loss itself. A step
# $t$ along $-g$ promises, by the gradient, a decrease of $t\,|g|^2$. It is accepted if a fraction $c$ of that comes:
#
# $$L(\theta - t g) \le L(\theta) - c\, t\, |g|^2,$$
#
# and otherwise $t$ is shrunk and tried again. By hand from $(0, 0)$ with $c = 10^{-4}$, halving from $t = 1$. First,
# $|g|^2 = 8.5^2 + 4^2 = 88.25$ and $g^T H g = 370.875$. On a quadratic
# $L(\theta - t g) = L - t |g|^2 + \frac{t^2}{2} g^T H g$:
#
# | $t$ | loss after the step | at most | |
# |---|---|---|---|
# | 1 | $10.5 - 88.25 + 185.4 = 107.7$ | 10.49 | refused |
# | 0.5 | $10.5 - 44.13 + 46.36 = 12.73$ | 10.50 | refused |
# | 0.25 | $10.5 - 22.06 + 11.59 = 0.027$ | 10.50 | accepted |

# %%
trials = []


def watched(grad=True):
    """The closure, with a note of every trial."""
    value = closure(grad=grad)
    if not grad:
        trials.append((float((net.flat() @ -g) / (g @ g)), value))
    return value


net.set_flat(np.array([0.0, 0.0]))
armijo = ArmijoSGD(net, lr=1.0, grow=1.0)
armijo.step(watched)
print("trials (step, loss):", [(t, round(value, 3)) for t, value in trials])
assert [t for t, _ in trials] == [1.0, 0.5, 0.25] and armijo.last_step == 0.25
assert np.allclose([value for _, value in trials], [107.6875, 12.734375, 0.02734375])
print(inspect.getsource(ArmijoSGD.step))

t = np.linspace(0, 0.62, 100)
along = 10.5 - t * (g @ g) + t**2 / 2 * (g @ H @ g)
show(
    figures.armijo_condition(t, along, float(g @ g), (0.3, 1e-4), trials),
    alt="""The loss along the downhill direction is a parabola that falls from 10.5 at t =
    0 to nearly 0 at t = 0.24 and is back at 10.5 near t = 0.48. Two dashed lines start at
    10.5: with c = 0.0001 it is almost flat, with c = 0.3 it falls. A step is acceptable
    where the parabola is below the line; for c = 0.3 that region is hatched and ends near t
    = 0.33. The trial at 0.5 lies above both lines and is refused, the trial at 0.25 is
    accepted. The trial at 1 is far outside of the picture.""",
    colours=64,
)

# %% [markdown]
# ## Step 4: the two loops of L-BFGS
#
# Newton's step $-H^{-1} g$ would jump to the lowest point of a quadratic. $H$ is too large to store for a real net. But
# every step leaves a pair of vectors that says something about it: $s = \theta' - \theta$ and $y = g' - g$, and on a
# quadratic $y = H s$. L-BFGS keeps the last $m$ pairs and works out $-H^{-1} g$ as if they were all there is to know:
#
# $$
# \begin{aligned}
# & q = -g \\
# & \text{newest pair to oldest: } & \alpha &= \frac{s \cdot q}{s \cdot y}, & q &\leftarrow q - \alpha y \\
# & & q &\leftarrow \frac{s \cdot y}{y \cdot y}\, q & & \text{(with the newest pair)} \\
# & \text{oldest pair to newest: } & \beta &= \frac{y \cdot q}{s \cdot y}, & q &\leftarrow q + (\alpha - \beta) s
# \end{aligned}
# $$
#
# (Texts on L-BFGS, and the docstring printed below, say $H$ for what stands in place of $H^{-1}$ here.)
#
# By hand on $L = \frac12 (4 w^2 + b^2)$, so $H = \mathrm{diag}(4, 1)$, with one pair: $s = (1, 1)$,
# $y = Hs = (4, 1)$, hence $s \cdot y = 5$ and $y \cdot y = 17$. Let $g = (10, 5)$.
#
# - First loop: $\alpha = (-10 - 5) / 5 = -3$, and $q = (-10, -5) + 3 \cdot (4, 1) = (2, -2)$.
# - Scale: $q = \frac{5}{17} (2, -2) = (0.588, -0.588)$.
# - Second loop: $\beta = (2.353 - 0.588) / 5 = 0.353$, and
#   $q = (0.588, -0.588) + (-3 - 0.353) (1, 1) = (-2.765, -3.941)$.

# %%
valley, valley_closure = line_net([-2, 2], [0, 0])  # its loss is (4 w^2 + b^2) / 2
lbfgs = LBFGS(valley)
s, y = np.array([1.0, 1.0]), np.array([4.0, 1.0])
lbfgs.pairs = [(s, y)]
d = lbfgs.direction(np.array([10.0, 5.0]))
print("direction", d.round(3), "  Newton", [-10 / 4, -5 / 1], "  steepest", [-10.0, -5.0])
assert np.allclose(d, [-47 / 17, -67 / 17])
assert np.allclose(lbfgs.direction(y), -s)  # what the pair says is met exactly: -H^-1 y = -s
print(inspect.getsource(LBFGS.direction))

wide_w, wide_b = np.linspace(-1, 4, 41), np.linspace(-1, 6.5, 41)
wide = (4 * wide_w[None] ** 2 + wide_b[:, None] ** 2) / 2
arrows = {"steepest descent": np.array([-10.0, -5.0]), "L-BFGS, one pair": d, "Newton": np.array([-2.5, -5.0])}
show(
    figures.descent_directions(wide_w, wide_b, wide, (2.5, 5.0), arrows),
    alt="""Level lines of a valley that is steep in w and flat in b. From the point (2.5,
    5) three arrows of equal length: steepest descent points mostly to the left, across the
    valley; Newton points straight to the lowest point at (0, 0); L-BFGS with a single pair
    points between the two, much closer to Newton.""",
    colours=64,
)

# %% [markdown]
# One pair turned the direction most of the way from "across" to "towards". All of it needs $s \cdot y > 0$: the slope
# must have risen along the step. A line search for the Wolfe conditions (the Armijo rule, and a slope that has become
# flatter) sees to that, and the library throws away pairs that fail (`LBFGS._search`).
#
# ## Step 5: four ways down one valley

# %%
makers = {
    "SGD, step 0.4": lambda net: SGD(net, lr=0.4, momentum=0),
    "SGD, step 0.1, momentum 0.8": lambda net: SGD(net, lr=0.1, momentum=0.8),
    "Armijo": lambda net: ArmijoSGD(net, lr=0.1),
    "L-BFGS": lambda net: LBFGS(net),
}
ways = {name: walk(make, 5 if name == "L-BFGS" else 20) for name, make in makers.items()}
for name, (_, losses, optimizer) in ways.items():
    print(f"{name:<28} {len(losses) - 1:>2} steps, {optimizer.evaluations:>2} evaluations, loss {losses[-1]:.1e}")
assert ways["L-BFGS"][1][-1] < 1e-8 < ways["SGD, step 0.4"][1][-1]
show(
    figures.paths_on_surface(w, b, L, {name: way[0] for name, way in ways.items()}),
    alt="""The four ways over the same valley from the same start. SGD with step 0.4
    zigzags across it on the way down. Momentum runs down in a curve, overshoots the lowest
    point and swings back. Armijo zigzags less, with steps of changing length. L-BFGS
    arrives in a handful of steps.""",
    colours=64,
)

# %% [markdown]
# And on a real net: one slice of synthetic tissue, a net with some hundred parameters, the same start for all. What
# counts is work, not steps: a trial of the Armijo rule costs a forward pass, an evaluation with its gradient about
# three.

# %%
images, labels = synthetic_membranes(1, 48, rng=rng)
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
    "SGD, 20: too large": learn(lambda net: SGD(net, lr=20.0)),
    "Armijo": learn(lambda net: ArmijoSGD(net, lr=0.5)),
    "L-BFGS": learn(lambda net: LBFGS(net)),
}
for name, (work, losses) in real.items():
    print(f"{name:<24} {len(work):>3} steps, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
assert real["L-BFGS"][1][-1] < real["L-BFGS"][1][0] and real["SGD, 20: too large"][1].max() > 1
show(
    figures.loss_curves([("work, in forward passes", real)], log=True),
    alt="""Loss against work for four optimisers on one image. SGD with step 20 jumps up at
    once and stays high. SGD with momentum, Armijo and L-BFGS all go down from about 0.7;
    L-BFGS is the lowest of them at the end.""",
    colours=64,
)

# %% [markdown]
# ## Check yourself
#
# 1. A step of 0.5 diverges on our valley although the lowest point is much further away than one step. Why?
#
#    <details><summary>Answer</summary>Because 0.5 is larger than 2 divided by the largest eigenvalue of H, 0.476.
#    Across the valley every step overshoots to a place further out.</details>
# 2. What does the Armijo rule compare, and what does a trial cost?
#
#    <details><summary>Answer</summary>The loss after the step with the loss before, less a fraction c of the decrease
#    that the gradient promises, c t |g|². A trial needs the loss only: a forward pass.</details>
# 3. Why does `ArmijoSGD` let the step grow again?
#
#    <details><summary>Answer</summary>It starts each search from the last accepted step. If it only ever shrank, one
#    steep place would make all later steps short.</details>
# 4. What is stored by L-BFGS, and how much is that?
#
#    <details><summary>Answer</summary>The last m pairs (s, y): 2 m vectors as long as the parameters, in place of a
#    matrix with the square of that many numbers.</details>
# 5. Why must L-BFGS see the same images in every step, when SGD need not?
#
#    <details><summary>Answer</summary>y = g' - g must tell how the gradient changed because the parameters moved. If
#    the images changed too, y would mix both, and s · y could even be negative.</details>

# %% [markdown]
# ## Exercises
#
# Solutions: `solutions/12.py`.
#
# **Backtracking.** Return the first $t$, shrinking from the one given, that satisfies the Armijo rule. `loss_at(theta)`
# is the loss; `g` is the gradient at `theta`.


# %% tags=["exercise"]
def backtracking(loss_at, theta, g, t, c, shrink):
    accepted = ...  # your code
    return accepted


grade_backtracking(backtracking)

# %% [markdown]
# **The two loops.** Return the direction of L-BFGS. `pairs` is a list of `(s, y)`, the oldest first; it may be empty.


# %% tags=["exercise"]
def two_loops(g, pairs):
    q = ...  # your code
    return q


grade_two_loops(two_loops)

# %% [markdown]
# ## In practice
#
# - `Recipe(optimizer="adam" | "sgd" | "armijo" | "lbfgs")` makes these optimisers for you; on the command line it is
#   `tinympcnn train --optimizer`. Adam, the default, scales every parameter's step by the size of its own gradients; it
#   is one more answer to the question of this tutorial.
# - SGD, Adam and Armijo update after every image. L-BFGS updates once per pass over all images (`set_closure`), and
#   `fit` refuses to combine it with augmentation, for the reason of question 5.
# - `ArmijoSGD` on one image at a time is a rule for that image: what is a safe step for it may be a bad one for
#   the next. The paper does exactly that, and it works, because neighbouring images ask for similar steps.
# - If a loss or a gradient stops being finite, `fit` raises `DivergenceError` and names the epoch, the image and the
#   layer.

# %% [markdown]
# ## Next
#
# [13 · Membranes](13_membranes.ipynb): from TIFF files to scores, with everything that was built so far.
