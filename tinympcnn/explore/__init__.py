"""The fragment explorer: one HTML page on which a small net, an image and all that happens between them can be touched.

``scenes.py`` turns a net and an image into data, or says why they can not be shown. ``html.py`` puts the data and the
sources in ``sources/``, which are plain HTML, CSS and JavaScript, into one file that needs nothing else and no network.
The page computes everything itself: ``sources/twin.js`` is the arithmetic of the layers, and tests hold it to NumPy's.
"""

from __future__ import annotations

from tinympcnn.explore.html import page, write
from tinympcnn.explore.scenes import default_crop, scene

__all__ = ["default_crop", "page", "scene", "write"]
