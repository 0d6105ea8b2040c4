"""Exported nets in onnxruntime: what `segment`, `predict` and `classify` give, to 1e-5 of the largest probability."""

from __future__ import annotations

import builtins
import gc
import json
import random
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import PLAIN, lengths, pixels, refused, written

from tinympcnn import Committee, Fragment, Layer, Net
from tinympcnn.cli.export import export_files
from tinympcnn.data.downsample import downsample
from tinympcnn.data.preprocessing import Preprocessing
from tinympcnn.errors import DataError, UsageError
from tinympcnn.inference.calibration import Calibration
from tinympcnn.inference.classify import classify
from tinympcnn.inference.segment import predict

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from tinympcnn.io.onnx.layers import OPERATORS, Maps  # noqa: E402
from tinympcnn.io.onnx.model import Steps, to_onnx  # noqa: E402

UNET = "C3x3x4 [ MP2x2 C3x3x5 [ MP2x3 C3x3x6 U2x3 ] C3x3x3 U2x2 ] C3x3x4 C1x1x2"
SPECS = [
    "C3x3x4 MPF2x2 C2x2x4 FC2",
    "C4x3x4 MPF3x3 C2x3x4 MPF2x2 C2x2x4 FC2x1x5 FC3",
    "C3x3x4 MPF2x3 C3x3x4 MPF3x2 C2x2x4 FC2",
    "C3x3x4 RELU F2x2 C3x3x4 F2x3 C3x3x4 FC2",
    "LC5x3 C3x3x4 MPF2x2 LC3 C2x2x4 FC2",
    "C3x3x4 MPF2x2 [ F2 C3x3x3 MP2 [ C2x3x3 ] ] C2x2x4 MP2 C2x2x4 FC2",
    UNET,
    "C3x3x4 MPF2x3 [ MP2x2 C3x3x5 U2x2 ] C1x1x2",  # a U-Net inside every fragment
    "MP2x2 MPF2x2 C3x3x3 U2x2 C1x1x2",
    "FC3",
]
SIZES = [(1, 1), (1, 7), (2, 3), (13, 7), (29, 34)]


def net_of(spec: str, seed: int = 0, in_maps: int = 1, scale: float = 2.0) -> Net:
    """Return a net with large weights, so that its probabilities differ, and a normalisation."""
    net, rng = Net.from_spec(spec, in_maps, rng=seed), np.random.default_rng(seed)
    for name, param, _ in net.parameters():
        param[...] = rng.normal(0, 0.5, param.shape) if name.endswith("b") else scale * param
    net.normalisation = rng.uniform(100, 150, in_maps), rng.uniform(20, 60, in_maps)
    return net


def answer(model: Any, images: np.ndarray) -> np.ndarray:
    """Return what onnxruntime gives for images (N, H, W, C), with maps last."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {"image": np.moveaxis(images, -1, 1)})[0]
    return np.moveaxis(found, 1, -1)


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape and found.dtype == np.float32
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


def image(size: tuple[int, int], in_maps: int = 1, seed: int = 0) -> np.ndarray:
    return pixels(*size, in_maps, seed=seed).astype(np.float32)


# ---------------------------------------------------------------------------------------------------- segmentation


@pytest.mark.parametrize("spec", SPECS)
def test_onnxruntime_gives_the_probabilities_of_segment(spec):
    net = net_of(spec)
    model = to_onnx([net])
    for size in SIZES:
        same(answer(model, image(size)[None])[0], net.segment(image(size)))
    assert np.ptp(net.segment(image((29, 34)))[..., 0]) > 0.05


@pytest.mark.parametrize("name", ["N3", "N4", "steel"])
def test_the_nets_of_the_paper(name):
    net = net_of(name)
    same(answer(to_onnx([net]), image((33, 50))[None])[0], net.segment(image((33, 50))))


def random_row(chance: random.Random, depth: int = 0, up: bool = False) -> str:
    """Return random words; many of them make no net."""
    words = []
    for _ in range(chance.randint(1, 4)):
        rows, columns = chance.randint(1, 3), chance.randint(1, 3)
        kinds = ["C", "C", "C", "MPF", "MPF", "F", "LC"] + ["["] * (depth < 2)
        kind = chance.choice(kinds)
        if kind == "[":
            inner = chance.random() < 0.5 and up
            words.append(
                f"[ MP{rows}x{columns} {random_row(chance, 2)} U{rows}x{columns} ]"
                if inner
                else f"[ {random_row(chance, depth + 1, up)} ]"
            )
        elif kind == "C":
            words.append(f"C{rows}x{columns}x{chance.randint(1, 4)}{chance.choice(['', ' RELU'])}")
        elif kind == "LC":
            words.append(f"LC{2 * rows - 1}x{2 * columns - 1}")
        else:
            words.append(f"{kind}{rows}x{columns}")
    return " ".join(words)


@lengths(25, 1500)
def test_random_nets_on_images_of_random_sizes(cases):
    chance, tried, done = random.Random(0), 0, []
    while len(done) < cases:
        spec = f"{random_row(chance, up=chance.random() < 0.5)} C1x1x{chance.randint(1, 3)}"
        tried += 1
        in_maps = chance.choice([1, 1, 3])
        try:
            net = net_of(spec, tried, in_maps, 1.5)
        except UsageError:
            continue
        if net.n_params > 3000 or max(net.input_size((1, 1))) > 80:
            continue
        seen = image((chance.randint(1, 30), chance.randint(1, 30)), in_maps, tried)
        steps = Steps(turns=chance.random() < 0.2)
        wanted = net.segment(seen, turns=steps.turns)
        found, tolerance = answer(to_onnx([net], steps), seen[None])[0], 1e-5 * wanted.max()
        if "LC" in spec:  # the local deviation is a difference of squares, of which float32 itself loses digits
            exact = net.astype("float64").segment(seen, turns=steps.turns)
            tolerance += 5 * np.abs(wanted - exact).max()
        assert found.shape == wanted.shape and np.abs(found - wanted).max() <= tolerance, (spec, seen.shape)
        done.append(spec)
    assert tried < 20 * cases
    assert all(any(word in spec for spec in done) for word in ("[", "U", "MPF", " F", "LC", "RELU"))


def test_a_net_of_fragments_is_a_graph_of_dilated_convolutions_and_pools():
    model = to_onnx([Net.from_spec("C3x3x4 MPF2x3 C3x3x4 MPF2x2 C3x3x4 FC2", rng=0)])
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "MaxPool")]
    dilations = [list(a.ints) for node in layers for a in node.attribute if a.name == "dilations"]
    assert [node.op_type for node in layers] == ["Conv", "MaxPool", "Conv", "MaxPool", "Conv", "Conv"]
    assert dilations == [[1, 1], [1, 1], [2, 3], [2, 3], [4, 6], [4, 6]]
    assert not any(a.name == "strides" for node in layers for a in node.attribute)
    assert not {node.op_type for node in model.graph.node} & {"Reshape", "Transpose", "SpaceToDepth"}


def test_several_images_at_once_and_colour():
    net, images = net_of("C3x3x4 MPF2x2 C3x3x4 FC3", in_maps=3), pixels(2, 11, 14, 3).astype(np.float32)
    found = answer(to_onnx([net]), images)
    for one, of in zip(found, images, strict=True):
        same(one, net.segment(of))


@pytest.mark.parametrize("turns", [False, True])
def test_the_mean_of_a_committee_with_a_calibration(turns):
    nets = [net_of(spec, seed) for seed, spec in enumerate(("C3x4x4 MPF3x2 C2x2x4 FC2", UNET, "C5x5x4 FC2"))]
    calibration = Calibration((0.01, 0.3, 2.1, -1.4), (0, 1))
    wanted = calibration(Committee(nets, turns).segment(image((20, 17))))
    model = to_onnx(nets, Steps(turns=turns, calibration=calibration.coefficients))
    same(answer(model, image((20, 17))[None])[0], wanted)
    single = to_onnx(nets)
    assert (
        sum(len(one.raw_data) for one in model.graph.initializer)
        < 1.1 * sum(len(one.raw_data) for one in single.graph.initializer) + 2000
    )  # eight views share the weights


@pytest.mark.parametrize("turns", [False, True])
def test_the_images_that_a_net_predicts(turns):
    net = net_of(UNET.replace("C1x1x2", "C1x1x3"))
    wanted = predict(Committee([net], turns), image((12, 15)))
    model = to_onnx([net], Steps(turns=turns, scores=True))
    same(answer(model, image((12, 15))[None])[0], wanted)
    assert model.graph.output[0].name == "predictions"


@pytest.mark.parametrize("factor", [2, 3])
def test_images_are_shrunk_as_for_training(factor):
    net, seen = net_of("C3x3x4 MPF2x2 C3x3x4 FC2"), image((31, 44))
    same(answer(to_onnx([net], Steps(downsample=factor)), seen[None])[0], net.segment(downsample(seen, factor)))


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_pixels_of_whole_numbers(kind):
    net, seen = net_of("C3x3x4 MPF2x2 C3x3x4 FC2"), pixels(9, 12, 1, dtype=kind)
    net.normalisation = np.array([0.5]) * np.iinfo(kind).max, np.array([0.3]) * np.iinfo(kind).max
    same(answer(to_onnx([net], Steps(pixels=kind)), seen[None])[0], net.segment(seen))


def test_a_bright_image_of_little_contrast_loses_nothing():
    net, seen = net_of("C3x3x4 MPF2x2 C3x3x4 FC2"), 50_000 + image((20, 20)) / 100
    net.normalisation = np.array([50_001.27]), np.array([0.7])
    same(answer(to_onnx([net]), seen[None])[0], net.segment(seen))


def test_what_the_file_says_of_itself(tmp_path, made):
    export_files([made / "model.npz"], tmp_path / "net.onnx", echo=lambda line: None)
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape) == ("image", "tensor(float)", ["N", 1, "H", "W"])
    assert (given.name, given.shape) == ("probabilities", ["N", 2, "H", "W"])
    about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert about["class_values"] == [0, 255] and about["field_of_view"] == [4, 4]
    assert about["records"][0]["epochs"] == 1
    import onnx

    model = onnx.load(tmp_path / "net.onnx")
    assert (model.ir_version, model.opset_import[0].version) == (7, 13)


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize("spec", ["C4x3x4 MPF3x2 C2x2x4 FC2", UNET])
def test_the_middle_of_a_tile_is_that_of_the_whole_image(spec, turns):
    model, seen = to_onnx([net_of(spec)], Steps(turns=turns)), image((96, 96))
    about = {one.key: json.loads(one.value) for one in model.metadata_props}
    (grid_y, grid_x), (halo_y, halo_x) = about["grid"], about["halo"]
    top, left, size = 2 * grid_y, grid_x, 6 * 12
    inside = np.s_[top + halo_y : top + size - halo_y, left + halo_x : left + size - halo_x]
    whole, tile = (answer(model, part[None])[0] for part in (seen, seen[top : top + size, left : left + size]))
    same(tile[halo_y : size - halo_y, halo_x : size - halo_x], whole[inside])
    assert np.abs(tile[0] - whole[top, left : left + size]).max() > 1e-4  # the halo sees mirrored pixels


# -------------------------------------------------------------------------------------------------- classification


def column(spec: str, preprocessing: str, seed: int = 0) -> Net:
    net = Net.from_spec(spec, rng=seed).as_patch()
    for _, param, _ in net.parameters():
        param *= 3
    net.normalisation = np.full(net.in_maps, 0.4), np.full(net.in_maps, 0.3)
    net.class_names = tuple("abc")
    net.preprocessing = Preprocessing.parse(preprocessing).config()
    return net


@pytest.mark.parametrize("kind", ["none", "width4", "imadjust", "histeq", "adapthisteq", "conorm"])
@pytest.mark.parametrize(("size", "maps"), [((13, 13), 1), ((40, 29), 3), ((5, 30), 3), ((4, 4), 1)])
def test_onnxruntime_gives_the_probabilities_of_classify(kind, maps, size):
    net, images = column(f"{maps}x13x13-4C4-MP2-4C2-MP2-9N-3N", kind), pixels(6, *size, maps)
    images[0], images[1, :, :2] = 0, 3  # a black image, and one that is dark at its left
    images[2, : size[0] // 2] //= 40
    images[3, :, 0], images[3, :, -1] = 20, 38  # less and more than a tenth of the brightest
    assert np.ptp(classify(net, images), axis=0).max() > 0.02
    same(answer(to_onnx([net], Steps(pixels="uint8")), images), classify(net, images).astype(np.float32))
    shares = (images / np.float32(255)).astype(np.float32)
    same(answer(to_onnx([net]), shares), classify(net, shares).astype(np.float32))


def test_images_narrower_than_the_common_width_become_nan():
    model = to_onnx([column("1x13x13-4C4-MP2-3N", "width12")], Steps(pixels="uint8"))
    assert np.isnan(answer(model, pixels(1, 20, 11, 1))).all()
    assert np.isfinite(answer(model, pixels(1, 20, 12, 1))).all()


def test_a_committee_of_columns_with_images_that_are_shrunk(run, tmp_path):
    images = pixels(40, 36)
    written(tmp_path / "image.tif", images, **PLAIN)
    for seed, (kind, side) in enumerate((("conorm", 13), ("none", 9))):
        net = column(f"1x{side}x{side}-4C4-MP2-3N", kind, seed)
        net.record = {"downsample": 2}
        net.save(tmp_path / f"{kind}.npz")
    models = [str(tmp_path / "conorm.npz"), str(tmp_path / "none.npz")]
    assert run("export", *models, tmp_path / "both.onnx")[0] == 0
    code, out, _ = run("classify", "-i", tmp_path / "image.tif", "-m", *models, "--csv", tmp_path / "rows.csv")
    assert code == 0, out
    row = (tmp_path / "rows.csv").read_text().splitlines()[1].split(",")
    session = runtime.InferenceSession(tmp_path / "both.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {"image": images[None, None]})[0][0]
    assert ("abc"[found.argmax()], f"{found.max():.4f}") == (row[2], f"{float(row[3]):.4f}")


# -------------------------------------------------------------------------------------------------------- bad input


class Doubled(Layer):
    """A layer of a user's own."""

    letters = ("TWICE",)

    def forward(self, x, train=True):
        return 2 * x

    def backward(self, dy):
        return 2 * dy


def test_a_layer_of_ones_own_is_refused_until_the_table_has_it(register, run, tmp_path, monkeypatch):
    register(Doubled)
    net = net_of("TWICE C3x3x2 MPF2x2 FC2")
    net.save(tmp_path / "own.npz")
    answer_ = run("export", tmp_path / "own.npz", tmp_path / "own.onnx")
    refused(answer_, 2, "no operators for the layer Doubled, only for Conv, FullyConnected")
    assert not (tmp_path / "own.onnx").exists()
    doubled = {**OPERATORS, Doubled: lambda graph, layer, x: Maps(graph.add("Add", x.name, x.name), x.dilation)}
    monkeypatch.setattr("tinympcnn.io.onnx.layers.OPERATORS", doubled)
    same(answer(to_onnx([net]), image((8, 9))[None])[0], net.segment(image((8, 9))))


def test_a_subclass_of_a_layer_is_not_taken_for_that_layer():
    class Shifted(Fragment):
        pass

    net = Net([*net_of("C3x3x2 F2x2 FC2").layers])
    net.layers[2] = Shifted(2)
    with pytest.raises(UsageError, match="the layer Shifted"):
        to_onnx([net])


def test_a_net_of_float64_is_refused():
    with pytest.raises(DataError, match=r"net of float64 .* save net.astype\('float32'\) and export that"):
        to_onnx([net_of("C3x3x2 FC2").astype("float64")])


@pytest.mark.parametrize("package", ["onnx", "bioimageio"])
def test_a_missing_package_is_named(package, run, made, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest, **more)

    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    words = ("--bioimageio", tmp_path / "out", made / "model.npz")
    refused(run("export", *words), 2, f'pip install "tinympcnn[{package}]"')
    assert not (tmp_path / "out").exists()


def test_files_that_do_not_fit_the_command(run, made, tmp_path):
    model, output = made / "model.npz", tmp_path / "net.onnx"
    refused(run("export", model), 2, "the last file is the one to write and ends in .onnx")
    refused(run("export", model, tmp_path / "net.pt"), 2, "ends in .onnx")
    refused(run("export", output), 2, "needs the model to export before it")
    refused(run("export", tmp_path / "none.npz", output), 1, "there is no model file")
    refused(run("export", model, tmp_path / "no" / "net.onnx"), 1, "there is no folder")
    output.write_text("kept")
    refused(run("export", model, output), 2, "exists already; remove it, or replace it with --force")
    assert output.read_text() == "kept"
    assert run("export", model, output, "--force")[0] == 0 and output.stat().st_size > 500


def test_models_that_do_not_fit_together_or_the_options(run, made, tmp_path):
    column("1x9x9-4C4-MP2-3N", "none").save(tmp_path / "column.npz")
    Calibration((0.0, 1.0, 0.0, 0.0), (0, 1)).save(tmp_path / "cal.json")
    model, whole, output = made / "model.npz", tmp_path / "column.npz", tmp_path / "net.onnx"
    refused(run("export", model, whole, output), 1, "they cannot work together")
    refused(run("export", whole, output, "--turns"), 2, "leave out --turns, --calibration and --predict")
    refused(
        run("export", model, output, "--calibration", tmp_path / "cal.json"), 1, "was fitted for the classes (0, 1)"
    )
    refused(run("export", model, output, "--predict", "--calibration", tmp_path / "cal.json"), 2, "--predict")
    refused(run("export", model, output, "--predict"), 2, "was trained on the classes (0, 255): leave out --predict")
    assert not output.exists()


# ------------------------------------------------------ bioimage.io: slow, as bioimageio.spec takes seconds to import


def checked(folder: Path) -> Any:
    """Check a folder by bioimageio.spec and its test tensors by onnxruntime; return the description."""
    spec = pytest.importorskip("bioimageio.spec")
    with warnings.catch_warnings(), spec.ValidationContext(progressbar=False, log_warnings=False):
        warnings.simplefilter("ignore", ResourceWarning)  # bioimageio.spec leaves files open
        description = spec.load_description(folder / "rdf.yaml")
        gc.collect()
    assert isinstance(description, spec.ModelDescr), description.validation_summary.errors
    assert description.validation_summary.status == "valid-format"  # "passed" is what running the model adds
    session = runtime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    seen, wanted = (np.load(folder / f"test-{name}.npy") for name in ("input", "output"))
    same(session.run(None, {"image": seen})[0], wanted)
    return description


@pytest.mark.slow
def test_a_folder_for_bioimage_io(run, made, tmp_path):
    pytest.importorskip("bioimageio.spec")
    net = net_of(UNET)
    net.class_values, net.record = (0, 255), {"downsample": 1}
    net.save(tmp_path / "unet.npz")
    words = ("export", "--bioimageio", tmp_path / "out", made / "model.npz", tmp_path / "unet.npz", "--turns")
    code, out, err = run(*words)
    assert (code, err) == (0, "") and "the mean of 2 nets, each on 8 views" in out
    description = checked(tmp_path / "out")
    y, x = description.outputs[0].axes[2:]
    assert y.halo == x.halo == net.window[1] // 2 + net.grid[1] - 1
    assert [axis.size.step for axis in description.inputs[0].axes[2:]] == [12, 12]  # of grids of 4x6, also turned
    assert description.outputs[0].axes[1].channel_names == ["0", "255"]
    refused(run(*words), 2, "exists already")
    assert run(*words, "--force")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--pixels", "float32"]])
def test_a_folder_of_a_column(run, tmp_path, words):
    pytest.importorskip("bioimageio.spec")
    net, names = column("3x13x13-4C4-MP2-3N", "conorm"), ["ä/0", "<50 km/h>", "3: no"]
    net.class_names = tuple(names)
    net.save(tmp_path / "column.npz")
    assert run("export", "--bioimageio", tmp_path / "Schilder für ö", tmp_path / "column.npz", *words)[0] == 0
    description = checked(tmp_path / "Schilder für ö")
    assert description.outputs[0].axes[1].channel_names == names
    assert description.inputs[0].data.type == (words or ["", "uint8"])[1]


def test_a_class_whose_folder_has_a_name_that_is_no_text(run, tmp_path):
    pytest.importorskip("bioimageio.spec")
    net = column("3x13x13-4C4-MP2-3N", "conorm")
    net.class_names = ("gr\udcff", "b", "c")  # as read from a disk of another encoding
    net.save(tmp_path / "column.npz")
    assert run("export", "--bioimageio", tmp_path / "out", tmp_path / "column.npz")[0] == 0
    assert "gr\\udcff, b, c" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_folder_of_a_net_for_images_that_are_shrunk(run, tmp_path):
    pytest.importorskip("bioimageio.spec")
    net = net_of("C3x3x4 MPF2x2 C2x2x4 FC3")
    net.record = {"downsample": 3}
    net.save(tmp_path / "net.npz")
    assert run("export", "--bioimageio", tmp_path / "out", tmp_path / "net.npz")[0] == 0
    assert checked(tmp_path / "out").outputs[0].axes[2].scale == 3


# --------------------------------------------------------------------------------------------------------- the page


def test_the_lines_of_the_page_and_of_the_readme_run(made, tmp_path, monkeypatch, capsys):
    root = Path(__file__).parents[1]
    (lines,) = re.findall(r"```python\n(.*?)```", (root / "docs" / "onnx.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(lines.splitlines()) <= 8 and lines in (root / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    seen = pixels(21, 17)
    written(tmp_path / "slice.tif", seen, **PLAIN)
    export_files([made / "model.npz"], "membranes.onnx", echo=lambda line: None)
    names: dict[str, Any] = {}
    exec(compile(lines, "onnx.md", "exec"), names)
    same(np.moveaxis(names["probabilities"][0], 0, -1), Net.load(made / "model.npz").segment(seen))
    assert capsys.readouterr().out
