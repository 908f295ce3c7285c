"""Recognises a head or brain in MR and its contrast, so that other volumes can be refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from medgan_core import networks
from medgan_core.card import Architecture, Domain, ModelCard, Port, Training, Weights
from medgan_core.data.augmentation import scanner_effects
from medgan_core.data.slabs import CONTRASTS
from medgan_core.data.training_set import open_training_set
from medgan_core.physics.noise import rician, smooth_field
from medgan_core.physics.simulation import Head, signals, tissue_map
from medgan_core.physics.tissues import EXTRA_CEREBRAL
from medgan_core.preprocess import Preprocess
from medgan_core.suitability import GATE_CLASSES, GATE_GRID, GATE_SPACING_MM, centred, coarse
from medgan_core.training.networks import Forward
from medgan_core.training.recipe import Batch, Logs, Supervised
from medgan_core.training.recipes.brain_data import OTHER_ANATOMY, SOURCES
from medgan_core.training.recipes.sources import generators, head_maps

_FINE_MM = 4
_MOST_OTHERS = 60
Small = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Gate(Supervised):
    """Binary cross-entropy for the anatomy, cross-entropy for the contrast, on 5 mm volumes."""

    name: ClassVar[str] = "brain-mr-gate"

    batch: int = 16
    updates: int = 1500
    lr: float = 1e-3

    @property
    def architecture(self) -> Architecture:
        """The network of the card."""
        return Architecture(name="volume-classifier", options={"classes": len(GATE_CLASSES)})

    def network(self) -> nn.Module:
        """A `VolumeClassifier` with random weights."""
        return networks.build(**asdict(self.architecture))

    def samples(self, data: Path, *, validation: bool) -> GateSamples:
        """Simulated and real heads, and volumes that are none."""
        held = open_training_set(data)
        split = "val" if validation else "train"
        chosen = [s for s in held.studies if s.split == split]
        maps = head_maps(held, validation=validation)
        heads: list[tuple[Small, int]] = []
        others: list[Small] = []
        for study in chosen:
            brain = study.of_head
            wanted = [key for key in study.images if key in CONTRASTS or not brain]
            if not wanted or (not brain and len(others) >= _MOST_OTHERS):
                continue
            for key, image in held.case(study, wanted).images.items():
                if brain:
                    heads.append((coarse(image.volume()), CONTRASTS.index(key)))
                elif len(others) < _MOST_OTHERS:
                    others.append(coarse(image.volume()))
        return GateSamples(maps, heads, others, seed=self.sample_seed(validation=validation))

    def error(self, forward: Forward, batch: Batch) -> tuple[Tensor, Logs]:
        """Anatomy on every sample, contrast on heads only."""
        logits = forward(batch["input"])
        brain, contrast = batch["brain"], batch["contrast"]
        anatomy = functional.binary_cross_entropy_with_logits(logits[:, 0], brain)
        each = functional.cross_entropy(logits[:, 1:], contrast, reduction="none", label_smoothing=0.02)
        kind = (each * brain).sum() / brain.sum().clamp(min=1)
        right = ((logits[:, 0] > 0) == (brain > 0.5)).float().mean()
        named = ((logits[:, 1:].argmax(1) == contrast).float() * brain).sum() / brain.sum().clamp(min=1)
        return anatomy + kind, {"anatomy": right, "contrast": named}

    def card(self, training: Training) -> ModelCard:
        """What the model says about itself."""
        return ModelCard(
            name=self.name,
            version="0.1.0",
            title="Brain MR recognition",
            description="Says whether a volume is a head or brain in MR and which contrast it shows. Other "
            "models ask it before they run.",
            task="gate",
            inputs=(Port(key="image", title="Any volume", required=True),),
            outputs=(Port(key="logits", title="Anatomy and contrast", unit=", ".join(GATE_CLASSES)),),
            architecture=self.architecture,
            preprocess=Preprocess(),
            domain=Domain(anatomy="any", modality="any", spacing_mm=(0.01, 50.0), extent_mm=(1.0, 5000.0)),
            data=(*SOURCES, *OTHER_ANATOMY),
            training=training,
            licence="Apache-2.0",
            figures=(),
            limits=(
                "Seen few kinds of volumes that are no heads; a refusal can be overruled for that reason.",
            ),
            weights=Weights(file="", sha256=""),
        )


class GateSamples:
    """5 mm volumes: a third simulated heads, a third real ones, a third anything else."""

    def __init__(
        self,
        maps: Sequence[NDArray[np.integer[Any]]],
        heads: list[tuple[Small, int]],
        others: list[Small],
        *,
        seed: int,
    ) -> None:
        step = _FINE_MM
        self._maps = [tissue_map(m[::step, ::step, ::step]) for m in maps]
        self._brains = [
            (m[::step, ::step, ::step] > 0) & (m[::step, ::step, ::step] < EXTRA_CEREBRAL) for m in maps
        ]
        self._heads, self._others, self._seed = heads, others, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Input (1, *GATE_GRID), brain (0 or 1), contrast (index into `CONTRASTS`)."""
        rng, generator = generators(self._seed, number)
        kind = rng.random()
        contrast, brain = 0, 1.0
        if kind < 0.33 or not self._heads:
            contrast = int(rng.integers(len(CONTRASTS)))
            volume = self._simulated(rng, generator, contrast)
        elif kind < 0.66:
            small, contrast = self._heads[int(rng.integers(len(self._heads)))]
            volume = _moved(small, rng)
        else:
            brain = 0.0
            volume = self._other(rng, generator)
        tensor = scanner_effects(torch.from_numpy(volume), rng, generator, noise=0.05)
        if rng.random() < 0.3:
            tensor = _cropped(tensor, rng)
        grid = torch.from_numpy(centred(tensor.numpy()))
        return {
            "input": grid[None],
            "brain": torch.tensor(brain),
            "contrast": torch.tensor(contrast),
        }

    def _simulated(self, rng: np.random.Generator, generator: torch.Generator, contrast: int) -> Small:
        which = int(rng.integers(len(self._maps)))
        labels = self._maps[which] * (self._brains[which] if rng.random() < 0.4 else 1)
        image = signals(
            torch.from_numpy(labels),
            Head.draw(rng),
            (CONTRASTS[contrast],),
            generator,
            float(rng.uniform(0.02, 0.1)),
        )
        factor = _FINE_MM / GATE_SPACING_MM * rng.uniform(0.88, 1.12)
        size = [max(4, round(n * factor)) for n in labels.shape]
        small = functional.interpolate(image[None], size=size, mode="area")[0, 0]
        return np.asarray((small / small.max().clamp(min=1e-6)).numpy())

    def _other(self, rng: np.random.Generator, generator: torch.Generator) -> Small:
        """A volume that is no head: other anatomy, simple bodies, noise, a shuffled head."""
        kind = int(rng.choice((0, 1, 2, 3, 3, 3, 4, 5)))
        if kind <= 1 and self._others:
            small = self._others[int(rng.integers(len(self._others)))]
            small = _moved(np.clip(small, 0, None), rng, zoom=0.35)
            return np.asarray(small if rng.random() < 0.6 else (small.max() - small) * (small > 0.02))
        if kind == 2:
            return np.asarray(rician(torch.zeros(GATE_GRID), 0.5, generator=generator).numpy())
        if kind == 3:
            return _bodies(rng) if rng.random() < 0.3 else _nested(rng, generator)
        head = (
            self._heads[int(rng.integers(len(self._heads)))][0]
            if self._heads
            else np.zeros(GATE_GRID, np.float32)
        )
        if kind == 4:
            return _shuffled(head, rng)
        field = smooth_field(
            GATE_GRID, int(rng.integers(3, 12)), generator=generator, depth_knots=int(rng.integers(3, 12))
        )
        return np.asarray((field - field.min()).numpy())


def _moved(small: Small, rng: np.random.Generator, *, zoom: float = 0.12) -> Small:
    """Zoomed, sheared by a voxel, and mirrored left to right at random."""
    tensor = torch.from_numpy(np.ascontiguousarray(small))[None, None]
    factor = [float(np.exp(rng.normal(0, zoom))) for _ in range(3)]
    size = [max(4, round(n * f)) for n, f in zip(small.shape, factor, strict=True)]
    tensor = functional.interpolate(tensor, size=size, mode="trilinear", align_corners=False)
    if rng.random() < 0.5:
        tensor = tensor.flip(2)
    return np.asarray(tensor[0, 0].numpy())


def _cropped(volume: Tensor, rng: np.random.Generator) -> Tensor:
    """A part of the field of view: up to a third is cut off at one end of one axis."""
    axis = int(rng.integers(3))
    count = volume.shape[axis]
    cut = int(rng.uniform(0, 0.33) * count)
    start = cut if rng.random() < 0.5 else 0
    return volume.narrow(axis, start, count - cut).contiguous()


def _shuffled(head: Small, rng: np.random.Generator) -> Small:
    """Blocks of a head in another order: its histogram without its anatomy."""
    step = int(rng.choice((8, 10)))
    trimmed = head[
        : head.shape[0] // step * step, : head.shape[1] // step * step, : head.shape[2] // step * step
    ]
    shape = [n // step for n in trimmed.shape]
    blocks = trimmed.reshape(shape[0], step, shape[1], step, shape[2], step).transpose(0, 2, 4, 1, 3, 5)
    flat = rng.permutation(blocks.reshape(-1, step, step, step))
    mixed = flat.reshape(*shape, step, step, step).transpose(0, 3, 1, 4, 2, 5)
    return np.ascontiguousarray(mixed.reshape(trimmed.shape))


def _nested(rng: np.random.Generator, generator: torch.Generator) -> Small:
    """Ellipsoids of a head's size inside each other, each of one brightness, with smooth shading."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in GATE_GRID), indexing="ij")
    radius = rng.uniform(0.45, 1.0, 3)
    distance = np.sqrt(sum((a / r) ** 2 for a, r in zip(axes, radius, strict=True)))
    out = np.zeros(GATE_GRID, dtype=np.float32)
    for edge in np.sort(rng.uniform(0.2, 1.0, int(rng.integers(0, 5))))[::-1].tolist():
        out[distance < edge] = rng.uniform(0, 1)
    if not out.any():
        out[distance < 1] = 1.0
    shading = torch.exp(0.15 * smooth_field(GATE_GRID, 5, generator=generator, depth_knots=5)).numpy()
    return np.asarray(out * shading)


def _bodies(rng: np.random.Generator) -> Small:
    """Ellipsoids and boxes of random size and brightness, some hollow."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in GATE_GRID), indexing="ij")
    out = np.zeros(GATE_GRID, dtype=np.float32)
    for _ in range(int(rng.integers(1, 9))):
        centre, radius = rng.uniform(-0.5, 0.5, 3), rng.uniform(0.1, 0.9, 3)
        parts = [np.abs((a - c) / r) for a, c, r in zip(axes, centre, radius, strict=True)]
        distance = np.maximum.reduce(parts) if rng.random() < 0.3 else np.sqrt(sum(p**2 for p in parts))
        inside = distance < 1 if rng.random() < 0.7 else (distance < 1) & (distance > 0.8)
        out[inside] = rng.uniform(0, 1)
    return out
