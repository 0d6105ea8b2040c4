"""The task of tutorials 06 and 11: one net, one set of synthetic membranes, and learning curves kept in files.

06 trains the net on patches, 11 trains the same net from the same start on whole images, and both draw both curves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinympcnn import Net
from tinympcnn.data import synthetic_membranes
from tinympcnn.training.dataset import mean_and_std

SPEC = "C5x5x8 MPF2x2 C5x5x16 MPF2x2 C4x4x16 MPF2x2 FC2x2x16 FC2"
SEED = 6
CURVES = Path(__file__).parent / "curves"


class Task(NamedTuple):
    """Training images (n, H, W, 1) with labels (n, H, W), and a held-out image (H, W, 1) with its labels (H, W)."""

    images: np.ndarray
    labels: np.ndarray
    held_image: np.ndarray
    held_labels: np.ndarray


def membrane_task(n: int = 4, size: int = 128) -> Task:
    """Return `n` synthetic slices of size x size pixels to train on and one to test on; class 1 is the interior."""
    images, labels = synthetic_membranes(n + 1, size, rng=SEED)
    labels = (labels > 0).astype(np.int64)
    return Task(images[:n, ..., None], labels[:n], images[n, ..., None], labels[n])


def membrane_net(task: Task) -> Net:
    """Return the net of the task with its first weights, and with the mean and deviation of the training images."""
    net = Net.from_spec(SPEC, rng=SEED)
    net.normalisation = mean_and_std(list(task.images))
    return net


def held_pixels(task: Task, n: int = 500) -> np.ndarray:
    """Return `n` places (row, column) of the held-out image, (n, 2), at which training measures the error."""
    return np.random.default_rng(SEED).integers(0, task.held_labels.shape, (n, 2))


def keep_curve(name: str, curve: Sequence[dict[str, float]]) -> Path:
    """Write a learning curve of yours to ``curves/yours/NAME.json``, over an earlier one, and return the path.

    Parameters
    ----------
    curve : sequence of dict
        One point each: seconds of training, windows seen, updates, loss, error (on `held_pixels`).
    """
    path = _yours(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    points = ",\n ".join(json.dumps({key: round(value, 4) for key, value in point.items()}) for point in curve)
    path.write_text(f"[{points}]\n")
    return path


def kept_curve(name: str) -> tuple[str, list[dict[str, float]]]:
    """Return ("yours", the curve that `keep_curve` wrote), or ("the course's", the one that comes with the course)."""
    label, path = "yours", _yours(name)
    if not path.exists():
        label, path = "the course's", CURVES / path.name
    return label, json.loads(path.read_text())


def _yours(name: str) -> Path:
    return Path(os.environ.get("TUTORIALS_YOURS", CURVES / "yours")) / f"{name}.json"
