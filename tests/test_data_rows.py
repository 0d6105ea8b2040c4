"""Pages read by rows: what a whole read gives, from no more of the file than those rows need."""

import random

import numpy as np
import pytest
import tifffile
from helpers import IMAGEJ_ZCYX, OME_TZCYX, PLAIN, SEEDS, lengths, mutated, pixels, written
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn.data import downsample
from tinympcnn.errors import DataError
from tinympcnn.io.images import open_image, read_images
from tinympcnn.io.page_rows import PageRows
from tinympcnn.io.tiff import rows as tiff_rows

KINDS = {
    "one image": (pixels(90, 30), {}, None),
    "16 bits": (pixels(3, 90, 30, dtype=np.uint16), PLAIN, None),
    "big-endian float": (pixels(3, 90, 30, dtype=np.float32), {**PLAIN, "byteorder": ">"}, None),
    "strips": (pixels(3, 90, 30), {**PLAIN, "rowsperstrip": 7}, None),
    "deflate, strips": (
        pixels(3, 90, 30),
        {**PLAIN, "compression": "zlib", "predictor": True, "rowsperstrip": 8},
        None,
    ),
    "deflate, one strip": (pixels(3, 90, 30), {**PLAIN, "compression": "zlib", "rowsperstrip": 90}, None),
    "LZW, tiles": (pixels(3, 90, 70), {**PLAIN, "compression": "lzw", "tile": (16, 32)}, None),
    "tiles, big-endian": (pixels(90, 70, dtype=np.uint16), {"tile": (32, 16), "byteorder": ">"}, None),
    "JPEG, tiles": (pixels(90, 70), {"tile": (16, 16), "compression": "jpeg"}, None),
    "JPEG, colour": (pixels(90, 70, 3), {"tile": (16, 16), "compression": "jpeg", "photometric": "rgb"}, None),
    "tiles as wide as the page": (pixels(96, 64), {"tile": (16, 64)}, None),
    "bits": (pixels(90, 33) > 99, {"rowsperstrip": 8}, None),
    "colour": (pixels(90, 30, 3), {"photometric": "rgb"}, None),
    "colour tiles": (pixels(4, 90, 30, 3), {"photometric": "rgb", "tile": (16, 16)}, None),
    "transparency": (pixels(90, 30, 4), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, None),
    "planes of colour": (pixels(3, 90, 30), {}, "CYX"),
    "channels as pages": (pixels(5, 2, 90, 30), IMAGEJ_ZCYX, None),
    "OME": (pixels(2, 3, 2, 90, 30), OME_TZCYX, None),
    "first directory only": (pixels(3, 90, 30), {**PLAIN, "metadata": {"axes": "ZYX", "truncate": True}}, None),
    "rows across pages": (pixels(90, 5, 30), PLAIN, "YZX"),
    "columns first": (pixels(3, 30, 90), PLAIN, "ZXY"),
    "BigTIFF": (pixels(3, 90, 30), {**PLAIN, "bigtiff": True}, None),
}
WHOLE = {"deflate, one strip", "planes of colour", "rows across pages", "columns first"}


@pytest.fixture(autouse=True)
def few_rows_at_once(monkeypatch):
    monkeypatch.setattr(tiff_rows, "AT_ONCE", 100)  # bytes: so that small images are taken apart


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_the_whole_page(tmp_path, kind):
    array, options, axes = KINDS[kind]
    file = open_image(written(tmp_path / "a.tif", array, **options), axes)
    assert (file.rows_at_once == file.shape[0]) == (kind in WHOLE)
    for index in (0, len(file) - 1):
        whole, rows = file.page(index), PageRows(file, index)
        assert rows.shape == whole.shape
        for start, stop in ((0, 1), (0, 20), (13, 31), (29, 90), (88, 90), (0, 90), (5, 6)):
            part = rows[start:stop]
            assert part.dtype == whole.dtype and part.dtype.isnative
            np.testing.assert_array_equal(part, whole[start:stop])


@given(
    st.integers(1, 70), st.integers(1, 40), st.sampled_from([1, 3]), st.sampled_from([None, 1, 5, 16]),
    st.sampled_from([None, (16, 16), (32, 16)]), st.sampled_from([None, "zlib", "lzw"]), st.sampled_from("<>"),
    st.sampled_from([np.uint8, np.uint16, np.float32]), st.integers(1, 3000), st.data(),
)  # fmt: skip
def test_any_layout_any_rows(tmp_path, H, W, C, strips, tile, packed, order, dtype, at_once, data):
    tiff_rows.AT_ONCE = at_once
    array = pixels(H, W, C, dtype=dtype) if C > 1 else pixels(H, W, dtype=dtype)
    layout = {"tile": tile} if tile else {"rowsperstrip": strips} if strips else {}
    kind = {"photometric": "rgb"} if C > 1 else {"photometric": "minisblack"}
    written(tmp_path / "a.tif", array, compression=packed, byteorder=order, **layout, **kind)
    file = open_image(tmp_path / "a.tif", "YXC" if C > 1 else None)
    rows = PageRows(file, 0)
    for _ in range(3):
        start = data.draw(st.integers(0, H - 1))
        stop = data.draw(st.integers(start + 1, H))
        np.testing.assert_array_equal(rows[start:stop], array.reshape(H, W, C)[start:stop])


def test_rows_are_read_once_where_slices_overlap_and_no_more_are_kept_than_needed(tmp_path, monkeypatch):
    file = open_image(written(tmp_path / "a.tif", pixels(90, 100), **PLAIN))
    read, rows_of = [], type(file).rows
    monkeypatch.setattr(type(file), "rows", lambda *call: read.append(call[2:]) or rows_of(*call))
    rows = PageRows(file, 0)
    for start in range(0, 80, 10):
        rows[start : start + 14]
    assert read == [(i, i + 1) for i in range(84)] and len(rows._kept) == 14


def test_pixels_that_are_not_finite_are_named_with_their_rows(tmp_path):
    array = pixels(90, 100, dtype=np.float32)
    array[50, 3:5] = np.nan
    rows = PageRows(open_image(written(tmp_path / "a.tif", array)), 0)
    rows[0:50]
    with pytest.raises(DataError, match=r"a\.tif: page 0, rows 50 to 50, has 2 pixels that are NaN"):
        rows[40:60]


def test_a_page_that_breaks_off_gives_its_first_rows_and_then_one_sentence(tmp_path):
    path = written(tmp_path / "a.tif", pixels(900, 100), compression="zlib", rowsperstrip=10)
    with tifffile.TiffFile(path) as tif:
        place = tif.pages[0].dataoffsets[50]
    data = bytearray(path.read_bytes())
    data[place : place + 20] = bytes(20)
    path.write_bytes(data)
    rows = PageRows(open_image(path), 0)
    np.testing.assert_array_equal(rows[0:500][..., 0], pixels(900, 100)[:500])
    with pytest.raises(DataError, match=r"a\.tif cannot be read"):
        rows[495:505]


def whole_pages(path):
    return read_images(path)[0]


def by_rows(path):
    file = open_image(path)
    parts = [PageRows(file, len(file) - 1)[row : row + 3] for row in range(0, min(file.shape[0], 50), 2)]
    assert all(part.shape[1:] == file.shape[1:] for part in parts)
    return parts


@pytest.mark.parametrize("seed", range(len(SEEDS)))
@pytest.mark.parametrize("read", [whole_pages, by_rows])
@lengths(20, 1000)
def test_mutated_files_give_pixels_or_one_sentence(tmp_path, seed, read, cases):
    array, options = SEEDS[seed]
    whole = written(tmp_path / "whole.tif", array, **options).read_bytes()
    chance, mutant = random.Random(seed), tmp_path / "mutant.tif"
    for _ in range(cases):
        mutant.write_bytes(mutated(whole, chance))
        try:
            assert all(part.ndim == 3 for part in read(mutant))
        except DataError as error:
            assert "mutant.tif" in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_rows_are_down_sampled_as_whole_pages_are(tmp_path, factor):
    array = pixels(90, 301, 3, dtype=np.float32)
    file = open_image(written(tmp_path / "a.tif", array, photometric="rgb"))
    whole, rows = downsample(file.page(0), factor), PageRows(file, 0, factor)
    assert rows.shape == whole.shape
    for start, stop in ((0, 1), (0, 9), (3, 11), (11, len(whole)), (0, len(whole))):
        np.testing.assert_array_equal(rows[start:stop], whole[start:stop])
