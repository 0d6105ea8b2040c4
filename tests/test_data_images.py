"""Finding files, PNG and JPEG through Pillow, and what is no image at all."""

import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import lengths, mutated, pixels

from tinympcnn.errors import DataError, Notice
from tinympcnn.io.images import expand, open_image, read_images

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def saved(path, array, mode=None):
    picture = Image.fromarray(array)
    (picture if mode is None else picture.convert(mode)).save(path)
    return path


def test_a_folder_stands_for_its_images_in_natural_order(tmp_path):
    for name in ("b10.png", "b9.PNG", "a.png", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "inner.png").mkdir()
    (tmp_path / "inner.png").rmdir()
    with pytest.warns(Notice, match=r"1 file in .* left out: 1 \.txt"):
        assert [path.name for path in expand(tmp_path)] == ["a.png", "b9.PNG", "b10.png"]
    (tmp_path / "notes.txt").rename(tmp_path.parent / "notes.txt")
    found = expand([tmp_path.parent / "notes.txt", str(tmp_path)])
    assert [path.name for path in found][:2] == ["notes.txt", "a.png"]


def test_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match="no such file or folder, where labels should be"):
        expand([tmp_path / "missing"], "labels")
    with pytest.raises(DataError, match="holds no images"):
        expand(tmp_path)
    with pytest.raises(DataError, match="no images given"):
        expand([])
    with pytest.raises(DataError, match="no such file"):
        open_image(tmp_path / "missing.tif")


@pytest.mark.parametrize("data", [b"", b"II*", b"hello, world", b"GIF89a" + bytes(30), b"II*\0" + bytes(4)])
def test_files_that_are_no_images(tmp_path, data):
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tif"):
        open_image(tmp_path / "a.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif is not an ordinary file"):
        open_image(tmp_path / "a.tif")


def test_the_first_bytes_decide_not_the_name(tmp_path):
    saved(tmp_path / "a.png", pixels(20, 30))
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif")[0][..., 0], pixels(20, 30))


@pytest.mark.parametrize(
    "array", [pixels(20, 30), pixels(20, 30, 3), pixels(20, 30, dtype=np.uint16)], ids=["grey", "colour", "16 bits"]
)
def test_png_without_loss(tmp_path, array):
    pages, names = read_images(saved(tmp_path / "a.png", array))
    assert pages[0].dtype == array.dtype and names == ["a"]
    np.testing.assert_array_equal(pages[0], array.reshape(20, 30, -1))


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["a.png", "b.png"], ["a", "b"]),
        (["a.png", "a.jpg"], ["a.png", "a.jpg"]),
        (["one/a.png", "two/a.png"], ["one/a.png", "two/a.png"]),
        (["a.png", "a.png"], ["a", "a"]),
    ],
)
def test_names_are_as_long_as_it_takes_to_tell_files_apart(tmp_path, paths, wanted):
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        saved(tmp_path / path, pixels(20, 30))
    assert read_images([tmp_path / path for path in paths])[1] == wanted
    deep = [tmp_path / top / "same" / "a.png" for top in ("one", "two")]
    for path in deep:
        path.parent.mkdir(parents=True, exist_ok=True)
        saved(path, pixels(20, 30))
    assert read_images(deep)[1] == [str(path) for path in deep]


def test_a_file_here_and_one_in_a_folder_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("two").mkdir()
    for path in ("a.png", "two/a.png"):
        saved(Path(path), pixels(20, 30))
    assert read_images(["a.png", "two/a.png"])[1] == ["a.png", "two/a.png"]


def test_png_transparency_is_dropped(tmp_path):
    array = pixels(20, 30, 4)
    np.testing.assert_array_equal(open_image(saved(tmp_path / "a.png", array))[0], array[..., :3])
    array = pixels(20, 30, 2)
    np.testing.assert_array_equal(open_image(saved(tmp_path / "b.png", array))[0], array[..., :1])


def test_png_palettes_become_their_colours(tmp_path):
    array = pixels(20, 30) // 64 * 85
    grey = open_image(saved(tmp_path / "grey.png", array, "P"))
    np.testing.assert_array_equal(grey[0][..., 0], array)
    flag = Image.fromarray(pixels(20, 30) % 2)
    flag.putpalette([255, 0, 0, 0, 0, 255])
    flag.save(tmp_path / "flag.png")
    assert {tuple(pixel) for pixel in open_image(tmp_path / "flag.png")[0].reshape(-1, 3)} == {(255, 0, 0), (0, 0, 255)}


def test_jpeg(tmp_path):
    smooth = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
    file = open_image(saved(tmp_path / "a.jpg", smooth))
    assert file.describe() == "Y=40, X=60, uint8"
    assert abs(file[0][..., 0].astype(int) - smooth).max() < 4
    with pytest.raises(DataError, match="CMYK"):
        open_image(saved(tmp_path / "b.jpg", pixels(20, 30, 3), "CMYK"))


def png(width, height, bits, colour, data=b""):
    """A PNG from its parts, for headers that Pillow would not write."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_png_of_16_bits_with_colour_is_refused_where_pillow_would_cut_it(tmp_path):
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 2, b"\0" + bytes(12)))
    with pytest.raises(DataError, match="16-bit colour PNG"):
        open_image(tmp_path / "a.png")


@pytest.mark.parametrize("side", [10_000, 12_000, 2**31 - 1])
def test_a_lying_png_header_allocates_nothing(tmp_path, side):
    (tmp_path / "a.png").write_bytes(png(side, side, 8, 0, b"\0" * 100))
    with pytest.raises(DataError, match=r"a\.png"):
        open_image(tmp_path / "a.png")


def test_animations_are_refused(tmp_path):
    first, second = (Image.fromarray(pixels(20, 30) // k) for k in (1, 2))
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    with pytest.raises(DataError, match="animation"):
        open_image(tmp_path / "a.png")


@lengths(30, 300)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_mutated_pictures_give_pixels_or_one_sentence(tmp_path, suffix, cases):
    whole = saved(tmp_path / f"whole.{suffix}", pixels(24, 30, 3)).read_bytes()
    chance = random.Random(0)
    mutant = tmp_path / f"mutant.{suffix}"
    for _ in range(cases):
        mutant.write_bytes(mutated(whole, chance))
        try:
            read_images(mutant)
        except DataError as error:
            assert "mutant" in str(error) and "\n" not in str(error)


def test_without_pillow_a_sentence_names_the_extra(tmp_path):
    saved(tmp_path / "a.png", pixels(20, 30))
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from tinympcnn.io.images import open_image\n"
        f"try: open_image({str(tmp_path / 'a.png')!r})\n"
        "except ValueError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "tinympcnn[images]"' in out
