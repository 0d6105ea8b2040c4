"""Down-sampling: means of blocks, majorities of labels, and what is left over at the border."""

import numpy as np
import pytest

from tinympcnn.data import downsample, downsample_labels
from tinympcnn.errors import UsageError


def test_every_pixel_is_the_mean_of_its_block(rng):
    image = rng.integers(0, 256, (11, 14, 2)).astype(np.uint8)
    small = downsample(image, 4)
    assert small.shape == (2, 3, 2) and small.dtype == np.float32
    for q, p in np.ndindex(2, 3):
        np.testing.assert_allclose(small[q, p], image[4 * q : 4 * q + 4, 4 * p : 4 * p + 4].mean(axis=(0, 1)))
    assert (downsample(image[..., 0], 4) == small[..., 0]).all()


def test_every_label_is_the_most_frequent_one_of_its_block(rng):
    labels = rng.choice([-1, 3, 7], (9, 7)).astype(np.int16)
    small = downsample_labels(labels, 3)
    assert small.shape == (3, 2) and small.dtype == labels.dtype
    for q, p in np.ndindex(3, 2):
        values, counts = np.unique(labels[3 * q : 3 * q + 3, 3 * p : 3 * p + 3], return_counts=True)
        assert small[q, p] == values[counts == counts.max()].min()


def test_one_changes_nothing_and_a_block_larger_than_the_image_is_refused():
    image = np.zeros((5, 9), np.uint8)
    assert downsample(image, 1) is image and downsample_labels(image, 1) is image
    for factor in (0, -2, 6):
        with pytest.raises(UsageError, match="cannot be down-sampled"):
            downsample(image, factor)
