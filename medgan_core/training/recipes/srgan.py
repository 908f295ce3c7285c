"""Super-resolution in the slice direction with a GAN (Ledig et al., "SRGAN", CVPR 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, cast, get_args

from torch import Tensor, nn

from medgan_core.card import Architecture, Figure, ModelCard, Port, Training, Weights
from medgan_core.data.degradation import Profile, ThickSliceSamples
from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError
from medgan_core.networks import build
from medgan_core.networks.super_resolution import SuperResolutionGenerator
from medgan_core.preprocess import Preprocess
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes import judging, measured
from medgan_core.training.recipes.brain_data import PATIENTS, adult_brain
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR
from medgan_core.training.recipes.transforming import (
    DepthLast,
    OneContrast,
    Transforming,
    applied,
    contrasts_of,
)

_SHIFT = 24.0
_ACROSS = 2  # the axis w of (c, h, w) and (c, h, w, depth)


@dataclass(frozen=True, kw_only=True)
class SRGAN(Transforming):
    """Thick slices to thin ones: a correction to linear interpolation along the axis w of (h, w).

    The content loss is L1, and features of the discriminator stand in for those of VGG (equation 5): nothing
    has to be downloaded. As in the paper the content is learned first.

    Thick slices are simulated from thin ones. With the plane ``axial`` the axis within the slices that runs
    from back to front stands in for the slice axis, so that thick-sliced patients serve as well (Zhao et
    al., "SMORE", IEEE Trans Med Imaging 2021). ``coronal`` and ``sagittal`` are cut from isotropic volumes
    only, where w is the slice axis itself; those patients are few, so give a `fold`.

    Args:
        contrasts: with commas between; a patient has all of them, a sample shows one.
        factor: how many times thicker, 2 or 4 as a rule.
        profiles: of the thick slices, with commas between, see `degradation.slice_profile`.
        plane: see above.
        blocks: residual blocks of the generator, of `widths` on the coarse and the fine grid.
        content_first: share of the run in which the generator is trained by content alone.
    """

    name: ClassVar[str] = "srgan"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "40000",
        "batch": "16",
        "widths": "96,32",
        "blocks": "16",
        "judge_widths": "64,128,256,512",
    }

    pixel_mm: float = 1.0
    depth: int = 16
    widths: tuple[int, ...] = (48, 16)
    feature_matching: float = 1.0
    contrasts: str = "T1,FLAIR"
    factor: int = 4
    profiles: str = "box,gaussian"
    plane: str = "axial"
    blocks: int = 6
    content_first: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        contrasts_of(self.contrasts)
        profiles_of(self.profiles)
        if self.factor < 2 or self.size[1] % self.factor:
            raise UsageError(
                "Such thick slices cannot be made",
                expected="a last side that is a multiple of the factor",
                got=f"size {self.size}, factor {self.factor}",
                action="correct size or factor",
            )
        if len(self.widths) != 2:
            raise UsageError("The generator has two widths", expected="coarse, fine", got=str(self.widths))

    @property
    def architecture(self) -> Architecture:
        """The network of the card."""
        options = {"factor": self.factor, "widths": list(self.widths), "blocks": self.blocks}
        return Architecture(name="slice-refiner", options=options)

    def networks(self) -> dict[str, nn.Module]:
        """The super-resolution network and a PatchGAN of fine images."""
        generator = SuperResolutionGenerator(
            factors=(1, self.factor, 1)[: self.spatial_dims],
            width=self.widths[0],
            fine_width=self.widths[1],
            blocks=self.blocks,
            spatial_dims=self.spatial_dims,
        )
        return {GENERATOR: generator, DISCRIMINATOR: self.patch_discriminator(1)}

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """``image`` (1, h, w), in 3D (1, h, w, depth), and ``low``, the same with fewer voxels along w."""
        names = contrasts_of(self.contrasts)
        stacks = self.stacks(data, names, validation=validation, plane=self.plane)
        one = OneContrast(DepthLast(self.slices(stacks, validation=validation, shift=_SHIFT)))
        profiles = profiles_of(self.profiles)
        return ThickSliceSamples(one, factor=self.factor, axis=_ACROSS, profiles=profiles, seed=self.seed)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """Content, and after the first part of the run the game (equation 3)."""
        fine, low = signed(batch["image"]), signed(batch["low"])
        made = networks[GENERATOR](low)
        if player == DISCRIMINATOR:
            return self.discriminator_loss(networks, fine, made, moment)
        error, logs = self.paired_error(made, fine)
        if moment.done < self.content_first:
            return error, logs
        loss, own = self.generator_loss(networks, fine, made, moment)
        return error + loss, {**logs, **own, "adversarial": loss}

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """PSNR and SSIM in the foreground beside those of linear interpolation, without any gain."""
        batch, made = applied(samples, ("low",), moment.device, lambda x: networks[GENERATOR](signed(x)))
        generator = cast("SuperResolutionGenerator", networks.exact(GENERATOR))
        truth, made = batch["image"], (made + 1) / 2
        linear = generator.interpolated(batch["low"])
        shown = {"linear": linear, "made": made}
        found = judging.findings({"": made, "linear": linear}, truth, judging.foreground(truth), shown=shown)
        return replace(found, numbers=found.numbers | measured.studies(batch))

    def model(self, networks: Mapping[str, nn.Module]) -> nn.Module | None:
        """The generator as it is applied to volumes; in 3D none is served."""
        if self.spatial_dims == 3:
            return None
        served = build(**asdict(self.architecture))
        served.get_submodule(GENERATOR).load_state_dict(networks[GENERATOR].state_dict())
        return served

    def card(self, training: Training) -> ModelCard | None:
        """What the model says about itself; None in 3D."""
        if self.spatial_dims == 3:
            return None
        factor, names = self.factor, " and ".join(contrasts_of(self.contrasts))
        return ModelCard(
            name=self.name,
            version="0.1.0",
            title=f"MR slice super-resolution, {factor} times",
            description=f"Makes {factor} thin slices of every thick one of a brain MR ({names}). The result "
            "has a grid of its own: the same outer faces, the same pixels, and slices "
            f"{factor} times as close as the input's, whatever their distance is.",
            task="restore",
            inputs=(Port(key="image", title="MR image with thick slices", required=True),),
            outputs=(
                Port(key="image", title="Image with thin slices", unit="as the input", slice_factor=factor),
            ),
            architecture=self.architecture,
            preprocess=Preprocess(slice_ratio=(0.8 * factor, 1.25 * factor), crop_margin_mm=8.0),
            domain=adult_brain(anatomy="head or brain of an adult", slice_ratio=(factor / 2, 2.0 * factor)),
            data=PATIENTS,
            training=training,
            licence="Apache-2.0",
            figures=(),
            limits=(
                "Not for diagnosis. Detail between the slices is invented: what no thick slice shows cannot "
                "appear, and small lesions may be lost or altered.",
                "Made for slices that lie close to each other (no gaps) and were taken as thick slices are; "
                "simulated thick slices were learned from.",
                f"Trained on {names} of few patients (multiple sclerosis, treated glioblastoma).",
            ),
            weights=Weights(file="", sha256=""),
        )

    def figures(self, numbers: Mapping[str, float], command: str) -> tuple[Figure, ...]:
        """PSNR and SSIM beside those of linear interpolation."""
        units = {"psnr": "dB", "ssim": ""}
        words = "linear interpolation"
        return measured.figures(numbers, command, units=units, baseline="linear", words=words)


def profiles_of(names: str) -> tuple[Profile, ...]:
    """Profiles from their names with commas between.

    Raises:
        UsageError: on another name, or none.
    """
    wrong = [name for name in names.split(",") if name not in get_args(Profile)]
    if wrong:
        raise UsageError(
            "There is no such slice profile",
            expected=" or ".join(get_args(Profile)),
            got=", ".join(wrong) or "none",
            action="choose one, or both with a comma between",
        )
    return cast("tuple[Profile, ...]", tuple(names.split(",")))


def signed(images: Tensor) -> Tensor:
    """[0, 1] to [-1, 1]; brighter voxels stay brighter, as the network ends in a linear layer."""
    return images * 2 - 1
