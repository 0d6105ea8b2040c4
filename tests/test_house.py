"""The house: imports run downward and never in a circle, the reading list is true, and importing loads little."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinympcnn

PACKAGE = Path(tinympcnn.__file__).parent
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


def module_of(path):
    return ".".join([ROOT, *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def package_of(module):
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module):
    """Return the modules of the package that a module imports anywhere: inside functions and TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = (
                [] if not node.level else package_of(module).split(".")[: None if node.level == 1 else 1 - node.level]
            )
            source = ".".join([*above, *([node.module] if node.module else [])])
            found |= {name if (name := f"{source}.{one.name}") in MODULES else source for one in node.names}
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
    assert [module for module, path in MODULES.items() if "Read next" in path.read_text()] == []
