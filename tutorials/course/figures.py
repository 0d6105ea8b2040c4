"""All figures of the course under one name: ``figures.some_figure(...)`` returns a figure, ``show`` displays it."""

from course.figures_basics import *  # noqa: F403  tutorials 00 to 03
from course.figures_fragments import *  # noqa: F403  08 to 10
from course.figures_nested import *  # noqa: F403  19
from course.figures_net import *  # noqa: F403  04 to 06: the whole net
from course.figures_patches import *  # noqa: F403  04 to 07
from course.figures_training import *  # noqa: F403  11 to 16
from course.style import show

__all__ = ["show"]
