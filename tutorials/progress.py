"""Say which exercises pass in your saved notebooks: ``make progress``, or ``python tutorials/progress.py [NN ...]``."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from course import TUTORIALS
from course.exercises import Exercises, number_of


def marks(notebook: Path) -> list[str]:
    """Return a mark for each exercise of a notebook: x if the answer is right, . if it is still blank, - if wrong."""
    try:
        exercises = Exercises(notebook)
        start, found = exercises.start(), []
    except Exception as error:  # a reader's cells may raise anything
        return [f"? ({type(error).__name__}: {error})"]
    for i in range(len(exercises.cells)):
        try:
            result = exercises.judge(i, start)
        except Exception:
            found.append("-")
        else:
            blank = re.search(r"\.\.\.\s+# your code", exercises.cells[i])
            found.append("x" if result.right else "." if blank else "-")
            start |= {name: result.space[name] for name in exercises.names[i] if name in result.space}
    return found


def main(chosen: list[str]) -> None:
    """Print one line for each notebook, and the sum."""
    os.chdir(TUTORIALS)  # where the notebooks run
    passed = asked = 0
    for notebook in sorted(TUTORIALS.glob("[0-9][0-9]*_*.ipynb")):
        if chosen and number_of(notebook) not in chosen:
            continue
        found = marks(notebook)
        passed, asked = passed + found.count("x"), asked + len(found)
        title = notebook.stem.split("_", 1)[1].replace("_", " ")
        print(f"{number_of(notebook):<4}{title:<34}{' '.join(found)}", flush=True)
    print(f"{passed} of {asked} exercises pass   (x right, - wrong, . still blank; save a notebook before you ask)")


if __name__ == "__main__":
    main(sys.argv[1:])
