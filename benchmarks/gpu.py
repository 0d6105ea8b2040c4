"""Check and measure a GPU in one command: `make gpu-check`, or ``python benchmarks/gpu.py``.

The command needs an NVIDIA GPU and CuPy 13 or 14, for CUDA 12 or 13. It runs the tests marked ``gpu``; it compares the
GPU with the CPU, repeats runs, and lets memory run out (``gpu_checks.py``); it measures training steps against PyTorch
with cuDNN, without and with TF32 (``gpu_steps.py``); and it trains N3 for 100 epochs over 20 slices of 512x512, with
rotations. Results go to ``benchmarks/results/gpu-<card>/``. The exit code is 0 if all holds, 1 if something fails, and
2 if there is no GPU.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs from a checkout, installed or not
import gpu_checks

from tinympcnn import Net, Recipe, UsageError, data, fit
from tinympcnn.cli import info
from tinympcnn.engine import backend
from tinympcnn.io.pairs import read_pairs

HERE = Path(__file__).resolve().parent
PATIENCE = 300  # seconds of training, after which the time of the epochs left is extrapolated


def main(arguments: list[str] | None = None) -> int:
    """Run everything, write the results, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100, help="The epochs of the training run. The default is 100.")
    parser.add_argument("--no-tests", dest="tests", action="store_false", help="Leave out the tests.")
    parser.add_argument("--results", type=Path, default=HERE / "results", metavar="DIR")
    options = parser.parse_args(arguments)
    os.environ["CUPY_TF32"] = "0"  # CuPy reads it once; what needs TF32 runs in a process of its own
    try:
        xp, _ = backend.load("cupy")
    except UsageError as error:
        print(f"gpu-check: nothing was checked: {error}", file=sys.stderr)
        return 2
    card = info.card(xp)
    print(card, flush=True)
    folder = options.results / f"gpu-{re.sub(r'[^a-z0-9]+', '-', card.split(',')[0].lower()).strip('-')}"
    folder.mkdir(parents=True, exist_ok=True)

    passed = tests_pass() if options.tests else True
    checks = []
    for check in gpu_checks.everything():
        print(check, flush=True)
        checks.append(check)
    write(folder / "checks.csv", [{**check._asdict(), "ok": check.ok} for check in checks])
    steps = [*run_steps("0"), *run_steps("1")]
    write(folder / "steps.csv", steps)
    training = train_n3(options.epochs)
    write(folder / "training.csv", [training])
    report(folder, card, passed if options.tests else None, checks, steps, training)
    draw(folder)
    failed = [check for check in checks if not check.ok]
    print(f"wrote {folder}; {len(failed)} of {len(checks)} checks failed, tests {'passed' if passed else 'FAILED'}")
    return 1 if failed or not passed else 0


def tests_pass() -> bool:
    """Run the tests marked gpu."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-rs"]
    return subprocess.run(command, cwd=HERE.parent, check=False).returncode == 0


def run_steps(tf32: str) -> list[dict[str, Any]]:
    """Return the records of ``gpu_steps.py``, which runs in a separate process."""
    command = [sys.executable, str(HERE / "gpu_steps.py")]
    process = subprocess.Popen(command, env={**os.environ, "CUPY_TF32": tf32}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    rows = []
    for line in process.stdout:
        rows.append(json.loads(line))
        print(words(rows[-1]), flush=True)
    if process.wait():
        raise SystemExit(f"gpu_steps.py ended with {process.returncode}")
    return rows


def words(row: dict[str, Any]) -> str:
    """Return a measurement as one line."""
    name = f"{row['what']} {row['rows']}x{row['columns']}, {row['contender']}{', TF32' if row['tf32'] else ''}"
    return f"{name:<70}{row['median_ms']:9.2f} ms{row['tflop_per_s']:8.2f} TFLOP/s{row['of_sgemm']:6.0%} of sgemm"


def train_n3(epochs: int, slices: int = 20, size: int = 512, net: str = "N3") -> dict[str, Any]:
    """Train N3 with rotations on the first slices of ISBI 2012, or on synthetic ones, for at most PATIENCE seconds."""
    root = Path(os.environ.get("TINYMPCNN_DATA", "")) / "isbi2012"
    if os.environ.get("TINYMPCNN_DATA") and root.is_dir():
        pairs = read_pairs([root / "train-volume.tif"], [root / "train-labels.tif"])
        images, labels, source = pairs.images[:slices], pairs.labels[:slices], "ISBI 2012"
    else:
        made, truth = data.synthetic_membranes(slices, size, rng=0)
        images, labels, source = list(made), list(truth // 255), "synthetic membranes"
    begin = time.perf_counter()
    for record in fit(Net.from_spec(net, rng=0).to("cupy"), (images, labels), Recipe(epochs=epochs, augment="rotate")):
        print(f"epoch {record['epoch']}: loss {record['loss_train']:.4f}, {record['seconds']:.1f} s", flush=True)
        if time.perf_counter() - begin > PATIENCE:
            break
    return {
        "net": net, "slices": len(images), "rows": images[0].shape[0], "columns": images[0].shape[1],
        "source": source, "augment": "rotate", "epochs": record["epoch"], "seconds": record["seconds"],
        "seconds_for_100_epochs": record["seconds"] / record["epoch"] * 100, "loss": record["loss_train"],
    }  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def report(
    folder: Path,
    card: str,
    passed: bool | None,
    checks: list[gpu_checks.Check],
    steps: list[dict[str, Any]],
    training: dict[str, Any],
) -> None:
    """Write README.md with the date, the card, the versions and all results."""
    projected = "" if training["epochs"] >= 100 else f" (measured over {training['epochs']})"
    lines = [
        f"# {card.split(',')[0]}, {datetime.date.today().isoformat()}",
        "",
        f"{card}; NumPy {np.__version__}, Python {sys.version.split()[0]}. Made by `make gpu-check`.",
        "",
        f"Tests marked gpu: {'not run' if passed is None else 'passed' if passed else 'FAILED'}.",
        "",
        "```text",
        *map(str, checks),
        "",
        *map(words, steps),
        "",
        f"100 epochs of {training['net']} over {training['slices']} slices of {training['rows']}x{training['columns']} "
        f"({training['source']}), rotated: {training['seconds_for_100_epochs']:.0f} s{projected}",
        "",
        *goals(steps, training),
        "```",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


def goals(steps: list[dict[str, Any]], training: dict[str, Any]) -> list[str]:
    """Return the aims, each with whether it was reached."""
    lines = []
    for row in steps:
        if row["contender"] != "tinympcnn":
            continue
        same = [other for other in steps if (other["what"], other["tf32"]) == (row["what"], row["tf32"])]
        rivals = [other for other in same if other is not row]
        name = f"{row['what']}{', TF32' if row['tf32'] else ''}"
        if rivals:
            best = min(rivals, key=lambda other: other["median_ms"])
            ratio = best["median_ms"] / row["median_ms"]
            lines.append(f"{verdict(ratio >= 1)}: {name}, {ratio:.2f} times as fast as {best['contender']}")
        else:
            lines.append(f"not compared: {name}, PyTorch for CUDA is not installed")
        if name == "N4":
            lines.append(f"{verdict(row['of_sgemm'] >= 0.5)}: N4 at {row['of_sgemm']:.0%} of sgemm (aim: 50 %)")
    seconds = training["seconds_for_100_epochs"]
    return [*lines, f"{verdict(seconds <= 120)}: 100 epochs of {training['net']} in {seconds:.0f} s (aim: 120 s)"]


def verdict(reached: bool) -> str:
    """Return the word for it."""
    return "reached" if reached else "NOT reached"


def draw(folder: Path) -> None:
    """Draw the time of a step, for every net and contender, if matplotlib is installed."""
    try:
        import figures

        figures.draw(folder)
    except UsageError as missing:
        print(f"no figure: {missing}")


if __name__ == "__main__":
    sys.exit(main())
