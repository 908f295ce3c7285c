"""What the recipes of suggested segmentations share: network, loss, views, and what their cards say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan_core.card import Architecture, Figure, Label, ModelCard, Port, label_classes
from medgan_core.losses.dice import dice_cross_entropy
from medgan_core.metrics.overlap import dice_per_label
from medgan_core.metrics.volume_interval import conformal_factor, doubt
from medgan_core.networks import build
from medgan_core.training.networks import Forward
from medgan_core.training.recipe import Batch, Logs, Supervised

AXES = (2, 1, 0)
"""Spatial axes that slabs are cut along, as `inference.views` does."""

UNCERTAINTY = Port(
    key="uncertainty", title="Uncertainty of the segmentation", kind="map", unit="0 certain, 1 undecided"
)


@dataclass(frozen=True, kw_only=True)
class Suggesting(Supervised):
    """A `SlabSegmenter` trained with Dice and cross-entropy.

    Class variables: `labels` are those of the segmentation, in the order of the classes, whose numbers in
    the training maps count from 1 (background 0); `sides` are pairs of labels that share a class (see
    `ModelCard.sides`); `inputs` are the images in the slab; `judged_on` says in words whom validation sees.

    Args:
        slices: of a slab.
        widths: of the network.
        blocks: of the network.
    """

    labels: ClassVar[tuple[Label, ...]]
    sides: ClassVar[tuple[tuple[int, int], ...]] = ()
    judged_on: ClassVar[str] = "patients left out of the training"
    inputs: ClassVar[tuple[Port, ...]]
    metric: ClassVar[str] = "dice"
    best: ClassVar[str] = "high"
    judges_all: ClassVar[bool] = True

    slices: int = 5
    widths: tuple[int, ...] = (48, 96, 128)
    blocks: int = 1

    @property
    def classes(self) -> tuple[int, ...]:
        """Of the labels."""
        return label_classes(self.labels, self.sides)

    @property
    def architecture(self) -> Architecture:
        """The network of the card; presence planes where inputs may be missing."""
        options = {
            "contrasts": len(self.inputs),
            "classes": 1 + max(self.classes),
            "slices": self.slices,
            "presence": len(self.inputs) > 1,
            "widths": list(self.widths),
            "blocks": self.blocks,
        }
        return Architecture(name="slab-segmenter", options=options)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Of the card."""
        found = Port(key="segmentation", title="Suggested segmentation", kind="labels", labels=self.labels)
        return (found, UNCERTAINTY)

    def network(self) -> nn.Module:
        """A `SlabSegmenter` with random weights."""
        return build(**asdict(self.architecture))

    def error(self, forward: Forward, batch: Batch) -> tuple[Tensor, Logs]:
        """Dice and cross-entropy of slabs ``input`` (n, c, h, w) with ``label`` (n, h, w)."""
        slabs = batch["input"].contiguous(memory_format=torch.channels_last)
        logits, label = forward(slabs), batch["label"]
        inside = (label > 0).float()
        right = ((logits.argmax(1) == label).float() * inside).sum() / inside.sum().clamp(min=1)
        return dice_cross_entropy(logits, label), {"sensitivity": right}

    def measured(self, card: ModelCard, numbers: Mapping[str, float], command: str) -> ModelCard:
        """Figures, and the factors of the volumes' intervals."""
        factors = tuple(numbers[f"factor_{number}"] for number in self.classes)
        return replace(super().measured(card, numbers, command), volume_calibration=factors)

    def figures(self, numbers: Mapping[str, float], command: str) -> tuple[Figure, ...]:
        """Dice of each label."""
        split, n = self.judged_on, int(numbers["cases"])
        rights = {right for _, right in self.sides}
        told = []
        for number, label in zip(self.classes, self.labels, strict=True):
            if label.value in rights:
                continue
            name = label.name
            if label.value in dict(self.sides):
                name = f"{name.removeprefix('Left ')} (both sides)"
            spread = numbers.get(f"spread_{number}")
            told.append(
                Figure(
                    name=f"Dice, {name}",
                    value=round(numbers[f"dice_{number}"], 4),
                    unit="mean over scans",
                    n=n,
                    split=split,
                    command=command,
                    spread=None if spread is None else round(spread, 4),
                )
            )
        return tuple(told)


def slabs_along(volumes: Tensor, axis: int, middles: Sequence[int] | Tensor, slices: int) -> Tensor:
    """Slabs of a batch of volumes, as `inference` cuts them: beyond the ends the last slice is repeated.

    Args:
        volumes: (n, c, i, j, k).
        axis: spatial axis that the slices lie along; the last one takes its place.
        middles: the middle slice of each slab.
        slices: neighbouring slices of a slab.

    Returns:
        (n * middles, c * slices, h, w).
    """
    stack = volumes.swapaxes(2 + axis, 4).movedim(4, 1)
    offsets = torch.arange(slices, device=volumes.device) - slices // 2
    rows = torch.as_tensor(middles, device=volumes.device)[:, None] + offsets
    found = stack[:, rows.clamp(0, stack.shape[1] - 1)]
    return found.transpose(2, 3).flatten(2, 3).flatten(0, 1)


def viewed(
    forward: Forward, volume: Tensor, *, slices: int, multiple: int, axes: Sequence[int] = AXES
) -> Tensor:
    """Probabilities of the classes at every voxel of one volume, the mean over views.

    The same that a served model gives, computed by the network at hand.

    Args:
        forward: the network, slabs to logits.
        volume: (c, i, j, k) on the network's device.
        slices: of a slab.
        multiple: sides of a slice are padded to multiples of this by repeating the edge.
        axes: of the views.

    Returns:
        (classes, i, j, k).
    """
    total: Tensor | None = None
    for axis in axes:
        cut = slabs_along(volume[None], axis, range(volume.shape[1 + axis]), slices)
        height, width = cut.shape[2:]
        padded = functional.pad(cut, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        slabs = padded.contiguous(memory_format=torch.channels_last)
        one = forward(slabs).softmax(1)[:, :, :height, :width]
        upright = one.permute(1, 2, 3, 0).swapaxes(1 + axis, 3)
        total = upright if total is None else total + upright
    assert total is not None
    return total / len(axes)


def judged(
    probabilities: Sequence[Tensor], truths: Sequence[Tensor], labels: Sequence[int]
) -> dict[str, float]:
    """Dice of each label, and the factor of its volume's interval, over patients.

    Args:
        probabilities: (classes, i, j, k) of each patient.
        truths: (i, j, k) of each patient, classes as whole numbers.
        labels: classes to judge.

    Returns:
        ``dice``, the mean over labels, and for each ``dice_1``, ``factor_1`` and (of two patients or more)
        ``spread_1`` between them; and ``cases``. A label that is nowhere, and is suggested nowhere, has
        Dice 1.
    """
    predicted = [p.argmax(0).numpy() for p in probabilities]
    known = [t.numpy() for t in truths]
    numbers: dict[str, float] = {"cases": float(len(known))}
    for overlap in dice_per_label(predicted, known, labels=labels):
        label = overlap.label
        numbers[f"dice_{label}"] = overlap.mean if overlap.n else 1.0
        if overlap.n > 1:
            numbers[f"spread_{label}"] = overlap.spread
        errors = [
            float((p == label).sum() - (t == label).sum()) for p, t in zip(predicted, known, strict=True)
        ]
        doubts = [doubt(p[label].double().numpy()) for p in probabilities]
        numbers[f"factor_{label}"] = conformal_factor(errors, doubts)
    numbers["dice"] = sum(numbers[f"dice_{label}"] for label in labels) / len(labels)
    return numbers
