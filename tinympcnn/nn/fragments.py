"""From a storage of fragments to the dense map, and back: merge and split.

A MaxPoolFragment layer with a kh x kw pool sends fragment f at offset (r, c) to index ``f*kh*kw + r*kw + c``.
So the index of a fragment after several layers, read in the mixed base of the pools, IS its list of offsets, and
nothing else has to travel with the data. Row q of a fragment with offsets r1, r2, ... is row
``r1 + k1*(r2 + k2*(... + q))`` of the dense map; columns alike. Section 3.2 and Figure 2 of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tinympcnn import engine
from tinympcnn.engine.backend import Array, Pair


def _axes(n_pools: int) -> list[int]:
    """Return, for the axes (n, r1, c1, ..., rL, cL, q, p, map), the order (n, q, rL, ..., r1, p, cL, ..., c1, map)."""
    q = 1 + 2 * n_pools
    return [0, q, *range(q - 2, 0, -2), q + 1, *range(q - 1, 0, -2), q + 2]


def merge(storage: Array, pools: Sequence[Pair]) -> Array:
    """Interleave the fragments of a storage (N * prod(kh*kw), h, w, C) into maps (N, h * prod(kh), w * prod(kw), C).

    `pools` are the pools (kh, kw) in the order in which the net applies them.

    Examples
    --------
    >>> merge(np.arange(4).reshape(4, 1, 1, 1), [(2, 2)])[0, :, :, 0]
    array([[0, 1],
           [2, 3]])
    """
    _, h, w, maps = storage.shape
    rows, columns = prod(k[0] for k in pools), prod(k[1] for k in pools)
    mixed = storage.reshape(-1, *(n for k in pools for n in k), h, w, maps)
    return _copied(mixed.transpose(_axes(len(pools))), (-1, h * rows, w * columns, maps))


def split(dense: Array, pools: Sequence[Pair]) -> Array:
    """Cut dense maps into the fragments that `merge` interleaves: its inverse.

    Examples
    --------
    >>> dense = np.arange(12).reshape(1, 2, 6, 1)
    >>> storage = split(dense, [(2, 3)])
    >>> storage.shape, bool((merge(storage, [(2, 3)]) == dense).all())
    ((6, 1, 2, 1), True)
    """
    n, height, width, maps = dense.shape
    rows, columns = prod(k[0] for k in pools), prod(k[1] for k in pools)
    back = pools[::-1]
    h, w = height // rows, width // columns
    mixed = dense.reshape(n, h, *(k[0] for k in back), w, *(k[1] for k in back), maps)
    return _copied(mixed.transpose(np.argsort(_axes(len(pools))).tolist()), (-1, h, w, maps))


def _copied(mixed: Array, shape: tuple[int, ...]) -> Array:
    y = engine.empty(mixed.shape, mixed)
    engine.copy(mixed, into=y)
    return y.reshape(shape)
