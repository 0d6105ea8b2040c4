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
# # 13 · Membranes
#
# A whole job from end to end: TIFF stacks in, a trained net, probability maps and labels out, and scores. The score
# that everyone computes first hides the mistake that matters most.
#
# ## What you will build
#
# ![One hole in a membrane, and the two cells that it makes one](banners/13.png)
#
# - A hole in one membrane, which the pixel error hardly notices and the score V_Rand does.
# - As exercises: V_Rand of two label images, and the best threshold of a probability map.

# %% [markdown]
# ## What you need
#
# Tutorials 09 (borders) and 11 (training). About 35 minutes. The data are synthetic. To use slices of the ISBI 2012
# stack (section 4.1 of the paper), put `train-volume.tif` and `train-labels.tif` into a folder `isbi2012`, and let the
# environment variable `TINYMPCNN_DATA` name the folder above it.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from course import figures  # not found? start Jupyter with `make tutorials`
from course.grading_training import grade_best_threshold, grade_v_rand
from course.style import show

from tinympcnn import Net, Recipe, fit, metrics
from tinympcnn.data import synthetic_membranes
from tinympcnn.io import predictions
from tinympcnn.io.pairs import read_pairs

rng = np.random.default_rng(13)

# %% [markdown]
# ## Step 1: files
#
# We write two small stacks of synthetic tissue as TIFF files, and from there on use only the files. `read_pairs` pairs
# images with labels and says what it found. **Read these lines.** Class 0, the membranes, should have about a quarter
# of the pixels. Three quarters would mean inverted labels, the most frequent mistake of all.

# %%
folder = Path(tempfile.mkdtemp())
real = Path(os.environ.get("TINYMPCNN_DATA", ""), "isbi2012")
if (real / "train-volume.tif").exists():
    whole = read_pairs(real / "train-volume.tif", real / "train-labels.tif")
    pages = np.stack([page[:192, :192, 0] for page in whole.images[:4]])
    classes = np.stack([255 * page[:192, :192].astype(np.uint8) for page in whole.labels[:4]])
    stacks = {"train": (pages[:3], classes[:3]), "test": (pages[3:], classes[3:])}
else:
    stacks = {"train": synthetic_membranes(12, 96, rng=13)}
    stacks["test"] = synthetic_membranes(1, 192, rng=14)
for name, (images, labels) in stacks.items():
    tifffile.imwrite(folder / f"{name}.tif", images, photometric="minisblack")
    tifffile.imwrite(folder / f"{name}-labels.tif", labels, photometric="minisblack")

train = read_pairs(folder / "train.tif", folder / "train-labels.tif")
test = read_pairs(folder / "test.tif", folder / "test-labels.tif")
print("\n".join(train.description + test.description).replace(f"{folder}{os.sep}", ""))
assert train.class_values == (0, 255) and train.images[0].shape[2] == 1

# %% [markdown]
# The baseline of tutorial 00 is the best threshold on the grey values, found on the test image itself. A net that does
# not beat it has learnt nothing.

# %%
image, truth = test.images[0], test.labels[0]
baseline = metrics.best_threshold_error(image[:, :, 0], truth).error
everywhere = (truth == 0).mean()
print(f"error of the best threshold {baseline:.3f}, of 'interior everywhere' {everywhere:.3f}")

# %% [markdown]
# ## Step 2: train
#
# The spec names the layers in the paper's notation. `augment="flip"` shows each slice in one of its eight flips and
# quarter turns, because tissue has no up and down.

# %%
net = Net.from_spec("C5x5x8 MPF2x2 C5x5x12 MPF2x2 C4x4x16 FC2", rng=13)
net.class_values = train.class_values
recipe = Recipe(epochs=24, options={"lr": 0.008}, augment="flip", seed=13)
seen, unseen = (train.images, train.labels), (test.images, test.labels)
records = list(fit(net, seen, recipe, validation=unseen))
for record in records[::6] + records[-1:]:
    loss, error = record["loss_train"], record["pixel_error"]
    print(f"epoch {record['epoch']:>2}: loss {loss:.3f}, test error {error:.3f}")
assert records[-1]["pixel_error"] < baseline
columns = {
    "loss, training": "loss_train",
    "loss, test slice": "loss_val",
    "pixel error, test slice": "pixel_error",
}
epochs = [record["epoch"] for record in records]
curves = {name: (epochs, [record[key] for record in records]) for name, key in columns.items()}
show(
    figures.loss_curves([("epochs", curves)], ylabel="loss, error"),
    alt="""Three curves against epochs, all falling with small ups and downs: the training
    loss, the loss on the test slice close to it, and below them the pixel error on the test
    slice.""",
)

# %% [markdown]
# ## Step 3: segment, write, evaluate
#
# `net.segment` takes the image as it came from the file. It normalises with the mean and standard deviation of the
# training set, mirrors the borders, works in tiles, and returns the probability of each class at each pixel. The
# results are written to files, with the class values of the label files, and scored from there.

# %%
probabilities = net.segment(image)
answer = probabilities.argmax(axis=-1)
error = metrics.pixel_error(answer, truth)
print(f"image {image.shape}, probabilities {probabilities.shape}, error {error:.3f}")
assert probabilities.shape == (*truth.shape, 2) and error < baseline

values = net.class_values
predictions.write_probabilities(folder / "test_prob.tif", probabilities, values, force=True)
predictions.write_labels(folder / "test_labels.tif", answer, values, force=True)
prediction = predictions.read_prediction(folder / "test_prob.tif")
p_interior = np.stack([page[..., 1] for page in prediction.pages])
report = metrics.evaluate(p_interior, truth[None], membranes=True)
assert report["pixel_error"] == error
show(
    figures.picture_grid(
        [image[:, :, 0], probabilities[:, :, 1], truth],
        ["test slice", "segment: probability of interior", "truth"],
        limits=[None, (0, 1), (0, 1)],
    ),
    alt="""Three pictures. The test slice, grey and noisy. The probability of interior from
    segment: bright cells separated by dark membranes. The truth: the same cells with clean
    membranes.""",
    colours=48,
)

# %% [markdown]
# ## Step 4: a mistake worth remembering: to trust the pixel error
#
# For biologists, one hole in a membrane is a serious error, because it makes two cells one. A membrane drawn too thick
# is no error. V_Rand asks about pairs of pixels: do truth and proposal agree on which belong together? Let $p_{ij}$ be
# the share of pixels in true segment $i$ and proposed segment $j$, and $t_i$, $s_j$ its sums over $j$ and $i$. Then
#
# $$V_{\mathrm{Rand}} = \frac{\sum_{ij} p_{ij}^2}{\frac12 \sum_j s_j^2 + \frac12 \sum_i t_i^2}.$$
#
# Only pixels inside of true cells count, after the proposal's membranes have been thinned to one pixel
# (Arganda-Carreras et al., Front. Neuroanat. 2015). Divided by $\sum_i t_i^2$ alone, the numerator shows what *splits*
# cost; by $\sum_j s_j^2$ alone, what *mergers* cost. `evaluate` prints both as "split" and "merge".
#
# By hand: two cells of 6 pixels, and a membrane between them.
#
# - *One hole:* 1 of 15 pixels is wrong, a pixel error of $0.067$. Both cells are one segment:
#   $p_{11} = p_{21} = \frac12$, $t = (\frac12, \frac12)$, $s = (1)$, so $V = \frac{1/4 + 1/4}{1/2 + 1/4} = \frac23$.
# - *Thick membrane:* 6 of 15 pixels are wrong, a pixel error of $0.4$. After thinning, the cells are those of the
#   truth: $V = 1$.

# %%
small = np.array([[1, 1, 0, 1, 1]] * 3)
hole, thick = small.copy(), small.copy()
hole[1, 2] = 1
thick[:, [1, 3]] = 0
for name, proposal in {"one hole": hole, "thick membrane": thick}.items():
    v = metrics.v_scores(proposal.astype(float), small, thresholds=[0.5]).rand
    wrong = metrics.pixel_error(proposal, small)
    print(f"{name:<15} pixel error {wrong:.3f}, V_Rand {v.value:.3f}")
assert abs(metrics.v_scores(hole.astype(float), small).rand.value - 2 / 3) < 1e-12
assert metrics.v_scores(thick.astype(float), small).rand.value == 1
found = {"one hole": metrics.segments(hole), "thick membrane": metrics.segments(thick)}
show(figures.one_merged_pair(metrics.segments(small), found))

# %% [markdown]
# Now the test slice. The proposal is the *truth*, with one small hole between two large neighbours.

# %% tags=["banner"]
cells = metrics.segments(truth == 1)
thin = metrics.thin_borders(cells)
sizes = np.bincount(cells.ravel())
best = (0, None, None)
for q, p in np.argwhere(thin[1:-1, 1:-1] == 0) + 1:  # lines between cells: the largest pair?
    a, b = thin[q, p - 1], thin[q, p + 1]
    near = thin[max(q - 8, 0) : q + 9, max(p - 8, 0) : p + 9]
    alone = near.shape == (17, 17) and set(near.ravel()) == {0, a, b}  # no third cell, no edge
    if a and b and a != b and alone and min(sizes[a], sizes[b]) > best[0]:
        best = (min(sizes[a], sizes[b]), (int(a), int(b)), (q, p))
_, pair, (q, p) = best
rows, columns = np.ogrid[: truth.shape[0], : truth.shape[1]]
for radius in range(1, 12):  # the smallest hole that joins them
    opened = (truth == 1) | (np.hypot(rows - q, columns - p) <= radius)
    joined = metrics.segments(opened)
    if joined[cells == pair[0]][0] == joined[cells == pair[1]][0]:
        break
wrong = int((opened != truth).sum())
bad = metrics.pixel_error(opened.astype(int), truth)
before = metrics.v_scores((truth == 1).astype(float), truth).rand
after = metrics.v_scores(opened.astype(float), truth).rand
print(f"{wrong} of {truth.size} pixels are wrong: pixel error {bad:.4f}")
print(f"V_Rand {before.value:.3f} -> {after.value:.3f}, ", end="")
print(f"split {after.split:.3f}, merge {after.merge:.3f}")
print(f"the net of Step 2: pixel error {error:.3f}, V_Rand {report['v_rand']['value']:.3f}")
assert bad < 0.005 and after.value < 0.99 * before.value
show(figures.merged_cells(opened.astype(float), cells, pair, (float(q), float(p))))

# %% [markdown]
# ## Check yourself
#
# 1. You expected membranes to be class 0, and the share of class 0 is 76 %. What has happened?
#
#    <details><summary>Answer</summary>The labels are inverted: 0 is the interior.</details>
# 2. Which error costs much in V_Rand and little in pixels, and which is the other way round?
#
#    <details><summary>Answer</summary>A hole that merges two cells; and membranes that are too thick or too
#    thin.</details>
# 3. The validation data in Step 2 are the test slice. Is that allowed?
#
#    <details><summary>Answer</summary>To watch, yes. Once you choose by it, the number of epochs or a threshold, its
#    score is no longer honest; you need a third set.</details>

# %% [markdown]
# ## Exercises
#
# The solutions are in `solutions/13.py`.
#
# **V_Rand** of two label images: segments are numbered from 1 and 0 is border. Count only pixels where `truth > 0`.
# A counted pixel that the proposal calls border is a segment of its own (a singleton). No thinning.


# %% tags=["exercise"]
def v_rand(truth, proposal):
    value = ...  # your code
    return value


grade_v_rand(v_rand)

# %% [markdown]
# **The best threshold.** Return the one of `thresholds` at which `p > threshold` has the largest
# $F_1 = 2\,tp / (2\,tp + fp + fn)$ (the first one, if several): $tp$ pixels are found rightly, $fp$ wrongly, $fn$
# missed.


# %% tags=["exercise"]
def best_threshold(p, truth, thresholds):
    best = ...  # your code
    return best


grade_best_threshold(best_threshold)

# %% [markdown]
# ## In practice
#
# The same job on the command line:
#
#     tinympcnn train -i train.tif -l train-labels.tif -o cells.npz --net N4 --augment rotate --epochs 100 --val 0.1
#     tinympcnn segment -i test.tif -m cells.npz -o results
#     tinympcnn evaluate -p results/test_prob.tif -l test-labels.tif --membranes
#
# N4, the net of section 4.1, sees 95 x 95 pixels (ours 28 x 28), has 219,290 parameters and needs hours on a CPU. On
# real data hold out whole slices, and look at the pictures before you look at the numbers.
#
# ## Next
#
# [14 · Rare defects in steel](14_rare_defects_in_steel.ipynb): what if one pixel in twenty is of the class that you are
# after?
