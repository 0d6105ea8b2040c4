"""Several runs on the same data, such as one for each seed: they are independent, so an executor may spread them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

from tinympcnn.engine.workers import Serial, drawn_ahead, result_of
from tinympcnn.errors import UsageError, counted
from tinympcnn.nn.sequential import Sequential
from tinympcnn.training.fit import Data, fit
from tinympcnn.training.recipe import Recipe


def fit_each(
    nets: Sequence[Sequential],
    data: Data,
    recipes: Sequence[Recipe],
    *,
    validation: Data | None = None,
    executor: Executor | None = None,
) -> Iterator[Sequential]:
    """Train a copy of each net by its recipe, and yield the trained nets in their order.

    Parameters
    ----------
    nets : sequence of Sequential
        The nets to start from. They stay as they are.
    data, validation
        As in `fit`, whose errors this function raises too.
    recipes : sequence of Recipe
        One recipe for each net; other numbers are a `UsageError`.
    executor : concurrent.futures.Executor, optional
        The threads, processes or cluster that compute the runs. No bit of a net depends on it.

    Yields
    ------
    Sequential
        A trained net. The records of its epochs, as `fit` yields them, are ``net.record["log"]``.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import numpy as np
    >>> from tinympcnn import Net
    >>> image, recipe = np.random.default_rng(0).standard_normal((20, 20)), Recipe(epochs=2, options={"lr": 0.02})
    >>> nets = [Net.from_spec("C3x3x4 MPF2x2 FC2", rng=seed) for seed in range(3)]
    >>> recipes = [replace(recipe, seed=seed) for seed in range(3)]
    >>> [net.record["seed"] for net in fit_each(nets, ([image], [image > 0]), recipes)]
    [0, 1, 2]
    """
    if len(nets) != len(recipes):
        raise UsageError(
            f"each net needs a recipe: here are {counted(len(nets), 'net')} and {counted(len(recipes), 'recipe')}"
        )
    computing = executor or Serial()
    futures = (
        computing.submit(_trained, net, data, recipe, validation) for net, recipe in zip(nets, recipes, strict=True)
    )
    return map(result_of, drawn_ahead(futures, 0 if executor is None else len(nets)))


def _trained(net: Sequential, data: Data, recipe: Recipe, validation: Data | None) -> Sequential:
    own = net.astype(net.dtype)
    log = list(fit(own, data, recipe, validation=validation))
    own.record = {**own.record, "log": log}
    return own
