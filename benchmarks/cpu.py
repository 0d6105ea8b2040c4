"""Compare tinympcnn with PyTorch on this CPU: all contenders take turns in one process (A B A B ...).

    python benchmarks/cpu.py --kernels --output benchmarks/results/NAME

See ``benchmarks/README.md``; ``contenders.py`` has the contenders and ``pytorch_twins.py`` has the nets in PyTorch.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import gc
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from contenders import AVX2, COMPILED, ENGINES, OURS, PATCHES, SAMPLE, TWINS, Case, check, inference, limited, make
from memory import memory

import tinympcnn
from tinympcnn import engine
from tinympcnn.cli import info
from tinympcnn.errors import counted

WORKS = ("train", "segment")
SIZES = (128, 256, 512, 1024, 2048, 4096)  # of the figure; training stops where memory does
HALTS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
PAUSE = 0.05  # seconds for the other library's threads to stop waiting for work before the next is measured
SHORTEST = 0.3  # seconds: shorter tasks are repeated until a round has taken this long
LONGEST = 5.0  # seconds: longer tasks are measured in one round only
FIELDS = (
    "net", "rows", "columns", "images", "work", "contender", "median_s", "min_s", "max_s", "rounds",
    "patches_per_s", "gflop", "gflop_per_s", "of_sgemm", "peak_mb", "import_mb", "scaled_from_patches",
)  # fmt: skip


def main() -> None:
    """Check the contenders, measure them, write the results and draw the figures."""
    options = arguments()
    if options.kernels:
        sys.exit(rerun())
    for name in HALTS:
        if name in os.environ and not limited():
            print(f"warning: {name} is set, which may halve NumPy's speed; run with: env -u {name} ...")
    torch.set_num_threads(engine.get_threads())
    machine = describe_machine()
    print(*(f"{key}: {value}" for key, value in machine.items()), sep="\n")
    for name in options.nets:
        check(name)
    cases = [case for name in options.nets for case in cases_of(name, options.size)]
    rows = [row for name, size, images in cases for row in measure_case(name, size, images, options)]
    rows += [row for name in options.nets for row in measure_sizes(name, options)] if options.sizes else []
    options.output.mkdir(parents=True, exist_ok=True)
    results = options.output / ("cpu-avx2.csv" if limited() else "cpu.csv")
    write(results, rows, machine)
    report_ratios(rows)
    report_limits(rows)
    if not limited():
        from figures import draw

        draw(options.output)
    print(f"wrote {results}; docs/speed.md: python benchmarks/table.py {options.output}")


def rerun() -> int:
    """Run this script with the instructions of the machine, and once more with AVX2 only; return the exit status.

    Each run has a cache of its own for torch.compile, which took code of one instruction set for that of the other
    (PyTorch 2.13) and then gave wrong probabilities.
    """
    free = {name: value for name, value in os.environ.items() if name not in (*HALTS, *AVX2)}
    command = [sys.executable, *(word for word in sys.argv if word != "--kernels")]
    for limits in ({}, AVX2) if "X86_V4" in info.vector_units() else ({},):
        print(*(f"{name}={value}" for name, value in limits.items()), "python", shlex.join(command[1:]), flush=True)
        with tempfile.TemporaryDirectory() as cache:
            status = subprocess.run(command, env=free | limits | {"TORCHINDUCTOR_CACHE_DIR": cache}).returncode
        if status:
            return status
    return 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", default=["N3", "N4", "steel"], metavar="NET")
    parser.add_argument(
        "--size", type=int, default=512, help="The rows and columns of the images of N3 and N4. The default is 512."
    )
    parser.add_argument("--rounds", type=int, default=9, help="The number of rounds. The default is 9.")
    parser.add_argument(
        "--quick", action="store_true", help="Try the script: 128x128 pixels, 2 rounds, sizes up to 256."
    )
    parser.add_argument(
        "--no-sizes", dest="sizes", action="store_false", help="Leave out the times of several image sizes."
    )
    parser.add_argument(
        "--works", nargs="+", default=WORKS, choices=WORKS, help="What is measured. The default is both."
    )
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="CONTENDER", help="The contenders that are left out, as OpenVINO."
    )
    parser.add_argument(
        "--kernels",
        action="store_true",
        help="Measure twice, each time in a process of its own: with all instructions of the CPU, and with AVX2 only.",
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest"), metavar="DIR")
    options = parser.parse_args()
    if options.quick:
        options.size, options.rounds = 128, 2
        SAMPLE["patch by patch"] = 2
    return options


def cases_of(name: str, size: int) -> list[tuple[str, tuple[int, int], int]]:
    """Return the images on which a net is measured; for the steel net, the paper's 550x240 pixels down-sampled by 4."""
    return [(name, (60, 137), 1), (name, (60, 137), 8)] if name == "steel" else [(name, (size, size), 1)]


# ------------------------------------------------------------------------------------------------ measuring


def measure_case(name: str, size: tuple[int, int], images: int, options: argparse.Namespace) -> list[dict]:
    """Measure all contenders on one case, each once in every round, and their memory in separate processes."""
    case = Case(name, size, images)
    tasks = {("sgemm", "limit"): sgemm_task()} | tasks_of(case, options)
    print(f"\n{name}, {counted(images, 'image')} of {size[0]}x{size[1]}, {options.rounds} rounds")
    times = in_turn(tasks, options.rounds)
    sgemm = 2 * 2048**3 / float(np.median(times["sgemm", "limit"]))
    rows = [row_of(case, "limit", "sgemm", times["sgemm", "limit"], 2 * 2048**3, sgemm)]
    print(f"{'sgemm of 2048':<34}{sgemm / 1e9:.0f} GFLOP/s")
    for (contender, work), measured in times.items():
        if contender == "sgemm":
            continue
        scale = case.outputs / SAMPLE[contender] if contender in PATCHES else 1
        seconds = [t * scale for t in measured]
        row = row_of(case, work, contender, seconds, case.flop(work, contender), sgemm)
        if contender in PATCHES:
            row["scaled_from_patches"] = SAMPLE[contender]
        elif not limited():  # instructions do not change what memory holds
            row |= memory(case, contender, work)
        rows.append(row)
        print(line_of(row))
    return rows


def tasks_of(case: Case, options: argparse.Namespace) -> dict[tuple[str, str], Callable[[], object]]:
    """Return what is measured by contender and work: all that is asked for, fits into memory and runs here."""
    tasks = {}
    for who in (OURS, *TWINS, *COMPILED, *ENGINES, *PATCHES):
        for work in options.works:
            extra = who in (*COMPILED, *ENGINES)
            if who in options.without or (extra and work == "train"):
                continue
            if who not in PATCHES and not fits(case, who, work):
                print(f"{who}, {work}, is left out: it needs more memory than is free")
            elif task := inference(case, who) if extra else make(case, who, work):
                tasks[who, work] = task
    return tasks


def in_turn(tasks: dict, rounds: int) -> dict:
    """Return the times of every task: each has one turn in every round, of one call or SHORTEST seconds.

    A turn begins with a call that does not count, because the others have taken the caches and the memory that is kept
    from call to call. A task that takes LONGEST seconds has one round only.
    """
    times: dict = {key: [] for key in tasks}
    for _ in range(rounds):
        for key, task in tasks.items():
            if times[key] and times[key][0] > LONGEST:
                continue
            time.sleep(PAUSE)
            task()
            calls, start = 0, time.perf_counter()
            while calls == 0 or time.perf_counter() - start < SHORTEST:
                task()
                calls += 1
            times[key].append((time.perf_counter() - start) / calls)
    return times


def measure_sizes(name: str, options: argparse.Namespace) -> list[dict]:
    """Measure tinympcnn, and PyTorch dilated in channels_last, on square images of growing size."""
    rows = []
    print(f"\n{name}, time against image size")
    for size in SIZES[:2] if options.quick else SIZES:
        case = Case(name, (size, size))
        who = [
            (contender, work)
            for contender in (OURS, TWINS[-1])
            for work in options.works
            if fits(case, contender, work)
        ]
        tasks = {key: make(case, *key) for key in who}
        for (contender, work), seconds in in_turn(tasks, 1 if size > 1024 else min(options.rounds, 3)).items():
            row = row_of(case, f"{work} by size", contender, seconds, case.flop(work), 0)
            if size == SIZES[-1]:
                row |= memory(case, contender, work)
            rows.append(row)
            print(line_of(row))
        del case, tasks
        gc.collect()
        engine.release_memory()
    return rows


def fits(case: Case, contender: str, work: str) -> bool:
    """Return whether there is memory for a task. Only tinympcnn's segmentation, in tiles, always has enough."""
    if (contender, work) == (OURS, "segment"):
        return True
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    rows, columns = (n + p - 1 for n, p in zip(case.size, case.net.field_of_view, strict=True))
    needed = info.training_bytes(case.net, (rows, columns)) * (0.3 if work == "segment" else 1)
    return needed * (1 if contender == OURS else 2) < 0.7 * available


def sgemm_task() -> Callable[[], object]:
    """Return the row of the machine's limit: the product of two 2048x2048 matrices on all threads."""
    a = np.random.default_rng(0).standard_normal((2048, 2048), np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out)


def row_of(case: Case, work: str, contender: str, seconds: list[float], flop: int, sgemm: float) -> dict:
    """Return one row of the results."""
    median = float(np.median(seconds))
    return {
        "net": case.name, "rows": case.size[0], "columns": case.size[1], "images": case.n, "work": work,
        "contender": contender, "median_s": median, "min_s": min(seconds), "max_s": max(seconds),
        "rounds": len(seconds), "patches_per_s": case.outputs / median if work != "limit" else "",
        "gflop": flop / 1e9, "gflop_per_s": flop / median / 1e9, "of_sgemm": flop / median / sgemm if sgemm else "",
    }  # fmt: skip


# --------------------------------------------------------------------------------------------------- report


def line_of(row: dict) -> str:
    """Return a row as it is printed."""
    of_sgemm = f"{row['of_sgemm']:>5.0%} of sgemm" if row["of_sgemm"] else ""
    peak = f"{row['peak_mb']:>7.0f} MB ({row['import_mb']:.0f} before)" if "peak_mb" in row else ""
    scaled = f"  (from {row['scaled_from_patches']} patches)" if "scaled_from_patches" in row else ""
    size = f"{row['rows']}" if "by size" in row["work"] else ""
    return (
        f"{row['contender']:<31}{row['work'] + ' ' + size:<20}{row['median_s']:>10.4f} s "
        f"[{row['min_s']:.4f} to {row['max_s']:.4f}]{row['patches_per_s']:>12,.0f} patches/s"
        f"{row['gflop_per_s']:>8.1f} GFLOP/s {of_sgemm}{peak}{scaled}"
    )


def report_ratios(rows: list[dict]) -> None:
    """Print tinympcnn's time over the fastest of PyTorch's and of the engines', and patch by patch over tinympcnn's."""
    print(
        "\ntinympcnn's time / the fastest formulation's in PyTorch and the fastest engine's; patch by patch / tinympcnn"
    )
    for net, height, images, work in dict.fromkeys((r["net"], r["rows"], r["images"], r["work"]) for r in rows):
        if work not in WORKS:
            continue
        group = {r["contender"]: r["median_s"] for r in rows if (r["net"], r["rows"], r["images"], r["work"])
                 == (net, height, images, work)}  # fmt: skip
        words = []
        for others in ((*TWINS, *COMPILED), ENGINES):
            there = [other for other in others if other in group]
            if there:
                fastest = min(there, key=group.__getitem__)
                words.append(f"{group[OURS] / group[fastest]:.2f} ({fastest})")
        slower = ", ".join(f"{name} {group[name] / group[OURS]:,.0f}" for name in PATCHES if name in group)
        print(f"{net:<9}{counted(images, 'image')} {work:<8} {', '.join(words)}; {slower}")


def report_limits(rows: list[dict]) -> None:
    """Print the memory at 512 and 4096, and how much the seconds per FLOP grow with the size."""
    for row in rows:
        if row["net"] == "N4" and row["contender"] == OURS and "peak_mb" in row:
            print(f"N4 {row['work']} at {row['rows']}x{row['columns']}: peak {row['peak_mb']:.0f} MB")
    for net in dict.fromkeys(row["net"] for row in rows):
        for work in WORKS:
            rates = {r["rows"]: r["median_s"] / r["gflop"] for r in rows if
                     (r["net"], r["contender"], r["work"]) == (net, OURS, f"{work} by size")}  # fmt: skip
            large = [rate for size, rate in rates.items() if size >= 512]
            if large:
                each = ", ".join(f"{size:.0f}: {1e3 * rate:.2f}" for size, rate in rates.items())
                apart = max(large) / min(large) - 1
                print(f"{net} {work}: ms per GFLOP {each}; from 512 on the largest is {apart:.0%} above the smallest")


def describe_machine() -> dict[str, str]:
    """Return the properties of the machine and the software on which the numbers depend."""
    decisive = (*info.OVERRIDES, *AVX2)
    overrides = [f"{name}={os.environ[name]}" for name in sorted(os.environ) if name.startswith(decisive)]
    return {
        "date": datetime.date.today().isoformat(),
        "CPU": f"{info.cpu()}, {engine.available_cores()} cores, {engine.get_threads()} threads used",
        "vector units": ", ".join(info.vector_units()),
        "versions": f"tinympcnn {tinympcnn.__version__}, NumPy {np.__version__}, PyTorch {torch.__version__}, "
        f"Python {sys.version.split()[0]}",
        "BLAS": "; ".join(info.blas()),
        "environment": ", ".join(overrides) or "nothing that overrides BLAS or threads",
    }


def write(path: Path, rows: list[dict], machine: dict[str, str]) -> None:
    """Write the rows as CSV; comment lines at the top describe the machine."""
    with path.open("w", newline="") as file:
        file.writelines(f"# {key}: {value}\n" for key, value in machine.items())
        writer = csv.DictWriter(file, FIELDS, restval="")
        writer.writeheader()
        writer.writerows(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )


if __name__ == "__main__":
    main()
