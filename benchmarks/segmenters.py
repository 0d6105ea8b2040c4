"""N4, an a trous net and a U-Net on pixel labels: membranes of ISBI 2012, and fluorescent nuclei, in equal time.

    python benchmarks/segmenters.py cut                       # real images under TINYMPCNN_DATA -> isbi/, nuclei/
    python benchmarks/segmenters.py train isbi u-net          # isbi/u-net.npz, and its log
    python benchmarks/segmenters.py score isbi                # every net of the folder: rows beside the page
    python benchmarks/segmenters.py page                      # fills the tables of docs/results/architectures.md

All three nets have 219,000 weights. The passes of a net are as many as cost each the same time on a quiet core, so the
U-Net, whose step is the cheapest, makes more of them. ISBI: slices 0 to 15 of 20 are for training and 16 to 19 are held
out, as in membranes.py. Nuclei: of each part, images 0 to 7 of 16 are for training and 8 to 15 are held out, all shrunk
by 4; a pixel on which two nuclei touch counts as background, so that touching nuclei have to be told apart.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import membranes
import numpy as np
import pages

from tinympcnn import Net, data, metrics
from tinympcnn.io.images import expand, open_image, read_images

NETS = {
    "n4": "N4",
    "a-trous": "C4x4x48 F2x2 C5x5x48 F2x2 C4x4x48 F2x2 C4x4x48 F2x2 FC3x3x200 FC2",
    "u-net": "C3x3x16 C3x3x16 [ MP2x2 C3x3x28 C3x3x28 [ MP2x2 C3x3x48 C3x3x48 [ MP2x2 C3x3x66 C3x3x66 U2x2 ] "
    "C3x3x48 C3x3x48 U2x2 ] C3x3x28 C3x3x28 U2x2 ] C3x3x16 C3x3x16 C1x1x2",
}
NAMES = {"n4": "N4, fragments", "a-trous": "a trous", "u-net": "U-Net"}
PASSES = {"isbi": {"n4": 13, "a-trous": 13, "u-net": 84}, "nuclei": {"n4": 6, "a-trous": 6, "u-net": 40}}
SUFFIX = {"isbi": ".tif", "nuclei": ""}  # of train, held and their labels: a stack, or a folder of images
SHRINK = 4
PAGE = Path(__file__).parents[1] / "docs" / "results" / "architectures.md"
FOLDER = PAGE.with_suffix("")
COLUMNS = ("set", "net", "passes", "pixel_error", "f1_error", "v_rand", "seconds_per_image", "peak_mb")


def cut() -> None:
    """Write the images for training and the held-out images of both sets, with their labels."""
    import tifffile

    for name in PASSES:
        Path(name).mkdir(exist_ok=True)
    membranes.cut(Path("isbi"))
    for part in ("gnf", "ic100"):
        for i, path in enumerate(expand(Path(os.environ["TINYMPCNN_DATA"], "nuclei", part, "images"))):
            labels = open_image(path.parents[1] / "labels" / path.name).page(0)[..., 0]
            use = "train" if i < 8 else "held"
            image = data.downsample(open_image(path).page(0), SHRINK)
            inside = apart(labels[SHRINK // 2 :: SHRINK, SHRINK // 2 :: SHRINK])[: image.shape[0], : image.shape[1]]
            for suffix, pixels in (("", image[: len(inside), : inside.shape[1], 0]), ("-labels", 255 * inside)):
                folder = Path("nuclei", use + suffix)
                folder.mkdir(exist_ok=True)
                tifffile.imwrite(
                    folder / f"{part}_{i:02}.tif", np.rint(pixels).astype(np.uint8), photometric="minisblack"
                )


def apart(labels: np.ndarray) -> np.ndarray:
    """Return where objects are, less the pixels above or left of which another object begins."""
    inside: np.ndarray = labels > 0
    inside[1:] &= (labels[:-1] == labels[1:]) | (labels[:-1] == 0)
    inside[:, 1:] &= (labels[:, :-1] == labels[:, 1:]) | (labels[:, :-1] == 0)
    return inside


def train(name: str, net: str) -> None:
    """Train a net as a user would, and write its log."""
    suffix = SUFFIX[name]
    words = ["train", "-i", f"train{suffix}", f"held{suffix}", "-l", f"train-labels{suffix}", f"held-labels{suffix}"]
    words += ["--val", "0.2" if name == "isbi" else "0.5", "--crop", "128", "--augment", "flip+intensity"]
    words += ["--lr", "0.001", "--seed", "0", "--net", NETS[net], "--epochs", str(PASSES[name][net])]
    words += ["-o", f"{net}.npz", "--log", f"{net}.csv", "--resume"]
    subprocess.run([sys.executable, "-m", "tinympcnn", *words], cwd=name, check=True)


def score(name: str) -> None:
    """Segment the held-out images with every net of the folder; put a row for each, and its log, beside the page."""
    place = FOLDER / "segmenters.csv"
    rows = [row for row in (pages.read(place) if place.exists() else []) if row["set"] != name]
    for net in NETS:
        if Path(name, f"{net}.npz").exists():
            answer = subprocess.run(
                [sys.executable, __file__, "measure", name, net], check=True, stdout=subprocess.PIPE, text=True
            )
            rows.append(dict(zip(COLUMNS, answer.stdout.splitlines()[-1].split(","), strict=True)))
            shutil.copy(Path(name, f"{net}.csv"), FOLDER / f"{name}_{net}.csv")
    pages.write(place, rows)
    page()


def measure(name: str, net: str) -> None:
    """Print the row of one net, in a process of its own: its peak of memory is that of segmenting."""
    model = Net.load(Path(name, f"{net}.npz"))
    images, labels = (read_images([Path(name, f"held{kind}{SUFFIX[name]}")])[0] for kind in ("", "-labels"))
    model.segment(images[0])
    start = time.perf_counter()
    p = [model.segment(image)[..., 1] for image in images]
    seconds = (time.perf_counter() - start) / len(images)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    truth = [data.class_indices(y[..., 0], (0, 255)) for y in labels]
    found = metrics.evaluate(p, truth, membranes=True)
    log = pages.read(Path(name, f"{net}.csv"))[-1]
    numbers = [f"{value:.4f}" for value in membranes.measured(found, ("pixel_error", "f1_error", "v_rand")).values()]
    print(name, net, log["epoch"], *numbers, f"{seconds:.2f}", f"{peak:.0f}", sep=",")


def page() -> None:
    """Fill the tables of the page from the rows beside it."""
    heads = {
        "net": "net", "passes": "passes", "pixel_error": "pixel error",
        "f1_error": "F1 error", "v_rand": "V_Rand", "seconds_per_image": "s an image", "peak_mb": "peak (MB)",
    }  # fmt: skip

    def table(names: list[str]) -> pages.Table:
        rows = [row for row in pages.read(FOLDER / "segmenters.csv") if row["set"] in names]
        for row in rows:
            row["net"] = f"[{NAMES[row['net']]}]({FOLDER.name}/{row['set']}_{row['net']}.csv)"
        return pages.chosen(rows, heads)

    pages.fill(PAGE, {"labels": table})


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("cut").set_defaults(run=cut)
    commands.add_parser("page").set_defaults(run=page)
    for what, run in (("train", train), ("score", score), ("measure", measure)):
        command = commands.add_parser(what)
        command.add_argument("name", choices=PASSES)
        if what != "score":
            command.add_argument("net", choices=NETS)
        command.set_defaults(run=run)
    options = {key: value for key, value in vars(parser.parse_args()).items() if key != "what"}
    options.pop("run")(**options)


if __name__ == "__main__":
    main()
