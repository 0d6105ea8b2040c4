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
# The layers are written and checked. Now a net of them learns to tell, for one pixel, whether it lies on a membrane,
# from the window of pixels around it.

# %% [markdown]
# ## What you will build
#
# A loss for classification and its gradient, a training loop that cuts random windows ("patches") out of images, a
# learning curve, and a segmented image, one window at a time. If you stop here, you have a network that works.

# %% [markdown]
# ## What you need
#
# Tutorials 03 to 05. From calculus, the derivative of $\exp$ and $\log$. About 40 minutes.

# %%
import time

import numpy as np
from course import figures, membranes  # not found? start Jupyter with `make tutorials`
from course.grading_patches import grade_corner, grade_score_gradient
from course.style import show

from tinympcnn import SoftmaxCrossEntropy
from tinympcnn.data import mirror
from tinympcnn.gradcheck import check_loss
from tinympcnn.nn.losses import softmax
from tinympcnn.nn.optim import Adam

rng = np.random.default_rng(6)

# %% [markdown]
# ## Step 1: from scores to probabilities
#
# The last layer gives one *score* $s_k$ for each class, any number. `softmax` makes probabilities of them, positive
# and with sum 1:
#
# $$p_k = \frac{e^{s_k}}{\sum_m e^{s_m}}$$
#
# By hand: the scores $(0,\, 0,\, \log 2)$ have exponentials $(1, 1, 2)$ with sum 4, so $p = (0.25,\, 0.25,\, 0.5)$.
# Adding the same number to all scores changes nothing; the library subtracts the largest score, so that no
# exponential overflows.

# %%
s = np.array([0, 0, np.log(2)])
p = softmax(s)
print("p =", p.round(4), "  with 1000 added:", softmax(s + 1000).round(4))
assert np.allclose(p, [0.25, 0.25, 0.5]) and np.allclose(softmax(s + 1000), p)

# %% [markdown]
# ## Step 2: the cross-entropy and its gradient
#
# If $t$ is the right class, the loss of this pixel is $L = -\log p_t$: zero if the net is sure and right, large if it
# is sure and wrong. Insert softmax and differentiate:
#
# $$L = -s_t + \log \sum_m e^{s_m}, \qquad
#   \mathrm{d}s_k = \frac{\partial L}{\partial s_k} = \frac{e^{s_k}}{\sum_m e^{s_m}} - [k = t] = p_k - [k = t]$$
#
# $[k = t]$ is 1 for the right class and 0 else: the *one-hot* vector of $t$. By hand, with the scores from above and
# $t = 0$: $L = -\log 0.25 = \log 4 \approx 1.386$ and $\mathrm{d}s = (0.25 - 1,\; 0.25,\; 0.5) = (-0.75,\; 0.25,\;
# 0.5)$. A step against the gradient raises the score of the right class and lowers the others, most of all the one
# the net preferred wrongly.

# %%
loss = SoftmaxCrossEntropy()
value = loss.forward(s.reshape(1, 1, 1, 3), np.array([[[0]]]))
ds = loss.backward().ravel()
print(f"L = {value:.3f}  ds = {ds.round(3)}")
assert np.isclose(value, np.log(4)) and np.allclose(ds, [-0.75, 0.25, 0.5]) and np.isclose(ds.sum(), 0)
scores, labels = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 5, (2, 3, 4))
assert check_loss(SoftmaxCrossEntropy(), scores, labels)
show(
    figures.score_gradients(p, 0),
    alt="Three bar charts over three classes. The probabilities 0.25, 0.25 and 0.5; the one-hot "
    "label 1, 0, 0; and their difference, the gradient: minus 0.75, 0.25 and 0.5.",
)

# %% [markdown]
# The library takes the mean over all pixels that count, so each pixel's gradient is divided by their number.
#
# ## Step 3: windows and their centres
#
# The net sees a window of $P \times Q$ pixels and answers for **one** pixel: the one at row $\lfloor P/2 \rfloor$,
# column $\lfloor Q/2 \rfloor$ of the window, called its centre. So that pixels at the border have a window too, the
# image is mirrored there: $\lfloor P/2 \rfloor$ rows above, $P - 1 - \lfloor P/2 \rfloor$ below. Then the window of
# pixel $(r, c)$ **starts** at $(r, c)$ of the mirrored image.
#
# By hand: $P = 40$ is even, so there is no pixel exactly in the middle; the centre is row $20$, with $20$ rows above
# it and $40 - 1 - 20 = 19$ below. An image of 128 rows becomes one of $128 + 39 = 167$.

# %%
task = membranes.membrane_task()  # 4 synthetic images to train on, one held out
net = membranes.membrane_net(task)  # normalises with the mean and deviation of the training images
P, Q = net.field_of_view
wide = np.stack([mirror(net.normalised(image), (P, Q)) for image in task.images])
print(membranes.SPEC, " window", (P, Q), " parameters", net.n_params)
print("images", task.images.shape, "-> mirrored", wide.shape)
assert (P, P // 2, P - 1 - P // 2) == (40, 20, 19) and wide.shape[1] == 167


def windows(wide, i, r, c):
    """Return the windows around the pixels (r, c) of images i, (n, P, Q, 1)."""
    return np.stack([wide[a, q : q + P, p : p + Q] for a, q, p in zip(i, r, c, strict=True)])


places = [(30, 34), (64, 100), (101, 52)]
cut = windows(wide, [0] * 3, *np.transpose(places))
normalised = net.normalised(task.images[0])
assert all(patch[P // 2, Q // 2] == normalised[at] for patch, at in zip(cut, places, strict=True))
show(
    figures.patches_and_labels(
        task.images[0, :, :, 0], places, cut[..., 0], [int(task.labels[0][at]) for at in places], P // 2
    ),
    alt="A synthetic micrograph with dark membranes around bright cells, three windows of 40 by "
    "40 pixels framed in it. Beside it the three windows with a circle at their centre and "
    "the label of that pixel, membrane or interior.",
    colours=64,
)

# %% [markdown]
# ## Step 4: the training loop
#
# The spec printed above is the paper's notation: `C5x5x8` is a convolution with kernels of 5 x 5 and 8 output maps,
# `MPF2x2` a pooling layer, `FC2x2x16` a fully connected layer over what is left of the window, 2 x 2, with 16 outputs,
# and `FC2` one over single pixels. A tanh follows every C and FC but the last.
#
# Our net is written with `MaxPoolFragment` layers, which tutorial 08 explains. `net.as_patch()` is the same net with
# the `MaxPool` layers of tutorial 05 in their place; it **shares** the parameters. It turns patches `(n, 40, 40, 1)`
# into scores `(n, 1, 1, 2)`.
#
# One update: draw a batch of 32 random windows, forward, loss, backward, and a step of the optimiser. `Adam` is
# gradient descent in which each parameter gets a step size of its own; tutorial 12 opens the box. What the optimiser
# needs from us is a function that returns the loss and leaves the gradient in the net.

# %%
net = membranes.membrane_net(task)  # a new net each time this cell runs
patch_net, loss = net.as_patch(), SoftmaxCrossEntropy()
optimizer = Adam(net, lr=0.003)
rows, columns = membranes.held_pixels(task).T  # 500 pixels of the image that is held out
held_wide = mirror(net.normalised(task.held_image), (P, Q))[None]
held, held_target = windows(held_wide, [0] * len(rows), rows, columns), task.held_labels[rows, columns]


def update(n=32):
    """Train on n random windows."""
    i, r, c = (rng.integers(0, size, n) for size in task.labels.shape)
    x, target = windows(wide, i, r, c), task.labels[i, r, c].reshape(n, 1, 1)

    def closure(grad=True):
        value = loss.forward(patch_net.forward(x), target)
        net.zero_grads()
        patch_net.backward(loss.backward(), input_grad=False)
        return value

    return optimizer.step(closure)


curve, seconds, recent = [], 0.0, []
for step in range(1, 301):
    start = time.perf_counter()
    recent.append(update())
    seconds += time.perf_counter() - start
    if step in (1, 5, 10) or step % 20 == 0:
        error = float((patch_net.forward(held, train=False).argmax(axis=-1).ravel() != held_target).mean())
        mean, recent = np.mean(recent), []
        point = {"seconds": seconds, "windows": 32 * step, "updates": step, "loss": mean, "error": error}
        curve.append(point)
        if step % 100 == 0:
            print(f"update {step}: {32 * step} windows, loss {mean:.3f}, error {error:.1%}")
assert abs(curve[0]["loss"] - np.log(2)) < 0.1  # a new net cannot tell two classes apart

# %% [markdown]
# Loss and error are measured on different windows: the loss on those it trains on, the error on 500 pixels of an
# image it has never seen. Compare the error with that of a rule without any net, which always answers with the more
# frequent class.

# %%
guess = min(held_target.mean(), 1 - held_target.mean())
late = np.mean([point["error"] for point in curve[-5:]])
print(f"always 'interior': {guess:.1%} wrong; the net: {late:.1%}")
assert late < 0.85 * guess
show(
    figures.learning_curves({"patches": curve}, guess),
    alt="The error on held-out pixels, against the number of windows seen and against seconds. "
    "It starts above the error of the constant answer, which is drawn as a line, and falls to "
    "little more than half of it, with the ups and downs of small batches.",
)
path = membranes.keep_curve("06_patches", curve)  # for tutorial 11
print(f"your curve is kept in {path.name}; trained on {curve[-1]['windows'] / seconds:.0f} windows per second")

# %% [markdown]
# ## Step 5: segment, and a mistake worth remembering
#
# To segment a part of the held-out image, classify the window of every pixel in it. The mistake: forget that a
# window's answer belongs to its **centre**, and write it to the pixel where the window starts. We hold the answers of
# all windows against the labels that lie $d$ rows and columns from the window's corner, for every $d$ from 0 to 39.

# %%
inner = net.normalised(task.held_image)[None]  # not mirrored: a window for each corner (q, p) that fits
n = 48
start = time.perf_counter()
probability = np.zeros((n, n))
for q in range(n):  # one row of windows at a time
    scores = patch_net.forward(windows(inner, [0] * n, [20 + q] * n, range(20, 20 + n)), train=False)
    probability[q] = softmax(scores)[:, 0, 0, 1]
print(f"{n * n} windows in {time.perf_counter() - start:.1f} s")
errors = []
for d in range(P):
    claimed = task.held_labels[20 + d : 20 + d + n, 20 + d : 20 + d + n]
    errors.append(float(((probability > 0.5) != claimed).mean()))
best = int(np.argmin(errors))
print(f"corner: {errors[0]:.1%}  centre: {errors[P // 2]:.1%}  smallest at d = {best}")
assert errors[16] > 2 * errors[P // 2] and abs(best - P // 2) <= 1

# %%
at = np.s_[20 + P // 2 : 20 + P // 2 + n, 20 + Q // 2 : 20 + Q // 2 + n]
show(
    figures.segmentation(task.held_image[..., 0][at], task.held_labels[at], probability, errors[P // 2]),
    alt="Four pictures of the same part of the held-out image: grey values, labels, the "
    "probability of the interior, which shows the membranes somewhat blurred, and the wrongly "
    "classified pixels, most of them along membranes.",
    colours=64,
)
show(
    figures.best_offset(errors, P // 2),
    alt="The error against the assumed offset from window corner to labelled pixel. It is high at "
    "the corner, falls steeply towards offset 20, the centre, where it is smallest, and rises "
    "steeply behind it.",
)

# %% [markdown]
# A shift of four pixels undoes what the training has gained, and the picture still *looks* like membranes. If an
# error refuses to fall, draw this curve: its smallest value should stand at $P // 2$.

# %% [markdown]
# ## Check yourself
#
# 1. A net with two classes gives equal scores. What is the loss, and what the gradient for $t = 1$?
#
#    <details><summary>Answer</summary>log 2, about 0.693; ds = (0.5, -0.5).</details>
#
# 2. Why does the sum of the gradient over the classes vanish?
#
#    <details><summary>Answer</summary>The probabilities sum to 1 and so does the one-hot vector. Adding one number to
#    all scores does not change the loss.</details>
#
# 3. The window is 65 x 65. Which pixel of it is the label's?
#
#    <details><summary>Answer</summary>Row 32, column 32, counted from 0: 65 // 2.</details>
#
# 4. With which mean and deviation is the held-out image normalised?
#
#    <details><summary>Answer</summary>With those of the training images, which the net keeps. Its own would be
#    another task for the net, and could not be had for a single patch.</details>
#
# 5. The net is wrong on 15 % of the pixels. Is that good?
#
#    <details><summary>Answer</summary>It depends on what guessing gives. Where one class has 85 % of the pixels, the
#    constant answer is as good.</details>

# %% [markdown]
# ## Exercises
#
# Fill the blanks (`...  # your code`), run the cell, read the verdict. The solutions are in `solutions/06.py`.
#
# Write the gradient of the cross-entropy, mean over pixels, for `scores` of shape `(n, K)` and labels `target` of
# shape `(n,)`; and the corner at which the window of pixel `(r, c)` starts in an image that is *not* mirrored.


# %% tags=["exercise"]
def score_gradient(scores, target):
    p = softmax(scores)
    onehot = np.eye(scores.shape[1])[target]
    return ...  # your code


def corner(r, c, P, Q):
    return ...  # your code: (row, column)


grade_score_gradient(score_gradient)
grade_corner(corner)

# %% [markdown]
# ## In practice
#
# - Always hold an image out. The error on training windows says how well the net remembers.
# - Patches of one batch should come from everywhere. Neighbouring windows are nearly the same and teach nearly the
#   same.
# - If one class is rare, weigh it: `SoftmaxCrossEntropy(class_weights)` and `balanced_weights` (tutorial 14).
# - Patch by patch was the way of Ciresan and others in 2012 (the nets N3 and N4 of `tinympcnn.zoo`): 130 windows per
#   second for N4, on a GPU of that time (table 1 of the paper that this library follows).

# %% [markdown]
# ## Next
#
# Training took seconds, for a small net and small images. Most of that time was wasted, and the waste can be counted:
# [07 · Count the waste](07_count_the_waste.ipynb).
