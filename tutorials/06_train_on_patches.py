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
# # 06 · Train on patches
#
# ## What you will build
#
# ![Part of an image, its true labels, the probability of the interior, and the wrong pixels.](banners/06.png)
#
# A training loop with your own net and Adam, on thousands of windows, and a segmented image.

# %% [markdown]
# ## What you need
#
# Tutorials 03 to 05b. About 30 minutes.

# %%
import time

import numpy as np
from course import figures, membranes  # not found? start Jupyter with `make tutorials`
from course.grading_patches import grade_corner, grade_guess_error
from course.style import show
from course.yours import yours

from tinympcnn import SoftmaxCrossEntropy
from tinympcnn.data import mirror
from tinympcnn.nn.losses import softmax

rng = np.random.default_rng(6)

# %% [markdown]
# ## Step 1: windows and their centres
#
# The net sees a window of $v_h \times v_w$ pixels and answers for **one** pixel, the centre: row
# $\lfloor v_h/2 \rfloor$, column $\lfloor v_w/2 \rfloor$ of the window. So that pixels at the border have a window too,
# the image is mirrored there: $\lfloor v_h/2 \rfloor$ rows above and $v_h - 1 - \lfloor v_h/2 \rfloor$ below. Then the
# window of pixel $(q, p)$ **starts** at $(q, p)$ of the mirrored image.
#
# By hand: for $v_h = 40$ the centre is row $20$, with $20$ rows above it and $40 - 1 - 20 = 19$ below. An image of 128
# rows becomes one of $128 + 39 = 167$.

# %%
task = membranes.membrane_task()  # 4 synthetic images to train on, one held out
net = membranes.membrane_net(task)  # normalises by mean and deviation of the training images
vh, vw = net.field_of_view
wide = np.stack([mirror(net.normalised(image), (vh, vw)) for image in task.images])
print(membranes.SPEC, " window", (vh, vw), " parameters", net.n_params)
print("images", task.images.shape, "-> mirrored", wide.shape)
assert (vh, vh // 2, vh - 1 - vh // 2) == (40, 20, 19) and wide.shape[1] == 167


def windows(wide, images, rows, columns):
    """Return the windows around pixels of some images, (n, vh, vw, 1)."""
    corners = zip(images, rows, columns, strict=True)
    return np.stack([wide[i, q : q + vh, p : p + vw] for i, q, p in corners])


places = [(30, 34), (64, 100), (101, 52)]
cut = windows(wide, [0] * 3, *np.transpose(places))
normalised = net.normalised(task.images[0])
assert np.array_equal(cut[:, vh // 2, vw // 2], [normalised[at] for at in places])
labels, image = [int(task.labels[0][at]) for at in places], task.images[0, :, :, 0]
show(figures.patches_and_labels(image, places, cut[..., 0], labels, vh // 2), colours=64)

# %% [markdown]
# ## Step 2: the training loop
#
# The spec printed above is the paper's notation: `C5x5x8` is a convolution with kernels of 5 x 5 and 8 output maps, and
# `FC2x2x16` a fully connected layer with 16 outputs over the 2 x 2 that are left of the window; `FC2` gives the two
# scores. A tanh follows every C and FC but the last. `MPF2x2` is a pooling layer that tutorial 08 explains;
# `net.as_patch()` has the max-pooling of tutorial 05 in its place, and **shares** all parameters. Your net of 05b can
# hold the list of its layers.
#
# One update: draw 32 random windows, forward, loss, backward, and Adam for each parameter. By hand: 300 updates look at
# 9,600 of the $4 \cdot 128^2 = 65\,536$ windows. A pass over all is called an **epoch**.

# %%
YourNet, adam = yours("05b", "YourNet"), yours("05b", "adam")
net = membranes.membrane_net(task)  # a new net each time this cell runs
layers, loss = net.as_patch().layers, SoftmaxCrossEntropy()
by_hand = YourNet(layers)
params = [(layer.params[name], layer.grads[name]) for layer in layers for name in layer.params]
means = [(0 * theta, 0 * theta) for theta, _ in params]  # Adam's m and v
first_kernels = layers[0].params["W"].copy()

rows, columns = membranes.held_pixels(task).T  # 500 pixels of the image that is held out
held_wide = mirror(net.normalised(task.held_image), (vh, vw))[None]
held = windows(held_wide, [0] * len(rows), rows, columns)
held_target = task.held_labels[rows, columns]


def update(number, n=32):
    """Train on n random windows; return their loss before the step."""
    i, q, p = (rng.integers(0, size, n) for size in task.labels.shape)
    scores = by_hand.forward(windows(wide, i, q, p))
    value = loss.forward(scores, task.labels[i, q, p].reshape(n, 1, 1))
    by_hand.backward(loss.backward())
    for k, (theta, g) in enumerate(params):
        theta[...], *means[k] = adam(theta, g, *means[k], number, lr=0.003)
        g[...] = 0
    return value


curve, seconds, recent = [], 0.0, []
for number in range(1, 301):
    start = time.perf_counter()
    recent.append(update(number))
    seconds += time.perf_counter() - start
    if number in (1, 5, 10) or number % 20 == 0:
        answers = by_hand.forward(held, train=False).argmax(axis=-1).ravel()
        error = float((answers != held_target).mean())
        mean, recent = float(np.mean(recent)), []
        point = {"seconds": seconds, "windows": 32 * number, "updates": number}
        curve.append(point | {"loss": mean, "error": error})
        if number % 100 == 0:
            print(f"update {number}: {32 * number} windows, loss {mean:.3f}, error {error:.1%}")
assert abs(curve[0]["loss"] - np.log(2)) < 0.1  # the first check of 05b
theirs = net.as_patch().forward(held[:4], train=False)
assert np.allclose(by_hand.forward(held[:4], train=False), theirs)

# %% [markdown]
# The loss is measured on the windows that the net trains on, the error on 500 pixels of an image that it has never
# seen. The error jumps, because 500 pixels are few and the rate stays fixed. Compare the error with that of a rule
# without any net, which always answers with the more frequent class.

# %%
guess = min(held_target.mean(), 1 - held_target.mean())
late = np.mean([point["error"] for point in curve[-5:]])
print(f"always 'interior': {guess:.1%} wrong; the net: {late:.1%}")
assert late < 0.85 * guess
show(figures.learning_curves({"patches": curve}, guess))
path = membranes.keep_curve("06_patches", curve)  # for tutorial 11
print(f"your curve is kept in {path.name}", end="; ")
print(f"trained on {curve[-1]['windows'] / seconds:.0f} windows per second")

# %% [markdown]
# ## Step 3: what has it learnt?
#
# The eight kernels of the first layer began as noise, and after so short a training they still resemble noise. Their
# maps tell more: one is blurred and shows membranes bright, others answer to edges of one direction. By hand: a map of
# a $128 \times 128$ image has $128 - 5 + 1 = 124$ rows.

# %%
kernels = layers[0].params["W"]
maps = layers[0].forward(net.normalised(task.held_image)[None], train=False)[0]
change = float(np.abs(kernels - first_kernels).mean() / np.abs(first_kernels).mean())
print(f"maps {maps.shape}", end="; ")
print(f"the weights of the first layer have moved by {change:.0%} of their size")
assert maps.shape == (124, 124, 8) and change > 0.1
before, after = first_kernels[:, :, 0], kernels[:, :, 0]
show(figures.kernels_and_maps(before, after, maps[20:84, 20:84]), colours=48)

# %% [markdown]
# ## Step 4: segment, and a mistake worth remembering
#
# To segment a part of the held-out image, classify the window of every pixel in it. The mistake: forget that a window's
# answer belongs to its **centre**, and write it to the pixel where the window starts. We compare the answers with the
# labels $d$ rows and columns from the window's corner, for every $d$ from 0 to 39. By hand: the answer for the window
# that starts at $(20, 20)$ belongs to the pixel $(40, 40)$.

# %% tags=["banner"]
inner = net.normalised(task.held_image)[None]  # not mirrored: a window starts at each (q, p)
n = 48
start = time.perf_counter()
probability = np.zeros((n, n))
for q in range(n):  # one row of windows at a time
    row = windows(inner, [0] * n, [20 + q] * n, range(20, 20 + n))
    scores = by_hand.forward(row, train=False)
    probability[q] = softmax(scores)[:, 0, 0, 1]
print(f"{n * n} windows in {time.perf_counter() - start:.1f} s")
errors = []
for d in range(vh):
    claimed = task.held_labels[20 + d : 20 + d + n, 20 + d : 20 + d + n]
    errors.append(float(((probability > 0.5) != claimed).mean()))
best = int(np.argmin(errors))
print(f"corner: {errors[0]:.1%}  centre: {errors[vh // 2]:.1%}  smallest at d = {best}")
whole = (net.segment(task.held_image).argmax(axis=-1) != task.held_labels).mean()
print(f"the net on the whole image, mirrored at its borders: {whole:.1%}")
assert errors[16] > 2 * errors[vh // 2] and abs(best - vh // 2) <= 1

at = np.s_[20 + vh // 2 : 20 + vh // 2 + n, 20 + vw // 2 : 20 + vw // 2 + n]
pictures = task.held_image[..., 0][at], task.held_labels[at], probability
show(figures.segmentation(*pictures, errors[vh // 2]), colours=64)

# %%
show(figures.best_offset(errors, vh // 2))

# %% [markdown]
# (The segmented part is easier than the whole image.) A shift of four pixels undoes what the training has gained, and
# the picture still *looks* like membranes. If an error refuses to fall, draw this curve: its smallest value should
# stand at `vh // 2`.

# %% [markdown]
# ## Check yourself
#
# 1. The window is 65 x 65. Which pixel of it is the label's?
#
#    <details><summary>Answer</summary>Row 32, column 32, counted from 0: 65 // 2.</details>
#
# 2. With which mean and deviation is the held-out image normalised?
#
#    <details><summary>Answer</summary>With those of the training images, which the net keeps.</details>
#
# 3. The net is wrong on 15 % of the pixels. Is that good?
#
#    <details><summary>Answer</summary>It depends on what guessing gives. Where one class has 85 % of the pixels, the
#    constant answer is as good.</details>

# %% [markdown]
# ## Exercises
#
# Solutions: `solutions/06.py`.
#
# **First**, the corner at which the window of pixel $(q, p)$ starts in an image that is *not* mirrored. **Second**, the
# error of the rule that always answers with the most frequent class, for any number of classes.


# %% tags=["exercise"]
def corner(q, p, vh, vw):
    return ...  # your code: (row, column)


grade_corner(corner)


# %% tags=["exercise"]
def guess_error(labels):
    return ...  # your code: labels are integers from 0 on, of any shape


grade_guess_error(guess_error)

# %% [markdown]
# ## In practice
#
# Always hold an image out, and draw the patches of one batch from everywhere: neighbouring windows are nearly the same.
# Ciresan and others trained patch by patch in 2012, the nets N3 and N4 of `tinympcnn.zoo`.

# %% [markdown]
# ## Next
#
# Most of this work was wasted, and the waste can be counted: [07 · Count the waste](07_count_the_waste.ipynb).
