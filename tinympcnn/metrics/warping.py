"""Warping error: what is left when the truth is bent towards the proposal as far as its topology allows.

Moving a border costs nothing, breaking it does. The truth's pixels are flipped, one after the other, wherever they
disagree with the proposal and flipping changes no component and no hole (a *simple point*; interior 4-connected, border
8-connected). What cannot be flipped is a mistake: a break, a hole, or a thin border so far from its place that the two
no longer touch (pixels that agree are never flipped).

Definitions: Jain et al. 2010, "Boundary learning by optimization with topological constraints", CVPR; simple points by
the topological numbers of Bertrand and Malandain 1994, Pattern Recognition Letters 15:169; and class WarpingError of
Fiji's Trainable_Segmentation, by which the ISBI 2012 challenge was scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinympcnn.errors import DataError
from tinympcnn.metrics.sweep import THRESHOLDS, Sweep, as_thresholds, lowest, probability_and_truth

# The eight neighbours (row, column); number k is bit k of a neighbourhood's code, 7 - k lies opposite.
RING = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
RADIUS = 20  # a pixel splits a segment if the pieces do not meet again within this distance: the challenge's value


class WarpingErrors(NamedTuple):
    """Two readings of the same warp: every disagreement left (Jain et al.), and those that split or merge.

    The second is the challenge's: its board counted neither holes nor whole objects that come or go.
    """

    every: Sweep
    splits_and_mergers: Sweep


def warping_error(
    probability_of_interior: ArrayLike,
    truth_is_interior: ArrayLike,
    thresholds: Sequence[float] | np.ndarray = THRESHOLDS[:-1],
) -> WarpingErrors:
    """Return the disagreements left after `warp`, divided by the number of pixels; the smallest over thresholds.

    The parameters are those of `rand_error`; the challenge's thresholds went from 0.0 to 0.9.

    Examples
    --------
    A border one pixel to the right is no mistake; a border with a hole in it is one.

    >>> truth = np.ones((5, 6), bool); truth[:, 2] = False
    >>> moved = np.ones((5, 6)); moved[:, 3] = 0
    >>> warping_error(moved, truth).every.value
    0.0
    >>> broken = truth.astype(float); broken[2, 2] = 1
    >>> round(warping_error(broken, truth).splits_and_mergers.value * truth.size)
    1
    """
    p, truth = probability_and_truth(probability_of_interior, truth_is_interior)
    t = as_thresholds(thresholds)
    every, splits_and_mergers = np.zeros(len(t)), np.zeros(len(t))
    for k, tk in enumerate(t):
        for q, is_true in zip(p, truth, strict=True):
            warped = warp(is_true, q, float(tk))
            wrong = warped != (q > tk)
            every[k] += wrong.sum()
            splits_and_mergers[k] += _splits_or_merges(warped, wrong).sum()
    pixels = sum(q.size for q in p)
    return WarpingErrors(lowest(every / pixels, t), lowest(splits_and_mergers / pixels, t))


def warp(truth: np.ndarray, probability: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Bend one slice's truth (H, W) towards the proposal `probability > threshold` without changing its topology.

    Pixels are tried in the order of ``|probability - threshold|``, the proposal's surest first (equal ones in reading
    order), again and again until none is simple any more. The result depends on that order, so it is the challenge's,
    and flips are made one at a time; the loop visits disagreeing pixels only. Outside the image is border. Pixels may
    be flipped everywhere, as in the challenge; Jain et al. allow that within a mask only.
    """
    if truth.shape != probability.shape or truth.ndim != 2:
        raise DataError(f"truth and probability must be images of one shape, not {truth.shape} and {probability.shape}")
    warped = np.pad(truth.astype(bool), 1)
    width = warped.shape[1]
    rows, columns = np.nonzero(truth != (probability > threshold))
    order = np.argsort(-np.abs(probability[rows, columns] - threshold), kind="stable")
    pending = ((rows + 1) * width + columns + 1)[order].tolist()

    codes = np.zeros(warped.shape, np.uint8)
    for k, (r, c) in enumerate(RING):
        codes |= np.roll(warped, (-r, -c), (0, 1)).astype(np.uint8) << np.uint8(k)  # only the frame's wrap
    code = bytearray(codes.tobytes())  # indexed many times faster than an array
    is_simple = _simple_codes()
    neighbours = [(r * width + c, 1 << (7 - k)) for k, (r, c) in enumerate(RING)]  # to whom we are which bit
    flat = warped.ravel()
    while True:
        left = []
        for i in pending:
            if is_simple[code[i]]:
                flat[i] = not flat[i]
                for step, bit in neighbours:
                    code[i + step] ^= bit
            else:
                left.append(i)
        if len(left) == len(pending):
            return warped[1:-1, 1:-1]
        pending = left


@cache
def _simple_codes() -> bytes:
    """Return, for each of the 256 neighbourhoods, 1 if its centre is simple.

    It is if exactly one 4-component of the interior neighbours touches the centre along a side, and the
    border neighbours form exactly one 8-component. Which of the two the centre itself is makes no difference.
    """
    from scipy import ndimage

    simple = bytearray(256)
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    beside = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    for code in range(256):
        interior = np.zeros((3, 3), bool)
        for k, (r, c) in enumerate(RING):
            interior[1 + r, 1 + c] = code >> k & 1
        touching = np.unique(ndimage.label(interior)[0][beside & interior])
        simple[code] = len(touching) == 1 and ndimage.label(around & ~interior, np.ones((3, 3)))[1] == 1
    return bytes(simple)


def _splits_or_merges(warped: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Tell for each wrong pixel of one slice, in reading order, whether flipping it splits or merges.

    A border pixel merges if its eight neighbours belong to two segments or more. An interior pixel splits in
    that case too, and where its neighbours, all of one segment, fall apart within `RADIUS` when it goes.
    """
    from scipy import ndimage

    rows, columns = np.nonzero(wrong)
    framed = np.pad(ndimage.label(warped)[0], 1)
    around = np.stack([framed[rows + 1 + r, columns + 1 + c] for r, c in RING])
    first = around.max(axis=0, initial=0)
    bad: np.ndarray = ((around != first) & (around != 0)).any(axis=0)
    doubtful = ~bad & warped[rows, columns] & (around == 0).any(axis=0) & (first > 0)
    window = np.pad(warped, RADIUS)
    for i in np.flatnonzero(doubtful):
        piece = window[rows[i] : rows[i] + 2 * RADIUS + 1, columns[i] : columns[i] + 2 * RADIUS + 1].copy()
        piece[RADIUS, RADIUS] = False
        ring = ndimage.label(piece)[0][RADIUS - 1 : RADIUS + 2, RADIUS - 1 : RADIUS + 2]
        bad[i] = len(np.unique(ring[ring > 0])) > 1
    return bad
