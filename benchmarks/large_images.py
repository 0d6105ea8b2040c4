"""Run `tinympcnn segment` on large images: compare promised with used memory, and the results with the net's.

    python benchmarks/large_images.py -o benchmarks/results/NAME/large_images.csv          # 5 minutes, 8 GB of disk

Each row is one command in a separate process on one thread. Where a limit of memory is given, the address space is
limited, too, so that a process that asks for more ends. Some pixels of the result are compared with `net.segment` on
the piece of the image around them.
"""

from __future__ import annotations

import argparse
import csv
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from memory import peak_mb

from tinympcnn import Net, cli
from tinympcnn.io.atomic import replacing

BAND = 1024  # rows of an image that are drawn together


class Case(NamedTuple):
    """A net, a file and the memory to keep to."""

    net: str
    shape: tuple[int, int, int]  # pages, rows, columns
    dtype: str
    layout: dict[str, Any]
    memory: str  # as for --memory
    limit: int | None = None  # bytes of address space


STORED: dict[str, Any] = {}
DEFLATE = {"compression": "zlib", "tile": (256, 256)}
TINY, FIVE = "C3x3x2 MPF2x2 FC2", "C3x3x2 MPF2x2 FC5"
CASES = [
    Case(TINY, (1, 16384, 16384), "uint8", STORED, "2G", 2 << 30),
    Case(FIVE, (1, 16384, 16384), "float32", DEFLATE, "1G", 2 << 30),
    Case("steel", (1, 8192, 8192), "uint16", STORED, "500M", 2 << 30),
    Case(TINY, (10, 256, 256), "uint8", STORED, "2G"),
    Case(TINY, (1000, 256, 256), "uint8", STORED, "2G"),
    *(
        Case(net, (1, 1024, 1024), "uint8", STORED, memory)
        for net in ("N3", "steel")
        for memory in ("200M", "500M", "1G")
    ),
]


def bands(case: Case) -> Iterator[np.ndarray]:
    """Yield the pixels of a case from the top, in bands that differ."""
    pages, rows, columns = case.shape
    block = np.random.default_rng(0).integers(0, 256, (min(BAND, rows), columns)).astype(case.dtype)
    for page in range(pages):
        for row in range(0, rows, len(block)):
            yield np.roll(block, 7 * (page + row), axis=1)


def write(case: Case, path: Path) -> None:
    """Write the image of a case band by band: it is never in memory as a whole."""
    if case.layout:
        size = case.layout["tile"][0]
        tiles = (band[r : r + size, c : c + size] for band in bands(case) for r in range(0, len(band), size)
                 for c in range(0, case.shape[2], size))  # fmt: skip
        tifffile.imwrite(path, tiles, shape=case.shape[1:], dtype=case.dtype, photometric="minisblack", **case.layout)
        return
    with tifffile.TiffWriter(path) as out:
        out.write(bands(case), shape=case.shape, dtype=case.dtype, photometric="minisblack",
                  rowsperstrip=min(BAND, case.shape[1]))  # fmt: skip


def right(case: Case, net: Net, result: Path, n: int = 20) -> int:
    """Return how many of `n` pixels of a result agree with `net.segment` on a piece of the image."""
    rng, height = np.random.default_rng(1), min(BAND, case.shape[1])
    found = tifffile.memmap(result, mode="r").reshape(case.shape[0], net.out_maps, *case.shape[1:])
    halo, agree = max(net.field_of_view), 0
    wanted = set(rng.integers(0, case.shape[0] * case.shape[1] // height, n).tolist())
    for i, band in enumerate(bands(case)):
        if i not in wanted:
            continue
        page, row = divmod(i * height, case.shape[1])
        r, c = int(rng.integers(halo, height - halo)), int(rng.integers(halo, case.shape[2] - halo))
        piece = net.segment(band[r - halo : r + halo + 1, c - halo : c + halo + 1])[halo, halo]
        agree += bool(np.allclose(found[page, :, row + r, c], piece, rtol=0, atol=1e-6))
    assert agree == len(wanted), f"{len(wanted) - agree} of {len(wanted)} pixels are wrong"
    return agree


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Run one case and return its row."""
    net = Net.from_spec(case.net, rng=0)
    net.normalisation = np.array([128.0]), np.array([60.0])
    net.save(folder / "model.npz")
    write(case, folder / "image.tif")
    words = ["segment", "-i", folder / "image.tif", "-m", folder / "model.npz", "-o", folder / "out", "--force"]
    words += ["--memory", case.memory, "--threads", "1", "--backend", "numpy"]

    def limited() -> None:
        if case.limit:
            resource.setrlimit(resource.RLIMIT_AS, (case.limit, case.limit))

    start = time.perf_counter()
    call = [sys.executable, __file__, *map(str, words)]
    said = subprocess.run(call, capture_output=True, text=True, preexec_fn=limited)
    if said.returncode:
        raise SystemExit(said.stderr)
    result = folder / "out" / "image_prob.tif"
    with tifffile.TiffFile(result) as tif:
        big = tif.is_bigtiff
    return {
        "net": case.net,
        "image": "x".join(map(str, case.shape)),
        "dtype": case.dtype,
        "layout": "deflate, tiles" if case.layout else "stored",
        "memory": case.memory,
        "address_space_mb": round(case.limit / 1e6) if case.limit else "",
        "promised_mb": int(re.search(r"at most (\d+) MB", said.stdout)[1]),  # type: ignore[index]
        "peak_mb": round(float(said.stdout.split("peak_mb")[1])),
        "seconds": round(time.perf_counter() - start, 1),
        "result_gb": round(result.stat().st_size / 1e9, 3),
        "bigtiff": big,
        "pixels_checked": right(case, net, result),
    }


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", required=True, metavar="ROWS.csv")
    options = parser.parse_args()
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(case, Path(folder)))
        print(*(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    with replacing(options.output) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["segment"]:  # this is the process that is measured
        code = cli.main(sys.argv[1:])
        print("peak_mb", peak_mb())
        sys.exit(code)
    main()
