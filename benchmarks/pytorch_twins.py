"""The nets of tinympcnn in PyTorch, with the same parameters: what the benchmark measures the library against.

Two ways of running a max-pooling net on a whole image, each in PyTorch's default memory format and in channels_last:

fragments
    Max-pooling at every offset makes k*k fragments, which stand side by side on the batch axis, as in tinympcnn. The
    windows of all offsets together are the windows at every position, so one stride-1 ``max_pool2d`` and one
    permutation do it; that is faster in PyTorch than k*k pools of shifted slices, whose backward passes each fill
    a whole map with zeros. Scores are interleaved at the end.
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
        N, _, H, W = images.shape
        (P, Q), padded = self.net.field_of_view, self.net._padded(H, W)
        x = images if self.dilated else F.pad(images, (0, padded[1] - W, 0, padded[0] - H))
        x = x.contiguous(memory_format=self.format)
        params, dilation = iter(self.params), (1, 1)
        for layer in self.net.layers:
            if isinstance(layer, Conv):
                x = F.conv2d(x, next(params), next(params), dilation=dilation)
            elif isinstance(layer, Tanh):
                x = x.tanh_()
            elif isinstance(layer, MaxPoolFragment):
                x = F.max_pool2d(x, layer.k, stride=1, dilation=dilation)
                if self.dilated:
                    dilation = dilation[0] * layer.k[0], dilation[1] * layer.k[1]
                else:
                    x = split(x, *layer.k).contiguous(memory_format=self.format)
            else:
                raise TypeError(f"no twin for {layer!r}")
        if not self.dilated:
            for layer in reversed(self.net.layers):
                if isinstance(layer, MaxPoolFragment):
                    x = merge(x, *layer.k)
        return x[:, :, : H - P + 1, : W - Q + 1]

    def step(self, images: torch.Tensor, target: torch.Tensor) -> float:
        """Forward, loss and backward; leaves the gradients in the parameters and returns the loss."""
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


def split(x: torch.Tensor, kh: int, kw: int) -> torch.Tensor:
    """Return the kh*kw fragments of every dense map (F, C, H, W) on the batch axis, as in ``tinympcnn.fragments``."""
    n, C, H, W = x.shape
    x = x.reshape(n, C, H // kh, kh, W // kw, kw).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n * kh * kw, C, H // kh, W // kw)


def merge(x: torch.Tensor, kh: int, kw: int) -> torch.Tensor:
    """Interleave the kh*kw fragments of every map: the inverse of `split`."""
    n, C, h, w = x.shape
    x = x.reshape(n // (kh * kw), kh, kw, C, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n // (kh * kw), C, h * kh, w * kw)
