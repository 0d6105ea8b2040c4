"""A release: one version, files that belong together, and distributions that hold everything."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

import tinympcnn
from tinympcnn import data, metrics

ROOT = Path(__file__).parents[1]


def tracked() -> set[str]:
    """Return the names of the project's files, or skip the test outside of a repository."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, encoding="utf-8")
    if listed.returncode:
        pytest.skip("this is no repository")
    return set(listed.stdout.split("\n")) - {""}


def test_the_version_stands_in_one_place():
    version = re.escape(tinympcnn.__version__)
    assert importlib.metadata.version("tinympcnn") == tinympcnn.__version__
    assert re.search(rf"^## {version}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    for name in ("setup.cfg", "pyproject.toml", "CITATION.cff"):
        assert not re.search(rf"(?m)^version\s*[=:]\s*['\"]?{version}", (ROOT / name).read_text(encoding="utf-8"))


def test_every_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", ".github/workflows/ci.yml"):
        if (ROOT / name).exists():  # the source distribution has no workflow
            text = (ROOT / name).read_text(encoding="utf-8")
            assert set(re.findall(r"(?:^|run: |`)make ([a-z-]+)", text, re.MULTILINE)) <= targets, name


def test_every_extra_that_the_makefile_installs_exists():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    stamps = set(re.findall(r"stamp-([a-z0-9]+)", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert stamps and stamps <= set(config["options.extras_require"])


def test_every_part_of_the_package_has_a_page_of_the_api_reference():
    parts = {path.stem for path in (ROOT / "tinympcnn").iterdir() if path.name[0] not in "_."}
    told_of_elsewhere = {"cli", "net", "py"}  # in the words of the commands, and as tinympcnn.Net
    assert {path.stem for path in (ROOT / "docs" / "api").glob("*.md")} == parts - told_of_elsewhere | {"tinympcnn"}


@pytest.mark.slow
def test_wheel_and_source_distribution_hold_everything(tmp_path):
    pytest.importorskip("build", reason="needs the extra 'dist'")
    pytest.importorskip("setuptools", reason="builds with what is installed, without the network")
    files = tracked()
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    (wheel,), (source,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    package = {name for name in files if name.startswith("tinympcnn/")}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == package
    with tarfile.open(source) as archive:
        inside = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert {name for name in files if name[0] != "."} <= inside
    made = {name for name in inside - files if ".egg-info/" not in name}
    assert made <= {"PKG-INFO"}, "files that belong to no release"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_knows_every_public_name_and_loads_nothing_from_elsewhere(tmp_path):
    for name in ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme", "sphinx_design"):
        pytest.importorskip(name, reason="needs the extra 'site'")
    from sphinx.util.inventory import InventoryFile

    options = ["--quiet", "--fail-on-warning", "--keep-going", "-c", str(ROOT / "docs"), "-d", str(tmp_path / "trees")]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    inventory = InventoryFile.loads((tmp_path / "site" / "objects.inv").read_bytes(), uri="")
    known = {name for kind in inventory.data.values() for name in kind}
    public = {f"{part.__name__}.{name}" for part in (tinympcnn, data, metrics) for name in part.__all__}
    assert public - {"tinympcnn.zoo"} <= known
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link|source)[^>]*?(?:src|href)=\"(https?:[^\"]*)", page.read_text("utf-8"))
        assert loaded == [], page.name


STUMBLES = """<!doctype html><main><div style="width: 600px">far</div><img src="no.png" alt=""><img src="no.png">
<a href="nowhere.html">a</a><a href="#gone">b</a></main><script src="https://example.org/a.js"></script>
<script>throw new Error("broken")</script>"""
FOUND = (
    "phone: 2", "an image does not load", "an image has no words", "a file is missing", "a link leads nowhere",
    "a link leads to no place on bad.html: #gone", "a request leaves the site: https://example.org", "a script fails",
)  # fmt: skip


@pytest.mark.slow
def test_the_look_at_the_site_finds_what_a_reader_would_stumble_over(tmp_path):
    pytest.importorskip("playwright", reason="needs the extra 'site'")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))):
        pytest.skip("there is no Chromium here")
    site = tmp_path / "site"
    site.mkdir()
    (site / "good.html").write_text('<!doctype html><main id="a"><a href="#a">a</a></main>', encoding="utf-8")
    (site / "bad.html").write_text(STUMBLES, encoding="utf-8")
    for word, code, faults in (("good", 0, ()), ("", 1, FOUND)):
        command = [sys.executable, str(ROOT / "docs" / "look.py"), str(site), str(tmp_path / "pictures"), word]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == code, done.stdout + done.stderr
        assert [fault for fault in faults if fault not in done.stdout] == []
        assert (tmp_path / "pictures" / "phone" / "good.png").stat().st_size > 0
