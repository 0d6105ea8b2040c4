"""The pages of text: their links lead somewhere, and the command line takes every command that they give."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tinympcnn.cli import entry

ROOT = Path(__file__).parents[1]
PAGES = [page for page in sorted(ROOT.rglob("*.md")) if not any(part.startswith(".") for part in page.parts)]
WIDTH = 88  # columns of code that a code-hosting page shows without scrolling
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings: lower case, without punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> list[list[str]]:
    """The words of every `tinympcnn` command in fenced blocks, but for those with variables of the shell."""
    lines = "".join(FENCED.findall(text)).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("tinympcnn ") and "$" not in line]
    return [line[1:] for line in words]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    html = re.findall(r'(?:src|srcset|href)="(?!\w+:)([^"#]*)#?([^"]*)"', text)
    for link, anchor in [*re.findall(r"\]\((?!\w+:)([^)#]*)#?([^)]*)\)", text), *html]:
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_line_of_text_begins_as_a_comment_of_the_site_does(page):
    assert not re.findall(r"^ *%.*", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_command_line_takes_the_commands(page):
    for words in commands(page.read_text(encoding="utf-8")):
        entry.parser_of(words).parse_args(words)


def test_the_code_of_the_readme_is_coloured_and_does_not_scroll():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) > 5 and all(language for language, _ in blocks)
    assert max(len(line) for _, block in blocks for line in block.splitlines()) <= WIDTH


def test_the_pages_give_every_command():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert all(re.search(rf"tinympcnn {command}\b", text) for command in entry.COMMANDS)
