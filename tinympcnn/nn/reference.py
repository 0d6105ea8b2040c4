"""Algorithms 1 to 4 of the paper, literally: lists of fragments, loops over pixels, nothing clever.

Read this file next to section 3.3 of the paper. A fragment is one array (H, W, C), a storage a list of fragments,
which may differ in size. Nothing here is fast; the fast layers are tested against this file. Where the printed
algorithms cannot be followed to the letter, a comment says "Correction".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from tinympcnn.engine.backend import Array, Pair, array_module
from tinympcnn.errors import UsageError
from tinympcnn.nn import layers as kinds
from tinympcnn.nn.layers import Layer

Storage = list[Array]
Grads = tuple[Array, ...]  # the gradients of the parameters, W before b

# ------------------------------------------------------------------------------- the algorithms, on storages


def forward(fwd: Callable[[Array], Array], F_in: Storage) -> Storage:
    """Algorithm 1: the forward pass of a layer whose plain operation on one fragment is `fwd`."""
    F_out: Storage = []
    for f in F_in:  # Alg. 1, line 1: for i = 1 to F_in.nFragments()
        F_out = [*F_out, fwd(f)]  # Alg. 1, line 2: F_out = F_out U l.fwd(f_i)
    return F_out


def gradient(grad: Callable[[Array, Array], Grads], F_in: Storage, F_delta: Storage) -> Grads:
    """Algorithm 2: the gradient of a layer's parameters; a sum over the fragments, not a mean.

    Correction: the paper's ``grad(f_delta)`` also needs the input fragment that belongs to it.
    """
    g: Any = (0, 0)
    for f, delta in zip(F_in, F_delta, strict=True):  # Alg. 2, line 1: for i = 1 to F_delta.nFragments()
        g = tuple(total + part for total, part in zip(g, grad(f, delta), strict=True))  # line 2: g = g + l.grad(f_i)
    return tuple(g)


def mpf_forward(F_in: Storage, P: Pair) -> tuple[Storage, list[Array]]:
    """Algorithm 3: the forward pass of an MPF layer with a pooling kernel of size P = (kh, kw).

    F_out holds kh*kw fragments (h, w, C) for each input fragment; mpIDXS, for each of them, the row and the column of
    each maximum in its input fragment, (h, w, C, 2).

    Examples
    --------
    >>> F_out, mpIDXS = mpf_forward([np.arange(12.0).reshape(3, 4, 1)], (2, 2))
    >>> [f[:, :, 0].tolist() for f in F_out]
    [[[5.0, 7.0]], [[6.0]], [[9.0, 11.0]], [[10.0]]]
    >>> mpIDXS[3].tolist()
    [[[[2, 2]]]]
    """
    F_out: Storage = []  # Alg. 3, line 1: F_out = {}
    mpIDXS: list[Array] = []
    for f in F_in:  # Alg. 3, line 2: for i = 1 to F_in.nFragments()
        for j in range(P[0] * P[1]):  # Alg. 3, line 3: for j = 1 to size(P, 1) * size(P, 2)
            # Alg. 3, line 4: [r, c] = ind2sub(j, size(P)). Correction: Matlab counts by columns, we by rows
            r, c = divmod(j, P[1])
            a, b = mp_fwd(f[r:, c:], P)  # Alg. 3, line 5: [a, b] = MP.fwd(f_i(r:end, c:end), P)
            F_out = [*F_out, a]  # Alg. 3, line 6: F_out = F_out U a
            # Alg. 3, line 7: mpIDXS = mpIDXS U b. Correction: b refers to the cropped fragment, mpIDXS must not
            mpIDXS = [*mpIDXS, b + array_module(f).asarray([r, c])]
    return F_out, mpIDXS


def mpf_backward(F_in: Storage, F_delta: Storage, P: Pair, mpIDXS: list[Array]) -> Storage:
    """Algorithm 4: from the deltas of the output fragments of an MPF layer to those of its input fragments.

    Correction: as printed it loops over the output fragments and over the offsets, though each output fragment
    has one offset; it calls the deltas that come in and those that are summed up by one name; and it looks up
    mpIDXS by source fragment. This is what the algorithm means.
    """
    F_source = [array_module(f).zeros_like(f) for f in F_in]  # the sums start at zero
    for i, delta in enumerate(F_delta):  # Alg. 4, lines 1-2: for i = 1 to F_out.nFragments()
        s = find_source_fragment(i, P)  # Alg. 4, line 3: s = findSourceFragment(i, j)
        # Alg. 4, line 4: f_s = f_s + MP_bkp(delta_i, mpIDXS_i)
        F_source[s] = F_source[s] + mp_bkp(delta, mpIDXS[i], F_in[s])
    return F_source


def find_source_fragment(i: int, P: Pair) -> int:
    """Return which input fragment output fragment `i` of an MPF layer came from."""
    return i // (P[0] * P[1])


def merge(F: Storage, pools: Sequence[Pair]) -> Storage:
    """Interleave the fragments of a storage into dense maps, undoing the last pool first.

    Examples
    --------
    >>> image = np.arange(12.0).reshape(3, 4, 1)
    >>> F_out, _ = mpf_forward([image], (2, 2))
    >>> merge(F_out, [(2, 2)])[0][:, :, 0]
    array([[ 5.,  6.,  7.],
           [ 9., 10., 11.]])
    """
    for kh, kw in reversed(pools):
        groups = [F[i : i + kh * kw] for i in range(0, len(F), kh * kw)]
        F = []
        for group in groups:
            height, width = sum(len(f) for f in group[::kw]), sum(f.shape[1] for f in group[:kw])
            dense = array_module(*group).zeros((height, width, group[0].shape[2]), group[0].dtype)
            for j, f in enumerate(group):
                dense[j // kw :: kh, j % kw :: kw] = f
            F.append(dense)
    return F


def split(F: Storage, pools: Sequence[Pair]) -> Storage:
    """Cut dense maps into the fragments, of any sizes, that `merge` interleaves.

    Examples
    --------
    >>> [f[:, :, 0].tolist() for f in split([np.arange(3.0).reshape(1, 3, 1)], [(1, 2)])]
    [[[0.0, 2.0]], [[1.0]]]
    """
    for kh, kw in pools:
        F = [f[r::kh, c::kw] for f in F for r in range(kh) for c in range(kw)]
    return F


# ------------------------------------------------------------------- the plain operations, on one fragment


def conv_fwd(f: Array, W: Array, b: Array, rate: int = 1) -> Array:
    """Return the output maps of a convolutional layer, (H-kh+1, W-kw+1, out_maps); W is (kh, kw, C, out_maps).

    With a `rate` above 1 the convolution is a trous (dilated): its taps stand `rate` pixels apart in the map.

    Examples
    --------
    >>> conv_fwd(np.arange(5.0).reshape(1, 5, 1), np.ones((1, 2, 1, 1)), np.zeros(1), rate=3)[:, :, 0].tolist()
    [[3.0, 5.0]]
    """
    kh, kw = (rate * (taps - 1) + 1 for taps in W.shape[:2])
    y: Array = array_module(f, W).zeros((max(len(f) - kh + 1, 0), max(f.shape[1] - kw + 1, 0), W.shape[3]), f.dtype)
    for q, p in np.ndindex(*y.shape[:2]):
        y[q, p] = b + (f[q : q + kh : rate, p : p + kw : rate, :, None] * W).sum(axis=(0, 1, 2))
    return y


def conv_grad(f: Array, delta: Array, W: Array) -> Grads:
    """Return the gradients of W and b: every output pixel adds its window times its delta."""
    xp, (kh, kw) = array_module(f, delta, W), W.shape[:2]
    dW, db = xp.zeros_like(W), xp.zeros_like(W[0, 0, 0])
    for q, p in np.ndindex(*delta.shape[:2]):
        dW += f[q : q + kh, p : p + kw, :, None] * delta[q, p]
        db += delta[q, p]
    return dW, db


def conv_bkp(f: Array, delta: Array, W: Array) -> Array:
    """Return the delta of the input `f`: every output pixel sends its delta back through the weights it came by."""
    kh, kw = W.shape[:2]
    back: Array = array_module(f, delta, W).zeros_like(f)
    for q, p in np.ndindex(*delta.shape[:2]):
        back[q : q + kh, p : p + kw] += (W * delta[q, p]).sum(axis=3)
    return back


def mp_fwd(f: Array, P: Pair) -> tuple[Array, Array]:
    """Return the maxima of the windows of `f`, (h, w, C), and where they stand: rows and columns, (h, w, C, 2).

    Rows and columns that do not fill a window are dropped: the paper does not say so, but no other rule gives
    what the net gives patch by patch. Of equal values the first in row-major order wins.
    """
    xp, (kh, kw), (h, w, C) = array_module(f), P, (len(f) // P[0], f.shape[1] // P[1], f.shape[2])
    a, b = xp.zeros((h, w, C), f.dtype), xp.zeros((h, w, C, 2), int)
    for q, p in np.ndindex(h, w):
        window = f[q * kh : q * kh + kh, p * kw : p * kw + kw].reshape(kh * kw, C)
        a[q, p], winner = window.max(axis=0), window.argmax(axis=0)
        b[q, p, :, 0], b[q, p, :, 1] = q * kh + winner // kw, p * kw + winner % kw
    return a, b


def mp_bkp(delta: Array, idx: Array, f: Array) -> Array:
    """Return an array like `f` that is zero except at the places `idx`, where `delta` is added."""
    xp = array_module(delta, idx, f)
    back: Array = xp.zeros_like(f)
    maps = xp.arange(f.shape[2])
    for q, p in np.ndindex(*delta.shape[:2]):
        back[idx[q, p, :, 0], idx[q, p, :, 1], maps] += delta[q, p]  # one place in each map
    return back


def upsample_fwd(f: Array, k: Pair) -> Array:
    """Return `f` with every pixel repeated k = (kh, kw) times."""
    y: Array = array_module(f).zeros((len(f) * k[0], f.shape[1] * k[1], f.shape[2]), f.dtype)
    for q, p in np.ndindex(*y.shape[:2]):
        y[q, p] = f[q // k[0], p // k[1]]
    return y


def upsample_bkp(delta: Array, k: Pair) -> Array:
    """Return the delta of a map that was enlarged: every pixel gets the deltas of its repetitions."""
    back: Array = array_module(delta).zeros((len(delta) // k[0], delta.shape[1] // k[1], delta.shape[2]), delta.dtype)
    for q, p in np.ndindex(*delta.shape[:2]):
        back[q // k[0], p // k[1]] += delta[q, p]
    return back


# ------------------------------------------------------------------------------------------- a whole net

Backward = Callable[[Storage], tuple[Storage, list[Grads]]]


def evaluate(layers: Sequence[Layer], F_in: Storage) -> tuple[Storage, Backward]:
    """Run `layers` one after the other, and return the last storage with the way back.

    The way back takes the deltas of the output, and returns those of `F_in` and each layer's gradients.
    """
    if not layers:
        return F_in, lambda F_delta: (F_delta, [])
    F_mid, back_first = evaluate_one(layers[0], F_in)
    F_out, back_rest = evaluate(layers[1:], F_mid)

    def back(F_delta: Storage) -> tuple[Storage, list[Grads]]:
        F_delta, rest = back_rest(F_delta)
        F_delta, first = back_first(F_delta)
        return F_delta, first + rest

    return F_out, back


@singledispatch
def evaluate_one(layer: Layer, F_in: Storage) -> tuple[Storage, Backward]:
    """Run one layer, and return its output with the way back; ``evaluate_one.register`` adds a kind of layer."""
    raise UsageError(f"{type(layer).__name__} has no literal form; register one with reference.evaluate_one.register")


@evaluate_one.register
def _(layer: kinds.Conv, F_in: Storage) -> tuple[Storage, Backward]:  # FullyConnected is a Conv
    W, b = layer.params["W"], layer.params["b"]

    def back(F_delta: Storage) -> tuple[Storage, list[Grads]]:
        F_source = [conv_bkp(f, delta, W) for f, delta in zip(F_in, F_delta, strict=True)]
        return F_source, [gradient(lambda f, delta: conv_grad(f, delta, W), F_in, F_delta)]

    return forward(lambda f: conv_fwd(f, W, b), F_in), back


@evaluate_one.register
def _(layer: kinds.MaxPoolFragment, F_in: Storage) -> tuple[Storage, Backward]:
    F_out, mpIDXS = mpf_forward(F_in, layer.k)
    return F_out, lambda F_delta: (mpf_backward(F_in, F_delta, layer.k, mpIDXS), [()])


@evaluate_one.register
def _(layer: kinds.MaxPool, F_in: Storage) -> tuple[Storage, Backward]:
    pooled = [mp_fwd(f, layer.k) for f in F_in]

    def back(F_delta: Storage) -> tuple[Storage, list[Grads]]:
        return [mp_bkp(delta, b, f) for f, delta, (_, b) in zip(F_in, F_delta, pooled, strict=True)], [()]

    return [a for a, _ in pooled], back


def _each(value: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Callable[..., Any]:
    """Return the literal form of an activation y = value(x) whose derivative is slope(y)."""

    def evaluated(layer: Layer, F_in: Storage) -> tuple[Storage, Backward]:
        F_out = forward(value, F_in)
        return F_out, lambda F_delta: ([delta * slope(y) for delta, y in zip(F_delta, F_out, strict=True)], [()])

    return evaluated


evaluate_one.register(kinds.Tanh, _each(lambda f: array_module(f).tanh(f), lambda y: 1 - y**2))
evaluate_one.register(kinds.Logistic, _each(lambda f: (1 + array_module(f).tanh(f / 2)) / 2, lambda y: y * (1 - y)))
evaluate_one.register(kinds.Relu, _each(lambda f: f * (f > 0), lambda y: y > 0))


@evaluate_one.register
def _(layer: kinds.Fragment, F_in: Storage) -> tuple[Storage, Backward]:
    return split(F_in, [layer.k]), lambda F_delta: (merge(F_delta, [layer.k]), [()])


@evaluate_one.register
def _(layer: kinds.Subsample, F_in: Storage) -> tuple[Storage, Backward]:
    kh, kw = layer.k

    def bkp(delta: Array, f: Array) -> Array:
        back: Array = array_module(f).zeros_like(f)
        back[::kh, ::kw] = delta
        return back

    return forward(lambda f: f[::kh, ::kw], F_in), lambda F_delta: (list(map(bkp, F_delta, F_in)), [()])


@evaluate_one.register
def _(layer: kinds.Upsample, F_in: Storage) -> tuple[Storage, Backward]:
    F_out = forward(lambda f: upsample_fwd(f, layer.k), F_in)
    return F_out, lambda F_delta: ([upsample_bkp(delta, layer.k) for delta in F_delta], [()])


@evaluate_one.register
def _(layer: kinds.Skip, F_in: Storage) -> tuple[Storage, Backward]:
    F_inner, back_inner = evaluate(layer.layers, F_in)
    F_inner = merge(F_inner, layer.inner.pools)
    (top, left), xp, C = (n // 2 for n in layer.window), array_module(*F_in), F_in[0].shape[2]

    def crop(f: Array, like: Array) -> Array:
        return f[top : top + like.shape[0], left : left + like.shape[1]]

    def back(F_delta: Storage) -> tuple[Storage, list[Grads]]:
        F_source, grads = back_inner(split([delta[:, :, C:] for delta in F_delta], layer.inner.pools))
        F_source = [f.copy() for f in F_source]
        for f, delta in zip(F_source, F_delta, strict=True):
            crop(f, delta)[...] += delta[:, :, :C]
        return F_source, [tuple(g for layer_grads in grads for g in layer_grads)]

    return [xp.concatenate([crop(f, y), y], axis=2) for f, y in zip(F_in, F_inner, strict=True)], back
