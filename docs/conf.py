"""The documentation site: what ``make site`` builds from the Markdown pages, the notebooks and the docstrings.

The sources of the site are the files of the project where they lie, so that one relative link holds on a code host and
in the site. New pages in docs/, docs/results/ and benchmarks/results/, new notebooks and new modules join by
themselves. The site loads nothing from elsewhere: MathJax is a file of the site, and fonts are those of the reader.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

import tinympcnn

ROOT = Path(__file__).parents[1]

project, version, release = "tinympcnn", tinympcnn.__version__, tinympcnn.__version__
copyright = "2026, the tinympcnn maintainers"
extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "numpydoc", "sphinx_design", "sphinx-mathjax-offline",
]  # fmt: skip
root_doc = "docs/index"
include_patterns = [
    "docs/**.md", "tutorials/README.md", "tutorials/[0-9]*.ipynb", "benchmarks/**README.md", "data/README.md",
    "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
]  # fmt: skip
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

# ------------------------------------------------------------------------------------------- pages and notebooks
nb_execution_mode = "off"  # notebooks show the outputs that are committed
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "html_image", "colon_fence", "attrs_inline"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

# ------------------------------------------------------------------------------------------------ the API reference
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # numpydoc's sections say more
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
default_role = "literal"

# -------------------------------------------------------------------------------------------------------- the looks
html_theme = "pydata_sphinx_theme"
html_title = "tinympcnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_additional_pages = {"index": "to_start.html"}
templates_path = ["_templates"]
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "show_nav_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

GUIDES = sorted(
    path.stem
    for path in (ROOT / "docs").glob("*.md")
    if path.stem not in ("index", "install", "applications", "results", "api", "errata", "project")
)
TREES = {  # pages that read well on a code host as they are, and the pages that the site puts below them
    "tutorials/README": "[0-9]*",
    "docs/applications": "\n".join(GUIDES),
}


def complete(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give a page the tree of the pages below it, and a page of the API reference the modules of its package."""
    if tree := TREES.get(docname):
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n:glob:\n{tree}\n```\n"
    if docname.startswith("docs/api/"):
        source[0] += "".join(map(_documented, _modules(docname.rpartition("/")[2])))


def _modules(part: str) -> list[str]:
    """Return the package that a page is about, and the modules in it unless the package says what it offers."""
    name = "tinympcnn" if part == "tinympcnn" else f"tinympcnn.{part}"
    module = __import__(name, fromlist=["*"])
    if hasattr(module, "__all__") or not hasattr(module, "__path__"):
        return [name]
    inside = [found.name for found in pkgutil.walk_packages(module.__path__, f"{name}.")]
    return [name, *inside]


def _documented(module: str) -> str:
    imported = "   :imported-members:\n" if hasattr(__import__(module, fromlist=["*"]), "__all__") else ""
    return f"\n\n## {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n{imported}\n```\n"


PUBLIC = {id(getattr(tinympcnn, name)) for name in tinympcnn.__all__}


def documented_above(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out of the pages of the parts what the page of the whole package documents."""
    here = app.env.current_document.docname
    return True if id(obj) in PUBLIC and here != "docs/api/tinympcnn" and here != "docs/api/zoo" else None


def files_of_the_project(app: Sphinx, doctree: nodes.document) -> None:
    """Turn links to the README into links to the start page, and links to modules into links to their source."""
    for node in list(doctree.findall(addnodes.download_reference)):
        target = Path(app.srcdir, app.env.docname, "..", node["reftarget"]).resolve()
        name = target.relative_to(ROOT).with_suffix("").as_posix() if target.is_relative_to(ROOT) else ""
        if name == "README":
            _point(app, node, root_doc)
        elif name.startswith("tinympcnn/") and target.suffix == ".py":
            _point(app, node, "_modules/" + name.removesuffix("/__init__"))


def _point(app: Sphinx, node: nodes.Element, docname: str) -> None:
    """Make a link of `node` to a page of the site."""
    link = make_refnode(app.builder, app.env.docname, docname, "", list(node.children))
    node.replace_self(link)


def folders_of_the_project(app: Sphinx, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Node | None:
    """Turn a link to a folder into a link to its README, or into plain text where there is none."""
    target = Path(app.srcdir, node["refdoc"], "..", node["reftarget"]).resolve()
    if not (target.is_dir() and target.is_relative_to(ROOT)):
        return None
    readme = (target.relative_to(ROOT) / "README").as_posix()
    if readme in env.found_docs:
        return make_refnode(app.builder, node["refdoc"], readme, "", list(content.children))
    return content


def setup(app: Sphinx) -> None:
    """Connect what is above with Sphinx."""
    app.connect("source-read", complete)
    app.connect("autodoc-skip-member", documented_above)
    app.connect("doctree-read", files_of_the_project)
    app.connect("missing-reference", folders_of_the_project)
