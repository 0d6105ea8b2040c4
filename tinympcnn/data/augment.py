"""More training images from few: flips, quarter turns and rotations of an image and its labels alike.

The paper (section 4.1) trains on "arbitrarily rotating and flipping" of its images, and counts 390 million
patches for 3000 of them: 3000 x 362 x 362, where 362 is 512 over the square root of 2, the square that lies
inside of a 512x512 image whatever the angle. Nothing beyond the border has to be invented that way. Read
next: `synthetic.py`.
"""

import math

import numpy as np
from scipy import ndimage

from tinympcnn.errors import UsageError

KINDS = ("none", "flip", "rotate")


def augment(
    image: np.ndarray, labels: np.ndarray, kind: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random variant of an image, and its labels moved the same way.

    Parameters
    ----------
    image : ndarray
        (H, W, C).
    labels : ndarray
        (H, W), class indices; other values such as -1 for "ignore" move along.
    kind : {"none", "flip", "rotate"}
        "none" returns both as they are; "flip" draws one of the eight flips and quarter turns; "rotate" also
        draws an angle, and returns the square of side floor(min(H, W) / sqrt(2)) around a random centre.
    rng : numpy.random.Generator
        The only source of chance.

    Returns
    -------
    image, labels : ndarray
        Of the same types as before. After "flip" they may be views, and H and W may be exchanged. "rotate"
        samples the image bilinearly and takes the nearest label, both at the same points.

    Raises
    ------
    UsageError
        If there is no such kind.

    Examples
    --------
    >>> image, labels = np.zeros((64, 80, 1)), np.zeros((64, 80), int)
    >>> [a.shape for a in augment(image, labels, "rotate", np.random.default_rng(0))]
    [(45, 45, 1), (45, 45)]
    """
    if kind not in KINDS:
        raise UsageError(f"there is no augmentation {kind!r}; use one of {', '.join(KINDS)}")
    if kind == "none":
        return image, labels
    k = int(rng.integers(8))
    image, labels = dihedral(image, k), dihedral(labels, k)
    if kind == "flip":
        return image, labels

    height, width = labels.shape
    side, _ = augmented_size((height, width), kind)
    radius = (side - 1) / math.sqrt(2)
    centre = rng.uniform((radius, radius), (height - 1 - radius, width - 1 - radius))
    angle = rng.uniform(0, 2 * math.pi)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    corner = centre - turn @ np.full(2, (side - 1) / 2)

    def sample(plane: np.ndarray, order: int) -> np.ndarray:
        return ndimage.affine_transform(plane, turn, corner, (side, side), order=order, mode="nearest")

    channels = [sample(image[..., c], order=1) for c in range(image.shape[-1])]
    return np.stack(channels, axis=-1), sample(labels, order=0)


def augmented_size(size: tuple[int, int], kind: str) -> tuple[int, int]:
    """Return the size (H, W) of what `augment` makes of an image of `size`, but for an exchange of H and W.

    Examples
    --------
    >>> augmented_size((512, 512), "rotate")
    (362, 362)
    """
    side = max(1, math.floor(min(size) / math.sqrt(2)))
    return (side, side) if kind == "rotate" else size


def dihedral(array: np.ndarray, k: int) -> np.ndarray:
    """Apply one of the eight flips and quarter turns of a square.

    Parameters
    ----------
    array : array
        (H, W, ...), on any device.
    k : int
        0 to 7: bit 0 exchanges rows and columns, then bit 1 flips rows, and bit 2 columns. 0 changes nothing.

    Returns
    -------
    array
        A view, (H, W, ...) or (W, H, ...).

    Examples
    --------
    >>> dihedral(np.array([[1, 2], [3, 4]]), 3)
    array([[2, 4],
           [1, 3]])
    """
    if k & 1:
        array = array.swapaxes(0, 1)
    return array[:: -1 if k & 2 else 1, :: -1 if k & 4 else 1]


def dihedral_inverse(array: np.ndarray, k: int) -> np.ndarray:
    """Undo `dihedral` with the same k.

    Parameters
    ----------
    array : array
        (H, W, ...), on any device.
    k : int
        0 to 7.

    Returns
    -------
    array
        A view.

    Examples
    --------
    >>> dihedral_inverse(dihedral(np.array([[1, 2], [3, 4]]), 3), 3)
    array([[1, 2],
           [3, 4]])
    """
    array = array[:: -1 if k & 2 else 1, :: -1 if k & 4 else 1]
    return array.swapaxes(0, 1) if k & 1 else array
