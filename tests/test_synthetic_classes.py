"""Synthetic digits and signs: seeded, of the size asked for, a fair share of each class, and told apart by a net."""

import numpy as np
import pytest

from tinympcnn.data import synthetic_digits, synthetic_signs
from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.data.synthetic.signs import SIGN_NAMES


@pytest.mark.parametrize(
    ("make", "maps", "classes"), [(synthetic_digits, 1, 10), (synthetic_signs, 3, len(SIGN_NAMES))]
)
def test_shapes_seeds_and_shares(make, maps, classes):
    images, y = make(3 * classes, 24, rng=5)
    assert images.shape == (3 * classes, 24, 24, maps) and images.dtype == np.uint8
    assert np.bincount(y).tolist() == [3] * classes
    again, same = make(3 * classes, 24, rng=np.random.default_rng(5))
    assert (images == again).all() and (y == same).all()
    assert make(3 * classes, 24, rng=6)[0].tobytes() != images.tobytes()
    assert make(0, 24)[0].shape == (0, 24, 24, maps)


def neighbours(train, y, test):
    """Return the class of the nearest training image of every test image."""
    a, b = (x.reshape(len(x), -1).astype(float) for x in (train, test))
    return y[((a**2).sum(1) - 2 * b @ a.T).argmin(axis=1)]


def test_digits_look_like_their_class():
    images, y = synthetic_digits(700, 16, rng=0)
    assert (neighbours(images[:600], y[:600], images[600:]) == y[600:]).mean() > 0.75


@pytest.mark.slow
def test_equalised_signs_are_easier_to_tell_apart_than_signs_as_taken():
    images, y = synthetic_signs(1000, 24, rng=0)
    right = {
        kind: (neighbours(seen[:850], y[:850], seen[850:]) == y[850:]).mean()
        for kind in ("none", "imadjust", "conorm")
        for seen in [Preprocessing(kind)(images)]
    }
    assert right["imadjust"] > right["none"] + 0.05
    assert min(right.values()) > 0.15
