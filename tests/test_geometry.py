"""Sizes: what fits, and what the message proposes where nothing does, which must then fit."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn import UsageError
from tinympcnn.nn import geometry

small = st.integers(1, 5)
sizes = st.integers(1, 40)


def test_pairs():
    assert geometry.pair(3, "k") == (3, 3) and geometry.pair([2, np.int64(3)], "k") == (2, 3)
    for wrong in (0, -1, 2.0, "3", (1, 2, 3), (1,), None, (2, 0)):
        with pytest.raises(UsageError, match=f"k must be .*{re.escape(repr(wrong))}"):
            geometry.pair(wrong, "k")


def test_counts():
    assert geometry.count(np.int32(3), "maps") == 3
    for wrong in (0, 1.5, "1", None):
        with pytest.raises(UsageError, match="maps must be"):
            geometry.count(wrong, "maps")


@given(sizes, sizes, small, small)
def test_correlated_and_pooled_sizes_are_numpy_s(H, W, kh, kw):
    if kh > H or kw > W:
        for function in (geometry.correlated, geometry.pooled):
            with pytest.raises(UsageError, match=f"layer: maps of {H}x{W} .*{kh}x{kw}"):
                function((H, W), (kh, kw), "layer")
        return
    windows = np.lib.stride_tricks.sliding_window_view(np.zeros((H, W)), (kh, kw))
    assert geometry.correlated((H, W), (kh, kw), "layer") == windows.shape[:2]
    assert geometry.pooled((H, W), (kh, kw), "layer") == windows[::kh, ::kw].shape[:2]


@given(sizes, sizes, small, small)
def test_a_map_splits_exactly_if_its_fragments_are_equal_and_not_empty(H, W, kh, kw):
    rows = {(H - r) // kh for r in range(kh)}
    columns = {(W - c) // kw for c in range(kw)}
    if len(rows) == len(columns) == 1 and min(rows | columns) > 0:
        assert geometry.fragmented((H, W), (kh, kw), "layer") == (*rows, *columns)
    else:
        with pytest.raises(UsageError, match="do not split") as error:
            geometry.fragmented((H, W), (kh, kw), "layer")
        which, sizes = re.search(r"; (.*) (?:rows|columns) would", str(error.value))[1], "rows" in str(error.value)
        for n in which.split(" or "):  # what the message proposes does work, on the axis it speaks of
            size = (int(n), 2 * kw - 1) if sizes else (2 * kh - 1, int(n))
            assert geometry.fragmented(size, (kh, kw), "layer")
            assert n != str(H if sizes else W)


@given(sizes, sizes, st.tuples(small, small), st.tuples(small, small))
def test_padded_outputs_are_the_next_multiple(H, W, field, step):
    if field[0] > H or field[1] > W:
        with pytest.raises(UsageError, match="smaller than the net's field of view"):
            geometry.padded_outputs((H, W), field, step)
        return
    for n, size, p, s in zip(geometry.padded_outputs((H, W), field, step), (H, W), field, step, strict=True):
        assert n % s == 0 and 0 <= n - (size - p + 1) < s
