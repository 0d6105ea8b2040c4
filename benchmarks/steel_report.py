"""Test the models of steel_protocol.py and surfaces.py, and put the tables into docs/results/steel.md.

    python benchmarks/steel_report.py synthetic MODEL.npz      # detection, per-pixel error, pictures
    python benchmarks/steel_report.py surface MODEL.npz        # the set that the model's record names
    python benchmarks/steel_report.py surface A.npz B.npz --name AB        # averaged
    python benchmarks/steel_report.py tables                   # from the CSV files beside the page into the page

All choices are made on validation images: the probability threshold, and for tiles the number of pixels and the rim.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pages
import steel_protocol
import surfaces

from tinympcnn import Committee, Net, metrics
from tinympcnn.cli import charts, detect
from tinympcnn.cli.words import table
from tinympcnn.inference import inspection
from tinympcnn.inference.inspection import Inspected

PAGE = Path(__file__).parents[1] / "docs" / "results" / "steel.md"
FOLDER = PAGE.with_suffix("")
THRESHOLDS = np.linspace(0.02, 0.98, 49)
UNEVEN = 5  # the class of uneven areas, in nets with one for each kind of defect
RIMS = (0, 2, 4, 8)  # pixels from the edge within which their outline may not count


def synthetic(model: Path) -> None:
    """Test on the synthetic strip: Table 2's numbers, the rows of every image, a contact sheet and the ROC curve."""
    net = Net.load(model)
    images, labels = steel_protocol.read(net.record["seed"])
    _, held, test = steel_protocol.split(len(images), net.record["seed"])
    pixels = inspection.PAPER_PIXELS / steel_protocol.FACTOR**2
    found = {
        part: inspection.inspect(
            net, [images[i] for i in which], [labels[i] > 0 for i in which], [f"strip[{i:03}]" for i in which], pixels
        )
        for part, which in (("validation", held), ("test", test))
    }
    known = found["validation"]
    threshold = inspection.choose_threshold([one.score for one in known], [one.truth for one in known])
    FOLDER.mkdir(parents=True, exist_ok=True)
    for part, some in found.items():
        report = {"epochs": net.record["epochs"], "kept": net.record["kept"], **inspection.summary(some, threshold)}
        pages.write(FOLDER / f"{model.stem}_{part}_scores.csv", [{"what": k, "value": v} for k, v in report.items()])
        print(part, table(report), sep="\n")
    detect.write_rows(FOLDER / f"{model.stem}_test_images.csv", found["test"], threshold)
    print(charts.contact_sheet(FOLDER / f"{model.stem}_sheet.png", found["test"], threshold, pixels))
    charts.plot_roc(FOLDER / f"{model.stem}_roc.png", found["test"], threshold)


def surface(models: list[Path], views: int, name: str | None) -> None:
    """Test on real surfaces, with a row for every kind of defect. No image is written."""
    nets, name = [Net.load(model) for model in models], name or models[0].stem
    run = nets[0].record
    _, labels, names, kinds = surfaces.read(run["set"], run["downsample"])
    _, held, test = surfaces.split_of(run, names, kinds)
    opinions = [probabilities(net, held + test, views) for net in nets]
    average = dict(zip(held + test, map(averaged, zip(*opinions, strict=True)), strict=True))

    def judged(part: list[int], rim: int) -> list[Inspected]:
        return [judge(average[i], labels[i] > 0, kinds[i], rim) for i in part]

    if run["set"] == "steel-strip":
        rows = strip_rows(judged(held, 0), judged(test, 0))
    else:
        aucs = {rim: best_auc(judged(held, rim)) for rim in (RIMS if nets[0].out_maps > UNEVEN else RIMS[:1])}
        rim = max(aucs, key=lambda rim: aucs[rim])
        found, without = judged(test, rim), tile_rows(judged(held, 0), judged(test, 0))
        rows = [
            {**row, "rim": rim, "ROC AUC at rim 0": other["ROC AUC"]}
            for row, other in zip(tile_rows(judged(held, rim), found), without, strict=True)
        ]
        print("area on validation images, by rim:", {rim: round(area, 4) for rim, area in aucs.items()})
    trained = {key: " + ".join(str(net.record[key]) for net in nets) for key in ("net", "downsample", "epochs", "seed")}
    about = {"model": name, "parameters": sum(net.n_params for net in nets), **trained, "views": views}
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages.write(FOLDER / f"{name}_{views}_test_scores.csv", [{**about, **row} for row in rows])
    if run["set"] == "magnetic-tile":
        found = inspection.recounted(found, rows[0]["pixels"])
        charts.plot_roc(FOLDER / f"{name}_{views}_roc.png", found, rows[0]["threshold"])
    for row in rows:
        print(row)


def probabilities(net: Net, which: list[int], views: int) -> list[np.ndarray]:
    """Return the class probabilities (H, W, K) of images of the set that a net was trained on."""
    images, *_ = surfaces.read(net.record["set"], net.record["downsample"], net.record["standardise"])
    committee = Committee([net], turns=views == 8)
    return [committee.segment(images[i]) for i in which]


def averaged(opinions: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the probabilities of several nets for one image, at the resolution of the first net."""
    height, width = opinions[0].shape[:2]
    rows, columns = np.arange(height)[:, None], np.arange(width)
    return np.mean([p[rows * p.shape[0] // height, columns * p.shape[1] // width] for p in opinions], axis=0)


def judge(classes: np.ndarray, defect: np.ndarray, kind: str, rim: int) -> Inspected:
    """Return the scores of an image from its class probabilities (H, W, K); its kind is its name.

    Within `rim` pixels from the edge the outline of an uneven area does not count: borders are mirrored, and whatever
    changes towards an edge comes back from it.
    """
    probability = 1 - classes[:, :, 0]
    if rim:
        edge = np.pad(np.zeros(np.subtract(probability.shape, 2 * rim)), rim, constant_values=1)
        probability = probability - edge * classes[:, :, UNEVEN]
    # the label of one uneven tile is empty, and down-sampling may leave nothing of a crack
    area = float(max(int(np.count_nonzero(defect)), kind != "MT_Free"))
    return Inspected(kind, defect, defect, area, probability, inspection.score(probability), 0.0)


def best_auc(held: list[Inspected]) -> float:
    """Return the area under the ROC curve for the best number of pixels."""
    pixels = inspection.choose_pixels([one.probability for one in held], [one.area for one in held])
    return auc(inspection.recounted(held, pixels))


def auc(found: list[Inspected]) -> float:
    """Return the area under the ROC curve."""
    return metrics.roc_curve([one.score for one in found], [one.truth for one in found]).auc


def strip_rows(held: list[Inspected], test: list[Inspected]) -> list[dict[str, Any]]:
    """Return errors on 5,000 pixels of either class, and F1 and IoU of the defect class, for each kind of defect."""
    t_error = float(min(THRESHOLDS, key=lambda t: metrics.balanced_error(table_of(held, t))))
    t_f1 = float(max(THRESHOLDS, key=lambda t: f1_iou(held, t)[0]))
    rows = []
    for kind in ("all", *sorted({one.name for one in test})):
        some = [one for one in test if kind in ("all", one.name)]
        p, y = [one.probability for one in some], [np.asarray(one.defect) for one in some]
        f1, iou = f1_iou(some, t_f1)
        rows.append({
            "kind": kind, "images": len(some),
            "error at 0.5": round(metrics.balanced_pixel_error(p, y), 4),
            "balanced pixel error": round(metrics.balanced_pixel_error(p, y, t_error), 4),
            "on all pixels": round(metrics.balanced_error(table_of(some, t_error)), 4),
            "threshold": round(t_error, 2), "F1": round(f1, 4), "IoU": round(iou, 4),
            "threshold of F1": round(t_f1, 2),
        })  # fmt: skip
    return rows


def tile_rows(held: list[Inspected], test: list[Inspected]) -> list[dict[str, Any]]:
    """Return how each kind of defect is detected among the free tiles, with pixels and threshold from validation."""
    pixels = inspection.choose_pixels([one.probability for one in held], [one.area for one in held])
    held, test = (inspection.recounted(part, pixels) for part in (held, test))
    threshold = inspection.choose_threshold([one.score for one in held], [one.truth for one in held])
    rows = []
    for kind in ("all", *sorted({one.name for one in test if one.truth})):
        validation, some = (
            [one for one in part if kind in ("all", one.name) or not one.truth] for part in (held, test)
        )
        result = metrics.decide([one.score for one in some], [one.truth for one in some], threshold)
        rows.append({
            "kind": kind, "images": len(some), "pixels": pixels, "threshold": round(threshold, 4),
            "misses": result.misses, "false alarms": result.false_alarms,
            "precision": round(result.precision, 4), "recall": round(result.recall, 4),
            "validation AUC": round(auc(validation), 4), "ROC AUC": round(auc(some), 4),
        })  # fmt: skip
    return rows


def f1_iou(found: list[Inspected], threshold: float) -> tuple[float, float]:
    """Return F1 and IoU of the defect class over all pixels."""
    C = table_of(found, threshold)
    return metrics.precision_recall_f1(C, positive=1).f1, float(metrics.iou(C)[1])


def table_of(found: list[Inspected], threshold: float) -> np.ndarray:
    """Return the confusion of all pixels of some images."""
    tables = [
        metrics.confusion((one.probability > threshold).astype(int), np.asarray(one.defect, int), n_classes=2)
        for one in found
    ]
    return np.sum(tables, axis=0)


HEADS = {
    "error at 0.5": "error at 0.5 (%)",
    "balanced pixel error": "balanced error (%)",
    "on all pixels": "on all pixels (%)",
    "ROC AUC": "AUC",
    "validation AUC": "validation AUC",
    "ROC AUC at rim 0": "AUC, rim 0",
}
LEFT_OUT = (
    "net", "parameters", "downsample", "epochs", "seed", "threshold", "threshold of F1", "precision", "recall",
)  # fmt: skip
"""Columns that tables leave out: they stand in the commands, or in the files alone, as a page has little room."""
IN_TEXT = ("model", "views", "kind", "images")
"""Columns that tables leave out where all rows are alike, as the text says the same."""


def rows_of(names: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of CSV files beside the page."""
    return [row for name in names for row in pages.read(FOLDER / f"{name}.csv")]


def short(number: str) -> str:
    """Return a number with four digits, or as an integer if it is larger."""
    if not re.fullmatch(r"\d+\.\d{5,}(e-?\d+)?", number):
        return number
    return f"{float(number):,.0f}" if float(number) >= 1e4 else f"{float(number):,.4g}"


def values(names: list[str]) -> pages.Table:
    """Return the rows of a file in which every row has a unit of its own."""
    (rows,) = (rows_of(names),)
    return [list(rows[0]), *([short(value) for value in row.values()] for row in rows)]


def joined(names: list[str]) -> pages.Table:
    """Return the rows of files with the same columns."""
    return told(rows_of(names))


def told(rows: list[dict[str, str]]) -> pages.Table:
    """Return the columns of rows that are not told beside the table."""
    alike = [key for key in IN_TEXT if len({row.get(key) for row in rows}) == 1]
    kept = [key for key in rows[0] if key not in (*LEFT_OUT, *alike)]
    return pages.chosen(rows, {key: HEADS.get(key, key) for key in kept})


def overall(names: list[str]) -> pages.Table:
    """Return only the rows for all kinds of defect together."""
    return told([row for row in rows_of(names) if row["kind"] == "all"])


def summary(names: list[str]) -> pages.Table:
    """Return one row for each set and net: mistakes and area of images, and the error of pixels."""
    strip = {row["what"]: row["value"] for row in rows_of(names[:1])}
    found = [("synthetic strip", "the paper's steel net", {**strip, PIXELS: strip[f"{PIXELS} at 0.5"]})]
    rows = [row for row in rows_of(names[1:]) if row["kind"] == "all"]
    found += [(*SUMMARY[row["model"]], row) for row in rows]
    heads = {"images": "test images", "misses": "misses", "false alarms": "false alarms", "ROC AUC": "ROC AUC",
             PIXELS: f"{PIXELS} (%)"}  # fmt: skip
    lines = [{"set": where, "net": what, **{key: row.get(key, "") for key in heads}} for where, what, row in found]
    return pages.chosen(lines, {"set": "set", "net": "net", **heads}, digits=4)


PIXELS = "balanced pixel error"
SUMMARY = {
    "strip_steel_contrast": ("steel-strip", "the paper's, with local contrast, 8 views"),
    "strip_wide_4": ("steel-strip", "a wide net, 8 views"),
    "tile_wide_committee": ("magnetic-tile, split by image", "four wide nets, 8 views"),
    "tile_by_tile_committee": ("magnetic-tile, split by tile", "two nets, 8 views"),
}


def runs(names: list[str]) -> pages.Table:
    """Return the first and last losses of training logs, and the times of the runs."""
    rows = [["run", "epochs", "evaluations", "first loss", "last loss", "last validation loss", "minutes"]]
    for name in names:
        log = rows_of([name])
        held = [row["loss_val"] for row in log if row["loss_val"] != "nan"]
        rows.append([
            f"[{name}](steel/{name}.csv)", log[-1]["epoch"], log[-1]["evaluations"],
            *(f"{float(x):.4f}" for x in (log[0]["loss_train"], log[-1]["loss_train"], held[-1])),
            f"{float(log[-1]['seconds']) / 60:.1f}",
        ])  # fmt: skip
    return rows


def table_2(names: list[str]) -> pages.Table:
    """Return Table 2 of the paper: mistakes, and seconds per image, on the whole image and patch by patch."""
    scores, speed = ({row["what"]: row["value"] for row in rows_of([name])} for name in names)
    whats = ("images", "with a defect", "misses", "false alarms", "precision", "recall", "ROC AUC")
    ways = {"whole image": "tinympcnn", "patches of 512": "patches of 512", "patch by patch": "patch by patch"}
    milliseconds = {way: float(speed[f"one image segmented, {name}"]) for way, name in ways.items()}
    rows = [[way, *(short(scores[what]) for what in whats), f"{ms:.1f}"] for way, ms in milliseconds.items()]
    return [["way", *whats, "ms per image"], *rows]


def main() -> None:
    """Run one of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("synthetic", "surface", "tables"))
    parser.add_argument("model", nargs="*", type=Path)
    parser.add_argument(
        "--views", type=int, choices=(1, 8), default=1, help="Average over this many flips and turns of real surfaces."
    )
    parser.add_argument(
        "--name", help="The name of the results on real surfaces. The default is that of the first model."
    )
    options = parser.parse_args()
    if options.what == "tables":
        pages.fill(PAGE, {
            "table": joined, "overall": overall, "values": values, "summary": summary, "runs": runs, "table 2": table_2,
        })  # fmt: skip
    elif options.what == "synthetic":
        synthetic(*options.model)
    else:
        surface(options.model, options.views, options.name)


if __name__ == "__main__":
    main()
