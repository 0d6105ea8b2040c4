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
# # 03 · Check a gradient
#
# ## What you will build
#
# ![Gradients: with ones a right and a wrong layer look alike, with random numbers not.](banners/03.png)
#
# A tool that tells whether a hand-derived backward pass is right. One number checks a thousand derivatives.
#
# ## What you need
#
# Tutorials 01 and 02, and derivatives. About 35 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_basics import grade_central_difference, grade_checker, grade_slope_along
from course.style import show

from tinympcnn import Conv, MaxPool, MaxPoolFragment, Tanh
from tinympcnn.gradcheck import check_layer

rng = np.random.default_rng(3)

# %% [markdown]
# ## Step 1: a slope from two values
#
# The derivative says how much $f$ changes if $x$ does. A step to both sides gives the **central difference**:
#
# $$ f'(x) \approx \frac{f(x+h) - f(x-h)}{2h}, \qquad \text{error} \approx \frac{h^2}{6} f'''(x) . $$
#
# The error comes from Taylor's $f(x \pm h) = f \pm h f' + \frac{h^2}{2} f'' \pm \frac{h^3}{6} f''' +
# \dots$: in the difference of the two, $f$ and $f''$ cancel. A step to one side keeps $f''$, and its error,
# $\frac{h}{2} f''(x)$, is much larger. By hand, $f(x) = x^3$ at $x = 1$ has the derivative $3$. With $h = 0.1$, one
# side gives $(1.331 - 1)/0.1 = 3.31$, and both sides give $(1.331 - 0.729)/0.2 = 3.01$: the error is
# $0.1^2/6\cdot 6 = 0.01$.


# %%
def cube(x):
    return x**3


one_side = (cube(1 + 0.1) - cube(1)) / 0.1
both_sides = (cube(1 + 0.1) - cube(1 - 0.1)) / 0.2
print(f"one side {one_side:.4f}   both sides {both_sides:.4f}   derivative 3")
assert np.isclose(one_side, 3.31) and np.isclose(both_sides, 3.01)

# %% [markdown]
# ## Step 2: how small should the step be?
#
# A smaller step makes Taylor's error smaller and another one larger: a computer keeps $f$ to a relative precision
# $\varepsilon$ only, and dividing by $2h$ magnifies what was rounded away. Together
#
# $$ \text{error} \approx \frac{h^2}{6}\,|f'''| + \frac{\varepsilon\,|f|}{h}, \qquad
#    h_{\text{best}} = \Big(\frac{3\,\varepsilon\,|f|}{|f'''|}\Big)^{1/3} . $$
#
# By hand, for $f = \exp$ at $x = 0$, where $f = f''' = 1$. In float64, $\varepsilon \approx 1.1\cdot10^{-16}$ and
# $h_{\text{best}} \approx (3.3\cdot10^{-16})^{1/3} \approx 6.9\cdot10^{-6}$. In float32,
# $\varepsilon \approx 6\cdot10^{-8}$ and $h_{\text{best}} \approx 5.6\cdot10^{-3}$; the best error is about $10^{-5}$,
# which hides many mistakes.

# %%
h = np.logspace(-12, 0, 73)
errors, best = {}, {}
for dtype in (np.float64, np.float32):
    step, zero = h.astype(dtype), dtype(0)
    slope = (np.exp(zero + step) - np.exp(zero - step)) / (2 * step)
    errors[dtype.__name__] = np.maximum(abs(slope.astype(float) - 1), 1e-13)
    eps = np.finfo(dtype).eps / 2
    best[dtype.__name__] = (3 * eps) ** (1 / 3)
    print(f"{dtype.__name__}: best step by the formula {best[dtype.__name__]:.1e}, ", end="")
    print(f"error at 1e-6: {errors[dtype.__name__][np.argmin(abs(h - 1e-6))]:.1e}")
assert np.allclose([best["float64"], best["float32"]], [6.9e-6, 5.6e-3], rtol=0.01)
assert errors["float64"].min() < 1e-9 < 1e-6 < errors["float32"].min()

show(figures.step_errors(h, errors, 1e-6), colours=64)

# %% [markdown]
# The library steps by `h=1e-6` in float64, a little left of the lowest point: a smaller step crosses fewer of the kinks
# of step 5.
#
# ## Step 3: one direction checks all derivatives at once
#
# With $n$ parameters, $n$ central differences take $2n$ forward passes. Step along a direction $v$ instead. The slope
# along it is the gradient times the direction, summed:
#
# $$ \frac{f(x + h v) - f(x - h v)}{2h} \approx \sum_i \frac{\partial f}{\partial x_i}\, v_i . $$
#
# If $v$ is random, a wrong derivative anywhere changes this number. By hand: $f(x_1, x_2) = x_1 x_2^2$ at $(3, 2)$ has
# the gradient $(x_2^2,\; 2 x_1 x_2) = (4, 12)$. Along $v = (1, -1)$ the slope is $4 - 12 = -8$.


# %%
def f(x):
    return x[0] * x[1] ** 2


at, gradient, v, step = np.array([3.0, 2]), np.array([4.0, 12]), np.array([1.0, -1]), 1e-6
numeric = (f(at + step * v) - f(at - step * v)) / (2 * step)
print(f"gradient times direction {gradient @ v:.6f}   difference {numeric:.6f}")
assert gradient @ v == -8 and abs(numeric + 8) < 1e-6

wrong = np.array([4.0, 6])  # the 2 of 2 x1 x2 forgotten
print(f"with a wrong second derivative: {wrong @ v:.6f}")
assert abs(wrong @ v - numeric) > 1

# %% [markdown]
# ## Step 4: a layer, and a mistake worth remembering
#
# A layer returns an array $y$. In a net, a loss $L$ comes after the layer: one number, how wrong the net is. `backward`
# receives how $L$ changes with each number of $y$: the **upstream gradient** `dy`. It returns `dx`, how $L$ changes
# with $x$. To test a layer alone, invent a loss: $L = \sum_k \mathrm{d}y_k\, y_k$ for a fixed `dy`. Its derivatives
# with respect to $y$ are `dy`, and `backward` learns nothing else of any loss, so an invented loss is as good as a real
# one. Then
#
# $$ \sum_i \mathrm{d}x_i\, v_i \;\approx\; \frac{1}{2h} \sum_k \mathrm{d}y_k\,
#    \big(y_k(x + h v) - y_k(x - h v)\big) . $$
#
# By hand, for tanh at $x = 0$ with $\mathrm{d}y = 3$: the slope of tanh is $1$ there, so $\mathrm{d}x = 3$.
#
# `backward` needs what the last `forward` has kept; with `train=False`, `forward` keeps nothing.


# %%
def slopes(layer, x, dy, rng, h=1e-6):
    """Return the slope along a random direction: by backward, and by a central difference."""
    v = rng.standard_normal(x.shape)
    layer.forward(x)
    analytic = (layer.backward(dy) * v).sum()
    y_plus = layer.forward(x + h * v, train=False)
    y_minus = layer.forward(x - h * v, train=False)
    return float(analytic), float((dy * (y_plus - y_minus)).sum() / (2 * h))


tanh = Tanh()
tanh.forward(np.zeros((1, 1, 1, 1)))
print("dx at 0 with dy = 3:", tanh.backward(np.full((1, 1, 1, 1), 3.0)).item())

x = rng.standard_normal((2, 3, 4, 2))
analytic, numeric = slopes(Tanh(), x, rng.standard_normal(x.shape), rng)
print(f"Tanh: by backward {analytic:+.9f}   by differences {numeric:+.9f}")
assert abs(analytic - numeric) < 1e-6 * abs(analytic)

# %% [markdown]
# Which `dy`? Ones are tempting. `MaxPoolFragment` (tutorial 08) turns one map into four small ones, called fragments,
# in a fixed order. Here is a version whose backward pass swaps the second and the third. Does the check see it?


# %% tags=["banner"]
class Swapped(MaxPoolFragment):
    def backward(self, dy):
        return super().backward(dy[[0, 2, 1, 3]])


x = rng.permutation(np.linspace(-2, 2, 35)).reshape(1, 5, 7, 1)  # no two values are close
shape = Swapped(2).forward(x).shape
maps, found = {}, {}
for name, dy in {"ones": np.ones(shape), "random": rng.standard_normal(shape)}.items():
    a, n = found[name] = slopes(Swapped(2), x, dy, rng)
    print(f"dy of {name:<7} by backward {a:+.6f}   by differences {n:+.6f}", end="   ")
    print("equal:", np.isclose(a, n))
    for what, layer in {"right": MaxPoolFragment(2), "swapped": Swapped(2)}.items():
        layer.forward(x)
        maps[f"dy of {name}:\n{what}"] = layer.backward(dy)[0, :, :, 0]
assert np.isclose(*found["ones"]) and not np.isclose(*found["random"])

show(
    figures.pictures(
        maps,
        columns=4,
        low=-2,
        high=2,
        size=1.75,
        note="white: positive, grey: zero, black: negative",
    ),
    alt="Four small pictures of the gradient of the input, 5 by 7 pixels. With an upstream "
    "gradient of ones, the right layer and the one that swaps two fragments give the same "
    "picture. With a random one, the two pictures differ.",
    colours=64,
)

# %% [markdown]
# With ones, every fragment brings the same gradient, and no order is wrong. **The upstream gradient must be random.**
#
# ## Step 5: kinks
#
# A maximum has a kink where its winner changes, and no derivative there. For $f(x) = \max(x, 0)$,
#
# $$ \frac{f(x+h) - f(x-h)}{2h} = \frac{x + h}{2h} \quad\text{if } |x| < h , $$
#
# which is neither $0$ nor $1$. By hand, at $x = 0.1$ with $h = 0.3$: $(0.4 - 0)/0.6 = 2/3$. With $h = 0.05$ the step
# stays on one side, and the slope is $(0.15 - 0.05)/0.1 = 1$.


# %%
def ramp(x):
    return np.maximum(x, 0)


cuts = [(0.1, 0.3), (0.1, 0.05)]
values = [(ramp(c + s) - ramp(c - s)) / (2 * s) for c, s in cuts]
print("slopes at 0.1 with h = 0.3 and 0.05:", np.round(values, 4))
assert np.allclose(values, [2 / 3, 1])

labels = ["h = 0.3: across the kink, slope 2/3", "h = 0.05: beside it, slope 1"]
secants = [(*cut, label) for cut, label in zip(cuts, labels, strict=True)]
grid = np.linspace(-0.5, 0.6, 99)
show(figures.kink(grid, ramp(grid), secants, ramp), colours=64)

# %% [markdown]
# So a check of a max layer takes evenly spaced numbers in random order: no two are close, and a step of $10^{-6}$
# changes no winner. Where a step does, the library says *kink*, and not *wrong*. `MaxPool(2)` (tutorial 05) takes the
# largest of every 2 x 2 pixels; here all of them are equal.

# %%
report = check_layer(MaxPool(2), x=np.ones((1, 4, 6, 1)))
print(report)
assert report.checks[0].kink and not report.ok

# %% [markdown]
# ## Step 6: the library's checker
#
# `check_layer` does all of the above for the input and every parameter, with relative errors:
#
# $$ \text{error} = \frac{|\text{analytic} - \text{numeric}|}{\max(|\text{analytic}|, |\text{numeric}|, \dots)} . $$
#
# Up to $10^{-6}$ is right. The dots keep the error from exploding where the slope is near zero. By hand: $2.001$
# against $2$ is an error of $0.001/2.001 \approx 5\cdot10^{-4}$, five hundred times what is allowed.

# %%
print(check_layer(Conv(2, 3, (3, 2), rng=rng)).raise_if_wrong())
print(f"2.001 against 2: {abs(2.001 - 2) / max(2.001, 2):.1e}")
assert round(abs(2.001 - 2) / max(2.001, 2), 6) == 5e-4


# And if a gradient is wrong, it says in words what is wrong. This layer forgets that gradients add up (tutorial 04):
class Forgetful(Conv):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["b"][...] = dy.sum(axis=(0, 1, 2))  # = where += is wanted
        return dx


for layer, shape in ((Forgetful(2, 3, (3, 2), rng=0), None), (Swapped(2), (1, 5, 7, 1))):
    report = check_layer(layer, shape=shape)
    wrong_ones = [check for check in report.checks if not check.ok]
    print("\n".join(f"{type(layer).__name__}: {check.message}" for check in wrong_ones))
    assert not report.ok

# %% [markdown]
# ## Check yourself
#
# 1. How many forward passes check a layer with 1,000 weights?
#
#    <details><summary>Answer</summary>Two, besides the one before backward.</details>
# 2. Why must dy be random?
#
#    <details><summary>Answer</summary>With ones, all outputs count alike, and a wrong order passes.</details>
# 3. What is a kink, and is it a mistake in your code?
#
#    <details><summary>Answer</summary>A place where a maximum changes its winner. The function has no derivative there,
#    so the check says nothing about your code.</details>

# %% [markdown]
# ## Exercises
#
# In the third, write the whole checker: return True if `layer.backward` is right at `x`. Solutions: `solutions/03.py`.


# %% tags=["exercise"]
def central_difference(f, x, h):
    """Return the slope of f at x, by a step of h to both sides."""
    return ...  # your code


grade_central_difference(central_difference)


# %% tags=["exercise"]
def slope_along(gradient, v):
    """Return the slope along the direction v; both arrays have one shape, whatever it is."""
    return ...  # your code


grade_slope_along(slope_along)


# %% tags=["exercise"]
def is_right(layer, x, rng):
    """Tell whether what `layer.backward(dy)` returns is right, to a relative error of 1e-5."""
    ...  # your code


grade_checker(is_right)

# %% [markdown]
# ## In practice
#
# `check_layer` also checks that `backward` adds to the gradients it finds and writes into neither `x` nor `dy`
# (`tinympcnn/gradcheck/differences.py`).
#
# ## Next
#
# [04 · Backprop through convolution and tanh](04_backprop_conv_and_tanh.ipynb): the first backward passes.
