"""Run the tutorials and write their notebooks: ``python tutorials/build.py [--check] [--to FOLDER] [NN ...]``.

The text sources ``NN_name.py`` (jupytext's percent format) are edited and reviewed. This script makes the notebooks
``NN_name.ipynb`` from the sources, each in a fresh kernel, with outputs, and ``banners/NN.png`` from the figure of the
cell tagged `banner`. The notebooks are committed, so that a code-hosting page shows them. ``--check`` runs nothing and
tells whether a notebook has the same cells as its source.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
TIMEOUT = 300  # seconds a cell may take


def sources(chosen: list[str]) -> list[Path]:
    """Return the sources whose number or name was chosen; all of them if none was."""
    found = sorted(HERE.glob("[0-9][0-9]*_*.py"))
    for choice in chosen:
        if not any(source.name.startswith(choice) for source in found):
            raise SystemExit(f"no tutorial starts with {choice!r}; there are {', '.join(s.stem for s in found)}")
    return [s for s in found if not chosen or any(s.name.startswith(choice) for choice in chosen)]


def number(source: Path) -> str:
    """Return the number of a tutorial, such as "04" or "12b"."""
    return source.stem.split("_")[0]


def read(source: Path) -> NotebookNode:
    """Return the notebook that a source describes, without outputs, and with nothing in it that may vary."""
    notebook = jupytext.read(source, fmt="py:percent")
    cells = []
    for i, cell in enumerate(notebook.cells):
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        tags = cell.metadata.get("tags")
        cells.append(
            make(cell.source, id=f"{source.stem.split('_')[0]}-{i:02}", metadata={"tags": tags} if tags else {})
        )
    metadata = {
        "jupytext": {"formats": "ipynb,py:percent"},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run a notebook in a fresh kernel of this Python, which finds the library and `course` beside the sources."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernel, not one of the user's with the same name
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # or the kernel's debugger prints a warning
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(HERE)}},
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TUTORIALS_YOURS"] = folder  # a build neither takes nor leaves curves of a reader
        client.execute()
    notebook.metadata["language_info"] = {"name": "python"}  # the kernel has put its versions there
    return notebook


def banner(notebook: NotebookNode) -> bytes | None:
    """Return the first figure of the cell tagged `banner`, as a PNG."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []) if "banner" in cell.metadata.get("tags", []) else []:
            if "image/png" in output.get("data", {}):
                return base64.b64decode(output.data["image/png"])
    return None


def drift(source: Path) -> str | None:
    """Say in words how a notebook differs from its source, or return None."""
    target = source.with_suffix(".ipynb")
    if not target.exists():
        return f"{target.name} is missing"
    wanted, found = read(source).cells, nbformat.read(target, as_version=4).cells
    for i, (a, b) in enumerate(zip(wanted, found, strict=False)):
        if (a.cell_type, a.source, a.metadata.get("tags")) != (b.cell_type, b.source, b.metadata.get("tags")):
            return f"{target.name}, cell {i}, is not the source's"
    if len(wanted) != len(found):
        return f"{target.name} has {len(found)} cells and its source {len(wanted)}"
    return None


def main(arguments: list[str] | None = None) -> int:
    """Build or check the tutorials that were chosen; return the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "chosen", nargs="*", metavar="NN", help="The numbers or names of the tutorials. The default is all."
    )
    parser.add_argument(
        "--check", action="store_true", help="Run nothing; say which notebooks differ from their sources."
    )
    parser.add_argument(
        "--to", type=Path, default=HERE, help="The folder for the notebooks. The default is that of the sources."
    )
    options = parser.parse_args(arguments)
    failed = 0
    for source in sources(options.chosen):
        if options.check:
            words = drift(source)
            failed += words is not None
            print(f"{words}: run tutorials/build.py {source.stem}" if words else f"{source.stem}: pair is equal")
            continue
        started = time.perf_counter()
        notebook = read(source)
        try:
            execute(notebook)
        except CellExecutionError as error:
            failed += 1
            print(f"{source.stem} failed:\n{error}", file=sys.stderr)
            continue
        target = options.to / f"{source.stem}.ipynb"
        nbformat.write(notebook, target)
        if picture := banner(notebook):
            path = options.to / "banners" / f"{number(source)}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture)
        print(
            f"{source.stem}: {time.perf_counter() - started:.1f} s, {target.stat().st_size / 1000:.0f} kB", flush=True
        )
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
