"""Layers the networks are made of, the same in 2D and 3D, for any size.

Resolutions: halving rounds up, doubling repeats voxels and crops to the size asked for, so odd sizes work
and voxel i of a grid covers the voxels 2i and 2i + 1 of the next finer one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from medgan_core.errors import ModelError

SLOPE = 0.2
"""Slope of every leaky ReLU (Radford et al. 2016)."""

_PIXEL_EPS = 1e-2
_BATCH: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_INSTANCE: dict[int, type[nn.Module]] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_POOLS: dict[int, Callable[..., Tensor]] = {2: functional.avg_pool2d, 3: functional.avg_pool3d}

K = TypeVar("K", int, str)
T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)


def overhangs(x: Tensor, kernel: int) -> bool:
    """Whether a 3D kernel is wider than a side of the grid (n, c, i, j, k), on a CPU.

    There a convolution must not run in bf16: oneDNN 3.12 (torch 2.13, processors with AVX-512 bf16) then
    gives garbage or NaN as the gradient of the weight, for 3 voxels on a side of 2 for example, and may
    write outside of its memory. Such grids are tiny, so fp32 costs nothing.
    """
    return x.dim() == 5 and x.device.type == "cpu" and min(x.shape[2:]) < kernel


class Convolution3d(nn.Conv3d):
    """`torch.nn.Conv3d`, computed in fp32 where `overhangs` says so."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, *spatial) to (n, outputs, *spatial)."""
        if not overhangs(x, max(self.kernel_size)):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(widened(x))


_CONVOLUTIONS: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: Convolution3d}


class PixelNorm(nn.Module):
    """``a / sqrt(mean_c a^2 + eps)``: each voxel's features get unit mean square.

    Source: Karras et al., "Progressive growing of GANs", ICLR 2018, section 4.2. It takes no statistics
    over the image, so a tile computes what the whole does.

    Args:
        eps: 1e-8 in the paper. `normalisation` takes 1e-2, because where an image is exactly 0 a small one
            multiplies gradients by ``1 / sqrt(eps)``.
    """

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, *spatial) to the same shape; the mean square is taken in fp32."""
        mean_square = widened(x).square().mean(1, keepdim=True)
        return x * torch.rsqrt(mean_square + self.eps).to(x.dtype)


def _batch_norm(dims: int, channels: int) -> nn.Module:
    layer = _BATCH[dims](channels)
    # A counter in floating point can be averaged over updates like every other entry of the state.
    layer.num_batches_tracked = layer.num_batches_tracked.float()
    return layer


def _groups(channels: int) -> int:
    """At most 8 groups, of at least 4 channels each: with one a group it would be instance norm."""
    return next(groups for groups in (8, 4, 2, 1) if channels % (4 * groups) == 0 or groups == 1)


NORMALISATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": lambda dims, channels: nn.Identity(),
    "pixel": lambda dims, channels: PixelNorm(_PIXEL_EPS),
    "group": lambda dims, channels: nn.GroupNorm(_groups(channels), channels),
    "instance": lambda dims, channels: _INSTANCE[dims](channels, affine=True),
    "batch": _batch_norm,
}
"""By name, (spatial_dims, channels) to a layer. "none" and "pixel" take no statistics over the image."""

LAST: dict[str, type[nn.Module]] = {"linear": nn.Identity, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
"""What ends a generator; images rescaled to [-1, 1] ask for tanh."""


def chosen(table: Mapping[K, T], name: K, option: str) -> T:
    """The entry of a table of choices.

    Raises:
        ModelError: when there is none of this name.
    """
    if name not in table:
        raise ModelError(
            f"The option {option} does not know {name!r}",
            expected="one of " + ", ".join(str(key) for key in table),
            got=str(name),
            action=f"correct {option} in the architecture",
        )
    return table[name]


def check_size(size: Sequence[int], spatial_dims: int) -> tuple[int, ...]:
    """The size of an image as a tuple.

    Raises:
        ModelError: when it has not one positive side per axis.
    """
    if spatial_dims not in _CONVOLUTIONS or len(size) != spatial_dims or min(size) < 1:
        raise ModelError(
            "The size does not fit the number of axes",
            expected="spatial_dims 2 or 3, and as many positive sides",
            got=f"spatial_dims {spatial_dims}, size {tuple(size)}",
            action="correct size or spatial_dims in the architecture",
        )
    return tuple(int(side) for side in size)


def normalisation(name: str, spatial_dims: int, channels: int) -> nn.Module:
    """The layer `name` of `NORMALISATIONS`.

    Raises:
        ModelError: when the name is unknown.
    """
    return chosen(NORMALISATIONS, name, "norm")(spatial_dims, channels)


def initialised(layer: M, *, gain: float = 1.0, spectral: bool = False) -> M:
    """He initialisation times `gain` and zero bias; with `spectral`, the weight divided by its norm.

    Sources: He et al., "Delving deep into rectifiers", ICCV 2015, equation 14, with slope 0.2; Miyato et
    al., "Spectral normalization", ICLR 2018, equation 8. The norm is that of the weight reshaped to
    (outputs, everything else): for a linear layer it is the layer's Lipschitz constant; a convolution's can
    be larger, at most by the root of the number of kernel positions that look at one voxel. `gain` has no
    effect then.
    """
    weight, bias = layer.weight, getattr(layer, "bias", None)
    assert isinstance(weight, Tensor)
    nn.init.kaiming_normal_(weight, a=SLOPE)
    if bias is not None:
        nn.init.zeros_(bias)
    if spectral:
        spectral_norm(layer)
    else:
        with torch.no_grad():
            weight.mul_(gain)
    return layer


def convolution(
    spatial_dims: int,
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = True,
    gain: float = 1.0,
    spectral: bool = False,
) -> nn.Module:
    """A convolution with zero padding of half its reach, initialised by `initialised`.

    An odd kernel gives ``ceil(side / stride)`` voxels, one of 4 with stride 2 ``floor(side / 2)``.
    """
    kind = chosen(_CONVOLUTIONS, spatial_dims, "spatial_dims")
    padding = dilation * (kernel - 1) // 2
    layer = kind(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=bias)
    return initialised(layer, gain=gain, spectral=spectral)


def linear(inputs: int, outputs: int, *, gain: float = 1.0, spectral: bool = False) -> nn.Module:
    """A linear layer, initialised by `initialised`."""
    return initialised(nn.Linear(inputs, outputs), gain=gain, spectral=spectral)


def widened(x: Tensor) -> Tensor:
    """In fp32 where it was narrower, for sums and for what goes to a loss."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


_LINEAR = {2: "bilinear", 3: "trilinear"}


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU with `SLOPE`."""
    return functional.leaky_relu(x, SLOPE)


def halve(x: Tensor) -> Tensor:
    """Means of 2 x 2 (x 2) voxels, (n, c, *spatial) to half the size rounded up.

    At an odd end the mean is that of the voxels there are.
    """
    return _POOLS[x.dim() - 2](x, 2, ceil_mode=True)


def double(x: Tensor, size: Sequence[int] | None = None, *, smooth: bool = False) -> Tensor:
    """Twice as many voxels along every axis, then cropped to `size` (default: not cropped).

    Voxels are repeated, or with `smooth` interpolated linearly.
    """
    mode = _LINEAR[x.dim() - 2] if smooth else "nearest"
    x = functional.interpolate(x, scale_factor=2.0, mode=mode, align_corners=False if smooth else None)
    return x if size is None else crop(x, size)


def crop(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first `size` voxels along every axis of (n, c, *spatial)."""
    for axis, side in enumerate(size, start=2):
        if x.shape[axis] != side:
            x = x.narrow(axis, 0, side)
    return x


def pyramid(size: Sequence[int], halvings: int) -> list[tuple[int, ...]]:
    """Sizes after 0, 1, ... `halvings` halvings that round up, finest first.

    Example:
        >>> pyramid((12, 35), 2)
        [(12, 35), (6, 18), (3, 9)]
    """
    sizes = [tuple(size)]
    for _ in range(halvings):
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes
