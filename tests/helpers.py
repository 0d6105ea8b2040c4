"""What several test files need beside fixtures: arrays, files of every kind, and how results are judged."""

from __future__ import annotations

import ast
import csv
import functools
import random
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import tinympcnn
from tinympcnn import Layer
from tinympcnn.cli.models import Machine
from tinympcnn.cli.segment import Steps, segment_files

# --------------------------------------------------------------------------------------------------- the package

PACKAGE = Path(tinympcnn.__file__).parent


@functools.cache
def syntax() -> dict[str, list[ast.AST]]:
    """Return the nodes of the syntax tree of every module of the package, by its path, such as nn/losses.py."""
    paths = sorted(PACKAGE.rglob("*.py"))
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    return {name: list(ast.walk(ast.parse(text))) for name, text in texts.items()}


# ------------------------------------------------------------------------------------------------------- layers


def placed(layer: Layer, device: Any, dtype: Any = np.float64, seed: int = 5) -> Layer:
    """Return `layer` on the device, in `dtype`, with biases that are not zero."""
    rng = np.random.default_rng(seed)

    def value(param: Any) -> Any:
        host = rng.standard_normal(param.shape) if param.ndim == 1 else param
        return device.asarray(np.asarray(host, dtype))

    return layer.copied(value, lambda grad: device.asarray(np.zeros(grad.shape, dtype)))


def noise(device: Any, shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> Any:
    """Return normal random numbers on the device."""
    return device.asarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def close(device: Any, got: Any, wanted: Any, dtype: Any = np.float64) -> None:
    """Check shape, dtype and, relative to the norm, the values."""
    got, wanted = device.asnumpy(got), device.asnumpy(wanted)
    assert got.shape == wanted.shape and got.dtype == wanted.dtype == dtype
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    assert np.linalg.norm(got - wanted) <= tolerance * max(float(np.linalg.norm(wanted)), 1e-30)


# -------------------------------------------------------------------------------------------------------- course

TUTORIALS = Path(__file__).resolve().parents[1] / "tutorials"


class Course:
    """One tutorial's exercises, and their solutions; the fixture `course_of` makes it where the notebooks run."""

    def __init__(self, source: Path) -> None:
        from course.exercises import Exercises, number_of, solutions

        notebook = source.with_suffix(".ipynb")  # to read it takes less than jupytext takes to be imported
        self.exercises = Exercises(notebook if notebook.exists() else source)
        self.solutions = solutions(number_of(source))
        self.start = self.exercises.start()

    def answers(self, i: int) -> dict[str, Any]:
        """Return the solutions to exercise i by name."""
        known = vars(self.solutions)
        return {name: known[name] for name in self.exercises.names[i] if name in known}

    def judge(self, i: int, answers: dict[str, Any], given: dict[str, Any] | None = None) -> Any:
        """Return (all verdicts are right, what was printed) for exercise i with `answers` in place of the blanks.

        What the exercise starts with are `given` names, by default the solutions to earlier exercises.
        """
        if given is None:
            given = {name: value for earlier in range(i) for name, value in self.answers(earlier).items()}
        return self.exercises.judge(i, self.start | given, answers)[:2]


tutorial = functools.cache(Course)

# -------------------------------------------------------------------------------------------------------- files


def pixels(*shape: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    """Return random pixels: integers from 0 to the largest of `dtype`, or normal numbers if it is a float type."""
    rng = np.random.default_rng(seed)
    whole = np.dtype(dtype).kind in "ui"
    return (rng.integers(0, np.iinfo(dtype).max + 1, shape) if whole else rng.normal(size=shape)).astype(dtype)


def written(path: Path, array: np.ndarray, **options: Any) -> Path:
    """Write a TIFF file by tifffile; return its path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile warns of stacks that it takes for colour
        tifffile.imwrite(path, array, **options)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Counted:
    """An image of which every slice of rows is noted."""

    def __init__(self, image: np.ndarray) -> None:
        self.image, self.shape = image, image.shape
        self.taken: list[tuple[int, int]] = []

    def __getitem__(self, rows: slice) -> np.ndarray:
        self.taken.append((rows.start, rows.stop))
        return self.image[rows]


PLAIN: dict[str, Any] = {"photometric": "minisblack"}
IMAGEJ_ZCYX: dict[str, Any] = {"imagej": True, "metadata": {"axes": "ZCYX"}}
OME_TZCYX: dict[str, Any] = {"ome": True, "metadata": {"axes": "TZCYX"}}
SEEDS = [  # arrays and the options to write them with: what the fuzz tests mutate
    (pixels(4, 20, 30), PLAIN),
    (pixels(4, 20, 30), {"imagej": True, "metadata": {"axes": "ZYX"}}),
    (pixels(3, 40, 30), {**PLAIN, "compression": "zlib", "tile": (16, 16)}),
    (pixels(2, 20, 30, dtype=np.float32), {"ome": True, "metadata": {"axes": "ZYX"}}),
    (pixels(20, 30, 3), {"photometric": "rgb", "compression": "lzw"}),
]


def lengths(short: int, full: int) -> pytest.MarkDecorator:
    """Run a fuzz test with few cases, and with all of them where the slow tests run."""
    return pytest.mark.parametrize("cases", [short, pytest.param(full, marks=pytest.mark.slow)])


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """Return a file with a few bytes changed, mostly in its headers, and sometimes cut off."""
    data = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        place = chance.randrange(min(len(data), 700) if chance.random() < 0.85 else len(data))
        data[place] = chance.choice([0, 1, 2, 127, 255, chance.randrange(256)])
    return bytes(data[: chance.randrange(len(data))] if chance.random() < 0.1 else data)


# --------------------------------------------------------------------------------------------- the command line


def segmented(images: list[Path], model: Any, output: Path, said: list[str] | None = None, **options: Any) -> Any:
    """Call `segment_files`, its options in one list; return what it wrote."""

    def taken(group: Any) -> Any:
        return group(**{field.name: options.pop(field.name) for field in fields(group) if field.name in options})

    steps, machine = taken(Steps), taken(Machine)
    echo = (lambda line: None) if said is None else said.append
    return segment_files(images, model, output, steps, machine, **options, echo=echo)


def refused(answer: tuple[int, str, str], code: int, words: str) -> None:
    """Check that a command ended with one sentence that holds `words`."""
    assert answer[0] == code, answer
    assert answer[2].startswith("tinympcnn: ") and answer[2].count("\n") == 1 and "Traceback" not in answer[2]
    assert words in answer[2] and len(answer[2]) < 700
    assert answer[2].strip()[-1] not in ":,"
