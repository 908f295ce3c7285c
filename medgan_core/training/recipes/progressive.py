"""Progressive growing of GANs (Karras et al., ICLR 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from medgan_core.errors import UsageError
from medgan_core.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Forward, Networks
from medgan_core.training.recipe import Batch
from medgan_core.training.recipes.adversarial import DISCRIMINATOR, GENERATOR, Adversarial
from medgan_core.training.recipes.generation import to_signed
from medgan_core.training.recipes.stabilised import Answer

_INTERPOLATION = {2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True, kw_only=True)
class Progressive(Adversarial):
    """The resolution doubles in stages; a new one is faded in over the first half of its stage.

    WGAN-GP's loss with one step of the critic, as in the paper. The last stage takes half of the run.
    """

    name: ClassVar[str] = "progressive"

    objective: str = "wasserstein"
    gradient_penalty: float = 10.0
    lr: float = 1e-3

    def __post_init__(self) -> None:
        if self.feature_matching:
            raise UsageError(
                "The discriminator that grows gives no features to match",
                expected="feature_matching 0",
                got=str(self.feature_matching),
                action="leave feature_matching out, or choose another recipe",
            )

    def networks(self) -> dict[str, nn.Module]:
        """The two that grow."""
        dims, widths = self.spatial_dims, self.widths
        return {
            GENERATOR: ProgressiveGenerator(
                size=self.size, latent=self.latent, widths=widths, spatial_dims=dims
            ),
            DISCRIMINATOR: ProgressiveDiscriminator(size=self.size, widths=widths, spatial_dims=dims),
        }

    def stage(self, done: float) -> tuple[int, float]:
        """Stage and alpha at a share of the run: the first half is for the stages before the last."""
        last = len(self.widths) - 1
        if done >= 0.5 or last == 0:
            return last, min(1.0, (done - 0.5) * 4 + 1e-3) if last else 1.0
        place = 2 * done * last
        stage = int(place)
        return stage, 1.0 if stage == 0 else min(1.0, 2 * (place - stage) + 1e-3)

    def real(self, batch: Batch, moment: Moment) -> Tensor:
        """Real images at the stage's resolution, as blurred as the generator's while it fades in."""
        stage, alpha = self.stage(moment.done)
        images = to_signed(batch["image"])
        for _ in range(len(self.widths) - 1 - stage):
            images = _halved(images)
        if stage and alpha < 1:
            coarse = functional.interpolate(_halved(images), size=images.shape[2:], mode="nearest")
            images = coarse + alpha * (images - coarse)
        return images

    def fake(self, generator: Forward, count: int, moment: Moment) -> Tensor:
        """Generated images of the stage."""
        stage, alpha = self.stage(moment.done)
        image: Tensor = generator(moment.normal(count, self.latent), stage=stage, alpha=alpha)
        return image

    def judge(self, discriminator: Callable[..., Answer], images: Tensor, moment: Moment) -> Answer:
        """The answer to images of the stage."""
        stage, alpha = self.stage(moment.done)
        return discriminator(images, stage=stage, alpha=alpha)

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        """New images in [0, 1], of the full size whatever the stage."""
        images = super().sample(networks, count, moment)["image"]
        mode = _INTERPOLATION[self.spatial_dims]
        return {"image": functional.interpolate(images, size=self.size, mode=mode, align_corners=False)}


def _halved(images: Tensor) -> Tensor:
    pool = functional.avg_pool2d if images.ndim == 4 else functional.avg_pool3d
    return pool(images, 2, ceil_mode=True)
