"""Pictures of a classification, drawn with matplotlib: the confusion matrix, and a sheet of the surest mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np

from tinympcnn.cli.pictures import BLUE, drawing, printable, write_figure
from tinympcnn.data.preprocessing import unit

MISTAKES = 40  # pictures on a sheet at most
ACROSS = 8


def draw_confusion(path: str | PathLike[str], C: np.ndarray, names: Sequence[str]) -> None:
    """Draw a confusion matrix (K, K): the classes down, what they were taken for across.

    The diagonal is left out of the scale of greys, as the few mistakes would otherwise not be seen.
    """
    K, mistakes = len(names), C - np.diag(np.diag(C))
    with drawing() as new_figure:
        figure = new_figure(figsize=(2 + 0.28 * K, 1.6 + 0.28 * K))
        axes = figure.subplots()
        axes.imshow(mistakes, cmap="Greys", vmin=0, vmax=max(1, mistakes.max()))
        for i, j in zip(*np.nonzero(C), strict=True):
            colour = BLUE if i == j else "white" if mistakes[i, j] > 0.6 * mistakes.max() else "black"
            axes.text(j, i, C[i, j], ha="center", va="center", fontsize=6, color=colour)
        shown = [printable(name) for name in names]
        axes.set_xticks(range(K), shown, rotation=90, fontsize=7)
        axes.set_yticks(range(K), shown, fontsize=7)
        axes.set(xlabel="taken for", ylabel="class", title=f"{mistakes.sum()} mistakes in {C.sum()} images")
        write_figure(figure, path)


def draw_mistakes(
    path: str | PathLike[str], images: np.ndarray, classes: np.ndarray, p: np.ndarray, names: Sequence[str]
) -> None:
    """Draw the mistakes, the surest first; under each image its class, what it was taken for, and how surely.

    Parameters
    ----------
    path : path
        The PNG file to write.
    images : array, shape (N, H, W, C)
        The images as they were read. Other numbers of channels than 1 and 3 are drawn as their mean.
    classes : array of int, shape (N,)
        The true classes.
    p : array, shape (N, K)
        The probabilities.
    names : sequence of str
        The names of the classes.
    """
    wrong = np.flatnonzero(p.argmax(axis=1) != classes)
    shown = wrong[np.argsort(-p[wrong].max(axis=1), kind="stable")][:MISTAKES]
    rows = max(1, -(-len(shown) // ACROSS))
    with drawing() as new_figure:
        figure = new_figure(figsize=(1.2 * ACROSS, 0.4 + 1.45 * rows))
        cells = figure.subplots(rows, ACROSS, squeeze=False).ravel()
        for axes in cells:
            axes.set_axis_off()
        for axes, i in zip(cells, shown, strict=False):
            image = unit(images[i])
            axes.imshow(image if image.shape[2] == 3 else image.mean(axis=2), cmap="gray", vmin=0, vmax=1)
            guess = int(p[i].argmax())
            lines = f"{names[classes[i]]}\nas {names[guess]}, {p[i, guess]:.2f}"
            axes.set_title("\n".join(map(printable, lines.split("\n"))), fontsize=6)
        figure.suptitle(f"{len(wrong)} mistakes in {len(images)} images, the surest first", fontsize=9)
        write_figure(figure, path)
