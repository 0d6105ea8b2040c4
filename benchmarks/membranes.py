"""Make docs/results/membranes.md: score models on held-out slices, train patch by patch for comparison, draw.

    python benchmarks/membranes.py cut                      # ISBI 2012 under TINYMPCNN_DATA -> train.tif, held.tif ...
    python benchmarks/membranes.py score n3 n4 --turns      # models NAME.npz, as `tinympcnn train` made them: a row
    python benchmarks/membranes.py patches patches_n3 --net N3 --minutes 26
    python benchmarks/membranes.py picture n3.npz held.tif held-labels.tif -o map.png
    python benchmarks/membranes.py page                     # curves and tables, from the CSV files into the page

Of the 20 labelled slices, 0 to 15 are for training and 16 to 19 are held out; nothing is chosen on the held-out slices.
The real images may not be redistributed, so keep the pictures of them to yourself.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pages

from tinympcnn import Net, SoftmaxCrossEntropy, data, metrics
from tinympcnn.cli import pictures
from tinympcnn.cli.results import write_table
from tinympcnn.cli.segment import Steps, segment_files
from tinympcnn.data import augment
from tinympcnn.data.borders import mirrored
from tinympcnn.inference import postprocess
from tinympcnn.inference.calibration import fit_calibration
from tinympcnn.io.images import read_images
from tinympcnn.io.predictions import read_prediction
from tinympcnn.nn import optim
from tinympcnn.training.dataset import mean_and_std
from tinympcnn.training.objective import Example, image_closure

PAGE = Path(__file__).parents[1] / "docs" / "results" / "membranes.md"
FOLDER = PAGE.with_suffix("")
HELD = 4  # of 20 slices
BATCH = 64  # patches in an update of patch-by-patch training
INTERIOR_ERROR = 0.22  # the pixel error of a net that always answers "interior" on the held-out slices
COLUMNS = ("pixel_error", "f1_error", "v_rand", "v_info", "rand_error", "warping_error")


def cut(folder: Path) -> None:
    """Write the slices for training and the held-out slices to separate files."""
    import tifffile

    source = Path(os.environ["TINYMPCNN_DATA"], "isbi2012")
    for kind, suffix in (("train-volume", ""), ("train-labels", "-labels")):
        stack = tifffile.imread(source / f"{kind}.tif")[:20]
        for name, part in (("train", stack[:-HELD]), ("held", stack[-HELD:])):
            tifffile.imwrite(folder / f"{name}{suffix}.tif", part, photometric="minisblack")
            print(folder / f"{name}{suffix}.tif", *part.shape)


def score(models: list[str], turns: bool, calibrated: bool, median: int) -> None:
    """Segment the held-out slices, compare with their labels, and add a row to scores.csv.

    The winner of the challenge calibrated on labelled slices. Here every held-out slice is calibrated with the
    polynomial that fits those of the other half, so that no label has a part in its own result.
    """
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        segment_files(["held.tif"], [f"{name}.npz" for name in models], folder, Steps(turns=turns))
        seconds = time.perf_counter() - start
        p = np.stack(list(read_prediction(f"{folder}/held_prob.tif").pages))
    truth = np.stack([data.class_indices(y[:, :, 0], (0, 255)) for y in read_images(["held-labels.tif"])[0]])
    if calibrated:
        half = len(p) // 2
        fits = [fit_calibration(zip(p[k][..., 1], truth[k] == 1, strict=True), (0, 255)).calibration
                for k in (slice(0, half), slice(half, None))]  # fmt: skip
        p = np.concatenate([fits[1](p[:half]), fits[0](p[half:])])
    if median:
        p = np.stack([postprocess.median(page, median) for page in p])
    report = metrics.evaluate(p[..., 1], truth, membranes=True)
    row: dict[str, Any] = {"nets": " + ".join(models), "views": 8 if turns else 1, "calibrated": calibrated,
                           "median": median}  # fmt: skip
    row |= measured(report, COLUMNS)
    row |= {"threshold_of_f1": report["f1_error"]["threshold"], "seconds_per_slice": round(seconds / HELD, 2)}
    rows = pages.read(FOLDER / "scores.csv") if (FOLDER / "scores.csv").exists() else []
    key = ("nets", "views", "calibrated", "median")
    rows = [old for old in rows if [old[k] for k in key] != [str(row[k]) for k in key]] + [row]
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages.write(FOLDER / "scores.csv", rows)
    print(row)


def measured(report: dict[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Return measures of a report by name: of a measure with a threshold, its value at the best one."""
    values = {name: report[name] for name in names}
    return {name: value["value"] if isinstance(value, dict) else value for name, value in values.items()}


def patches(name: str, spec: str, minutes: float, seed: int) -> None:
    """Train the patch net on random patches, BATCH in an update, for some minutes; log and save as `train` does."""
    images, labels = (read_images([f"train{suffix}.tif"])[0] for suffix in ("", "-labels"))
    held, truth = (read_images([f"held{suffix}.tif"])[0] for suffix in ("", "-labels"))
    values, rng = (0, 255), np.random.default_rng(seed)
    net = Net.from_spec(spec, rng=seed)
    net.class_values, net.normalisation = values, mean_and_std(images)
    (P, Q), (H, W) = net.field_of_view, images[0].shape[:2]
    rows, columns = mirrored(H, P), mirrored(W, Q)
    windows = [
        np.lib.stride_tricks.sliding_window_view(net.normalised(image)[rows][:, columns, 0], (P, Q)) for image in images
    ]
    classes = [data.class_indices(y[:, :, 0], values) for y in labels]
    patch_net, loss = net.as_patch(), SoftmaxCrossEntropy()
    optimizer = optim.Adam(patch_net, lr=0.001)
    log: list[dict[str, float]] = []
    losses, seen, trained = [], 0, 0.0
    while trained < minutes * 60:
        began = time.perf_counter()
        while time.perf_counter() - began < min(60, minutes * 60 - trained):
            i, r, c = (rng.integers(0, n, BATCH) for n in (len(windows), H, W))
            x = np.stack([augment(windows[k][a, b][:, :, None], np.zeros((P, Q), int), "flip", rng)[0]
                          for k, a, b in zip(i, r, c, strict=True)])  # fmt: skip
            y = np.array([classes[k][a, b] for k, a, b in zip(i, r, c, strict=True)]).reshape(-1, 1, 1)
            optimizer.lr = 0.001 * (1 + np.cos(np.pi * min(trained / (minutes * 60), 1))) / 2
            losses.append(optimizer.step(image_closure(patch_net, Example(x, y), loss)))
            seen += BATCH
        trained += time.perf_counter() - began
        probabilities = [net.segment(image) for image in held]
        wrong = [(p.argmax(-1) != data.class_indices(y[:, :, 0], values)).mean()
                 for p, y in zip(probabilities, truth, strict=True)]  # fmt: skip
        log.append({"epoch": len(log) + 1, "images": seen / (H * W), "patches": seen,
                    "loss_train": float(np.mean(losses)), "pixel_error": float(np.mean(wrong)), "seconds": trained,
                    "patches_per_second": seen / trained})  # fmt: skip
        losses = []
        print(*(f"{k}={v:.5g}" for k, v in log[-1].items()), flush=True)
        net.save(f"{name}.npz")
        write_table(f"{name}.csv", log)


def picture(model: Path, image: Path, labels: Path, output: Path, page: int) -> None:
    """Draw a slice, the truth, the probability of the interior, and in colour where the answer is wrong."""
    net = Net.load(model)
    assert net.class_values is not None
    pixels, truth = (read_images([path])[0][page] for path in (image, labels))
    interior = truth[:, :, 0] == net.class_values[-1]
    p = net.segment(pixels)[:, :, -1]
    answer, grey = p > 0.5, pixels[:, :, 0].astype(np.uint8)
    mistakes = np.repeat(128 + grey[:, :, None] // 2, 3, axis=2)
    for ink, wrong in ((pictures.FALSE, answer & ~interior), (pictures.MISSED, interior & ~answer)):
        mistakes[wrong] = tuple(bytes.fromhex(ink[1:]))
    panels = [grey, interior, p, mistakes]
    pictures.side_by_side(
        panels, ["image", "truth", "probability of interior", "mistakes"], output,
        f"pixel error {(answer != interior).mean():.3f}; membranes missed vermillion, membranes too many blue",
    )  # fmt: skip


def curves(path: Path, logs: dict[str, str]) -> None:
    """Draw training loss and held-out pixel error against minutes and against windows seen."""
    along = {
        "minutes of training": lambda row: float(row["seconds"]) / 60,
        "windows trained on (slices' worth)": lambda row: float(row["images"]),
    }
    whats = {"loss_train": "training loss", "pixel_error": "pixel error on the held-out slices"}
    with pictures.drawing(path, figsize=(8.4, 6)) as figure:
        axes = figure.subplots(2, 2, sharex="col", sharey="row")
        styles = zip(pictures.INK, pictures.LINES, pictures.MARKS, strict=False)
        for (name, label), (ink, line, mark) in zip(logs.items(), styles, strict=False):
            rows = pages.read(FOLDER / f"{name}.csv")
            style = {"color": ink, "linestyle": line, "marker": mark, "markevery": max(1, len(rows) // 8),
                     "markersize": 5, "linewidth": 1.4}  # fmt: skip
            for axis_row, what in zip(axes, whats, strict=True):
                for ax, x in zip(axis_row, along.values(), strict=True):
                    ax.plot([x(row) for row in rows], [float(row[what]) for row in rows], label=label, **style)
        for ax in axes[1]:
            ax.axhline(INTERIOR_ERROR, color=pictures.GREY, linewidth=1, linestyle=":")
        axes[1, 0].annotate(
            "always answering interior", (1, INTERIOR_ERROR), (0, -3), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va="top", fontsize=8,
        )  # fmt: skip
        for ax, title in zip(axes[0], ("by time", "by windows seen"), strict=True):
            ax.set_title(title)
        for line, title in zip(axes, whats.values(), strict=True):
            line[0].set_ylabel(title)
        for ax, title in zip(axes[1], along, strict=True):
            ax.set_xlabel(title)
        axes[1, 1].set_xscale("log")
        axes[1, 1].xaxis.set_major_formatter("{x:g}")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)


def main() -> None:
    """Run one of the five commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("cut")
    one = what.add_parser("score")
    one.add_argument("models", nargs="+")
    one.add_argument("--turns", action="store_true")
    one.add_argument("--calibrate", action="store_true")
    one.add_argument("--median", type=int, default=0)
    one = what.add_parser("patches")
    one.add_argument("name")
    one.add_argument("--net", default="N3")
    one.add_argument("--minutes", type=float, default=26)
    one.add_argument("--seed", type=int, default=0)
    one = what.add_parser("picture")
    one.add_argument("model", type=Path)
    one.add_argument("image", type=Path)
    one.add_argument("labels", type=Path)
    one.add_argument("-o", "--output", type=Path, required=True)
    one.add_argument("--page", type=int, default=0)
    what.add_parser("page")
    options = parser.parse_args()
    if options.what == "cut":
        cut(Path())
    elif options.what == "score":
        score(options.models, options.turns, options.calibrate, options.median)
    elif options.what == "patches":
        patches(options.name, options.net, options.minutes, options.seed)
    elif options.what == "picture":
        picture(options.model, options.image, options.labels, options.output, options.page)
    else:
        logs = {
            "n3": "N3, crops",
            "n4": "N4, crops",
            "n3_armijo": "N3, whole images, Armijo",
            "patches_n3": "N3, patches",
        }
        curves(
            FOLDER / "curves.png", {name: label for name, label in logs.items() if (FOLDER / f"{name}.csv").exists()}
        )
        pages.fill(PAGE, {"scores": scores_table, "runs": runs_table, "speed": speed_table})


def scores_table(names: list[str]) -> pages.Table:
    """Return the rows of scores.csv: by nets, then by views, calibration and filter."""
    order = ["n3", "n4", "n3 + n4"]
    rows = pages.read(FOLDER / "scores.csv")
    rows.sort(key=lambda row: (
        order.index(row["nets"]) if row["nets"] in order else len(order), row["nets"], int(row["views"]),
        row["calibrated"], row["median"],
    ))  # fmt: skip
    heads = {
        "nets": "nets", "views": "views", "finish": "finish",
        "pixel_error": "pixel error", "f1_error": "F1 error", "v_rand": "V_Rand", "v_info": "V_Info",
        "rand_error": "Rand error", "warping_error": "warping error", "seconds_per_slice": "s per slice",
    }  # fmt: skip
    for row in rows:
        steps = ["calibrated"] * (row["calibrated"] == "True") + ["median"] * (row["median"] != "0")
        row |= {"finish": ", ".join(steps), "nets": row["nets"].upper()}
        row["seconds_per_slice"] = f"{float(row['seconds_per_slice']):.0f}"
    return pages.chosen(rows, heads, digits=4)


def runs_table(names: list[str]) -> pages.Table:
    """Return the times, losses and errors of training runs, from their logs."""
    losses = ["training loss", "held-out loss", "held-out pixel error"]
    table = [["run", "passes", "slices' worth of windows", "minutes", *losses]]
    for name in names:
        last = pages.read(FOLDER / f"{name}.csv")[-1]
        of_images = "loss_val" in last
        table.append([
            f"[{name}]({FOLDER.name}/{name}.csv)",
            last["epoch"] if of_images else "",
            f"{float(last['images']):.0f}",
            f"{float(last['seconds']) / 60:.1f}",
            f"{float(last['loss_train']):.4f}",
            f"{float(last['loss_val']):.4f}" if of_images else "",
            f"{float(last['pixel_error']):.4f}",
        ])  # fmt: skip
    return table


def speed_table(names: list[str]) -> pages.Table:
    """Return Table 1 of the paper with our column: patches per second of training, with augmentation."""
    paper = {"table1_n3": ("N3", "260", "4,500"), "table1_n4": ("N4", "130", "3,000")}
    table = [["net", "paper, patches on a GPU (per s)", "paper, images (per s)", "tinympcnn, images (per s)"]]
    for name in names:
        last = pages.read(FOLDER / f"{name}.csv")[-1]
        table.append([*paper[name], f"[{float(last['patches_per_second']):,.0f}]({FOLDER.name}/{name}.csv)"])
    return table


if __name__ == "__main__":
    main()
