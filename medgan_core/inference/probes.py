"""Slabs that look like slices of a head, made from nothing: what int8 ranges are measured on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medgan_core.inference.slabs import Signature, slabs

_CELL = 2  # coarsest grid, in the network's multiples
_TISSUES = 5
_SPOTS, _SPOT_SIDE, _SPOT_BRIGHTNESS = 0.03, 4, 4.0  # share of the cells, pixels, times the tissue
_NOISE = (0.0, 0.02, 0.05, 0.09, 0.15, 0.15)  # share of the brightest tissue


def probes(signature: Signature, *, seed: int, side: int = 12) -> list[Tensor]:
    """Blobs of a few tissues in air, each contrast with brightnesses of its own, with Rician noise.

    Every probe has another level of noise (0 to 15 %), and another set of contrasts that are there: all,
    then one after the other. All of them come a second time with spots that are four times as bright: an
    image is scaled by its 99.5th percentile, and vessels or an enhancing lesion are far above that. Ranges
    measured without such spots clip a lesion, which hardly changes the PSNR of the whole.

    Args:
        signature: of the network.
        seed: of everything random; the same seed gives the same probes.
        side: of a slice in the network's multiples.

    Returns:
        Float32 batches (1, channels, h, w), values of 0 to about 1.
    """
    generator = torch.Generator().manual_seed(seed)
    plain = [_probe(signature, number, noise, side, generator) for number, noise in enumerate(_NOISE)]
    return plain + [_spotted(signature, probe, generator) for probe in plain]


def _spotted(signature: Signature, probe: Tensor, generator: torch.Generator) -> Tensor:
    """The same probe with bright squares through all of its slices."""
    height, width = probe.shape[2:]
    cells = (-(-height // _SPOT_SIDE), -(-width // _SPOT_SIDE))
    spots = (torch.rand(cells, generator=generator) < _SPOTS).repeat_interleave(_SPOT_SIDE, 0)
    spots = spots.repeat_interleave(_SPOT_SIDE, 1)[:height, :width]
    out, planes = probe.clone(), signature.contrasts * signature.slices
    out[:, :planes] *= 1.0 + (_SPOT_BRIGHTNESS - 1.0) * spots
    return out


def _probe(signature: Signature, number: int, noise: float, side: int, generator: torch.Generator) -> Tensor:
    volume = _blobs(signature, side * signature.multiple, generator)
    parts = noise * torch.randn((2, *volume.shape), generator=generator)
    volume = torch.hypot(volume + parts[0], parts[1])
    alone = number % (signature.contrasts + 1)
    presence = [alone in (0, n + 1) for n in range(signature.contrasts)]
    volume *= torch.tensor(presence)[:, None, None, None]
    return slabs(volume, [volume.shape[3] // 2], signature.slices, presence if signature.presence else None)


def _blobs(signature: Signature, side: int, generator: torch.Generator) -> Tensor:
    """(contrasts, side, side, slices): level sets of a smooth field inside of an ellipse."""
    depth = signature.slices
    cells = max(4, side // (_CELL * signature.multiple))
    coarse = torch.randn((1, 1, cells, cells, 3), generator=generator)
    field = nn.functional.interpolate(
        coarse, size=(side, side, depth), mode="trilinear", align_corners=False
    )[0, 0]
    edges = torch.quantile(field.flatten(), torch.linspace(0, 1, _TISSUES + 1)[1:-1])
    tissue = torch.bucketize(field, edges) + 1
    axis = torch.linspace(-1, 1, side)
    away = (axis[:, None] / 0.9) ** 2 + (axis / 0.75) ** 2
    tissue = tissue * (away < 1)[..., None]
    bright = torch.rand((signature.contrasts, _TISSUES + 1), generator=generator)
    bright[:, 0] = 0.0
    bright[:, 1] = 1.0
    return bright[:, tissue]
