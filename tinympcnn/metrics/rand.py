"""Measures that compare segments: the ISBI 2012 challenge's Rand error, and its successors V_Rand and V_Info.

A segment is a 4-connected component of interior pixels. All three ask of pairs of pixels, or of one pixel's
information: do truth and proposal agree on which pixels belong together? Only pixels that are interior in the truth
count ("foreground-restricted"), and each of them that the proposal calls border is a segment of its own, a singleton.

Definitions: Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms for
connectomics", Front. Neuroanat. 9:142, and the classes RandError, VariationOfInformation and WatershedTransform2D of
Fiji's Trainable_Segmentation, by which the challenge was scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinympcnn.errors import DataError
from tinympcnn.metrics.sweep import THRESHOLDS, Sweep, as_thresholds, lowest, probability_and_truth

_NO_SEGMENTS = "truth_is_interior has no interior pixel, so there are no segments to compare; is it inverted?"


@dataclass(frozen=True)
class VScore(Sweep):
    """The best V over thresholds (1 is perfect); there, V with alpha 0 (what splits cost) and alpha 1 (mergers)."""

    split: float
    merge: float


class VScores(NamedTuple):
    """V_Rand and V_Info of one stack."""

    rand: VScore
    info: VScore


def segments(interior: np.ndarray) -> np.ndarray:
    """Return the 4-connected components of a boolean image (H, W), numbered from 1; borders are 0."""
    from scipy import ndimage  # takes half of the time in which a command starts

    return np.asarray(ndimage.label(interior)[0])


def thin_borders(labels: np.ndarray) -> np.ndarray:
    """Grow all segments of `labels` (H, W), numbered from 1, at one speed until they meet in lines one pixel thick.

    This is the watershed transform of the two-valued proposal (Soille and Vincent 1990), which the challenge used: its
    basins are the 4-connected segments, and they flood the border in waves of equal distance.
    `scipy.ndimage.watershed_ift` draws no lines, and the lines count (as singletons), so we flood ourselves, a whole
    wave at a time. Two neighbours of one wave lie on different colours of a checkerboard: each wave takes the one
    colour, then the other, which sees the first. A pixel takes its neighbours' segment, or stays on the line where they
    belong to two, or to none. Fiji goes through a wave pixel by pixel; where a border has an even width the line may
    thus lie one pixel to the other side.

    Examples
    --------
    >>> thin_borders(np.array([[1, 0, 0, 0, 2, 0, 0]]))
    array([[1, 1, 0, 2, 2, 2, 2]])
    """
    if not labels.any():
        return labels
    from scipy import ndimage

    distance = np.pad(ndimage.distance_transform_cdt(labels == 0, "taxicab"), 1)
    rows, columns = np.ogrid[: distance.shape[0], : distance.shape[1]]
    wave = (2 * distance + (rows + columns) % 2).ravel()
    border = np.flatnonzero(distance)
    border = border[np.argsort(wave[border], kind="stable")]
    flooded = np.pad(labels, 1)
    flat, width = flooded.ravel(), flooded.shape[1]
    for pixels in np.split(border, np.flatnonzero(np.diff(wave[border])) + 1):
        around = flat[pixels + np.array([[-width], [-1], [1], [width]])]
        first = around.max(axis=0)
        other = ((around != first) & (around != 0)).any(axis=0)
        flat[pixels] = np.where(other, 0, first)
    return flooded[1:-1, 1:-1]


def rand_error(
    probability_of_interior: ArrayLike,
    truth_is_interior: ArrayLike,
    thresholds: Sequence[float] | np.ndarray = THRESHOLDS,
) -> Sweep:
    """Return the foreground-restricted Rand error: 1 - max F-score of the pairs of pixels that are put together.

    With n_ij pixels in true segment i and proposed segment j, and n_0 singletons, at one threshold

        both = sum_ij n_ij^2 + n_0,    truth = sum_i n_i^2,    proposal = sum_j n_j^2 + n_0,
        F = 2 both / (truth + proposal)

    with the three sums added up over the slices first. Segments never reach from one slice into the next. Probabilities
    in [0, 1] and truth are (Z, H, W), (H, W) or lists of images, thresholds an increasing sequence.

    Examples
    --------
    Two cells of 2 and 1 pixels that the proposal merges: both = 4 + 1, truth = 4 + 1, proposal = 9.

    >>> result = rand_error([[1.0, 1.0, 1.0, 1.0]], [[1, 1, 0, 1]], thresholds=[0.5])
    >>> round(result.value, 3)  # 1 - 10 / 14
    0.286
    """
    p, truth = probability_and_truth(probability_of_interior, truth_is_interior)
    t = as_thresholds(thresholds)
    slices = [(q, segments(is_true)) for q, is_true in zip(p, truth, strict=True)]
    sums = np.array([[_pairs(segments(q > tk), s) for q, s in slices] for tk in t])
    both, of_truth, of_proposal = np.moveaxis(sums.sum(axis=1), -1, 0)
    if not of_truth.all():
        raise DataError(_NO_SEGMENTS)
    return lowest(1 - 2 * both / (of_truth + of_proposal), t)


def v_scores(
    probability_of_interior: ArrayLike,
    truth_is_interior: ArrayLike,
    thresholds: Sequence[float] | np.ndarray = THRESHOLDS,
) -> VScores:
    """Return V_Rand and V_Info after border thinning: the measures the challenge ended with.

    The proposal's borders are first thinned (`thin_borders`), so their width no longer matters. With
    p_ij = n_ij / n, s_i the proposed and t_j the true segments' shares of the n pixels, singletons included,

        V_Rand = sum p_ij^2 / (alpha sum s_i^2 + (1 - alpha) sum t_j^2)
        V_Info = I(S; T) / ((1 - alpha) H(S) + alpha H(T))

    with alpha = 0.5, which weighs splits and mergers alike. Each is the mean over slices, as the challenge's final
    script calls Fiji (the Rand error's pairs are pooled), without those whose truth has no interior, at the threshold
    that is best for it. Where truth and proposal are the same single segment, V_Info is 0 / 0; we say 1, Fiji says 0.

    Examples
    --------
    A border three pixels wide in place of one costs nothing:

    >>> truth = np.array([[1, 1, 1, 0, 1, 1, 1]] * 3)
    >>> proposal = np.array([[1, 1, 0, 0, 0, 1, 1]] * 3, dtype=float)
    >>> scores = v_scores(proposal, truth)
    >>> scores.rand.value, round(scores.info.value, 12)
    (1.0, 1.0)
    """
    p, truth = probability_and_truth(probability_of_interior, truth_is_interior)
    t = as_thresholds(thresholds)
    kept = [(q, segments(is_true)) for q, is_true in zip(p, truth, strict=True) if is_true.any()]
    if not kept:
        raise DataError(_NO_SEGMENTS)
    pairs, information = np.zeros((2, len(t), len(kept), 3))
    for k, tk in enumerate(t):
        for i, (q, true) in enumerate(kept):
            thinned = thin_borders(segments(q > tk))
            pairs[k, i], information[k, i] = _pairs(thinned, true), _information(thinned, true)
    return VScores(_best(pairs, t), _best(information[..., [0, 2, 1]], t))


def _best(terms: np.ndarray, t: np.ndarray) -> VScore:
    """Return the best mean of shared / ((1 - alpha) a + alpha b), terms (T, slices, 3) being the three."""
    shared, a, b = np.moveaxis(terms, -1, 0)

    def v(alpha: float) -> np.ndarray:
        whole = (1 - alpha) * a + alpha * b
        return np.asarray(np.divide(shared, whole, out=np.ones_like(shared), where=whole > 0).mean(axis=-1))

    values = v(0.5)
    k = int(np.argmax(values))
    return VScore(float(values[k]), float(t[k]), values, t, float(v(0.0)[k]), float(v(1.0)[k]))


def _overlaps(proposal: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Count pixels within the true segments: every n_ij above 0, n_i (truth), n_j (proposal) and n_0."""
    i, j = truth[truth > 0].astype(np.int64), proposal[truth > 0].astype(np.int64)
    of_truth, of_proposal = np.bincount(i), np.bincount(j, minlength=1)
    pairs = (i * len(of_proposal) + j)[j > 0]
    n_ij = np.unique(pairs, return_counts=True)[1]  # sparse: for two noisy images a table would not fit
    return n_ij, of_truth, of_proposal[1:], int(of_proposal[0])


def _pairs(proposal: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Return the sums of squares of both, of the truth and of the proposal, singletons included."""
    n_ij, n_i, n_j, n_0 = _overlaps(proposal, truth)
    both, of_truth, of_proposal = (float((n.astype(float) ** 2).sum()) for n in (n_ij, n_i, n_j))
    return both + n_0, of_truth, of_proposal + n_0


def _information(proposal: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Return I, H(truth) and H(proposal) in nats; each singleton is a segment of one pixel."""
    n_ij, n_i, n_j, n_0 = _overlaps(proposal, truth)
    n = n_i.sum()

    def entropy(sizes: np.ndarray, singletons: int) -> float:
        share = sizes[sizes > 0] / n
        return float(singletons / n * np.log(n) - (share * np.log(share)).sum())

    H_both, H_truth, H_proposal = entropy(n_ij, n_0), entropy(n_i, 0), entropy(n_j, n_0)
    return H_truth + H_proposal - H_both, H_truth, H_proposal
