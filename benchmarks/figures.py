"""Draw the figures of the benchmarks from their results: ``python benchmarks/figures.py DIR``.

For a CPU (``cpu.csv``): ``speed.png``, which the README shows, ``patches_per_second.png`` and ``time_by_size.png``. For
a GPU: ``steps.png``, from ``words.log``, where a later run was told, or else from ``steps.csv``.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from contenders import OURS, PATCHES, TWINS
from table import read

from tinympcnn.cli.pictures import BLACK, BLUE, GREY, INK, MARKS, ORANGE, drawing

# Table 1 of the paper, patches per second in training; the steel net's is in the text of section 4.2
PAPER = {"N3": (260, 4500), "N4": (130, 3000), "steel": (None, 50000)}
SPEED_NET = "N4"
KINDS: dict[str, dict[str, Any]] = {
    "ours": {"facecolor": BLUE, "hatch": "", "marker": "o"},
    "PyTorch": {"facecolor": ORANGE, "hatch": "//", "marker": "s"},
    "patches": {"facecolor": GREY, "hatch": "..", "marker": "^"},
}
WORDS = re.compile(
    r"(?P<what>\w+) (?P<rows>\d+)x(?P<columns>\d+), (?P<contender>.+?)(?P<tf32>, TF32)? +(?P<ms>[\d.]+) ms"
)


def draw(folder: Path) -> None:
    """Draw all figures of a folder of results into the folder."""
    if (folder / "cpu.csv").exists():
        machine, rows = read(folder / "cpu.csv")
        where = f"{machine['CPU']}; {machine['versions']}; {machine['date']}"
        if any("by size" in row["work"] for row in rows):
            sizes(rows, where, folder / "time_by_size.png")
        if any(row["work"] == "train" for row in rows):
            rates(rows, where, folder / "patches_per_second.png")
            speed(rows, folder / "speed.png")
    if (folder / "words.log").exists():
        steps(told(folder / "words.log"), folder / "steps.png")
    elif (folder / "steps.csv").exists():
        with open(folder / "steps.csv", newline="") as file:
            steps([{**row, "tf32": row["tf32"] == "True"} for row in csv.DictReader(file)], folder / "steps.png")


def told(log: Path) -> list[dict[str, Any]]:
    """Return the steps that a log of ``gpu.py`` tells of."""
    found = [match.groupdict() for line in log.read_text().splitlines() if (match := WORDS.match(line))]
    return [{**row, "median_ms": row["ms"], "tf32": bool(row["tf32"])} for row in found]


def kind(contender: str) -> str:
    """Return whose a contender is: a key of KINDS."""
    return "ours" if contender == OURS else "patches" if contender in PATCHES else "PyTorch"


def name(contender: str) -> str:
    """Return what a contender is called in a figure."""
    words = {"patch by patch": "one patch at a time", "patches of 512": "batches of 512 patches", OURS: OURS}
    return words.get(contender, f"PyTorch, {contender.replace(' ', ', ')}")


def training(rows: list[dict], net: str) -> dict[str, dict]:
    """Return the training steps of a net on one image, by contender."""
    return {r["contender"]: r for r in rows if (r["net"], r["work"], r["images"]) == (net, "train", 1)}


def speed(rows: list[dict], path: Path) -> None:
    """Draw one bar each for one patch at a time, batches of patches, PyTorch's fastest formulation, and ours."""
    group = training(rows, SPEED_NET if any(row["net"] == SPEED_NET for row in rows) else rows[0]["net"])
    fastest = max((twin for twin in TWINS if twin in group), key=lambda twin: group[twin]["patches_per_s"])
    shown = (*PATCHES, fastest, OURS)
    names = [
        "one patch at a time",
        "batches of 512 patches",
        "PyTorch's fastest, whole image",
        "tinympcnn, whole image",
    ]
    values = [group[contender]["patches_per_s"] for contender in shown]
    with drawing(path, figsize=(4.2, 2.4)) as figure:
        ax = figure.subplots()
        for place, (contender, value) in enumerate(zip(shown, values, strict=True)):
            ink = KINDS[kind(contender)]
            ax.barh(place, value, 0.45, facecolor=ink["facecolor"], hatch=ink["hatch"], edgecolor=BLACK)
            ax.annotate(
                f"{names[place]}: {value:,.0f}", (0, place - 0.22), (4, 2), textcoords="offset points", va="bottom"
            )
        ax.invert_yaxis()
        ax.set(xlim=(0, 1.05 * max(values)), ylim=(len(names) - 0.6, -0.75), xticks=[], yticks=[])
        ax.spines[["bottom"]].set_visible(False)
        first = group[OURS]
        ax.set_title(
            f"{first['net']}, training on {first['rows']:.0f}x{first['columns']:.0f} pixels:\n"
            "windows per second on two CPU cores", loc="left",
        )  # fmt: skip


def rates(rows: list[dict], where: str, path: Path) -> None:
    """Draw patches per second in training, from the slowest to the fastest round, and the paper's own figures."""
    nets = [net for net in dict.fromkeys(r["net"] for r in rows) if training(rows, net)]
    there = {contender for net in nets for contender in training(rows, net)}
    contenders = [contender for contender in (OURS, *TWINS[::-1], *PATCHES[::-1]) if contender in there]
    with drawing(path, figsize=(2.2 * len(nets) + 2.6, 3.6)) as figure:
        axes = np.atleast_1d(figure.subplots(1, len(nets), sharey=True))
        for axis, net in zip(axes, nets, strict=True):
            group = training(rows, net)
            for place, contender in enumerate(contenders):
                if contender not in group:  # it needs more memory than there was
                    continue
                row, ink = group[contender], KINDS[kind(contender)]
                value = row["patches_per_s"]
                ends = [value * row["median_s"] / row[key] for key in ("max_s", "min_s")]
                axis.plot(ends, [place, place], color=BLACK, linewidth=1)
                axis.plot(
                    value, place, color=ink["facecolor"], marker=ink["marker"], markeredgecolor=BLACK, markersize=7
                )
                axis.annotate(short(value), (value, place), (0, 6), textcoords="offset points", ha="center", fontsize=8)
            for value, style in zip(PAPER.get(net, (None, None)), (":", "--"), strict=True):
                if value:
                    axis.axvline(value, color=BLACK, linestyle=style, linewidth=1, zorder=0)
            size = f"{group[OURS]['rows']:.0f}x{group[OURS]['columns']:.0f}"
            axis.set(xscale="log", ylim=(len(contenders) - 0.4, -0.7), title=f"{net}, {size}")
            axis.margins(x=0.2)
            axis.minorticks_off()
            axis.xaxis.set_major_formatter(lambda value, _: short(value))
            axis.grid(axis="x", color="0.85", linewidth=0.6)
        axes[0].set_yticks(range(len(contenders)), [name(contender) for contender in contenders])
        words = "patches per second in training, from the slowest to the fastest round"
        paper = "lines: the paper, patches on a GPU (dotted) and images in Matlab on a CPU (dashed)"
        figure.supxlabel(f"{words}\n{paper}\n{where}", fontsize=8)


def sizes(rows: list[dict], where: str, path: Path) -> None:
    """Draw time against image size, log-log, for every net."""
    nets = list(dict.fromkeys(row["net"] for row in rows if "by size" in row["work"]))
    with drawing(path, figsize=(7.5, 4.4)) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for axis, work, title in zip(axes, ("train", "segment"), ("training step", "segmentation"), strict=True):
            for net, ink, mark in zip(nets, INK, MARKS, strict=False):
                for contender in dict.fromkeys(row["contender"] for row in rows if "by size" in row["work"]):
                    case = (net, contender, f"{work} by size")
                    points = [row for row in rows if (row["net"], row["contender"], row["work"]) == case]
                    if len(points) < 2:
                        continue
                    n, s = np.array([[r["rows"], r["median_s"]] for r in points]).T
                    ours = contender == OURS
                    axis.plot(
                        n, s, color=ink, marker=mark, markersize=5, linestyle="-" if ours else "--",
                        markerfacecolor=ink if ours else "white", linewidth=1.2,
                        label=f"{net}, {OURS if ours else 'PyTorch'}",
                    )  # fmt: skip
            axis.set(xscale="log", yscale="log", xlabel="rows = columns of the image (pixels)", title=title)
            ticks = sorted({row["rows"] for row in rows if "by size" in row["work"]})
            axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
            axis.minorticks_off()
            axis.yaxis.set_major_formatter("{x:g}")
            axis.grid(color="0.85", linewidth=0.6)
        handles = axes[0].get_legend_handles_labels()
        figure.legend(*handles, fontsize=8, loc="outside upper center", ncols=len(nets), frameon=False)
        axes[0].set_ylabel("time (s)")
        figure.supxlabel(where, fontsize=8)


def steps(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the time of a training step on a GPU for every net, ours and PyTorch's, without TF32 and with it."""
    nets = list(dict.fromkeys(row["what"] for row in rows if row["what"] != "sgemm"))
    with drawing(path, figsize=(2.4 * len(nets) + 2.4, 3.4)) as figure:
        axes = np.atleast_1d(figure.subplots(1, len(nets), sharey=True))
        names: list[str] = []
        for axis, net in zip(axes, nets, strict=True):
            group = [row for row in rows if row["what"] == net]
            for row in group:
                who = re.sub(r"PyTorch [^,]+", "PyTorch", row["contender"]) + ", TF32" * row["tf32"]
                names += [who] if who not in names else []
                time = float(row["median_ms"])
                ink = KINDS["ours" if row["contender"] == OURS else "PyTorch"]
                bar = axis.barh(
                    names.index(who), time, 0.75, facecolor=ink["facecolor"], hatch=ink["hatch"], edgecolor=BLACK
                )
                axis.bar_label(bar, [f"{time:.1f}"], padding=3, fontsize=8)
            axis.set_title(f"{net}, {group[0]['rows']}x{group[0]['columns']}")
            axis.margins(x=0.2)
        axes[0].set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
        figure.supxlabel("milliseconds for a training step (shorter is better)", fontsize=9)


def short(value: float) -> str:
    """Return a number in three digits: 395, 175k, 1.28M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
