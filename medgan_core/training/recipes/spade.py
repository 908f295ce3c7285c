"""From a label map to an image: SPADE (Park et al., CVPR 2019)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from medgan_core.data.samples import Samples
from medgan_core.losses.kl import kl_loss
from medgan_core.networks.patchgan import PatchDiscriminator
from medgan_core.networks.spade import SpadeGenerator, StyleEncoder
from medgan_core.training.loading import collate
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes import judging
from medgan_core.training.recipes.crops import PARTS, crop_images, crop_size
from medgan_core.training.recipes.generation import from_signed, judge_samples, rows, to_signed
from medgan_core.training.recipes.pictures import CLASSES, HIPPOCAMPUS, one_hot
from medgan_core.training.recipes.shapes import (
    SHAPES,
    draw_shapes,
    shapes_loss,
    shapes_network,
    shapes_player,
)
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR, Stabilised

ENCODER = "encoder"
LABELS = CLASSES[HIPPOCAMPUS]
_PAIRS = 24


@dataclass(frozen=True, kw_only=True)
class Spade(Stabilised):
    """Hinge loss of a PatchGAN that sees image and map, its features matched image by image (weight 10).

    The style (what the map does not say) is standard normal, or with `encode` taken from the real image in
    training, with the divergence of its distribution from the standard normal one in the loss (weight 0.05,
    section 3). There is no perceptual loss, which needs a network trained elsewhere. A small network learns
    to draw label maps (`shapes`), so that pairs of image and map come from nothing.

    Args:
        encode: learn an encoder of the style.
        style: length of the style.
        divergence: weight of the style's divergence.
        widths: of the generator at the full resolution, at 1/2, 1/4, ... of it.
        judge_widths: of the PatchGAN, at 1/2, 1/4, ... of the resolution.
    """

    name: ClassVar[str] = "spade"
    paired: ClassVar[bool] = True
    metric: ClassVar[str] = "swd"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "40000",
        "batch": "32",
        "widths": "64,128,256,256",
        "judge_widths": "64,128,256",
    }

    objective: str = "hinge"
    discriminator_rate: float = 2.0
    feature_matching: float = 10.0
    augment: bool = True
    encode: bool = True
    style: int = 16
    divergence: float = 0.05
    widths: tuple[int, ...] = (16, 32, 64, 96)
    judge_widths: tuple[int, ...] = (32, 64, 128)

    @property
    def size(self) -> tuple[int, ...]:
        """Sides of an image."""
        return crop_size(self.spatial_dims)

    def networks(self) -> dict[str, nn.Module]:
        """Generator, discriminator, encoder of the style, autoencoder of label maps."""
        dims = self.spatial_dims
        built: dict[str, nn.Module] = {
            GENERATOR: SpadeGenerator(labels=LABELS, style=self.style, widths=self.widths, spatial_dims=dims),
            DISCRIMINATOR: PatchDiscriminator(
                in_channels=1 + LABELS, widths=self.judge_widths, spatial_dims=dims
            ),
            SHAPES: shapes_network(self.size, LABELS, self.widths),
        }
        if self.encode:
            built[ENCODER] = StyleEncoder(style=self.style, widths=self.widths, spatial_dims=dims)
        return built

    def players(self) -> tuple[Player, ...]:
        """The two of the game, and the label maps'."""
        generators = (GENERATOR, ENCODER) if self.encode else (GENERATOR,)
        return (*self.two_players((DISCRIMINATOR,), generators), shapes_player(rate=5.0))

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Crops of the hippocampus with their label maps."""
        return crop_images(
            data, spatial_dims=self.spatial_dims, seed=self.seed, validation=validation, labels=PARTS
        )

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """The game on images beside their maps; what the style costs; or the label maps' loss."""
        if player == SHAPES:
            return shapes_loss(networks, batch["label"], moment, classes=LABELS)
        real, maps = to_signed(batch["image"]), one_hot(batch["label"], LABELS)
        style, cost = self.styled(networks, real, moment)
        made = networks[GENERATOR](maps, style)
        beside = to_signed(maps)
        both = [torch.cat([image, beside], dim=1) for image in (real, made)]
        if player == DISCRIMINATOR:
            return self.discriminator_loss(networks, both[0], both[1], moment)
        loss, logs = self.generator_loss(networks, both[0], both[1], moment)
        return loss + self.divergence * cost, {**logs, "style": cost}

    def styled(self, networks: Networks, real: Tensor, moment: Moment) -> tuple[Tensor, Tensor]:
        """A style for each real image in [-1, 1], (n, style), and the divergence of what it is drawn from."""
        noise = moment.normal(len(real), self.style)
        if not self.encode:
            return noise, noise.new_zeros(())
        mean, log_variance = networks[ENCODER](real)
        return mean + torch.exp(0.5 * log_variance) * noise, kl_loss(mean, log_variance)

    def draw(self, networks: Networks, label: Tensor, style: Tensor) -> Tensor:
        """Images in [0, 1] of label maps (n, 1, *spatial) and styles (n, style)."""
        image: Tensor = networks[GENERATOR](one_hot(label, LABELS), style)
        return from_signed(image)

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Images of the maps of patients left out, as a set and one by one.

        - ``swd`` and diversities: styles are drawn.
        - ``psnr``, ``ssim``: against the map's own image, with its style where there is an encoder; beside
          them stands the map ``painted`` with the mean that each label has in that image.
        """
        numbers = itertools.count()

        def draw(count: int) -> Tensor:
            label = collate([samples[next(numbers)] for _ in range(count)])["label"].to(moment.device)
            return self.draw(networks, label, moment.normal(count, self.style))

        found = judge_samples(draw, samples)
        batch = collate([samples[n] for n in range(_PAIRS)])
        truth, label = batch["image"].clamp(0, 1), batch["label"]
        styles = moment.normal(_PAIRS, self.style)
        if self.encode:
            styles, _ = networks[ENCODER](to_signed(truth.to(moment.device)))
        made = self.draw(networks, label.to(moment.device), styles).cpu()
        pairs = judging.findings(
            {"": made, "painted": painted(truth, label)},
            truth,
            judging.foreground(truth),
            shown={"label": label / (LABELS - 1), "made": made},
        )
        pictures = [rows(label / (LABELS - 1), 1)] if found.pictures is None else [found.pictures]
        if pairs.pictures is not None:
            pictures.append(pairs.pictures)
        return Findings(found.numbers | pairs.numbers, torch.cat(pictures))

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        """New pairs: an image in [0, 1] and its label map."""
        label = draw_shapes(networks, count, moment)
        return {"image": self.draw(networks, label, moment.normal(count, self.style)), "label": label}


def painted(image: Tensor, label: Tensor) -> Tensor:
    """Every label of a map with its mean in the image, (n, 1, *spatial)."""
    maps = one_hot(label, LABELS)
    axes = tuple(range(2, maps.ndim))
    means = (maps * image).sum(axes, keepdim=True) / maps.sum(axes, keepdim=True).clamp(min=1)
    return (maps * means).sum(1, keepdim=True)
