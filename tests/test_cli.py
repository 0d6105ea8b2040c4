"""The command line: each command does its work; whatever is wrong is one sentence, an exit code, and no file."""

import ast
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import refused, syntax
from hypothesis import given
from hypothesis import strategies as st

from tinympcnn import Net, __version__, cli
from tinympcnn.cli import arguments, entry
from tinympcnn.cli.progress import Progress
from tinympcnn.cli.words import sparkline
from tinympcnn.io.predictions import write_probabilities
from tinympcnn.nn.layers import LAYERS
from tinympcnn.nn.spec import NETS

NET = ["--net", "C3x3x3 MPF2x2 FC2", "--backend", "numpy"]


def stack(path, pages):
    tifffile.imwrite(path, pages, photometric="minisblack", metadata={"axes": "ZYX"})


@pytest.fixture
def training(made, tmp_path):
    """Return the words of a training that writes m.npz."""
    return ["train", "-i", made / "images.tif", "-l", made / "labels.tif", "-o", tmp_path / "m.npz", *NET]


@pytest.fixture
def segmenting(made, tmp_path):
    """Return the words that segment the images into tmp_path."""
    return ["segment", "-i", made / "images.tif", "-m", made / "model.npz", "-o", tmp_path]


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """Work in a folder with copies of the images, labels and model."""
    monkeypatch.chdir(tmp_path)
    for name in ("images.tif", "labels.tif", "model.npz"):
        shutil.copyfile(made / name, name)
    return tmp_path


# -------------------------------------------------------------------------------------------- what works


def test_from_images_to_a_score(run, made, training, tmp_path):
    model, log = tmp_path / "m.npz", tmp_path / "log.csv"
    code, said, complaint = run(
        *training, "--epochs", "2", "--val", "0.3", "--lr", "0.01", "--decay", "linear", "--warmup", "1",
        "--keep", "best", "--augment", "rotate+elastic+intensity", "--balance", "images", "--crop", "9",
        "--seed", "4", "--log", log, "--threads", "1",
    )  # fmt: skip
    assert (code, complaint) == (0, "")
    assert Net.load(model).record["balance"] == "images"
    for words in (
        "Z=3, Y=16, X=18",
        "classes, by share",
        "   2/2  0.",
        "validation  pixel error",
        "patches/s",
        "wrote",
    ):
        assert words in said
    assert "wrote" in said and f"next: tinympcnn segment -i IMAGES -m {model}" in " ".join(said.split())
    code, said, _ = run("segment", "-i", made / "images.tif", "-m", model, "-o", tmp_path / "out", "--tile", "auto")
    assert code == 0 and "MB at the peak" in said
    results = [tmp_path / "out" / f"images_{kind}.tif" for kind in ("prob", "labels")]
    code, said, _ = run("evaluate", "-p", results[0], "-l", made / "labels.tif")
    assert code == 0 and "pixel error" in said
    code, said, _ = run("evaluate", "-p", results[1], "-l", made / "labels.tif", "--json", "--positive", "0")
    wrong = (tifffile.imread(results[1]) != tifffile.imread(made / "labels.tif")).mean()
    assert json.loads(said)["pixel_error"] == pytest.approx(wrong)


def test_averaged_calibrated_and_filtered(run, made, tmp_path):
    images, labels, model = made / "images.tif", made / "labels.tif", made / "model.npz"
    (tmp_path / "twin.npz").write_bytes(model.read_bytes())
    code, said, _ = run("segment", "-i", images, "-m", model, "-m", tmp_path / "twin.npz", "--turns", "-o", tmp_path)
    assert code == 0 and "mean of 2 nets, each on 8 views" in said
    prob = tmp_path / "images_prob.tif"
    fit = ["calibrate", "-p", prob, "-l", labels, "-o", tmp_path / "c.json"]
    code, said, _ = run(*fit, "--invert")  # one epoch on noise: worse than chance
    assert code == 0 and "mean square of probability minus truth" in said
    steps = ["--turns", "--calibration", tmp_path / "c.json", "--median", "2"]
    assert run("segment", "-i", images, "-m", model, tmp_path / "twin.npz", *steps, "-o", tmp_path, "--force")[0] == 0
    stack(tmp_path / "ones.tif", (tifffile.imread(labels) == 0).astype(np.uint8))
    answers = [
        run("evaluate", "-p", prob, "-l", truth, "--json", *more)
        for truth, more in ((labels, []), (tmp_path / "ones.tif", ["--map", "0:0,1:255", "--invert"]))
    ]
    assert answers[0] == answers[1] and answers[0][0] == 0


@pytest.mark.parametrize("optimizer", ["sgd", "armijo", "lbfgs"])
def test_every_optimizer(run, training, tmp_path, optimizer):
    assert run(*training, "--epochs", "1", "--optimizer", optimizer)[0] == 0
    assert Net.load(tmp_path / "m.npz").record["optimizer"] == optimizer


def test_armijo_that_finds_no_step_stops_or_goes_on_when_asked(run, training, tmp_path):
    job = [*training, "--log", tmp_path / "m.csv", "--epochs", "2", "--optimizer", "armijo", "--lr", "1e30"]
    answer = run(*job)
    refused(answer, 1, "training stopped in epoch 1, image")
    refused(answer, 1, "Armijo found no step")
    refused(answer, 1, "--on-failure continue would pass over it")
    assert list(tmp_path.iterdir()) == []
    code, said, _ = run(*job, "--on-failure", "continue")
    assert code == 0 and "   2/2  " in said
    assert Net.load(tmp_path / "m.npz").record["options"] == {"lr": 1e30, "on_failure": "continue"}
    assert [row.split(",")[5] for row in (tmp_path / "m.csv").read_text().splitlines()] == ["step", "0.0", "0.0"]


def test_resume_goes_on_and_says_so(run, training):
    code, said, _ = run(*training, "--epochs", "2", "--resume")
    assert code == 0 and "starting from the beginning" in said
    code, said, _ = run(*training, "--epochs", "2", "--resume")
    assert code == 0 and "after 2 epochs" in said and "epoch 1/" not in said


@pytest.mark.parametrize("wrong", ["--augment turn", "--epochs 0", "--crop 0", "--lr 0"])
def test_what_is_wrong_is_said_before_a_checkpoint_is_given_up(run, made, training, tmp_path, wrong):
    (tmp_path / "m.checkpoint.npz").write_bytes((made / "model.checkpoint.npz").read_bytes())
    before = (tmp_path / "m.checkpoint.npz").read_bytes()
    for more in ([], ["--force"]):
        assert run(*training, *more, *wrong.split())[0] == 2
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("text", ["2G", "2GB", "2gb", "2048M", "2147483648", "2147483648B"])
def test_sizes_of_memory(text):
    assert arguments.memory(text) == 2 << 30


def test_info_of_models_specs_and_the_machine(run, made):
    assert "tinympcnn " in run("info")[1]
    assert "field of view 95x95" in run("info", "N4")[1]
    code, said, _ = run("info", "C3x3x3 MPF2 FC2", "--image", "60x137", "--in-maps", "3")
    assert code == 0 and "60x137" in said
    code, said, _ = run("info", made / "model.npz")
    for words in ("classes: 0, 255", "seed: 0", "data_sha256: ", "epochs: 1", "normalised by mean", "loss_train"):
        assert words in said


def test_gradcheck(run):
    code, said, _ = run("gradcheck", "C2x2x2 MPF2x2 FC2")
    assert code == 0 and said.startswith("Net(")
    code, said, _ = run("gradcheck")
    assert code == 0 and "image net and patch net differ by" in said


def test_a_wrong_gradient_is_exit_code_1(run, monkeypatch):
    from tinympcnn import Tanh

    backward = Tanh.backward
    monkeypatch.setattr(Tanh, "backward", lambda self, dy, **more: backward(self, dy, **more) * 1.001)
    refused(run("gradcheck", "C2x2x2 MPF2x2 FC2"), 1, "the gradients are wrong")


def test_a_broken_contract_is_exit_code_1(run, monkeypatch):
    from tinympcnn import gradcheck

    monkeypatch.setattr(gradcheck, "check_contract", lambda *nets: gradcheck.Contract(0.0, 1e-6))
    refused(run("gradcheck", "C2x2x2 MPF2x2 FC2"), 1, "the image net does not give what the patch net gives")


def test_the_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"tinympcnn {__version__}\n"


def test_as_a_module():
    said = subprocess.run([sys.executable, "-m", "tinympcnn", "info", "unet"], capture_output=True, text=True)
    assert said.returncode == 2 and said.stderr.count("\n") == 1


@pytest.mark.parametrize("command", entry.COMMANDS)
def test_help_is_whole_sentences_with_examples_that_parse(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    said = capsys.readouterr().out
    assert stopped.value.code == 0 and said.startswith(f"usage: tinympcnn {command}")
    about, examples = said.split("\nexamples", 1)
    assert entry.COMMANDS[command] in about
    assert max(map(len, said.splitlines())) <= 80
    parser = entry.parser_of([command]).parse_args
    lines = re.findall(r"^  tinympcnn (.*)", examples.replace("\\\n", " "), re.MULTILINE)
    assert len(lines) >= 2
    for line in lines:
        name, *words = shlex.split(line)
        assert name != command or callable(parser([name, *words]).run)
    assert f"  tinympcnn {command}" in examples
    texts = [action.help for action in parser([*EXAMPLE[command]]).parser._actions]
    assert [text for text in texts[1:] if not (text[0].isupper() or text.startswith("auto")) or text[-1] != "."] == []


EXAMPLE = {command: [command] for command in entry.COMMANDS} | {
    "train": ["train", "-i", "a", "-l", "b", "-o", "c"],
    "segment": ["segment", "-i", "a", "-m", "b", "-o", "c"],
    "classify": ["classify", "-i", "a", "-m", "b"],
    "predict": ["predict", "-i", "a", "-m", "b", "-o", "c"],
    "detect": ["detect", "-i", "a", "-m", "b"],
    "locate": ["locate", "-i", "a", "-m", "b", "-o", "c"],
    "evaluate": ["evaluate", "-p", "a", "-l", "b"],
    "calibrate": ["calibrate", "-p", "a", "-l", "b", "-o", "c"],
    "export": ["export", "a", "b.onnx"],
    "plot": ["plot", "a", "-o", "b"],
    "explore": ["explore", "a", "b"],
}


def test_the_notation_of_nets_is_explained_word_by_word(run):
    code, said, _ = run("help", "nets")
    assert code == 0 and max(map(len, said.splitlines())) <= 80
    for letters in {letters for layer in LAYERS.values() for letters in vars(layer).get("letters", ())}:
        assert re.search(rf"\b{letters}(\d|\b)", said), letters
    for spec in [*re.findall(r"'(C[^']*)'", said), *NETS]:
        assert Net.from_spec(spec, rng=0).n_params > 0
    assert {line.split()[0] for line in said.splitlines() if line} >= NETS.keys()
    refused(run("help", "nests"), 2, "there is no help on 'nests'; take nets, or one of demo, train")


@pytest.mark.parametrize("words", [["train"], []])
def test_help_gives_the_help_of_a_command(words, capsys):
    for call in (["help", *words], [*words, "--help"]):
        with pytest.raises(SystemExit):
            cli.main(call)
    first, second = capsys.readouterr().out.split("usage: ")[1:]
    assert first == second and ("--optimizer" in first) == bool(words)


def test_lines_end_at_words_within_80_columns(run, here, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    for line in (
        "info",
        "info N4 --image 512x512",
        "train -i images.tif -l labels.tif -o m.npz --epochs 12 --val 0.3 --crop 9 --augment rotate+elastic --net "
        "C3x3x3,MPF2x2,FC2 --balance --warmup 1 --decay 0.993:0.03 --keep best --log a.csv",
        "segment -i images.tif -m m.npz model.npz --turns -o a-folder-of-results",
        "evaluate -p a-folder-of-results/images_prob.tif -l labels.tif",
    ):
        code, said, _ = run(*(word.replace(",", " ") for word in line.split()))
        assert code == 0 and max(map(len, said.splitlines())) <= 80, said


def test_a_terminal_without_blocks_gets_no_curves(monkeypatch):
    assert sparkline([3, 2, 1]) == "█▅▁" and sparkline([1, float("nan"), 2]) == "▁ █"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert sparkline([3, 2, 1]) == ""


def test_no_message_leaves_the_plural_open():
    open_ones = []
    for path, nodes in syntax().items():
        for node in nodes:
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            words = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            open_ones += [(path, text) for text in words if re.search(r"[a-z]\(s\)", text) and "\n" not in text]
    assert open_ones == []


LOADED = """
import importlib, sys
from tinympcnn.cli import entry
try: entry.main(["--help"])
except SystemExit: print(*sys.modules)
for name in entry.COMMANDS: importlib.import_module(f"tinympcnn.cli.{name}")
print(*sys.modules)
"""


def test_the_table_of_commands_loads_no_command_and_no_command_loads_what_its_work_alone_needs():
    said = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout
    *table, first, second = said.splitlines()
    assert entry.COMMANDS.keys() <= {line.split()[0] for line in table if line}
    assert {f"tinympcnn.cli.{command}" for command in entry.COMMANDS}.isdisjoint(first.split())
    assert {"scipy", "matplotlib", "PIL", "onnx", "zarr", "distributed"}.isdisjoint(second.split())


def test_wildcards_that_the_shell_left_alone_are_expanded(run, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a10.tif", "a2.tif", "b.tif", "[c].tif"):
        (tmp_path / name).write_bytes((made / "images.tif").read_bytes())
    code, said, _ = run("segment", "-i", "a*.tif", "-i", "[c].tif", "-m", made / "model.n*", "-o", "out")
    assert code == 0 and said.index("a2_prob.tif") < said.index("a10_prob.tif") < said.index("[c]_prob.tif")
    assert len(list((tmp_path / "out").iterdir())) == 6
    refused(run("segment", "-i", "z*.tif", "-m", made / "model.npz", "-o", "out"), 1, "z*.tif: no such file")


def test_pixels_of_a_value_to_ignore_do_not_count(run, made, tmp_path):
    truth = tifffile.imread(made / "labels.tif")
    void = np.where(np.arange(18) < 7, 9, truth).astype(np.uint8)
    stack(tmp_path / "void.tif", void)
    stack(tmp_path / "found.tif", np.where(void == 9, 255 - truth, truth))  # wrong only where it does not count
    score = ["evaluate", "-p", tmp_path / "found.tif", "-l", tmp_path / "void.tif", "--json"]
    report = json.loads(run(*score, "--ignore", "9", "--ignore", "-1")[1])
    assert (report["pixel_error"], report["pixels"], report["classes"]) == (0, (void != 9).sum(), 2)
    assert json.loads(run(*score)[1])["classes"] == 3
    probability = np.where(truth > 0, 0.8, 0.3) + np.random.default_rng(0).uniform(-0.2, 0.2, truth.shape)
    fits = []
    for name, p in (("right", probability), ("wrong", np.where(void == 9, 1 - probability, probability))):
        write_probabilities(tmp_path / f"{name}_prob.tif", np.stack([1 - p, p], axis=-1), (0, 255))
        fit = ["calibrate", "-p", tmp_path / f"{name}_prob.tif", "-l", tmp_path / "void.tif", "--ignore", 9]
        assert run(*fit, "-o", tmp_path / f"{name}.json")[0] == 0
        fits.append(json.loads((tmp_path / f"{name}.json").read_text()))
    assert fits[0] == fits[1] and fits[0]["pixels"] == (void != 9).sum()


def test_a_link_to_itself_is_no_image(run, training, tmp_path):
    try:
        os.symlink("loop.tif", tmp_path / "loop.tif")
    except OSError:
        pytest.skip("this system makes no links here")
    refused(run("train", "-i", tmp_path, *training[3:]), 1, "loop.tif")


def test_images_none_of_whose_pixels_count_are_refused(run, training, made, tmp_path):
    labels = tifffile.imread(made / "labels.tif")
    for part, words in ((slice(-1, None), "held out by --val"), (slice(0, -1), "to train on")):
        some = labels.copy()
        some[part] = 7
        stack(tmp_path / "some.tif", some)
        job = [*training[:3], "-l", tmp_path / "some.tif", *training[5:], "--ignore", "7", "--val", "0.1"]
        refused(run(*job), 1, f"no pixel of the images {words} counts")


def test_predictions_of_others_take_the_axes_that_are_given(run, tmp_path, rng):
    labels = rng.integers(0, 2, (3, 16, 18)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "found.tif", labels, imagej=True)
    stack(tmp_path / "truth.tif", labels)
    job = ["evaluate", "-p", tmp_path / "found.tif", "-l", tmp_path / "truth.tif", "--json"]
    refused(run(*job), 1, "give --axes ZYX")
    code, said, _ = run(*job, "--axes", "ZYX")
    assert code == 0 and json.loads(said)["pixel_error"] == 0


def test_a_model_to_start_from_without_its_suffix(run, training, made, tmp_path):
    shutil.copyfile(made / "model.npz", tmp_path / "model")
    job = [word for word in training if word not in NET[:2]]
    refused(run(*job, "--init", tmp_path / "model"), 2, "whose name ends in .npz")


@pytest.mark.parametrize("shape", [(1, 16), (16, 1), (1, 1)])
def test_images_one_pixel_wide(run, made, tmp_path, shape):
    tifffile.imwrite(tmp_path / "a.tif", np.arange(np.prod(shape), dtype=np.uint8).reshape(shape))
    tifffile.imwrite(tmp_path / "truth.tif", 255 * (np.arange(np.prod(shape)) % 2).astype(np.uint8).reshape(shape))
    assert run("segment", "-i", tmp_path / "a.tif", "-m", made / "model.npz", "-o", tmp_path)[0] == 0
    for kind in ("prob", "labels"):
        code, said, _ = run("evaluate", "-p", tmp_path / f"a_{kind}.tif", "-l", tmp_path / "truth.tif")
        assert code == 0 and f"1 slice, {np.prod(shape)} pixels" in said


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
@pytest.mark.parametrize("utf8", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_names_that_the_locale_cannot_write_come_into_tables(made, tmp_path, utf8):
    names = [b"d\xe9faut.tif", "Z\u00e4hne_\u65e5\u672c.tif".encode()]
    (tmp_path / "in").mkdir()
    for name in names:
        shutil.copy(os.fsencode(made / "images.tif"), os.fsencode(tmp_path / "in") + b"/" + name)
    job = ["detect", "-i", tmp_path / "in", "-m", made / "model.npz", "--csv", tmp_path / "rows.csv", "--pixels", "5"]
    locale = {"LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
    call = [sys.executable, "-m", "tinympcnn", *map(str, job)]
    ended = subprocess.run(call, capture_output=True, env={**os.environ, **locale})
    assert ended.returncode == 0, ended.stderr
    rows = (tmp_path / "rows.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == 6 and sum(row.startswith("d\\udce9faut[") for row in rows) == 3


def test_values_that_begin_with_a_minus(run, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stack(tmp_path / "-1.tif", np.where(tifffile.imread(made / "labels.tif") > 0, -2, 0).astype(np.int8))
    score = ["evaluate", "-p", made / "labels.tif", "-l"]
    for words in (["./-1.tif", "--map", "-2:255"], ["-1.tif", "--map=-2:255"]):
        code, said, _ = run(*score, *words)
        assert code == 0 and "pixel error            0.0000" in said
    refused(run(*score, "-x.tif"), 2, "write a value that begins with a minus as --option=VALUE, and such a file as ./")
    (tmp_path / "-x.tif").write_text("")
    refused(run(*score, "a.tif", "-x.tif"), 2, "unrecognized arguments: -x.tif; did you mean ./-x.tif?")


@pytest.mark.parametrize(
    "line",
    [
        "train -i  -l labels.tif -o m.npz",
        "train -i images.tif -l  -o m.npz",
        "train -i images.tif -l labels.tif -o ",
        "segment -i  -m model.npz -o out",
        "segment -i images.tif -m  -o out",
        "segment -i images.tif -m model.npz -o ",
        "segment -i images.tif -m model.npz -o out --axes ",
        "segment -i images.tif -m model.npz -o out --calibration ",
        "evaluate -p  -l labels.tif",
        "evaluate -p labels.tif -l labels.tif --map ",
        "calibrate -p labels.tif -l labels.tif -o .",
        "calibrate -p labels.tif -l labels.tif -o /",
        "demo -o ",
    ],
)
def test_an_empty_string_is_no_name(run, made, tmp_path, monkeypatch, line):
    monkeypatch.chdir(made)
    before = sorted(made.iterdir())
    refused(run(*line.split(" ")), 2, ": expected ")
    assert sorted(made.iterdir()) == before


def test_the_bar_on_a_terminal_and_lines_elsewhere(run, training, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(2)
    progress.update(1, 2)
    assert capsys.readouterr().err.startswith("\repoch 1/2 [" + "#" * 10 + "." * 10 + "] 1/2 updates, 0 s left")
    progress.clear()
    assert capsys.readouterr().err.endswith("\r")
    _, said, live = run(*training, "--epochs", "1")
    assert "\n   1/1  " in said and "epoch 1/1 [" in live and "] 3/3 updates" in live


# ------------------------------------------------------------------------------------------ what does not

SHORT = {
    "TRAIN": "train -i images.tif -l labels.tif -o m.npz",
    "SEGMENT": "segment -i images.tif -m model.npz -o out",
    "EVALUATE": "evaluate -p labels.tif -l labels.tif",
}


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("", 2, "COMMAND"),
        ("fly", 2, "invalid choice: 'fly'"),
        ("train -i images.tif", 2, "-o/--output"),
        ("TRAIN --banalce", 2, "--banalce; did you mean --balance? (see 'tinympcnn train "),
        ("TRAIN --epoch=3", 2, "--epoch=3; did you mean --epochs?"),
        ("EVALUATE --xyz", 2, "arguments: --xyz (see 'tinympcnn evaluate --help')"),
        ("TRAIN --net N5", 2, "unknown net 'N5': use N3, N4, steel, dannet-digits"),
        ("info N5", 2, "unknown net 'N5': use N3, N4, steel, dannet-digits"),
        ("info --image 512x512", 2, "--image belongs to a net, as in 'tinympcnn info N4 --image 512x512'"),
        ("TRAIN --epochs 0", 2, "epochs must be at least 1, not 0"),
        ("TRAIN --epochs x", 2, "invalid int value: 'x'"),
        ("TRAIN --optimizer newton", 2, "invalid choice: 'newton'"),
        ("TRAIN --lr 0", 2, "lr must be positive, not 0.0"),
        ("TRAIN --lr nan", 2, "lr must be positive, not nan"),
        ("TRAIN --lr 1 --optimizer lbfgs", 2, "lbfgs has no option 'lr'"),
        ("TRAIN --on-failure stop", 2, "adam has no option 'on_failure': it takes lr"),
        ("TRAIN --optimizer lbfgs --augment flip", 2, "leave out augment"),
        ("TRAIN --seed -1", 2, "a whole number from 0 up"),
        ("TRAIN --threads 0", 2, "threads must be at least 1"),
        ("TRAIN --val 1", 2, "below 1"),
        ("TRAIN --augment turn", 2, "there is no augmentation 'turn'"),
        ("TRAIN --decay step", 2, "a factor for each epoch, not 'step'"),
        ("TRAIN --crop 0", 2, "crop must be at least 1"),
        ("TRAIN --minutes nan", 2, "minutes must be 0 or more, not nan"),
        ("TRAIN --minutes -1", 2, "minutes must be 0 or more, not -1.0"),
        ("TRAIN --net C3x3", 2, "cannot read 'C3x3'"),
        ("TRAIN --net FC3", 2, "3 outputs and the labels have 2 classes"),
        ("train -i images.tif -l labels.tif -o no/m.npz", 1, "there is no folder"),
        ("TRAIN --log no/log.csv", 1, "there is no folder"),
        ("train -i no.tif -l labels.tif -o m.npz", 1, "no.tif: no such file or folder"),
        ("train -i images.tif -l empty -o m.npz", 1, "holds no labels"),
        ("train -i text.tif -l labels.tif -o m.npz", 1, "neither TIFF, PNG nor JPEG"),
        ("train -i images.tif -l short.tif -o m.npz", 1, "differ in their number of pages"),
        ("train -i images.tif -l wide.tif -o m.npz", 1, "differ in size"),
        ("train -i images.tif images.tif -l labels.tif -o m.npz", 1, "2 image files but 1 label files"),
        ("train -i images.tif -l black.tif -o m.npz", 1, "hold only the value 0"),
        ("train -i images.tif -l grey.tif -o m.npz", 1, "--threshold"),
        ("train -i nan.tif -l labels.tif -o m.npz", 1, "NaN or infinite"),
        ("train -i cut.tif -l labels.tif -o m.npz", 1, "cut.tif"),
        ("train -i images.tif -l labels.tif -o labels.tif", 2, "is an input and will not be overwritten"),
        ("TRAIN --axes QQ", 2, "give distinct letters with Y and X, such as ZYX"),
        ("segment -i images.tif -m no.npz -o out", 1, "there is no model file"),
        ("segment -i images.tif -m cut.npz -o out", 1, "is not a whole tinympcnn model file"),
        ("segment -i images.tif -m labels.tif -o out", 1, "is not a whole tinympcnn model file"),
        ("segment -i no.tif -m model.npz -o out", 1, "no.tif: no such file"),
        ("SEGMENT --tile 0", 2, "expected auto or a whole number from 1 up"),
        ("SEGMENT --tile ²", 2, "expected auto or a whole number from 1 up"),
        ("SEGMENT --memory much", 2, "expected a size such as 500M"),
        ("SEGMENT --memory nan", 2, "expected a size such as 500M"),
        ("segment -i images.tif -m model.npz -o text.tif", 1, "cannot make the folder"),
        ("segment -i rgb.tif -m model.npz -o out", 1, "3 channels and the model takes 1"),
        (
            "segment -i images.tif -m model.npz three.npz -o out",
            1,
            "number of classes of model.npz is 2 and that of th",
        ),
        ("SEGMENT --median x", 2, "invalid int value: 'x'"),
        ("SEGMENT --median -1", 2, "0 to 25 pixels, not -1"),
        ("SEGMENT --calibration no.json", 1, "cannot read the calibration no.json"),
        ("SEGMENT --calibration text.tif", 1, "text.tif is not a calibration"),
        ("calibrate -p found.tif -l labels.tif -o c.json", 1, "not on labels of 2"),
        ("calibrate -p labels.tif -l labels.tif -o labels.tif", 2, "is an input and will not be overwritten"),
        ("EVALUATE --map 0=255", 2, "expected pairs of label values such as 0:1,255:0"),
        ("EVALUATE --map 0:1:2", 2, "expected pairs of label values such as 0:1,255:0"),
        ("EVALUATE --map 0:99999999999999999999", 2, "expected pairs of label values"),
        ("EVALUATE --map 0:1,0:2", 2, "says twice what becomes of a value"),
        ("EVALUATE --downsample 0", 2, "--downsample: expected a whole number from 1 up, not '0'"),
        ("evaluate -p found.tif -l labels.tif --downsample 2", 1, "meets labels of 16x18, down-sampled by 2; --d"),
        ("EVALUATE", 1, "is given as a prediction and as its own label"),
        ("train -i images.tif -l images.tif -o m.npz", 1, "is given as an image and as its own label"),
        ("evaluate -p no.tif -l labels.tif", 1, "no.tif: no such file"),
        ("evaluate -p labels.tif -l short.tif", 1, "differ in their number of pages"),
        ("evaluate -p found.tif -l labels.tif --positive 3", 2, "--positive 3 is none of the classes"),
        ("info unet", 2, "unknown net 'unet'"),
        ("info cut.npz", 1, "is not a whole tinympcnn model file"),
        ("info missing.npz", 1, "there is no model file"),
        ("info N4 --image 512", 2, "expected HxW"),
        ("info N4 --image 0x5", 2, "expected HxW"),
        ("info N4 --in-maps 0", 2, "in_maps"),
        ("detect -i images.tif -m model.npz --probability 1.5", 2, "--probability: expected a number from 0 to 1"),
        ("detect -i images.tif -m model.npz --probability nan", 2, "--probability: expected a number from 0 to 1"),
        ("detect -i images.tif -m model.npz --pixels -1", 2, "--pixels: expected auto or a number from 0 up"),
        ("detect -i images.tif -m model.npz --pixels few", 2, "--pixels: expected auto or a number from 0 up"),
        ("gradcheck MPF2x2", 2, "no C or FC layer"),
        ("demo --backend tpu", 2, "invalid choice: 'tpu'"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_leaves_nothing(run, every_fault, monkeypatch, line, code, words):
    monkeypatch.chdir(every_fault)

    def files():
        return {path: path.stat().st_mtime_ns for path in every_fault.rglob("*") if path.is_file()}

    before = files()
    for short, long in SHORT.items():
        line = line.replace(short, long)
    refused(run(*line.split()), code, words)
    assert files() == before


@pytest.fixture(scope="module")
def every_fault(made, tmp_path_factory):
    """Make a folder with the images, labels and model, and with files of every fault."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "empty").mkdir()
    for name in ("images.tif", "labels.tif", "model.npz"):
        shutil.copyfile(made / name, folder / name)
    for name, copy in (("images", "grey"), ("labels", "found")):
        shutil.copyfile(made / f"{name}.tif", folder / f"{copy}.tif")
    for name in ("images.tif", "model.npz"):
        (folder / f"cut{Path(name).suffix}").write_bytes((made / name).read_bytes()[:-300])
    (folder / "text.tif").write_text("no image")
    Net.from_spec("C3x3x2 FC3", rng=0).save(folder / "three.npz")
    stack(folder / "short.tif", np.eye(16, 18, dtype=np.uint8)[None].repeat(2, axis=0))
    stack(folder / "wide.tif", np.eye(16, 19, dtype=np.uint8)[None].repeat(3, axis=0))
    stack(folder / "black.tif", np.zeros((3, 16, 18), np.uint8))
    stack(folder / "nan.tif", np.full((3, 16, 18), np.nan, np.float32))
    tifffile.imwrite(folder / "rgb.tif", np.zeros((16, 18, 3), np.uint8), photometric="rgb")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "train -i LONG -l labels.tif -o m.npz",
        "train -i images.tif -l LONG -o m.npz",
        "train -i images.tif -l labels.tif -o LONG",
        "train -i images.tif -l labels.tif -o m.npz --log LONG",
        "segment -i images.tif -m LONG -o out",
        "segment -i images.tif -m model.npz -o LONG",
        "evaluate -p LONG -l labels.tif",
        "info LONG.npz",
    ],
)
def test_names_that_the_system_refuses(run, made, tmp_path, monkeypatch, line):
    monkeypatch.chdir(made)
    before = sorted(made.iterdir())
    words = line.replace("LONG", "x" * 300).split()
    answer = run(*words)
    assert answer[0] == 1 and answer[2].count("\n") == 1 and "File name too long" in answer[2]
    assert sorted(made.iterdir()) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("what", ["input", "folder", "output"])
def test_files_and_folders_that_are_somebody_else_s(run, made, tmp_path, what):
    """As in a process without root's rights: the effective user is another for the while."""
    closed, out = tmp_path / "closed", tmp_path / "out"
    for folder in (closed, out):
        folder.mkdir(mode=0o755)
    (closed / "a.tif").write_bytes((made / "images.tif").read_bytes())
    if what == "input":
        (closed / "a.tif").chmod(0o600)
    elif what == "folder":
        closed.chmod(0o700)
    for folder in (*made.parents, *tmp_path.parents, made, tmp_path):
        if "pytest" in str(folder):
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        answer = run("segment", "-i", closed / "a.tif", "-m", made / "model.npz", "-o", out)
    finally:
        os.seteuid(0)
    assert answer[0] == 1 and answer[2].count("\n") == 1 and "Permission denied" in answer[2]
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "segment", "demo"])
def test_a_gpu_that_was_asked_for_and_is_not_there(run, training, segmenting, tmp_path, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "cupy", None)
    words = {"train": training, "segment": segmenting, "demo": ["demo", "-o", tmp_path / "demo"]}[command]
    refused(run(*words, "--backend", "cupy"), 2, "the cupy backend does not work here")
    assert list(tmp_path.iterdir()) == []


def test_running_out_of_memory_is_one_sentence(run, training, segmenting, tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError("Unable to allocate 3 TiB")

    monkeypatch.setattr(Net, "forward", full)
    refused(run(*segmenting), 1, "not enough memory")
    refused(run(*training), 1, "memory")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_before_there_is_a_checkpoint(run, training, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinympcnn.cli.train.read_pairs", interrupted)
    assert run(*training)[::2] == (130, "tinympcnn: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_names_that_the_terminal_cannot_show(segmenting, tmp_path, monkeypatch):
    for image, code, words in (
        (segmenting[2], 0, b"f\\xfcr"),
        (tmp_path / "größe.tif", 1, b"gr\\xf6\\xdfe.tif: no such"),
    ):
        terminal = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal, encoding="ascii"))
        monkeypatch.setattr(sys, "stderr", sys.stdout)
        job = ["segment", "-i", image, *segmenting[3:-1], tmp_path / "für"]
        assert cli.main([str(word) for word in job]) == code
        sys.stdout.flush()
        assert words in terminal.getvalue()
    assert len(list((tmp_path / "für").iterdir())) == 2


def test_a_tile_larger_than_the_image_is_the_image(run, segmenting):
    code, said, _ = run(*segmenting, "--tile", 10**11)
    assert code == 0 and "tiles of 32x" in said and "more than" not in said


def test_a_reader_that_goes_away_is_no_traceback(made):
    command = [sys.executable, "-m", "tinympcnn", "info", str(made / "model.npz")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), complaint) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_work_goes_on_where_standard_output_cannot_be_written_and_the_exit_code_says_so(training, tmp_path):
    job = [sys.executable, "-m", "tinympcnn", *map(str, training), "--epochs", "3"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = subprocess.run(job, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1 and Net.load(tmp_path / "m.npz").record["epochs"] == 3
    lost = "tinympcnn: standard output cannot be written (No space left on device); its end is missing\n"
    assert ended.stderr == lost


def test_work_goes_on_without_a_terminal(training, tmp_path, monkeypatch):
    with monkeypatch.context() as gone:
        gone.setattr(sys, "stdout", None)
        gone.setattr(sys, "stderr", None)
        assert cli.main([*map(str, training), "--epochs", "1"]) == 0
        assert cli.main(["train"]) == 2
    assert (tmp_path / "m.npz").exists()


WORDS = (
    "train segment evaluate info gradcheck -i -l -o -m -p --net --epochs --tile --memory --axes --image --seed --lr "
    "--val --crop --threads --json --force --resume --positive --median --turns --map "
    "--invert --ignore calibrate images.tif labels.tif model.npz . 0 -1 1e9 nan FC2 ZYX"
)
words = st.one_of(st.sampled_from(WORDS.split()), st.text(max_size=8).filter(lambda text: "/" not in text))


@given(st.lists(words, max_size=8))
def test_any_words_are_work_or_one_sentence(made, here, monkeypatch, capsys, some):
    for name in ("images.tif", "labels.tif", "model.npz"):
        shutil.copyfile(made / name, name)
    with monkeypatch.context() as short:
        short.setattr("tinympcnn.cli.train.run", lambda options: None)  # whatever it would train, it would take time
        try:
            code = cli.main(some)
        except SystemExit as stopped:  # --help and --version
            code = stopped.code
    said = capsys.readouterr()
    assert code in (0, 1, 2)
    assert code == 0 or (said.err.startswith("tinympcnn: ") and said.err.count("\n") == 1)
    assert threading.active_count() < 50
