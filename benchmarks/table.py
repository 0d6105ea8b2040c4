"""Write the tables of docs/speed.md between two markers: ``python benchmarks/table.py DIR [PAGE.md]``.

DIR holds ``cpu.csv`` and, where ``cpu.py --kernels`` measured with AVX2 too, ``cpu-avx2.csv``: a row for each.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pages import Table, markdown

from tinympcnn.errors import counted

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
OURS, PATCHES, ENGINES = "tinympcnn", ("patch by patch", "patches of 512"), ("ONNX Runtime", "OpenVINO")
FILES = ("cpu.csv", "cpu-avx2.csv")
Results = list[tuple[dict[str, str], list[dict]]]
"""The machine and the rows of every results file."""


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


def tables(results: Results) -> str:
    """Return the Markdown: times, engines, the machine, and the rest; one line for each net, work and kernel."""
    times: Table = [["", "kernel", "tinympcnn (ms)", "fastest PyTorch (ms)", "times as fast as PyTorch",
                     "patch by patch (s)"]]  # fmt: skip
    engines: Table = [["", "kernel", "tinympcnn (ms)", "torch.compile (ms)", *(f"{name} (ms)" for name in ENGINES),
                       "times as fast as the engines"]]  # fmt: skip
    rest: Table = [["", "kernel", "patches per second", "of sgemm (%)", "peak memory (MB)", "PyTorch's (MB)",
                    *(f"{name}'s (MB)" for name in ENGINES), "PyTorch's fastest formulation"]]  # fmt: skip
    for what, kernel, group in cases(results):
        ours = group[OURS]
        torch = [row for name, row in group.items() if name not in (OURS, *PATCHES, *ENGINES)]
        compiled = [row for row in torch if row["contender"].startswith("compiled")]
        beside = [group.get(name) for name in ENGINES]
        first, fastest, quickest = ours["median_s"], least(torch), least([row for row in beside if row])
        times.append([what, kernel, *map(milliseconds, (ours, fastest)), times_as_fast(first, fastest),
                      seconds(group.get(PATCHES[0]))])  # fmt: skip
        if quickest:
            engines.append([what, kernel, *map(milliseconds, (ours, least(compiled), *beside)),
                            times_as_fast(first, quickest)])  # fmt: skip
        rest.append([what, kernel, f"{ours['patches_per_s']:.0f}", f"{100 * ours['of_sgemm']:.0f}",
                     *(f"{row['peak_mb']:.0f}" if row and row["peak_mb"] else "" for row in (ours, fastest, *beside)),
                     fastest["contender"] if fastest else ""])  # fmt: skip
    against = f"\n{markdown(telling(engines))}" if len(engines) > 1 else ""
    behind = folded("Patches per second, memory", markdown(telling(rest)))
    return f"{markdown(telling(times))}{against}\n{notes(results)}\n\n{behind}"


def cases(results: Results) -> Iterator[tuple[str, str, dict[str, dict]]]:
    """Yield what is measured, the kernel of BLAS, and the rows by contender: the kernels of a case in turn."""
    keys = ("net", "rows", "columns", "images", "work")
    found = dict.fromkeys(tuple(row[key] for key in keys) for _, rows in results for row in rows)
    for case in found:
        net, height, width, images, work = case
        if work not in ("train", "segment"):
            continue
        many = f", {images:.0f} images" if images > 1 else ""
        what = f"{net}, {'training step' if work == 'train' else 'segmentation'}, {height:.0f}x{width:.0f}{many}"
        for machine, rows in results:
            group = {row["contender"]: row for row in rows if tuple(row[key] for key in keys) == case}
            if group:
                yield what, kernel_of(machine), group


def telling(table: Table) -> Table:
    """Return a table without columns that are empty, and without the kernel where there is one for all."""
    columns = [column for column in zip(*table, strict=True) if any(column[1:])]
    told = [column for column in columns if column[0] != "kernel" or len(set(column[1:])) > 1]
    return [list(row) for row in zip(*told, strict=True)]


def kernel_of(machine: dict[str, str]) -> str:
    """Return the kernel with which NumPy's BLAS multiplies."""
    found = re.search(r"kernel (\w+)", machine["BLAS"].split(";")[-1])
    return found[1] if found else machine["BLAS"]


def least(rows: list[dict]) -> dict | None:
    """Return the row with the least time."""
    return min(rows, key=lambda row: row["median_s"], default=None)


def milliseconds(row: dict | None) -> str:
    """Return the time of a row that may be missing."""
    return f"{1e3 * row['median_s']:.1f}" if row else ""


def seconds(row: dict | None) -> str:
    """Return the time of a row that may be missing."""
    return f"{row['median_s']:.1f}" if row else ""


def times_as_fast(ours: float, other: dict | None) -> str:
    """Return how many times as fast as another row, which may be missing, we are."""
    return f"{other['median_s'] / ours:.2f}" if other else ""


def notes(results: Results) -> str:
    """Return the sentences that say how, on what and when was measured."""
    machine = results[0][0]
    rows = [row for _, rows in results for row in rows]
    rounds = [row["rounds"] for row in rows if row["work"] in ("train", "segment")]
    few, many = min(rounds), max(rounds)
    products = "; ".join(
        f"{kernel_of(about)} {min(rates):.0f} to {max(rates):.0f} GFLOP/s"
        for about, rows in results
        if (rates := [row["gflop_per_s"] for row in rows if row["contender"] == "sgemm"])
    )
    found = {row["contender"] for row in rows}
    torch = sorted(found - {OURS, "sgemm", *PATCHES, *ENGINES})
    eager = [name for name in torch if not name.startswith("compiled")]
    words = [
        f"Medians of {few:.0f}{f' to {many:.0f}' if many > few else ''} rounds, everybody in turn, on {machine['CPU']} "
        f"({machine['vector units']}; sgemm of 2048: {products}), "
        f"{machine['date']}, {machine['versions']}, {machine['BLAS'].split(';')[-1].strip()}.",
        f"The fastest PyTorch is that of {counted(len(eager), 'formulation')} ({', '.join(eager)})"
        + (
            f" and, for segmentation, of {len(torch) - len(eager)} that torch.compile makes." if torch != eager else "."
        ),
    ]
    if found & set(ENGINES):
        words.append(f"Of the engines ({', '.join(ENGINES)}), which run the exported net, the faster one counts.")
    if len(results) > 1:
        words.append(f"{kernel_of(results[1][0])} is the same machine with AVX2 only, for all; ONNX Runtime has no "
                     "setting for this, so it is left out there; memory was measured once.")  # fmt: skip
    return " ".join([
        *words, "Patch by patch is tinympcnn on one patch at a time, measured on a sample and scaled.",
        "Peak memory is that of a process of its own, libraries included.",
    ])  # fmt: skip


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
    results = [read(path) for name in FILES if (path := Path(sys.argv[1]) / name).exists()]
    new = f"{before}{BEGIN}\n{tables(results)}\n{END}{after}"
    page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
