"""Local orientation of an image, as the gradient structure tensor sees it.

Tensors are symmetric and stored by their upper triangle, channels in the order 00, 01, 11 (2D) or
00, 01, 02, 11, 12, 22 (3D); the numbers are spatial axes as the image has them, directions are meant in mm.
The principal direction is the one the intensity changes along (across an edge). Nothing depends on the sign
of that direction, nor of the image.

`eps`, positive and in squared intensity per mm^2, is the squared gradient below which a region counts as
flat: its direction fades to zero instead of following the noise. Where the gradient is well above it, the
scale of the intensities does not matter. Everything is computed in fp32 (or fp64), also under autocast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from medgan_core.errors import UsageError
from medgan_core.losses.structure import blur_matrix

EPS = 1e-4
"""(0.01 per mm)^2: for intensities of range about 1."""

# Rounds the tip of the square roots below, whose derivative would be infinite; at most this is lost of a
# value.
_TIP = 1e-4

_CHANNELS = {2: ((0, 0), (0, 1), (1, 1)), 3: ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))}
_DIMENSIONS = {len(pairs): dims for dims, pairs in _CHANNELS.items()}


def structure_tensor(image: Tensor, *, spacing: Sequence[float], sigma: float) -> Tensor:
    """``J = G_sigma * (grad I grad I^T)``, summed over the channels of the image.

    Gradients are central differences (one-sided at the border). The Gaussian reaches three sigma and is
    mirrored at the border, so J stays positive semi-definite. Sources: Foerstner & Guelch 1987; Bigun &
    Granlund 1987; for several channels Di Zenzo 1986.

    Args:
        image: (n, c, *spatial), two or three spatial axes of at least two voxels.
        spacing: mm per voxel along each spatial axis.
        sigma: of the Gaussian, in mm; 0 for none.

    Returns:
        (n, 3, *spatial) or (n, 6, *spatial), in squared intensity per mm^2, differentiable.

    Raises:
        UsageError: when image, spacing and sigma do not fit together.
    """
    dims = len(spacing)
    if dims not in _CHANNELS or image.ndim != dims + 2 or min(image.shape[2:]) < 2:
        raise UsageError(
            "A structure tensor needs a batch of images with one spacing per spatial axis",
            expected="(n, c, *spatial), 2 or 3 spatial axes of at least 2 voxels",
            got=f"shape {tuple(image.shape)}, {dims} spacings",
        )
    if not (all(0 < s < math.inf for s in spacing) and 0 <= sigma < math.inf):
        raise UsageError(
            "Spacing and sigma of a structure tensor are lengths in mm",
            expected="positive spacings, sigma of at least 0",
            got=f"spacing {tuple(spacing)}, sigma {sigma}",
        )
    with torch.autocast(image.device.type, enabled=False):
        full = image if image.dtype == torch.float64 else image.float()
        axes = list(range(2, dims + 2))
        gradients = torch.gradient(full, spacing=list(map(float, spacing)), dim=axes)
        products = [(gradients[a] * gradients[b]).sum(1) for a, b in _CHANNELS[dims]]
        tensor = torch.stack(products, dim=1)
        for axis, step in zip(axes, spacing, strict=True):
            tensor = _smooth(tensor, axis, sigma / step)
        return tensor


def coherence(tensor: Tensor, *, eps: float = EPS) -> Tensor:
    """How much one direction prevails: 0 where none does (or all is flat), 1 where there is only one.

    2D: ``((l1 - l2) / (l1 + l2 + eps))^2`` of the eigenvalues. 3D: their fractional anisotropy,
    ``sqrt(3/2) ||l - mean(l)|| / sqrt(||l||^2 + eps^2)`` (Basser & Pierpaoli 1996, with eps added).

    Both are written in the invariants of the tensor (trace and Frobenius norms), which are the same numbers
    without the eigenvalues themselves, whose derivative does not exist where two of them meet.

    Args:
        tensor: (n, 3, *spatial) or (n, 6, *spatial), from `structure_tensor`.
        eps: see the module.

    Returns:
        (n, 1, *spatial).
    """
    if _dimensions(tensor) == 2:
        return (_double_angle(tensor, eps) ** 2).sum(1, keepdim=True)
    trace = _trace(tensor)
    deviator = _square_norm(tensor - trace / 3 * _identity(tensor))
    square = _square_norm(tensor) + eps**2
    return math.sqrt(1.5) * _root(deviator / square)


def direction_field(tensor: Tensor, *, eps: float = EPS) -> Tensor:
    """The principal direction in a sign-free form, weighted by `coherence`.

    2D: ``c (cos 2a, sin 2a)``, a the angle of the principal direction from the first spatial axis towards the
    second. It equals ``d |d|`` with ``d = (J00 - J11, 2 J01) / (tr J + eps)``, whose length is
    ``(l1 - l2) / (l1 + l2 + eps)``. 3D: ``J / (tr J + eps)`` times the fractional anisotropy.

    Args:
        tensor: (n, 3, *spatial) or (n, 6, *spatial), from `structure_tensor`.
        eps: see the module.

    Returns:
        (n, 2, *spatial) or (n, 6, *spatial), each channel in [-1, 1].
    """
    if _dimensions(tensor) == 2:
        d = _double_angle(tensor, eps)
        return d * _root((d**2).sum(1, keepdim=True))
    return normalised(tensor, eps=eps) * coherence(tensor, eps=eps)


def normalised(tensor: Tensor, *, eps: float = EPS) -> Tensor:
    """``J / (tr J + eps)``, the same shape: orientation without the strength of the gradient."""
    return tensor / (_trace(tensor) + eps)


def structure_matching_loss(
    generated: Tensor, target: Tensor, *, spacing: Sequence[float], sigma: float, eps: float = EPS
) -> Tensor:
    """``mean of c ||J / (tr J + eps) - J' / (tr J' + eps)||_F^2``, c and J of the target.

    The sum over voxels is divided by their number, so that a weight suits any size. The target gets no
    gradient. Equal images cost 0, and so do images that differ by sign or offset only.

    Args:
        generated: (n, c, *spatial).
        target: the same shape.
        spacing: mm per voxel along each spatial axis.
        sigma: of the Gaussian, in mm.
        eps: see the module.

    Returns:
        Scalar.

    Raises:
        UsageError: as `structure_tensor`, and when the shapes differ.
    """
    if generated.shape != target.shape:
        raise UsageError(
            "The structure of two images of different shape cannot be compared",
            expected=str(tuple(target.shape)),
            got=str(tuple(generated.shape)),
        )
    with torch.no_grad():
        wanted = structure_tensor(target, spacing=spacing, sigma=sigma)
        weight, wanted = coherence(wanted, eps=eps), normalised(wanted, eps=eps)
    tensor = structure_tensor(generated, spacing=spacing, sigma=sigma)
    return (weight * _square_norm(normalised(tensor, eps=eps) - wanted)).mean()


def _double_angle(tensor: Tensor, eps: float) -> Tensor:
    """``(J00 - J11, 2 J01) / (tr J + eps)``, (n, 2, *spatial)."""
    j00, j01, j11 = tensor.unbind(1)
    return torch.stack([j00 - j11, 2 * j01], dim=1) / (_trace(tensor) + eps)


def _dimensions(tensor: Tensor) -> int:
    dims = _DIMENSIONS.get(tensor.shape[1])
    if dims is None or tensor.ndim != dims + 2:
        raise UsageError(
            "This is no structure tensor",
            expected="(n, 3, i, j) or (n, 6, i, j, k)",
            got=str(tuple(tensor.shape)),
        )
    return dims


def _trace(tensor: Tensor) -> Tensor:
    diagonal = [channel for channel, (a, b) in enumerate(_CHANNELS[_dimensions(tensor)]) if a == b]
    return tensor[:, diagonal].sum(1, keepdim=True)


def _identity(tensor: Tensor) -> Tensor:
    """(1, channels, 1, ...): the unit matrix."""
    pairs = _CHANNELS[_dimensions(tensor)]
    entries = torch.tensor([float(a == b) for a, b in pairs], device=tensor.device, dtype=tensor.dtype)
    return entries.reshape(1, -1, *(1,) * (tensor.ndim - 2))


def _square_norm(tensor: Tensor) -> Tensor:
    """``||J||_F^2``, (n, 1, *spatial): off-diagonal entries stand twice in the matrix."""
    return ((2 - _identity(tensor)) * tensor**2).sum(1, keepdim=True)


def _root(square: Tensor) -> Tensor:
    """Square root that is 0 at 0 with a finite derivative."""
    return torch.sqrt(square + _TIP**2) - _TIP


def _smooth(tensor: Tensor, axis: int, sigma: float) -> Tensor:
    """Gaussian of sigma voxels along one axis."""
    size = tensor.shape[axis]
    radius = min(math.ceil(3 * sigma), size - 1)
    if radius == 0:
        return tensor
    matrix = blur_matrix(size, 2 * radius + 1, sigma).to(tensor)
    return torch.movedim(torch.movedim(tensor, axis, -1) @ matrix.T, -1, axis)
