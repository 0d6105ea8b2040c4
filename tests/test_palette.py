"""The lines of figures can be told apart with any colour vision, and in black and white."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from tinympcnn.cli import pictures

VISION = {  # what is left of linear red, green and blue: Machado, Oliveira, Fernandes 2009, at full severity
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # of linear sRGB
SEEN = 15  # a distance in CIELAB that nobody overlooks; 2.3 is just noticeable


def lab(colour: str, vision: str) -> np.ndarray:
    """Return a colour in CIELAB as someone with this vision sees it."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.asarray(VISION[vision]) @ linear, 0, 1) / XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(colours: Sequence[str], vision: str) -> float:
    """Return the smallest distance between two of the colours."""
    return min(float(np.linalg.norm(lab(a, vision) - lab(b, vision))) for a, b in combinations(colours, 2))


@pytest.mark.parametrize("vision", VISION)
def test_the_colours_of_lines_are_far_apart(vision):
    assert closest(pictures.INK, vision) > SEEN


@pytest.mark.parametrize("vision", VISION)
def test_marks_on_images_are_far_apart(vision):
    assert closest([pictures.FALSE, pictures.MISSED], vision) > 4 * SEEN
    assert closest([pictures.YELLOW, pictures.FALSE, pictures.SKY], vision) > 2 * SEEN
    assert closest([pictures.YELLOW, pictures.MISSED], vision) > 2 * SEEN


def test_the_simulation_finds_a_palette_that_some_cannot_read():
    green, red = "#2ca02c", "#d62728"  # the third and fourth line of matplotlib's own cycle
    assert closest([green, red], "normal") > SEEN > closest([green, red], "deuteranopia")


def test_no_two_lines_share_a_style_or_a_marker():
    for styles in (pictures.LINES, pictures.MARKS):
        assert len(set(styles)) == len(styles)
    assert len(pictures.MARKS) == len(pictures.INK)  # more colours than line styles: the marker tells
