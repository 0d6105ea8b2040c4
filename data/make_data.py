"""Write the synthetic stacks of this folder: ``python data/make_data.py [FOLDER]``."""

import sys
from pathlib import Path

import numpy as np
import tifffile

from tinympcnn.data import synthetic_digits, synthetic_membranes, synthetic_signs, synthetic_strip
from tinympcnn.data.synthetic.signs import SIGN_NAMES


def make_stacks() -> dict[str, np.ndarray]:
    """Return all stacks by name, (N, H, W) uint8 each; train and test differ in their seeds."""
    stacks = {}
    for name, n, size, seed in (("train", 6, 192, 1), ("test", 2, 256, 2)):
        images, labels = synthetic_membranes(n, size, rng=seed)
        stacks |= {f"membranes-{name}": images, f"membranes-{name}-labels": labels}
    for name, n, defects, seed in (("train", 48, 16, 3), ("test", 24, 8, 4)):
        images, labels = synthetic_strip(n, defects=defects, rng=seed)
        masks = np.where(quarter(labels) > 127, 255, 0).astype(np.uint8)
        stacks |= {f"strip-{name}": quarter(images), f"strip-{name}-labels": masks}
    return stacks


def quarter(images: np.ndarray) -> np.ndarray:
    """Average blocks of 4x4 pixels, as the paper does with its steel: (N, H, W) to (N, H // 4, W // 4)."""
    n, height, width = (side // step for side, step in zip(images.shape, (1, 4, 4), strict=True))
    blocks = images[:, : 4 * height, : 4 * width].reshape(n, height, 4, width, 4)
    return np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)


def make_folders() -> dict[str, np.ndarray]:
    """Return the images of each class by their place, (N, H, W, C) uint8: one folder for each class."""
    folders = {}
    for part, digits, signs, seed in (("train", 300, 144, 5), ("test", 100, 96, 6)):
        images, classes = synthetic_digits(digits, rng=seed)
        folders |= {f"digits/{part}/{k}/{k}": images[classes == k] for k in range(10)}
        images, classes = synthetic_signs(signs, 24, rng=seed)
        folders |= {f"signs/{part}/{name}/{name}": images[classes == k] for k, name in enumerate(SIGN_NAMES)}
    return folders


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    for name, pages in make_stacks().items():
        axes = {"axes": "ZYX"}
        tifffile.imwrite(folder / f"{name}.tif", pages, photometric="minisblack", compression="zlib", metadata=axes)
    for name, pages in make_folders().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        colour = pages.shape[-1] == 3
        tifffile.imwrite(
            folder / f"{name}.tif",
            pages if colour else pages[..., 0],
            photometric="rgb" if colour else "minisblack",
            compression="zlib",
            metadata={"axes": "ZYXS" if colour else "ZYX"},
        )
