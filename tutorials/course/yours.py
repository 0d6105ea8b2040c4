"""Your own answers of earlier notebooks, to build on them: ``YourConv = yours("04", "YourConv")``."""

from __future__ import annotations

from typing import Any

from course import TUTORIALS
from course.exercises import Exercises, solutions


def yours(number: str, name: str) -> Any:
    """Return your answer to an exercise from the saved notebook `number`, if it is right, or else the solution.

    Parameters
    ----------
    number : str
        The number of the notebook, such as "04".
    name : str
        The name of the function or class that the exercise asks for.
    """
    for notebook in TUTORIALS.glob(f"{number}_*.ipynb"):
        try:
            exercises = Exercises(notebook)
            asked = (i for i, names in enumerate(exercises.names) if name in names)
            found = exercises.judge(next(asked), exercises.start())
        except Exception:  # a reader's cell may raise anything
            break
        if found.right:
            print(f"{name}: yours, from notebook {number}")
            return found.space[name]
    try:
        solution = getattr(solutions(number), name)
    except FileNotFoundError:
        raise RuntimeError(f"this notebook builds on your {name}: solve notebook {number}, and save it") from None
    print(f"{name}: the course's; yours is taken once notebook {number} is solved and saved")
    return solution
