"""Autoencoders and denoisers of fluorescent nuclei: the same layers put together in five ways, with equal weights.

Run it as ``python benchmarks/architectures.py train --out FOLDER`` and ``... report --out FOLDER``, with the real
images under TINYMPCNN_DATA (``nuclei/gnf``). Each net is trained in a process of its own, on 8 images, and measured on
8 others. docs/results/architectures.md says what came out.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pages

from tinympcnn import Net, Recipe, Skip, data, fit
from tinympcnn.cli import pictures
from tinympcnn.metrics.regression import mean_squared_error, psnr, ssim
from tinympcnn.training.dataset import WholeImages

NETS = {
    "plain": "C3x3x10 C3x3x10 MP2x2 C3x3x10 MP2x2 C3x3x10 C3x3x10 U2x2 C3x3x10 U2x2 C3x3x10 C1x1x1",
    "a trous": "C3x3x10 C3x3x10 F2x2 C3x3x10 F2x2 C3x3x10 C3x3x10 C3x3x10 C3x3x10 C1x1x1",
    "MPF": "C3x3x10 C3x3x10 MPF2x2 C3x3x10 MPF2x2 C3x3x10 C3x3x10 C3x3x10 C3x3x10 C1x1x1",
    "U-Net": "C3x3x6 C3x3x6 [ MP2x2 C3x3x8 [ MP2x2 C3x3x13 C3x3x13 U2x2 ] C3x3x8 U2x2 ] C3x3x6 C1x1x1",
    "MPF with skips": "C3x3x6 C3x3x6 [ MPF2x2 C3x3x8 [ MPF2x2 C3x3x13 C3x3x13 ] C3x3x8 ] C3x3x6 C1x1x1",
}
NOISE = (0.0, 0.2, 0.1)
PAGE = Path(__file__).parents[1] / "docs" / "results" / "architectures.md"
FOLDER = PAGE.with_suffix("")
COLUMNS = ("net", "sigma", "mse", "psnr", "ssim", "passes", "cpu_seconds_a_pass", "train_mse", "peak_mb")
TILE = (512, 672)
WHITE = 128.0  # the grey value that counts as 1: few pixels are brighter
CROP = 256


class Noisy(WholeImages):
    """Images with new normal noise each time they are seen; the targets stay clean."""

    sigma = 0.0

    def _augmented(
        self, image: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        return image + self.sigma * rng.standard_normal(image.shape), target


def tiles(first: int, last: int) -> list[np.ndarray]:
    """Return the upper left tile of each of the images from `first` to `last` by name, in units of WHITE."""
    from PIL import Image

    folder = Path(os.environ["TINYMPCNN_DATA"]) / "nuclei" / "gnf" / "images"
    files = sorted(folder.glob("*.png"), key=lambda path: int(path.stem.split("-")[1]))[first:last]
    return [np.asarray(Image.open(path), np.float64)[: TILE[0], : TILE[1], None] / WHITE for path in files]


def train_one(name: str, sigma: float, passes: int, out: Path) -> None:
    """Train one net and write the model, its log, and the time and memory that it took."""
    net, stem = Net.from_spec(NETS[name], rng=0), out / stem_of(name, sigma)
    recipe, images = Recipe(epochs=passes, crop=CROP, options={"lr": 0.003}), tiles(0, 8)
    noisy = Noisy(net, images, images, recipe)
    noisy.sigma = sigma
    with open(f"{stem}.csv", "w", newline="") as file:
        log = csv.writer(file)
        log.writerow(["pass", "mean squared error", "seconds", "CPU seconds"])
        for record in fit(net, noisy, recipe):
            used = resource.getrusage(resource.RUSAGE_SELF)
            row = [record["epoch"], record["loss_train"], record["seconds"], used.ru_utime + used.ru_stime]
            log.writerow([round(float(value), 6) for value in row])
            file.flush()
    net.record["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    net.save(f"{stem}.npz")


def without_inner(net: Net) -> Net:
    """Return the net with zeros in place of the maps that its first Skip makes."""
    copy = net.astype(np.float32)
    at = next(i for i, layer in enumerate(copy.layers) if isinstance(layer, Skip))
    skip, after = copy.layers[at], copy.layers[at + 1]
    inner_maps = (skip.out_maps or 0) - (skip.in_maps or 0)
    after.params["W"][:, :, -inner_maps:] = 0
    return copy


def measure(net: Net, sigma: float) -> dict[str, float]:
    """Return the mean measures over the test images; the noise of an image is always the same."""
    found: list[tuple[float, float, float]] = []
    for i, clean in enumerate(tiles(8, 16)):
        noisy = clean + sigma * np.random.default_rng(i).standard_normal(clean.shape)
        predicted = net.predict(noisy)
        found.append((mean_squared_error(predicted, clean), psnr(predicted, clean, 1), ssim(predicted, clean, 1)))
    return dict(zip(("mse", "psnr", "ssim"), np.mean(found, axis=0).tolist(), strict=True))


def report(out: Path) -> None:
    """Measure all models of a folder, put their rows and logs beside the page, and fill the page's tables.

    The rows of models that are not in the folder stay as they are.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    place = FOLDER / "scores.csv"
    rows = {(row["net"], row["sigma"]): row for row in (pages.read(place) if place.exists() else [])}
    for sigma in sorted(NOISE):
        for name in NETS:
            path = out / f"{stem_of(name, sigma)}.npz"
            if not path.exists():
                continue
            net = Net.load(path)
            log = list(csv.reader(path.with_suffix(".csv").open()))[1:]
            found: dict[str, object] = {**measure(net, sigma), "passes": len(log)}
            found |= {"cpu_seconds_a_pass": round(float(log[-1][3]) / len(log), 1), "train_mse": float(log[-1][1])}
            found |= {"peak_mb": round(net.record["peak MB"])}
            measured = {name: found}
            if any(isinstance(layer, Skip) for layer in net.layers):
                measured[f"{name}, inner branch zero"] = {**measure(without_inner(net), sigma)}
            for what, numbers in measured.items():
                row = {column: numbers.get(column, "") for column in COLUMNS}
                rows[what, str(sigma)] = {
                    key: str(value) for key, value in (row | {"net": what, "sigma": sigma}).items()
                }
                print(json.dumps(rows[what, str(sigma)]))
            shutil.copy(path.with_suffix(".csv"), FOLDER / f"{stem_of(name, sigma).lower()}.csv")
    order = [what for name in NETS for what in (name, f"{name}, inner branch zero")]
    in_order = sorted(rows.values(), key=lambda row: (float(row["sigma"]), order.index(row["net"])))
    pages.write(place, in_order)
    page()


def picture(out: Path) -> None:
    """Draw what the nets make of synthetic nuclei, which may be shown: one row for each noise.

    The nuclei are those of `synthetic_mitoses`, which are dark and large: inverted, and half as large.
    """
    images, _ = data.synthetic_mitoses(1, (192, 192), mitoses=3, mimics=4, nuclei=30, rng=4)
    dark = data.downsample(images[0][..., 1:2].astype(float), 2)
    clean = (dark.max() - dark) / np.ptp(dark) * 0.6
    titles = ["what the net sees", *NETS]
    size = 1.75 * len(titles), 1.95 * len(NOISE)
    with pictures.drawing(FOLDER / "synthetic.png", figsize=size) as figure:
        for axes, sigma in zip(figure.subplots(len(NOISE), len(titles)), sorted(NOISE), strict=True):
            seen = clean + sigma * np.random.default_rng(0).standard_normal(clean.shape)
            panels = [seen, *(Net.load(out / f"{stem_of(name, sigma)}.npz").predict(seen) for name in NETS)]
            for ax, title, panel in zip(axes, titles, panels, strict=True):
                ax.imshow(panel[..., 0], cmap="gray", vmin=0, vmax=0.7, interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                ax.set_xlabel("" if panel is seen else f"{psnr(panel, clean, 1):.1f} dB", fontsize=9)
                if sigma == min(NOISE):
                    ax.set_title(title, fontsize=10)
            axes[0].set_ylabel(f"sigma {sigma:g}" if sigma else "no noise")


def page() -> None:
    """Fill the tables of the page from the rows beside it."""
    heads = {
        "net": "net", "passes": "passes", "mse": "mean squared error", "psnr": "PSNR (dB)", "ssim": "SSIM",
        "cpu_seconds_a_pass": "CPU s a pass", "peak_mb": "peak (MB)",
    }  # fmt: skip

    def table(names: list[str]) -> pages.Table:
        rows = [row for row in pages.read(FOLDER / "scores.csv") if row["sigma"] in names]
        for row in rows:
            log = f"{stem_of(row['net'], row['sigma']).lower()}.csv"
            row |= {"mse": f"{float(row['mse']):.6f}", "psnr": f"{float(row['psnr']):.2f}"}
            row |= {"ssim": f"{float(row['ssim']):.4f}"}
            row["net"] = f"[{row['net']}]({FOLDER.name}/{log})" if (FOLDER / log).exists() else row["net"]
        return pages.chosen(rows, heads)

    pages.fill(PAGE, {"sigma": table})


def stem_of(name: str, sigma: object) -> str:
    """Return the name of the files of a net."""
    return f"{name.replace(' ', '_')}_{sigma}"


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "report", "picture", "page"))
    parser.add_argument("--out", type=Path, default=Path("runs"), help="The folder of models and logs (runs).")
    parser.add_argument("--passes", type=int, default=12, help="The passes over the training images (12).")
    parser.add_argument("--net", choices=NETS, help="Train this net only, in this process.")
    parser.add_argument("--sigma", type=float, default=0.0, help="The noise, for --net.")
    options = parser.parse_args()
    if options.what == "page":
        return page()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.what == "report":
        report(options.out)
    elif options.what == "picture":
        picture(options.out)
    elif options.net:
        train_one(options.net, options.sigma, options.passes, options.out)
    else:
        for sigma in NOISE:
            for name in NETS:
                words = ["--out", options.out, "--passes", options.passes, "--net", name, "--sigma", sigma]
                subprocess.run([sys.executable, __file__, "train", *map(str, words)], check=True)


if __name__ == "__main__":
    main()
