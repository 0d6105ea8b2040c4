"""The nets of tinympcnn in PyTorch, with the same parameters, to which the benchmarks compare the library.

Two ways of running a max-pooling net on a whole image, each in PyTorch's default memory format and in channels_last:

fragments
    Max-pooling at every offset makes k*k fragments, which are concatenated on the batch axis as they come (so the
    first offset varies fastest; to stack them as tinympcnn does would lose channels_last, and cost PyTorch a copy).
    Scores are interleaved at the end.
dilated
    Every convolution and every stride-1 pool after a pool of k is dilated by k, and maps stay dense. Nested nets
    (U-Nets and nets with Fragment) run in this way only.

PyTorch gets what is fair to give: in-place tanh and relu (the convolution's backward pass does not need its output),
gradients set to None instead of to zero, no gradient of the image, ``inference_mode`` and in-place softmax for
segmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from tinympcnn import Conv, Fragment, Layer, MaxPool, MaxPoolFragment, Net, Relu, Skip, Tanh, Upsample

FORMATS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}
FORMULATIONS = ("fragments", "dilated")


class Twin:
    """A net of tinympcnn, computed by PyTorch.

    Parameters
    ----------
    net : Net
        The net, whose parameters are copied. In fragments its layers are convolutions, fully connected layers, tanh
        and MaxPoolFragment.
    formulation : {"fragments", "dilated"}
        The way of running the net.
    memory_format : {"default", "channels_last"}
        The order of the axes in memory.
    """

    def __init__(self, net: Net, formulation: str, memory_format: str) -> None:
        self.net, self.dilated, self.format = net, formulation == "dilated", FORMATS[memory_format]
        self.params = [self._param(param) for _, param, _ in net.parameters()]

    def _param(self, param: np.ndarray) -> torch.Tensor:
        if param.ndim == 1:
            return torch.tensor(param).requires_grad_()
        return torch.tensor(param.transpose(3, 2, 0, 1)).contiguous(memory_format=self.format).requires_grad_()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the dense scores (N, K, n, m) of `images` (N, C, H, W)."""
        if self.dilated:
            return self._row(self.net.layers, images.contiguous(memory_format=self.format), iter(self.params), (1, 1))
        return self._fragments(images)

    def _row(
        self, layers: Sequence[Layer], x: torch.Tensor, params: Iterator[torch.Tensor], rate: tuple[int, int]
    ) -> torch.Tensor:
        for layer in layers:
            if isinstance(layer, Conv):
                x = F.conv2d(x, next(params), next(params), dilation=rate)
            elif isinstance(layer, Tanh | Relu):
                x = x.tanh_() if isinstance(layer, Tanh) else x.relu_()
            elif isinstance(layer, MaxPool):
                assert rate == (1, 1)
                x = F.max_pool2d(x, layer.k)
            elif isinstance(layer, Upsample):
                x = F.interpolate(x, scale_factor=layer.k, mode="nearest")
            elif isinstance(layer, MaxPoolFragment | Fragment):
                if isinstance(layer, MaxPoolFragment):
                    x = F.max_pool2d(x, layer.k, stride=1, dilation=rate)
                rate = rate[0] * layer.k[0], rate[1] * layer.k[1]
            elif isinstance(layer, Skip):
                inner = self._row(layer.layers, x, params, rate)
                (h, w), (top, left) = inner.shape[2:], (n // 2 * r for n, r in zip(layer.window, rate, strict=True))
                x = torch.cat([x[:, :, top : top + h, left : left + w], inner], dim=1)
            else:
                raise TypeError(f"no twin for {layer!r}")
        return x

    def _fragments(self, images: torch.Tensor) -> torch.Tensor:
        H, W = images.shape[2:]
        (P, Q), padded = self.net.field_of_view, self.net.padded_size((H, W))
        x = F.pad(images, (0, padded[1] - W, 0, padded[0] - H)).contiguous(memory_format=self.format)
        params = iter(self.params)
        for layer in self.net.layers:
            if isinstance(layer, Conv):
                x = F.conv2d(x, next(params), next(params))
            elif isinstance(layer, Tanh):
                x = x.tanh_()
            elif isinstance(layer, MaxPoolFragment):
                kh, kw = layer.k
                x = torch.cat([F.max_pool2d(x[:, :, r:, c:], layer.k) for r in range(kh) for c in range(kw)])
            else:
                raise TypeError(f"no twin for {layer!r}")
        for layer in reversed(self.net.layers):
            if isinstance(layer, MaxPoolFragment):
                x = merge(x, *layer.k)
        return x[:, :, : H - P + 1, : W - Q + 1]

    def step(self, images: torch.Tensor, target: torch.Tensor) -> float:
        """Run forward, loss and backward; leave the gradients in the parameters and return the loss."""
        for param in self.params:
            param.grad = None
        rows, columns = target.shape[1:]  # a U-Net may give a few more
        loss = F.cross_entropy(self.forward(images)[:, :, :rows, :columns], target)
        loss.backward()
        return loss.item()

    @torch.inference_mode()
    def segment(self, images: torch.Tensor) -> torch.Tensor:
        """Return the class probabilities of `images`, which are mirrored at the borders already."""
        return self.forward(images).softmax(dim=1)

    def compiled(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return `segment` as ``torch.compile`` makes it, for one size of images at a time."""
        torch._dynamo.config.recompile_limit = 64  # every net and size is compiled anew, and none falls back silently
        run = torch.compile(lambda images: self.forward(images).softmax(dim=1), fullgraph=True, dynamic=False)
        return torch.inference_mode()(run)

    def grads(self) -> np.ndarray:
        """Return all gradients as one vector, in the order of ``net.flat_grads()``."""
        arrays = [param.grad.numpy() for param in self.params]
        return np.concatenate([(a.transpose(2, 3, 1, 0) if a.ndim == 4 else a).ravel() for a in arrays])


def merge(x: torch.Tensor, kh: int, kw: int) -> torch.Tensor:
    """Interleave the fragments of one pool, concatenated in row-major order of their offsets, into dense maps."""
    _, C, h, w = x.shape
    return x.reshape(kh, kw, -1, C, h, w).permute(2, 3, 4, 0, 5, 1).reshape(-1, C, h * kh, w * kw)
