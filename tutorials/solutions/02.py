"""Solutions of tutorial 02, and wrong answers that the grading knows by name."""

import numpy as np
from course.grading import Wrong

from tinympcnn import Conv
from tinympcnn.engine import columns


def output_size(H, k):
    """Return how many positions a kernel of k rows has in H rows."""
    return H - k + 1


class YourConv(Conv):
    """Forward by columns."""

    def forward(self, x, train=True):
        """Return the output maps."""
        self.cache = x if train else None
        W, b = self.params["W"], self.params["b"]
        (kh, kw), (F, H, width, _) = self.kernel, x.shape
        y = columns(x, (kh, kw)) @ W.reshape(-1, W.shape[3]) + b
        return y.reshape(F, H - kh + 1, width - kw + 1, -1)


class TurnedKernel(Conv):
    """Convolution in the mathematical sense."""

    def forward(self, x, train=True):
        """Turn the kernel."""
        twin = Conv(self.in_maps, self.out_maps, self.kernel)
        twin.params = {"W": np.ascontiguousarray(self.params["W"][::-1, ::-1]), "b": self.params["b"]}
        self.cache = x if train else None
        return twin.forward(x)


class NoBias(Conv):
    """Forgets the bias."""

    def forward(self, x, train=True):
        """Return the output maps without bias."""
        return super().forward(x, train) - self.params["b"]


class OneMap(Conv):
    """Takes the first input map only."""

    def forward(self, x, train=True):
        """Use one map of the input."""
        self.cache = x if train else None
        twin = Conv(1, self.out_maps, self.kernel)
        twin.params = {"W": self.params["W"][:, :, :1].copy(), "b": self.params["b"]}
        return twin.forward(x[..., :1].copy())


WRONG = {
    "last position missing": Wrong("output_size", lambda H, k: H - k, says="the last position is missing"),
    "full size": Wrong("output_size", lambda H, k: H + k - 1, says="full correlation"),
    "turned kernel": Wrong("YourConv", TurnedKernel, says="turned by 180 degrees"),
    "no bias": Wrong("YourConv", NoBias, says="the bias is missing"),
    "one input map": Wrong("YourConv", OneMap, says="the first input map alone"),
}
