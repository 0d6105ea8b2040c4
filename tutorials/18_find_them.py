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
# # 18 · Find them
#
# A pathologist counts dividing cells: six in an image of four million pixels, among thousands of others that only look
# dark. The answer is a list of places. How does a net that says something at every pixel make one?
#
# ## What you will build
#
# ![An image of stained tissue, its map of probabilities, and the smoothed map](banners/18.png)
#
# - Labels from points: discs, and rings that do not count.
# - Crops that show rare objects as often as everything else.
# - A list of objects, and its F1.
# - A second net that learns from the mistakes of the first.

# %% [markdown]
# ## What you need
#
# Tutorials 11 (training on whole images) and 14 (rare classes). About 30 minutes.

# %%
import numpy as np
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_objects import grade_draw, grade_f1, grade_suppress
from course.style import show

from tinympcnn import Net, Recipe, fit
from tinympcnn.data import synthetic_mitoses
from tinympcnn.data.points import disc_labels
from tinympcnn.inference.locate import locate
from tinympcnn.inference.peaks import peaks, smooth
from tinympcnn.metrics.objects import match_objects, rank_objects
from tinympcnn.training.focus import DrawnCrops, mistakes

rng = np.random.default_rng(18)
RADIUS = 6  # pixels of the discs

# %% [markdown]
# ## Step 1: from points to labels
#
# The truth is a point for each dividing cell, and a net learns classes of pixels. So a disc around each point is the
# class "object". Nobody knows where exactly a cell ends: a ring around the disc gets the label -1 and does not count.
#
# By hand: a disc with a radius of 1 pixel has 5 pixels. A ring up to 1.5 pixels adds the 4 pixels at a distance of
# $\sqrt{2} \approx 1.41$.
#
# The cells are rough and dark. Round smooth bodies, brown debris and specks of stain are dark as well, and are no
# objects.

# %%
small = disc_labels(np.array([[2, 2]]), (5, 5), radius=1)
assert (small == 1).sum() == 5 and (small == -1).sum() == 4

scenes = synthetic_mitoses(25, (256, 256), mitoses=6, mimics=8, nuclei=25, rng=18)
images, points = scenes[0], scenes[1]
train, held, test = slice(0, 16), slice(16, 19), slice(19, 25)
labels = [disc_labels(some, (256, 256), RADIUS) for some in points]
share = np.mean([(y == 1).mean() for y in labels[train]])
cells = sum(map(len, points[train]))
print(f"{cells} cells to train on; their discs are {share:.1%} of the pixels")
assert share < 0.02

grey = images.mean(axis=3)
show(
    figures.picture_grid(
        [grey[i, :160, :200] for i in (0, 1)],
        [f"a part of image {i}" for i in (0, 1)],
        columns=2,
        outlines=[labels[i][:160, :200] == 1 for i in (0, 1)],
    ),
    alt="""Parts of two images of stained tissue with pale nuclei and dark bodies; dashed discs
    mark the cells.""",
)

# %% [markdown]
# ## Step 2: draw what is rare
#
# A net that sees pixels as they come learns to say "nothing" everywhere. `DrawnCrops` draws a class, each with the same
# chance, then a pixel of this class, then a crop around it. So at least half of all crops show a dividing cell.


# %%
def trained(wrong, updates):
    net = Net.from_spec("C5x5x12 MPF2x2 C5x5x16 MPF2x2 FC4x4x32 FC2", in_maps=3, rng=18)
    recipe = Recipe(epochs=10, options={"lr": 4e-3}, augment="flip", crop=48, seed=18)
    crops = DrawnCrops(net, images[train], labels[train], recipe, wrong, updates)
    shown = np.mean([(crops.example(0, i).target == 1).any() for i in range(40)])
    records = list(fit(net, crops, recipe))
    return net, [record["loss_train"] for record in records], shown


first, first_losses, shown = trained(wrong=None, updates=100)
print(f"{shown:.0%} of the crops show a cell")
print(f"the loss falls from {first_losses[0]:.3f} to {first_losses[-1]:.3f}")
assert shown > 0.4 and first_losses[-1] < 0.6 * first_losses[0]

# %% [markdown]
# ## Step 3: from a map to a list
#
# Many pixels of a cell are probable, and the cell is to be counted once. First the map is smoothed: each pixel gets the
# mean over a disc as large as those of training, so the map is largest where a whole disc says "object". Then the
# largest value becomes an object, everything within a distance $r$ of it goes, and so on with the rest: non-maxima
# suppression.
#
# By hand: with $r = 1$, the row $0,\ 0.9,\ 0.8,\ 0.1,\ 0.7$ has the objects $0.9$ and $0.7$. The $0.8$ goes with the
# $0.9$ beside it.

# %% tags=["banner"]
row = np.array([[0.0, 0.9, 0.8, 0.1, 0.7]])
assert peaks([(slice(0, 1), row)], radius=1, threshold=0.5)[:, 1].tolist() == [1, 4]

i = test.start
probability = first.segment(images[i])[:, :, 1]
smoothed = smooth(probability, RADIUS)
objects = locate(first, images[i], RADIUS, threshold=0.05)
assert np.array_equal(objects, peaks([(slice(0, 256), smoothed)], 2 * RADIUS, 0.05))
print(f"{len(objects)} objects from 0.05 on, {len(points[i])} cells; the best four:")
print(objects[:4].round(2))
show(
    figures.picture_grid(
        [grey[i], probability, smoothed],
        ["image", "probability", "smoothed"],
        outlines=[labels[i] == 1, None, None],
    ),
    alt="""A test image, its map of probabilities, and the smoothed map, in which each cell is
    one round hill.""",
    colours=64,
)

# %% [markdown]
# ## Step 4: hits, misses, false alarms
#
# An object is a hit if a cell lies within a given distance, and each cell can be hit once. The objects choose in the
# order of their scores. The objects that are left over are false alarms, the cells that are left over misses, and
#
# $$F_1 = \frac{2\,\text{hits}}{2\,\text{hits} + \text{false alarms} + \text{misses}}.$$
#
# By hand: three hits, one false alarm and two misses give $6 / (6 + 1 + 2) = 2/3$. A threshold on the score decides
# what is an object. It is chosen on images that serve neither training nor test.

# %%
found = np.array([[10, 10, 0.6], [10, 13, 0.9]])
assert match_objects(found, np.array([[10, 11]]), radius=5).tolist() == [-1, 0]


def ranking(net, where):
    objects = [locate(net, image, RADIUS, 0.05) for image in images[where]]
    return rank_objects(objects, points[where], RADIUS)


def tested(net):
    threshold = ranking(net, held).best_threshold()
    return ranking(net, test).at(threshold)


once = tested(first)
print(f"the first net: {once}, F1 {once.f1:.2f}")
assert once.false_alarms + once.misses > 5

# %% [markdown]
# ## Step 5: learn from mistakes
#
# Nearly all of the background is easy, and the first net has learnt it. The winner of a contest therefore drew the
# background for the final nets in proportion to such a net's mistakes on the training images,
#
# $$\Pr(\text{pixel}) \propto 1 - p(\text{true class}).$$
#
# By hand: of two pixels with the probabilities $0.02$ and $0.5$ of a false alarm, the second is drawn 25 times as
# often. So the second net sees above all what looks like a cell and is none. (It also trains twice as long.)

# %%
seen = list(zip(images[train], labels[train], strict=True))
wrong = [mistakes(first, image, y) for image, y in seen]
hard = [w[y == 0] for w, (_, y) in zip(wrong, seen, strict=True)]
hard = np.concatenate(hard).astype(float)
most = np.sort(hard)[-len(hard) // 100 :].sum() / hard.sum()
print(f"the hardest hundredth of the background gets {most:.0%} of its crops")
assert most > 0.1

second, second_losses, _ = trained(wrong, updates=200)
twice = tested(second)
print(f"the second net: {twice}, F1 {twice.f1:.2f}")
assert twice.f1 > once.f1
epochs = range(1, 11)
curves = {"first net": (epochs, first_losses), "second net": (epochs, second_losses)}
show(
    figures.loss_curves([("epoch", curves)]),
    alt="""The training loss of the first and of the second net over ten epochs; both curves
    fall.""",
)

# %% [markdown]
# ## Check yourself
#
# 1. Why does the ring around a disc not count?
#
#    <details><summary>Answer</summary>Whether its pixels belong to the cell is a matter of taste. A net that must
#    decide it learns the taste of the person who made the points, not the cells.</details>
#
# 2. One paper has F1 0.8 and another 0.7 on the same images. What must you ask first?
#
#    <details><summary>Answer</summary>Within which distance an object is a hit.</details>
#
# 3. Can you tell from the two curves of the loss which net is the better one?
#
#    <details><summary>Answer</summary>No. The second net trains on other crops, the difficult ones, and losses on
#    different data cannot be compared. F1 on the same test images can.</details>

# %% [markdown]
# ## Exercises
#
# The solutions are in `solutions/18.py`.
#
# **F1** from the three counts.


# %% tags=["exercise"]
def f1(hits, false_alarms, misses):
    score = ...  # your code
    return score


grade_f1(f1)

# %% [markdown]
# **Non-maxima suppression.** `objects` (n, 3) has the row, the column and the score of candidates, the largest score
# first. Return those that stay when everything within `radius` of a larger one that stays goes.


# %% tags=["exercise"]
def suppress(objects, radius):
    kept = ...  # your code
    return kept


grade_suppress(suppress)

# %% [markdown]
# **Drawing mistakes.** Return the index of the pixel that is drawn in proportion to `wrong` (n,), given a number `u`
# that is drawn evenly from 0 to 1. Pixels that are never wrong are never drawn.


# %% tags=["exercise"]
def draw(wrong, u):
    index = ...  # your code
    return index


grade_draw(draw)

# %% [markdown]
# ## In practice
#
# - `tinympcnn train -i slides/ -l points.csv --radius 8 --net mitosis1 --crop 64 --focus classes -o first.npz`, then
#   `--focus first.npz` for the second net.
# - `tinympcnn locate -i new/ -m a.npz -m b.npz --turns -o objects.csv --val known/ --truth points.csv` chooses the
#   score and writes the table (with `--overlay` and `--roi`, also pictures and points for ImageJ). Images may be of any
#   size.
# - `docs/results/objects.md` has results on images of 2084x2084, and on real nuclei against a watershed.
#
# ## Next
#
# [19 · Why not a U-Net?](19_why_not_a_unet.ipynb): two other answers to the question of where things are, beside
# fragments.
