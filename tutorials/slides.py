"""Write ``slides.html``, a page for each key figure of the course: ``make slides``; print the page to get a PDF.

Each page has the title of a notebook, the figure of its first screen (``banners/``) and what the figure shows.
"""

from __future__ import annotations

import html
import re

from course import TUTORIALS

KEY = ("00", "02", "04", "05b", "06", "07", "08", "09", "10", "12")
STYLE = """
body { font-family: sans-serif; margin: 0 }
section { height: 100vh; display: flex; flex-direction: column; justify-content: center; align-items: center;
          break-after: page; text-align: center }
img { max-width: 90vw; max-height: 65vh; min-width: 60vw; object-fit: contain }
p { max-width: 80vw; color: #444444 }
"""


def slide(number: str) -> str:
    """Return the page of one notebook."""
    text = next(TUTORIALS.glob(f"{number}_*.py")).read_text(encoding="utf-8")
    title = re.search(r"^# # (.+)$", text, re.M)
    picture = re.search(r"!\[(.+?)\]\((banners/.+?)\)", text, re.S)
    assert title and picture, f"notebook {number} has no title, or no banner"
    words = html.escape(" ".join(picture[1].replace("\n#", " ").split()))
    return f'<section><h1>{html.escape(title[1])}</h1><img src="{picture[2]}" alt="{words}"><p>{words}</p></section>'


def main() -> None:
    """Write the pages beside the notebooks."""
    path = TUTORIALS / "slides.html"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>tinympcnn</title><style>{STYLE}</style>'
    path.write_text(head + "\n".join(map(slide, KEY)) + "</html>\n", encoding="utf-8")
    print(f"{path.name}: {len(KEY)} pages")


if __name__ == "__main__":
    main()
