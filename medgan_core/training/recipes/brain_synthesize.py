"""Heads from label maps: simulated by the MR signal equations, refined until they look scanned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan_core.card import Architecture, Figure, ModelCard, Training
from medgan_core.data.draws import TRAINING, VALIDATION
from medgan_core.data.mapped_slabs import MappedSlabs
from medgan_core.data.samples import Samples
from medgan_core.data.slabs import CONTRASTS
from medgan_core.data.unpaired_slabs import Sometimes, Turned, Unpaired
from medgan_core.losses.robust import charbonnier
from medgan_core.metrics.sliced import sliced_wasserstein
from medgan_core.networks import build
from medgan_core.networks.patchgan import PatchDiscriminator
from medgan_core.physics.tissues import NAMES
from medgan_core.training.loading import collate
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes import brain_card, judging
from medgan_core.training.recipes.brain_data import SOURCES
from medgan_core.training.recipes.generation import rows
from medgan_core.training.recipes.mapped_heads import mapped_heads
from medgan_core.training.recipes.sources import brain_slabs
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR, Stabilised
from medgan_core.training.recipes.translate import PREPROCESS

_JUDGED, _PART = 96, 8
_PATCH, _SHOWN = 12, 0.8
_KEPT = 2
"""Side of the squares whose means the generator should keep."""
_FREE = 0.1
TOLD = (
    ("csf", "choroid"),
    ("grey",),
    ("deep grey", "pallidum", "brainstem"),
    ("white", "cerebellar white", "ms lesion"),
)
"""Groups of tissues that the PatchGAN tells apart."""
_TOLD_OF = [next((n for n, group in enumerate(TOLD) if name in group), -1) for name in NAMES]
_BRIGHTEST = 2.0


@dataclass(frozen=True, kw_only=True)
class BrainSynthesize(Stabilised):
    """A refiner of simulated slabs against real ones, with nothing of a patient labelled by hand.

    The generator changes a simulated image; a PatchGAN that sees pieces of about 30 pixels tells it from real
    slices of the same contrast. The means over squares of 2 pixels are held to the simulation, so that an
    image still shows its label map, while edges and fine noise are free. Source: Shrivastava et al.,
    "Learning from simulated and unsupervised images through adversarial training", CVPR 2017, equations 1 to
    4. Which contrast it is the PatchGAN alone is told: the generator treats those that no patient was scanned
    with (PD) like the others.

    With a `segmenter` some of the samples are brains of patients, simulated from the label map that it gives
    them, and the PatchGAN is told the tissue of every pixel: texture that does not belong to the tissue, or
    lies beside its edges, tells a refined image from a scan. The map is the same one for both.

    Args:
        slices: of a slab.
        size: pixels along its sides.
        fold: cross-validation fold left out of training, -1 for none.
        widths: of the generator.
        judge_widths: of the PatchGAN.
        content: weight of the distance to the simulation, quadratic for small changes (an absolute error
            would not let the generator leave the simulation at all).
        segmenter: a model, shipped or of the user's, that suggests FreeSurfer labels; "" for none.
        mapped: share of the samples that its label maps are used for.
    """

    name: ClassVar[str] = "brain-mr-synthesize"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "40000",
        "batch": "32",
        "size": "192",
        "widths": "64,128,192",
        "judge_widths": "64,128,256",
    }
    metric: ClassVar[str] = "swd"

    updates: int = 2000
    batch: int = 8
    lr: float = 2e-4
    ema: float = 0.998
    objective: str = "hinge"
    discriminator_rate: float = 2.0
    slices: int = 3
    size: int = 128
    fold: int = -1
    widths: tuple[int, ...] = (32, 64, 96)
    judge_widths: tuple[int, ...] = (32, 64, 128)
    content: float = 20.0
    segmenter: str = ""
    mapped: float = 0.5

    @property
    def architecture(self) -> Architecture:
        """The network of the card."""
        return Architecture(name="slab-painter", options={"slices": self.slices, "widths": list(self.widths)})

    def networks(self) -> dict[str, nn.Module]:
        """The refiner, and a PatchGAN of its image beside planes of contrast and tissue."""
        judge = PatchDiscriminator(in_channels=1 + len(CONTRASTS) + len(TOLD), widths=self.judge_widths)
        return {GENERATOR: build(**asdict(self.architecture)), DISCRIMINATOR: judge}

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Simulated slabs beside real slices of the same contrast, which show other heads."""
        sources = [
            brain_slabs(
                data,
                slices=self.slices,
                size=self.size,
                real_share=share,
                fold=self.fold,
                preprocess=PREPROCESS,
                validation=validation,
            )
            for share in (0.0, 1.0)
        ]
        unpaired = Unpaired(*sources, seed=self.seed, stream=VALIDATION if validation else TRAINING)
        if validation:
            return unpaired
        if not self.segmenter:
            return Turned(unpaired, seed=self.seed)
        studies = mapped_heads(data, segmenter=self.segmenter, fold=self.fold)
        mapped = MappedSlabs(studies, slices=self.slices, size=self.size)
        return Turned(Sometimes(unpaired, mapped, share=self.mapped, seed=self.seed), seed=self.seed)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """The hinge loss, and for the generator the distance to the simulation."""
        base = batch["base"]
        made = networks[GENERATOR](slab(base, moment))
        told = torch.cat([planes(batch["contrast"], made), tissue_planes(batch["tissue"])], dim=1)
        seen = batch["seen"]
        real, fake = (torch.cat([signed(x * seen), told], dim=1) for x in (batch["real"], made))
        if player == DISCRIMINATOR:
            return self.discriminator_loss(networks, real, fake, moment)
        loss, logs = self.generator_loss(networks, real, fake, moment)
        change = functional.avg_pool2d(made - middle(base), _KEPT)
        away = charbonnier(change, epsilon=_FREE).mean()
        return loss + self.content * away, {**logs, "adversarial": loss, "away": away}

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Sliced Wasserstein distance of small patches to real ones, of the simulation's and of real ones.

        ``swd`` is the refined images', ``swd_simulated`` that of what they were refined from, ``swd_real``
        that of as many other slices of the same patients. ``kept`` is the SSIM of the refined with the
        simulated images.
        """
        batch = collate([samples[n] for n in range(_JUDGED)])
        base = middle(batch["base"])
        made = torch.cat(
            [
                networks[GENERATOR](slab(part.to(moment.device), moment)).float().cpu()
                for part in torch.split(batch["base"], _PART)
            ]
        )
        real = batch["real"]
        others = torch.stack([samples[n]["real"] for n in range(_JUDGED, 2 * _JUDGED)])
        whole = patches(real)
        numbers = {
            "swd": distance(patches(made), whole),
            "swd_simulated": distance(patches(base), whole),
            "swd_real": distance(patches(others), whole),
            "kept": float(judging.ssim(made, base, judging.foreground(base)).mean()),
            "slices": float(_JUDGED),
        }
        return Findings(numbers, torch.cat([rows(x.clamp(0, 1), 1) for x in (base, made, real)]))

    def model(self, networks: Mapping[str, nn.Module]) -> nn.Module:
        """The refiner."""
        return networks[GENERATOR]

    def card(self, training: Training) -> ModelCard:
        """What the model says about itself."""
        return brain_card.of(self.name, self.architecture, training, SOURCES)

    def figures(self, numbers: Mapping[str, float], command: str) -> tuple[Figure, ...]:
        """The distance of patches, and how much of the simulation is kept."""
        if "slices" not in numbers:
            return ()
        count = int(numbers["slices"])
        split = f"slices of cross-validation fold {self.fold}" if self.fold >= 0 else "slices of all patients"
        return (
            Figure(
                name="distance of patches to real ones (sliced Wasserstein)",
                value=round(numbers["swd"], 4),
                unit="of the 99.5th percentile",
                n=count,
                split=split,
                command=command,
                baseline=f"simulated, not refined: {numbers['swd_simulated']:.4f}; "
                f"other real slices: {numbers['swd_real']:.4f}",
            ),
            Figure(
                name="SSIM with the simulated image",
                value=round(numbers["kept"], 4),
                unit="",
                n=count,
                split="slices of simulated heads left out",
                command=command,
            ),
        )


def signed(images: Tensor) -> Tensor:
    """What the PatchGAN sees: 0 becomes -1 and 1 stays; what is brighter than real images are is clipped."""
    return 2 * images.clamp(max=_BRIGHTEST) - 1


def middle(base: Tensor) -> Tensor:
    """The middle slice of slabs (n, slices, h, w), as (n, 1, h, w)."""
    number = base.shape[1] // 2
    return base[:, number : number + 1]


def slab(base: Tensor, moment: Moment) -> Tensor:
    """The generator's input: slabs (n, slices, h, w) and as much white noise, (n, 2 slices, h, w)."""
    return torch.cat([base, moment.normal(*base.shape)], dim=1)


def planes(contrast: Tensor, like: Tensor) -> Tensor:
    """The contrasts' numbers (n,) as constant planes, 1 for the own contrast and else -1."""
    flags = 2 * functional.one_hot(contrast, len(CONTRASTS)).to(like) - 1
    return flags[:, :, None, None].expand(-1, -1, *like.shape[2:])


def tissue_planes(tissue: Tensor) -> Tensor:
    """Tissue numbers (n, h, w) as planes of `TOLD`, 1 where it is and else -1; untold ones are nowhere."""
    lookup = torch.tensor(_TOLD_OF, device=tissue.device)[tissue]
    return torch.stack([2 * (lookup == n).float() - 1 for n in range(len(TOLD))], dim=1)


def patches(images: Tensor) -> Tensor:
    """Squares of images (n, 1, h, w) that lie in the foreground, (m, values), each without its mean."""
    found = functional.unfold(images, _PATCH, stride=_PATCH).transpose(1, 2).flatten(0, 1)
    found = found[(found > judging.FOREGROUND).float().mean(1) > _SHOWN]
    return found - found.mean(dim=1, keepdim=True)


def distance(a: Tensor, b: Tensor) -> float:
    """`sliced_wasserstein` of as many patches of each as there are of the fewer, evenly chosen."""
    count = min(len(a), len(b))
    even = [x[torch.linspace(0, len(x) - 1, count).long()] for x in (a, b)]
    return sliced_wasserstein(even[0].numpy(), even[1].numpy(), seed=0) if count else float("nan")
