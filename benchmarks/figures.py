"""Draw the two figures of the benchmark from its CSV file: ``python benchmarks/figures.py DIR``."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from contenders import OURS, PATCHES, TWINS
from table import read

# Table 1 of the paper, patches per second in training; the steel net's is in the text of section 4.2
PAPER = {"N3": (260, 4500), "N4": (130, 3000), "steel": (None, 50000)}
MARKERS = {"N3": "o", "N4": "s", "steel": "^"}


def draw(folder: Path) -> None:
    """Draw both figures from ``folder/cpu.csv`` into `folder`."""
    machine, rows = read(folder / "cpu.csv")
    where = f"{machine['CPU']}; {machine['versions']}; {machine['date']}"
    if any("by size" in row["work"] for row in rows):
        sizes(rows, where, folder / "time_by_size.png")
    bars(rows, where, folder / "patches_per_second.png")


def sizes(rows: list[dict], where: str, path: Path) -> None:
    """Draw time against image size, log-log, with the fitted slope, and the time per GFLOP at the largest size."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 6.2), sharey=True, layout="constrained")
    for axis, work, title in zip(axes, ("train", "segment"), ("training step", "segmentation"), strict=True):
        for net in dict.fromkeys(row["net"] for row in rows):
            for contender in dict.fromkeys(row["contender"] for row in rows if "by size" in row["work"]):
                points = [r for r in rows if (r["net"], r["contender"], r["work"])
                          == (net, contender, f"{work} by size")]  # fmt: skip
                if len(points) < 2:
                    continue
                n, s = np.array([[r["rows"], r["median_s"]] for r in points]).T
                slope = np.polyfit(np.log(n), np.log(s), 1)[0]
                rate = points[-1]["median_s"] / points[-1]["gflop"]
                ours = contender == OURS
                axis.plot(n, s, "-" if ours else "--", color="black" if ours else "0.55", marker=MARKERS.get(net, "d"),
                          markerfacecolor="black" if ours else "white", markersize=5, linewidth=1.2,
                          label=f"{net}, {'tinympcnn' if ours else 'PyTorch'}: slope {slope:.2f}, "
                                f"{1e3 * rate:.2f} ms per GFLOP")  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="rows = columns of the image (pixels)", title=title)
        ticks = sorted({row["rows"] for row in rows if "by size" in row["work"]})
        axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
        axis.minorticks_off()
        axis.grid(color="0.85", linewidth=0.6)
        axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    axes[0].set_ylabel("time (s)")
    _finish(figure, where, path)


def bars(rows: list[dict], where: str, path: Path) -> None:
    """Draw patches per second in training, with the paper's own figures as lines."""
    nets = [net for net in dict.fromkeys(r["net"] for r in rows) if any(r["work"] == "train" for r in rows)]
    figure, axes = plt.subplots(1, len(nets), figsize=(4 * len(nets), 4.6), sharey=True, layout="constrained")
    contenders = (OURS, *TWINS[::-1], *PATCHES[::-1])
    for axis, net in zip(np.atleast_1d(axes), nets, strict=True):
        best = {r["contender"]: r for r in rows if r["net"] == net and r["work"] == "train" and r["images"] == 1}
        for place, contender in enumerate(contenders):
            row = best[contender]
            face, hatch = (
                ("black", "") if contender == OURS else ("0.75", "") if contender in TWINS else ("white", "//")
            )
            low, high = (best[contender]["patches_per_s"] * row["median_s"] / row[key] for key in ("max_s", "min_s"))
            value = row["patches_per_s"]
            axis.bar(place, value, color=face, hatch=hatch, edgecolor="black", linewidth=0.8,
                     yerr=[[value - low], [high - value]], error_kw={"ecolor": "0.4", "capsize": 2})  # fmt: skip
            axis.text(place, high * 1.15, short(value), ha="center", fontsize=7)
        for value, style, name in zip(PAPER.get(net, (None, None)), (":", "--"),
                                      ("patches, GPU, 2012", "image, CPU in Matlab, 2013"), strict=True):  # fmt: skip
            if value:
                axis.axhline(value, color="black", linestyle=style, linewidth=1, label=f"paper: {name} ({value:,})")
        size = f"{best[OURS]['rows']:.0f}x{best[OURS]['columns']:.0f}"
        axis.set(yscale="log", title=f"{net}, one image of {size}")
        axis.set_xticks(range(len(contenders)), [name.replace(" ", "\n", 1) for name in contenders],
                        rotation=90, fontsize=8)  # fmt: skip
        axis.margins(y=0.25)
        axis.legend(fontsize=7, loc="upper right")
    np.atleast_1d(axes)[0].set_ylabel("training, patches per second")
    _finish(figure, where, path)


def short(value: float) -> str:
    """Return a number in three digits: 395, 175k, 1.28M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _finish(figure: plt.Figure, where: str, path: Path) -> None:
    figure.supxlabel(where, fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
