"""What `tinympcnn info` says: about the machine, and what a net costs before it runs."""

import re

import numpy as np
import pytest

from tinympcnn import Net, SoftmaxCrossEntropy, engine, zoo
from tinympcnn.cli import info
from tinympcnn.inference.tiling import DEFAULT_MEMORY, tile_memory


def test_system_names_versions_blas_threads_and_overrides(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    text = info.system()
    assert f"NumPy {np.__version__}" in text and "BLAS: " in text and "vector units: " in text
    assert "OPENBLAS_CORETYPE=Haswell" in text
    assert f"threads in use: {engine.get_threads()}" in text and "backend: " in text


def test_the_ratios_of_the_paper():
    assert info.patch_ratio(zoo.steel(), (60, 137)) == pytest.approx(82, abs=0.5)
    assert info.patch_ratio(zoo.n4(), (512, 512)) == pytest.approx(475, abs=0.5)


def test_patch_ratio_counts_every_patch():
    """One output is one patch: the ratio of an image of one pixel is 1 but for the padding to whole fragments."""
    net = Net.from_spec("C3x3x4 C2x2x4 FC2", rng=0)  # no pools: nothing is padded
    assert info.patch_ratio(net, (1, 1)) == 1
    assert info.patch_ratio(net, (5, 7)) > 1


def test_training_operations_leave_out_the_gradient_of_the_image():
    net = Net.from_spec("C3x2x4 FC5", rng=0)
    first, second = 2 * 3 * 2 * 4 * 5 * 6, 2 * 4 * 5 * 5 * 6  # 7x7 pixels, 5x6 outputs
    assert info.flop_forward(net, (7, 7)) == first + second
    assert info.flop_training(net, (7, 7)) == 2 * first + 3 * second


def test_describe():
    text = info.describe(zoo.steel(), (60, 137))
    assert "field of view 34x34" in text and "mirrored at the borders to 93x170" in text
    assert text.startswith(
        "Each answer looks at 34x34 pixels; patch by patch, an image of 60x137 takes 82 times as many operations.\n"
    )
    assert text.count("FullyConnected") == 2 and re.search(r"to train .* GFLOP a step, \d+ MB\n", text)
    assert info.describe(zoo.steel().as_patch()) == f"Each answer looks at 34x34 pixels.\n\n{zoo.steel()}"


def test_the_memory_to_segment_is_that_of_this_image():
    def said(size):
        found = re.search(r"to segment .* ([\d,]+) MB at most, in tiles of (\d+)x(\d+)", info.describe(zoo.n3(), size))
        return [int(number.replace(",", "")) for number in found.groups()]

    small, large = said((60, 137)), said((20000, 20000))
    assert small[1:] == [60, 137] and small[0] < large[0] / 3
    assert small[0] == round(tile_memory(zoo.n3(), (60, 137), (60, 137)) / 1e6)
    assert large[0] <= DEFAULT_MEMORY / 1e6


def test_describe_named(tmp_path):
    net = Net.from_spec("C3x3x2 MPF2 FC2", rng=0)
    net.save(tmp_path / "model.npz")
    assert info.describe_named(str(tmp_path / "model.npz")) == info.describe_named("C3x3x2 MPF2 FC2")
    assert info.describe_named("C3x3x2 MPF2 FC2").endswith(str(net))
    assert "field of view 95x95" in info.describe_named("N4")
    deep = " ".join(["C3x3x2", *["C3x3x2 C1x1x2"] * 40, "FC2"])  # longer than a name of a file can be
    assert "field of view 83x83" in info.describe_named(deep)


@pytest.mark.parametrize("spec, size", [("C4x4x24 MPF2 C3x3x24 MPF2 FC50 FC2", (150, 140)), ("C3x3x48 FC2", (80, 300))])
def test_training_memory_is_what_a_step_takes(spec, size):
    """The estimate lies between what the storages of a step take in fact and one and a half times that."""
    net = Net.from_spec(spec, rng=0)
    P, Q = net.field_of_view
    images = np.zeros((1, size[0], size[1], 1), np.float32)
    labels = np.zeros((1, size[0] - P + 1, size[1] - Q + 1), int)
    engine.release_memory()
    loss = SoftmaxCrossEntropy()
    loss.forward(net.forward(images), labels)
    net.backward(loss.backward(), input_grad=False)
    from tinympcnn.engine.workspace import _workspace

    assert 0.7 * _workspace.most_leased < info.training_bytes(net, size) < 1.5 * _workspace.most_leased + 4 * (8 << 20)
