"""The Makefile's environment: made where it is missing or half made, kept where it works."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.skipif(os.name == "nt" or shutil.which("make") is None, reason="needs make and programs in sh")
@pytest.mark.parametrize("half_made", [True, False])
def test_a_half_made_environment_is_made_anew_and_a_whole_one_is_kept(tmp_path, half_made):
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    if half_made:
        script(tmp_path / ".venv/bin/python", "exit 1")  # no pip, or of too old a Python
    script(tmp_path / "working", 'echo "pip $2" >> calls')
    script(tmp_path / "python", "echo $@ >> calls; mkdir -p .venv/bin; cp working .venv/bin/python")
    call = ["make", "-C", str(tmp_path), f"PYTHON={tmp_path}/python", ".venv/stamp-test"]
    for _ in range(2):
        subprocess.run(call, check=True, capture_output=True)
        (tmp_path / ".venv/stamp-test").unlink()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if "venv" in call] == ["-m venv --clear .venv"]
