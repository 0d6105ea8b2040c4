"""Every kind of TIFF that users have, and every kind of damage: right pixels or one sentence."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import IMAGEJ_ZCYX, OME_TZCYX, PLAIN, pixels, written

from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.images import open_image, read_images
from tinympcnn.io.predictions import write_labels

DATA = Path(__file__).parent.parent / "data"


STACKS = {
    "3 pages": (pixels(3, 20, 30), PLAIN, "ZYX"),
    "4 pages": (pixels(4, 20, 30), PLAIN, "ZYX"),
    "one page": (pixels(20, 30), {}, "YX"),
    "one page of a stack": (pixels(1, 20, 30), PLAIN, "YX"),
    "no description": (pixels(5, 20, 30), {**PLAIN, "metadata": None}, "ZYX"),
    "16 bits": (pixels(5, 20, 30, dtype=np.uint16), PLAIN, "ZYX"),
    "float": (pixels(5, 20, 30, dtype=np.float32), PLAIN, "ZYX"),
    "signed": (pixels(5, 20, 30, dtype=np.int16), PLAIN, "ZYX"),
    "big-endian": (pixels(5, 20, 30, dtype=np.uint16), {**PLAIN, "byteorder": ">"}, "ZYX"),
    "big-endian float": (pixels(5, 20, 30, dtype=np.float32), {**PLAIN, "byteorder": ">"}, "ZYX"),
    "BigTIFF": (pixels(5, 20, 30), {**PLAIN, "bigtiff": True}, "ZYX"),
    "tiled": (pixels(5, 50, 70), {**PLAIN, "tile": (32, 32)}, "ZYX"),
    "deflate": (pixels(5, 50, 70), {**PLAIN, "compression": "zlib", "predictor": True}, "ZYX"),
    "LZW, tiled": (pixels(5, 50, 70), {**PLAIN, "compression": "lzw", "tile": (16, 32)}, "ZYX"),
    "strips": (pixels(5, 50, 70), {**PLAIN, "rowsperstrip": 7}, "ZYX"),
    "first directory only": (pixels(5, 20, 30), {**PLAIN, "metadata": {"axes": "ZYX", "truncate": True}}, "ZYX"),
    "first directory only, big-endian": (
        pixels(5, 20, 30, dtype=np.uint16),
        {**PLAIN, "byteorder": ">", "metadata": {"axes": "ZYX", "truncate": True}},
        "ZYX",
    ),
    "colour": (pixels(20, 30, 3), {"photometric": "rgb"}, "YXC"),
    "colour stack": (pixels(4, 20, 30, 3), {"photometric": "rgb"}, "ZYXC"),
    "ImageJ ZYX": (pixels(4, 20, 30), {"imagej": True, "metadata": {"axes": "ZYX"}}, "ZYX"),
    "ImageJ ZCYX": (pixels(5, 2, 20, 30), IMAGEJ_ZCYX, "ZCYX"),
    "ImageJ TZYX": (pixels(2, 5, 20, 30), {"imagej": True, "metadata": {"axes": "TZYX"}}, "TZYX"),
    "OME ZYX": (pixels(5, 20, 30), {"ome": True, "metadata": {"axes": "ZYX"}}, "ZYX"),
    "OME CYX": (pixels(3, 20, 30), {"ome": True, "metadata": {"axes": "CYX"}}, "CYX"),
    "OME CZYX": (pixels(2, 5, 20, 30), {"ome": True, "metadata": {"axes": "CZYX"}}, "CZYX"),
    "OME TZCYX": (pixels(2, 3, 2, 20, 30), OME_TZCYX, "TZCYX"),
    "named by tifffile": (pixels(3, 20, 30), {**PLAIN, "metadata": {"axes": "CYX"}}, "CYX"),
    "thin pages": (pixels(5, 1, 30), PLAIN, "ZYX"),
}


def expected_pages(array, axes):
    """The same stack by plain NumPy: page axes first, then rows, columns, channels."""
    if "C" not in axes:
        array, axes = array[..., None], axes + "C"
    pages = [axis for axis in axes if axis not in "YXC"]
    array = array.transpose([axes.index(axis) for axis in [*pages, *"YXC"]])
    return array.reshape(-1, *array.shape[-3:])


@pytest.mark.parametrize("kind", STACKS)
def test_reads_the_pages_that_were_written(tmp_path, kind):
    array, options, axes = STACKS[kind]
    axes = axes if array.ndim == len(axes) else "Z" + axes
    file = open_image(written(tmp_path / "a.tif", array, **options))
    expected = expected_pages(array, axes)
    assert len(file) == len(expected) and file.shape == expected.shape[1:]
    assert file.dtype == array.dtype.newbyteorder("=")
    for page, other in zip(file, expected, strict=True):
        assert page.dtype.isnative
        np.testing.assert_array_equal(page, other)
    np.testing.assert_array_equal(file[-1], expected[-1])


def test_describes_what_it_read(tmp_path):
    assert open_image(written(tmp_path / "a.tif", pixels(30, 64, 32), **PLAIN)).describe() == "Z=30, Y=64, X=32, uint8"
    file = open_image(written(tmp_path / "b.tif", *[pixels(5, 2, 20, 30)], **IMAGEJ_ZCYX))
    assert (file.describe(), file.axes) == ("Z=5, Y=20, X=30, C=2, uint8", "ZYXC")


def test_pages_written_one_by_one_are_one_stack(tmp_path):
    array = pixels(3, 20, 30)
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for page in array:
            out.write(page)
    pages, names = read_images(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.stack(pages)[..., 0], array)
    assert names == ["a[00]", "a[01]", "a[02]"]


AMBIGUOUS = {
    "planar, taken for colour": (pixels(3, 20, 30), {}, ("ZYX", "CYX")),
    "ImageJ's first guess": (pixels(5, 20, 30), {"imagej": True}, ("ZYX", "CYX")),
    "colour pixels cut into pages": (pixels(20, 30, 3), PLAIN, ("ZYX", "YXC")),
    "two axes without a name": (pixels(2, 5, 20, 30), PLAIN, ("ZTYX", "ZCYX")),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_ambiguous_axes_are_refused_and_the_named_axes_settle_them(tmp_path, kind):
    array, options, choices = AMBIGUOUS[kind]
    path = written(tmp_path / "a.tif", array, **options)
    with pytest.raises(DataError, match=rf"--axes {choices[0]} or --axes {choices[1]}\Z"):
        open_image(path)
    for axes in choices:
        np.testing.assert_array_equal(np.stack(list(open_image(path, axes))), expected_pages(array, axes))


@pytest.mark.parametrize("axes", ["YX", "ZZX", "ZY", "Z1X", "TZYX", "ZYXC"])
def test_axes_that_do_not_fit(tmp_path, axes):
    path = written(tmp_path / "a.tif", pixels(3, 20, 30), **PLAIN)
    with pytest.raises(UsageError, match=axes):
        open_image(path, axes)


def test_pages_of_different_size_are_refused(tmp_path):
    for metadata in ({}, None):
        with tifffile.TiffWriter(tmp_path / "a.tif") as out:
            for i in range(9):
                out.write(pixels(20, 30 + (i == 4)), metadata=metadata)
        with pytest.raises(DataError, match=r"mixes pages of 20x30 uint8 .* and 20x31 uint8"):
            open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite(tmp_path, value):
    array = pixels(3, 20, 30, dtype=np.float32)
    array[1, 4, 5:7] = value
    file = open_image(written(tmp_path / "a.tif", array, **PLAIN))
    file.page(0)
    with pytest.raises(DataError, match=r"a\.tif: page 1 has 2 pixels"):
        file.page(1)


def test_no_such_page(tmp_path):
    file = open_image(written(tmp_path / "a.tif", pixels(3, 20, 30), **PLAIN))
    for index in (3, -4):
        with pytest.raises(IndexError, match="has 3 pages"):
            file.page(index)


def test_compression_that_needs_the_extra_says_so(tmp_path):
    path = written(tmp_path / "a.tif", pixels(20, 30), compression="lzw")
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from tinympcnn.io.images import open_image\n"
        f"print(open_image({str(DATA / 'membranes-test.tif')!r})[0].shape)\n"
        f"try: open_image({str(path)!r})[0]\n"
        "except ValueError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("(256, 256, 1)") and 'pip install "tinympcnn[images]"' in out


def patched(path, tag, value):
    """Overwrite the value of a one-value tag of the first page."""
    with tifffile.TiffFile(path) as tif:
        entry = tif.pages.first.tags[tag]
        place, form = entry.valueoffset, tif.byteorder + {3: "H", 4: "I"}[int(entry.dtype)]
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, place, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}], ids=str)
@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
def test_a_lying_header_allocates_nothing(tmp_path, options, tag):
    path = patched(written(tmp_path / "a.tif", pixels(20, 30), **options, metadata=None), tag, 2**31)
    with pytest.raises(DataError, match="damaged"):
        open_image(path).page(0)


@pytest.mark.parametrize(("found", "kept"), [(513, 1), (0, 1), (2, 2), (3, 3)])
def test_a_unit_of_resolution_that_there_is_not_is_taken_for_none(tmp_path, found, kept):
    path = written(tmp_path / "a.tif", pixels(20, 30), resolution=(2, 3), resolutionunit=3, metadata=None)
    assert open_image(patched(path, "ResolutionUnit", found)).metadata["resolutionunit"] == kept
    write_labels(tmp_path / "b.tif", np.zeros((20, 30), int), (0, 1), like=open_image(path))
    assert open_image(tmp_path / "b.tif").metadata["resolution"] == (2, 3)


def test_lying_metadata(tmp_path):
    for text in (
        '{"shape": [1000000000, 20, 30], "axes": "ZYX"}',
        "ImageJ=1.54f\nimages=1000000000\nslices=1000000000\nhyperstack=true\n",
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="30" SizeY="20" SizeC="1" '
        'SizeZ="1000000000" SizeT="1"><TiffData/></Pixels></Image></OME>',
    ):
        tifffile.imwrite(tmp_path / "a.tif", pixels(20, 30), description=text, metadata=None)
        with pytest.raises(DataError, match=r"a\.tif"):
            open_image(tmp_path / "a.tif")


def test_a_list_of_pages_that_bites_its_tail(tmp_path):
    path = written(tmp_path / "a.tif", pixels(150, 4, 5), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as tif:
        third, last = tif.pages[3].offset, tif.pages[149].offset
    data = bytearray(path.read_bytes())
    n_tags = struct.unpack_from("<H", data, last)[0]
    struct.pack_into("<I", data, last + 2 + 12 * n_tags, third)
    path.write_bytes(data)
    with pytest.raises(DataError, match="leads back"):
        open_image(path)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"bigtiff": True}, {"metadata": None}], ids=str)
def test_truncated_files_never_give_a_shorter_stack(tmp_path, options):
    array = pixels(6, 20, 30)
    whole = written(tmp_path / "whole.tif", array, **PLAIN, **options).read_bytes()
    cut = tmp_path / "cut.tif"
    for length in range(0, len(whole) - 1, 97):
        cut.write_bytes(whole[:length])
        try:
            pages, _ = read_images(cut)
        except DataError:
            continue
        np.testing.assert_array_equal(np.stack(pages)[..., 0], array)
