"""The exercises of a notebook, run as there: for tests, for ``make progress``, and for notebooks that build on them.

An exercise is a cell tagged `exercise` that ends in calls of functions whose names start with ``grade``. It works with
the first code cell and with cells tagged `setup` alone.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import json
import linecache
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from course import TUTORIALS


class Cell(NamedTuple):
    """A code cell: its source and its tags."""

    source: str
    tags: tuple[str, ...]


class Result(NamedTuple):
    """What came of an exercise: whether all verdicts are right, what was printed, and the names it defines."""

    right: bool
    words: str
    space: dict[str, Any]


def number_of(path: Path) -> str:
    """Return the number of a notebook, such as "04" or "12b"."""
    return path.stem.split("_")[0]


def code_cells(path: Path) -> list[Cell]:
    """Return the code cells of a notebook, or of its text source."""
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    else:
        import jupytext

        cells = jupytext.read(path, fmt="py:percent").cells
    return [
        Cell("".join(cell["source"]), tuple(cell["metadata"].get("tags", ())))
        for cell in cells
        if cell["cell_type"] == "code"
    ]


def solutions(number: str) -> ModuleType:
    """Return the module of a notebook's solutions."""
    spec = importlib.util.spec_from_file_location(f"solutions_{number}", TUTORIALS / "solutions" / f"{number}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Exercises:
    """The exercises of one notebook (or of its text source), each of which can be judged with any answers."""

    def __init__(self, path: Path) -> None:
        self.path, cells = path, code_cells(path)
        self.setup = [cell.source for i, cell in enumerate(cells) if i == 0 or "setup" in cell.tags]
        self.cells = [cell.source for cell in cells if "exercise" in cell.tags]
        self.names = [_defined(source) for source in self.cells]

    def start(self) -> dict[str, Any]:
        """Return the names that an exercise starts with."""
        space: dict[str, Any] = {"__name__": "__main__"}
        with contextlib.redirect_stdout(io.StringIO()):
            for i, source in enumerate(self.setup):
                exec(_compiled(source, f"{self.path.stem}, setup {i + 1}"), space)
        return space

    def judge(self, i: int, space: Mapping[str, Any], answers: Mapping[str, Any] | None = None) -> Result:
        """Judge exercise i, which starts with the names in `space`, with `answers` in place of its own definitions."""
        space, out = dict(space), io.StringIO()
        body, graded = _parts(self.cells[i])
        with contextlib.redirect_stdout(out):
            exec(_compiled(body, f"{self.path.stem}, exercise {i + 1}", self.cells[i]), space)
            space |= answers or {}
            right = [bool(eval(compile(ast.Expression(call), "grading", "eval"), space)) for call in graded]
        return Result(all(right), out.getvalue(), space)


def _parts(source: str) -> tuple[ast.Module, list[ast.expr]]:
    """Return the definitions of an exercise, and its grading calls."""
    body = ast.parse(source).body
    graded = [node for node in body if isinstance(node, ast.Expr) and _is_grading(node.value)]
    return ast.Module([node for node in body if node not in graded], []), [node.value for node in graded]


def _is_grading(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("grade")


def _defined(source: str) -> set[str]:
    """Return the names that an exercise defines: its functions, classes and variables."""
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _compiled(code: str | ast.Module, name: str, source: str = "") -> Any:
    """Compile a cell, and remember its lines, so that a traceback and a verdict can show them."""
    text = source or str(code)
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    return compile(code, name, "exec")
