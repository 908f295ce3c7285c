"""Unpaired image-to-image translation (Zhu et al., "CycleGAN", ICCV 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from medgan_core.data.samples import Samples
from medgan_core.data.slices import UnpairedSlices
from medgan_core.data.windows import Augmentation
from medgan_core.errors import UsageError
from medgan_core.networks.image_to_image import ResidualImageGenerator, UNetGenerator
from medgan_core.training.image_pool import ImagePool
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Forward, Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes import judging
from medgan_core.training.recipes.generation import from_signed, to_signed
from medgan_core.training.recipes.stabilised import DISCRIMINATOR
from medgan_core.training.recipes.transforming import DepthLast, Transforming, applied, contrasts_of

TO_A, TO_B = "to_a", "to_b"
JUDGE_A, JUDGE_B = "judge_a", "judge_b"
POOL_A, POOL_B = "pool_a", "pool_b"
GENERATORS: dict[str, type[ResidualImageGenerator] | type[UNetGenerator]] = {
    "residual": ResidualImageGenerator,
    "unet": UNetGenerator,
}
_SIDES = {JUDGE_A: ("a", POOL_A), JUDGE_B: ("b", POOL_B)}


@dataclass(frozen=True, kw_only=True)
class CycleGAN(Transforming):
    """Two generators and two discriminators on slices of two contrasts, always of different patients.

    Least squares, cycle weight 10 and half of it for identity, and an image pool, as in the paper. All
    patients have both contrasts, so that pix2pix trains on the same ones, and those left out are judged with
    their pairs. There is no target, so `l1` and `structure` weigh the cycle: what comes back should be what
    was sent.

    Args:
        first: contrast A.
        second: contrast B.
        identity: weight of the identity loss (section 5.2), as a multiple of `l1`.
        generator: ``residual`` as in the paper, or ``unet``, whose skips carry edges.
        blocks: residual blocks of a generator.
        pool: images each pool holds, see `image_pool.ImagePool`.
    """

    name: ClassVar[str] = "cyclegan"
    paired: ClassVar[bool] = False
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "40000",
        "batch": "8",
        "size": "192,192",
        "pixel_mm": "1.0",
        "widths": "64,128,256",
        "judge_widths": "64,128,256,512",
        "blocks": "9",
    }

    batch: int = 2
    objective: str = "least-squares"
    widths: tuple[int, ...] = (16, 32, 64)
    l1: float = 10.0
    first: str = "T1"
    second: str = "T2"
    identity: float = 0.5
    generator: str = "residual"
    blocks: int = 4
    pool: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        contrasts_of(f"{self.first},{self.second}")
        if self.generator not in GENERATORS:
            raise UsageError("There is no such generator", expected=", ".join(GENERATORS), got=self.generator)

    def networks(self) -> dict[str, nn.Module]:
        """Generators by what they make, discriminators by what they judge, and the pools of both."""
        shape = (1, *self.size, self.depth)[: 1 + self.spatial_dims]
        generators = {
            name: GENERATORS[self.generator](
                widths=self.widths, blocks=self.blocks, spatial_dims=self.spatial_dims
            )
            for name in (TO_A, TO_B)
        }
        judges = {name: self.patch_discriminator(1) for name in (JUDGE_A, JUDGE_B)}
        return {
            **generators,
            **judges,
            POOL_A: ImagePool(self.pool, shape),
            POOL_B: ImagePool(self.pool, shape),
        }

    def players(self) -> tuple[Player, ...]:
        """Both discriminators, then both generators."""
        return self.two_players((JUDGE_A, JUDGE_B), (TO_A, TO_B))

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """``a`` and ``b``: of different patients in training, of the same place for those left out."""
        stacks = self.stacks(data, (self.first, self.second), validation=validation)
        if validation:
            return Sides(DepthLast(self.slices(stacks, validation=True)))
        firsts, seconds = ([replace(s, images=s.images[n : n + 1]) for s in stacks] for n in (0, 1))
        unpaired = UnpairedSlices(
            firsts,
            seconds,
            size=(self.size[0], self.size[1]),
            depth=self.depth if self.spatial_dims == 3 else 1,
            augmentation=Augmentation(),
            seed=self.seed,
        )
        return DepthLast(unpaired, "a", "b")

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """The full objective, equation 3, with the identity loss."""
        real = {side: to_signed(batch[side]) for side in ("a", "b")}
        fake = {"a": networks[TO_A](real["b"]), "b": networks[TO_B](real["a"])}
        total, logs = torch.zeros((), device=moment.device), dict[str, float | Tensor]()
        for judge, (side, pool) in _SIDES.items():
            if player == DISCRIMINATOR:
                shown = networks.exact(pool)(fake[side], moment.uniform(len(fake[side]), 2))
                loss, own = self.discriminator_loss(networks, real[side], shown, moment, name=judge)
            else:
                loss, own = self.generator_loss(networks, real[side], fake[side], moment, name=judge)
                own = {**own, "adversarial": loss}
            total = total + loss
            logs |= {f"{side}.{key}": value for key, value in own.items()}
        if player == DISCRIMINATOR:
            return total, logs
        error, parts = self.cycle_error(networks[TO_A], networks[TO_B], real, fake)
        return total + error, {**logs, **parts}

    def cycle_error(
        self, to_a: Forward, to_b: Forward, real: Mapping[str, Tensor], fake: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Cycle consistency (equation 2) and identity (section 5.2) with their weights, and the parts.

        Args:
            to_a: makes A of B.
            to_b: makes B of A.
            real: images by side.
            fake: what the two made of the other side's.
        """
        back_a, parts_a = self.paired_error(to_a(fake["b"]), real["a"])
        back_b, parts_b = self.paired_error(to_b(fake["a"]), real["b"])
        loss = back_a + back_b
        logs = {f"cycle.{key}": parts_a[key] + parts_b[key] for key in parts_a}
        if self.identity:
            same = (to_a(real["a"]) - real["a"]).abs().mean() + (to_b(real["b"]) - real["b"]).abs().mean()
            loss, logs["identity"] = loss + self.identity * self.l1 * same, same
        return loss, logs

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """PSNR and SSIM of A to B beside the input's and the best curve's, and of B to A (``_back``).

        All but the curve are fitted by one gain per image.
        """
        batch, to_b = applied(samples, ("a",), moment.device, lambda x: networks[TO_B](to_signed(x)))
        _, to_a = applied(samples, ("b",), moment.device, lambda x: networks[TO_A](to_signed(x)))
        a, b = batch["a"].clamp(0, 1), batch["b"].clamp(0, 1)
        to_a, to_b = from_signed(to_a), from_signed(to_b)
        mask = judging.foreground(a, b)
        predictions = {
            "": judging.fitted(to_b, b, mask),
            "identity": judging.fitted(a, b, mask),
            "curve": judging.best_curve(a, b, mask),
        }
        found = judging.findings(predictions, b, mask, shown={"a": a, "to_b": to_b})
        back = judging.fitted(to_a, a, mask)
        other = judging.findings({"back": back}, a, mask, shown={"b": b, "to_a": to_a})
        assert found.pictures is not None
        assert other.pictures is not None
        return Findings({**found.numbers, **other.numbers}, torch.cat([found.pictures, other.pictures]))


class Sides:
    """Two contrasts of one place by the names of the two sides.

    Args:
        samples: whose ``image`` has two channels.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __getitem__(self, number: int) -> Batch:
        """``a`` and ``b``, (1, *spatial)."""
        image = self._samples[number]["image"]
        return {"a": image[:1], "b": image[1:]}
