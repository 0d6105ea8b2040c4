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


@given(sizes, small, small)
def test_a_map_divides_exactly_if_numpy_can_reshape_it(n, kh, kw):
    if n % kh:
        with pytest.raises(UsageError, match=f"{n} rows do not split into {kh}"):
            geometry.divided((n, kw), (kh, kw), "layer")
    else:
        assert geometry.divided((n, 3 * kw), (kh, kw), "layer") == (n // kh, 3)


@given(sizes, small, sizes)
def test_sizes_next_to_a_number(first, period, n):
    some = [first + i * period for i in range(100)]
    above = min(size for size in some if size >= n)
    assert geometry.Sizes(first, period).at_least(n) == above
    below = [size for size in some if size < n]
    wanted = f"{above}" if above == n or not below else f"{max(below)} or {above}"
    assert geometry.Sizes(first, period).near(n) == wanted


@given(sizes, small, small)
def test_sizes_that_can_be_divided(first, period, k):
    wanted = [n // k for n in range(first, first + 200 * period, period) if n % k == 0]
    if not wanted:
        with pytest.raises(UsageError, match="fit no map that was enlarged"):
            geometry.Sizes(first, period).divided(k, "layer")
    else:
        found = geometry.Sizes(first, period).divided(k, "layer")
        assert [found.first + i * found.period for i in range(3)] == wanted[:3]
