"""The pictures of README and docs: made by their scripts from the library, and small enough for a page."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from PIL import Image

from tinympcnn.nn.fragments import split

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


def script(name):
    spec = importlib.util.spec_from_file_location(f"docs_pictures_{name}", PICTURES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("pools", [0, 1, 2])
def test_the_moving_picture_draws_the_fragments_of_the_library(pools):
    film = script("fragments")
    dense = np.arange(film.SIZE**2).reshape(film.SIZE, film.SIZE)
    stage, rows = film.drawn(dense, film.places(pools)), film.places(pools)
    size = film.DOT * (film.SIZE >> pools)
    starts = sorted({int(row) for row in rows[: 2**pools]})  # a fragment's pixels touch: it is a square of `size`
    drawn = [stage[r : r + size : film.DOT, c : c + size : film.DOT] for r in starts for c in starts]
    fragments = split(dense[None, :, :, None], [(2, 2)] * pools)[..., 0]
    assert len(drawn) == len(fragments) == 4**pools
    by_first = {int(fragment[0, 0]): fragment for fragment in fragments}
    for fragment in drawn:
        np.testing.assert_array_equal(fragment, by_first[int(fragment[0, 0])])


def test_the_moving_picture_is_what_its_script_draws_and_loads_fast():
    film = script("fragments")
    frames = film.film()
    path = PICTURES / "fragments.gif"
    assert path.stat().st_size < 1_000_000
    with Image.open(path) as picture:
        assert picture.n_frames == len(frames)
        picture.seek(len(frames) - 1)
        last = np.asarray(picture.convert("RGB")).astype(int)
    wanted = film.beside([frames[0][0], frames[-1][0]], ["image", frames[-1][2]])
    different = (last != np.asarray(wanted.convert("RGB"))).any(axis=-1).mean()
    assert different < 0.01  # other processors round in another way
