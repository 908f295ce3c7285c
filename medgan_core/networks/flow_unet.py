"""A U-Net that knows the time: the velocity of a rectified flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan_core.networks.layers import check_size, convolution, double, linear, normalisation, widened

_HEADS = 4
_TIME_SCALE = 1000.0
_LONGEST_PERIOD = 10000.0


class FlowUNet(nn.Module):
    """The velocity v(x, t) of a flow from noise to images, with optional class and label map.

    The U-Net of Ho et al., "Denoising diffusion probabilistic models", NeurIPS 2020, appendix B, with scale
    and shift by time (Dhariwal & Nichol, NeurIPS 2021, section 3.1), for the flow of Liu et al., "Flow
    straight and fast", ICLR 2023. Its last layer starts at zero. Any size works.

    Attributes:
        latent: shape of the noise a sample starts from, without the batch axis: (channels, *size); standard
            normal.

    Args:
        size: of the image, one side per axis.
        channels: of the image and of its velocity.
        classes: number of classes; 0 for none.
        label_channels: channels of a one-hot label map given beside the image; 0 for none.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it, multiples of 4.
        blocks: residual blocks at each resolution, on the way down and on the way up.
        attention: self-attention at the coarsest resolution.
        norm: see `layers.NORMALISATIONS`.
        dropout: share of features hidden in training, in every block.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        size: Sequence[int],
        channels: int = 1,
        classes: int = 0,
        label_channels: int = 0,
        widths: Sequence[int] = (32, 64, 96, 128),
        blocks: int = 1,
        attention: bool = True,
        norm: str = "group",
        dropout: float = 0.0,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.size = spatial_dims, check_size(size, spatial_dims)
        self.latent = (channels, *self.size)
        self.classes, self.label_channels = classes, label_channels
        time = 4 * widths[0]

        def stack(inputs: int, outputs: int) -> nn.ModuleList:
            return nn.ModuleList(
                _TimedBlock(spatial_dims, inputs if i == 0 else outputs, outputs, time, norm, dropout)
                for i in range(blocks)
            )

        self.embed_time = nn.Sequential(linear(widths[0], time), nn.SiLU(), linear(time, time))
        self.embed_class = nn.Embedding(classes + 1, time) if classes else None
        self.stem = convolution(spatial_dims, channels + label_channels, widths[0])
        self.down = nn.ModuleList(stack(width, width) for width in widths[:-1])
        self.shrink = nn.ModuleList(convolution(spatial_dims, a, b, stride=2) for a, b in pairwise(widths))
        self.middle = stack(widths[-1], widths[-1])
        self.attention = _Attention(spatial_dims, widths[-1], norm) if attention else None
        self.grow = nn.ModuleList(convolution(spatial_dims, b, a) for a, b in pairwise(widths))
        self.up = nn.ModuleList(stack(2 * width, width) for width in widths[:-1])
        self.norm = normalisation(norm, spatial_dims, widths[0])
        self.head = convolution(spatial_dims, widths[0], channels, gain=0.0)

    def forward(
        self, x: Tensor, t: Tensor, labels: Tensor | None = None, label_map: Tensor | None = None
    ) -> Tensor:
        """The velocity at x.

        Args:
            x: (n, channels, *spatial), on the way from noise to an image.
            t: (n,), from 0 (noise) to 1 (image).
            labels: (n,) classes, int64; None for an image of any class, which the last row of the embedding
                stands for (classifier-free guidance, Ho & Salimans 2021). Training hides classes with the
                number `classes`.
            label_map: (n, label_channels, *spatial), one-hot as float; None, or zeros, for any.

        Returns:
            (n, channels, *spatial) in fp32.
        """
        moment = self._moment(t, labels)
        if self.label_channels:
            if label_map is None:
                label_map = x.new_zeros(x.shape[0], self.label_channels, *x.shape[2:])
            x = torch.cat([x, label_map], dim=1)
        features = self.stem(x)
        skips: list[Tensor] = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            features = _through(blocks, features, moment)
            skips.append(features)
            features = shrink(features)
        features = _through(self.middle, features, moment)
        if self.attention is not None:
            features = self.attention(features)
        for level in reversed(range(len(skips))):
            finer = self.grow[level](double(features, skips[level].shape[2:]))
            features = _through(self.up[level], torch.cat([finer, skips[level]], dim=1), moment)
        velocity: Tensor = self.head(functional.silu(self.norm(features)))
        return widened(velocity)

    def _moment(self, t: Tensor, labels: Tensor | None) -> Tensor:
        first = self.embed_time[0]
        moment: Tensor = self.embed_time(time_features(t, first.in_features))  # type: ignore[arg-type]
        if self.embed_class is not None:
            if labels is None:
                labels = torch.full(t.shape, self.classes, device=t.device)
            moment = moment + self.embed_class(labels)
        return functional.silu(moment)


def time_features(t: Tensor, count: int) -> Tensor:
    """Cosines and sines of 1000 t at periods from 2 pi to 2 pi 10000, (n,) to (n, count).

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.5.
    """
    half = count // 2
    t = widened(t)
    steps = torch.arange(half, device=t.device, dtype=t.dtype) / max(half, 1)
    phases = _TIME_SCALE * t[:, None] * torch.exp(-math.log(_LONGEST_PERIOD) * steps)
    features = torch.cat([phases.cos(), phases.sin()], dim=1)
    return functional.pad(features, (0, count - 2 * half))


class _TimedBlock(nn.Module):
    """A residual block whose middle is scaled and shifted, per channel, by the time."""

    def __init__(self, dims: int, inputs: int, outputs: int, time: int, norm: str, dropout: float) -> None:
        super().__init__()
        self.norm_in = normalisation(norm, dims, inputs)
        self.first = convolution(dims, inputs, outputs)
        self.modulate = linear(time, 2 * outputs, gain=0.3)
        self.norm_mid = normalisation(norm, dims, outputs)
        self.dropout = nn.Dropout(dropout)
        self.second = convolution(dims, outputs, outputs, gain=0.1)
        self.shortcut = (
            nn.Identity() if inputs == outputs else convolution(dims, inputs, outputs, 1, gain=0.7)
        )

    def forward(self, x: Tensor, moment: Tensor) -> Tensor:
        middle = self.norm_mid(self.first(functional.silu(self.norm_in(x))))
        modulation = self.modulate(moment)
        scale, shift = modulation.reshape(*modulation.shape, *[1] * (x.dim() - 2)).chunk(2, dim=1)
        middle = functional.silu(middle * (1 + scale) + shift)
        out: Tensor = self.shortcut(x) + self.second(self.dropout(middle))
        return out


class _Attention(nn.Module):
    """Self-attention between all voxels of a coarse grid, added to what comes in."""

    def __init__(self, dims: int, channels: int, norm: str) -> None:
        super().__init__()
        self.norm = normalisation(norm, dims, channels)
        self.project = convolution(dims, channels, 3 * channels, 1, gain=0.7)
        self.out = convolution(dims, channels, channels, 1, gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, *size = x.shape
        parts = self.project(self.norm(x)).reshape(n, 3, _HEADS, channels // _HEADS, -1)
        query, key, value = parts.transpose(-1, -2).unbind(1)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = x + self.out(mixed.transpose(-1, -2).reshape(n, channels, *size))
        return out


def _through(blocks: nn.Module, x: Tensor, moment: Tensor) -> Tensor:
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        x = block(x, moment)
    return x
