"""Anterior and posterior hippocampus in T1 crops: served as ``hippocampus-suggest``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from medgan_core.card import Domain, ModelCard, Port, Training, Weights
from medgan_core.data.crops import WholeCrops
from medgan_core.data.samples import Samples
from medgan_core.data.strong import StrongAugmentation
from medgan_core.data.windows import Augmentation, Window
from medgan_core.errors import UsageError
from medgan_core.preprocess import Preprocess
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes.crops import DECATHLON, PARTS, crop_images, crop_size
from medgan_core.training.recipes.downstream import Downstream
from medgan_core.training.recipes.generation import ROW, rows
from medgan_core.training.recipes.suggesting import AXES, Suggesting, judged, slabs_along, viewed

PREPROCESS = Preprocess(in_plane_mm=(0.9, 1.1))
_KEYS = ("image", "label")
AUGMENTATIONS = {"none": None, "slight": Augmentation(), "strong": StrongAugmentation()}
"""Of training crops, by name."""


@dataclass(frozen=True, kw_only=True)
class HippocampusSuggest(Suggesting, Downstream):
    """Slabs along the three axes of 3D crops, augmented as volumes; judged on whole crops in three views.

    Args:
        places: slabs cut along each axis of every crop.
        labelled: train on so many patients alone, the first in an order of the seed's; 0 for all.
        augmentation: ``strong`` (nnU-Net's list), ``slight`` (small movements and gain) or ``none``.
    """

    name: ClassVar[str] = "hippocampus-suggest"
    labels = PARTS
    inputs = (Port(key="image", title="T1-weighted crop", required=True),)
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "30000",
        "batch": "32",
        "places": "8",
        "validate_every": "3000",
    }

    updates: int = 12000
    batch: int = 8
    lr: float = 1e-3
    validate_every: int = 1500
    places: int = 4
    labelled: int = 0
    augmentation: str = "strong"

    def __post_init__(self) -> None:
        _augmentation(self.augmentation)

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Crops of one size to train on, or whole ones of the patients left out."""
        chosen = _augmentation(self.augmentation)

        def real() -> Samples:
            crops = crop_images(
                data,
                spatial_dims=3,
                seed=self.seed,
                validation=validation,
                labelled=self.labelled,
                augmentation=chosen,
                labels=self.labels,
            )
            return WholeCrops(crops) if validation else crops

        if validation:
            return real()
        return self.training(real, size=crop_size(3), keys=_KEYS, augmentation=chosen)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """Mean over the three axes of the loss on slabs at random places."""
        image, label = batch["image"], batch["label"]
        losses, found = [], []
        for axis in AXES:
            depth = image.shape[2 + axis]
            middles = torch.randperm(depth, generator=moment.generator, device=moment.device)[: self.places]
            slabs = {
                "input": slabs_along(image, axis, middles, self.slices),
                "label": slabs_along(label, axis, middles, 1)[:, 0],
            }
            loss, logs = self.error(networks["model"], slabs)
            losses.append(loss)
            found.append(logs["sensitivity"])
        return sum(losses[1:], losses[0]) / len(AXES), {"sensitivity": sum(found[1:], found[0]) / len(AXES)}

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Dice of each part, and the interval of its volume, on whole crops as a served model sees them.

        Pictures: images, predictions, truths; middle slices.
        """
        network = networks.modules["model"]
        assert isinstance(samples, WholeCrops)
        crops = [samples[n] for n in range(len(samples))]
        multiple = int(network.multiple)  # type: ignore[arg-type]
        found = [
            viewed(
                networks["model"], crop["image"].to(moment.device), slices=self.slices, multiple=multiple
            ).cpu()
            for crop in crops
        ]
        numbers = judged(found, [crop["label"][0] for crop in crops], [p.value for p in self.labels])
        shown = (
            [crop["image"].clamp(0, 1) for crop in crops],
            [p.argmax(0)[None] / len(PARTS) for p in found],
            [crop["label"] / len(PARTS) for crop in crops],
        )
        return Findings(numbers, torch.cat([_pictures(row) for row in shown]))

    def card(self, training: Training) -> ModelCard:
        """What the model says about itself."""
        return ModelCard(
            name=self.name,
            version="0.1.0",
            title="Hippocampus, anterior and posterior",
            description="Suggests a segmentation of the hippocampus in its anterior and posterior part in a "
            "T1-weighted crop around one hippocampus, for a person to correct, with a map of the uncertainty "
            "and the volume of both parts.",
            task="suggest",
            inputs=self.inputs,
            outputs=self.outputs,
            architecture=self.architecture,
            preprocess=PREPROCESS,
            domain=Domain(
                anatomy="a crop around one hippocampus of an adult, about 35 x 50 x 35 mm",
                modality="MR",
                spacing_mm=(0.8, 1.25),
                extent_mm=(24.0, 64.0),
            ),
            data=(DECATHLON,),
            training=training,
            licence="CC BY-SA 4.0",
            figures=(),
            limits=(
                "Not for diagnosis. A suggestion must be looked at, and corrected, by a person who knows the "
                "anatomy.",
                "Trained on T1-weighted crops of one hospital, of healthy adults and of some with psychotic "
                "disorders, with voxels of 1 mm; other contrasts, scanners and diseases were not seen.",
                "A whole head must be cropped to a box around one hippocampus first; in any other place the "
                "answer means nothing.",
                "The interval of a volume follows from how far the volumes of the patients left out lay from "
                "those that were drawn; it was not tested on others, and says nothing of how far experts "
                "differ.",
            ),
            weights=Weights(file="", sha256=""),
            views=3,
        )


def _augmentation(name: str) -> Augmentation | None:
    """By its name.

    Raises:
        UsageError: when there is none of that name.
    """
    if name not in AUGMENTATIONS:
        raise UsageError(
            "There is no such augmentation", expected=", ".join(AUGMENTATIONS), got=name, action="choose one"
        )
    return AUGMENTATIONS[name]


def _pictures(images: Sequence[Tensor]) -> Tensor:
    """A row of middle slices, (1, columns, h, w), of images (1, i, j, k) of any sizes; few are repeated."""
    size = crop_size(3)
    cut = [Window(tuple((n - 1) / 2 for n in x.shape[1:]), size).cut(x.float()) for x in images]
    return rows(torch.stack(cut).repeat(-(-ROW // len(cut)), 1, 1, 1, 1), 1)
