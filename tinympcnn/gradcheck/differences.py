"""Gradients against central differences: the work behind the checks of this package.

`Differences` moves each tensor of a function with a backward pass one small step forward and back along a random
direction, and compares the slope with the slope that backward claims.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinympcnn.engine import multiply
from tinympcnn.engine.backend import Array, array_module, to_numpy
from tinympcnn.gradcheck.diagnosis import Evidence, diagnose
from tinympcnn.nn.layers import Layer

Slopes = tuple[float, float, float]  # analytic, numeric, relative error
H, TOLERANCE = 1e-6, 1e-6  # the step of the differences, and the largest relative error that is right
LARGEST = 1 << 22  # the most elements of a Jacobian that is computed for a diagnosis


@dataclass(frozen=True)
class Check:
    """The result for one tensor: the slopes along a direction, by backward and by finite differences."""

    name: str
    ok: bool
    analytic: float = np.nan
    numeric: float = np.nan
    error: float = np.nan
    kink: bool = False
    message: str = ""

    def __str__(self) -> str:
        numbers = f"analytic {self.analytic:+.9e}  numeric {self.numeric:+.9e}  relative error {self.error:.1e}"
        verdict = "kink " if self.kink else "ok   " if self.ok else "WRONG"
        parts = [verdict, f"{self.name:<12}", numbers if np.isfinite(self.error) else "", self.message]
        return "  ".join(part for part in parts if part).rstrip()


@dataclass
class Differences:
    """The checks of one function of an input `x` and of the parameters of its layers, whose keys are prefixes of names.

    The upstream gradient `dy` is random if it is None. The step is `H` along directions of norm `spread`.
    """

    forward: Callable[[Array], Array]
    backward: Callable[[Array], Array | None]
    layers: dict[str, Layer]
    input_name: str
    x: Array
    dy: Array | None
    rng: np.random.Generator
    spread: float = 1.0

    @property
    def tensors(self) -> dict[str, Array]:
        """The input and all parameters by name: the arrays themselves, not copies."""
        params = {f"{at}{name}": p for at, layer in self.layers.items() for name, p in layer.params.items()}
        return {self.input_name: self.x, **params}

    def gradients(self, dy: Array, start: dict[str, Array] | None = None) -> dict[str, Any]:
        """Set the gradients to `start` or zeros, run forward and backward, and return the gradients after that."""
        for at, layer in self.layers.items():
            for name, param in layer.params.items():
                value = array_module(param).zeros_like(param) if start is None else start[at + name]
                held = layer.grads.get(name)
                if getattr(held, "shape", None) == value.shape:
                    held[...] = value  # type: ignore[index]
                else:
                    layer.grads[name] = value.copy()
        self.forward(self.x.copy())
        found: dict[str, Any] = {self.input_name: self.backward(dy)}
        for at, layer in self.layers.items():
            found |= {f"{at}{name}": layer.grads.get(name) for name in layer.params}
        return {name: value.copy() if hasattr(value, "copy") else value for name, value in found.items()}

    def checks(self) -> list[Check]:
        """Check the gradient of every tensor, and that backward adds to the gradients that are there."""
        xp, given = array_module(self.x), self.x.copy()
        y = self.forward(given)
        if y.dtype != np.float64:
            return [Check("y", False, message=f"forward returned {y.dtype} for float64 input: its precision is lost")]
        if (given != self.x).any():
            return [Check("x", False, message="forward changed its input x: make a copy")]
        dy = self.dy = xp.asarray(self.rng.standard_normal(y.shape)) if self.dy is None else self.dy
        tensors = self.tensors
        preset = {name: xp.asarray(self.rng.standard_normal(tensor.shape)) for name, tensor in tensors.items()}
        try:
            given = dy.copy()
            found = self.gradients(given)
            added = self.gradients(dy.copy(), preset)
        except Exception as error:  # a user's backward may raise anything
            return [Check("backward", False, message=f"backward raised {type(error).__name__}: {error}")]
        checks = [self.check(name, found[name], dy) for name in tensors]
        for i, check in enumerate(checks[1:], 1):
            name = check.name
            if check.ok and distance(added[name], preset[name] + found[name]) > 1e-9:
                overwritten = distance(added[name], found[name]) < 1e-9
                words = "you overwrote it" if overwritten else "it is right only if it was zero before"
                message = f"the gradient of {name}: {words}; backward must add (+=) to what is there"
                checks[i] = Check(name, False, message=message)
        if (given != dy).any():
            checks.append(Check("dy", False, message="backward changed its input dy: make a copy"))
        return checks

    def check(self, name: str, gradient: Any, dy: Array) -> Check:
        """Check the gradient of one tensor; if kinks make that fail, check it by the outputs without a kink."""
        tensor = self.tensors[name]
        if getattr(gradient, "shape", None) != tensor.shape:
            why = self.explain(name, gradient, dy) if hasattr(gradient, "shape") else f"backward left {gradient!r}"
            return Check(name, False, message=f"the gradient of {name}: {why}")
        xp = array_module(tensor)
        direction = xp.asarray(self.rng.standard_normal(tensor.shape))
        direction *= self.spread / xp.linalg.norm(direction)
        plus, minus = self.shifted(name, H * direction), self.shifted(name, -H * direction)
        slopes = self.compare(gradient, direction, plus, minus, dy)
        if slopes[2] <= TOLERANCE:
            return Check(name, True, *slopes)
        kinks = abs(plus - 2 * self.forward(self.x.copy()) + minus) > 1e-4 * abs(plus - minus).max()
        n = int(kinks.sum())
        note = f"a kink, not an error: {n} of {kinks.size} outputs have a winner that changes"
        if n == kinks.size:
            return Check(name, False, *slopes, True, f"{note}; nothing was checked: use an x of distinct values")
        if n:
            dy = xp.where(kinks, 0, dy)
            gradient = self.gradients(dy.copy())[name]
            slopes = self.compare(gradient, direction, plus, minus, dy)
            if slopes[2] <= TOLERANCE:
                return Check(name, True, *slopes, True, f"{note}; the others are right")
        return Check(name, False, *slopes, False, f"the gradient of {name}: {self.explain(name, gradient, dy)}")

    def compare(self, gradient: Array, direction: Array, plus: Array, minus: Array, dy: Array) -> Slopes:
        """Return the slope by the gradient, the slope by differences, and their error relative to a typical slope."""
        norm = array_module(gradient).linalg.norm
        analytic, numeric = float((gradient * direction).sum()), float(((plus - minus) * dy).sum()) / (2 * H)
        typical = float(norm(gradient)) * self.spread / gradient.size**0.5
        rounding = 4 * np.finfo(np.float64).eps * float(norm(plus * dy)) / H
        size = max(abs(analytic), abs(numeric), typical, rounding / TOLERANCE, 1e-300)
        return analytic, numeric, abs(analytic - numeric) / size

    def shifted(self, name: str, step: Array) -> Array:
        """Return the output with `step` added to one tensor."""
        tensor = self.tensors[name]
        saved = tensor.copy()
        tensor += step
        try:
            return self.forward(self.x.copy())
        finally:
            tensor[...] = saved

    def jacobian(self, name: str) -> np.ndarray:
        """Return the derivative of every output by every element of one tensor, (tensor.size, y.size)."""
        tensor, rows = self.tensors[name], []
        for i in range(tensor.size):
            step = array_module(tensor).zeros_like(tensor)
            step.reshape(-1)[i : i + 1] = H
            rows.append(to_numpy(self.shifted(name, step) - self.shifted(name, -step)).ravel())
        return np.stack(rows) / (2 * H)

    def explain(self, name: str, gradient: Array, dy: Array) -> str:
        """Return, in words, what is wrong with a gradient."""
        tensors = self.tensors
        if tensors[name].size * dy.size > LARGEST:
            return "it is wrong (smaller tensors would tell more)"

        def with_weights(at: str, value: np.ndarray) -> np.ndarray:
            saved = tensors[at].copy()
            tensors[at][...] = array_module(saved).asarray(value)
            try:
                return multiply(self.jacobian(name), to_numpy(dy).ravel()).reshape(tensors[name].shape)
            finally:
                tensors[at][...] = saved

        own = list(self.layers.values())
        weights = {at: to_numpy(p).copy() for at, p in own[0].params.items() if p.ndim == 4} if len(own) == 1 else {}
        y = self.forward(self.x.copy())
        arrays = to_numpy(gradient), to_numpy(tensors[name]), to_numpy(self.x), to_numpy(y), to_numpy(dy)
        called = "x" if name == self.input_name else name
        return diagnose(Evidence(called, *arrays, self.jacobian(name), weights, with_weights))


def distance(a: Array, b: Array) -> float:
    """Return the norm of a - b, relative to that of b."""
    norm = array_module(a, b).linalg.norm
    return float(norm(a - b)) / max(float(norm(b)), 1e-300)
