"""A convolutional classifier (LeCun et al., 1998): does a patch show a lesion?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan_core.data.samples import Samples
from medgan_core.networks.image_classifier import ImageClassifier
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Forward, Networks
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes.detecting import detection, in_parts, judged_patches
from medgan_core.training.recipes.downstream import Downstream
from medgan_core.training.recipes.generation import rows
from medgan_core.training.recipes.patches import brain_patches, patch_size


@dataclass(frozen=True, kw_only=True)
class Classifier(Downstream):
    """Cross-entropy of two classes, without and with a lesion: a stand-in for a diagnosis.

    Args:
        spatial_dims: 2 for axial slices, 3 for slabs of them.
        contrast: of the patches.
        lesions: share of the training patches that show a lesion.
        fold: cross-validation fold whose patients are left out; -1 leaves out those listed as ``val``.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        dropout: share of the features hidden in training.
        smoothing: of the labels.
    """

    name: ClassVar[str] = "classifier"
    metric: ClassVar[str] = "auroc"
    best: ClassVar[str] = "high"
    gpu: ClassVar[Mapping[str, str]] = {"updates": "10000", "batch": "128", "widths": "32,64,128,256"}

    updates: int = 1500
    batch: int = 32
    lr: float = 5e-4
    spatial_dims: int = 2
    contrast: str = "FLAIR"
    lesions: float = 0.5
    fold: int = 0
    widths: tuple[int, ...] = (16, 32, 64, 96)
    dropout: float = 0.2
    smoothing: float = 0.05

    def network(self) -> nn.Module:
        """An `ImageClassifier` with random weights."""
        return ImageClassifier(
            classes=2, widths=self.widths, dropout=self.dropout, spatial_dims=self.spatial_dims
        )

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Patches with and without a lesion."""

        def real() -> Samples:
            return brain_patches(
                data,
                contrast=self.contrast,
                spatial_dims=self.spatial_dims,
                lesions=self.lesions,
                fold=self.fold,
                seed=self.seed,
                validation=validation,
            )

        if validation:
            return real()
        return self.training(real, size=patch_size(self.spatial_dims), keys=("image", "lesion"))

    def error(self, forward: Forward, batch: Batch) -> tuple[Tensor, Logs]:
        """Cross-entropy, and the share of patches told right."""
        logits, lesion = forward(batch["image"]), batch["lesion"]
        loss = functional.cross_entropy(logits, lesion, label_smoothing=self.smoothing)
        return loss, {"accuracy": (logits.argmax(1) == lesion).float().mean()}

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """AUROC, average precision, accuracy and loss; pictures: the patches most and least suspected."""
        batch = judged_patches(samples)
        logits = in_parts(networks["model"], batch["image"], moment.device)
        loss, logs = self.error(lambda _: logits, batch)
        scores = logits[:, 1] - logits[:, 0]
        numbers = {"loss": float(loss)} | {k: float(v) for k, v in logs.items()}
        numbers |= detection(scores, batch)
        order = scores.argsort(descending=True)
        ranked = batch["image"].clamp(0, 1)[order]
        return Findings(numbers, torch.cat([rows(ranked, 2), rows(ranked.flip(0), 2)]))
