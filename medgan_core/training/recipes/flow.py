"""Rectified flow (Liu, Gong & Liu, "Flow straight and fast", ICLR 2023)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from medgan_core.data.lesions import KINDS
from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError
from medgan_core.losses.flow import TIMES, flow_batch
from medgan_core.networks.flow_sampling import STEPS, follow_flow
from medgan_core.networks.flow_unet import FlowUNet
from medgan_core.training.loading import collate
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes.generation import from_signed, judge_samples, to_signed
from medgan_core.training.recipes.pictures import CLASSES, PATCH, Pictures, one_hot
from medgan_core.training.recipes.shapes import (
    SHAPES,
    draw_shapes,
    shapes_loss,
    shapes_network,
    shapes_player,
)

MODEL = "model"
CONDITIONS = ("none", "class", "map")
_TESTED = 32

Condition = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Flow(Pictures):
    """Learns the velocity of straight ways from noise to images, and follows it in few steps.

    Unconditional; or given the class of a patch (with or without a lesion) or a label map, which are hidden
    at random in training so that they can be stressed when sampling: ``v(x) + guidance (v(x, c) - v(x))``
    (Ho & Salimans, "Classifier-free diffusion guidance", 2021, equation 6 with guidance = 1 + w). With label
    maps a small network learns to draw those, too (`shapes`), so that pairs come from nothing.

    Args:
        condition: ``none``, ``class`` or ``map``.
        hide: how often the condition is hidden in training.
        guidance: how much it is stressed when sampling; 1 follows it as it is.
        times: a key of `losses.flow.TIMES`.
        steps: of the integration when sampling.
        method: a key of `networks.flow_sampling.STEPS`.
        widths: of the U-Net at the full resolution, at 1/2, 1/4, ... of it.
    """

    name: ClassVar[str] = "flow"
    metric: ClassVar[str] = "swd"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "60000",
        "batch": "64",
        "widths": "64,128,192,256",
        "ema": "0.9995",
    }

    batch: int = 16
    lr: float = 5e-4
    lesions: float = 0.5
    condition: str = "none"
    hide: float = 0.1
    guidance: float = 1.0
    times: str = "stratified"
    steps: int = 8
    method: str = "heun"
    widths: tuple[int, ...] = (32, 48, 64, 96)

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, value, known in (
            ("condition", self.condition, CONDITIONS),
            ("times", self.times, tuple(TIMES)),
            ("method", self.method, tuple(STEPS)),
        ):
            if value not in known:
                raise UsageError(f"There is no such {key}", expected=" or ".join(known), got=value)
        if self.condition == "class" and self.subject != PATCH:
            raise UsageError(
                "These images have no classes",
                expected="subject=patch, whose classes are with and without a lesion",
                got=f"subject={self.subject}",
                action="choose condition=map or another subject",
            )

    @property
    def classes(self) -> int:
        """Labels of a map, background included."""
        return CLASSES[self.subject]

    def networks(self) -> dict[str, nn.Module]:
        """The velocity, and the autoencoder of label maps where they are the condition."""
        given = self.condition
        model = FlowUNet(
            size=self.size,
            classes=len(KINDS) if given == "class" else 0,
            label_channels=self.classes if given == "map" else 0,
            widths=self.widths,
            spatial_dims=self.spatial_dims,
        )
        shapes = {SHAPES: shapes_network(self.size, self.classes, self.widths)} if given == "map" else {}
        return {MODEL: model, **shapes}

    def players(self) -> tuple[Player, ...]:
        """One, and one for the label maps."""
        model = Player(name=MODEL, networks=(MODEL,))
        return (model, shapes_player(rate=2.0)) if self.condition == "map" else (model,)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """Mean square error of the velocity, equation 1; or the label maps' loss."""
        if player == SHAPES:
            return shapes_loss(networks, batch["label"], moment, classes=self.classes)
        image = to_signed(batch["image"])
        way = flow_batch(image, moment.normal(*image.shape), TIMES[self.times](moment.uniform(len(image))))
        hidden = moment.uniform(len(image)) < self.hide
        given = self.given(batch, hidden)
        velocity = networks[MODEL](way.points, way.times, **given)
        return (velocity - way.velocities).square().mean(), {}

    def given(self, batch: Batch, hidden: Tensor) -> Condition:
        """What the network is told about the images of a batch.

        Args:
            batch: with a ``lesion`` or a ``label`` map, as the condition wants.
            hidden: (n,), images it is told nothing about.
        """
        if self.condition == "class":
            return {"labels": torch.where(hidden, len(KINDS), batch["lesion"])}
        if self.condition == "map":
            shown = (~hidden).float().reshape(-1, *(1,) * (self.spatial_dims + 1))
            return {"label_map": shown * one_hot(batch["label"], self.classes)}
        return {}

    def draw(self, networks: Networks, noise: Tensor, given: Condition) -> Tensor:
        """Images in [0, 1] from noise (n, 1, *size) and what the network is told of them."""
        end = follow_flow(self._velocity(networks, given), noise, steps=self.steps, method=self.method)
        return from_signed(end)

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """The loss on the patients left out, and samples; their conditions are those of real images."""
        batch = _on(collate([samples[n] for n in range(_TESTED)]), moment.device)
        loss, _ = self.loss(MODEL, networks, batch, moment)
        numbers = itertools.count()

        def draw(count: int) -> Tensor:
            batch = _on(collate([samples[next(numbers)] for _ in range(count)]), moment.device)
            shown = torch.zeros(count, dtype=torch.bool, device=moment.device)
            return self.draw(networks, self._noise(count, moment), self.given(batch, shown))

        found = judge_samples(draw, samples)
        return Findings({"loss": float(loss)} | found.numbers, found.pictures)

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        """New images in [0, 1]: with their label maps, or so many of each class, where these are given."""
        if self.condition == "map":
            label = draw_shapes(networks, count, moment)
            given = self.given({"label": label}, torch.zeros(count, dtype=torch.bool, device=label.device))
            return {"image": self.draw(networks, self._noise(count, moment), given), "label": label}
        if self.condition == "none":
            return {"image": self.draw(networks, self._noise(count, moment), {})}
        kinds = (torch.full((count,), n, device=moment.device) for n in range(len(KINDS)))
        return {
            name: self.draw(networks, self._noise(count, moment), {"labels": kind})
            for name, kind in zip(KINDS, kinds, strict=True)
        }

    def _velocity(self, networks: Networks, given: Condition) -> Callable[[Tensor, Tensor], Tensor]:
        def velocity(points: Tensor, times: Tensor) -> Tensor:
            told: Tensor = networks[MODEL](points, times, **given)
            if not given or self.guidance == 1:
                return told
            untold: Tensor = networks[MODEL](points, times)
            return untold + self.guidance * (told - untold)

        return velocity

    def _noise(self, count: int, moment: Moment) -> Tensor:
        return moment.normal(count, 1, *self.size)


def _on(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device) for key, value in batch.items()}
