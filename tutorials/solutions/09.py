"""Solutions of tutorial 09, and wrong answers that its verdicts must name."""

import numpy as np
from course.grading import Wrong

from tinympcnn.nn.fragments import merge


def your_merge(storage, pools):
    """Interleave a storage into dense maps, undoing the last pool first."""
    for kh, kw in reversed(pools):
        F, h, w, C = storage.shape
        dense = np.empty((F // (kh * kw), h * kh, w * kw, C), storage.dtype)
        for r in range(kh):
            for c in range(kw):
                dense[:, r::kh, c::kw] = storage[r * kw + c :: kh * kw]
        storage = dense
    return storage


def your_field_of_view(layers):
    """Walk from the output back to the image."""
    vh = 1
    for window, step in reversed(layers):
        vh = (vh - 1) * step + window
    return vh


def your_padded_size(H, vh, S):
    """Round the number of outputs up to a multiple of S."""
    n = H - vh + 1
    return -(-n // S) * S + vh - 1


def _side_by_side(storage, pools):
    for kh, kw in reversed(pools):
        F, h, w, C = storage.shape
        dense = np.empty((F // (kh * kw), h * kh, w * kw, C))
        for r in range(kh):
            for c in range(kw):
                dense[:, r * h : r * h + h, c * w : c * w + w] = storage[r * kw + c :: kh * kw]
        storage = dense
    return storage


def _by_columns(storage, pools):
    for kh, kw in reversed(pools):
        F, h, w, C = storage.shape
        dense = np.empty((F // (kh * kw), h * kh, w * kw, C))
        for r in range(kh):
            for c in range(kw):
                dense[:, r::kh, c::kw] = storage[c * kh + r :: kh * kw]
        storage = dense
    return storage


def _one_step_more(layers):
    vh = 1
    for window, step in reversed(layers):
        vh = vh * step + window - 1 if step == 1 else vh * step + window
    return vh


WRONG = {
    "first pool first": Wrong("your_merge", lambda storage, pools: merge(storage, pools[::-1]), "in the wrong order"),
    "side by side": Wrong("your_merge", _side_by_side, "side by side"),
    "by columns": Wrong("your_merge", _by_columns, "counted by columns"),
    "forwards": Wrong(
        "your_field_of_view", lambda layers: your_field_of_view(layers[::-1]), "from the output back to the image"
    ),
    "no steps": Wrong("your_field_of_view", lambda layers: 1 + sum(w - 1 for w, _ in layers), "steps of the pools"),
    "one step more": Wrong("your_field_of_view", _one_step_more, "n - 1 steps apart"),
    "image to a multiple": Wrong("your_padded_size", lambda H, vh, S: -(-H // S) * S, "but the number of outputs"),
    "always pads": Wrong("your_padded_size", lambda H, vh, S: ((H - vh + 1) // S + 1) * S + vh - 1, "S rows too many"),
    "outputs only": Wrong("your_padded_size", lambda H, vh, S: -(-(H - vh + 1) // S) * S, "vh - 1 rows more"),
}
