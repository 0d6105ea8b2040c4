"""The nets of tinympcnn in PyTorch, with the same parameters, to which the benchmark compares the library.

Two ways of running a max-pooling net on a whole image, each in PyTorch's default memory format and in channels_last:

fragments
    Max-pooling at every offset makes k*k fragments, which are concatenated on the batch axis as they come (so the
    first offset varies fastest; to stack them as tinympcnn does would lose channels_last, and cost PyTorch a copy).
    Scores are interleaved at the end.
dilated
    Every convolution and every stride-1 pool after a pool of k is dilated by k, and maps stay dense.

PyTorch gets what is fair to give: in-place tanh (the convolution's backward pass does not need its output), gradients
set to None instead of to zero, no gradient of the image, ``inference_mode`` and in-place softmax for segmentation.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tinympcnn import Conv, MaxPoolFragment, Net, Tanh

FORMATS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}
FORMULATIONS = ("fragments", "dilated")


class Twin:
    """A net of tinympcnn, computed by PyTorch.

    Parameters
    ----------
    net : Net
        Of convolutions, fully connected layers, tanh and MaxPoolFragment; its parameters are copied.
    formulation : {"fragments", "dilated"}
    memory_format : {"default", "channels_last"}
    """

    def __init__(self, net: Net, formulation: str, memory_format: str) -> None:
        self.net, self.dilated, self.format = net, formulation == "dilated", FORMATS[memory_format]
        self.params = []
        for layer in net.layers:
            if isinstance(layer, Conv):
                W = torch.tensor(layer.params["W"].transpose(3, 2, 0, 1)).contiguous(memory_format=self.format)
                self.params += [W.requires_grad_(), torch.tensor(layer.params["b"]).requires_grad_()]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the dense scores (N, K, H-P+1, W-Q+1) of `images` (N, C, H, W)."""
        H, W = images.shape[2:]
        (P, Q), padded = self.net.field_of_view, self.net.padded_size((H, W))
        x = images if self.dilated else F.pad(images, (0, padded[1] - W, 0, padded[0] - H))
        x = x.contiguous(memory_format=self.format)
        params, dilation = iter(self.params), (1, 1)
        for layer in self.net.layers:
            if isinstance(layer, Conv):
                x = F.conv2d(x, next(params), next(params), dilation=dilation)
            elif isinstance(layer, Tanh):
                x = x.tanh_()
            elif isinstance(layer, MaxPoolFragment):
                kh, kw = layer.k
                if self.dilated:
                    x = F.max_pool2d(x, layer.k, stride=1, dilation=dilation)
                    dilation = dilation[0] * kh, dilation[1] * kw
                else:
                    x = torch.cat([F.max_pool2d(x[:, :, r:, c:], layer.k) for r in range(kh) for c in range(kw)])
            else:
                raise TypeError(f"no twin for {layer!r}")
        if not self.dilated:
            for layer in reversed(self.net.layers):
                if isinstance(layer, MaxPoolFragment):
                    x = merge(x, *layer.k)
        return x[:, :, : H - P + 1, : W - Q + 1]

    def step(self, images: torch.Tensor, target: torch.Tensor) -> float:
        """Run forward, loss and backward; leave the gradients in the parameters and return the loss."""
        for param in self.params:
            param.grad = None
        loss = F.cross_entropy(self.forward(images), target)
        loss.backward()
        return loss.item()

    @torch.inference_mode()
    def segment(self, images: torch.Tensor) -> torch.Tensor:
        """Return the class probabilities of `images`, which are mirrored at the borders already."""
        return self.forward(images).softmax(dim=1)

    def grads(self) -> np.ndarray:
        """Return all gradients as one vector, in the order of ``net.flat_grads()``."""
        arrays = [param.grad.numpy() for param in self.params]
        return np.concatenate([(a.transpose(2, 3, 1, 0) if a.ndim == 4 else a).ravel() for a in arrays])


def merge(x: torch.Tensor, kh: int, kw: int) -> torch.Tensor:
    """Interleave the fragments of one pool, concatenated in row-major order of their offsets, into dense maps."""
    _, C, h, w = x.shape
    return x.reshape(kh, kw, -1, C, h, w).permute(2, 3, 4, 0, 5, 1).reshape(-1, C, h * kh, w * kw)
