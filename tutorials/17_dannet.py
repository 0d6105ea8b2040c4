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
# # 17 · DanNet
#
# In 2011 nets like ours won contests as classifiers, of Chinese characters and of traffic signs, before anyone ran them
# on whole images. What changes when the window *is* the image, and why are several nets better than the best of them?
#
# ## What you will build
#
# ![Eight distortions of one handwritten digit](banners/17.png)
#
# - A column: a patch net whose field of view is the whole image.
# - New images from few: distortions in one resampling.
# - A committee of three columns, its gain, and a test of whether the gain is chance.

# %% [markdown]
# ## What you need
#
# Tutorials 06 (patches), 09 (field of view) and 11 (what was learnt). Binomial coefficients. About 30 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_classes import grade_committee, grade_mcnemar, grade_rejection
from course.style import show

from tinympcnn import Net, Recipe, fit
from tinympcnn.data import synthetic_digits
from tinympcnn.data.distort import Distortion, distort
from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.inference.classify import classify, filters, saliency
from tinympcnn.metrics import mcnemar, rejection_curve, top_error
from tinympcnn.training.classes import ClassifiedImages

rng = np.random.default_rng(17)

# %% [markdown]
# ## Step 1: the window is the whole image
#
# The papers write a net with its input first: `1x29x29-20C4-MP2-40C5-MP3-150N-10N` takes one map of 29x29 pixels, has
# 20 maps of 4x4 filters, pools 2x2, has 40 maps of 5x5 filters, pools 3x3, and ends in 150 and 10 units. `150N` sees
# all that is left of the image.
#
# By hand: $29 - 4 + 1 = 26$, half of it is $13$; $13 - 5 + 1 = 9$, a third of it is $3$. So `150N` is a FullyConnected
# layer over 3x3 pixels of 40 maps. An input of 28x28 would leave $25$ pixels for the first pool, an odd number; the
# library says which sizes divide.
#
# As an image net, the same parameters say at every pixel of a large image what the patch net says of the window there.

# %%
net = Net.from_spec("1x29x29-20C4-MP2-40C5-MP3-150N-10N", rng=17)
print(net)
try:
    Net.from_spec("1x28x28-20C4-MP2-40C5-MP3-150N-10N")
except ValueError as error:
    print("\n28x28:", error)
assert net.field_of_view == (29, 29) and net.layers[6].window == (3, 3)

large = rng.standard_normal((1, 40, 36, 1))
dense = net.astype("float64").as_image().forward(large, train=False)
patch = net.astype("float64").forward(large[:, 5:34, 3:32], train=False)
gap = float(abs(dense[0, 5, 3] - patch[0, 0, 0]).max())
print("scores of all windows:", dense.shape, " largest difference below 1e-12:", gap < 1e-12)
assert gap < 1e-12

# %% [markdown]
# ## Step 2: many images from few
#
# A net with 76,000 parameters learns a few hundred digits by heart. So every image is distorted anew each time it is
# seen: moved, scaled, turned, slanted and bent. A distortion says where a pixel of the result *comes from*:
#
# $$y[q, p] = x\big(A (q, p) + t + \alpha\, (G_\sigma * u)[q, p]\big),$$
#
# with a matrix $A$, a shift $t$, and $\alpha$ times noise $u$ from $-1$ to $1$ that a Gaussian of width $\sigma$ has
# smoothed. The image is looked up once, between its pixels. Five resamplings in a row would blur it five times.
#
# By hand: an image whose pixels are $0, 4$, looked up a quarter of the way between them, is
# $0.75 \cdot 0 + 0.25 \cdot 4 = 1$.

# %% tags=["banner"]
images, classes = synthetic_digits(900, 20, rng=17)
train, test = (images[:600], classes[:600]), (images[600:], classes[600:])
wild = Distortion(translation=0.05, scale=0.1, rotation=10, shear=5, alpha=25, sigma=5)

variants = distort(images[:1].repeat(8, axis=0), (29, 29), wild, rng)
assert variants.shape == (8, 29, 29, 1)
assert np.abs(np.diff(variants, axis=0)).max(axis=(1, 2, 3)).min() > 50  # no two are alike
show(
    figures.picture_grid(
        [v[:, :, 0] for v in variants],
        [f"variant {i}" for i in range(8)],
        columns=8,
    ),
    alt="""Eight distortions of one handwritten digit: shifted, turned, slanted and bent, each
    in another way.""",
)

# %% [markdown]
# ## Step 3: three columns
#
# A column is a net with a preprocessing of its own, kept in its model file. The first sees each digit in its own width,
# the others 10 and 15 pixels wide. Each column begins with other weights and sees other pictures of the same digits, so
# it makes other mistakes. `fit` is that of tutorial 11, on batches of patches in place of whole images.


# %%
def train_column(preprocessing, seed, epochs=4):
    column = Net.from_spec("1x29x29-10C4-MP2-20C5-MP3-50N-10N", rng=seed)
    column.preprocessing = Preprocessing.parse(preprocessing).config()
    data = ClassifiedImages(column, *train, wild, batch=20)
    records = list(fit(column, data, Recipe(epochs, options={"lr": 3e-3}, seed=seed)))
    return column, [record["loss_train"] for record in records]


names = ["none", "width10", "width15"]
columns, losses = zip(*(train_column(name, i) for i, name in enumerate(names)), strict=True)
opinions = [classify(column, test[0]) for column in columns]
errors = [top_error(p, test[1]) for p in opinions]
print({name: round(error, 3) for name, error in zip(names, errors, strict=True)})
assert max(errors) < 0.4 and all(curve[-1] < 0.6 * curve[0] for curve in losses)
curves = {name: (range(1, 5), curve) for name, curve in zip(names, losses, strict=True)}
show(
    figures.loss_curves([("epoch", curves)]),
    alt="""The training loss of three columns falls over four epochs; the three curves lie
    close to each other.""",
)

# %% [markdown]
# ## Step 4: a committee, and whether its gain is chance
#
# The committee averages the probabilities of its $M$ members: $p = \frac{1}{M} \sum_j p_j$. Is it better than the best
# column, or lucky? Only images that one of them has right and the other wrong can tell. If both were equally good, each
# of these $n$ images would fall to either side like a coin. With $m$ on the rarer side, McNemar's test asks how often
# coins fall so unevenly:
#
# $$p = \min\Big(1, \; 2 \sum_{i \le m} \binom{n}{i} 2^{-n}\Big).$$
#
# By hand: 6 images to one side and 1 to the other, $n = 7$ and $m = 1$: $2\,(1 + 7) / 128 = 0.125$.
#
# A committee also knows better than one net when it may be wrong. Hand the images whose largest probability is lowest
# to a person, and fewer mistakes are left among the others.

# %%
together = sum(opinions) / 3
best = int(np.argmin(errors))
wrong = [p.argmax(axis=1) != test[1] for p in (together, opinions[best])]
print(f"mean of the columns {np.mean(errors):.3f}, best column {errors[best]:.3f}")
print(f"committee {np.mean(wrong[0]):.3f}")
only = (wrong[0] & ~wrong[1]).sum(), (wrong[1] & ~wrong[0]).sum()
print(f"only the committee wrong: {only[0]}, only the best column: {only[1]}")
print(f"McNemar's p against the best column: {mcnemar(*wrong):.3f}")
assert np.mean(wrong[0]) < np.mean(errors)
assert mcnemar([1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 1]) == 0.125

curve = rejection_curve(together, test[1])
for share in (0, 0.05, 0.1, 0.2):
    left = curve.error[np.searchsorted(curve.rejected, share)]
    print(f"rejecting {share:4.0%} leaves {left:.3f}")
assert curve.error[np.searchsorted(curve.rejected, 0.2)] < curve.error[0]

# %% [markdown]
# ## Step 5: what was learnt
#
# As in tutorial 11: the filters of the first layer, and the gradient $\partial s_k / \partial x$ of the score of a
# class with respect to the image. It is positive where more ink would speak for the class, and negative where ink
# speaks against it.

# %%
shown = [int(np.flatnonzero(test[1] == k)[0]) for k in (0, 3, 7)]
gradients = saliency(columns[0], test[0][shown], test[1][shown])
first = filters(columns[0])[:4]
assert gradients.shape == (3, 29, 29, 1) and first.min() >= 0 and first.max() <= 1
show(
    figures.picture_grid(
        [*(test[0][i, :, :, 0] for i in shown), *gradients[..., 0]],
        [
            *(f"a {k}" for k in (0, 3, 7)),
            *(f"for {k} (bright), against (dark)" for k in (0, 3, 7)),
        ],
        limits=[None] * 3 + [(-abs(g).max(), abs(g).max()) for g in gradients],
    ),
    alt="""Three digits, and below each the gradient of its score: bright where ink speaks
    for it, dark against it.""",
)
show(
    figures.picture_grid(
        [f[:, :, 0] for f in first],
        [f"filter {i}" for i in range(4)],
        columns=4,
    ),
    alt="""Four filters of 4x4 weights of the first layer; some are bright on one side and
    dark on the other.""",
)

# %% [markdown]
# ## Check yourself
#
# 1. Where does a column keep its preprocessing, and why there?
#
#    <details><summary>Answer</summary>In the model file. A net that sees images prepared in another way than in
#    training says wrong things without a word.</details>
#
# 2. Ten columns that make the same mistakes: what does their committee gain?
#
#    <details><summary>Answer</summary>Nothing. A mean helps only as far as the mistakes differ.</details>
#
# 3. A committee errs on 9 images and its best column on 12, of 2,000. Is the committee better?
#
#    <details><summary>Answer</summary>These numbers do not tell. If they differ on three images only, all to one side,
#    McNemar's p is 0.25; chance does that often.</details>

# %% [markdown]
# ## Exercises
#
# The solutions are in `solutions/17.py`.
#
# **A committee.** Return the class (N,) that it chooses for each image, given its members' probabilities (M, N, K).


# %% tags=["exercise"]
def committee(opinions):
    chosen = ...  # your code
    return chosen


grade_committee(committee)

# %% [markdown]
# **McNemar's p**, given which images each of two classifiers has wrong (arrays of booleans). `math.comb(n, i)` is the
# binomial coefficient.


# %% tags=["exercise"]
def mcnemar_p(wrong_a, wrong_b):
    p = ...  # your code
    return p


grade_mcnemar(mcnemar_p)

# %% [markdown]
# **Rejecting.** Return the error rate among the images that are left when the `n` least certain ones are rejected.


# %% tags=["exercise"]
def error_after_rejecting(p, classes, n):
    error = ...  # your code
    return error


grade_rejection(error_after_rejecting)

# %% [markdown]
# ## In practice
#
# - `tinympcnn train -i FOLDER -o column.npz --preprocess width10 --distort digits` reads one subfolder for each class;
#   `tinympcnn classify -i FOLDER -m a.npz b.npz` averages columns and prints all of the above.
# - Colour photographs, whose light varies, have other preprocessings: `imadjust`, `histeq`, `adapthisteq` and `conorm`
#   (`tinympcnn/data/preprocessing.py`).
# - The papers' committees had up to 35 columns, trained for days on GPUs: 0.23 % error on digits, and 99.46 % of the
#   traffic signs right, more than people. Ours, on far fewer images, are in `docs/results/classification.md`.
#
# ## Next
#
# [18 · Find them](18_find_them.ipynb): from a map of probabilities to a list of objects, where objects are rare.
