"""Write the synthetic stacks that lie beside this script: python data/make_data.py [FOLDER]."""

import sys
from pathlib import Path

import tifffile

from tinympcnn.data import synthetic_membranes, synthetic_strip


def make_stacks() -> dict:
    """Return all stacks by name, (N, H, W) uint8 each; train and test differ in their seeds."""
    stacks = {}
    stacks["membranes-train"], stacks["membranes-train-labels"] = synthetic_membranes(6, 192, rng=1)
    stacks["membranes-test"], stacks["membranes-test-labels"] = synthetic_membranes(2, 256, rng=2)
    stacks["strip-train"], stacks["strip-train-labels"] = synthetic_strip(16, (120, 275), defects=6, rng=3)
    stacks["strip-test"], stacks["strip-test-labels"] = synthetic_strip(8, (120, 275), defects=3, rng=4)
    return stacks


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    for name, pages in make_stacks().items():
        tifffile.imwrite(
            folder / f"{name}.tif",
            pages,
            photometric="minisblack",
            compression="zlib",
            metadata={"axes": "ZYX"},
        )
