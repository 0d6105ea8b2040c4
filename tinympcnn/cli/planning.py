"""How large the tiles of a job may be: what reading, tiles, postprocessing and writing take together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinympcnn.engine.backend import Pair
from tinympcnn.engine.limits import available_memory, resident_memory
from tinympcnn.engine.workers import Crew
from tinympcnn.inference import tiling
from tinympcnn.inference.postprocess import Postprocess
from tinympcnn.inference.views import Members
from tinympcnn.io.image_file import ImageFile


def plan_tiles(
    committee: Members,
    factor: int,
    post: Postprocess,
    files: Sequence[ImageFile],
    asked: tuple[int | None, int | None],
    crew: Crew,
    echo: Callable[[str], None],
    stored: bool = False,
) -> Pair:
    """Return the rows and columns of the tiles, and say what memory the process will take at most.

    The tile and the bytes of memory that are `asked` for may be None. Where workers of other processes compute, this
    process holds the rows that are on their way, unless workers read and store them, and there is a band for every
    worker if the images are large enough.
    """
    tile, memory = asked
    taken = resident_memory()
    budget = memory if memory is not None else taken + available_memory() // 2
    each = (_page_memory(committee, file, factor, post) for file in files)
    fixed, row = (max(part) for part in zip(*each, strict=True))
    fixed += post.filter_bytes()
    largest = max(file.shape[0] for file in files) // factor, max(file.shape[1] for file in files) // factor
    room = max(budget - taken - fixed, 1)
    if crew.memory is None:
        rows, columns = size = tiling.tile_size(committee, tile, min(room, tiling.DEFAULT_MEMORY), largest, row)
        peak = taken + fixed + rows * row + tiling.tile_memory(committee, size, largest)
        where = ""
    else:
        held = 0 if stored and all(file.opened_by_workers for file in files) else (crew.ahead + 1) * row
        every = sum(file.shape[0] // factor * len(file) for file in files)
        most = max(min(every // max(crew.ahead, 1), room // max(held, 1)), 2 * committee.halo)
        largest = min(most, largest[0]), largest[1]
        rows, columns = size = tiling.tile_size(committee, tile, crew.memory, largest, row)
        peak = taken + fixed + held * rows
        there = tiling.tile_memory(committee, size, largest) + rows * row
        where = f" here and {there / 1e6:.0f} MB for each of the {crew.ahead // 2} bands that workers compute at a time"
    echo(f"{len(files)} file(s), tiles of {rows}x{columns}, at most {peak / 1e6:.0f} MB at the peak{where}")
    if peak > budget:
        advice = "the least that is possible" if tile is None else "a smaller --tile takes less"
        echo(f"this is more than the {budget / 1e6:.0f} MB asked for; {advice}")
    return size


def _page_memory(committee: Members, file: ImageFile, factor: int, post: Postprocess) -> tuple[int, int]:
    """Return the bytes that reading a page and writing its results take besides tiles: at least, and for each row."""
    height, width, maps = file.shape
    row, halo = width * maps * file.dtype.itemsize, committee.halo
    shrunk = width // factor * maps * 4 if factor > 1 else 0
    on_the_way = post.pixel_bytes(committee.out_maps)
    result = width // factor * (4 * committee.out_maps + 17 + on_the_way)  # probabilities, classes found, their values
    fixed = halo * shrunk + 2 * post.radius * width // factor * on_the_way  # rows that wait for those below them
    if file.rows_at_once == height:  # decoded whole, and perhaps brought into order
        return 2 * height * row + fixed, shrunk + result
    return 2 * (halo * factor + 2 * file.rows_at_once) * row + fixed, 2 * factor * row + shrunk + result
