"""The documentation site: what ``make site`` builds from the Markdown pages, the notebooks and the docstrings.

The sources of the site are the files of the project where they lie, so that one relative link holds on a code host and
in the site. New pages in docs/, docs/results/ and benchmarks/results/, new notebooks and new modules join by
themselves. The site loads nothing from elsewhere: MathJax is a file of the site, and fonts are those of the reader.
"""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path
from types import GenericAlias
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
html_extra_path = sorted(path.name for path in (ROOT / "docs").glob("*.html"))  # pages that are made elsewhere
html_additional_pages = {"index": "to_start.html"}
templates_path = ["_templates"]
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "show_nav_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

OWN = ("index", "install", "applications", "results", "speed", "differences", "api", "project")  # placed by hand
GUIDES = sorted(path.stem for path in (ROOT / "docs").glob("*.md") if path.stem not in OWN)
TREES = {  # the pages below a page, which that page, read on a code host, does not list in the site's words
    "tutorials/README": ["[0-9]*"],
    "docs/applications": ["commands", "nets", *(guide for guide in GUIDES if guide not in ("commands", "nets"))],
}


def complete(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give a page the tree of the pages below it, and a page of the API reference the modules of its package."""
    if tree := TREES.get(docname):
        source[0] += "\n\n```{toctree}\n:hidden:\n:glob:\n\n" + "\n".join(tree) + "\n```\n"
    if docname.startswith("docs/api/"):
        modules = _modules(docname.rpartition("/")[2])
        source[0] += "".join(_documented(module, headed=len(modules) > 1) for module in modules)


def _modules(part: str) -> list[str]:
    """Return the package that a page is about, and the modules in it unless the package says what it offers."""
    name = "tinympcnn" if part == "tinympcnn" else f"tinympcnn.{part}"
    module = import_module(name)
    if hasattr(module, "__all__") or not hasattr(module, "__path__"):
        return [name]
    inside = [found.name for found in pkgutil.walk_packages(module.__path__, f"{name}.")]
    return [name, *inside]


def _documented(module: str, headed: bool) -> str:
    imported = "   :imported-members:\n" if hasattr(import_module(module), "__all__") else ""
    heading = f"## {module.removeprefix('tinympcnn.')}\n\n" if headed else ""
    return f"\n\n{heading}```{{eval-rst}}\n.. automodule:: {module}\n{imported}\n```\n"


PUBLIC = {id(getattr(tinympcnn, name)) for name in tinympcnn.__all__}


def left_out(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out names of types, and on the pages of the parts what the page of the whole package documents."""
    above = id(obj) in PUBLIC and app.env.current_document.docname not in ("docs/api/tinympcnn", "docs/api/zoo")
    return True if above or isinstance(obj, GenericAlias) else None


def links_of_the_project(app: Sphinx, doctree: nodes.document) -> None:
    """Lead links to files and folders that are no pages to the pages of the site that show them."""
    here = app.env.docname
    links = [node for kind in (addnodes.download_reference, addnodes.pending_xref) for node in doctree.findall(kind)]
    for node in links:
        target = Path(app.srcdir, here, "..", node["reftarget"]).resolve()
        if target.exists() and target.is_relative_to(ROOT):
            content = list(node.children)
            if docname := _page_of(app, target):
                node.replace_self(make_refnode(app.builder, here, docname, "", content))
            elif target.suffix == ".html":
                uri = app.builder.get_relative_uri(here, "index").removesuffix("index.html") + target.name
                node.replace_self(nodes.reference("", "", *content, refuri=uri, internal=True))
            elif target.is_dir():
                node.replace_self(content)


def _page_of(app: Sphinx, target: Path) -> str | None:
    """Return the page of the site that shows a file or a folder of the project which is no page itself."""
    parts = target.relative_to(ROOT).with_suffix("").parts
    if parts == ("README",):
        return root_doc
    if parts[0] == "tinympcnn" and (target.is_dir() or target.suffix == ".py"):
        part = parts[1] if len(parts) > 1 and parts[1] != "__init__" else "tinympcnn"
        if f"docs/api/{part}" in app.env.found_docs:
            return f"docs/api/{part}" if target.is_dir() or parts[-1] == "__init__" else "_modules/" + "/".join(parts)
    readme = "/".join([*parts, "README"])
    return readme if readme in app.env.found_docs else None


def back_from_source(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Correct the links from listings back to the reference, which know names where they are defined only."""
    known = app.env.domains["py"].data["objects"]

    def corrected(found: re.Match[str]) -> str:
        *_, owner, name = found[2].split(".")
        names = (found[2], f"tinympcnn.{owner}.{name}", f"tinympcnn.{name}")
        if right := next((one for one in names if one in known), None):
            return f"{app.builder.get_relative_uri(page, known[right].docname)}#{known[right].node_id}{found[3]}"
        return f"{app.builder.get_relative_uri(page, 'docs/api')}{found[3]}"

    if page.startswith("_modules/") and "body" in context:
        context["body"] = re.sub(r'(?<=class="viewcode-back" href=")([^"#]*)#([^"]*)(")', corrected, context["body"])


def setup(app: Sphinx) -> None:
    """Connect what is above with Sphinx."""
    app.connect("source-read", complete)
    app.connect("autodoc-skip-member", left_out)
    app.connect("doctree-read", links_of_the_project)
    app.connect("html-page-context", back_from_source)
