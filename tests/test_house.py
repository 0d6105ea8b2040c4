"""The house: imports run downward and never in a circle, the reading list is true, and importing loads little."""

import ast
import re
import subprocess
import sys

import pytest
from helpers import PACKAGE, syntax

import tinympcnn

FLOORS = (  # from the top; a part may import from its own floor and from those below
    {"cli", "__main__"},
    {"__init__"},
    {"zoo"},
    {"net"},
    {"training", "inference", "explore"},
    {"io", "gradcheck"},
    {"nn", "data"},
    {"engine", "metrics"},
    {"errors"},
)
FLOOR = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
ROOT = "tinympcnn"


MODULES = {f"{ROOT}.{path.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__"): path for path in syntax()}


def imports(module):
    """Return the modules of the package that a module imports anywhere: inside functions and TYPE_CHECKING too."""
    found = set()
    for node in syntax()[MODULES[module]]:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):  # absolute: ruff refuses others
            names = {f"{node.module}.{one.name}" for one in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return {name for name in found if name in MODULES and name != module}


GRAPH = {module: imports(module) for module in MODULES}


def part(module):
    return "__init__" if module == ROOT else module.split(".")[1]


def test_every_part_has_a_floor():
    assert {part(module) for module in MODULES} == set(FLOOR)


@pytest.mark.parametrize("module", MODULES)
def test_no_import_runs_upward(module):
    upward = {other for other in GRAPH[module] if FLOOR[part(other)] < FLOOR[part(module)]}
    assert not upward, f"{module} stands on a lower floor than {sorted(upward)}"


def test_no_import_runs_in_a_circle():
    left = dict(GRAPH)
    while free := [m for m in left if not GRAPH[m] & set(left) or not any(m in GRAPH[other] for other in left)]:
        for module in free:
            del left[module]
    assert list(left) == [], "these import each other in a circle"


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, tinympcnn; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"tifffile", "PIL", "scipy", "matplotlib", "cupy", "imagecodecs", "onnx"} == set()


def test_the_reading_list_names_files_that_exist():
    paths = re.findall(r"^    (\S+\.py) +\S", tinympcnn.__doc__, re.MULTILINE)
    assert len(paths) > 20 and len(set(paths)) == len(paths)
    assert [path for path in paths if not (PACKAGE / path).is_file()] == []


def test_no_module_sends_the_reader_on():
    texts = {path: (PACKAGE / path).read_text(encoding="utf-8") for path in syntax()}
    assert [path for path, text in texts.items() if "Read next" in text] == []
