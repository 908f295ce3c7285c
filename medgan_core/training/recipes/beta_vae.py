"""The variational autoencoder and the beta-VAE."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError
from medgan_core.losses.kl import kl_loss
from medgan_core.networks.autoencoder import VariationalAutoencoder
from medgan_core.training.loading import collate
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes.generation import judge_samples, rows
from medgan_core.training.recipes.patches import LesionFree
from medgan_core.training.recipes.pictures import PATCH, Pictures
from medgan_core.training.recipes.reconstruction import JUDGED, judge_reconstruction

MODEL = "model"
_ROW = 8


@dataclass(frozen=True, kw_only=True)
class BetaVAE(Pictures):
    """``E_q[-log p(x|z)] + beta KL(q(z|x) || N(0, 1))`` with a Gaussian around the decoder's image.

    Sources: Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014, equation 3 (beta 1); Higgins et
    al., "beta-VAE", ICLR 2017, equation 4. Both terms are sums over an image and its code, in nats; the loss
    that is logged is their sum divided by the voxels.

    Args:
        latent: length of z, or its channels when it is a grid.
        grid: z is a grid of the coarsest resolution instead of a vector.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        beta: weight of the divergence; 1 gives the variational autoencoder.
        sigma: standard deviation of the likelihood, in the unit of the images.
        free_bits: see `losses.kl.kl_loss`.
    """

    name: ClassVar[str] = "beta-vae"
    metric: ClassVar[str] = "loss"
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
    beta: float = 1.0
    sigma: float = 0.1
    free_bits: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma <= 0 or self.beta < 0:
            raise UsageError(
                "The likelihood needs a width, and the divergence a weight",
                expected="sigma above 0 and beta 0 or more",
                got=f"sigma {self.sigma}, beta {self.beta}",
            )

    def networks(self) -> dict[str, nn.Module]:
        """The one network."""
        return {
            MODEL: VariationalAutoencoder(
                size=self.size,
                latent=self.latent,
                grid=self.grid,
                widths=self.widths,
                spatial_dims=self.spatial_dims,
            )
        }

    def players(self) -> tuple[Player, ...]:
        """One."""
        return (Player(name=MODEL, networks=(MODEL,)),)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """Minus the (weighted) evidence lower bound per voxel."""
        image = batch["image"].clamp(0, 1)
        noise = moment.normal(len(image), *self._vae(networks).latent)
        made, mean, log_variance = networks[MODEL](image, noise)
        surprise = gaussian_surprise(made, image, self.sigma)
        divergence = kl_loss(mean, log_variance)
        weighted = kl_loss(mean, log_variance, beta=self.beta, free_bits=self.free_bits)
        voxels = image[0].numel()
        return (surprise + weighted) / voxels, {
            "surprise": surprise / voxels,
            "kl": divergence,
            "elbo": -(surprise + divergence) / voxels,
        }

    def reconstruct(self, networks: Networks, image: Tensor) -> Tensor:
        """Images (n, 1, *size) decoded from the means of their codes."""
        made: Tensor = networks[MODEL](image)[0]
        return made.clamp(0, 1)

    def interpolate(self, networks: Networks, first: Tensor, last: Tensor, count: int) -> Tensor:
        """Images (count, 1, *size) on the straight line between the codes of two images (1, 1, *size)."""
        ends = [networks.call(self._vae(networks).encode)(x)[0] for x in (first, last)]
        way = torch.linspace(0, 1, count, device=first.device).reshape(-1, *(1,) * (ends[0].ndim - 1))
        return self._decoded(networks, torch.lerp(ends[0], ends[1], way))

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """The bound, reconstructions, and samples; pictures also of the way from one image to another.

        The samples' diversity is not set against that of real images as in the watch on adversarial games:
        those of a variational autoencoder are smooth and more alike from the start, which is no collapse.
        """
        usual = LesionFree(samples) if self.subject == PATCH else samples
        batch = collate([usual[n] for n in range(JUDGED)])
        batch = {key: value.to(moment.device) for key, value in batch.items()}
        loss, logs = self.loss(MODEL, networks, batch, moment)
        rebuilt = judge_reconstruction(
            lambda x: self.reconstruct(networks, x), samples, moment.device, subject=self.subject
        )
        drawn = judge_samples(lambda n: self.sample(networks, n, moment)["image"], usual)
        numbers = {"loss": float(loss)} | {k: float(v) for k, v in logs.items()} | rebuilt.numbers
        numbers |= {k: v for k, v in drawn.numbers.items() if k != "diversity_real"}
        image = batch["image"].clamp(0, 1)
        way = self.interpolate(networks, image[:1], image[1:2], _ROW).cpu()
        pictures = [p for p in (rebuilt.pictures, rows(way, 1), drawn.pictures) if p is not None]
        return Findings(numbers, torch.cat(pictures))

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        """New images in [0, 1]: the decoder's images of standard normal codes."""
        return {"image": self._decoded(networks, moment.normal(count, *self._vae(networks).latent))}

    def _decoded(self, networks: Networks, code: Tensor) -> Tensor:
        image: Tensor = networks.call(self._vae(networks).decode)(code)
        return image.clamp(0, 1)

    @staticmethod
    def _vae(networks: Networks) -> VariationalAutoencoder:
        return cast("VariationalAutoencoder", networks.exact(MODEL))


def gaussian_surprise(made: Tensor, image: Tensor, sigma: float) -> Tensor:
    """``-log N(image; made, sigma^2)``: summed over an image, averaged over the batch, in nats.

    Source: Kingma & Welling 2014, appendix C.2, with one fixed sigma.
    """
    constant = math.log(sigma) + 0.5 * math.log(2 * math.pi)
    each = (image - made).square() / (2 * sigma**2) + constant
    return each.flatten(1).sum(1).mean()
