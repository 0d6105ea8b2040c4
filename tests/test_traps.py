"""What users have and what they fall into, from the command line: right results, or one sentence with the way out."""

import json

import numpy as np
import pytest
import tifffile
from helpers import refused, written

from tinympcnn import Net

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

NET = ["--backend", "numpy", "--epochs", "1", "--threads", "1"]


def noise(*shape, dtype=np.uint8):
    values = np.random.default_rng(0).integers(0, 256, shape)
    return (values * 257 if dtype == np.uint16 else values / 255 if dtype == np.float32 else values).astype(dtype)


def mask(image, values=(0, 255)):
    """Labels of the pixels of an image, or of their first channel, that are brighter than half."""
    return np.where(image > image.max() / 2, values[1], values[0]).astype(np.uint8)


def tiff(**options):
    return lambda path, array: written(path.with_suffix(".tif"), array, **options)


def picture(suffix, mode=None):
    def save(path, array):
        drawn = Image.fromarray(array)
        (drawn.convert(mode) if mode else drawn).save(path.with_suffix(suffix))
        return path.with_suffix(suffix)

    return save


GREY = {"photometric": "minisblack"}
STACK = tiff(**GREY)
KINDS = {
    "8 bits": (noise(16, 18), tiff()),
    "16 bits": (noise(16, 18, dtype=np.uint16), tiff()),
    "floats": (noise(16, 18, dtype=np.float32), tiff()),
    "one page of a stack": (noise(1, 16, 18), STACK),
    "3 pages": (noise(3, 16, 18), STACK),
    "4 pages": (noise(4, 16, 18), STACK),
    "big-endian": (noise(3, 16, 18, dtype=np.uint16), tiff(byteorder=">", **GREY)),
    "tiled": (noise(3, 40, 50), tiff(tile=(16, 16), **GREY)),
    "deflate": (noise(3, 40, 50), tiff(compression="zlib", predictor=True, **GREY)),
    "BigTIFF": (noise(3, 16, 18), tiff(bigtiff=True, **GREY)),
    "ImageJ": (noise(3, 16, 18), tiff(imagej=True, metadata={"axes": "ZYX"})),
    "OME-TIFF": (noise(2, 3, 16, 18), tiff(ome=True, metadata={"axes": "TZYX"})),
    "PNG": (noise(16, 18), picture(".png")),
    "PNG of 16 bits": (noise(16, 18, dtype=np.uint16), picture(".png")),
    "PNG palette": (noise(16, 18) // 64 * 85, picture(".png", "P")),
    "PNG transparency": (noise(16, 18), picture(".png", "LA")),
    "JPEG": (np.tile(np.arange(18, dtype=np.uint8) * 14, (16, 1)), picture(".jpg")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_is_trained_on_segmented_and_evaluated(run, tmp_path, kind):
    array, write = KINDS[kind]
    image = write(tmp_path / "a", array)
    options = {"ome": True, "metadata": {"axes": "TZYX"}} if array.ndim == 4 else GREY
    labels = tiff(**options)(tmp_path / "truth", mask(array))
    model, out = tmp_path / "m.npz", tmp_path / "out"
    code, said, complaint = run("train", "-i", image, "-l", labels, "-o", model, "--net", "C3x3x2 FC2", *NET)
    assert (code, complaint) == (0, "")
    share = (mask(array) == 0).mean()
    assert f"classes, by share of pixels: 0: {share:.1%}, 255: {1 - share:.1%}" in said
    assert run("segment", "-i", image, "-m", model, "-o", out, "--threads", "1")[0] == 0
    found = tifffile.imread(out / "a_labels.tif")
    net = Net.load(model)
    if kind != "JPEG":  # whose pixels are not quite those that were written
        pages = array.reshape(-1, *array.shape[-2:])
        wanted = [np.array([0, 255])[net.segment(page).argmax(axis=-1)] for page in pages]
        np.testing.assert_array_equal(found.reshape(pages.shape), wanted)
    code, said, _ = run("evaluate", "-p", out / "a_labels.tif", "-l", labels, "--json")
    assert code == 0
    assert json.loads(said)["pixel_error"] == pytest.approx((found.ravel() != mask(array).ravel()).mean())


@pytest.mark.parametrize("write", [tiff(photometric="rgb"), picture(".png"), picture(".png", "RGBA")])
def test_colour_images(run, tmp_path, write):
    array = noise(16, 18, 3)
    image, labels = write(tmp_path / "a", array), tiff()(tmp_path / "truth", mask(array[..., 0]))
    words = ["train", "-i", image, "-l", labels, "-o", tmp_path / "m.npz", "--net", "C3x3x2 FC2", *NET]
    code, said, _ = run(*words)
    assert code == 0 and "Y=16, X=18, C=3, uint8" in " ".join(said.split())
    assert run("segment", "-i", image, "-m", tmp_path / "m.npz", "-o", tmp_path / "out")[0] == 0
    grey = tiff()(tmp_path / "grey", array[..., 0])
    answer = run("segment", "-i", grey, "-m", tmp_path / "m.npz", "-o", tmp_path / "out")
    refused(answer, 1, "has 1 channel and the model takes 3")


@pytest.mark.parametrize(
    "write", [tiff(), picture(".png"), picture(".png", "1"), picture(".png", "P"), picture(".png", "LA")]
)
def test_labels_of_every_kind(run, tmp_path, write):
    array = noise(16, 18)
    image, labels = tiff()(tmp_path / "a", array), write(tmp_path / "truth", mask(array))
    code, said, _ = run("train", "-i", image, "-l", labels, "-o", tmp_path / "m.npz", "--net", "FC2", *NET)
    share = (mask(array) == 0).mean()
    assert code == 0 and f"0: {share:.1%}, 255: {1 - share:.1%}" in said
    assert Net.load(tmp_path / "m.npz").class_values == (0, 255)


def test_inverted_labels_are_seen_in_the_shares(run, tmp_path):
    array = noise(16, 18)
    image, said = tiff()(tmp_path / "a", array), {}
    for name, values in (("right", (0, 255)), ("inverted", (255, 0))):
        labels = tiff()(tmp_path / name, mask(array, values))
        _, told, _ = run("train", "-i", image, "-l", labels, "-o", tmp_path / f"{name}.npz", "--net", "FC2", *NET)
        said[name] = next(line for line in told.splitlines() if line.startswith("classes"))
    dark = f"{(mask(array) == 0).mean():.1%}"
    assert f" 0: {dark}" in said["right"] and f" 255: {dark}" in said["inverted"]


SMOOTH = np.tile(np.linspace(0, 255, 18).astype(np.uint8), (16, 1))


def test_anti_aliased_labels_name_the_threshold_and_the_threshold_settles_them(run, tmp_path):
    image, labels = tiff()(tmp_path / "a", noise(16, 18)), tiff()(tmp_path / "smooth", SMOOTH)
    clean = tiff()(tmp_path / "clean", mask(SMOOTH))
    words = ["-i", image, "-o", tmp_path / "m.npz", "--net", "FC2", *NET]
    refused(run("train", "-l", labels, *words), 1, "more than 16 values, 0 to 255")
    refused(run("train", "-l", labels, *words), 1, "--threshold 127")
    assert run("train", "-l", labels, *words, "--threshold", "127")[0] == 0
    assert Net.load(tmp_path / "m.npz").class_values == (0, 255)
    assert run("segment", "-i", image, "-m", tmp_path / "m.npz", "-o", tmp_path / "out")[0] == 0
    for kind in ("prob", "labels"):
        found = tmp_path / "out" / f"a_{kind}.tif"
        refused(run("evaluate", "-p", found, "-l", labels), 1, "--threshold 127")
        answers = [
            run("evaluate", "-p", found, "-l", labels, "--threshold", "127"),
            run("evaluate", "-p", found, "-l", clean),
        ]
        assert answers[0][0] == 0 and answers[0] == answers[1]


def test_labels_in_colours(run, tmp_path):
    array = noise(16, 18)
    image, colours = tiff()(tmp_path / "a", array), np.zeros((16, 18, 3), np.uint8)
    colours[mask(array) > 0, 1] = 255
    labels = tiff(photometric="rgb")(tmp_path / "colours", colours)
    answer = run("train", "-i", image, "-l", labels, "-o", tmp_path / "m.npz", "--net", "FC2", *NET)
    refused(answer, 1, "is a colour image; labels are one number per pixel, save them as grey")
    found = tiff()(tmp_path / "found", mask(array))
    refused(run("evaluate", "-p", found, "-l", labels), 1, "is a colour image; labels are one number per pixel")


PLANES = {
    "3 planes": (noise(3, 16, 18), {}, ("ZYX", "CYX")),
    "ImageJ's guess": (noise(5, 16, 18), {"imagej": True}, ("ZYX", "CYX")),
    "two unnamed axes": (noise(2, 3, 16, 18), GREY, ("ZTYX", "ZCYX")),
    "colour pixels as pages": (noise(16, 18, 3), GREY, ("ZYX", "YXC")),
}


@pytest.mark.parametrize("kind", PLANES)
def test_ambiguous_axes_are_refused_with_those_that_settle_them(run, tmp_path, kind):
    array, options, axes = PLANES[kind]
    image = tiff(**options)(tmp_path / "a", array)
    for choice, other in (axes, axes[::-1]):
        maps = array.shape[choice.index("C")] if "C" in choice else 1
        net = Net.from_spec("C1x1x2 FC2", maps, rng=0)
        net.save(tmp_path / "m.npz")
        words = ["segment", "-i", image, "-m", tmp_path / "m.npz", "-o", tmp_path / f"out-{choice}"]
        refused(run(*words), 1, f"--axes {axes[0]} or --axes {axes[1]}")
        assert not (tmp_path / f"out-{choice}").exists()
        code, said, _ = run(*words, "--axes", choice)
        sizes = dict(zip(choice, array.shape, strict=True))
        assert code == 0 and all(f"{axis}={size}" in said for axis, size in sizes.items())
        if "C" in choice or "C" in other:
            refused(run(*words, "--axes", other, "--force"), 1, "and the model takes")


FLOATS = noise(3, 16, 18, dtype=np.float32)
FLOATS[1, 2, 3] = np.nan


def mixed(path, _):
    with tifffile.TiffWriter(path.with_suffix(".tif")) as out:
        for width in (18, 18, 19):
            out.write(noise(16, width), metadata=None)
    return path.with_suffix(".tif")


def empty_folder(path, _):
    path.mkdir()
    return path


def text(path, _):
    path.with_suffix(".tif").write_text("Dear diary")
    return path.with_suffix(".tif")


def nothing(path, _):
    path.with_suffix(".tif").write_bytes(b"")
    return path.with_suffix(".tif")


@pytest.mark.parametrize(
    ("array", "write", "words"),
    [
        (None, mixed, "mixes pages of 16x18 uint8 (YX) and 16x19 uint8"),
        (FLOATS, STACK, "page 1 has 1 pixels that are NaN or infinite; replace them first"),
        (None, empty_folder, "holds no images (.tif, .tiff, .png, .jpg, .jpeg)"),
        (None, text, "a.tif is neither TIFF, PNG nor JPEG"),
        (None, nothing, "it is empty"),
        (noise(16, 18).astype(np.complex64), tiff(), "complex64 pixels; integers and floats can be read"),
        (noise(16, 18, 3), picture(".jpg", "CMYK"), "pixels of the kind CMYK; save it as grey or RGB"),
    ],
)
def test_what_is_no_image_is_refused_by_every_command(run, tmp_path, array, write, words):
    image = write(tmp_path / "a", array)
    labels = STACK(tmp_path / "truth", mask(noise(*(array.shape[:-2] if array is FLOATS else ()), 16, 18)))
    Net.from_spec("FC2", rng=0).save(tmp_path / "m.npz")
    before = sorted(tmp_path.rglob("*"))
    refused(run("train", "-i", image, "-l", labels, "-o", tmp_path / "n.npz", "--net", "FC2", *NET), 1, words)
    refused(run("segment", "-i", image, "-m", tmp_path / "m.npz", "-o", tmp_path / "out"), 1, words)
    wrong = words.replace("no images", "no predictions")
    refused(run("evaluate", "-p", image, "-l", labels), 1, wrong if "page 1" not in words else "nor a _prob.tif")
    assert sorted(path for path in tmp_path.rglob("*") if path != tmp_path / "out") == before


def test_many_files_pair_by_stem_and_what_does_not_pair_is_named(run, tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    for folder in (images, labels):
        folder.mkdir()
    for i, name in enumerate(["cell2", "cell10", "other"]):
        array = noise(16, 18 + i)
        picture(".png")(images / name, array)
        tiff()(labels / f"{name}_mask", mask(array))
    words = ["train", "-i", images, "-l", labels, "-o", tmp_path / "m.npz", "--net", "FC2", *NET]
    assert run(*words)[0] == 0
    assert Net.load(tmp_path / "m.npz").record["images"] == ["cell2", "cell10", "other"]
    words.append("--force")
    (labels / "other_mask.tif").rename(labels / "else_mask.tif")
    refused(run(*words, "--force"), 1, "no label file belongs to")
    (labels / "else_mask.tif").unlink()
    missing = f"3 image files but 2 label files; no label file belongs to {images / 'other.png'}; expected other"
    refused(run(*words, "--force"), 1, missing)
    (labels / "cell10.tif").write_bytes((labels / "cell10_mask.tif").read_bytes())
    refused(run(*words, "--force"), 1, "have one name; it is open which labels are whose")


def test_two_images_of_one_name_would_overwrite_each_other(run, tmp_path):
    Net.from_spec("FC2", rng=0).save(tmp_path / "m.npz")
    image, twin = tiff()(tmp_path / "a", noise(16, 18)), picture(".png")(tmp_path / "a", noise(16, 18))
    words = ["segment", "-i", image, twin, "-m", tmp_path / "m.npz", "-o", tmp_path / "out"]
    refused(run(*words), 2, "several images are named 'a'")
    truth = tiff()(tmp_path / "a_mask", mask(noise(16, 18)))
    words = ["train", "-i", image, twin, "-l", truth, truth, "-o", tmp_path / "n.npz", "--net", "FC2", *NET]
    refused(run(*words), 1, "have one name; it is open which labels are whose")
