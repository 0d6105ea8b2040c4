"""Write ``docs/explorer.html``, the fragment explorer with three scenes: ``python docs/explorer/make_page.py``.

Two scenes show small nets that ``make_nets.py`` trained to find membranes; parameters and pixels are rounded, so that
every number on the page can be computed again with a pencil. The third is the 5 x 5 map of tutorials 08 to 10.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinympcnn import MaxPoolFragment, Net, Sequential
from tinympcnn.data import synthetic_membranes
from tinympcnn.data.downsample import downsample
from tinympcnn.explore import scene, write

HERE = Path(__file__).parent
PAGE = HERE.with_suffix(".html")
ROWS, COLUMNS = slice(38, 56), slice(50, 71)  # where three membranes meet
MAP = [
    [0.3, 0.6, 1.2, 0.1, 0.4],
    [0.2, 1.0, 0.5, 0.7, 0.0],
    [1.3, 0.4, 0.8, 0.2, 0.9],
    [0.1, 0.5, 0.3, 1.1, 0.6],
    [0.7, 0.0, 0.2, 0.4, 0.8],
]


def membranes(name: str, title: str, says: str) -> dict[str, Any]:
    """Return the scene of one of the nets beside this file on a piece of a synthetic image."""
    net = Net.load(HERE / f"{name}.npz").astype(np.float64)
    net.class_names = ("membrane", "interior")
    for _, param, _ in net.parameters():
        param[...] = param.round(2)
    image = downsample(synthetic_membranes(1, 160, rng=5)[0][0], 2)[ROWS, COLUMNS, None]
    return scene(net, net.normalised(image).round(1), title, says)


def scenes() -> list[dict[str, Any]]:
    """Return all scenes of the page."""
    return [
        membranes("pools_of_2", "Pools of 2", "A net of 77 parameters looks for membranes, the dark lines."),
        membranes("pools_of_3", "Pools of 3 and 2", "The same task; a pool of 3 makes nine fragments of each."),
        scene(
            Sequential([MaxPoolFragment(2)]), np.array(MAP), "One pool",
            "The map of tutorials 08 to 10, after Figure 2 of the paper, and one pool.",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    write(PAGE, scenes())
    print(f"{PAGE.name}: {PAGE.stat().st_size:,} bytes")
