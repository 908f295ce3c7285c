"""Paired image-to-image translation with a conditional GAN (Isola et al., "pix2pix", CVPR 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from medgan_core.data.draws import DEGRADATION, generators
from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError
from medgan_core.networks.image_to_image import UNetGenerator
from medgan_core.physics.noise import rician
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes import judging
from medgan_core.training.recipes.generation import from_signed, to_signed
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR
from medgan_core.training.recipes.transforming import DepthLast, Transforming, applied, contrasts_of

TASKS = ("translate", "denoise")


@dataclass(frozen=True, kw_only=True)
class Pix2pix(Transforming):
    """Cross-entropy of a PatchGAN that sees input and output, and lambda = 100 times L1 (equation 4).

    The noise of the paper is dropout, in training only. With `structure` above 0 the generator also gets
    GED-GAN's structure-matching loss.

    Args:
        task: ``translate`` the contrasts `source` to the contrast `target`, or ``denoise`` `target` itself.
        source: contrasts with commas between; each is a channel.
        target: contrast.
        noise: denoise: largest sigma of the Rician noise, as a share of the foreground's 99.5th percentile.
        dropout: see `networks.image_to_image.UNetGenerator`.
    """

    name: ClassVar[str] = "pix2pix"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "40000",
        "batch": "16",
        "size": "192,192",
        "pixel_mm": "1.0",
        "widths": "64,128,256,512",
        "judge_widths": "64,128,256,512",
    }

    task: str = "translate"
    source: str = "T1"
    target: str = "T2"
    noise: float = 0.15
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task not in TASKS:
            raise UsageError("There is no such task", expected=", ".join(TASKS), got=self.task)
        contrasts_of(",".join(self._contrasts()))

    def networks(self) -> dict[str, nn.Module]:
        """A U-Net and a PatchGAN of its output beside its input."""
        inputs = len(self._contrasts()) - 1 if self.task == "translate" else 1
        unet = UNetGenerator(
            in_channels=inputs, widths=self.widths, dropout=self.dropout, spatial_dims=self.spatial_dims
        )
        return {GENERATOR: unet, DISCRIMINATOR: self.patch_discriminator(inputs + 1)}

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Slices as ``source`` and ``target``."""
        stacks = self.stacks(data, self._contrasts(), validation=validation)
        slices = DepthLast(self.slices(stacks, validation=validation))
        if self.task == "translate":
            return Pairs(slices)
        return Noisy(slices, largest=self.noise, seed=self.sample_seed(validation=validation))

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """Both sides of equation 4."""
        source, target = to_signed(batch["source"]), to_signed(batch["target"])
        made = networks[GENERATOR](source)
        real, fake = torch.cat([target, source], dim=1), torch.cat([made, source], dim=1)
        if player == DISCRIMINATOR:
            return self.discriminator_loss(networks, real, fake, moment)
        loss, logs = self.generator_loss(networks, real, fake, moment)
        error, parts = self.paired_error(made, target)
        return loss + error, {**logs, **parts, "adversarial": loss}

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """PSNR and SSIM in the foreground beside those of the (first) input and of the best curve of inputs.

        All but the curve are fitted by one gain per image.
        """
        batch, made = applied(
            samples, ("source",), moment.device, lambda x: networks[GENERATOR](to_signed(x))
        )
        source, truth = batch["source"].clamp(0, 1), batch["target"].clamp(0, 1)
        mask = judging.foreground(source, truth)
        made = from_signed(made)
        predictions = {
            "": judging.fitted(made, truth, mask),
            "identity": judging.fitted(source[:, :1], truth, mask),
            "curve": judging.best_curve(source, truth, mask),
        }
        return judging.findings(predictions, truth, mask, shown={"source": source, "made": made})

    def _contrasts(self) -> tuple[str, ...]:
        sources = self.source.split(",") if self.task == "translate" else []
        return (*(s.strip() for s in sources), self.target)


class Pairs:
    """The last contrast as the target of the others.

    Args:
        samples: whose ``image`` has the contrasts as channels.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __getitem__(self, number: int) -> Batch:
        """Source (contrasts - 1, *spatial) and target (1, *spatial)."""
        image = self._samples[number]["image"]
        return {"source": image[:-1], "target": image[-1:]}


class Noisy:
    """An image as the target of itself with Rician noise, whose sigma is drawn evenly from 0 to the largest.

    Args:
        samples: with an ``image`` of one channel.
        largest: sigma, in the unit of the image.
        seed: of the noise.
    """

    def __init__(self, samples: Samples, *, largest: float, seed: int) -> None:
        self._samples, self._largest, self._seed = samples, largest, seed

    def __getitem__(self, number: int) -> Batch:
        """Source and target, (1, *spatial)."""
        image = self._samples[number]["image"]
        rng, generator = generators(self._seed, number, DEGRADATION)
        sigma = float(rng.uniform(0, self._largest))
        return {"source": rician(image, sigma, generator=generator), "target": image}
