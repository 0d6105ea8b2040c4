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
# # 00 · See it segment
#
# ## What you will build
#
# ![A noisy image of cells, its true membranes, the best threshold, and the answer of the net.](banners/00.png)
#
# For every pixel of an image of cells, a small trained net says: membrane, or interior of a cell. You compare its
# answers with those of a threshold on the grey values. From tutorial 01 on you take the net apart.
#
# ## What you need
#
# NumPy. About 20 minutes.

# %%
import numpy as np
from course import MODELS, figures  # not found? start Jupyter with `make tutorials`
from course.grading_basics import grade_pixel_error, grade_softmax
from course.style import show

from tinympcnn import Net
from tinympcnn.data import class_indices, synthetic_membranes
from tinympcnn.metrics import best_threshold_error, pixel_error
from tinympcnn.nn.losses import softmax

rng = np.random.default_rng(0)

# %% [markdown]
# ## Step 1: the task, and how mistakes are counted
#
# The synthetic image looks like a slice of tissue in an electron microscope. Its label image holds the true class $t$
# of each pixel: 0, membrane, or 1, interior. A segmentation gives each pixel a class $\hat t$. For $N$ pixels, in rows
# $q$ and columns $p$, the **pixel error** is
#
# $$ \frac{1}{N} \sum_{q,p} [\,\hat t_{q,p} \ne t_{q,p}\,] . $$
#
# The bracket is 1 where its statement is true, and 0 elsewhere. By hand: $(0, 1, 1, 1, 0, 1)$ for $(0, 1, 0, 1, 1, 1)$
# is wrong at the third and the fifth place, so the error is $2/6 \approx 0.333$.

# %%
given, true = np.array([0, 1, 1, 1, 0, 1]), np.array([0, 1, 0, 1, 1, 1])
print(f"pixel error: {pixel_error(given, true):.3f}")
assert np.isclose(pixel_error(given, true), 2 / 6)

images, label_images = synthetic_membranes(1, 192, rng)
image, labels = images[0], class_indices(label_images[0], (0, 255))
always_interior = pixel_error(np.ones_like(labels), labels)
print(f"image {image.shape} {image.dtype}")
print(f"error of 'interior' everywhere: {always_interior:.3f}")
assert always_interior == (labels == 0).mean()

# %% [markdown]
# ## Step 2: the best threshold is not enough
#
# Membranes are dark, so a threshold $\theta$ on the grey value $x_{q,p}$ is the first idea: interior where
# $x_{q,p} > \theta$. By hand: the grey values $10, 20, 30, 40$ have the classes $1, 1, 0, 1$. "Class 1 where the value
# is at most 20" is wrong once, an error of $1/4$, and no threshold does better. The library tries every threshold and
# both sides; `bright` says whether class 1 is the brighter one.

# %%
print(best_threshold_error([10, 20, 30, 40], [1, 1, 0, 1]))
best = best_threshold_error(image, labels)
print(f"on the image: threshold {best.threshold:g}, pixel error {best.error:.3f}")
assert best_threshold_error([10, 20, 30, 40], [1, 1, 0, 1]).error == 1 / 4

show(
    figures.grey_values(image, labels, ("membrane", "interior"), best.threshold),
    colours=48,
)

# %% [markdown]
# The histograms overlap, because mitochondria and vesicles inside the cells are dark too. The shape around a pixel
# tells what the pixel is; its grey value does not.
#
# ## Step 3: a net that looks at shapes
#
# `models/make_first_net.py` has trained the small net below on 16 other synthetic images. Every row of the table is a
# layer; you will write most of them. The sizes are for the smallest image that the net takes without padding; skip
# them, and the fragments, until 08.

# %%
net = Net.load(MODELS / "first_net.npz")
print(net)
assert net.n_params == 5742 and net.field_of_view == (28, 28)

# %% [markdown]
# For every pixel the net gives one **score** $s_k$ for each class $k$. The **softmax** makes probabilities of the
# scores:
#
# $$ p_k = \frac{e^{s_k}}{\sum_{k'} e^{s_{k'}}} . $$
#
# By hand: the scores $(0, \ln 3)$ give $e^0 = 1$ and $e^{\ln 3} = 3$, so the probabilities are $1/4$ and $3/4$.
# `net.segment` goes from the image to the probabilities of every pixel, borders included.

# %%
print("softmax of (0, ln 3):", softmax(np.array([0, np.log(3)])))
assert np.allclose(softmax(np.array([0, np.log(3)])), [0.25, 0.75])

probabilities = net.segment(image)
answer = probabilities.argmax(axis=-1)
error = pixel_error(answer, labels)
print("probabilities", probabilities.shape)
print(f"pixel error {error:.3f}, of the best threshold {best.error:.3f}")
assert np.allclose(probabilities.sum(axis=-1), 1, atol=1e-6)
assert error < 0.7 * best.error

# %% tags=["banner"]
show(
    figures.pictures(
        {
            "image": image / 255,
            "truth": labels,
            f"best threshold, error {best.error:.3f}": image > best.threshold,
            "net: probability of interior": probabilities[..., 1],
            f"net: answer, error {error:.3f}": answer,
            "net: wrong pixels black": answer == labels,
        },
        low=0,
        high=1,
    ),
    alt="Six pictures of one slice. The image is grey and noisy, with dark winding membranes "
    "between cells. The truth shows the membranes as black curves. The best threshold also "
    "blackens mitochondria and specks inside the cells, and breaks membranes. The net's "
    "probability is dark along the membranes and bright nearly everywhere else. Its wrong "
    "pixels are thin seams along the edges of membranes, some spots in mitochondria and a few "
    "missed pieces of membrane.",
    colours=16,
)

# %% [markdown]
# ## Step 4: what one answer sees
#
# The net classifies the centre pixel of a **window**, its field of view of $v_h \times v_w$ pixels. An image of
# $H \times W$ pixels holds
#
# $$ (H - v_h + 1)\,(W - v_w + 1) $$
#
# windows. By hand, for $192 \times 192$ pixels and $28\times28$ windows: $165^2 = 27\,225$. Window by window, the net
# would read over 21 million pixels from an image of 36,864. The library reads the image once and gets the same numbers.
# We check one pixel; `as_patch` makes the net that takes a single window.

# %%
(vh, vw), (q, p) = net.field_of_view, (90, 80)
n = (192 - vh + 1) * (192 - vw + 1)
print("windows:", n, "  pixels read:", n * vh * vw)
assert n == 27_225

mean, std = net.normalisation
top, left = q - vh // 2, p - vw // 2
window = image[top : top + vh, left : left + vw]
scores = net.as_patch().forward(((window - mean) / std)[None, :, :, None])
alone = softmax(scores)[0, 0, 0]
print("from the window alone:", alone, "  from the whole image:", probabilities[q, p])
assert np.allclose(alone, probabilities[q, p], atol=1e-5) and labels[q, p] == 0

words = f"interior with probability {alone[1]:.2f}"
show(figures.window_of_a_pixel(image, (q, p), (vh, vw), words), colours=24)

# %% [markdown]
# ## Step 5: a mistake worth remembering: grey values as they are
#
# The net was trained on images normalised by the mean $\mu$ and the standard deviation $\sigma$ of the training set:
#
# $$ x' = \frac{x - \mu}{\sigma} . $$
#
# By hand, with $\mu = 134$ and $\sigma = 41$: the grey value $175$ becomes $(175 - 134)/41 = 1$. `net.segment` does
# that; `net.forward` takes the image as it is, and grey values raise no error. (With `train=False` it keeps nothing for
# learning.)

# %%
print(f"mean {mean[0]:.1f}, standard deviation {std[0]:.1f}")
print(f"175 becomes {(175 - mean[0]) / std[0]:.2f}")
assert round((175 - 134) / 41) == 1

raw = softmax(net.forward(image[None, :, :, None].astype(np.float32), train=False))[0, ..., 1]
# `forward` does not mirror the borders, so both errors count the inner pixels only.
inner = np.s_[vh // 2 : vh // 2 + len(raw), vw // 2 : vw // 2 + len(raw)]
maps = {"grey values as they are": raw, "normalised": probabilities[inner][..., 1]}
errors = [pixel_error((found > 0.5).astype(int), labels[inner]) for found in maps.values()]
print(f"pixel error on grey values as they are: {errors[0]:.3f}, normalised: {errors[1]:.3f}")
assert errors[0] > 2 * errors[1]

show(
    figures.pictures(maps | {"truth": labels[inner]}, low=0, high=1),
    alt="Three pictures. The probability of interior from grey values as they are: membranes "
    "show through, but the insides of the cells are full of grey and black blotches, and thin "
    "membranes are lost among them. From the normalised image: dark membranes between nearly "
    "white cells, as in the truth, the third picture.",
    colours=16,
)

# %% [markdown]
# ## Check yourself
#
# 1. What does the net answer, and for which pixels?
#
#    <details><summary>Answer</summary>The probability of each class, for every pixel of the image.</details>
# 2. Why does no threshold do well?
#
#    <details><summary>Answer</summary>Membranes and insides share many grey values.</details>
# 3. What is the field of view?
#
#    <details><summary>Answer</summary>The window of the image that one output pixel depends on, here 28 x 28.</details>

# %% [markdown]
# ## Exercises
#
# Fill the blanks (`...  # your code`), run the cell, read the verdict. Solutions: `solutions/00.py`.


# %% tags=["exercise"]
def your_pixel_error(prediction, labels):
    """Return the share of pixels whose class is wrong; two integer arrays of one shape."""
    return ...  # your code


grade_pixel_error(your_pixel_error)


# %% tags=["exercise"]
def your_softmax(scores):
    """Return the probabilities of scores (..., K) along the last axis."""
    return ...  # your code: try it on the scores (1000, 0) as well


grade_softmax(your_softmax)

# %% [markdown]
# ## In practice
#
# The same from files, without Python: `tinympcnn segment -i image.tif -m model.npz -o out`.
#
# ## Next
#
# [01 · Arrays and axes](01_arrays_and_axes.ipynb): how images, maps and fragments lie in memory.
