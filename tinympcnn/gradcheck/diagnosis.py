"""A wrong gradient explained in words: typical mistakes, each tried against the numbers.

The checks call `diagnose` once a gradient has failed. The full Jacobian, by finite differences, tells what the
gradient should be. Every function below supposes one mistake, and returns a sentence if the mistake explains the
wrong gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from tinympcnn.engine import multiply


@dataclass(frozen=True)
class Evidence:
    """A gradient that is wrong, and the numbers that explain it (all float64, on the host).

    Attributes
    ----------
    name : str
        The name of the tensor; "x" is the input.
    analytic : array
        The gradient that backward gave. Its shape may be wrong too.
    tensor, x, y, dy : array
        The tensor, the input, the output and the upstream gradient.
    jacobian : array, shape (tensor.size, y.size)
        The Jacobian by central differences.
    weights : dict of str to array
        The layer's parameters that have four axes.
    with_weights : function
        ``with_weights(name, array)`` is the gradient of the tensor if that parameter had another value.
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


def diagnose(evidence: Evidence) -> str:
    """Return the first explanation that fits, or else the place where the gradient is most wrong.

    Examples
    --------
    >>> one, dy = np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 3.0)
    >>> diagnose(Evidence("x", -dy, one, one, one, dy, np.ones((1, 1)), {}, lambda name, array: array))
    'its sign is wrong'
    """
    suspects = (_shape, _factor, _turned, _fragments, _upstream, _slope, _assigned, _weights, _unseen)
    return next((words for suspect in suspects if (words := suspect(evidence))), None) or _worst(evidence)


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
    pixels, fragments = e.dy[..., 0].size, len(e.dy)
    known = {
        -1: "its sign is wrong",
        2: "it is too large by a factor of 2",
        0.5: "it is too small by a factor of 2",
    }
    if e.name != "x":
        known |= {1 / fragments: f"it is the mean over the {fragments} fragments, where the sum is wanted"}
        known |= {1 / pixels: f"it is the mean over the {pixels} output pixels, where the sum is wanted"}
    for value, words in known.items():
        if abs(c / value - 1) < 1e-5:
            return words
    return f"it is {c:.6g} times what it should be, at every place"


def _turned(e: Evidence) -> str | None:
    for axes in permutations(range(e.tensor.ndim)):
        if axes != tuple(range(e.tensor.ndim)) and same(e.analytic, e.numeric.transpose(axes)):
            return f"it is the transpose of what it should be: axes {axes}"
    if e.tensor.ndim == 4 and e.name != "x":
        for axes in ((0, 1), (0,), (1,)):
            if same(e.analytic, np.flip(e.numeric, axes)):
                return f"its taps are flipped: they stand in reverse order along the axes {axes}"
    return None


def _fragments(e: Evidence) -> str | None:
    """Suppose that dy's fragments were taken in another order, or only one of them."""
    F = len(e.dy)
    J = e.jacobian.reshape(e.tensor.size, F, -1)
    parts = np.stack([multiply(J[:, i], e.dy.reshape(F, -1).T) for i in range(F)], axis=1)  # J_i dy_j at [:, i, j]
    for order in _orders(F, F // len(e.x)):
        if same(e.analytic.ravel(), parts[:, range(F), order].sum(axis=1)):
            i = next(i for i in range(F) if order[i] != i)
            return (
                f"the order of the fragments is swapped: dy[{order[i]}] was taken for dy[{i}] "
                "(offset (r, c) of fragment f has index f*kh*kw + r*kw + c)"
            )
    for i in range(F):
        if same(e.analytic.ravel(), parts[:, i, i]):
            return f"fragment {i} alone counts in it: the others were overwritten, or left out of the sum"
    return None


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


def _upstream(e: Evidence) -> str | None:
    if same(e.analytic.ravel(), e.jacobian.sum(axis=1)):
        return "dy has no part in it: it is right for a dy of ones only"
    if same(e.analytic, e.dy):
        return "dy was handed through as it is: the derivative of the layer is missing"
    return None


def _slope(e: Evidence) -> str | None:
    if e.name != "x" or e.x.shape != e.y.shape:
        return None
    x, y = e.x, e.y
    factors = {"y": y, "(1 - y)": 1 - y, "(1 + y)": 1 + y, "(1 - y**2)": 1 - y**2, "y * (1 - y)": y - y**2}
    for words, factor in factors.items():
        if same(e.analytic * factor, e.numeric):
            return f"the factor {words} is missing"
        if same(e.analytic, e.numeric * factor):
            return f"the factor {words} is one too many"
    for words, factor in {"1 - y": 1 - x, "1 - y**2": 1 - x**2, "y * (1 - y)": x * (1 - x)}.items():
        if same(e.analytic, e.dy * factor):
            return f"x was used instead of y: the derivative is {words}"
    return None


def _assigned(e: Evidence) -> str | None:
    """Suppose that each output pixel's contribution overwrote the one before."""
    parts = (e.jacobian * e.dy.ravel()).reshape(e.tensor.size, -1, e.dy.shape[-1]).sum(axis=2)
    gap = np.abs(parts - e.analytic.reshape(-1, 1)).min(axis=1)
    if gap.max() > 1e-5 * np.abs(parts).max():
        return None
    return (
        "where several outputs depend on one element, only one of them counts: "
        "you assigned (=) where their gradients must be added (+=)"
    )


def _weights(e: Evidence) -> str | None:
    if e.name != "x":
        return None
    for name, W in e.weights.items():
        if same(e.analytic, e.with_weights(name, W[::-1, ::-1])):
            return f"the taps are not flipped: going back, {name}[i, j] acts as tap (kh-1-i, kw-1-j)"
        if W.shape[2] == W.shape[3] and same(e.analytic, e.with_weights(name, W.swapaxes(2, 3))):
            return f"{name} is not transposed: going back, it leads from its output maps to its input maps"
    return None


def _unseen(e: Evidence) -> str | None:
    unseen = ~e.jacobian.any(axis=1).reshape(e.tensor.shape)
    n = int((e.analytic[unseen] != 0).sum())
    if not n:
        return None
    return f"it reaches {n} element(s) that no output depends on: in a max layer, those that have not won"


def _worst(e: Evidence) -> str:
    gap = np.abs(e.analytic - e.numeric)
    at = tuple(int(i) for i in np.unravel_index(gap.argmax(), gap.shape))
    wrong = int((gap > 1e-5 * np.abs(e.numeric).max()).sum())
    return (
        f"it is wrong at {wrong} of {gap.size} elements, most at {list(at)}: "
        f"{e.analytic[at]:.6g} instead of {e.numeric[at]:.6g}"
    )
