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
# In 06 a net learnt from patches. Now the same net learns from whole images: one forward pass and one backward pass
# give the gradient of all the patches in an image.
#
# ## What you will build
#
# ![Loss against updates: two equal curves. Loss against seconds: far apart.](banners/11.png)
#
# - The gradient of all patches, through a net of *your* layers.
# - Two learning curves that are equal update by update, and far apart in time.
# - Pictures of what a net has learnt: kernels, maps, and the pixels that speak for an answer.

# %% [markdown]
# ## What you need
#
# Tutorials 05b and 06 (a net, training on patches), 07 (the waste), 08 to 10 (fragments). About 35 minutes.

# %%
import time

import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_training import grade_image_step, grade_loss_over_set
from course.membranes import held_pixels, kept_curve, membrane_net, membrane_task
from course.style import show, source
from course.yours import yours

from tinympcnn import Conv, Net, SoftmaxCrossEntropy, Tanh, zoo
from tinympcnn.data import synthetic_membranes
from tinympcnn.nn.fragments import merge, split
from tinympcnn.training.fit import fit
from tinympcnn.training.objective import Example, example, image_closure
from tinympcnn.training.recipe import Recipe

rng = np.random.default_rng(11)

# %% [markdown]
# ## Step 1: your net on a whole image
#
# The loss of an image is the mean of the losses $\ell$ of its $N$ pixels, so the $1/N$ is in the $\mathrm{d}s_{uv}$ of
# tutorial 10 (Step 5, with a case by hand):
#
# $$L(\theta) = \frac{1}{N} \sum_{u, v} \ell(s_{uv}(\theta), t_{uv}), \qquad
# \mathrm{d}s_{uv} = \frac{1}{N} \frac{\partial \ell}{\partial s_{uv}}.$$
#
# (A pixel with the label $-1$ does not count: it has no term, and $N$ is the number of the others.)
#
# Here is a net of your own parts: `YourNet` from 05b, the convolution from 04, the layer from 10. It gives fragments.
# `merge` makes one map of scores from them, and on the way back `split` deals the gradients out again. Beside it stands
# the library's net with the same weights, once as an image net and once as the patch net on all $32 \cdot 32$ windows.
#
# `example` normalises the image, mirrors its border, and keeps it together with its labels. All times are seconds of
# computing (`time.process_time`), so it does not matter what else the machine does.

# %%
YourNet, YourConv = yours("05b", "YourNet"), yours("04", "YourConv")
YourMaxPoolFragment = yours("10", "YourMaxPoolFragment")
images, labels = synthetic_membranes(1, 32, rng=11)
net = Net.from_spec("C5x5x4 MPF2x2 C5x5x6 MPF2x2 C4x4x8 FC2", rng=11)
net.normalisation = np.array([images.mean()]), np.array([images.std()])
pair = example(net, images[0, :, :, None], (labels[0] > 0).astype(int))
vh, vw = net.field_of_view
print("image with mirrored border", pair.image.shape, end=" ")
print(" labels", pair.target.shape, " view", (vh, vw))

parts = [YourConv(1, 4, 5), Tanh(), YourMaxPoolFragment(2), YourConv(4, 6, 5), Tanh()]
parts += [YourMaxPoolFragment(2), YourConv(6, 8, 4), Tanh(), Conv(8, 2, 1)]
for part, like in zip(parts, net.layers, strict=True):
    part.params = {name: array.copy() for name, array in like.params.items()}
    part.grads = {name: np.zeros_like(array) for name, array in like.params.items()}


def yours_on(image, target, loss):
    """Forward and backward of your net on a whole image: the loss, and all gradients."""
    mine, pools = YourNet(parts), [(2, 2), (2, 2)]
    value = loss.forward(merge(mine.forward(image), pools), target)
    mine.backward(split(loss.backward(), pools))
    return value, np.concatenate([g.ravel() for part in parts for g in part.grads.values()])


def patch_closure(net, pair, loss):
    """As `image_closure`, but patch by patch, with all patches of the image at once."""
    places = np.ndindex(pair.target.shape[1:])
    patches = [pair.image[0, u : u + vh, v : v + vw] for u, v in places]
    patch_net, patches = net.as_patch(), np.stack(patches)
    targets = pair.target.reshape(-1, 1, 1)

    def closure(grad=True):
        value = loss.forward(patch_net.forward(patches), targets)
        net.zero_grads()
        patch_net.backward(loss.backward(), input_grad=False)
        return value

    return closure


loss = SoftmaxCrossEntropy()
for part in parts:
    for grad in part.grads.values():
        grad[...] = 0
value, found = yours_on(pair.image, pair.target, loss)
results = {"yours": found}
print(f"yours     loss {value:.6f}")
for name, make in {"patches": patch_closure, "image": image_closure}.items():
    closure = make(net, pair, loss)
    closure()  # once to warm up
    started = time.process_time()
    value = closure()
    spent, results[name] = time.process_time() - started, net.flat_grads()
    print(f"{name:<8}  loss {value:.6f}, {1000 * spent:.0f} ms")
for name in ("yours", "patches"):
    gap = np.linalg.norm(results[name] - results["image"]) / np.linalg.norm(results["image"])
    print(f"relative difference of the gradients, {name} and image: {gap:.1e}")
    assert gap < 1e-5

# %% [markdown]
# ## Step 2: the same curve, against the clock
#
# Equal gradients make equal updates, and equal updates make equal curves. We take 15 steps of plain descent both ways.
#
# **A mistake worth remembering:** to forget the $1/N$ in $\mathrm{d}s_{uv}$. The gradient then is $N = 1024$ times as
# long, and with the same learning rate so are the steps. This is the third curve.


# %% tags=["banner"]
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
spent = {name: seconds[-1] for name, (_, seconds) in curves.items()}
print(f"largest difference of the curves: {apart:.1e}")
print(f"15 updates: {spent['patches']:.2f} s by patches, {spent['whole image']:.2f} s whole")
assert apart < 1e-4
assert curves["sum, not mean"][0].max() > 10 * curves["whole image"][0].max()
assert spent["patches"] > 2 * spent["whole image"]

timed = {name: curves[name][::-1] for name in ("patches", "whole image")}
panels = [
    ("updates", {name: (updates, losses) for name, (losses, _) in curves.items()}),
    ("seconds of computing", timed),
]
show(
    figures.loss_curves(panels, log=True),
    alt="""Two panels. Left, loss against updates: the curves of patches and whole image
    lie exactly on each other and fall; the curve of the sum in place of the mean jumps up
    by far at once and stays there. Right, loss against seconds: the whole image has
    finished its 15 updates when training on patches has hardly begun.""",
)

# %% [markdown]
# ## Step 3: the library's loop
#
# `fit` runs such a loop over a set of images. Its `image_closure` can be unfolded below the figure.
#
# Now the task of 06 again: the same net from the same first weights, the same four slices, the same 500 held-out
# pixels. 06 drew 32 windows at random for each update, and kept its curve in a file. Here each slice is cut into
# quarters, so an update sees 64 x 64 pixels: 4,096 windows. We time an update of 06 here, so that both curves have one
# clock.

# %%
task = membrane_task()
learner = membrane_net(task)
places = held_pixels(task)
held = example(learner, task.held_image, task.held_labels)
half = slice(0, 64), slice(64, 128)
corners = [(rows, columns) for rows in half for columns in half]
pieces = [image[at] for image in task.images for at in corners]
answers = [classes[at] for classes in task.labels for at in corners]
recipe = Recipe(epochs=20, options={"lr": 0.003}, seed=11)
spent, curve, started = 0.0, [], time.process_time()
for record in fit(learner, (pieces, answers), recipe):
    spent += time.process_time() - started
    best = learner.forward(held.image, train=False).argmax(axis=-1)[0]
    wrong = (best != task.held_labels)[places[:, 0], places[:, 1]]
    curve.append((spent, record["images"] * 64 * 64, wrong.mean()))
    started = time.process_time()
seconds, seen, errors = np.array(curve).T

label, kept = kept_curve("06_patches")
keys = "updates", "windows", "error"
updates, windows, error = (np.array([point[key] for point in kept]) for key in keys)
patch_net, batch = membrane_net(task).as_patch(), rng.standard_normal((32, 40, 40, 1))
drawn = Example(batch, np.zeros((32, 1, 1), int))
update = image_closure(patch_net, drawn, SoftmaxCrossEntropy())
started = time.process_time()
for _ in range(10):
    update()
per_update = (time.process_time() - started) / 10
print(f"06, on patches:      {32 / per_update:>8,.0f} windows/s, error {error[-1]:.3f}")
print(f"11, on whole images: {seen[-1] / seconds[-1]:>8,.0f} windows/s, error {errors[-1]:.3f}")
assert errors[-1] < 0.2 and seen[-1] / seconds[-1] > 5 * 32 / per_update

old, new = f"06, patches ({label})", "11, whole images"
panels = [
    ("windows seen", {old: (windows, error), new: (seen, errors)}),
    ("seconds of computing", {old: (updates * per_update, error), new: (seconds, errors)}),
]
show(
    figures.loss_curves(panels, ylabel="error on held-out pixels", logx=True),
    alt="""Two panels, error on held-out pixels, on logarithmic axes of windows seen and of
    seconds. Against windows, training on random patches is far to the left: it needs about
    a hundredth of the windows. Against seconds the two curves come close to each other, and
    end at about 0.1.""",
)
source(image_closure, fold=True)

# %% [markdown]
# These curves are not those of Step 2: the updates differ. A window of a whole image costs a small part of what a patch
# costs. But 32 windows from all over the images also teach more, window for window, than 4,096 neighbours that resemble
# each other. On a task this small the two effects nearly cancel. What breaks the tie is the field of view: our net sees
# 40 x 40 pixels, the paper's N4 95 x 95. How many times dearer is a patch?

# %%
for name, some, size in (("our net", learner, 64), ("N4", zoo.n4(), 512)):
    view = some.field_of_view
    whole = sum(line.flop for line in some.plan((size + view[0] - 1, size + view[1] - 1)))
    patches = size**2 * sum(line.flop for line in some.as_patch().plan(view))
    times = patches / whole
    print(f"{name:<7} {size} x {size} pixels: patches take {times:.0f} times the operations")
assert times > 400

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
# ## Step 4: what has it learnt?
#
# Three things can be looked at as they are. The **kernels** of the first layer are small patterns of bright and dark.
# The **maps** show where an image has these patterns. The **pixels that speak for an answer** come from the backward
# pass: take the score of interior less that of membrane at *one* pixel, and send its gradient back to the image. It is
# positive where a brighter pixel would speak for interior, and zero outside of the window of the pixel: 40 x 40 pixels
# of the mirrored image, in which the pixel is number 20 on either axis.

# %%
first = learner.layers[0]
kernels = first.params["W"][:, :, 0]  # (5, 5, maps)
learner.forward(held.image, train=False)
maps = learner.layers[1].forward(first.forward(held.image))[0]
order = np.argsort(-maps.std(axis=(0, 1)))[:4]  # the four maps with the strongest contrast
show(
    figures.picture_grid(
        [*(kernels[:, :, c] for c in order), *(maps[:, :, c] for c in order)],
        [*(f"kernel {c}" for c in order), *(f"its map {c}" for c in order)],
        columns=4,
    ),
    alt="""Four kernels of 5 by 5 numbers, noisy patterns of bright and dark, and below each
    its map of the held-out slice: some show cells bright and membranes dark, some the
    opposite, some the edges on one side.""",
    colours=64,
)

scores = learner.forward(held.image)
dscores = np.zeros_like(scores)
at = tuple(places[0].tolist())
dscores[0, *at] = -1, 1  # interior less membrane, at one pixel
speaks = learner.backward(dscores)[0, :, :, 0]
rows, columns = np.flatnonzero(speaks.any(axis=1)), np.flatnonzero(speaks.any(axis=0))
looks = f"rows {rows[0]} to {rows[-1]} and columns {columns[0]} to {columns[-1]}"
print("pixel", at, "looks at", looks, "of the mirrored image")
assert len(rows) <= 40 and len(columns) <= 40
window = np.s_[at[0] : at[0] + 40, at[1] : at[1] + 40]
strongest = abs(speaks).max()
meaning = "white: a brighter pixel speaks for interior;\nblack: for membrane"
show(
    figures.picture_grid(
        [held.image[0, :, :, 0][window], speaks[window]],
        ["the window of one pixel, the dot", meaning],
        columns=2,
        limits=[None, (-strongest, strongest)],
        dot=(20, 20),
    ),
    alt="""Left: a window of 40 by 40 pixels of the slice, with a dot at its centre pixel.
    Right: the gradient for that pixel: bright and dark spots close to the centre, fainter
    ones further out, grey at the rim.""",
    colours=64,
)

# %% [markdown]
# ## Check yourself
#
# 1. Why is the whole-image gradient exactly the sum over all patches, and not an approximation?
#
#    <details><summary>Answer</summary>Every score of the image net equals the score of its patch, and differentiation
#    is linear: the gradient of the sum is the sum of the gradients.</details>
# 2. Your net gives fragments. What happens if `split` counts offsets by columns and `merge` by rows?
#
#    <details><summary>Answer</summary>The loss is right, but each fragment gets the gradients of other windows. All
#    shapes fit, so only the comparison with the patches shows it.</details>
# 3. What changes if an update sees 4,096 windows of one image in place of 32 windows from anywhere?
#
#    <details><summary>Answer</summary>The gradient has less noise, but its windows resemble each other, and there are
#    fewer updates per window seen.</details>

# %% [markdown]
# ## Exercises
#
# **One update from a whole image.** Forward, loss, gradients set to zero, backward, step. Return the loss. You need
# `net.forward`, `loss.forward(scores, target)`, `loss.backward()`, `net.zero_grads()`, `net.backward`, `net.flat()`,
# `net.flat_grads()` and `net.set_flat(v)`. The solutions are in `solutions/11.py`.


# %% tags=["exercise"]
def image_step(net, image, target, loss, lr):
    scores = ...  # your code
    value = ...  # your code
    # your code: gradients to zero, backward, step
    return value


grade_image_step(image_step)

# %% [markdown]
# **The loss of a set.** The images may differ in size. Return the mean over all counted pixels, from the mean loss and
# the number of pixels of each image.


# %% tags=["exercise"]
def loss_over_set(losses, counts):
    mean = ...  # your code
    return mean


grade_loss_over_set(loss_over_set)

# %% [markdown]
# ## In practice
#
# `tinympcnn train -i IMAGES -l LABELS -o MODEL.npz` calls `fit`, keeps a checkpoint, and goes on from it with
# `--resume`. `--augment rotate` shows every image at another angle each time, as the paper does.
#
# ## Next
#
# [12 · Step sizes](12_step_sizes.ipynb): what happens if the learning rate is wrong, and who could choose it for us?
