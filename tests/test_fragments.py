"""Fragments and dense maps: inverse to each other, and numbered as the paper's layers number them."""

from itertools import product
from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn import MaxPoolFragment
from tinympcnn.nn import reference
from tinympcnn.nn.fragments import merge, split

pools = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=3)
few = st.integers(1, 3)


def numbered(shape):
    return np.arange(prod(shape)).reshape(shape)


@given(pools, few, few, few, few)
def test_split_undoes_merge_and_merge_undoes_split(pools, N, h, w, C):
    rows, columns = prod(k[0] for k in pools), prod(k[1] for k in pools)
    storage = numbered((N * rows * columns, h, w, C))
    dense = merge(storage, pools)
    assert dense.shape == (N, h * rows, w * columns, C)
    assert (split(dense, pools) == storage).all()
    dense = numbered(dense.shape)
    assert (merge(split(dense, pools), pools) == dense).all()


@given(pools, few, few, few)
def test_row_q_of_a_fragment_lies_where_its_offsets_say(pools, N, h, w):
    """Row r1 + k1*(r2 + k2*(... + q)), columns alike; the index of a fragment counts its offsets in mixed base."""
    dense = merge(numbered((N * prod(kh * kw for kh, kw in pools), h, w, 1)), pools)
    offsets = [list(product(range(kh), range(kw))) for kh, kw in pools]
    for i, (n, *at) in enumerate(product(range(N), *offsets)):
        for q, p in product(range(h), range(w)):
            row, column = q, p
            for (r, c), (kh, kw) in reversed(list(zip(at, pools, strict=True))):
                row, column = r + kh * row, c + kw * column
            assert dense[n, row, column, 0] == (i * h + q) * w + p


@given(pools, few, few)
def test_merge_agrees_with_the_reference(pools, h, w):
    storage = numbered((2 * prod(kh * kw for kh, kw in pools), h, w, 2))
    wanted = reference.merge(list(storage), pools)
    assert (merge(storage, pools) == np.stack(wanted)).all()


def test_pooling_twice_and_merging_gives_the_maximum_of_every_window(device):
    """Windows of 2x3 of maxima of 2x2: the maximum over 4x6, at every pixel."""
    x = np.random.default_rng(0).random((2, 9, 13, 2))
    storage = device.asarray(x[:, :7, :11])
    for layer in (MaxPoolFragment(2), MaxPoolFragment((2, 3))):
        storage = layer.forward(storage)
    dense = device.asnumpy(merge(storage, [(2, 2), (2, 3)]))
    windows = np.lib.stride_tricks.sliding_window_view(x, (4, 6), axis=(1, 2)).max(axis=(-2, -1))
    assert (dense == windows[:, : dense.shape[1], : dense.shape[2]]).all() and dense.shape == (2, 4, 6, 2)
