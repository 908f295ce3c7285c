"""Unusual patches by a generator of usual ones: f-AnoGAN (Schlegl et al., Medical Image Analysis 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from medgan_core.card import Architecture, Figure, ModelCard, Port, Setting, Training, Weights
from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError
from medgan_core.networks import build
from medgan_core.networks.discriminator import Discriminator
from medgan_core.networks.latent_encoder import LatentEncoder
from medgan_core.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes import anomaly_card, measured
from medgan_core.training.recipes.brain_data import MARKED, adult_brain
from medgan_core.training.recipes.detecting import detection, in_parts, judged_patches
from medgan_core.training.recipes.generation import from_signed, judge_samples, rows, to_signed
from medgan_core.training.recipes.patches import LesionFree, brain_patches, patch_size
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR, Stabilised

ENCODER = "encoder"
_MAP_GAIN = 4.0


@dataclass(frozen=True, kw_only=True)
class FAnoGAN(Stabilised):
    """First a WGAN-GP of patches without a lesion, then, with both its networks fixed, an encoder.

    The encoder is trained as izi_f (equation 4): an image x is encoded and generated again, and the loss is
    ``|x - G(E(x))|^2 / n + kappa |f(x) - f(G(E(x)))|^2 / n_f`` with f the critic's last features. The same
    number is the anomaly score of a patch (section 2.3); the map is ``|x - G(E(x))|``. Most brains that
    openly licensed sets show are diseased: lesion-free patches come from patients with lesions elsewhere.

    Args:
        contrast: of the patches.
        fold: cross-validation fold whose patients are left out; -1 leaves out those listed as ``val``.
        latent: length of z; a generator with many can make lesions too, though it never saw one.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it, of all three networks.
        kappa: weight of the features.
        encoder_share: of the run that is the encoder's.
        encoder_rate: its learning rate as a multiple of the generator's.
    """

    name: ClassVar[str] = "f-anogan"
    metric: ClassVar[str] = "auroc"
    best: ClassVar[str] = "high"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "40000",
        "batch": "64",
        "latent": "32",
        "widths": "64,128,256,256",
    }

    objective: str = "wasserstein"
    critic_steps: int = 5
    gradient_penalty: float = 10.0
    contrast: str = "FLAIR"
    fold: int = 0
    latent: int = 8
    widths: tuple[int, ...] = (16, 32, 64, 96)
    kappa: float = 1.0
    encoder_share: float = 0.4
    encoder_rate: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.encoder_share < 1:
            raise UsageError(
                "Both stages need a part of the run",
                expected="encoder_share between 0 and 1",
                got=str(self.encoder_share),
            )

    @property
    def architecture(self) -> Architecture:
        """The networks of the card."""
        shape = {"size": self.size[0], "latent": self.latent, "widths": list(self.widths)}
        return Architecture(name="patch-anomaly", options={**shape, "kappa": self.kappa})

    @property
    def size(self) -> tuple[int, ...]:
        """Sides of a patch."""
        return patch_size(self.spatial_dims)

    def networks(self) -> dict[str, nn.Module]:
        """Generator, critic, encoder."""
        size, dims, widths = self.size, self.spatial_dims, self.widths
        return {
            GENERATOR: ResidualGenerator(size=size, latent=self.latent, widths=widths, spatial_dims=dims),
            DISCRIMINATOR: ResidualDiscriminator(widths=widths[1:], spectral=False, spatial_dims=dims),
            ENCODER: LatentEncoder(size=size, latent=self.latent, widths=widths, spatial_dims=dims),
        }

    def players(self) -> tuple[Player, ...]:
        """The two of the game, then the encoder; it takes as many steps as the critic did."""
        turn = 1 - self.encoder_share
        game = self.two_players((DISCRIMINATOR,), (GENERATOR,))
        encoder = Player(
            name=ENCODER,
            networks=(ENCODER,),
            rate=self.encoder_rate,
            steps=self.critic_steps,
            phase=(turn, 1.0),
        )
        return (*(replace(player, phase=(0.0, turn)) for player in game), encoder)

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Patches without a lesion; of the patients left out half of the patches show one."""
        return brain_patches(
            data,
            contrast=self.contrast,
            spatial_dims=self.spatial_dims,
            lesions=0.0,
            fold=self.fold,
            seed=self.seed,
            validation=validation,
        )

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """The objective of WGAN-GP, or the encoder's."""
        real = to_signed(batch["image"])
        if player == ENCODER:
            again = self.again(networks, real)
            residual, features = self.distances(networks, real, again)
            return (residual + self.kappa * features).mean(), {
                "residual": residual.mean(),
                "features": features.mean(),
            }
        fake = networks[GENERATOR](moment.normal(len(real), self.latent))
        if player == GENERATOR:
            return self.generator_loss(networks, real, fake, moment)
        return self.discriminator_loss(networks, real, fake, moment)

    def again(self, networks: Networks, images: Tensor) -> Tensor:
        """G(E(x)) of images in [-1, 1]."""
        made: Tensor = networks[GENERATOR](networks[ENCODER](images))
        return made

    def distances(self, networks: Networks, images: Tensor, again: Tensor) -> tuple[Tensor, Tensor]:
        """Mean square difference of images (n, 1, *size) in [-1, 1] and of their features, each (n,)."""
        critic = cast("Discriminator", networks.exact(DISCRIMINATOR))
        features = networks.call(critic.features)
        there, here = features(images)[-1], features(again)[-1]
        return _mean_square(images - again), _mean_square(there - here)

    def score(self, networks: Networks, images: Tensor) -> Tensor:
        """The anomaly score (n,) of patches (n, 1, *size) in [0, 1]."""
        signed = to_signed(images)
        residual, features = self.distances(networks, signed, self.again(networks, signed))
        return residual + self.kappa * features

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """How the score tells lesions, and how the generated patches stand beside real ones without any.

        Pictures: generated patches, real ones without a lesion, then patches (every second with a lesion),
        what the generator makes of them, and the difference.
        """
        drawn = judge_samples(lambda n: self.sample(networks, n, moment)["image"], LesionFree(samples))
        batch, device = judged_patches(samples), moment.device
        image = batch["image"].clamp(0, 1)
        again = in_parts(lambda x: from_signed(self.again(networks, to_signed(x))), image, device)
        scores = in_parts(lambda x: self.score(networks, x), image, device)
        numbers = {**drawn.numbers, **detection(scores, batch), **measured.studies(batch)}
        numbers["residual"] = float((again - image).abs().mean())
        difference = _MAP_GAIN * (again - image).abs()
        pictures = [rows(x, 1) for x in (image, again, difference)]
        if drawn.pictures is not None:
            pictures.insert(0, drawn.pictures)
        return Findings(numbers, torch.cat(pictures))

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        """New patches without a lesion, in [0, 1]."""
        made: Tensor = networks[GENERATOR](moment.normal(count, self.latent))
        return {"image": from_signed(made)}

    def model(self, networks: Mapping[str, nn.Module]) -> nn.Module | None:
        """All three networks as they are applied to volumes; in 3D none is served."""
        if self.spatial_dims == 3:
            return None
        served = build(**asdict(self.architecture))
        for name in (GENERATOR, DISCRIMINATOR, ENCODER):
            served.get_submodule(name).load_state_dict(networks[name].state_dict())
        return served

    def card(self, training: Training) -> ModelCard | None:
        """What the model says about itself; None in 3D."""
        if self.spatial_dims == 3:
            return None
        return ModelCard(
            name=self.name,
            version="0.1.0",
            title=f"Unusual places in {self.contrast}",
            description=f"Shows where a brain {self.contrast} differs from what a generator of lesion-free "
            "patches can make: a map to look at, and scores of the whole volume. It finds what is unusual, "
            "not what is ill.",
            task="detect",
            inputs=(Port(key=self.contrast, title=self.contrast, required=True),),
            outputs=(
                anomaly_card.anomaly_map(
                    "absolute difference as a share of the 99.5th percentile of the foreground"
                ),
            ),
            architecture=self.architecture,
            preprocess=anomaly_card.PREPROCESS,
            domain=adult_brain(anatomy="brain of an adult"),
            data=MARKED,
            training=training,
            licence="Apache-2.0",
            figures=(),
            limits=(
                *anomaly_card.LIMITS,
                "The patches called usual come from patients with lesions elsewhere (multiple sclerosis, "
                "treated glioblastoma), since most brains that openly licensed sets show are diseased.",
            ),
            weights=Weights(file="", sha256=""),
            settings=(
                Setting(
                    key="stride",
                    title="Distance of the patches",
                    kind="choice",
                    default="16",
                    choices=("8", "16", "32"),
                    help=f"in pixels; patches have {self.size[0]}. Less is smoother and takes longer",
                ),
            ),
        )

    def figures(self, numbers: Mapping[str, float], command: str) -> tuple[Figure, ...]:
        """How the score tells patches with a lesion from those without, beside plain brightness."""
        return anomaly_card.figures(numbers, command)


def _mean_square(difference: Tensor) -> Tensor:
    return difference.square().flatten(1).mean(1)
