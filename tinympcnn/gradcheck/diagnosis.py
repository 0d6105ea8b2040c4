"""A wrong gradient explained in words: typical mistakes, each tried against the numbers.

The checks call `diagnose` once a gradient has failed. The full Jacobian, by finite differences, tells what the gradient
should be, and each mistake below what it would be, were the mistake made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from tinympcnn.engine import multiply
from tinympcnn.errors import counted


@dataclass(frozen=True)
class Evidence:
    """A gradient that is wrong, and the numbers that explain it (all float64, on the host).

    The tensor is called `name` ("x" is the input); backward gave `analytic`, whose shape may be wrong too. The
    `jacobian`, shape (tensor.size, y.size), is that by central differences. `weights` are the layer's parameters that
    have four axes, and ``with_weights(name, array)`` is the gradient of the tensor if that parameter had another value.
    """

    name: str
    analytic: np.ndarray
    tensor: np.ndarray
    x: np.ndarray
    y: np.ndarray
    dy: np.ndarray
    jacobian: np.ndarray
    weights: dict[str, np.ndarray]
    with_weights: Callable[[str, np.ndarray], np.ndarray]

    @property
    def numeric(self) -> np.ndarray:
        """The gradient as it should be."""
        return multiply(self.jacobian, self.dy.ravel()).reshape(self.tensor.shape)


def diagnose(e: Evidence) -> str:
    """Return the first explanation that fits, or else the place where the gradient is most wrong.

    >>> one, dy = np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 3.0)
    >>> diagnose(Evidence("x", -dy, one, one, one, dy, np.ones((1, 1)), {}, lambda name, array: array))
    'its sign is wrong'
    """
    known = (words for wrong, right, words in _mistakes(e) if same(wrong, right))
    return _shape(e) or _factor(e) or next(known, None) or _place(e)


def same(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-5) -> bool:
    """Tell whether two arrays are equal but for the errors of finite differences."""
    return a.shape == b.shape and bool(np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b))


def _shape(e: Evidence) -> str | None:
    if e.analytic.shape == e.tensor.shape:
        return None
    for axes in permutations(range(e.tensor.ndim)):
        if same(e.analytic, e.numeric.transpose(axes)):
            return f"its shape is wrong: it is the transpose, axes {axes}, of what it should be {e.tensor.shape}"
    return f"its shape is wrong: {e.analytic.shape} instead of {e.tensor.shape}"


def _factor(e: Evidence) -> str | None:
    if not e.analytic.any():
        return "it is zero everywhere: nothing was added to it" if e.name != "x" else "it is zero everywhere"
    c = float(np.vdot(e.analytic, e.numeric) / max(np.vdot(e.numeric, e.numeric), 1e-300))
    if not c or not same(e.analytic, c * e.numeric):
        return None
    known = {-1.0: "its sign is wrong", 2: "it is too large by a factor of 2", 0.5: "it is too small by a factor of 2"}
    if e.name != "x":
        for n, things in ((len(e.dy), "fragments"), (e.dy[..., 0].size, "output pixels")):
            known[1 / n] = f"it is the mean over the {n} {things}, where the sum is wanted"
    words = (words for value, words in known.items() if abs(c / value - 1) < 1e-5)
    return next(words, f"it is {c:.6g} times what it should be, at every place")


def _mistakes(e: Evidence) -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    """Yield typical mistakes: two arrays that are equal if the mistake was made, and the mistake in words."""
    wrong, right, J = e.analytic, e.numeric, e.jacobian
    for axes in list(permutations(range(right.ndim)))[1:]:
        yield wrong, right.transpose(axes), f"it is the transpose of what it should be: axes {axes}"
    if right.ndim == 4 and e.name != "x":
        for flipped in ((0, 1), (0,), (1,)):
            words = f"its taps are flipped: they stand in reverse order along the axes {flipped}"
            yield wrong, np.flip(right, flipped), words
    yield from _fragments(e)
    yield wrong, J.sum(axis=1).reshape(right.shape), "dy has no part in it: it is right for a dy of ones only"
    yield wrong, e.dy, "dy was handed through as it is: the derivative of the layer is missing"
    if e.name == "x" and e.x.shape == e.y.shape:
        x, y = e.x, e.y
        factors = {"y": y, "(1 - y)": 1 - y, "(1 + y)": 1 + y, "(1 - y**2)": 1 - y**2, "y * (1 - y)": y - y**2}
        for name, factor in factors.items():
            yield wrong * factor, right, f"the factor {name} is missing"
            yield wrong, right * factor, f"the factor {name} is one too many"
        for name, factor in {"1 - y": 1 - x, "1 - y**2": 1 - x**2, "y * (1 - y)": x * (1 - x)}.items():
            yield wrong, e.dy * factor, f"x was used instead of y: the derivative is {name}"
    for name, W in e.weights.items() if e.name == "x" else ():
        words = f"the taps are not flipped: going back, {name}[i, j] acts as tap (kh-1-i, kw-1-j)"
        yield wrong, e.with_weights(name, W[::-1, ::-1]), words
        if W.shape[2] == W.shape[3]:
            words = f"{name} is not transposed: going back, it leads from its output maps to its input maps"
            yield wrong, e.with_weights(name, W.swapaxes(2, 3)), words


def _fragments(e: Evidence) -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    """Yield the mistakes of taking dy's fragments in another order, or only one of them."""
    F, shape = len(e.dy), e.tensor.shape
    J = e.jacobian.reshape(e.tensor.size, F, -1)
    parts = np.stack([multiply(J[:, i], e.dy.reshape(F, -1).T) for i in range(F)], axis=1)  # J_i dy_j at [:, i, j]
    for order in _orders(F, F // len(e.x)):
        i = next(i for i in range(F) if order[i] != i)
        words = f"the order of the fragments is swapped: dy[{order[i]}] was taken for dy[{i}]"
        words += " (offset (r, c) of fragment f has index f*kh*kw + r*kw + c)"
        yield e.analytic, parts[:, range(F), order].sum(axis=1).reshape(shape), words
    for i in range(F):
        words = f"fragment {i} alone counts in it: the others were overwritten, or left out of the sum"
        yield e.analytic, parts[:, i, i].reshape(shape), words


def _orders(F: int, K: int) -> Iterator[list[int]]:
    """Yield likely wrong orders of F fragments, K for each source."""
    right = np.arange(F)
    within = [right[:K].reshape(kh, -1).T.ravel() for kh in range(2, K) if K % kh == 0]  # columns before rows
    within += [np.array(order) for order in permutations(range(K))] if K <= 6 else []
    orders = [(right.reshape(-1, K) // K * K + order).ravel() for order in within] if K and F % K == 0 else []
    orders += [right.reshape(-1, n).T.ravel() for n in range(2, F) if F % n == 0]  # offset before image
    orders += [np.roll(right, n) for n in range(1, F)] + [right[::-1]]
    for i, j in combinations(range(F), 2):
        orders.append(right.copy())
        orders[-1][[i, j]] = j, i
    return (order.tolist() for order in orders if (order != right).any())


def _place(e: Evidence) -> str:
    """Return which elements are wrong, where no mistake explains all of them."""
    parts = (e.jacobian * e.dy.ravel()).reshape(e.tensor.size, -1, e.dy.shape[-1]).sum(axis=2)
    tiny = 1e-5 * np.abs(parts).max()
    several = (np.abs(parts) > tiny).sum(axis=1) > 1
    one = ((np.abs(parts - e.analytic.reshape(-1, 1)) <= tiny) & (np.abs(parts) > tiny)).any(axis=1)
    if several.any() and one[several].all():
        return "where several outputs depend on one element, only one counts: their gradients must be added (+=), not ="
    gone = (e.analytic == 0) & (np.abs(e.numeric) > tiny)
    if gone.any() and same(np.where(gone, e.numeric, e.analytic), e.numeric):
        negative = e.name == "x" and (e.x[gone] < 0).all()
        where = "for negative x" if negative else f"at {counted(int(gone.sum()), 'element')}"
        return f"it is zero {where}, where it should not be, and right elsewhere"
    unseen = ~e.jacobian.any(axis=1).reshape(e.tensor.shape)
    if n := int((e.analytic[unseen] != 0).sum()):
        return f"it reaches {counted(n, 'element')} that no output depends on: in a max layer, those that have not won"
    gap = np.abs(e.analytic - e.numeric)
    at = tuple(int(i) for i in np.unravel_index(gap.argmax(), gap.shape))
    wrong = int((gap > 1e-5 * np.abs(e.numeric).max()).sum())
    numbers = f"{e.analytic[at]:.6g} instead of {e.numeric[at]:.6g}"
    return f"it is wrong at {wrong} of {gap.size} elements, most at {list(at)}: {numbers}"
