"""A page of an image file of which only the rows in use are in memory.

Read next: `borders.py`.
"""

import numpy as np

from tinympcnn.data.downsample import downsample
from tinympcnn.io.image_file import ImageFile


class PageRows:
    """One page, to take rows from by slicing: it keeps what the last slice needed, as neighbouring slices overlap.

    Parameters
    ----------
    file : ImageFile
        The file.
    index : int
        The page's number.
    factor : int
        Rows are down-sampled by it; 1 leaves them as they are.

    Attributes
    ----------
    shape : tuple of int
        (H, W, C), as of the whole page after down-sampling.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> from tinympcnn.io.images import open_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tifffile.imwrite(f"{folder}/a.tif", np.arange(60, dtype=np.uint8).reshape(20, 3))
    ...     PageRows(open_image(f"{folder}/a.tif"), 0)[4:6][:, :, 0]
    array([[12, 13, 14],
           [15, 16, 17]], dtype=uint8)
    """

    def __init__(self, file: ImageFile, index: int, factor: int = 1) -> None:
        height, width, maps = file.shape
        self.shape = height // factor, width // factor, maps
        self._file, self._index, self._factor = file, index, factor
        self._kept: dict[int, np.ndarray] = {}

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return rows, (stop - start, W, C)."""
        start, stop, _ = rows.indices(self.shape[0])
        return downsample(self._rows(start * self._factor, stop * self._factor), self._factor)

    def _rows(self, start: int, stop: int) -> np.ndarray:
        at_once, height = self._file.rows_at_once, self._file.shape[0]
        needed = range(start // at_once, -(-stop // at_once))
        self._kept = {i: pixels for i, pixels in self._kept.items() if i in needed}
        for i in needed:
            if i not in self._kept:
                self._kept[i] = self._file.rows(self._index, i * at_once, min((i + 1) * at_once, height))
        pieces = [self._kept[i] for i in needed]
        pixels = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        first = start - needed.start * at_once
        return pixels[first : first + stop - start]
