"""Judge the exercises in words: blanks, solutions and typical mistakes get different verdicts.

`grade` judges a layer by `tinympcnn.gradcheck.check_layer`, and `grade_function` judges a function by what it returns.
For anything else, write a checker that ends in ``return verdict(words)``. Every judge prints and returns a `Verdict`
(true if right) and never raises, so that a notebook with blanks runs to its end. A reader's code runs in `attempt`
(``course/attempts.py``), which tells blanks, forgotten returns, exceptions and endless loops apart.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from course.attempts import attempt
from tinympcnn.gradcheck import check_layer
from tinympcnn.nn.layers import Layer

Gradient = Callable[[Layer, np.ndarray, np.ndarray], np.ndarray]


class Wrong(NamedTuple):
    """A typical wrong answer: its name in the exercise, the answer, and words that the verdict must contain."""

    name: str
    answer: Any
    says: str


class Verdict:
    """The finding of a judge: true if right; `words` say what is wrong. A verdict prints itself when it is made."""

    def __init__(self, words: str | None) -> None:
        self.words = words or ""
        print(f"Not yet: {words}" if words else "Right.")

    def __bool__(self) -> bool:
        return not self.words

    def _ipython_display_(self) -> None:
        """Show nothing more where a cell ends in a verdict."""


def verdict(words: str | None = None) -> Verdict:
    """Print and return the verdict: right if there is nothing to say."""
    return Verdict(words)


def difference(got: Any, want: Any, tolerance: float = 1e-9) -> str | None:
    """Say in words how `got` differs from `want`, or return None if it does not."""
    whole = isinstance(want, int | np.integer) and not isinstance(got, int | np.integer)
    try:
        got, want = np.asarray(got, dtype=float), np.asarray(want, dtype=float)
    except (TypeError, ValueError):
        what = f"an array of shape {np.shape(want)}" if np.shape(want) else "a number"
        return f"it should be {what}, not {type(got).__name__}"
    scale = max(float(np.abs(want).max(initial=0)), 1e-300)

    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= tolerance * scale)

    if same(got, want):
        return "the number is right, but it should be an int, as it counts things: // in place of /" if whole else None
    if np.isnan(got).any() and not np.isnan(want).any():
        return f"{int(np.isnan(got).sum())} of its {got.size} elements are not numbers (nan)"
    turned = (
        [axes for axes in permutations(range(want.ndim)) if axes != tuple(range(want.ndim))] if want.ndim < 5 else []
    )
    for axes in turned:
        if same(got, want.transpose(axes)):
            return f"it is the transpose of what it should be: axes {axes}"
    if got.shape != want.shape:
        return f"its shape is {got.shape}, and should be {want.shape}"
    if not got.any():
        return "it is zero everywhere"
    if same(got, -want):
        return "its sign is wrong"
    for axes in ((0, 1), (0,), (1,), (1, 2)):
        if max(axes) < want.ndim and same(got, np.flip(want, axes)):
            return f"it is flipped along the axes {axes}"
    if want.ndim == 0:  # of one number, "so many times" says nothing
        return f"it is {got:.10g}, and should be {want:.10g}"
    factor = float((got * want).sum() / (want * want).sum()) if want.any() else 0.0
    if factor and same(got, factor * want):
        return f"it is {factor:.{6 if abs(factor - 1) > 1e-5 else 12}g} times what it should be"
    if want.ndim and same(got - want, np.full_like(want, (got - want).flat[0])):
        return f"it is {(got - want).flat[0]:+.6g} off at every element"
    gap = np.nan_to_num(np.abs(got - want), nan=np.inf)
    wrong = gap > tolerance * scale
    at = tuple(int(i) for i in np.unravel_index(gap.argmax(), gap.shape))
    digits = next((n for n in (6, 9, 12) if f"{got[at]:.{n}g}" != f"{want[at]:.{n}g}"), 16)
    numbers = f"most at {list(at)}: {got[at]:.{digits}g} in place of {want[at]:.{digits}g}"
    return f"it is wrong at {int(wrong.sum())} of {gap.size} elements{_where(wrong)}, {numbers}"


def _where(wrong: np.ndarray) -> str:
    """Say in words if all wrong elements lie in a small part of one axis, such as the last row."""
    names = ("fragment", "row", "column", "map") if wrong.ndim == 4 else ("row", "column")[: wrong.ndim]
    for axis, name in enumerate(names if wrong.ndim in (2, 4) else ()):
        places = np.unique(np.nonzero(wrong)[axis])
        if 2 * len(places) <= wrong.shape[axis]:
            last = " (the last)" if places.tolist() == [wrong.shape[axis] - 1] else ""
            return f", all in {name} {', '.join(map(str, places))}{last}"
    return ""


def grade(
    layer: Layer,
    like: Layer | None = None,
    x: np.ndarray | None = None,
    shape: Sequence[int] | None = None,
    mistakes: Mapping[str, Callable[[Layer, np.ndarray], np.ndarray]] | None = None,
    gradients: Mapping[str, tuple[str, Gradient]] | None = None,
    hints: Mapping[str, str] | None = None,
    ties: bool = False,
) -> Verdict:
    """Judge a layer: its forward pass against that of `like`, then its backward pass by `check_layer`.

    Parameters
    ----------
    layer : Layer
        The reader's.
    like : Layer, optional
        A layer of the library that does the same; it is given the reader's parameters by name.
    x, shape : optional
        The input of `check_layer`, or its shape.
    mistakes : dict of words to function, optional
        ``function(layer, x)`` returns what the forward pass gives if those words are true.
    gradients : dict of words to (name, function), optional
        ``function(layer, x, dy)`` returns what the gradient of `name`, such as "x" or "W", is if those words are true.
    hints : dict of str to str, optional
        What to add to the words if they match a regular expression, such as the line in which an exception was raised.
    ties : bool
        Compare dx with that of `like` where many pixels are equal, too: `check_layer` can not look there.
    """
    words = _layer_words(layer, like, x, shape, mistakes or {}, gradients or {})
    return verdict(hinted(words or (_ties(layer, like) if ties and like else ""), hints))


def hinted(words: str, hints: Mapping[str, str] | None) -> str:
    """Return the words, and after them the hint of the first regular expression that they match."""
    hint = next((hint for part, hint in (hints or {}).items() if re.search(part, words)), None)
    return f"{words}; {hint}" if hint else words


def _layer_words(
    layer: Layer,
    like: Layer | None,
    x: np.ndarray | None,
    shape: Sequence[int] | None,
    mistakes: Mapping[str, Callable[[Layer, np.ndarray], np.ndarray]],
    gradients: Mapping[str, tuple[str, Gradient]],
) -> str:
    """Say in words what is wrong with a layer, or return "" if nothing is."""
    name, rng = type(layer).__name__, np.random.default_rng(0)
    if x is None:
        rows, columns = (n * layer.step[i] + layer.window[i] - 1 for i, n in enumerate((3, 4)))
        size = tuple(shape or (3, rows, columns, getattr(layer, "in_maps", None) or 3))
        x = rng.permutation(np.linspace(-2, 2, int(np.prod(size)))).reshape(size)
    yours = copy.deepcopy(layer)
    for param in yours.params.values():
        if not param.any():
            param[...] = rng.standard_normal(param.shape)
    small = x.astype(np.float32)
    given = small.copy()
    y, words = attempt(f"{name}.forward", yours.forward, given)
    if words or changed((given,), (small,)):
        return words or f"{name}.forward {CHANGED}"
    if like is not None:
        right = copy.deepcopy(like)
        for at, param in yours.params.items():
            right.params[at][...] = param
        words = difference(y, right.forward(small), 1e-4)
        for phrase, function in mistakes.items():
            if words and difference(y, function(yours, small), 1e-4) is None:
                words = phrase
        if words:
            return f"{name}.forward: {words}"
    kept = np.array(y)
    dy = rng.standard_normal(np.shape(y)).astype(np.float32)
    dx, words = attempt(f"{name}.backward", yours.backward, dy.copy())
    if words:
        return words
    report, words = attempt(name, check_layer, layer, x)
    words = words or "; ".join(check.message for check in report.checks if not check.ok)
    for phrase, (of, gradient) in gradients.items() if words else ():
        if difference(dx if of == "x" else yours.grads[of], gradient(yours, small, dy), 1e-4) is None:
            return f"the gradient of {of}: {phrase}"
    if not words and changed((y,), (kept,)):
        return f"{name}.backward changes the y that forward has returned, which the next layer may hold: make a copy"
    return words or widened(f"{name}.forward", y) or widened(f"{name}.backward", dx)


def _ties(layer: Layer, like: Layer) -> str:
    """Say in words how dx differs from that of `like` on an input in which many pixels tie."""
    name, rng = type(layer).__name__, np.random.default_rng(0)
    tied = rng.integers(0, 2, (2, 5, 7, 3)).astype(np.float64)
    twins = copy.deepcopy(layer), copy.deepcopy(like)
    dy = rng.standard_normal(np.shape(twins[1].forward(tied)))
    twins[0].forward(tied.copy())
    got, raised = attempt(f"{name}.backward", twins[0].backward, dy.copy())
    return raised or tie_words(name, got, twins[1].backward(dy), dy)


CHANGED = "changes the array it was given: make a copy, or write into a new one"


def changed(args: Sequence[Any], before: Sequence[Any]) -> bool:
    """Return whether a call has written into an array among its arguments."""
    pairs = [(a, b) for a, b in zip(args, before, strict=True) if isinstance(a, np.ndarray)]
    return any(a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def widened(name: str, array: Any) -> str:
    """Say in words that float32 has become another type on its way through a layer."""
    kind = getattr(array, "dtype", None)
    if kind == np.float32:
        return ""
    return f"{name}: float32 went in and {kind} came out; the layer should keep the type (np.zeros alone makes float64)"


def tie_words(name: str, got: np.ndarray, want: np.ndarray, dy: np.ndarray) -> str:
    """Say in words how a pooling layer's dx differs from what it should be on an input in which many pixels tie."""
    if difference(got, want) is None:
        return ""
    if abs(got.sum() - dy.sum()) > 1e-6 * abs(dy).sum():
        return f"{name}.backward: where pixels tie, the gradient arrives more than once; one winner takes it"
    return f"{name}.backward: where pixels tie, the first in reading order wins"


def grade_function(
    yours: Callable[..., Any],
    expected: Callable[..., Any],
    cases: Sequence[tuple[Any, ...]],
    mistakes: Mapping[str, Callable[..., Any]] | None = None,
    tolerance: float = 1e-9,
    hints: Mapping[str, str] | None = None,
) -> Verdict:
    """Judge a function by what it returns for `cases`, tuples of arguments.

    Parameters
    ----------
    mistakes : dict of words to function, optional
        If `yours` is wrong and agrees with one of these on all cases, the verdict is its words.
    hints : dict of str to str, optional
        What to add to the words about a call that failed, if they match a regular expression.
    """
    name = getattr(yours, "__name__", "your answer")
    got, wrote = [], False
    for case in cases:
        args = copy.deepcopy(case)
        value, words = attempt(name, yours, *args)
        if words:
            return verdict(hinted(words, hints))
        got.append(value)
        wrote |= changed(args, case)
    found = [
        words for value, case in zip(got, cases, strict=True) if (words := _each(value, expected(*case), tolerance))
    ]
    if not found:
        return verdict(f"{name} {CHANGED}" if wrote else None)
    for phrase, function in (mistakes or {}).items():
        if not any(_each(value, function(*case), tolerance) for value, case in zip(got, cases, strict=True)):
            return verdict(f"{name}: {phrase}")
    return verdict(f"{name}: {next(filter(None, found))}")


def _each(got: Any, want: Any, tolerance: float) -> str | None:
    """Compare values, or tuples of them part by part."""
    if not isinstance(want, tuple):
        return difference(got, want, tolerance)
    if not isinstance(got, tuple | list | np.ndarray) or len(got) != len(want):
        return f"it should return {len(want)} values"
    parts = [difference(a, b, tolerance) for a, b in zip(got, want, strict=True)]
    return next((f"value {i}: {words}" for i, words in enumerate(parts) if words), None)
