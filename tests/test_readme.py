"""The snippets of the README and of the page of commands run and print what the pages say."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from tinympcnn import cli

ROOT = Path(__file__).parents[1]
README, COMMANDS, CLASSES = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/commands.md", "docs/classification-howto.md")
)
SNIPPETS = re.compile(r"```python\n(.*?)```\s*```text\n(.*?)```", re.DOTALL)
ROUNDING = re.compile(r"(?<=differ by )\S+")  # of the last bits, which other processors round in another way


@pytest.mark.parametrize(
    ("page", "snippets", "numbers"), [(README, 2, 2), (COMMANDS, 2, 0)], ids=["README", "commands"]
)
def test_snippets_print_what_the_page_says(page, snippets, numbers):
    names, found = {}, SNIPPETS.findall(page)
    assert len(found) == snippets
    differences = []
    for code, output in found:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "page", "exec"), names)
        assert ROUNDING.sub("", printed.getvalue()) == ROUNDING.sub("", output)
        differences += [
            max(map(float, pair)) for pair in zip(*map(ROUNDING.findall, (printed.getvalue(), output)), strict=True)
        ]
    assert len(differences) == numbers and all(difference < 1e-12 for difference in differences)


@pytest.mark.slow
def test_the_commands_for_the_small_stacks_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    for page, measure in ((COMMANDS, "pixel error"), (CLASSES, "\nerror")):
        (block,) = re.findall(r"```sh\n(tinympcnn train -i data/.*?)```", page, re.DOTALL)
        for line in block.replace("\\\n", "").splitlines():
            assert cli.main(shlex.split(line)[1:]) == 0
        error = float(re.search(rf"{measure} +([\d.]+)", capsys.readouterr().out)[1])
        assert error < 0.2  # always answering "interior" gives 0.24
    assert (tmp_path / "confusion.png").exists() and (tmp_path / "mistakes.png").exists()
