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
# # NN · Title
#
# One or two sentences: the question this tutorial answers. This file shows the form; `tests/test_tutorials.py`
# holds every tutorial to it: these headings in this order, 15 to 25 cells, the seed set once.

# %% [markdown]
# ## What you will build
#
# What the reader has at the end, and the figure that shows it. `build.py` makes this file from the cell tagged
# `banner`: `![What is to be seen, which is the alternative text.](banners/NN.png)`

# %% [markdown]
# ## What you need
#
# Which tutorials before this one, what mathematics, how many minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading import grade
from course.style import show, source

from tinympcnn import Tanh

rng = np.random.default_rng(0)  # the tutorial's number; the only seed

# Only where the full size takes more than 20 s, in a cell of its own:
# SMALL = os.environ.get("TUTORIALS_SMALL") == "1"

# %% [markdown]
# ## Step 1: a formula, a small case, code, an assertion
#
# The formula: $y = \tanh x$ and $\mathrm{d}x = \mathrm{d}y\,(1 - y^2)$.
#
# By hand: $x = 0$ gives $y = 0$; an upstream gradient of $3$ comes out as $3 \cdot (1 - 0) = 3$.

# %%
layer = Tanh()
y = layer.forward(np.zeros((1, 1, 1, 1)))
dx = layer.backward(np.full((1, 1, 1, 1), 3.0))
print("y =", y.item(), " dx =", dx.item())
assert y.item() == 0 and dx.item() == 3

# %% [markdown]
# The library's own code is shown from its source, never copied; what the reader wrote in an earlier tutorial is taken
# from there: `YourConv = yours("04", "YourConv")`, with `from course.yours import yours`. A figure that is drawn once
# carries its words, `told` in its function in `course/`; for a general one the words stand here.

# %% tags=["banner"]
source(Tanh.backward)
fig = figures.matrix([[1, 2], [3, 4]], title="one idea")
show(fig, alt="A two by two matrix: 1 and 2 in the upper row, 3 and 4 in the lower.")

# %% [markdown]
# ## Step 2: a mistake worth remembering
#
# What goes wrong, and how it looks when it does.

# %% [markdown]
# ## Check yourself
#
# 1. A question of recall? Five of them.
#
#    <details><summary>Answer</summary>Folded, in one or two sentences.</details>

# %% [markdown]
# ## Exercises
#
# Fill the blanks (`...  # your code`), run the cell, read the verdict. The cell works with the first code cell and
# with cells tagged `setup` alone. The solutions are in `solutions/NN.py`.


# %% tags=["exercise"]
class YourTanh(Tanh):
    def backward(self, dy):
        y = self.take_cache()
        dx = ...  # your code
        return dx


grade(YourTanh(), like=Tanh())

# %% [markdown]
# ## In practice
#
# How the library, and real use, differ from what was built here; where in the source to look.

# %% [markdown]
# ## Next
#
# What comes next, and why.
