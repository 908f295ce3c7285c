"""Layers of progressive growing: equalised learning rate and minibatch standard deviation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan_core.networks.layers import overhangs, widened

_CONVOLVE: dict[int, Callable[..., Tensor]] = {2: functional.conv2d, 3: functional.conv3d}


class EqualisedConvolution(nn.Module):
    """A convolution with weights N(0, 1) that are multiplied by ``gain / sqrt(fan_in)`` when used.

    Source: Karras et al., "Progressive growing of GANs", ICLR 2018, section 4.1: optimisers that divide by
    the gradient's scale then move all weights at the same relative speed.

    Args:
        spatial_dims: 2 or 3.
        inputs: channels in.
        outputs: channels out.
        kernel: odd; zero padding keeps the size.
        gain: sqrt(2) before a ReLU (He et al. 2015), 1 for a last layer.
    """

    def __init__(
        self, spatial_dims: int, inputs: int, outputs: int, kernel: int = 3, *, gain: float = math.sqrt(2)
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, *[kernel] * spatial_dims))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs * kernel**spatial_dims)
        self.padding = kernel // 2
        self._convolve = _CONVOLVE[spatial_dims]

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, *spatial) to (n, outputs, *spatial)."""
        weight = self.weight * self.scale
        if not overhangs(x, weight.shape[2]):
            return self._convolve(x, weight, self.bias, padding=self.padding)
        with torch.autocast("cpu", enabled=False):
            return self._convolve(widened(x), weight, self.bias, padding=self.padding)


class EqualisedLinear(nn.Module):
    """A linear layer with weights N(0, 1), multiplied by ``gain / sqrt(inputs)`` when used; see above."""

    def __init__(self, inputs: int, outputs: int, *, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return functional.linear(x, self.weight * self.scale, self.bias)


class MinibatchDeviation(nn.Module):
    """Append one constant channel: how much the samples of the batch differ.

    The standard deviation over the batch of every feature at every place, averaged over all of them.
    Source: Karras et al., ICLR 2018, section 3. A batch of one gives 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, *spatial) to (n, c + 1, *spatial)."""
        wide = widened(x)
        centred = wide - wide.mean(0, keepdim=True)
        deviation = torch.sqrt(centred.square().mean(0) + 1e-8).mean()
        return torch.cat([x, deviation.to(x.dtype).expand_as(x[:, :1])], dim=1)
