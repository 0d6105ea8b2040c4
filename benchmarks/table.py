"""Write the tables of docs/speed.md between two markers: ``python benchmarks/table.py DIR [PAGE.md]``."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from pages import Table, markdown

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
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


def tables(machine: dict[str, str], rows: list[dict]) -> str:
    """Return the Markdown: times, the machine, and the rest behind a fold; one line for each net and work."""
    times: Table = [["", "tinympcnn (ms)", "fastest PyTorch (ms)", "times as fast as PyTorch", "patch by patch (s)"]]
    rest: Table = [[
        "", "patches per second", "of sgemm (%)", "peak memory (MB)", "PyTorch's (MB)", "PyTorch's fastest formulation"
    ]]  # fmt: skip
    for case in dict.fromkeys((r["net"], r["rows"], r["columns"], r["images"], r["work"]) for r in rows):
        if case[-1] not in ("train", "segment"):
            continue
        group = {r["contender"]: r for r in rows if tuple(r[key] for key in
                 ("net", "rows", "columns", "images", "work")) == case}  # fmt: skip
        ours = group[OURS]
        fastest = min((r for name, r in group.items() if name != OURS and name not in PATCHES),
                      key=lambda row: row["median_s"])  # fmt: skip
        net, height, width, images, work = case
        many = f", {images:.0f} images" if images > 1 else ""
        what = f"{net}, {'training step' if work == 'train' else 'segmentation'}, {height:.0f}x{width:.0f}{many}"
        milliseconds = [1e3 * row["median_s"] for row in (ours, fastest)]
        speed, one_by_one = fastest["median_s"] / ours["median_s"], group[PATCHES[0]]["median_s"]
        times.append([what, *(f"{ms:.1f}" for ms in milliseconds), f"{speed:.2f}", f"{one_by_one:.1f}"])
        counts = (ours["patches_per_s"], 100 * ours["of_sgemm"], ours["peak_mb"], fastest["peak_mb"])
        rest.append([what, *(f"{count:.0f}" for count in counts), fastest["contender"]])
    return f"{markdown(times)}\n{notes(machine, rows)}\n\n{folded('Patches per second, memory', markdown(rest))}"


def notes(machine: dict[str, str], rows: list[dict]) -> str:
    """Return the sentences that say how, on what and when was measured."""
    rounds = [row["rounds"] for row in rows if row["work"] in ("train", "segment")]
    few, many = min(rounds), max(rounds)
    sgemm = [row["gflop_per_s"] for row in rows if row["contender"] == "sgemm"]
    return (
        f"Medians of {few:.0f}{f' to {many:.0f}' if many > few else ''} rounds, everybody in turn, on {machine['CPU']} "
        f"({machine['vector units']}; sgemm of 2048: {min(sgemm):.0f} to {max(sgemm):.0f} GFLOP/s), "
        f"{machine['date']}, {machine['versions']}, {machine['BLAS'].split(';')[-1].strip()}. "
        "The fastest PyTorch is that of four formulations. "
        "Patch by patch is tinympcnn on one patch at a time, measured on a sample and scaled. Peak memory is that of a "
        "process of its own, libraries included."
    )


def folded(summary: str, text: str) -> str:
    """Return text behind a line to click on."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n</details>"


def main() -> None:
    """Replace the text between the markers."""
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: python benchmarks/table.py DIR [PAGE.md]")
    page = Path(sys.argv[2]) if len(sys.argv) == 3 else PAGE
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{page} must have one line {BEGIN} and one line {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    new = f"{before}{BEGIN}\n{tables(*read(Path(sys.argv[1]) / 'cpu.csv'))}\n{END}{after}"
    page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
