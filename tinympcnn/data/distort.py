"""New small images from few: each is moved, scaled, turned, sheared and bent at random, all in one resampling.

The nets that classify digits and signs see another distortion of every image each time (Ciresan, Meier, Gambardella,
Schmidhuber, Neural Computation 2010). The elastic part is that of Simard, Steinkraus and Platt (ICDAR 2003): uniform
noise, smoothed by a Gaussian of `sigma` and multiplied by `alpha`. Several resamplings in a row would blur several
times, so every pixel of the result first gets the point of the image that it comes from, and the image is looked up
once. The resampling also brings images of any size to the size that a net takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from tinympcnn.engine import multiply_both
from tinympcnn.errors import UsageError


@dataclass(frozen=True)
class Distortion:
    """How far small images are distorted: the ends of the ranges from which each image draws its own numbers.

    Attributes
    ----------
    translation : float
        The largest shift along each axis, as a share of the image's side.
    scale : float
        The largest change of size along each axis: 0.15 draws factors from 0.85 to 1.15.
    rotation : float
        The largest angle, in degrees, to either side.
    shear : float
        The largest slant, in degrees, to either side.
    alpha, sigma : float
        The factor and the standard deviation, in pixels of the result, of the elastic displacements. A displacement
        has a standard deviation of about ``0.16 * alpha / sigma`` pixels.

    Examples
    --------
    >>> Distortion.parse("rotation=10,alpha=36")
    Distortion(translation=0.0, scale=0.0, rotation=10.0, shear=0.0, alpha=36.0, sigma=6.0)
    """

    translation: float = 0.0
    scale: float = 0.0
    rotation: float = 0.0
    shear: float = 0.0
    alpha: float = 0.0
    sigma: float = 6.0

    def __post_init__(self) -> None:
        largest = {"translation": 1.0, "scale": 0.9, "rotation": 180.0, "shear": 80.0, "alpha": 1e4, "sigma": 1e3}
        for name, most in largest.items():
            value = getattr(self, name)
            least = 0.1 if name == "sigma" else 0
            if not least <= value <= most:
                raise UsageError(f"the {name} of a distortion is from {least} to {most:g}, not {value}")

    @classmethod
    def parse(cls, text: str) -> Distortion:
        """Read a distortion such as ``"rotation=10,scale=0.1"``, "digits" or "signs"; "none" changes nothing.

        Raises
        ------
        UsageError
            If the text is none of these.
        """
        if text in DISTORTIONS:
            return DISTORTIONS[text]
        try:
            values = dict(part.split("=") for part in text.split(","))
            return cls(**{name.strip(): float(value) for name, value in values.items()})
        except UsageError:
            raise
        except (ValueError, TypeError):
            names = ", ".join(field.name for field in fields(cls))
            raise UsageError(
                f"cannot read the distortion {text[:60]!r}; use none, digits, signs, or some of {names}, as in "
                "'rotation=10,scale=0.1'"
            ) from None


DISTORTIONS = {
    "none": Distortion(),
    "digits": Distortion(translation=0.05, scale=0.15, rotation=15, shear=8, alpha=36, sigma=6),
    "signs": Distortion(translation=0.08, scale=0.12, rotation=10),
}


def distort(
    images: np.ndarray, size: tuple[int, int], distortion: Distortion, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Return a random variant of every image, of another size if wanted.

    Parameters
    ----------
    images : array, shape (N, H, W, C)
        The images, in any units.
    size : (h, w)
        The size of the results; the whole image fills it, up to the distortion.
    distortion : Distortion
        The ranges from which every image draws its own distortion.
    rng : numpy.random.Generator, optional
        The source of chance; none is needed where nothing is distorted.

    Returns
    -------
    array of float32, shape (N, h, w, C)
        Bilinear between pixels; what lies beyond a border is mirrored, as everywhere in this library.

    Examples
    --------
    >>> images = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> distort(images, (2, 2), Distortion()).ravel().tolist()
    [2.5, 4.5, 10.5, 12.5]
    >>> distort(images, (29, 29), Distortion(rotation=10), np.random.default_rng(0)).shape
    (1, 29, 29, 1)
    """
    images = np.ascontiguousarray(images, np.float32)
    if distortion == Distortion(sigma=distortion.sigma):
        if images.shape[1:3] == tuple(size):
            return images
        rng = np.random.default_rng(0)  # which nothing depends on
    if rng is None:
        raise UsageError("a distortion is drawn at random: give rng, such as numpy.random.default_rng(0)")
    return _look_up(images, *_points(len(images), images.shape[1:3], size, distortion, rng))


def _points(
    n: int, source: tuple[int, ...], size: tuple[int, int], distortion: Distortion, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the column, (N, h, w) each, of the points from which the pixels of the results come."""
    (H, W), (h, w) = source, size
    d = distortion
    angle, slant = np.radians(rng.uniform(-1, 1, (2, n, 1, 1)) * np.array([d.rotation, d.shear])[:, None, None, None])
    grow = 1 + d.scale * rng.uniform(-1, 1, (2, n, 1, 1))
    shift = d.translation * rng.uniform(-1, 1, (2, n, 1, 1))
    down = np.arange(h)[:, None] - (h - 1) / 2
    right = np.arange(w) - (w - 1) / 2
    rows, columns = down + 0 * right, right + np.tan(slant) * down
    cos, sin = np.cos(angle), np.sin(angle)
    rows, columns = (cos * rows - sin * columns) / grow[0], (sin * rows + cos * columns) / grow[1]
    if d.alpha:
        bent = d.alpha * multiply_both(smoothing(h, d.sigma), rng.uniform(-1, 1, (2, n, h, w)), smoothing(w, d.sigma))
        rows, columns = rows + bent[0], columns + bent[1]
    rows = (H - 1) / 2 + shift[0] * H + rows * (H / h)
    return rows, (W - 1) / 2 + shift[1] * W + columns * (W / w)


def _look_up(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the images at points between their pixels, bilinearly."""
    N, H, W, C = images.shape
    r, below = _parts(rows, H)
    c, beside = _parts(columns, W)
    pixels = images.reshape(-1, C)
    corner = np.arange(N)[:, None, None] * (H * W) + r * W + c
    step_r, step_c = W if H > 1 else 0, 1 if W > 1 else 0
    top = pixels[corner] * (1 - beside) + pixels[corner + step_c] * beside
    corner += step_r
    bottom = pixels[corner] * (1 - beside) + pixels[corner + step_c] * beside
    return np.asarray(top * (1 - below) + bottom * below)


def _parts(points: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Mirror points at the borders of `n` pixels; return the pixel before each and how far behind it the point lies."""
    last = max(n - 1, 1)
    inside = last - np.abs(last - np.abs(points) % (2 * last))
    before = np.clip(inside.astype(np.intp), 0, max(n - 2, 0))
    return before, (inside - before)[..., None].astype(np.float32)


@cache
def smoothing(n: int, sigma: float) -> np.ndarray:
    """Return the matrix (n, n) that smooths `n` pixels by a Gaussian; what lies beyond the borders is mirrored.

    Examples
    --------
    >>> smoothing(3, 0.5).round(2).tolist()
    [[0.79, 0.21, 0.0], [0.11, 0.79, 0.11], [0.0, 0.21, 0.79]]
    """
    from scipy import ndimage

    reach = math.ceil(4 * sigma)
    return np.asarray(ndimage.gaussian_filter1d(np.eye(n), sigma, axis=0, mode="mirror", radius=reach))
