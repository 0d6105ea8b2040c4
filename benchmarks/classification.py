"""DanNet on real images: train columns, test them and their committees, and time the training steps.

    python benchmarks/classification.py train digits width12 -o RUNS         # RUNS/digits_width12_0.npz, .csv
    python benchmarks/classification.py train signs none --seed 1 -o RUNS    # the same again goes on after a stop
    python benchmarks/classification.py test digits RUNS -o docs/results/classification
    python benchmarks/classification.py speed -o docs/results/classification/speed.csv
    python benchmarks/classification.py page -o docs/results/classification.md   # fills the tables from these files

Sets, under TINYMPCNN_DATA: digits (mnist_t10k.npz, first 8,000 to train, last 2,000 to test), signs (gtsrb32.npz with
its own test part), steel (three kinds of defects in whole images of steel-strip, every third of a kind to test, twins
on one side). `signs-small` and `synthetic-signs` use the small net; the latter needs no data. Nothing is chosen on a
test set: every run keeps its last epoch. A run takes one thread; start several for several cores.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pages

from tinympcnn import Net, engine
from tinympcnn.cli.charts import draw_confusion, draw_mistakes
from tinympcnn.cli.classify import compared, measures
from tinympcnn.cli.results import write_table
from tinympcnn.data import downsample, synthetic_signs
from tinympcnn.data.distort import DISTORTIONS, Distortion
from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.data.synthetic.signs import SIGN_NAMES
from tinympcnn.inference.average import average
from tinympcnn.inference.classify import classify
from tinympcnn.io.atomic import replacing
from tinympcnn.io.images import read_images
from tinympcnn.metrics import confusion, mcnemar
from tinympcnn.nn.losses import SoftmaxCrossEntropy
from tinympcnn.training.checkpoint import Checkpoint
from tinympcnn.training.classes import ClassifiedImages
from tinympcnn.training.fit import fit
from tinympcnn.training.objective import Example, image_closure
from tinympcnn.training.recipe import Recipe

DATA = Path(os.environ.get("TINYMPCNN_DATA", "."))
TWINS = (("Pa_101", "Pa_105"), ("Sc_232", "Sc_247"))
KINDS = {"In": "inclusion", "Pa": "patches", "Sc": "scratches"}


class Images(NamedTuple):
    """A set of images, split for training and testing, and the names of its classes."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    names: tuple[str, ...]


class Plan(NamedTuple):
    """How a set is trained."""

    read: Callable[[], Images]
    net: str
    distortion: Distortion
    epochs: int
    lr: float
    batch: int = 32


def digits() -> Images:
    """Read MNIST's test digits: the first 8,000 to train, the last 2,000 to test."""
    file = np.load(DATA / "digits" / "mnist_t10k.npz")
    x, y = file["x"][..., None], file["y"].astype(np.int64)
    return Images((x[:8000], y[:8000]), (x[8000:], y[8000:]), tuple(map(str, range(10))))


def signs() -> Images:
    """Read the traffic signs with their own test part."""
    file = np.load(DATA / "traffic-signs" / "gtsrb32.npz")
    parts = [(file[f"x_{part}"], file[f"y_{part}"].astype(np.int64)) for part in ("train", "test")]
    return Images(parts[0], parts[1], tuple(map(str, range(43))))


def synthetic() -> Images:
    """Draw 1,200 synthetic signs to train and 1,200 to test."""
    return Images(synthetic_signs(1200, 32, rng=0), synthetic_signs(1200, 32, rng=1), SIGN_NAMES)


def steel() -> Images:
    """Read whole steel images, a quarter of their size, by kind of defect; every third of a kind is tested."""
    pages, names = read_images(DATA / "steel-strip" / "images")
    order = sorted(range(len(names)), key=lambda i: (names[i][:2], int(names[i][3:])))
    test = {names[i] for i in order if int(names[i][3:]) % 3 == 0}
    for one, other in TWINS:
        if one in test:
            test |= {other}
        else:
            test -= {other}
    x = np.stack([np.rint(downsample(pages[i][:, :, :1], 4)) for i in order]).astype(np.uint8)
    y = np.array([list(KINDS).index(names[i][:2]) for i in order])
    held = np.array([names[i] in test for i in order])
    return Images((x[~held], y[~held]), (x[held], y[held]), tuple(KINDS.values()))


PLANS = {
    "digits": Plan(digits, "dannet-digits", DISTORTIONS["digits"], 30, 1e-3),
    "signs": Plan(signs, "dannet-signs", DISTORTIONS["signs"], 25, 5e-4),
    "signs-small": Plan(signs, "dannet-signs-small", DISTORTIONS["signs"], 60, 3e-3),
    "synthetic-signs": Plan(synthetic, "3x32x32-16C5-MP2-32C3-MP2-64C3-MP2-100N-12N", DISTORTIONS["signs"], 30, 3e-3),
    "steel": Plan(
        steel,
        "1x48x48-16C5-MP2-32C5-MP2-64C4-MP2-100N-3N",
        Distortion(translation=0.1, scale=0.15, rotation=5),
        60,
        2e-3,
    ),
}


HEADS = {
    "column": "column",
    "columns": "columns",
    "wrong": "wrong",
    "images": "images",
    "error": "error (%)",
    "top2_error": "top-2 error (%)",
    "error_rejecting_1": "error, 1 % rejected (%)",
    "error_rejecting_5": "error, 5 % rejected (%)",
}
SPEED_HEADS = {
    "net": "net",
    "batch": "batch",
    "who": "who",
    "threads": "threads",
    "ms_per_image_processor_median": "processor, median (ms)",
    "ms_per_image_processor_least": "processor, least (ms)",
    "ms_per_image_clock_median": "clock, median (ms)",
    "ms_per_image_clock_least": "clock, least (ms)",
}


def train(options: argparse.Namespace) -> None:
    """Train one column; go on where an earlier run of the same command was stopped."""
    engine.set_threads(1)
    plan = PLANS[options.set]
    images = plan.read()
    recipe = Recipe(options.epochs or plan.epochs, options={"lr": plan.lr}, seed=options.seed)
    net = Net.from_spec(plan.net, rng=options.seed)
    net.class_names, net.preprocessing = images.names, Preprocessing.parse(options.column).config()
    net.record = {"set": options.set, "net": plan.net, "distortion": asdict(plan.distortion), "batch": plan.batch}
    place = Path(options.output, f"{options.set}_{options.column}_{options.seed}")
    place.parent.mkdir(parents=True, exist_ok=True)
    data = ClassifiedImages(net, *images.train, plan.distortion, plan.batch, options.seed)
    records = []
    for record in fit(net, data, recipe, checkpoint=Checkpoint(f"{place}.checkpoint.npz", resume=True)):
        records.append(record)
        print(
            f"{place.name}: epoch {record['epoch']}, loss {record['loss_train']:.4f}, {record['seconds']:.0f} s",
            flush=True,
        )
    _, records = Checkpoint(f"{place}.checkpoint.npz").peek()
    write_table(f"{place}.csv", records)
    net.save(f"{place}.npz")


def test(options: argparse.Namespace) -> None:
    """Test every column of a set in a folder, the committees, and what preprocessings give beside seeds."""
    x, y = (images := PLANS[options.set].read()).test
    columns = {
        path.stem.removeprefix(f"{options.set}_"): Net.load(path)
        for path in sorted(Path(options.runs).glob(f"{options.set}_*.npz"))
        if re.fullmatch(rf"{options.set}_[a-z0-9]+_[0-9]+", path.stem)
    }
    opinions = {name: classify(net, x) for name, net in columns.items()}
    committees: dict[str, list[str]] = {}
    for name in opinions:
        committees.setdefault(f"preprocessings_{name.split('_')[1]}", []).append(name)
    committees |= {"seeds": [name for name in opinions if name.startswith("none_")], "all": list(opinions)}
    committees = {name: members for name, members in committees.items() if len(members) > 1}
    answers = {name: average([opinions[member] for member in members]) for name, members in committees.items()}
    rows = [(name, 1, *numbers(p, y)) for name, p in opinions.items()]
    rows += [(name, len(members), *numbers(answers[name], y)) for name, members in committees.items()]
    for name, members in committees.items():
        for what, value in compared([opinions[member] for member in members], y, members).items():
            print(f"{name}: {what} {value:.4g}")
    for name, p in answers.items() if "seeds" in answers else ():
        if name != "seeds":
            wrong = [who.argmax(axis=1) != y for who in (p, answers["seeds"])]
            print(f"{name} against seeds: McNemar's p {mcnemar(*wrong):.4g}")
    p = average(list(opinions.values()))
    folder = Path(options.output)
    with replacing(folder / f"{options.set}.csv") as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["column", "columns", "wrong", "images", "error", "top2_error", "error_rejecting_1", "error_rejecting_5"]
        )
        writer.writerows(rows)
    for row in rows:
        print(*row)
    C = confusion(p.argmax(axis=1), y, len(images.names))
    print(
        "error by class:",
        {n: round(float(1 - C[k, k] / C[k].sum()), 4) for k, n in enumerate(images.names) if C[k].sum()},
    )
    draw_confusion(folder / f"{options.set}_confusion.png", C, images.names)
    if options.set.startswith("synthetic"):  # pictures of real images stay out of the repository
        draw_mistakes(folder / f"{options.set}_mistakes.png", x, y, p, images.names)


def numbers(p: np.ndarray, y: np.ndarray) -> tuple[str, ...]:
    """Return what a row of the table holds of one column or committee."""
    found = measures(p, y)
    rest = [value for name, value in found.items() if name not in ("wrong",)]
    return (str(found["wrong"]), str(len(y)), *(f"{value:.4f}" for value in rest))


def speed(options: argparse.Namespace) -> None:
    """Time training steps of both nets on batches of 32 and 1, beside PyTorch where it is installed.

    Everybody has a turn in each round. Beside the time on the clock stands that of the processor, over all threads,
    which other work on the machine stretches less.
    """
    rows = []
    for name in ("dannet-digits", "dannet-signs"):
        net = Net.from_spec(name, rng=0)
        for batch in (32, 1):
            x = np.random.default_rng(0).standard_normal((batch, *net.field_of_view, net.in_maps)).astype(np.float32)
            target = np.arange(batch).reshape(-1, 1, 1) % net.out_maps
            step = image_closure(net, Example(x, target), SoftmaxCrossEntropy())
            steps = {"tinympcnn": step, **twins(net, x, target)}
            took: dict[str, list[tuple[float, float]]] = {who: [] for who in steps}
            for _ in range(options.rounds):
                for who, run in steps.items():
                    run()
                    start, busy = time.perf_counter(), time.process_time()
                    run()
                    took[who].append((time.perf_counter() - start, time.process_time() - busy))
            for who, times in took.items():
                ms = 1e3 * np.array(times) / batch
                numbers = (*np.median(ms, axis=0), *ms.min(axis=0))
                rows.append((name, batch, who, engine.get_threads(), *(f"{value:.4f}" for value in numbers)))
                print(*rows[-1], flush=True)
    with replacing(options.output) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        columns = ("clock_median", "processor_median", "clock_least", "processor_least")
        writer.writerow(["net", "batch", "who", "threads", *(f"ms_per_image_{time}" for time in columns)])
        writer.writerows(rows)


def page(options: argparse.Namespace) -> None:
    """Fill the tables of the page from the CSV files in the folder of its name."""
    path = Path(options.output)

    def table(names: list[str]) -> pages.Table:
        (name,) = names
        rows = pages.read(path.with_suffix("") / f"{name}.csv")
        for row in rows if name != "speed" else []:
            row["column"] = re.sub(r"^([a-z0-9]+)_(\d+)$", r"\1,&nbsp;seed&nbsp;\2", row["column"])
        return pages.chosen(rows, SPEED_HEADS, digits=2) if name == "speed" else pages.chosen(rows, HEADS)

    pages.fill(path, {"table": table})


def twins(net: Net, x: np.ndarray, target: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return the same step in PyTorch, in both memory formats; nothing where PyTorch is missing."""
    try:
        import torch
        import torch.nn.functional as F
    except ImportError:
        print("PyTorch is not installed: its steps are left out")
        return {}
    torch.set_num_threads(engine.get_threads())

    def make(form: torch.memory_format) -> Callable[[], object]:
        images = torch.tensor(x.transpose(0, 3, 1, 2)).contiguous(memory_format=form)
        classes = torch.tensor(target.ravel())
        params = {
            id(layer): (
                torch.tensor(layer.params["W"].transpose(3, 2, 0, 1)).contiguous(memory_format=form).requires_grad_(),
                torch.tensor(layer.params["b"]).requires_grad_(),
            )
            for layer in net.layers
            if layer.params
        }

        def step() -> float:
            y = images
            for layer in net.layers:
                if layer.params:
                    y = F.conv2d(y, *params[id(layer)])
                else:
                    y = F.max_pool2d(y, layer.k) if hasattr(layer, "k") else y.tanh_()
            loss = F.cross_entropy(y.flatten(1), classes)
            for pair in params.values():
                for param in pair:
                    param.grad = None
            loss.backward()
            return loss.item()

        return step

    return {
        "PyTorch, default": make(torch.contiguous_format),
        "PyTorch, channels_last": make(torch.channels_last),
    }


def main() -> None:
    """Run one of the commands above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("train")
    one.add_argument("set", choices=PLANS)
    one.add_argument("column", help="the preprocessing: none, width12, imadjust, histeq, adapthisteq, conorm")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--epochs", type=int)
    one.set_defaults(run=train)
    two = commands.add_parser("test")
    two.add_argument("set", choices=PLANS)
    two.add_argument("runs")
    two.set_defaults(run=test)
    three = commands.add_parser("speed")
    three.add_argument("--rounds", type=int, default=15)
    three.set_defaults(run=speed)
    four = commands.add_parser("page")
    four.set_defaults(run=page)
    for command in (one, two, three, four):
        command.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
