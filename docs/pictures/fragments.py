"""Make the moving picture of the README: an image splits into fragments, which come together as the net's answer.

    python docs/pictures/fragments.py        # writes fragments.gif, and fragments.png for print and reduced motion

The net is that of tutorial 00, the image is synthetic and unseen (its seed was chosen for its looks), and every number
that is drawn is the net's: one map behind each max-pooling layer, then the probability of the interior. Between two
steps of the net pixels only move. The maps are cut to the pixels that lie over those of the answer.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont

from tinympcnn import Net
from tinympcnn.cli.pictures import BLUE, GREEN, ORANGE, PURPLE
from tinympcnn.data import mirror, synthetic_membranes
from tinympcnn.nn.fragments import merge

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "tutorials" / "models" / "first_net.npz"
SEED, SIZE, DOT = 13, 176, 2  # pixels of the image, and of the picture for each of them
GAP = 8  # between fragments
STAGE = SIZE * DOT + 3 * GAP
HEAD, MARGIN = 36, 4
SHOWN = {2: (7, 12), 5: (11, 8)}  # a pooling layer: which of its maps is drawn, and from which row and column on
POOL = (2, 2)
GREYS, LEVELS = 16, 4
TITLES = (
    "one pass through a net begins",
    "pooled: 4 alignments, 4 fragments",
    "pooled again: 16 fragments",
    "the answers, fragment by fragment",
    f"in place again: {SIZE**2:,} answers",
)


def steps() -> list[np.ndarray]:
    """Return the image, a map behind each pooling layer, and the answer: arrays of SIZE x SIZE from 0 to 1."""
    net = Net.load(MODEL)
    image = synthetic_membranes(1, 192, rng=SEED)[0][0, 12:, :SIZE][:SIZE]
    x = mirror(net.normalised(image[:, :, None]), net.field_of_view)[None].astype(np.float32)
    found, pools = [_stretched(image)], []
    for i, layer in enumerate(net.layers):
        x = layer.forward(x, train=False)
        if i in SHOWN:
            pools.append(POOL)
            which, first = SHOWN[i]
            dense = merge(x, pools)[0, first : first + SIZE, first : first + SIZE, which]
            found.append(1 - _stretched(dense, 45))  # both maps are bright where membranes are
    return [*found, net.segment(image)[:, :, 1]]


def _stretched(values: np.ndarray, least: float = 1) -> np.ndarray:
    low, high = np.percentile(values, [least, 99])
    return np.clip((values - low) / (high - low), 0, 1)


def places(pools: int) -> np.ndarray:
    """Return where each row of the dense map is drawn (columns alike) after so many pools of 2, in pixels."""
    n = np.arange(SIZE)
    if pools == 0:
        return 3 * GAP // 2 + DOT * n
    fragment = n % 2 if pools == 1 else 2 * (n % 2) + n // 2 % 2  # the offset of the first pool, then of the second
    size = SIZE >> pools
    return fragment * (size * DOT + 3 * GAP // (2**pools - 1)) + DOT * (n >> pools)


def palette() -> np.ndarray:
    """Return all colours, shape (n, 3): greys, then sixteen tints of `LEVELS`, half strong and in full."""
    greys = np.linspace(0, 1, GREYS)[:, None].repeat(3, axis=1)
    light = np.linspace(0, 1, LEVELS)[:, None]
    full = []
    for colour in (BLUE, ORANGE, GREEN, PURPLE):
        ink = np.array(to_rgb(colour))
        for shade in (0.16, 0.34, 0.26, 0.44):
            full.append((1 - light) * ink * 0.42 + light * (1 - shade * (1 - ink)))
    half = [(tint + light) / 2 for tint in full]
    return np.concatenate([greys, *half, *full])


def painted(values: np.ndarray, pools: int, strength: int) -> np.ndarray:
    """Return the colours of a map: grey (strength 0), or the tint of each pixel's fragment, half (1) or in full (2)."""
    if strength == 0:
        return np.rint(values * (GREYS - 1)).astype(int)
    n = np.arange(SIZE)
    row, column = n[:, None], n
    tint = 4 * (2 * (row % 2) + column % 2)
    if pools == 2:
        tint = tint + 2 * (row // 2 % 2) + column // 2 % 2
    return GREYS + ((strength - 1) * 16 + tint) * LEVELS + np.rint(values * (LEVELS - 1)).astype(int)


def drawn(colours: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return a stage, each pixel of the map at its place in rows and columns alike."""
    stage = np.full((STAGE, STAGE), GREYS - 1)
    for i in range(DOT):
        for j in range(DOT):
            stage[np.ix_(rows + i, rows + j)] = colours
    return stage


def film() -> list[tuple[np.ndarray, int, str]]:
    """Return the stages of the film, each with its milliseconds and its title."""
    image, first, second, answer = steps()
    frames = [(drawn(painted(image, 0, 0), places(0)), 1300, TITLES[0])]

    def change(old: np.ndarray, new: np.ndarray, pools: int, title: str) -> None:
        frames.append((drawn(painted((old + new) / 2, pools, 2), places(pools)), 120, title))
        frames.append((drawn(painted(new, pools, 2), places(pools)), 300, title))

    def move(values: np.ndarray, start: int, stop: int, count: int, title: str) -> None:
        tints = 2 if values is answer else max(start, stop)
        for t in np.linspace(0, 1, count + 1)[1:]:
            share = t * t * (3 - 2 * t)
            rows = np.rint((1 - share) * places(start) + share * places(stop)).astype(int)
            frames.append((drawn(painted(values, tints, 2), rows), 80, title))

    def hold(milliseconds: int) -> None:
        stage, _, title = frames[-1]
        frames[-1] = stage, milliseconds, title

    frames.append((drawn(painted((image + first) / 2, 0, 0), places(0)), 120, TITLES[1]))
    frames.append((drawn(painted(first, 1, 1), places(0)), 120, TITLES[1]))
    frames.append((drawn(painted(first, 1, 2), places(0)), 400, TITLES[1]))
    move(first, 0, 1, 5, TITLES[1])
    hold(1100)
    change(first, second, 1, TITLES[2])
    move(second, 1, 2, 4, TITLES[2])
    hold(900)
    change(second, answer, 2, TITLES[3])
    hold(1300)
    move(answer, 2, 1, 4, TITLES[4])
    hold(250)
    move(answer, 1, 0, 6, TITLES[4])
    hold(250)
    frames.append((drawn(painted(answer, 2, 1), places(0)), 150, TITLES[4]))
    frames.append((drawn(painted(answer, 0, 0), places(0)), 3200, TITLES[4]))
    return frames


def beside(stages: list[np.ndarray], titles: list[str], letters: int = 18) -> Image.Image:
    """Return stages in a row, each below its title, as an image with our palette."""
    height, width = stages[0].shape
    page = np.full((height + HEAD + MARGIN, MARGIN + len(stages) * (width + MARGIN)), GREYS - 1, np.uint8)
    for i, stage in enumerate(stages):
        page[HEAD : HEAD + height, MARGIN + i * (width + MARGIN) :][:, :width] = stage
    head = Image.new("L", (page.shape[1], HEAD), 255)
    font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", letters)
    for i, title in enumerate(titles):
        place = MARGIN + i * (width + MARGIN), HEAD - 10
        ImageDraw.Draw(head).text(place, title, fill=0, font=font, anchor="ls")
    page[:HEAD] = np.rint(np.asarray(head) / 255 * (GREYS - 1))
    picture = Image.fromarray(page, "P")
    picture.putpalette(np.rint(255 * palette()).astype(np.uint8).tobytes())
    return picture


def main() -> None:
    """Write the moving picture and the still."""
    frames = film()
    image = frames[0][0]
    pages = [beside([image, stage], ["image", title]) for stage, _, title in frames]
    pages[0].save(
        HERE / "fragments.gif", save_all=True, append_images=pages[1:], duration=[frame[1] for frame in frames],
        loop=0, optimize=False, disposal=1,
    )  # fmt: skip
    answers = next(stage for stage, _, title in frames[::-1] if title == TITLES[3])
    still = beside([image, answers, frames[-1][0]], ["one image", "its 16 fragments", f"{SIZE**2:,} answers"], 20)
    still.save(HERE / "fragments.png", optimize=True)


if __name__ == "__main__":
    main()
