"""Mutated files through the whole command line: a result, or one sentence and an exit code, soon, in little memory.

The readers have fuzz tests of their own (``test_data_tiff.py``, ``test_data_images.py``, ``test_modelfile.py``); what
they let pass has to do no harm further on: in training, in segmentation, in writing.
"""

import random
import time

import numpy as np
import pytest
from helpers import PLAIN, SEEDS, lengths, mutated, pixels, written

from tinympcnn import Net
from tinympcnn.engine.limits import resident_memory
from tinympcnn.io.tiff import rows

SECONDS = 5  # for one case; the slowest seen took a tenth of a second


@pytest.fixture
def harmless(run, tmp_path):
    """Return a function that runs a command and checks how it ends."""
    held = resident_memory()

    def check(*words):
        before, start = set(tmp_path.iterdir()), time.perf_counter()
        code, _, complaint = run(*words, "--threads", "1") if words[0] != "evaluate" else run(*words)
        assert code in (0, 1, 2) and (code == 0) == (complaint == ""), complaint
        assert code == 0 or (complaint.startswith("tinympcnn: ") and complaint.count("\n") == 1), complaint
        assert time.perf_counter() - start < SECONDS and resident_memory() < held + 2**28
        made = {path.name for path in set(tmp_path.iterdir()) - before}
        assert code == 0 or made <= {"out"}
        assert not list(tmp_path.glob("**/.*"))

    return check


@lengths(5, 80)
@pytest.mark.parametrize("command", ["train", "segment", "evaluate"])
@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_mutated_images(harmless, tmp_path, monkeypatch, command, seed, cases):
    monkeypatch.setattr(rows, "AT_ONCE", 200)  # so that pages are read by rows
    array, options = SEEDS[seed]
    whole, chance = written(tmp_path / "a.tif", array, **options).read_bytes(), random.Random(seed)
    image, model, labels = tmp_path / "a.tif", tmp_path / "m.npz", tmp_path / "labels.tif"
    Net.from_spec("C3x3x2 FC2", 3 if array.shape[-1] == 3 else 1, rng=0).save(model)
    written(labels, (pixels(*array.shape[:3] if array.shape[-1] != 3 else (20, 30)) > 99).astype(np.uint8), **PLAIN)
    numpy = ["--backend", "numpy"]
    words = {
        "train": ["-i", image, "-l", labels, "-o", tmp_path / "n.npz", "--net", "FC2", "--epochs", "1", *numpy],
        "segment": ["-i", image, "-m", model, "-o", tmp_path / "out", "--force", *numpy],
        "evaluate": ["-p", image, "-l", labels],
    }[command]
    harmless(command, *words)
    for _ in range(cases):
        image.write_bytes(mutated(whole, chance))
        harmless(command, *words)


@lengths(15, 240)
def test_mutated_models(harmless, tmp_path, cases):
    image, model, chance = written(tmp_path / "a.tif", pixels(20, 30)), tmp_path / "m.npz", random.Random(0)
    net = Net.from_spec("C3x3x2 FC2", rng=0)
    net.normalisation, net.class_values = (np.array([100.0]), np.array([50.0])), (0, 255)
    net.save(model)
    whole = model.read_bytes()
    for _ in range(cases):
        model.write_bytes(mutated(whole, chance))
        harmless("segment", "-i", image, "-m", model, "-o", tmp_path / "out", "--force", "--backend", "numpy")
