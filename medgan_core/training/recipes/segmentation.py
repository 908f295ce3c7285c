"""Segmentation with a U-Net (Ronneberger et al., MICCAI 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from medgan_core.data.samples import Samples
from medgan_core.losses.dice import dice_cross_entropy
from medgan_core.metrics.overlap import dice_per_label
from medgan_core.networks.segmentation_unet import SegmentationUNet
from medgan_core.training.loading import collate
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Forward, Networks
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes.detecting import in_parts
from medgan_core.training.recipes.downstream import Downstream
from medgan_core.training.recipes.generation import rows
from medgan_core.training.recipes.pictures import CLASSES, Pictures

_JUDGED = {2: 128, 3: 24}


@dataclass(frozen=True, kw_only=True)
class Segmentation(Pictures, Downstream):
    """Dice and cross-entropy of the parts of the hippocampus, or of lesions in patches.

    Args:
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        dropout: share of the coarsest features hidden in training.
    """

    name: ClassVar[str] = "segmentation"
    metric: ClassVar[str] = "dice"
    best: ClassVar[str] = "high"
    learns_labels: ClassVar[bool] = True
    gpu: ClassVar[Mapping[str, str]] = {"updates": "15000", "batch": "64", "widths": "32,64,128,256"}

    updates: int = 2000
    batch: int = 16
    lr: float = 1e-3
    lesions: float = 0.8
    widths: tuple[int, ...] = (16, 32, 64, 128)
    dropout: float = 0.1

    @property
    def classes(self) -> int:
        """Labels, background included."""
        return CLASSES[self.subject]

    def network(self) -> nn.Module:
        """A `SegmentationUNet` with random weights."""
        return SegmentationUNet(
            classes=self.classes, widths=self.widths, dropout=self.dropout, spatial_dims=self.spatial_dims
        )

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Images with label maps."""

        def real() -> Samples:
            return super(Segmentation, self).samples(data, validation=validation)

        return real() if validation else self.training(real, size=self.size, keys=("image", "label"))

    def error(self, forward: Forward, batch: Batch) -> tuple[Tensor, Logs]:
        """Dice and cross-entropy, and the share of labelled voxels told right."""
        logits, label = forward(batch["image"]), batch["label"][:, 0]
        loss = dice_cross_entropy(logits, label)
        inside = (label > 0).float()
        right = ((logits.argmax(1) == label).float() * inside).sum() / inside.sum().clamp(min=1)
        return loss, {"sensitivity": right}

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Dice of each label, over all that is judged of a scan together, as means over scans.

        Pictures: images, predictions, truths.
        """
        batch = collate([samples[n] for n in range(_JUDGED[self.spatial_dims])])
        truth, case = batch["label"], batch["case"]
        logits = in_parts(networks["model"], batch["image"], moment.device)
        loss = dice_cross_entropy(logits, truth[:, 0])
        predicted = logits.argmax(1, keepdim=True)
        scans = torch.unique(case)
        found = dice_per_label(
            [predicted[case == c].numpy() for c in scans],
            [truth[case == c].numpy() for c in scans],
            labels=range(1, self.classes),
        )
        each = {f"dice_{one.label}": one.mean for one in found if one.n}
        mean = sum(each.values()) / len(each) if each else 0.0
        shown = (batch["image"].clamp(0, 1), *(x / (self.classes - 1) for x in (predicted, truth)))
        pictures = torch.cat([rows(x, 1) for x in shown])
        numbers = {"loss": float(loss), "dice": mean, "scans": float(len(scans)), **each}
        return Findings(numbers, pictures)
