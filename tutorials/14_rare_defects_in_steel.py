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
# # 14 · Rare defects in steel
#
# One pixel in twenty is a defect. A net that never says "defect" is right on 95 % of the pixels and worth nothing.
#
# ## What you will build
#
# ![A strip with a defect, the blind map of a careless net, the map of a balanced one](banners/14.png)
#
# - Class weights under which a rare class counts as much as a frequent one.
# - A decision for each image: is there a defect on this piece of strip?
# - The ROC curve, and the threshold that costs least when a miss costs more than a false alarm.

# %% [markdown]
# ## What you need
#
# Tutorials 11 (training) and 12 (step sizes). About 30 minutes. The paper's images (section 4.2) are not public. Ours,
# in the folder `data`, come from `synthetic_strip`, averaged over blocks of 4 x 4 pixels as in the paper.

# %%
import numpy as np
from course import MODELS, TUTORIALS, figures  # not found? start Jupyter with `make tutorials`
from course.grading_training import grade_choose_threshold, grade_class_weights
from course.style import show, source

from tinympcnn import Net, Recipe, SoftmaxCrossEntropy, fit, metrics, zoo
from tinympcnn.data import class_shares, synthetic_strip
from tinympcnn.io.pairs import read_pairs
from tinympcnn.nn.losses import balanced_weights

rng = np.random.default_rng(14)

# %% [markdown]
# ## Step 1: look
#
# The images show rolled steel in different light. Mill scale, water spots and scratches are harmless. The defect is a
# patch of thin wavy streaks across the grain, and its label is the whole patch.

# %%
data = TUTORIALS.parent / "data"
train = read_pairs(data / "strip-train.tif", data / "strip-train-labels.tif")
defective = np.array([y.any() for y in train.labels])
shares = class_shares(train.labels, 2)
size, bad = train.images[0].shape[:2], defective.sum()
print(f"{len(train.images)} images of {size}, {bad} of them with a defect")
print(f"share of defect pixels, and so the error of 'never a defect': {shares[1]:.3f}")
some = [*np.flatnonzero(defective)[:3], *np.flatnonzero(~defective)[:3]]
show(
    figures.picture_grid(
        [train.images[i][:, :, 0] for i in some],
        ["defect"] * 3 + ["sound"] * 3,
        outlines=[train.labels[i].astype(float) for i in some],
    ),
    alt="""Six grey pictures of steel strip. In the upper three a dashed line surrounds an
    ellipse with wavy streaks in it, clear in one of them and faint in another. The lower
    three are sound; they have small dark spots and thin bright rings.""",
    colours=64,
)
assert 0.03 < shares[1] < 0.07

# %% [markdown]
# ## Step 2: weigh the classes
#
# The cross-entropy is a mean over pixels, so the 95 % decide. The paper minimises it "per class". Let $N_k$ be the
# number of pixels of class $k$, and $K$ the number of classes. The weight
#
# $$w_k = \frac{N}{K N_k}, \qquad N = \sum_k N_k,$$
#
# makes $N_k w_k = N / K$ for every class: each class has the same say, and the mean weight of a pixel is 1.
#
# By hand: 90 pixels of class 0 and 10 of class 1. $w_0 = 100 / (2 \cdot 90) = 0.556$ and
# $w_1 = 100 / (2 \cdot 10) = 5$. A net that says "never" with $p_1 = 0.05$ has the plain loss
# $-0.9 \ln 0.95 - 0.1 \ln 0.05 = 0.346$, half of the $\ln 2 = 0.693$ of an undecided net. With weights its loss is
# $-0.5 \ln 0.95 - 0.5 \ln 0.05 = 1.524$; the undecided net's is still $\ln 2$.

# %%
weights = balanced_weights([90, 10])
print("weights", weights.round(3))
assert np.allclose(weights, [100 / 180, 5])
never = np.log(np.tile([0.95, 0.05], (1, 1, 100, 1)))
labels = (np.arange(100) >= 90).astype(int)[None, None]
plain_loss = SoftmaxCrossEntropy().forward(never, labels)
weighted_loss = SoftmaxCrossEntropy(weights).forward(never, labels)
print(f"'never a defect': plain loss {plain_loss:.3f}, weighted loss {weighted_loss:.3f}")
assert round(plain_loss, 3) == 0.346 and round(weighted_loss, 3) == 1.524
source(balanced_weights, fold=True)

# %% [markdown]
# **A mistake worth remembering:** no weights. Below, the paper's steel net trains for three passes (epochs) over 24
# images with the plain loss, and the loss falls. Beside it stands a net from a file, which trained with
# `balance="classes"` for 40 passes over all 48 images (`models/make_steel_net.py`). *Recall* is the share of defect
# pixels found, the *balanced error* the mean of both classes' error rates.

# %% tags=["banner"]
careless = zoo.steel(rng=14)
half = np.r_[np.flatnonzero(defective)[:8], np.flatnonzero(~defective)[:16]]
some = [train.images[i] for i in half], [train.labels[i] for i in half]
for record in fit(careless, some, Recipe(epochs=3, options={"lr": 0.0015}, seed=14)):
    print(f"epoch {record['epoch']}: loss {record['loss_train']:.3f}")

careful = Net.load(MODELS / "steel_net.npz")
test = read_pairs(data / "strip-test.tif", data / "strip-test-labels.tif")
truth = np.stack(test.labels)
maps = {}
for name, net in {"no weights, 3 passes": careless, "balanced, 40 passes": careful}.items():
    maps[name] = np.stack([net.segment(image)[:, :, 1] for image in test.images])
    answer = (maps[name] > 0.5).astype(int)
    C = metrics.confusion(answer, truth, 2)
    recall = metrics.precision_recall_f1(C, positive=1).recall
    error, balanced = metrics.pixel_error(answer, truth), metrics.balanced_error(C)
    print(f"{name:<21} pixel error {error:.3f}, balanced {balanced:.3f}, recall {recall:.3f}")
missed, found = maps["no weights, 3 passes"], maps["balanced, 40 passes"]
assert not (missed > 0.5).any() and (found > 0.5)[truth == 1].mean() > 0.8
i = int(np.flatnonzero(truth.any(axis=(1, 2)))[0])
show(
    figures.picture_grid(
        [test.images[i][:, :, 0], missed[i], found[i]],
        ["a test image, defect outlined", "no weights, 3 passes", "balanced, 40 passes"],
        outlines=[truth[i].astype(float), None, None],
        limits=[None, (0, 1), (0, 1)],
    ),
    alt="""Three pictures: a strip with an outlined defect; the probability of defect from
    the net without weights, which is black everywhere; and from the balanced net, with a
    bright patch where the defect is and fainter ones elsewhere.""",
    colours=64,
)

# %% [markdown]
# The careless net has a pixel error of 4.5 % and has never found anything. To be fair: the careful net has trained
# longer. After 40 passes without weights the careless net would find defects, too, but only behind a long plateau at
# "never". And the balanced net pays with false alarms at $p > 0.5$, because its $p$ is the probability in a world where
# half of all pixels are defects.

# %% [markdown]
# ## Step 3: decide for each image
#
# Count the pixels with $p > 0.8$, and flag the image if the count is above a threshold. The paper takes 5000 at full
# resolution, half of the smallest conceivable defect. At a quarter per axis that is $5000 / 16 = 312.5$ pixels.
#
# A threshold must not be chosen on the images it is judged by, so we draw new ones.


# %%
def new_strips(count, defects, seed):
    """Return the probabilities of defect on new images, and which of the images have one."""
    full, labels = synthetic_strip(count, defects=defects, rng=seed)  # 240 x 550 pixels
    # 137 blocks of 4 columns; two columns are left over
    blocks = full[:, :, :548].reshape(count, 60, 4, 137, 4)
    maps = [careful.segment(image)[:, :, 1] for image in blocks.mean(axis=(2, 4))]
    return np.stack(maps), labels.any(axis=(1, 2))


fresh_maps, has_defect = new_strips(40, 14, seed=14)
counts = (fresh_maps > 0.8).sum(axis=(1, 2))
paper = 5000 / 16
flagged = counts > paper
hits, alarms = (flagged & has_defect).sum(), (flagged & ~has_defect).sum()
print(f"threshold {paper}: {hits} of {has_defect.sum()} defects flagged, {alarms} false alarms")
show(figures.sorted_counts(counts, has_defect, paper))
assert (counts[has_defect] > paper).mean() > 0.7

# %% [markdown]
# ## Step 4: all thresholds at once
#
# Each threshold has a hit rate (the share of defective images that are flagged) and a false-alarm rate (the share of
# sound images that are flagged). Together they are the ROC curve. The area under it is the probability that a defective
# image has a higher count than a sound one; ties count one half.
#
# By hand: counts 5, 2 for defective and 3, 1 for sound images. Of the four pairs, $5 > 3$, $5 > 1$, $2 > 1$ are right
# and $2 < 3$ is wrong: area $3/4$.


# %%
def roc(counts, positive):
    """False-alarm and hit rates for every threshold, from the strictest to the most lenient."""
    thresholds = np.r_[np.inf, np.unique(counts)[::-1], -1]
    flagged = counts[None] > thresholds[:, None]
    return flagged[:, ~positive].mean(axis=1), flagged[:, positive].mean(axis=1)


def area(counts, positive):
    """Probability that a defective image has the higher count."""
    gap = counts[positive][:, None].astype(float) - counts[~positive][None]
    return float(np.mean((gap > 0) + 0.5 * (gap == 0)))


assert area(np.array([5, 2, 3, 1]), np.array([True, True, False, False])) == 0.75
cuts = (0.3, 0.5, 0.8)
per_cut = {f"p > {cut}": (fresh_maps > cut).sum(axis=(1, 2)) for cut in cuts}
for name, n in per_cut.items():
    alarms, hits = roc(n, has_defect)
    under = np.trapezoid(hits, alarms)
    print(f"{name}: area by pairs {area(n, has_defect):.3f}, under the curve {under:.3f}")
    assert abs(area(n, has_defect) - under) < 1e-9
at = (counts[~has_defect] > paper).mean(), (counts[has_defect] > paper).mean()
points = {"the paper's threshold": at}
show(figures.roc_curve({name: roc(n, has_defect) for name, n in per_cut.items()}, points))

# %% [markdown]
# ## Step 5: what a miss costs
#
# A missed defect goes to a customer. A false alarm takes a minute of an inspector's time. With prices $c_{miss}$ and
# $c_{alarm}$ the cost per image at a threshold is
#
# $$\text{cost} = \frac{c_{miss} \cdot \text{misses} + c_{alarm} \cdot \text{false alarms}}{\text{images}}.$$
#
# By hand: 3 misses and 5 false alarms on 100 images cost $0.08$ at $1 : 1$, and $(60 + 5) / 100 = 0.65$ at $20 : 1$.
#
# Each threshold is chosen on the 40 images of Step 3, now with $p > 0.5$, and costs more on 120 new ones. The lower
# threshold, 187, finds no further defect there; it only flags more sound strips. What is missing is a better net.

# %%
candidates = np.arange(0, 900)


def cost(counts, positive, miss, alarm):
    """Cost per image for every candidate threshold."""
    flagged = counts[None] > candidates[:, None]
    misses, alarms = (positive & ~flagged).sum(axis=1), (flagged & ~positive).sum(axis=1)
    return (miss * misses + alarm * alarms) / len(counts)


n = per_cut["p > 0.5"]
prices = {"a miss costs 1": 1, "a miss costs 5": 5, "a miss costs 20": 20}
curves = {name: cost(n, has_defect, miss, 1) for name, miss in prices.items()}
chosen = {name: int(candidates[np.argmin(curve)]) for name, curve in curves.items()}
new_maps, new_defect = new_strips(120, 40, seed=15)
k = (new_maps > 0.5).sum(axis=(1, 2))
for name, threshold in chosen.items():
    misses = (new_defect & (k <= threshold)).sum()
    alarms = (~new_defect & (k > threshold)).sum()
    seemed, costs = curves[name].min(), cost(k, new_defect, prices[name], 1)[threshold]
    print(f"{name:<15} threshold {threshold:>3}, ", end="")
    print(f"cost {seemed:.2f} where it was chosen; ", end="")
    print(f"on new images {costs:.2f}: {misses} misses, {alarms} false alarms")
    assert costs > seemed
assert chosen["a miss costs 20"] < chosen["a miss costs 1"]
show(figures.costs(candidates, curves, chosen))

# %% [markdown]
# ## Check yourself
#
# 1. "Never a defect" has a pixel error of 5 %. What is its balanced error?
#
#    <details><summary>Answer</summary>One half: it is always right on one class and always wrong on the
#    other.</details>
# 2. What does a class weight of 0 mean, and when is it given?
#
#    <details><summary>Answer</summary>Pixels of that class have no part in the loss. A class that does not occur in the
#    training set gets it, since 1 / 0 is no weight.</details>
# 3. Why is p > 0.5 no longer the natural cut after training with weights?
#
#    <details><summary>Answer</summary>The weights pretend that both classes are equally frequent. The net's p is a
#    probability in that world.</details>

# %% [markdown]
# ## Exercises
#
# The solutions are in `solutions/14.py`.
#
# **Class weights** from counts, as in step 2. A class with count 0 gets weight 0 and is not counted in $K$.


# %% tags=["exercise"]
def class_weights(counts):
    weights = ...  # your code
    return weights


grade_class_weights(class_weights)

# %% [markdown]
# **The cheapest threshold.** Return the first of `thresholds` with the least cost, if images with
# `counts > threshold` are flagged. `defective` is a boolean array; `miss` and `alarm` are prices.


# %% tags=["exercise"]
def choose_threshold(counts, defective, miss, alarm, thresholds):
    best = ...  # your code
    return best


grade_choose_threshold(choose_threshold)

# %% [markdown]
# ## In practice
#
# - On the command line: `tinympcnn train ... --net steel --balance`. The paper used L-BFGS, `--optimizer lbfgs`.
# - The paper trains on half of 534 images, of which 70 have a defect, chooses the threshold on a quarter, and reports 3
#   mistakes. With so few defects one image moves a rate by percents. So report counts, of what was flagged and of what
#   was missed.
# - Uneven light hides what stands out only against its surroundings. `LC33x33` in front of a net sets the *local
#   contrast* of each pixel beside the image (`LocalContrast`).
#
# ## Next
#
# [16 · Add your own layer](16_add_your_own_layer.ipynb): a layer that the library does not have. (If you have a GPU,
# look into the [appendix, 15](15_move_to_the_gpu.ipynb), first.)
