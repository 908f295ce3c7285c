"""Variants of a loaded volume: the same anatomy moved a little, or scanned elsewhere, or worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core import preprocess
from medgan_core.card import LABEL_MAP, SEGMENTATION
from medgan_core.foreground import foreground, percentile_scale
from medgan_core.inference.appliers.application import Answer, Application, voxels
from medgan_core.inference.views import Views
from medgan_core.monitor import Monitor
from medgan_core.numbering import numbered
from medgan_core.physics.acquisition import Pose, jerked, measured, toned
from medgan_core.physics.knot_field import KnotField
from medgan_core.report import Row
from medgan_core.volume import Geometry

_DEFORMATION_MM, _BIAS_MM = 40.0, 80.0
_TWO = 2.0
"""Knots lie within so many standard deviations; then the field is scaled to what is wanted at most."""

_GAMMA, _GAIN = 0.4, 0.3
_JERKS = (2, 6)
_SLAB = 8
_PERCENTILE = 99.5
_UNCHANGED = "unchanged"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What is done to one sample.

    Args:
        seed: of the fields and the noise.
        deformation: largest shift along an axis, in mm; below 6 nothing folds.
        gamma: exponent of the tone curve.
        gain: factor.
        bias: largest natural logarithm of the shading.
        poses: after each jerk of the head.
        starts: see `physics.acquisition.jerked`.
        voxel_mm: smallest sides of a voxel, two in plane and one across.
        noise: sigma as a share of the foreground's percentile.
    """

    seed: int
    deformation: float
    gamma: float
    gain: float
    bias: float
    poses: tuple[Pose, ...]
    starts: tuple[float, ...]
    voxel_mm: tuple[float, float, float]
    noise: float

    @staticmethod
    def draw(rng: np.random.Generator, settings: Mapping[str, Any]) -> Variant:
        """Each effect with half of its strength to all of it; an effect that is off changes no other."""
        share = {key: float(settings[key]) * rng.uniform(0.5, 1.0) for key in _STRENGTHS}
        sign, gain, jerks = rng.choice((-1, 1)), rng.uniform(-1, 1), int(rng.integers(*_JERKS))
        poses = [rng.uniform(-1, 1, 3) * share["motion"] for _ in range(jerks)]
        return Variant(
            seed=int(rng.integers(2**62)),
            deformation=share["deformation"],
            gamma=float(np.exp(sign * _GAMMA * share["scanner"])),
            gain=float(1 + gain * _GAIN * share["scanner"]),
            bias=share["bias"],
            poses=tuple(Pose(turn=float(np.radians(a)), shift=(float(x), float(y))) for a, x, y in poses),
            starts=tuple(np.sort(rng.uniform(0, 1, jerks)).tolist()),
            voxel_mm=(share["pixel_mm"], share["pixel_mm"], share["slice_mm"]),
            noise=share["noise"] / 100,
        )

    @property
    def unchanged(self) -> bool:
        """Every effect is off."""
        return str(self) == _UNCHANGED

    def __str__(self) -> str:
        """What a person should know of it."""
        parts = [f"deformed by up to {self.deformation:.2g} mm"] if self.deformation else []
        if self.gamma != 1:
            parts.append(f"values to the power of {self.gamma:.2f}, times {self.gain:.2f}")
        parts += [f"shaded by up to {100 * np.expm1(self.bias):.0f} %"] if self.bias else []
        parts += [f"{len(self.poses)} jerks"] if any(p.turn or any(p.shift) for p in self.poses) else []
        if any(self.voxel_mm):
            parts.append("voxels at least " + " x ".join(f"{side:.2g}" for side in self.voxel_mm) + " mm")
        parts += [f"noise of {100 * self.noise:.2g} %"] if self.noise else []
        return ", ".join(parts) or _UNCHANGED


_STRENGTHS = ("deformation", "scanner", "bias", "motion", "pixel_mm", "slice_mm", "noise")


def vary(work: Application) -> Answer:
    """As many variants as asked for, on the image's grid; a label map is deformed with its image.

    Sample n is a function of the inputs, the settings, the seed and n. With every effect off it is the image
    as given, voxel by voxel; else it is float32, with 0 for what is negative.

    Raises:
        CancelledError: when cancelled.
    """
    image, labels = work.first, work.volumes.get(LABEL_MAP)
    axes, flips = preprocess.slice_axes(image.geometry)
    spacing = _spacing(image.geometry, axes)
    source = np.ascontiguousarray(preprocess.orient(voxels(image), axes, flips))
    carried = None if labels is None else preprocess.orient(labels.data[0], axes, flips)
    scale = percentile_scale(source, foreground(source), _PERCENTILE)
    answer, rows, changed = {}, [], False
    with work.monitor.stage("vary", 1.0):
        for number in range(work.count):
            variant = Variant.draw(np.random.default_rng((work.seed, number)), work.settings)
            rows.append(Row(numbered("Variant", number, work.count), str(variant)))
            made, mapped = image, carried
            if not variant.unchanged:
                with work.monitor.share(number / work.count, (number + 1) / work.count):
                    shown, mapped = deformed(
                        source / np.float32(scale), carried, spacing, variant, work.monitor
                    )
                    shown = scanned(torch.from_numpy(shown), spacing, variant, work.monitor).numpy()
                result = np.empty(image.geometry.shape, dtype=np.float32)
                preprocess.orient(result, axes, flips)[...] = shown * np.float32(scale)
                made, changed = image.with_data(result), True
            answer[numbered(work.target, number, work.count)] = made
            if labels is not None and mapped is not None:
                placed = np.empty(labels.geometry.shape, dtype=mapped.dtype)
                preprocess.orient(placed, axes, flips)[...] = mapped
                answer[numbered(SEGMENTATION, number, work.count)] = image.with_data(placed)
    return Answer(volumes=answer, views=Views(views=()), rows=(*rows, *_negative(source, changed)))


def _negative(source: NDArray[np.float32], changed: bool) -> list[Row]:
    """How many voxels of the image were set to 0 because magnitudes are not negative."""
    share = 100 * float((source < 0).mean())
    if not changed or not share:
        return []
    return [Row("Negative voxels, set to 0", float(f"{share:.3g}"), "% of the image", "0", "caution")]


def deformed(
    image: NDArray[np.float32],
    labels: NDArray[np.generic] | None,
    spacing: tuple[float, float, float],
    variant: Variant,
    monitor: Monitor,
) -> tuple[NDArray[np.float32], NDArray[np.generic] | None]:
    """Image (linear) and label map (nearest) pulled from the same smoothly shifted places.

    The slopes of the shift along one axis sum to less than 1 while it stays below 6.6 mm, so the map from
    voxels to places is one to one. Beyond the border the outermost voxels are repeated.
    """
    from scipy import ndimage

    if not variant.deformation:
        return image, labels
    generator = torch.Generator().manual_seed(variant.seed)
    i, j, k = image.shape
    fields = [KnotField((i, j, k), spacing, _DEFORMATION_MM, generator, limit=_TWO) for _ in range(3)]
    out, mapped = np.empty_like(image), None if labels is None else np.empty_like(labels)
    at = np.stack(np.meshgrid(np.arange(i), np.arange(j), indexing="ij")).astype(np.float32)
    for number in range(k):
        shift = [field.slice(number).numpy() * variant.deformation / _TWO for field in fields]
        place = np.stack([at[0], at[1], np.full((i, j), number, np.float32)])
        place += np.stack([one / side for one, side in zip(shift, spacing, strict=True)])
        out[..., number] = ndimage.map_coordinates(image, place, order=1, mode="nearest")
        if labels is not None and mapped is not None:
            mapped[..., number] = ndimage.map_coordinates(labels, place, order=0, mode="nearest")
        monitor.step(0.5 * (number + 1) / k)
    return out, mapped


def scanned(image: Tensor, spacing: tuple[float, float, float], variant: Variant, monitor: Monitor) -> Tensor:
    """The image, (i, j, k), with the effects of scanner and jerks, which move no anatomy; non-negative."""
    generator = torch.Generator().manual_seed(variant.seed + 1)
    i, j, k = image.shape
    shading = KnotField((i, j, k), spacing, _BIAS_MM, generator, limit=_TWO)
    out = toned(image, variant.gamma, variant.gain)
    moving = any(pose.turn or any(pose.shift) for pose in variant.poses)
    for first in range(0, k, _SLAB):
        part = out[..., first : first + _SLAB]
        if variant.bias:
            field = torch.stack([shading.slice(n) for n in range(first, first + part.shape[2])], dim=2)
            part *= torch.exp(field * variant.bias / _TWO)
        if moving:
            slices = part.movedim(2, 0)
            slices.copy_(jerked(slices, variant.poses, variant.starts, spacing[:2]))
        monitor.step(0.5 + 0.5 * first / k)
    size = [
        min(n, max(1, round(n * side / wanted))) if wanted else n
        for n, side, wanted in zip(image.shape, spacing, variant.voxel_mm, strict=True)
    ]
    return measured(out.clamp(min=0), size, variant.noise, generator=generator)


def _spacing(geometry: Geometry, axes: tuple[int, int, int]) -> tuple[float, float, float]:
    i, j, k = (geometry.spacing[a] for a in axes)
    return i, j, k
