"""Make the thumbnails of the course that the README and the site show, from figures of the notebooks.

    python docs/pictures/course.py        # writes course-NN.png, and prints the alternative text of each

A figure is chosen by words of its alternative text, so that it is found again if a notebook gets more figures.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image, ImageChops

HERE = Path(__file__).parent
TUTORIALS = HERE.parents[1] / "tutorials"
CHOSEN = {
    "00": "six pictures of one slice",
    "08": "each with the number of its fragment",
    "10": "where each fragment sends",
    "13": "test slice, grey and noisy",
    "14": "six grey pictures of steel strip",
    "17": "eight distortions of one",
    "18": "images of stained tissue with pale nuclei",
}
SIZE, BORDER = (400, 300), 8


def figures(number: str) -> list[tuple[str, Image.Image]]:
    """Return the figures of a notebook, each with its alternative text."""
    (path,) = TUTORIALS.glob(f"{number}_*.ipynb")
    outputs = [o for cell in json.loads(path.read_text())["cells"] for o in cell.get("outputs", [])]
    return [
        (o["metadata"]["image/png"]["alt"], Image.open(io.BytesIO(base64.b64decode(o["data"]["image/png"]))))
        for o in outputs
        if "alt" in o.get("metadata", {}).get("image/png", {})
    ]


def thumbnail(figure: Image.Image) -> Image.Image:
    """Return a figure without its margin, in the middle of a white picture of SIZE."""
    figure = figure.convert("RGB")
    figure = figure.crop(ImageChops.invert(figure).getbbox())
    scale = min((full - 2 * BORDER) / n for full, n in zip(SIZE, figure.size, strict=True))
    figure = figure.resize((round(figure.width * scale), round(figure.height * scale)), Image.Resampling.LANCZOS)
    page = Image.new("RGB", SIZE, "white")
    page.paste(figure, ((SIZE[0] - figure.width) // 2, (SIZE[1] - figure.height) // 2))
    return page.quantize(64, dither=Image.Dither.NONE)


def main() -> None:
    """Write all thumbnails."""
    for number, words in CHOSEN.items():
        found = [(alt, figure) for alt, figure in figures(number) if words in alt.lower()]
        if len(found) != 1:
            raise SystemExit(f"notebook {number} has {len(found)} figures whose words hold {words!r}; choose one")
        ((alt, figure),) = found
        thumbnail(figure).save(HERE / f"course-{number}.png", optimize=True)
        print(f"course-{number}.png: {alt}")


if __name__ == "__main__":
    main()
