"""Judging suggested segmentations on whole scans with thick slices, as a served model sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from medgan_core.data.samples import Samples
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Findings
from medgan_core.training.recipes.generation import ROW, rows
from medgan_core.training.recipes.suggesting import AXES, judged, viewed

_SIDE = 160


def judge(
    networks: Networks, samples: Samples, moment: Moment, *, count: int, slices: int, classes: Sequence[int]
) -> Findings:
    """Dice of each class and the interval of its volume; pictures of images, predictions, truths.

    Args:
        networks: the one called ``model`` takes slabs.
        samples: image (c, i, j, k) and label (1, i, j, k) of each scan, slices along k; ``present`` (c,)
            where images may be missing.
        moment: of the validation.
        count: of the scans.
        slices: of a slab.
        classes: to judge.
    """
    multiple = int(networks.modules["model"].multiple)  # type: ignore[arg-type]
    found: list[Tensor] = []
    truths: list[Tensor] = []
    shown: tuple[list[Tensor], ...] = ([], [], [])
    for number in range(count):
        scan = samples[number]
        present = scan["present"].to(moment.device) if "present" in scan else None

        def forward(slabs: Tensor, present: Tensor | None = present) -> Tensor:
            answer: Tensor = networks["model"](slabs if present is None else _flagged(slabs, present))
            return answer

        probabilities = viewed(
            forward, scan["image"].to(moment.device), slices=slices, multiple=multiple, axes=AXES[:1]
        ).cpu()
        found.append(probabilities)
        truths.append(scan["label"][0])
        middle = probabilities.shape[-1] // 2
        for row, picture in zip(
            shown,
            (
                scan["image"][0, ..., middle].clamp(0, 1),
                probabilities[..., middle].argmax(0) / max(classes),
                scan["label"][0, ..., middle] / max(classes),
            ),
            strict=True,
        ):
            row.append(_square(picture))
    numbers = judged(found, truths, classes)
    return Findings(numbers, torch.cat([_row(pictures) for pictures in shown]))


def _flagged(slabs: Tensor, present: Tensor) -> Tensor:
    """Slabs (n, c, h, w) and a constant plane for each contrast that says whether it is there."""
    planes = present.to(slabs)[None, :, None, None].expand(len(slabs), -1, *slabs.shape[2:])
    return torch.cat([slabs, planes], dim=1)


def _square(picture: Tensor) -> Tensor:
    """The middle of a slice (h, w), (1, side, side), with black around it."""
    margins = [_SIDE - n for n in picture.shape]
    pad = [edge for m in reversed(margins) for edge in (m // 2, m - m // 2)]
    return functional.pad(picture.float(), pad)[None]


def _row(pictures: Sequence[Tensor]) -> Tensor:
    """The first scans, repeated where there are too few."""
    return rows(torch.stack(list(pictures)).repeat(-(-ROW // len(pictures)), 1, 1, 1), 1)
