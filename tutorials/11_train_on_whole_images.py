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
# # 11 · Train on whole images
#
# In 06 you trained a net on patches. Now the same net learns from whole images: one forward pass, one backward pass,
# and the gradient is that of all the patches in the image. Update by update, the learning curve is the same. The
# clock is not.

# %% [markdown]
# ## What you will build
#
# - The gradient of all patches of an image from a single backward pass, by hand and in code.
# - Two learning curves that are equal update by update, and far apart in time.
# - The training loop of the library, which you can now read line by line.

# %% [markdown]
# ## What you need
#
# Tutorials 06 (training on patches), 07 (the waste), 08 to 10 (fragments). About 40 minutes.

# %%
import inspect
import time

import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_training import grade_image_step, grade_loss_over_set
from course.membranes import held_pixels, kept_curve, membrane_net, membrane_task
from course.style import show

from tinympcnn import Conv, Net, SoftmaxCrossEntropy, zoo
from tinympcnn.data import synthetic_membranes
from tinympcnn.training.fit import fit
from tinympcnn.training.objective import Example, example, image_closure
from tinympcnn.training.recipe import Recipe

rng = np.random.default_rng(11)

# %% [markdown]
# ## Step 1: one image, one gradient
#
# The loss of an image is the mean over its $M$ pixels, and the score of each pixel depends on the window around it:
#
# $$L(\theta) = \frac{1}{M} \sum_{m=1}^{M} \ell(s_m(\theta), t_m), \qquad
# \frac{\partial L}{\partial \theta} = \frac{1}{M} \sum_{m=1}^{M}
# \frac{\partial \ell}{\partial s_m} \frac{\partial s_m}{\partial \theta}.$$
#
# (A pixel with the label $-1$ does not count: it has no term in the sum, and $M$ is the number of the others.) A
# gradient of a sum is a sum of gradients. Patch by patch, one computes the $M$ terms one after the other. On the
# whole image, one backward pass computes their sum.
#
# By hand: the image is the row $1, 2, 3$ and the net one kernel $(w_0, w_1)$. There are two windows, $(1, 2)$ and
# $(2, 3)$. Let the upstream gradients be $1$ and $-1$. Patch by patch, $\mathrm{d}W$ is
# $1 \cdot (1, 2) + (-1) \cdot (2, 3) = (-1, -1)$.

# %%
row = np.array([1.0, 2.0, 3.0], np.float32).reshape(1, 1, 3, 1)
dy = np.array([1.0, -1.0], np.float32).reshape(1, 1, 2, 1)

conv = Conv(1, 1, (1, 2), rng=0)
for p in range(2):  # patch by patch: the gradients add up in conv.grads
    conv.forward(row[:, :, p : p + 2])
    conv.backward(dy[:, :, p : p + 1])
by_patches = conv.grads["W"].ravel().copy()

conv.grads["W"][...] = 0
conv.forward(row)
conv.backward(dy)
print("by patches", by_patches, "  whole image", conv.grads["W"].ravel())
assert by_patches.tolist() == conv.grads["W"].ravel().tolist() == [-1, -1]

# %% [markdown]
# ## Step 2: the same for a net with pooling
#
# With max-pooling this takes fragments, and 08 to 10 were about that. `as_patch()` returns the patch net with the
# very same parameters and gradients. We take a slice of 32 x 32 pixels, and compare. `example` normalises it, mirrors
# its border so that each pixel has a window, and keeps it together with its labels. All times here are seconds of
# computing (`time.process_time`), so that it does not matter what else the machine is doing.

# %%
images, labels = synthetic_membranes(1, 32, rng=rng)
net = Net.from_spec("C5x5x4 MPF2x2 C5x5x6 MPF2x2 C4x4x8 FC2", rng=11)
net.normalisation = np.array([images.mean()]), np.array([images.std()])
pair = example(net, images[0, :, :, None], (labels[0] > 0).astype(int))
P, Q = net.field_of_view
print("image with mirrored border", pair.image.shape, "  labels", pair.target.shape, "  field of view", (P, Q))


def windows_of(image):
    """All windows of an image (1, H, W, C), in row-major order: (n, P, Q, C)."""
    n, m = image.shape[1] - P + 1, image.shape[2] - Q + 1
    return np.stack([image[0, q : q + P, p : p + Q] for q in range(n) for p in range(m)])


def patch_closure(net, pair, loss):
    """As `image_closure`, but patch by patch: what 06 did, with all patches of the image in one batch."""
    patch_net, patches, targets = net.as_patch(), windows_of(pair.image), pair.target.reshape(-1, 1, 1)

    def closure(grad=True):
        value = loss.forward(patch_net.forward(patches), targets)
        net.zero_grads()
        patch_net.backward(loss.backward(), input_grad=False)
        return value

    return closure


loss = SoftmaxCrossEntropy()
results = {}
for name, make in {"patches": patch_closure, "image": image_closure}.items():
    closure = make(net, pair, loss)
    closure()  # once to warm up
    started = time.process_time()
    value = closure()
    results[name] = value, net.flat_grads(), time.process_time() - started
    print(f"{name:<8} loss {value:.6f}, {1000 * results[name][2]:.0f} ms")
gap = np.linalg.norm(results["patches"][1] - results["image"][1]) / np.linalg.norm(results["image"][1])
print(f"relative difference of the two gradients: {gap:.1e}")
assert gap < 1e-5

# %% [markdown]
# Why is it faster? Count the outputs of one convolution with a $k \times k$ kernel in a net with a window of
# $P \times P$. Each of the $n^2$ patches needs $(P - k + 1)^2$ of them. The whole image needs $(n + P - k)^2$, once:
#
# $$\text{ratio} = \frac{n^2 (P - k + 1)^2}{(n + P - k)^2}.$$
#
# By hand for our first layer, $n = 32$, $P = 28$, $k = 5$: $1024 \cdot 576 / 55^2 = 589824 / 3025 = 195.0$. For a
# large image the ratio tends to $(P - k + 1)^2 = 576$.

# %%
n = pair.target.shape[1]
first = Conv(1, 4, 5)
by_hand = n**2 * (P - 4) ** 2 / (n + P - 5) ** 2
counted = n**2 * first.flop((1, P, P, 1)) / first.flop((1, n + P - 1, n + P - 1, 1))
print(f"first layer: {by_hand:.1f} by hand, {counted:.1f} by counting")
assert abs(by_hand - counted) < 1e-9 and round(by_hand, 1) == 195.0
whole = sum(row.flop for row in net.plan(pair.image.shape[1:3]))
patches = n**2 * sum(row.flop for row in net.as_patch().plan((P, Q)))
print(f"whole net, forward: {patches / 1e6:.0f} and {whole / 1e6:.1f} million operations, {patches / whole:.1f} to 1")

# %% [markdown]
# ## Step 3: the same curve, against the clock
#
# Equal gradients make equal updates, and equal updates make equal curves. We take 15 steps of plain descent both ways.
#
# **A mistake worth remembering:** the paper's Algorithm 2 says $g = g + \mathrm{grad}(f)$: a *sum*. Whoever leaves
# out the $1/M$ gets a gradient that is $M = 1024$ times as long, and with the same learning rate steps that are 1024
# times as long. This is the third curve.


# %%
class SumOverPixels(SoftmaxCrossEntropy):
    """The mistake: forgets to divide by the number of pixels."""

    def backward(self):
        """Return the gradient of the sum."""
        return super().backward() * self.counted


def descend(make, loss, lr=0.5, steps=15):
    """Plain gradient descent from the net's first weights; return losses and seconds."""
    own = net.astype(np.float32)
    closure = make(own, pair, loss)
    losses, seconds, started = [], [], time.process_time()
    for _ in range(steps):
        losses.append(closure())
        own.set_flat(own.flat() - lr * own.flat_grads())
        seconds.append(time.process_time() - started)
    return np.array(losses), np.array(seconds)


curves = {
    "patches": descend(patch_closure, loss),
    "whole image": descend(image_closure, loss),
    "sum, not mean": descend(image_closure, SumOverPixels()),
}
updates = np.arange(1, 16)
apart = abs(curves["patches"][0] - curves["whole image"][0]).max()
print(f"largest difference of the curves: {apart:.1e}")
print(f"time for 15 updates: {curves['patches'][1][-1]:.2f} s by patches, {curves['whole image'][1][-1]:.2f} s whole")
assert apart < 1e-4 and curves["sum, not mean"][0].max() > 10 * curves["whole image"][0].max()
assert curves["patches"][1][-1] > 2 * curves["whole image"][1][-1]

panels = [
    ("updates", {name: (updates, losses) for name, (losses, _) in curves.items()}),
    ("seconds of computing", {name: curves[name][::-1] for name in ("patches", "whole image")}),
]
show(
    figures.loss_curves(panels, log=True),
    alt="""Two panels. Left, loss against updates: the curves of patches and whole image
    lie exactly on each other and fall; the curve of the sum in place of the mean jumps up
    by far at once and stays there. Right, loss against seconds: the whole image has
    finished its 15 updates when training on patches has hardly begun.""",
)

# %% [markdown]
# ## Step 4: the library's loop
#
# `fit` does this for a set of images. The loss of one image and its gradient come from `image_closure`, which is as
# short as yours:

# %%
print(inspect.getsource(image_closure))

# %% [markdown]
# Now the task of 06 again: the same net from the same first weights, the same four slices, the same 500 held-out
# pixels to measure the error. 06 drew 32 windows at random for each update and kept its learning curve in a file. We
# cut each slice into quarters, so that an update sees 64 x 64 pixels: 4,096 windows at once. To put both curves on one
# clock, we time an update of 06 here.

# %%
task = membrane_task()
learner = membrane_net(task)
places = held_pixels(task)
held = example(learner, task.held_image, task.held_labels)
corners = [(i, j) for i in (slice(0, 64), slice(64, 128)) for j in (slice(0, 64), slice(64, 128))]
quarters = [(image[at], y[at]) for image, y in zip(task.images, task.labels, strict=True) for at in corners]
spent, curve, started = 0.0, [], time.process_time()
for record in fit(learner, tuple(zip(*quarters, strict=True)), Recipe(epochs=20, options={"lr": 0.003}, seed=11)):
    spent += time.process_time() - started
    best = learner.forward(held.image, train=False).argmax(axis=-1)[0]
    wrong = best[places[:, 0], places[:, 1]] != task.held_labels[places[:, 0], places[:, 1]]
    curve.append((spent, record["images"] * 64 * 64, wrong.mean()))
    started = time.process_time()
seconds, seen, errors = np.array(curve).T

label, kept = kept_curve("06_patches")
earlier = {key: np.array([point[key] for point in kept]) for key in ("updates", "windows", "error")}
patch_net, batch = membrane_net(task).as_patch(), rng.standard_normal((32, 40, 40, 1))
update = image_closure(patch_net, Example(batch, np.zeros((32, 1, 1), int)), SoftmaxCrossEntropy())
started = time.process_time()
for _ in range(10):
    update()
per_update = (time.process_time() - started) / 10
print(f"06, on patches:      {32 / per_update:>8,.0f} windows/s, error {earlier['error'][-1]:.3f}")
print(f"11, on whole images: {seen[-1] / seconds[-1]:>8,.0f} windows/s, error {errors[-1]:.3f}")
assert errors[-1] < 0.2 and seen[-1] / seconds[-1] > 5 * 32 / per_update

names = f"06, patches at random ({label} curve)", "11, whole images"
panels = [
    ("windows seen", dict(zip(names, [(earlier["windows"], earlier["error"]), (seen, errors)], strict=True))),
    ("seconds of computing", dict(zip(names, [(earlier["updates"] * per_update, earlier["error"]),
                                              (seconds, errors)], strict=True))),
]  # fmt: skip
show(
    figures.loss_curves(panels, ylabel="error on held-out pixels", logx=True),
    alt="""Two panels, error on held-out pixels, on logarithmic axes of windows seen and of
    seconds. Against windows, training on random patches is far to the left: it needs about
    a hundredth of the windows. Against seconds the two curves come close to each other, and
    end at about 0.1.""",
)

# %% [markdown]
# Read this with care, because it is not Step 3. A window of a whole image costs a small part of what a patch costs. But
# 32 windows from all over the images also teach more, window for window, than 4,096 neighbours that resemble each
# other. On a task this small the two effects nearly cancel. What breaks the tie is the field of view: how many times
# dearer is a patch? Ours sees 40 x 40 pixels, N4 of the paper 95 x 95.

# %%
for name, some, size in (("our net", learner, 64), ("N4", zoo.n4(), 512)):
    view = some.field_of_view
    whole = sum(row.flop for row in some.plan((size + view[0] - 1, size + view[1] - 1)))
    patches = size**2 * sum(row.flop for row in some.as_patch().plan(view))
    print(f"{name:<8} {size} x {size} pixels: patches take {patches / whole:.0f} times the operations of the image")
assert patches / whole > 400

probabilities = learner.segment(task.held_image)[:, :, 1]
show(
    figures.picture_grid(
        [task.held_image[:, :, 0], probabilities, task.held_labels],
        ["a slice it has not seen", "probability of interior", "truth"],
    ),
    alt="""Three pictures: a noisy slice of synthetic tissue; the net's probability of
    being inside of a cell, bright cells with dark membranes between them, uncertain in
    places; and the true labels.""",
    colours=64,
)

# %% [markdown]
# ## Check yourself
#
# 1. Why is the whole-image gradient exactly the sum over all patches, and not an approximation?
#
#    <details><summary>Answer</summary>Every score of the image net equals the score of its patch, and differentiation
#    is linear: the gradient of the sum is the sum of the gradients.</details>
# 2. The loss is a mean over pixels. Where does the 1/M enter the backward pass?
#
#    <details><summary>Answer</summary>In the gradient of the scores, `loss.backward()`. The layers only add
#    up.</details>
# 3. What changes if an update sees 4,096 windows of one image in place of 32 windows from anywhere?
#
#    <details><summary>Answer</summary>The gradient has less noise, but its windows resemble each other, and there are
#    fewer updates per window seen.</details>
# 4. What are the labels -1 for?
#
#    <details><summary>Answer</summary>For pixels that do not count: the loss gives them no gradient, and M counts the
#    others only.</details>
# 5. Two images of different size are in one set. What is the loss over the set?
#
#    <details><summary>Answer</summary>The mean over all counted pixels of both. So each image's loss is weighed by its
#    number of pixels.</details>

# %% [markdown]
# ## Exercises
#
# **One update from a whole image.** Forward, loss, gradients set to zero, backward, step. Return the loss. You need
# `net.forward`, `loss.forward(scores, target)`, `loss.backward()`, `net.zero_grads()`, `net.backward`, `net.flat()`,
# `net.flat_grads()` and `net.set_flat(v)`. Solutions: `solutions/11.py`.


# %% tags=["exercise"]
def image_step(net, image, target, loss, lr):
    scores = ...  # your code
    value = ...  # your code
    # your code: gradients to zero, backward, step
    return value


grade_image_step(image_step)

# %% [markdown]
# **The loss of a set.** From the mean losses of several images and their numbers of pixels.


# %% tags=["exercise"]
def loss_over_set(losses, counts):
    mean = ...  # your code
    return mean


grade_loss_over_set(loss_over_set)

# %% [markdown]
# ## In practice
#
# - The command is `tinympcnn train -i IMAGES -l LABELS -o MODEL.npz`. It calls `fit`, keeps a checkpoint, and goes on
#   from it with `--resume`.
# - `--augment rotate` shows every image at another angle each time, as the paper does with its 30 slices.
# - How large the gain is depends on the field of view: here 28 x 28 and 40 x 40, for N4 of the paper 95 x 95.
#   `tinympcnn info N4` prints the ratio of operations, `tinympcnn bench` measures times. The paper's "1500-fold" is a
#   ratio of times in Matlab.

# %% [markdown]
# ## Next
#
# [12 · Step sizes](12_step_sizes.ipynb): we chose the learning rate by hand so far. What happens if it is wrong, and
# who could choose it for us?
