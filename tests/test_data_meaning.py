"""What a pixel means: files whose tags, descriptions or values say something else than it seems."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import PLAIN, pixels, written

from tinympcnn.data.checks import check_finite
from tinympcnn.errors import DataError, UsageError
from tinympcnn.io.images import all_notes, open_image
from tinympcnn.io.page_rows import PageRows
from tinympcnn.io.predictions import write_labels, write_probabilities

PAGE, STACK = pixels(64, 48), pixels(3, 64, 48)
STALE = "read without its description, which does not fit its pages"


def by_hand(page, orientation):
    """The page as a viewer shows it: turned as the Exif standard words it."""
    turned = {
        1: page,
        2: np.fliplr(page),
        3: np.rot90(page, 2),
        4: np.flipud(page),
        5: page.T,
        6: np.rot90(page, -1),
        7: np.rot90(page, 2).T,
        8: np.rot90(page),
    }
    return turned[orientation]


def tagged(path, page, orientation):
    """Write a picture with an orientation tag."""
    if path.suffix == ".tif":
        return written(path, page, extratags=[(274, 3, 1, orientation, True)], **PLAIN)
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(page).save(path, exif=exif, **({"quality": 100} if path.suffix == ".jpg" else {}))
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
def test_pages_are_turned_upright_and_it_is_said(tmp_path, suffix, orientation):
    smooth = np.add.outer(np.arange(40) * 3, np.arange(60)).astype(np.uint8)
    file = open_image(tagged(tmp_path / f"a.{suffix}", smooth, orientation))
    wanted = by_hand(smooth, orientation)
    assert file.shape == (*wanted.shape, 1)
    assert abs(file[0][..., 0].astype(int) - wanted).max() <= (6 if suffix == "jpg" else 0)
    assert (f"turned upright by its orientation tag {orientation}" in file.describe()) == (orientation != 1)
    np.testing.assert_array_equal(PageRows(file, 0)[7:30], file[0][7:30])


def test_all_pages_of_a_stack_are_turned(tmp_path):
    file = open_image(tagged(tmp_path / "a.tif", STACK, 6))
    np.testing.assert_array_equal(np.stack(list(file))[..., 0], np.rot90(STACK, -1, axes=(1, 2)))


def test_an_orientation_tag_behind_the_pixels_is_refused(tmp_path):
    path = tagged(tmp_path / "a.png", PAGE, 3)
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    length = 12 + int.from_bytes(data[start : start + 4], "big")
    end = data.index(b"IEND") - 4
    chunk = data[start : start + length]
    path.write_bytes(data[:start] + data[start + length : end] + chunk + data[end:])
    with pytest.raises(DataError, match="orientation tag behind its pixels"):
        open_image(path)[0]


def test_notes_are_counted_over_files(tmp_path):
    files = [open_image(tagged(tmp_path / f"{i}.tif", PAGE, 3 if i else 1)) for i in range(4)]
    assert all_notes(files) == [f"{tmp_path / '1.tif'} and 2 more: turned upright by its orientation tag 3"]


def test_the_first_picture_of_a_camera_file_is_read(tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    more = [Image.fromarray(PAGE[::4, ::4].copy())]
    Image.fromarray(PAGE).save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=more)
    file = open_image(tmp_path / "a.jpg")
    assert file.describe() == "Y=64, X=48, uint8, the first of its 2 pictures" and file[0].shape == (64, 48, 1)


def written_pages(path, *pages):
    """Write pages and their options one by one, as programs do that know nothing of stacks."""
    with tifffile.TiffWriter(path) as out:
        for array, options in pages:
            out.write(array, **({"metadata": None} | PLAIN | options))
    return path


SMALLER = (PAGE[::2, ::2], {"subfiletype": 1})
THUMBNAIL = (pixels(20, 13), {"subfiletype": 1})
WITH_OTHERS = {
    "pyramid": ([(PAGE, {}), SMALLER, (PAGE[::4, ::4], {"subfiletype": 1})], "the full resolution of a pyramid"),
    "pyramid below": ([(PAGE, {"subifds": 1}), SMALLER], "the full resolution of a pyramid"),
    "thumbnail last": ([(PAGE, {}), THUMBNAIL], "without 1 picture of another size or kind"),
    "thumbnail first": ([THUMBNAIL, (PAGE, {})], "without 1 picture of another size or kind"),
    "thumbnail above": ([(*THUMBNAIL[:1], {"subfiletype": 1, "subifds": 1}), (PAGE, {})], "without 1 picture of"),
}


@pytest.mark.parametrize("kind", WITH_OTHERS)
def test_thumbnails_and_pyramids_give_the_full_resolution_and_say_so(tmp_path, kind):
    pages, note = WITH_OTHERS[kind]
    file = open_image(written_pages(tmp_path / "a.tif", *pages))
    np.testing.assert_array_equal(file[0][..., 0], PAGE)
    assert len(file) == 1 and note in file.describe()


def test_thumbnails_between_the_pages_of_a_stack(tmp_path):
    pages = [one for page in STACK for one in ((page, {}), THUMBNAIL)]
    file = open_image(written_pages(tmp_path / "a.tif", *pages))
    np.testing.assert_array_equal(np.stack(list(file))[..., 0], STACK)


def test_pages_that_only_look_like_a_pyramid_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"mixes pages of 64x48 uint8 .* and 32x24 uint8"):
        open_image(written_pages(tmp_path / "a.tif", (PAGE, {}), (PAGE[::2, ::2], {})))


def test_pages_of_two_layouts_keep_their_order_or_are_refused(tmp_path):
    pages = [(page, {"compression": "zlib" if i % 2 else None}) for i, page in enumerate([*STACK, PAGE])]
    with pytest.raises(DataError, match="different compression or layout"):
        open_image(written_pages(tmp_path / "a.tif", *pages))


def test_transparency_is_left_out_wherever_it_stands_and_it_is_said(tmp_path):
    array = pixels(20, 30, 5)
    path = written(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha", "unspecified"])
    file = open_image(path)
    np.testing.assert_array_equal(file[0], array[..., [0, 1, 2, 4]])
    assert file.describe() == "Y=20, X=30, C=4, uint8, without its transparency"


SET = """<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"
UUID="urn:uuid:{}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="48" SizeY="64"
SizeZ="2" SizeC="1" SizeT="1"><TiffData FirstZ="0" IFD="0" PlaneCount="1"><UUID FileName="0.ome.tif">urn:uuid:0</UUID>
</TiffData><TiffData FirstZ="1" IFD="0" PlaneCount="1"><UUID FileName="1.ome.tif">urn:uuid:1</UUID></TiffData></Pixels>
</Image></OME>""".replace("\n", " ")


@pytest.mark.parametrize("there", [(0, 1), (0,), (1,)])
def test_a_file_of_a_set_is_read_by_itself_and_it_is_said(tmp_path, there):
    for i in there:
        written(tmp_path / f"{i}.ome.tif", STACK[i], description=SET.format(i), metadata=None)
    for i in there:
        file = open_image(tmp_path / f"{i}.ome.tif")
        np.testing.assert_array_equal(file[0][..., 0], STACK[i])
        assert file.describe() == "Y=64, X=48, uint8, one of 2 files of a set, read by itself"


def test_a_file_whose_description_is_in_another_is_read_by_itself(tmp_path):
    text = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><BinaryOnly/></OME>'
    file = open_image(written(tmp_path / "a.tif", STACK, description=text, metadata=None, **PLAIN))
    np.testing.assert_array_equal(np.stack(list(file))[..., 0], STACK)
    assert "one file of a set, read by itself" in file.describe()


def ome(shape):
    text = tifffile.OmeXml()
    text.addimage(np.uint8, shape, (np.prod(shape[:-2], dtype=int), 1, 1, *shape[-2:], 1), axes="ZYX"[-len(shape) :])
    return text.tostring()


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (PAGE, '{"shape": [512, 512]}'),
        (PAGE, '{"shape": [512, 512, 3]}'),
        (PAGE, '{"shape": [48, 64]}'),
        (PAGE, '{"shape": [64, 48'),
        (pixels(64, 48, 3), '{"shape": [64, 48]}'),
        (STACK, ome((3, 100, 100))),
        (STACK, '{"shape": [2, 64, 48]}'),
    ],
    ids=["other size", "colour", "turned", "cut", "grey", "OME", "fewer pages"],
)
def test_descriptions_that_no_longer_fit_are_not_used_and_it_is_said(tmp_path, array, text):
    options = {"photometric": "rgb"} if array.shape[-1] == 3 else PLAIN
    file = open_image(written(tmp_path / "a.tif", array, description=text, metadata=None, **options))
    np.testing.assert_array_equal(np.squeeze(np.stack(list(file))), array)
    assert STALE in file.describe()


@pytest.mark.parametrize(
    "text",
    ['{"shape": [5, 64, 48]}', "ImageJ=1.54f\nimages=5\nslices=5\n", ome((5, 64, 48))],
    ids=["tifffile", "ImageJ", "OME"],
)
def test_descriptions_that_promise_more_pages_are_refused(tmp_path, text):
    written(tmp_path / "a.tif", STACK, description=text, metadata=None, **PLAIN)
    with pytest.raises(DataError, match=r"a\.tif"):
        open_image(tmp_path / "a.tif")


def test_axes_of_stacks_do_for_single_pages_beside_them(tmp_path):
    stack = written(tmp_path / "s.tif", STACK, photometric="rgb", planarconfig="separate", metadata=None)
    page = written(tmp_path / "p.tif", PAGE)
    one = written(tmp_path / "q.tif", PAGE[None], metadata={"axes": "ZYX"}, **PLAIN)
    described = [open_image(path, "ZYX").describe() for path in (stack, page, one)]
    assert described == ["Z=3, Y=64, X=48, uint8", *["Y=64, X=48, uint8"] * 2]
    np.testing.assert_array_equal(open_image(page, "TXY")[0][..., 0], PAGE.T)
    with pytest.raises(UsageError, match="axes 'TZYX' do not fit"):
        open_image(written(tmp_path / "z.tif", STACK, **PLAIN), "TZYX")


@pytest.mark.parametrize("size", [(30, 1), (1, 30), (1, 1)])
@pytest.mark.parametrize("n", [1, 3])
def test_results_one_pixel_wide_are_read_back(tmp_path, size, n):
    labels = pixels(n, *size) % 2
    write_labels(tmp_path / "l.tif", labels, (0, 255))
    np.testing.assert_array_equal(np.stack(list(open_image(tmp_path / "l.tif")))[..., 0], labels * 255)
    probabilities = pixels(n, *size, 2).astype(np.float32)
    write_probabilities(tmp_path / "p.tif", probabilities, (0, 255))
    np.testing.assert_array_equal(np.stack(list(open_image(tmp_path / "p.tif"))), probabilities)


HEIGHTS = pixels(64, 48, dtype=np.float32)
LOWEST = float(np.finfo(np.float32).min)


@pytest.mark.parametrize(
    ("value", "dtype", "tag"),
    [
        (-9999, np.float32, None),
        (-32768, np.float32, None),
        (LOWEST, np.float32, None),
        (-LOWEST, np.float32, None),
        (-32768, np.int16, None),
        (1e20, np.float32, "1e+20"),
        (-77, np.float32, "-77 "),
    ],
)
def test_values_that_mean_no_data_are_refused_with_their_number(tmp_path, value, dtype, tag):
    heights = (HEIGHTS * (100 if dtype == np.int16 else 1)).astype(dtype)
    heights[:3, :2] = value
    tags = [(42113, 2, 0, tag, True)] if tag else []
    file = open_image(written(tmp_path / "a.tif", heights, extratags=tags, metadata=None))
    with pytest.raises(
        DataError, match=rf"a\.tif: page 0 has 6 pixels of {value:g}, which look like".replace("+", r"\+")
    ):
        file[0]


def test_an_image_that_reaches_such_a_value_is_none_of_this():
    check_finite(np.linspace(-32768, 32767, 1000).astype(np.int16), "loud")
    check_finite(np.array([-9999.0, -9000.0, 0.0]), "deep")
    check_finite(np.array([0, 0, 255], np.uint8), "black", no_data=0)
    with pytest.raises(DataError, match="2 pixels of -9999"):
        check_finite(np.array([-9999.0, -9999.0]), "nothing else")


def test_palettes_and_white_is_zero_are_stored_numbers_in_tiff(tmp_path):
    numbers = PAGE % 3
    colours = np.zeros((3, 256), np.uint16)
    file = open_image(written(tmp_path / "p.tif", numbers, photometric="palette", colormap=colours))
    np.testing.assert_array_equal(file[0][..., 0], numbers)
    assert file.notes == ["stored numbers of a palette"]
    file = open_image(written(tmp_path / "w.tif", PAGE, photometric="miniswhite"))
    np.testing.assert_array_equal(file[0][..., 0], PAGE)
    assert file.notes == ["stored values, of which 0 is shown white"]


INVERTING = [255 - i for i in range(256) for _ in range(3)]
PALETTES = {
    "colours": ([0, 0, 0, 128, 0, 0, 0, 128, 0], [0, 1, 2]),
    "ImageJ's inverting table": (INVERTING, [0, 1, 2]),
    "greys, by how often they occur": ([255, 255, 255, 0, 0, 0, 100, 100, 100], [255, 0, 100]),
}


@pytest.mark.parametrize("kind", PALETTES)
def test_label_palettes_of_colours_give_their_numbers(tmp_path, kind):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    palette, values = PALETTES[kind]
    picture = Image.fromarray(PAGE % 3)
    picture.putpalette(palette)
    picture.save(tmp_path / "a.png")
    file = open_image(tmp_path / "a.png", labels=True)
    np.testing.assert_array_equal(file[0][..., 0], np.array(values)[PAGE % 3])
    shown = open_image(tmp_path / "a.png")[0]
    np.testing.assert_array_equal(shown, np.array(palette).reshape(-1, 3)[PAGE % 3][..., : shown.shape[-1]])


def test_bits_are_alike_in_tiff_and_png(tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    Image.fromarray(PAGE > 99).save(tmp_path / "a.png")
    written(tmp_path / "a.tif", PAGE > 99)
    for labels in (False, True):
        tiff, png = (open_image(tmp_path / f"a.{suffix}", labels=labels)[0] for suffix in ("tif", "png"))
        np.testing.assert_array_equal(tiff, png)
        assert tiff.dtype == png.dtype == np.uint8
        np.testing.assert_array_equal(png[..., 0], (PAGE > 99) * 255)


def silent_level(logger):
    logger.setLevel(logging.CRITICAL)


def silent_filter(logger):
    logger.addFilter(lambda record: False)


def silent_everywhere(logger):
    logging.disable()


def switched_off(logger):
    logger.disabled = True


@pytest.mark.parametrize("silence", [silent_level, silent_filter, silent_everywhere, switched_off])
def test_no_setting_of_the_log_hides_damage(tmp_path, monkeypatch, silence):
    path = written(tmp_path / "a.tif", STACK, rowsperstrip=7, **PLAIN)
    with tifffile.TiffFile(path) as tif:
        tif.pages.useframes = False
        place = tif.pages[1].tags[279].offset + 8
    data = bytearray(path.read_bytes())
    data[place : place + 4] = (0x20000000).to_bytes(4, "little")
    path.write_bytes(data)
    logger = logging.getLogger("tifffile")
    before = vars(logger).copy()
    try:
        silence(logger)
        with pytest.raises(DataError, match=r"a\.tif"):
            list(open_image(path))
    finally:
        logging.disable(logging.NOTSET)
        vars(logger).update(before, filters=[])
        logger.setLevel(before["level"])
    assert not {"handle", "isEnabledFor"} & set(vars(logger))


def test_a_codec_that_cannot_be_loaded_is_named(tmp_path):
    pytest.importorskip("imagecodecs", reason="imagecodecs is not installed")
    path = written(tmp_path / "a.tif", PAGE, compression="zstd")
    code = (
        "import imagecodecs\n"
        "def broken(*a, **k): raise ImportError(\"could not import name 'zstd_decode' from 'imagecodecs'\")\n"
        "imagecodecs.ZSTD, imagecodecs.zstd_decode\n"
        "imagecodecs.zstd_decode = broken\n"
        "from tinympcnn.io.images import open_image\n"
        f"try: open_image({json.dumps(str(path))})[0]\n"
        "except ValueError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "lacks its codec" in said and "zstd_decode" in said and "pip install" not in said


def test_names_that_are_no_text_are_read(tmp_path):
    name = b"d\xe9faut.tif".decode("utf-8", "surrogateescape")
    try:
        path = written(tmp_path / "a.tif", PAGE).rename(tmp_path / name)
    except OSError:
        pytest.skip("the file system takes only text")
    np.testing.assert_array_equal(open_image(Path(path))[0][..., 0], PAGE)
