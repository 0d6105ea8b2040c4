"""Pictures of a classification, drawn with matplotlib: the confusion matrix, and a sheet of the surest mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np

from tinympcnn.cli.pictures import BLUE, drawing, write_figure
from tinympcnn.errors import counted

MISTAKES = 40  # pictures on a sheet at most
ACROSS = 8


def draw_confusion(path: str | PathLike[str], C: np.ndarray, names: Sequence[str]) -> None:
    """Draw a confusion matrix (K, K): the classes down, what they were taken for across.

    The diagonal is left out of the scale of greys, as the few mistakes would otherwise not be seen.
    """
    K = len(names)
    mistakes = C - np.diag(np.diag(C))
    with drawing() as new_figure:
        figure = new_figure(figsize=(2 + 0.28 * K, 1.6 + 0.28 * K))
        axes = figure.subplots()
        axes.imshow(mistakes, cmap="Greys", vmin=0, vmax=max(1, mistakes.max()))
        for i, j in zip(*np.nonzero(C), strict=True):
            dark = mistakes[i, j] > 0.6 * mistakes.max()
            colour = BLUE if i == j else "white" if dark else "black"
            axes.text(j, i, C[i, j], ha="center", va="center", fontsize=6, color=colour)
        axes.set_xticks(range(K), names, rotation=90, fontsize=7)
        axes.set_yticks(range(K), names, fontsize=7)
        axes.set_xlabel("taken for")
        axes.set_ylabel("class")
        said = f"{counted(int(mistakes.sum()), 'mistake')} in {counted(int(C.sum()), 'image')}"
        axes.set_title(said, fontsize=9)
        write_figure(figure, path)


def draw_mistakes(
    path: str | PathLike[str], images: np.ndarray, classes: np.ndarray, p: np.ndarray, names: Sequence[str]
) -> None:
    """Draw the mistakes, the surest first; under each image its class, what it was taken for, and how surely.

    The images, shape (N, H, W, C), are as they were read; numbers of channels other than 1 and 3 are drawn as their
    mean. `classes` holds the true classes, shape (N,), and `p` the probabilities, shape (N, K).
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
            image = images[i] if images.shape[3] == 3 else images[i].mean(axis=2)
            axes.imshow(_bytes(image), cmap="gray", vmin=0, vmax=255)
            guess = int(p[i].argmax())
            axes.set_title(f"{names[classes[i]]}\nas {names[guess]}, {p[i, guess]:.2f}", fontsize=6)
        said = f"{counted(len(wrong), 'mistake')} in {counted(len(images), 'image')}, the surest first"
        figure.suptitle(said, fontsize=9)
        write_figure(figure, path)


def _bytes(image: np.ndarray) -> np.ndarray:
    """Return an image of bytes as it is, and another one stretched from its smallest value to its largest."""
    if image.min() >= 0 and 1 < image.max() <= 255:
        return image.astype(np.uint8)
    low, high = float(image.min()), float(image.max())
    stretched: np.ndarray = (255 * (image - low) / (high - low or 1)).astype(np.uint8)
    return stretched
