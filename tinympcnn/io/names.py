"""Which file names belong together: of images and their labels, or of predictions and the truth."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tinympcnn.errors import DataError
from tinympcnn.io.image_file import stem_of

MASKS = r"(cp[ _-]?)?masks?|labels?|((simple[ _-]?)?seg(mentation)?s?)|gt|(ground[ _-]?)?truth|annot(ation)?s?|manual"
OTHERS = r"prob(abilit(y|ies))?|pred(iction)?s?|im(g|ages?)?|raw"


def match(images: Sequence[Path], labels: Sequence[Path], what: str = "image") -> list[int] | None:
    """Return for each image the index of the label file that belongs to it by name; None if no name fits.

    Names fit as they are, or without what `name_of` takes off, or in the part that differs from file to file.

    >>> match([Path("cell1.ome.tif"), Path("cell10.ome.tif")], [Path("cell10_mask.png"), Path("cell1_mask.png")])
    [1, 0]
    >>> match([Path("volume1.tif"), Path("volume2.tif")], [Path("truth2.tif"), Path("truth1.tif")])
    [1, 0]
    """
    sides = [
        ([_plain(stem_of(path)) for path in images], [_plain(stem_of(path)) for path in labels]),
        ([name_of(path) for path in images], [name_of(path) for path in labels]),
        (_differing(images), _differing(labels)),
    ]
    for left, right in sides:
        if set(left) == set(right) and len(left) == len(right) == len(set(left)) > 1:
            return [right.index(name) for name in left]
    left, right = sides[1]
    if len(images) == len(labels) == 1 or not set(left) & set(right):
        return None
    for paths, names in ((images, left), (labels, right)):
        first: dict[str, Path] = {}
        for path, name in zip(paths, names, strict=True):
            if name in first:
                raise DataError(f"{first[name]} and {path} have one name; it is open which labels are whose")
            first[name] = path
    counts = "" if len(left) == len(right) else f"{len(left)} {what} files but {len(right)} label files; "
    if alone := [path for path, name in zip(images, left, strict=True) if name not in right]:
        wanted = f"expected {stem_of(alone[0])} or {name_of(alone[0])}_label"
        raise DataError(f"{counts}no label file belongs to {alone[0]}; {wanted}")
    alone = [path for path, name in zip(labels, right, strict=True) if name not in left]
    raise DataError(f"{counts}no {what} belongs to the label file {alone[0]}; leave it out")


def name_of(path: Path) -> str:
    """Return the name that a file shares with those that belong to it.

    >>> [name_of(Path(file)) for file in ("000_img.png", "000_cp_masks.png", "mask-000.tif", "000_prob.tif")]
    ['000', '000', '000', '000']
    """
    return _without(f"{MASKS}|{OTHERS}", _plain(stem_of(path)))


def _without(words: str, name: str) -> str:
    """Take words off the start and the end of a name, as long as something is left of it."""
    name = re.sub(rf"^(({words})[ _.-]+)+(?=.)", "", name)
    return re.sub(rf"(?<=.)([ _.-]+({words}))+$", "", name)


def masks_among(paths: Iterable[Path]) -> set[Path]:
    """Return the files that are named as the masks of others, such as cell_mask.png beside cell.png.

    >>> files = [Path(name) for name in ("label_free.tif", "label_free_mask.tif", "000_img.png", "000_masks.png")]
    >>> sorted(path.name for path in masks_among(files))
    ['000_masks.png', 'label_free_mask.tif']
    """
    groups = defaultdict[str, dict[Path, int]](dict)
    for path in paths:
        name = _plain(stem_of(path))
        groups[name_of(path)][path] = len(name) - len(_without(MASKS, name))
    return {path for group in groups.values() for path, taken_off in group.items() if taken_off > min(group.values())}


def _plain(name: str) -> str:
    """Return a name as all systems write it: composed letters, in lower case."""
    return unicodedata.normalize("NFC", name).casefold()


def name_on_disk(name: str) -> str:
    """Return what tells whether names are those of one file here; macOS and Windows take no notice of case."""
    return _plain(name) if sys.platform in ("darwin", "win32") else name


def _differing(paths: Sequence[Path]) -> list[str]:
    """Return of each path the part that not all have in common; numbers without zeros in front."""
    names = [_plain(str(path.with_name(stem_of(path)))) for path in paths]
    start = len(os.path.commonprefix(names))  # noqa: RUF071
    end = len(os.path.commonprefix([name[start:][::-1] for name in names]))  # noqa: RUF071
    return [re.sub(r"\d+", lambda found: str(int(found[0])), name[start : len(name) - end]) for name in names]
