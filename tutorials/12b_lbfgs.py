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
# # 12b · L-BFGS
#
# Each gradient is used once and thrown away. Yet two gradients in a row say how the slope *changes*, and that is what
# Newton's step needs. L-BFGS (Liu and Nocedal 1989) keeps the last few pairs. The paper's steel net was trained with it
# (section 4.2). Nothing later needs this notebook.
#
# ## What you will build
#
# ![Three directions from one point of a narrow valley](banners/12b.png)
#
# Newton's direction from gradients alone, and the two loops of L-BFGS, by hand and in code.

# %% [markdown]
# ## What you need
#
# Tutorial 12 (the valley). About 20 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_training import grade_two_loops
from course.style import show, source
from course.valley import line_net, surface, walk

from tinympcnn.nn.optim import LBFGS, SGD

rng = np.random.default_rng(12)

# %% [markdown]
# ## Step 1: Newton without second derivatives
#
# Near its lowest point every smooth loss looks like a quadratic. In one dimension, with the slope $g$ and the second
# derivative $h$, the lowest point is $-g / h$ away: that is Newton's step. Two slopes give $h$: if a step $s$ changed
# the slope by $y$, then $h = y / s$.
#
# By hand: at $\theta = 0$ the slope is $-8$, at $\theta = 0.5$ it is $-6$. So $s = 0.5$, $y = 2$, $h = 4$, and Newton's
# step from $0.5$ is $6 / 4 = 1.5$, to $\theta = 2$. The loss $2 (\theta - 2)^2$ has these slopes, and 2 is its lowest
# point.
#
# In more dimensions $h$ becomes the matrix $H$, and $y = H s$ (the *secant equation*) says something about $H$ only
# along $s$.


# %%
def slope(theta):
    return 4 * (theta - 2)


s, y = 0.5 - 0.0, slope(0.5) - slope(0.0)
lowest = 0.5 - slope(0.5) / (y / s)
print("second derivative", y / s, "  lowest point", lowest)
assert (y / s, lowest) == (4, 2)

# %% [markdown]
# ## Step 2: the two loops
#
# For a net, $H$ has the square of the number of parameters. L-BFGS never writes it down. It keeps the last $m$ pairs
# $s = \theta' - \theta$, $y = g' - g$, and works out $-H^{-1} g$ as if the pairs were all there is to know.
#
# One pair first. Split $q = -g$ into a part that the pair knows about and a rest. The pair says $H^{-1} y = s$. So take
# out of $q$ as much $y$ as leaves nothing along $s$: $q - \alpha y$ with $\alpha = \frac{s \cdot q}{s \cdot y}$. The
# part $\alpha y$ is answered exactly, with $\alpha s$. The rest is answered as well as one number can, by the scale
# $\frac{s \cdot y}{y \cdot y}$. But $H$ is symmetric, so the pair also says $y \cdot (H^{-1} q) = s \cdot q$, which is
# 0 for the rest. $\beta$ takes out what the scaled rest has along $y$.
#
# With several pairs the rest goes on to the older ones. So one loop goes in, from the newest pair to the oldest, and
# takes parts out; the other comes back and puts their answers in:
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
# By hand on $L = \frac12 (4 w^2 + b^2)$, so $H = \mathrm{diag}(4, 1)$, with one pair: $s = (1, 1)$, $y = Hs = (4, 1)$,
# hence $s \cdot y = 5$ and $y \cdot y = 17$. Let $g = (10, 5)$.
#
# - First loop: $\alpha = (-10 - 5) / 5 = -3$, and $q = (-10, -5) + 3 \cdot (4, 1) = (2, -2)$.
# - Scale: $q = \frac{5}{17} (2, -2) = (0.588, -0.588)$.
# - Second loop: $\beta = (2.353 - 0.588) / 5 = 0.353$, and
#   $q = (0.588, -0.588) + (-3 - 0.353) (1, 1) = (-2.765, -3.941)$.

# %% tags=["banner"]
valley, valley_closure = line_net([-2, 2], [0, 0])  # its loss is (4 w^2 + b^2) / 2
lbfgs = LBFGS(valley)
s, y = np.array([1.0, 1.0]), np.array([4.0, 1.0])
lbfgs.pairs = [(s, y)]
d = lbfgs.direction(np.array([10.0, 5.0]))
print("direction", d.round(3), "  Newton", [-10 / 4, -5 / 1], "  steepest", [-10.0, -5.0])
assert np.allclose(d, [-47 / 17, -67 / 17])
assert np.allclose(lbfgs.direction(y), -s)  # what the pair says is met exactly: H^-1 y = s

w, b = np.linspace(-1.2, 4, 161), np.linspace(-1, 6.5, 161)
L = (4 * w[None] ** 2 + b[:, None] ** 2) / 2
newton = np.array([-2.5, -5.0])
arrows = {"steepest descent": np.array([-10.0, -5.0]), "L-BFGS, one pair": d, "Newton": newton}
show(figures.descent_directions(w, b, L, (2.5, 5.0), arrows), colours=64)
source(LBFGS.direction, fold=True)

# %% [markdown]
# One pair turned the direction most of the way towards Newton's. (The library's docstring writes $H$ for what stands in
# place of $H^{-1}$ here, as texts on L-BFGS do.)
#
# **A mistake worth remembering:** a pair with $s \cdot y \le 0$. It says that the slope *fell* along the step, so $H$
# would be negative there, and "down" comes out as up. A line search for the Wolfe conditions (the Armijo rule, and a
# slope that has become flatter) sees to it that $s \cdot y > 0$, and the library throws away pairs that fail.

# %%
bad = LBFGS(valley)
bad.pairs = [(np.array([1.0, 0.0]), np.array([-4.0, 0.0]))]
uphill = bad.direction(np.array([10.0, 0.0]))
print("with a bad pair, against the gradient (10, 0):", uphill)
assert uphill[0] > 0  # up

# %% [markdown]
# ## Step 3: down the valley of tutorial 12
#
# The start is $(0, 3)$ again.

# %%
net, closure = line_net([0, 1, 2, 3], [1, 3, 5, 7])
w, b = np.linspace(-0.6, 4.2, 161), np.linspace(-1.0, 4.0, 161)
L = surface(net, closure, w, b)
ways = {
    "SGD, step 0.4": walk(lambda net: SGD(net, lr=0.4, momentum=0), 20, net, closure),
    "L-BFGS": walk(lambda net: LBFGS(net), 5, net, closure),
}
for name, (_, losses, optimizer) in ways.items():
    steps, evaluations = len(losses) - 1, optimizer.evaluations
    print(f"{name:<13} {steps:>2} steps, {evaluations:>2} evaluations, loss {losses[-1]:.1e}")
assert ways["L-BFGS"][1][-1] < 1e-8 < ways["SGD, step 0.4"][1][-1]
show(
    figures.paths_on_surface(w, b, L, {name: way[0] for name, way in ways.items()}),
    alt="""Two ways over the same valley from the same start. SGD with step 0.4 zigzags
    across it on the way down. L-BFGS arrives in a handful of steps.""",
    colours=64,
)

# %% [markdown]
# ## Check yourself
#
# 1. What is stored by L-BFGS, and how much is that?
#
#    <details><summary>Answer</summary>The last m pairs (s, y): 2 m vectors as long as the parameters, in place of a
#    matrix with the square of that many numbers.</details>
# 2. What does L-BFGS do without any pair?
#
#    <details><summary>Answer</summary>Both loops are empty: the direction is -g, steepest descent.</details>
# 3. Why must L-BFGS see the same images in every step, when SGD need not?
#
#    <details><summary>Answer</summary>y = g' - g must tell how the gradient changed because the parameters moved. If
#    the images changed too, y would mix both, and s · y could even be negative.</details>

# %% [markdown]
# ## Exercises
#
# **The two loops.** Return the direction of L-BFGS. `pairs` is a list of `(s, y)`, the oldest first; it may be empty.
# The solution is in `solutions/12b.py`.


# %% tags=["exercise"]
def two_loops(g, pairs):
    q = ...  # your code
    return q


grade_two_loops(two_loops)

# %% [markdown]
# ## In practice
#
# L-BFGS updates once per pass over all images, and `fit` refuses to combine it with augmentation, for the reason of
# question 3. It is the choice for small sets of images and smooth losses; for many images, updates after each are
# faster.
#
# ## Next
#
# [13 · Membranes](13_membranes.ipynb): from TIFF files to scores.
