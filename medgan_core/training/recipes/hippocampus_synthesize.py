"""Hippocampi with their two parts: SPADE in 3D, served as ``hippocampus-synthesize``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from medgan_core.card import (
    IMAGE,
    LABEL_MAP,
    REFERENCE,
    SEGMENTATION,
    Architecture,
    Domain,
    Grid,
    ModelCard,
    Port,
    Setting,
    Training,
    Weights,
)
from medgan_core.data.samples import Samples
from medgan_core.networks import build
from medgan_core.networks.labelled_synthesizer import LabelledSynthesizer
from medgan_core.networks.patchgan import PatchDiscriminator
from medgan_core.preprocess import Preprocess
from medgan_core.training.recipes.crops import DECATHLON, PARTS, crop_images
from medgan_core.training.recipes.shapes import SHAPES
from medgan_core.training.recipes.spade import ENCODER, LABELS, Spade
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR


@dataclass(frozen=True, kw_only=True)
class HippocampusSynthesize(Spade):
    """`Spade` in 3D whose generator and shapes work on blocks of 2 x 2 x 2 voxels (`networks.folding`).

    The learning rate falls to nearly nothing, so that the averaged weights and the codes that the shape model
    followed (`networks.shape_model`) belong together in the end.

    Args:
        labelled: train on so many patients alone, the first in an order of the seed's; 0 for all.
        hidden: of the generator, see `networks.spade.SpatialModulation`.
        shape: length of the shape code.
        style_widths: of the style's encoder at the full resolution, at 1/2, ... of it.
        shape_widths: of the shape model at half the resolution, at 1/4, ... of it.
    """

    name: ClassVar[str] = "hippocampus-synthesize"
    gpu: ClassVar[Mapping[str, str]] = {"updates": "40000", "batch": "32", "judge_widths": "64,128,256"}

    spatial_dims: int = 3
    updates: int = 3000
    batch: int = 8
    lr: float = 4e-4
    schedule: str = "cosine"
    divergence: float = 0.01
    widths: tuple[int, ...] = (32, 64, 64)
    labelled: int = 0
    hidden: int = 24
    shape: int = 16
    style_widths: tuple[int, ...] = (8, 16, 32, 48)
    shape_widths: tuple[int, ...] = (16, 32, 48)

    @property
    def architecture(self) -> Architecture:
        """The network of the card."""
        options = {
            "labels": LABELS,
            "size": list(self.size),
            "style": self.style,
            "shape": self.shape,
            "widths": list(self.widths),
            "hidden": self.hidden,
            "style_widths": list(self.style_widths),
            "shape_widths": list(self.shape_widths),
        }
        return Architecture(name="labelled-synthesizer", options=options)

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Crops of the hippocampus with their label maps."""
        return crop_images(
            data,
            spatial_dims=self.spatial_dims,
            seed=self.seed,
            validation=validation,
            labelled=self.labelled,
            labels=PARTS,
        )

    def networks(self) -> dict[str, nn.Module]:
        """The parts of the served network, and the discriminator."""
        served = build(**asdict(self.architecture))
        assert isinstance(served, LabelledSynthesizer)
        judge = PatchDiscriminator(
            in_channels=1 + LABELS, widths=self.judge_widths, spatial_dims=self.spatial_dims
        )
        return {
            GENERATOR: served.generator,
            DISCRIMINATOR: judge,
            SHAPES: served.shapes,
            ENCODER: served.encoder,
        }

    def model(self, networks: Mapping[str, nn.Module]) -> nn.Module:
        """Generator, style encoder and shapes as one network."""
        served = build(**asdict(self.architecture))
        for name in (GENERATOR, ENCODER, SHAPES):
            served.get_submodule(name).load_state_dict(networks[name].state_dict())
        return served

    def card(self, training: Training) -> ModelCard:
        """What the model says about itself."""
        i, j, k = self.size
        return ModelCard(
            name=self.name,
            version="0.1.0",
            title="Hippocampus with its parts, synthesis",
            description="Makes T1 images of a hippocampus with the map of its anterior and posterior part. "
            "The map is drawn, or yours; the appearance is drawn, or that of an image you give.",
            task="synthesize",
            inputs=(
                Port(key=LABEL_MAP, title="Label map", kind="labels", labels=PARTS),
                Port(key=REFERENCE, title="T1 crop whose appearance to take", apart=True),
            ),
            min_inputs=0,
            outputs=(
                Port(
                    key=IMAGE,
                    title="Synthetic T1",
                    unit="1000 is the 99.5th percentile of a real crop's foreground",
                ),
                Port(key=SEGMENTATION, title="Segmentation", kind="labels", labels=PARTS),
            ),
            architecture=self.architecture,
            preprocess=Preprocess(output="translated"),
            domain=Domain(
                anatomy="crop around a hippocampus",
                modality="MR",
                spacing_mm=(0.5, 2.0),
                extent_mm=(20.0, 90.0),
            ),
            data=(DECATHLON,),
            training=training,
            licence="CC BY-SA 4.0",
            figures=(),
            limits=(
                "Not for diagnosis. The images are synthetic and show nobody; they tell nothing of disease.",
                "Trained on T1 crops of 1 mm. Other contrasts and scanners are not covered.",
                "Away from the hippocampus the image is plausible texture without named anatomy.",
                "Images are blurrier and vary less than real ones; so a blurred image may lie near to one "
                "that was trained on.",
            ),
            weights=Weights(file="", sha256=""),
            settings=(
                Setting(
                    key="style",
                    title="Variety of appearance",
                    kind="float",
                    default=1.0,
                    minimum=0.0,
                    maximum=2.0,
                    help="0 gives the mean appearance, or exactly the reference's",
                ),
                Setting(
                    key="shape",
                    title="Variety of shape",
                    kind="float",
                    default=1.0,
                    minimum=0.0,
                    maximum=2.0,
                    help="of maps that are drawn; 0 gives the mean shape",
                ),
            ),
            grid=Grid(shape=(i, j, k), spacing_mm=(1.0, 1.0, 1.0)),
        )
