"""Layers with a mistake that the tutorials make on purpose."""

from __future__ import annotations

import numpy as np

from tinympcnn import Conv
from tinympcnn.engine import correlation


class Unturned(Conv):
    """A convolution whose backward pass forgets to turn the kernel: dW and db are right, dx is not."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Return dx, correlated with the kernel as it lies."""
        super().backward_params(dy)
        kh, kw = self.kernel
        return correlation.correlate(dy, self.params["W"].transpose(0, 1, 3, 2), border=(kh - 1, kw - 1))
