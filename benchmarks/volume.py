"""What a megapixel costs one thread, for the arithmetic of docs/clusters.md: segmenting it, storing it as OME-Zarr."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

from tinympcnn import Net, engine
from tinympcnn.io.images import open_image
from tinympcnn.io.zarr.writer import made_store

TILES = {"N3": (1032, 516), "N4": (1024, 512)}  # an image of whole tiles, as on pages of 10,000 columns with 512 MB
BAND = 768, 4096


def main() -> None:
    """Print CPU seconds for a megapixel, the median of four."""
    engine.set_threads(1)
    rng = np.random.default_rng(0)
    for name, (n, tile) in TILES.items():
        net, image = Net.from_spec(name, rng=0), rng.normal(size=(n, n)).astype(np.float32)
        net.segment(image[:256, :256])  # makes threads and memory
        print(f"{name}, tiles of {tile}: {cpu_seconds(partial(net.segment, image, tile=tile), n * n):.2f}")
    p = 1 / (1 + np.exp(-40 * gaussian_filter(rng.normal(size=BAND), 3)))
    band = np.stack([1 - p, p], axis=-1).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        tifffile.imwrite(f"{folder}/image.tif", np.zeros(BAND, np.uint8))
        store = made_store(Path(folder, "out.zarr"), open_image(f"{folder}/image.tif"), (0, 255), 1, BAND[0])
        print(f"storing: {cpu_seconds(lambda: store(0, slice(0, BAND[0]), band), band[..., 0].size):.3f}")
        for place in ("0", "labels"):
            files = [path for path in Path(folder, "out.zarr", place).rglob("*") if path.is_file()]
            print(f"bytes for a pixel in {place}: {sum(path.stat().st_size for path in files) / band[..., 0].size:.2f}")


def cpu_seconds(call: Callable[[], object], pixels: int) -> float:
    """Return the CPU seconds of a call for a megapixel, the median of four."""
    times = []
    for _ in range(4):
        start = time.process_time()
        call()
        times.append((time.process_time() - start) / pixels * 1e6)
    return float(np.median(times))


if __name__ == "__main__":
    main()
