"""The README's snippets run and print what it says they print."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from tinympcnn import cli

README = Path(__file__).parents[1] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```\s*```\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("code, output", SNIPPETS, ids=["contract", "training"])
def test_snippet_prints_what_the_readme_says(code, output):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue() == output


@pytest.mark.slow
def test_the_commands_for_the_small_stacks_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    block, classifying = re.findall(
        r"```\n(tinympcnn train -i data/.*?)```", README.read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "data").symlink_to(README.parent / "data")
    monkeypatch.chdir(tmp_path)
    for line in block.replace("\\\n", "").splitlines():
        assert cli.main(shlex.split(line)[1:]) == 0
    error = float(re.search(r"pixel error +([\d.]+)", capsys.readouterr().out)[1])
    assert error < 0.2  # always answering "interior" gives 0.24
    for line in classifying.splitlines():
        assert cli.main(shlex.split(line)[1:]) == 0
    assert float(re.search(r"\nerror +([\d.]+)", capsys.readouterr().out)[1]) < 0.2
    assert (tmp_path / "confusion.png").exists() and (tmp_path / "mistakes.png").exists()
