"""Look at every page of the built site in headless Chromium, as on a desktop and as on a phone: ``make site-check``.

    python docs/look.py SITE PICTURES [WORD...]     # only pages whose name holds one of the words

Each page is pictured at both widths. What a reader would stumble over is an error: a page that is wider than the phone,
an image that does not load, a formula that MathJax cannot set, a link within the site that leads nowhere, a script that
fails, and any request that leaves the folder of the site.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse
from urllib.request import url2pathname

from playwright.sync_api import Page, Request, Route, sync_playwright

WIDTHS = {"desktop": (1280, 800), "phone": (390, 844)}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
TALLEST = 12000  # pixels of a picture
START = re.compile('http-equiv="refresh"')  # of a page that leads on to another
FLAGS = ["--allow-file-access-from-files", "--no-sandbox", "--disable-gpu"]

PROBE = """() => {
    const width = document.documentElement.clientWidth
    const inside = (e) => { for (; e; e = e.parentElement) if (getComputedStyle(e).overflowX != 'visible') return true }
    const wide = [...document.querySelectorAll('main *, footer *, header *')].filter(
        (e) => e.getBoundingClientRect().right > width + 1 && !inside(e.parentElement))
    return {
        overflow: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - width,
        wide: wide.slice(0, 3).map((e) => e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 40)),
        images: [...document.images].filter((i) => !i.naturalWidth && i.loading != 'lazy').map((i) => i.src),
        silent: [...document.images].filter((i) => !i.hasAttribute('alt')).map((i) => i.src),
        formulas: [...document.querySelectorAll('mjx-merror')].map((e) => e.textContent),
        links: [...document.querySelectorAll('a[href]')].map((a) => a.href),
        ids: [...document.querySelectorAll('[id]')].map((e) => e.id),
    }
}"""


def main(site: Path, pictures: Path, words: list[str]) -> int:
    """Look at the pages, print what is wrong with each, and return the exit code."""
    pages = [page for page in sorted(site.rglob("*.html")) if page.relative_to(site).parts[0] != "_static"]
    pages = [page for page in pages if not words or any(word in page.as_posix() for word in words)]
    shutil.rmtree(pictures, ignore_errors=True)
    faults: dict[Path, list[str]] = defaultdict(list)
    links: dict[Path, set[str]] = {}
    ids: dict[Path, set[str]] = {}
    with sync_playwright() as driver:
        path = next(filter(None, map(shutil.which, BROWSERS)), None)
        if path is None:
            sys.exit(f"there is no Chromium here: install one of {', '.join(BROWSERS)}")
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        for name, (width, height) in WIDTHS.items():
            view = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
            here = _watched(view)
            listings = [page for page in pages if page.relative_to(site).parts[0] == "_modules"]
            for page in pages if name == "phone" else [page for page in pages if page not in listings]:
                here.clear()
                found = _seen(view, page, name, here)
                links[page], ids[page] = set(found["links"]), set(found["ids"])
                faults[page] += [f"{name}: {fault}" for fault in here]
                if page not in listings:  # of code, which look alike
                    _picture(view, pictures / name / page.relative_to(site).with_suffix(".png"), width)
            view.close()
        browser.close()
    for page in pages:
        faults[page] += _broken(page, site, links[page], ids)
        for fault in dict.fromkeys(faults[page]):
            print(f"{page.relative_to(site)}: {fault}")
    wrong = sum(map(bool, faults.values()))
    print(f"{len(pages)} pages, {wrong} of them with faults; pictures in {pictures}")
    return int(wrong > 0)


def _seen(view: Page, page: Path, name: str, here: list[str]) -> dict[str, list[str]]:
    """Open a page, note what a reader would stumble over, and return its links and anchors."""
    view.goto(page.as_uri(), wait_until="load")
    if START.search(page.read_text(encoding="utf-8")):
        view.wait_for_url(lambda url: url != page.as_uri())
    view.wait_for_function("() => !window.MathJax || (MathJax.startup && MathJax.startup.promise.then(() => true))")
    found = view.evaluate(PROBE)
    if found["overflow"] > 1:
        here.append(f"{found['overflow']} pixels wider than the screen: {'; '.join(found['wide'])}")
    here += [f"an image does not load: {image}" for image in found["images"]]
    here += [f"an image has no words: {image}" for image in found["silent"]]
    here += [f"a formula cannot be set: {formula}" for formula in found["formulas"]]
    return found


def _picture(view: Page, path: Path, width: int) -> None:
    """Write a picture of the page, down to `TALLEST` pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height = min(TALLEST, view.evaluate("document.documentElement.scrollHeight"))
    view.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})


def _watched(view: Page) -> list[str]:
    """Return a list that gets what goes wrong while a page is shown; no request leaves this machine."""
    here: list[str] = []

    def stay(route: Route) -> None:
        if urlparse(route.request.url).scheme in ("file", "data", "blob"):
            route.continue_()
        else:
            here.append(f"a request leaves the site: {route.request.url}")
            route.abort()

    def failed(request: Request) -> None:
        if urlparse(request.url).scheme == "file":
            here.append(f"a file is missing: {request.url}")

    view.route("**/*", stay)
    view.on("requestfailed", failed)
    view.on("pageerror", lambda error: here.append(f"a script fails: {error}"))
    return here


def _broken(page: Path, site: Path, links: set[str], ids: dict[Path, set[str]]) -> list[str]:
    """Return what is wrong with the links of a page to files of the site, and to places on pages."""
    wrong = []
    for link in sorted(links):
        url, anchor = urldefrag(link)
        if urlparse(url).scheme != "file":
            continue
        target = _file(url)
        if not target.is_file() or not target.is_relative_to(site):
            wrong.append(f"a link leads nowhere: {target}")
        elif anchor and target in ids and unquote(anchor) not in ids[target] | {"top"}:
            wrong.append(f"a link leads to no place on {target.relative_to(site)}: #{anchor}")
    return wrong


@cache
def _file(url: str) -> Path:
    return Path(url2pathname(unquote(urlparse(url).path))).resolve()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3:]))
