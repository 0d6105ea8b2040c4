"""Write the table of the README between two markers: ``python benchmarks/table.py DIR [README.md]``."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
OURS, PATCHES = "tinympcnn", ("patch by patch", "patches of 512")


def read(path: Path) -> tuple[dict[str, str], list[dict]]:
    """Return the machine and the rows of a results file, numbers as numbers."""
    lines = path.read_text().splitlines()
    machine = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    rows = list(csv.DictReader(line for line in lines if not line.startswith("# ")))
    return machine, [{key: _number(value) for key, value in row.items()} for row in rows]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def table(machine: dict[str, str], rows: list[dict]) -> str:
    """Return the Markdown table: one line for each net and work, the machine below."""
    lines = [
        "| | tinympcnn | patches per second | of sgemm | peak memory | fastest PyTorch | ratio | patch by patch |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    cases = dict.fromkeys((r["net"], r["rows"], r["columns"], r["images"], r["work"]) for r in rows)
    for case in cases:
        if case[-1] not in ("train", "segment"):
            continue
        group = {r["contender"]: r for r in rows if tuple(r[key] for key in
                 ("net", "rows", "columns", "images", "work")) == case}  # fmt: skip
        ours = group[OURS]
        fastest = min((r for name, r in group.items() if name != OURS and name not in PATCHES),
                      key=lambda row: row["median_s"])  # fmt: skip
        net, height, width, images, work = case
        what = "training step" if work == "train" else "segmentation"
        many = f", {images:.0f} images" if images > 1 else ""
        lines.append(
            f"| {net}, {what}, {height:.0f}x{width:.0f}{many} | {seconds(ours['median_s'])} "
            f"| {ours['patches_per_s']:,.0f} | {ours['of_sgemm']:.0%} | {ours['peak_mb']:,.0f} MB "
            f"| {seconds(fastest['median_s'])}, {fastest['contender']}, {fastest['peak_mb']:,.0f} MB "
            f"| {ours['median_s'] / fastest['median_s']:.2f} | {seconds(group[PATCHES[0]]['median_s'])} |"
        )
    rounds = [row["rounds"] for row in rows if row["work"] in ("train", "segment")]
    few, many = min(rounds), max(rounds)
    sgemm = [row["gflop_per_s"] for row in rows if row["contender"] == "sgemm"]
    lines += [
        "",
        f"Medians of {few:.0f}{f' to {many:.0f}' if many > few else ''} rounds, everybody in turn, on {machine['CPU']} "
        f"({machine['vector units']}; sgemm of 2048: {min(sgemm):.0f} to {max(sgemm):.0f} GFLOP/s), "
        f"{machine['date']}, {machine['versions']}, {machine['BLAS'].split(';')[-1].strip()}. "
        "Ratio is tinympcnn's time over that of the fastest of four PyTorch formulations. "
        "Patch by patch is tinympcnn on one patch at a time, measured on a sample and scaled. Peak memory is that of a "
        "process of its own, libraries included. Made by [`benchmarks/`](benchmarks/README.md).",
    ]
    return "\n".join(lines)


def seconds(value: float) -> str:
    """Return a time with three digits, in the unit that suits it."""
    return f"{value / 60:,.0f} min" if value >= 600 else f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def main() -> None:
    """Replace the text between the markers."""
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: python benchmarks/table.py DIR [README.md]")
    readme = Path(sys.argv[2] if len(sys.argv) == 3 else Path(__file__).parent.parent / "README.md")
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{readme} must have one line {BEGIN} and one line {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    new = f"{before}{BEGIN}\n{table(*read(Path(sys.argv[1]) / 'cpu.csv'))}\n{END}{after}"
    readme.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
