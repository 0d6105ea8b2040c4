"""The readers on real images, where TINYMPCNN_DATA names a folder of them."""

import random

import numpy as np
import pytest

from tinympcnn.errors import DataError
from tinympcnn.io.images import open_image, read_images
from tinympcnn.io.pairs import read_pairs
from tinympcnn.io.reading import Reading

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture
def real(data_root):
    """Return the folder of a data set, or skip the test."""

    def find(name):
        if not (data_root / name).is_dir():
            pytest.skip(f"there is no {name} under TINYMPCNN_DATA")
        return data_root / name

    return find


def test_isbi_2012(real):
    folder = real("isbi2012")
    pairs = read_pairs(folder / "train-volume.tif", folder / "train-labels.tif")
    assert len(pairs.images) == 20 and pairs.images[0].shape == (512, 512, 1)
    assert pairs.class_values == (0, 255) and "0: 22.9%, 255: 77.1%" in pairs.description[-1]
    assert open_image(folder / "test-volume.tif").describe() == "Z=30, Y=512, X=512, uint8"


def test_steel_strip_pairs_by_stem(real):
    folder = real("steel-strip")
    pairs = read_pairs(folder / "images", folder / "masks")
    assert len(pairs.images) == 603 and pairs.class_values == (0, 255)
    assert all(label.any() for label in pairs.labels)


def test_magnetic_tile_masks_are_smoothed(real):
    folder = real("magnetic-tile") / "MT_Crack"
    images, masks = sorted(folder.glob("*.jpg")), sorted(folder.glob("*.png"))
    with pytest.raises(DataError, match="--threshold"):
        read_pairs(images, masks)
    assert read_pairs(images, masks, Reading(threshold=127)).class_values == (0, 255)


@pytest.mark.parametrize("name", ["isbi2012", "steel-strip", "magnetic-tile", "nuclei"])
def test_mutated_real_files_give_pixels_or_one_sentence(real, tmp_path, name):
    files = sorted(path for path in real(name).rglob("*") if path.suffix in (".tif", ".png", ".jpg"))
    chance = random.Random(0)
    for path in chance.sample(files, min(3, len(files))):
        whole = path.read_bytes()
        mutant = tmp_path / f"mutant{path.suffix}"
        for _ in range(8):
            data = bytearray(whole)
            for _ in range(chance.choice([1, 4, 30])):
                data[chance.randrange(chance.choice([600, len(data)]))] = chance.randrange(256)
            mutant.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
            try:
                pages, _ = read_images(mutant)
            except DataError as error:
                assert "mutant" in str(error) and "\n" not in str(error)
            else:
                assert all(isinstance(page, np.ndarray) for page in pages)
