"""The code that the tutorials share: `figures` draws, `show` displays a figure, `grade` judges an exercise."""

from pathlib import Path

TUTORIALS = Path(__file__).resolve().parent.parent
MODELS = TUTORIALS / "models"
"""The folder of the trained nets, wherever the kernel was started."""
