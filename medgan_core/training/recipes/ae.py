"""The autoencoder (Hinton & Salakhutdinov, Science 2006): reconstruct, denoise, compress."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError
from medgan_core.networks.autoencoder import Autoencoder
from medgan_core.networks.code_prior import CodePrior
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes.pictures import Pictures
from medgan_core.training.recipes.reconstruction import judge_reconstruction

MODEL, PRIOR = "model", "prior"


@dataclass(frozen=True, kw_only=True)
class AE(Pictures):
    """Mean square error of the image made from its code.

    - Denoising (Vincent et al., ICML 2008): with `noise` the input is a noisy one of the image.
    - Compression (Ballé et al., ICLR 2017, equation 10): with `rate` the loss is the error plus the rate
      times the bits per voxel of the code, which is rounded to whole numbers; in training uniform noise
      stands in for rounding. A small `rate` gives many bits. `grid` suits it.

    Args:
        latent: length of the code, or its channels when it is a grid.
        grid: the code is a grid of the coarsest resolution instead of a vector.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        noise: largest sigma of Rician noise, as a share of the foreground's 99.5th percentile; 0 for none.
        rate: weight of the bits per voxel; 0 leaves codes as they are.
    """

    name: ClassVar[str] = "ae"
    metric: ClassVar[str] = "psnr"
    best: ClassVar[str] = "high"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "30000",
        "batch": "64",
        "latent": "128",
        "widths": "64,128,256,256",
    }

    batch: int = 16
    lr: float = 1e-3
    latent: int = 64
    grid: bool = False
    widths: tuple[int, ...] = (16, 32, 64, 96)
    noise: float = 0.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise < 0 or self.rate < 0:
            raise UsageError("noise and rate are weights", expected="0 or more", got="less than 0")

    def networks(self) -> dict[str, nn.Module]:
        """The autoencoder, and what its code's bits are counted by where it compresses."""
        model = Autoencoder(
            size=self.size,
            latent=self.latent,
            grid=self.grid,
            widths=self.widths,
            spatial_dims=self.spatial_dims,
        )
        return {MODEL: model, PRIOR: CodePrior(self.latent)} if self.rate else {MODEL: model}

    def players(self) -> tuple[Player, ...]:
        """One."""
        return (Player(name=MODEL, networks=(MODEL, PRIOR) if self.rate else (MODEL,)),)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """Mean square error per voxel, and the weighted bits per voxel."""
        image = batch["image"].clamp(0, 1)
        sigma = self.noise * moment.uniform(len(image), *(1,) * (image.ndim - 1))
        code = self._encode(networks, self.noisy(image, sigma, moment))
        if self.rate:
            code = code + moment.uniform(*code.shape) - 0.5
        error = (self._decode(networks, code) - image).square().mean()
        if not self.rate:
            return error, {}
        bits = self._bits(networks, code).mean()
        return error + self.rate * bits, {"error": error, "bits": bits}

    def noisy(self, image: Tensor, sigma: Tensor | float, moment: Moment) -> Tensor:
        """``sqrt((x + n1)^2 + n2^2)``, Rician as in `physics.noise`; the image itself without noise."""
        if not self.noise:
            return image
        real, imaginary = (sigma * moment.normal(*image.shape) for _ in range(2))
        return torch.sqrt((image + real) ** 2 + imaginary**2)

    def reconstruct(self, networks: Networks, image: Tensor) -> Tensor:
        """Images (n, 1, *size) through their codes, which are rounded where it compresses."""
        code = self._encode(networks, image)
        return self._decode(networks, code.round() if self.rate else code).clamp(0, 1)

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """PSNR and SSIM of reconstructions, and bits per voxel where it compresses."""
        bits: list[Tensor] = []

        def through(image: Tensor) -> Tensor:
            if self.rate:
                bits.append(self._bits(networks, self._encode(networks, image).round()))
            return self.reconstruct(networks, image)

        found = judge_reconstruction(
            through,
            samples,
            moment.device,
            subject=self.subject,
            spoil=(lambda x: self.noisy(x, self.noise, moment)) if self.noise else None,
        )
        rate = {"bits": float(torch.cat(bits).mean())} if bits else {}
        return Findings(found.numbers | rate, found.pictures)

    def _encode(self, networks: Networks, image: Tensor) -> Tensor:
        code: Tensor = networks.call(cast("Autoencoder", networks.exact(MODEL)).encode)(image)
        return code

    def _decode(self, networks: Networks, code: Tensor) -> Tensor:
        image: Tensor = networks.call(cast("Autoencoder", networks.exact(MODEL)).decode)(code)
        return image

    def _bits(self, networks: Networks, code: Tensor) -> Tensor:
        """Bits per voxel of the image, (n,), in fp32."""
        bits: Tensor = networks.exact(PRIOR)(code)
        return bits / math.prod(self.size)
