"""Synthetic data: seeded, as hard as promised, and the same as the stacks that are committed."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from tinympcnn.data import synthetic_membranes, synthetic_mitoses, synthetic_strip
from tinympcnn.errors import UsageError
from tinympcnn.io.images import open_image

DATA = Path(__file__).parent.parent / "data"


def best_threshold_error(images, positive):
    """Pixel error of the best global threshold, either way round."""
    above = np.array([((images > level) == positive).mean() for level in range(-1, 256)])
    return min(above.min(), 1 - above.max())


def test_no_threshold_finds_the_membranes():
    images, labels = synthetic_membranes(4, 192, rng=0)
    assert set(np.unique(labels)) == {0, 255}
    assert 0.20 < (labels == 0).mean() < 0.26
    assert best_threshold_error(images, labels == 255) > 0.15
    for image, label in zip(images, labels, strict=True):
        assert image[label == 0].mean() + 15 < image[label == 255].mean()


@pytest.mark.slow
def test_no_threshold_finds_the_defects():
    images, labels = synthetic_strip(40, defects=12, rng=0)
    areas = (labels == 255).sum(axis=(1, 2))
    assert np.count_nonzero(areas) == 12 and areas[areas > 0].min() >= 10_000
    means = images.mean(axis=(1, 2))
    assert means.min() < 60 and means.max() > 200  # badly exposed images are among them
    defective = images[areas > 0].astype(int), labels[areas > 0] == 255
    hits = np.array([[(defective[0][mask] > t).mean() for t in range(256)] for mask in (defective[1], ~defective[1])])
    balanced = (1 - hits[0] + hits[1]) / 2
    assert min(balanced.min(), 1 - balanced.max()) > 0.4


@pytest.mark.parametrize(
    "draw", [lambda rng: synthetic_membranes(2, (40, 60), rng), lambda rng: synthetic_strip(3, (40, 60), 1, rng)]
)
def test_the_same_seed_gives_the_same_bits(draw):
    first, again, generator, other = draw(3), draw(3), draw(np.random.default_rng(3)), draw(4)
    for a, b, c, d in zip(first, again, generator, other, strict=True):
        assert a.dtype == np.uint8 and a.shape[1:] == (40, 60)
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        assert (a != d).any()


def test_any_number_and_size():
    for size in ((1, 1), (7, 300), (300, 7)):
        assert synthetic_membranes(1, size)[0].shape == (1, *size)
        assert synthetic_strip(1, size, defects=1)[1].shape == (1, *size)
    assert synthetic_membranes(0, 32)[0].shape == (0, 32, 32)
    for defects in (-1, 3):
        with pytest.raises(UsageError, match="give 0 to 2"):
            synthetic_strip(2, defects=defects)


@pytest.mark.slow
def test_the_committed_stacks_are_what_the_script_draws():
    """Up to rounding: the last bit of a sine may depend on the processor."""
    stacks = runpy.run_path(str(DATA / "make_data.py"))["make_stacks"]()
    assert {f"{name}.tif" for name in stacks} == {path.name for path in DATA.glob("*.tif")}
    for name, pages in stacks.items():
        file = open_image(DATA / f"{name}.tif")
        assert file.axes == "ZYX" and len(file) == len(pages)
        differences = np.stack(list(file))[..., 0] != pages
        assert differences.mean() < 1e-4, name


def test_mitoses_are_rare_dark_and_where_the_points_say():
    images, points = synthetic_mitoses(3, (200, 240), mitoses=5, mimics=5, nuclei=60, rng=3)
    assert images.shape == (3, 200, 240, 3) and images.dtype == np.uint8
    for image, places in zip(images, points, strict=True):
        around = [image[int(r) - 8 : int(r) + 9, int(c) - 8 : int(c) + 9].min(axis=(0, 1)) for r, c in places]
        assert all(darkest.mean() < image.mean() - 60 for darkest in around)
    assert (synthetic_mitoses(3, (200, 240), 5, 5, 60, rng=3)[0] == images).all()


def test_mimics_are_as_dark_as_mitoses():
    only, _ = synthetic_mitoses(1, (300, 300), mitoses=0, mimics=12, nuclei=0, rng=0)
    assert only.min(axis=(1, 2)).mean() < 120
    with pytest.raises(UsageError, match="at least 60 pixels"):
        synthetic_mitoses(1, (50, 300))


@pytest.mark.slow
def test_the_committed_folders_are_what_the_script_draws():
    folders = runpy.run_path(str(DATA / "make_data.py"))["make_folders"]()
    found = {str(path.relative_to(DATA).with_suffix("")) for path in DATA.glob("*/*/*/*.tif")}
    assert {str(Path(name)) for name in folders} == found
    for name, pages in folders.items():
        differences = np.stack(list(open_image(DATA / f"{name}.tif"))) != pages
        assert differences.mean() < 1e-2, name  # of floats on the edge between two bytes
